//! One summary: from a claimed job to a document, or to another attempt later.
//!
//! Exactly once, by three preconditions of one batch: the journal is where it was when it was read,
//! so no turn has come in between; the summary's document is as it was found, so nobody else has
//! written it; and the job is finished with it. A session that still lives is left alone: its job is
//! moved on by whoever writes its document.

use std::sync::Arc;
use std::time::Duration;

use outcrop_model::exception::Exception;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Job, Key, StoreError, Write};
use tracing::{debug, error, warn};

use super::job::{Purpose, Task};
use super::told::Told;
use super::{FailureDoc, SummaryDoc, Terms, ask};
use crate::background::{Background, Worker, finish};
use crate::records::{self, Scope, SessionDoc, Stored, kind};
use crate::runtime::Shared;

/// Attempts at one summary, each with the retries of its model call: with the waits between them, a
/// provider may be out for a day.
const ATTEMPTS_MAX: u32 = 10;
/// The wait before the second attempt; each later one is four times as long.
const BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_hours(6);
/// How long the record of a failure is kept.
const FAILURE_KEPT: Duration = Duration::from_hours(30 * 24);
/// How often a job may be claimed. Far beyond what restarts can need: it ends a job that brings its
/// process down each time.
const CLAIMS_MAX: u32 = 200;
/// How long one attempt may take. Its model call has the provider's own timeouts; this is for what
/// hangs all the same.
const WORK_MAX: Duration = Duration::from_mins(10);
/// How often a result is written again after others were quicker.
const WRITES_MAX: u32 = 4;

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The summary is stored.
    Stored,
    /// There is nothing to be stored: it is there, or nobody can ask for it.
    Needless,
    /// The session lives; the job is done when it does not.
    Lives,
    /// Another holds the job by now, or has done it.
    Lost,
}

/// Why a job could not be done.
enum Trouble {
    /// The store; the claim lapses, and the job is taken up again.
    Store(StoreError),
    /// Anything else, which may be better later.
    Later(String),
}

impl From<Exception> for Trouble {
    fn from(exception: Exception) -> Self {
        Self::Later(exception.to_string())
    }
}

impl Worker for Shared {
    fn background(&self) -> &Background {
        &self.background
    }

    async fn perform(self: &Arc<Self>, job: &Job) {
        perform(self, job).await;
    }
}

/// Does a job, or has it done later, or gives it up.
async fn perform(shared: &Arc<Shared>, job: &Job) {
    let task: Task = match serde_json::from_str(&job.payload) {
        Ok(task) => task,
        Err(cause) => {
            error!(job = &*job.id, %cause, "the job of a summary is damaged and is dropped");
            shared.background.settle(job, vec![finish(job)]).await;
            return;
        }
    };
    if job.attempts > CLAIMS_MAX {
        return give_up(shared, job, task, "it was begun too often".to_owned()).await;
    }
    let limit = shared.ports.clock.sleep(WORK_MAX);
    let done = tokio::select! {
        done = attempt(shared, job, &task) => done,
        () = limit => Err(Trouble::Later(format!(
            "it took longer than {} s",
            WORK_MAX.as_secs()
        ))),
    };
    match done {
        Ok(outcome) => debug!(journal = task.journal, ?outcome, "summary"),
        Err(Trouble::Store(cause)) => {
            warn!(journal = task.journal, %cause, "a summary waits for the store");
        }
        Err(Trouble::Later(cause)) => later(shared, job, task, cause).await,
    }
}

