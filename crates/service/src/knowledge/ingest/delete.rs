//! What is left of a data source or a knowledge base that is to go: chunks, documents, jobs, and at
//! last the thing itself (behaviour.md 9.1).
//!
//! `dataDeletionPolicy` decides about the chunks: RETAIN keeps them, but for those of a knowledge base
//! that nobody could reach any more once it is gone. What the Store holds is seen to in [`forget`].
//! Invariants: the index is emptied before the Store forgets what was in it; a job at work on the data
//! source has ended before that; the document of the thing itself goes last, so that nothing outlives
//! it.

mod forget;

use std::sync::Arc;
use std::time::Duration;

use outcrop_model::control::{
    DataDeletionPolicy, DataSource, DataSourceStatus, IngestionJobStatus, KnowledgeBase,
    KnowledgeBaseStatus,
};
use outcrop_store::{Expect, Job, Key, StoreError, Write};
use tracing::{info, warn};

use super::queue::Task;
use super::stored::{JobDoc, SourceRef};
use super::{Shared, Trouble};
use crate::background::finish;
use crate::knowledge::Base;
use crate::records::{Scope, Stored, kind};

/// How long a job at work is waited for, before it is looked for again.
const JOB_WAIT: Duration = Duration::from_millis(500);
/// Attempts at what could not be deleted; with the waits between them a vector store may be out for
/// an hour.
const ATTEMPTS_MAX: u32 = 10;
/// The wait before the second attempt; each later one is twice as long.
const BACKOFF: Duration = Duration::from_secs(5);
/// How often the state is written again after others were quicker.
const WRITES_MAX: u32 = 8;

/// A knowledge base that is to go.
#[derive(Clone, Debug)]
pub(crate) struct BaseRef {
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) knowledge_base_id: String,
}

impl BaseRef {
    fn scope(&self) -> Scope {
        Scope::new(&self.account_id, &self.region)
    }

    fn source(&self, data_source_id: &str) -> SourceRef {
        SourceRef {
            account_id: self.account_id.clone(),
            region: self.region.clone(),
            knowledge_base_id: self.knowledge_base_id.clone(),
            data_source_id: data_source_id.to_owned(),
        }
    }

    fn key(&self) -> Key {
        self.scope()
            .key(kind::KNOWLEDGE_BASE, "", &self.knowledge_base_id)
    }
}

/// What became of one attempt.
enum Progress {
    Done,
    /// A job is at work still, and has been told to stop.
    Waits,
}

/// Deletes a data source.
pub(super) async fn source(shared: &Arc<Shared>, claim: &Job, source: SourceRef, failures: u32) {
    let task = |failures| Task::DeleteSource {
        source: source.clone(),
        failures,
    };
    match delete_source(shared, claim, &source).await {
        Ok(Progress::Done) => info!(
            data_source_id = source.data_source_id,
            "a data source is deleted"
        ),
        Ok(Progress::Waits) => shared.wait(claim, &task(failures)).await,
        Err(Trouble::Failed(cause)) if failures + 1 >= ATTEMPTS_MAX => {
            let given_up = shared.give_up_source(claim, &source, &cause).await;
            report(given_up);
        }
        Err(Trouble::Failed(cause)) => {
            shared
                .again(claim, &task(failures + 1), failures, &cause)
                .await;
        }
        Err(trouble) => report(Err(trouble)),
    }
}

/// Deletes a knowledge base.
pub(super) async fn base(shared: &Arc<Shared>, claim: &Job, base: BaseRef, failures: u32) {
    let task = |failures| Task::DeleteBase {
        account_id: base.account_id.clone(),
        region: base.region.clone(),
        knowledge_base_id: base.knowledge_base_id.clone(),
        failures,
    };
    match delete_base(shared, claim, &base).await {
        Ok(Progress::Done) => info!(
            knowledge_base_id = base.knowledge_base_id,
            "a knowledge base is deleted"
        ),
        Ok(Progress::Waits) => shared.wait(claim, &task(failures)).await,
        Err(Trouble::Failed(cause)) if failures + 1 >= ATTEMPTS_MAX => {
            let given_up = shared.give_up_base(claim, &base, &cause).await;
            report(given_up);
        }
        Err(Trouble::Failed(cause)) => {
            shared
                .again(claim, &task(failures + 1), failures, &cause)
                .await;
        }
        Err(trouble) => report(Err(trouble)),
    }
}

fn report(outcome: Result<(), Trouble>) {
    if let Err(trouble) = outcome {
        warn!(?trouble, "a deletion waits");
    }
}

async fn delete_source(
    shared: &Arc<Shared>,
    claim: &Job,
    source: &SourceRef,
) -> Result<Progress, Trouble> {
    let found = shared.load::<DataSource>(source.source_key()).await?;
    let Some(found) = found.filter(|found| found.body.status == DataSourceStatus::Deleting) else {
        shared.background.settle(claim, vec![finish(claim)]).await;
        return Ok(Progress::Done);
    };
    if shared.stop_job(source).await? {
        return Ok(Progress::Waits);
    }
    let base = shared.load::<KnowledgeBase>(source.base_key()).await?;
    let base = base.map(|base| Base::of(&source.account_id, &source.region, &base.body));
    if retains(&found) {
        shared.forget_but_for_chunks(source).await?;
    } else if let Some(Ok(base)) = &base {
        // Twice: before the documents are forgotten, and after, for one that was on its way into the
        // index and has found out since.
        shared.clear_source(base, source).await?;
        shared.forget(source).await?;
        shared.clear_source(base, source).await?;
    } else {
        shared.forget(source).await?;
    }
    let delete = Write::Delete {
        key: found.key,
        expect: Expect::Any,
    };
    shared.commit(vec![delete, finish(claim)]).await?;
    Ok(Progress::Done)
}

async fn delete_base(
    shared: &Arc<Shared>,
    claim: &Job,
    base: &BaseRef,
) -> Result<Progress, Trouble> {
    let found = shared.load::<KnowledgeBase>(base.key()).await?;
    let Some(found) = found.filter(|found| found.body.status == KnowledgeBaseStatus::Deleting)
    else {
        shared.background.settle(claim, vec![finish(claim)]).await;
        return Ok(Progress::Done);
    };
    let sources = shared.sources(base).await?;
    let mut is_waiting = false;
    for source in &sources {
        let source = base.source(&source.body.data_source_id);
        is_waiting |= shared.stop_job(&source).await?;
    }
    if is_waiting {
        return Ok(Progress::Waits);
    }
    let place = Base::of(&base.account_id, &base.region, &found.body).ok();
    if let Some(place) = &place {
        shared.clear_base(place, base, &sources).await?;
    }
    for found in &sources {
        let source = base.source(&found.body.data_source_id);
        if retains(found) {
            shared.forget_but_for_chunks(&source).await?;
        } else {
            shared.forget(&source).await?;
        }
    }
    if let Some(place) = &place {
        shared.clear_base(place, base, &sources).await?;
    }
    shared.forget_base(claim, base, &found).await?;
    Ok(Progress::Done)
}

impl Shared {
    async fn wait(&self, claim: &Job, task: &Task) {
        let due_at = self.now().saturating_add(JOB_WAIT).as_millis();
        self.background
            .settle(claim, vec![task.enqueue(due_at)])
            .await;
    }

    async fn again(&self, claim: &Job, task: &Task, failures: u32, cause: &str) {
        warn!(cause, failures, "a deletion is tried again");
        let wait = BACKOFF.saturating_mul(2_u32.saturating_pow(failures));
        let due_at = self.now().saturating_add(wait).as_millis();
        self.background
            .settle(claim, vec![task.enqueue(due_at)])
            .await;
    }