/// Has it tried again after a while, unless it has been tried often enough.
async fn later(shared: &Shared, job: &Job, mut task: Task, cause: String) {
    if !shared.background.holds(job).await.unwrap_or(false) {
        return;
    }
    task.failures += 1;
    if task.failures >= ATTEMPTS_MAX {
        return give_up(shared, job, task, cause).await;
    }
    let wait = BACKOFF.saturating_mul(4_u32.saturating_pow(task.failures - 1));
    let wait = wait.min(BACKOFF_MAX);
    warn!(
        journal = task.journal,
        failures = task.failures,
        wait_s = wait.as_secs(),
        cause,
        "a session could not be summarised; it will be tried again"
    );
    let due_at = shared.ports.clock.now().saturating_add(wait);
    let again = task.enqueue(due_at.as_millis());
    shared.background.settle(job, vec![again]).await;
}

/// Leaves a record of the failure, and no job.
async fn give_up(shared: &Shared, job: &Job, task: Task, cause: String) {
    error!(
        session_id = &*task.session_id,
        journal = task.journal,
        failures = task.failures,
        cause,
        "a session could not be summarised and is given up"
    );
    let scope = task.scope();
    let key = task
        .owner(&scope)
        .key(kind::SUMMARY_FAILURE, task.started_at, &task.journal);
    let failure = FailureDoc {
        session_id: task.session_id.to_string(),
        journal: task.journal,
        cause,
    };
    let expires_at = shared.ports.clock.now().saturating_add(FAILURE_KEPT);
    let record = Write::Put {
        key,
        body: records::json(&failure).into(),
        expect: Expect::Any,
        name: None,
        expires_at_ms: Some(expires_at.as_millis()),
    };
    let writes = vec![record, finish(job)];
    shared.background.settle(job, writes).await;
}

async fn attempt(shared: &Arc<Shared>, job: &Job, task: &Task) -> Result<Outcome, Trouble> {
    let scope = task.scope();
    let owner = task.owner(&scope);
    let lives = shared.lives(task, &scope).await?;
    if lives && task.purpose == Purpose::Ended {
        return Ok(Outcome::Lives);
    }
    let key = owner.key(kind::SESSION_SUMMARY, task.started_at, &task.journal);
    let found = shared.summary(&key).await?;
    let superseded = !lives && task.purpose == Purpose::Running;
    let is_there = found.is_some_and(|summary| summary.body.ended);
    if superseded || is_there || !shared.has_alias(task, &scope).await? {
        return needless(shared, job).await;
    }
    let plan = shared.plan(&scope, &task.plan).await?;
    let Some(terms) = Terms::of(&plan.definition) else {
        return needless(shared, job).await;
    };
    let expires_at = expiry(task, terms.storage);
    if expires_at <= shared.ports.clock.now() {
        return needless(shared, job).await;
    }
    let told = shared.told(&scope, &task.journal).await?;
    if told.messages.is_empty() {
        return needless(shared, job).await;
    }
    let past = shared
        .recall(&owner, terms.recent, Some(&task.journal))
        .await?;
    let asked = ask::summary(shared, &plan, task, &told, &past).await;
    let text = asked.map_err(Trouble::Later)?;
    let summary = SummaryDoc {
        memory_id: task.memory_id.clone(),
        session_id: task.session_id.to_string(),
        journal: task.journal.clone(),
        seq: told.seq,
        started_at: task.started_at,
        expires_at,
        text,
        ended: task.purpose == Purpose::Ended,
    };
    shared.store_summary(job, task, &told, &key, &summary).await
}

/// Nothing is to be stored: the job is over.
async fn needless(shared: &Shared, job: &Job) -> Result<Outcome, Trouble> {
    let finished = shared.commit(vec![finish(job)]).await;
    finished.map_err(Trouble::Store)?;
    Ok(Outcome::Needless)
}

/// When a session's summary is forgotten (behaviour.md 8.3: `sessionExpiryTime`).
fn expiry(task: &Task, storage: Duration) -> Timestamp {
    task.started_at.saturating_add(storage)
}

impl Shared {
    fn session_key(task: &Task, scope: &Scope) -> Key {
        scope.key(kind::SESSION, &task.parent, &task.session_id)
    }