    /// Has the job at work on a data source stop; true while there is one.
    async fn stop_job(&self, source: &SourceRef) -> Result<bool, Trouble> {
        let Some(active) = self.load::<String>(source.active_key()).await? else {
            return Ok(false);
        };
        let Some(mut job) = self.load::<JobDoc>(source.job_key(&active.body)).await? else {
            return Ok(false);
        };
        let status = &mut job.body.job.status;
        if matches!(
            status,
            IngestionJobStatus::Starting | IngestionJobStatus::InProgress
        ) {
            *status = IngestionJobStatus::Stopping;
            job.body.job.updated_at = self.now();
            match self.commit(vec![job.put(None)]).await {
                // The job has written; it is asked again.
                Ok(_) | Err(StoreError::Stale { .. }) => {}
                Err(cause) => return Err(cause.into()),
            }
            self.background.wake();
        }
        Ok(true)
    }

    async fn clear_source(&self, base: &Base, source: &SourceRef) -> Result<(), Trouble> {
        let index = &self.ports.knowledge.index;
        let cleared = self
            .patiently(|| index.remove_source(&base.place, &source.data_source_id))
            .await;
        cleared.map_err(|cause| Trouble::Failed(cause.to_string()))
    }

    async fn clear_base(
        &self,
        place: &Base,
        base: &BaseRef,
        sources: &[Stored<DataSource>],
    ) -> Result<(), Trouble> {
        if !self.keeps_some(place, base, sources).await? {
            let index = &self.ports.knowledge.index;
            let cleared = self.patiently(|| index.remove_all(&place.place)).await;
            return cleared.map_err(|cause| Trouble::Failed(cause.to_string()));
        }
        for source in sources.iter().filter(|source| !retains(source)) {
            let source = base.source(&source.body.data_source_id);
            self.clear_source(place, &source).await?;
        }
        Ok(())
    }

    /// Whether the index is to keep chunks of a knowledge base that goes: of a data source that it
    /// has, or of one that went before it.
    async fn keeps_some(
        &self,
        place: &Base,
        base: &BaseRef,
        sources: &[Stored<DataSource>],
    ) -> Result<bool, Trouble> {
        let index = &self.ports.knowledge.index;
        if !index.is_reached_by_others(&place.place) {
            return Ok(false);
        }
        Ok(sources.iter().any(retains) || self.has_retained(base).await?)
    }

    async fn give_up_source(
        &self,
        claim: &Job,
        source: &SourceRef,
        cause: &str,
    ) -> Result<(), Trouble> {
        for _ in 0..WRITES_MAX {
            let found = self.load::<DataSource>(source.source_key()).await?;
            let Some(mut found) = found else { break };
            found.body.status = DataSourceStatus::DeleteUnsuccessful;
            found.body.failure_reasons = Some(vec![reason(cause)]);
            found.body.updated_at = self.now();
            let name = found.body.name.clone();
            match self
                .commit(vec![found.put(Some(&name)), finish(claim)])
                .await
            {
                Err(StoreError::Stale { .. }) => {}
                done => return done.map(drop).map_err(Into::into),
            }
        }
        Ok(())
    }

    async fn give_up_base(&self, claim: &Job, base: &BaseRef, cause: &str) -> Result<(), Trouble> {
        for _ in 0..WRITES_MAX {
            let found = self.load::<KnowledgeBase>(base.key()).await?;
            let Some(mut found) = found else { break };
            found.body.status = KnowledgeBaseStatus::DeleteUnsuccessful;
            found.body.failure_reasons = Some(vec![reason(cause)]);
            found.body.updated_at = self.now();
            let name = found.body.name.clone();
            match self
                .commit(vec![found.put(Some(&name)), finish(claim)])
                .await
            {
                Err(StoreError::Stale { .. }) => {}
                done => return done.map(drop).map_err(Into::into),
            }
        }
        Ok(())
    }
}

/// Whether a data source leaves its chunks behind.
fn retains(source: &Stored<DataSource>) -> bool {
    source.body.data_deletion_policy == Some(DataDeletionPolicy::Retain)
}

fn reason(cause: &str) -> String {
    let text = format!(
        "Unable to delete data from vector store: {cause}. Check your vector store and try again, or set the data deletion policy of the data source to RETAIN."
    );
    text.chars().take(2_048).collect()
}