    /// Whether a further turn may come in this life of the session.
    async fn lives(&self, task: &Task, scope: &Scope) -> Result<bool, Trouble> {
        let key = Self::session_key(task, scope);
        let now_ms = self.ports.clock.now().as_millis();
        let found = self.ports.store.get(&key, now_ms).await;
        let Some(record) = found.map_err(Trouble::Store)? else {
            return Ok(false);
        };
        Ok(records::read::<SessionDoc>(record)?.body.journal == task.journal)
    }

    async fn summary(&self, key: &Key) -> Result<Option<Stored<SummaryDoc>>, Trouble> {
        let now_ms = self.ports.clock.now().as_millis();
        let found = self.ports.store.get(key, now_ms).await;
        let record = found.map_err(Trouble::Store)?;
        Ok(record.map(records::read).transpose()?)
    }

    /// Whether the alias is still there, without which nobody can ask for the summary.
    async fn has_alias(&self, task: &Task, scope: &Scope) -> Result<bool, Trouble> {
        let Some((agent_id, alias_id)) = task.parent.split_once('/') else {
            return Ok(false);
        };
        let key = scope.key(kind::ALIAS, agent_id, alias_id);
        let now_ms = self.ports.clock.now().as_millis();
        let found = self.ports.store.get(&key, now_ms).await;
        Ok(found.map_err(Trouble::Store)?.is_some())
    }

    /// Stores the summary and finishes the job, unless another has meanwhile or the session went on.
    async fn store_summary(
        &self,
        job: &Job,
        task: &Task,
        told: &Told,
        key: &Key,
        summary: &SummaryDoc,
    ) -> Result<Outcome, Trouble> {
        let scope = task.scope();
        for _ in 0..WRITES_MAX {
            // Who was asleep for longer than its claim lasts must not bring back what another has
            // written and a client has deleted since.
            if !self.background.holds(job).await.map_err(Trouble::Store)? {
                return Ok(Outcome::Lost);
            }
            let found = self.summary(key).await?;
            if let Some(found) = &found
                && (found.body.ended || !summary.ended && found.body.seq >= summary.seq)
            {
                return needless(self, job).await;
            }
            let lives = self.lives(task, &scope).await?;
            if lives && summary.ended {
                return Ok(Outcome::Lives);
            }
            let mut writes = Vec::with_capacity(4);
            if summary.ended {
                writes.extend(self.closing(task, &scope).await?);
                // Checks the journal's end and appends nothing.
                writes.push(Write::Append {
                    journal: task.journal.as_str().into(),
                    expected_seq: told.seq,
                    entries: Vec::new(),
                });
            }
            writes.push(Write::Put {
                key: key.clone(),
                body: records::json(summary).into(),
                expect: found.map_or(Expect::Absent, |found| Expect::Revision(found.revision)),
                name: None,
                expires_at_ms: Some(summary.expires_at.as_millis()),
            });
            writes.push(finish(job));
            match self.commit(writes).await {
                Ok(_) => return Ok(Outcome::Stored),
                Err(StoreError::Stale { .. }) => {}
                Err(StoreError::Fenced { .. }) => return Ok(Outcome::Lives),
                Err(cause) => return Err(Trouble::Store(cause)),
            }
        }
        Err(Trouble::Later(
            "others wrote the summary at the same time".to_owned(),
        ))
    }

    /// Makes sure that nobody goes on with a session that this server's clock says has expired: the
    /// clocks of servers differ. Nothing for one that has begun a new life by now.
    async fn closing(&self, task: &Task, scope: &Scope) -> Result<Option<Write>, Trouble> {
        let key = Self::session_key(task, scope);
        let now_ms = self.ports.clock.now().as_millis();
        let found = self.ports.store.get(&key, now_ms).await;
        let is_gone = found.map_err(Trouble::Store)?.is_none();
        Ok(is_gone.then_some(Write::Delete {
            key,
            expect: Expect::Absent,
        }))
    }
}
