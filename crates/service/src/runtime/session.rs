//! Sessions between turns: kept in memory while hot, rebuilt from the journal when not.
//!
//! The store's document is the truth: a hot session counts only while its revision is the stored
//! one, so that several processes may serve one session in turn.

use std::sync::Arc;

use outcrop_engine::orchestration::{AgentIdentity, Conversation, Event, EventKind, Phase, Run};
use outcrop_model::exception::Exception;
use outcrop_store::{Expect, Key, Record, Write};
use quick_cache::sync::Cache;
use quick_cache::{Weighter, sync::DefaultLifecycle};

use super::Shared;
use crate::control::INLINE_AGENT;
use crate::error;
use crate::records::{self, LeaseDoc, Scope, SessionDoc, Stored, kind};

/// Journal entries read at once.
const JOURNAL_PAGE: u32 = 1_000;
/// A guess at how many sessions fit the cache, for its initial size.
const SESSIONS_GUESS: usize = 1_024;
/// What one utterance weighs besides its text.
const UTTERANCE_OVERHEAD_BYTES: u64 = 256;

/// A session that is not in a turn.
#[derive(Clone, Debug)]
pub(super) struct OpenSession {
    pub(super) key: Key,
    /// Revision of the stored document; `None` for a session that is not stored yet.
    pub(super) revision: Option<u64>,
    pub(super) doc: SessionDoc,
    /// Last sequence number of the journal.
    pub(super) seq: u64,
    /// What it carries from turn to turn.
    pub(super) conversation: Conversation,
    /// The turn that waits for a return of control, or that a crash cut off.
    pub(super) unfinished: Option<Run>,
    /// The summaries of earlier sessions that this one was given, once it has been: the prompt stays
    /// the same for as long as it lasts.
    pub(super) recalled: Option<Vec<String>>,
    bytes: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<OpenSession>> for ByBytes {
    fn weight(&self, _: &Key, session: &Arc<OpenSession>) -> u64 {
        let files = session.conversation.files.iter();
        let file_bytes: u64 = files.map(|file| file.content.as_bytes().len() as u64).sum();
        let recalled = session.recalled.iter().flatten();
        let recalled_bytes: u64 = recalled.map(|summary| summary.len() as u64).sum();
        let planned = session.conversation.orchestrated.iter();
        let planned_bytes: u64 = planned.map(|turn| turn.bytes() as u64).sum();
        session.bytes + file_bytes + recalled_bytes + planned_bytes + UTTERANCE_OVERHEAD_BYTES
    }
}

/// Hot sessions, bounded by their bytes.
pub(super) struct SessionCache(
    Cache<
        Key,
        Arc<OpenSession>,
        ByBytes,
        quick_cache::DefaultHashBuilder,
        DefaultLifecycle<Key, Arc<OpenSession>>,
    >,
);

impl SessionCache {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Cache::with_weighter(SESSIONS_GUESS, bytes, ByBytes))
    }

    fn take(&self, key: &Key) -> Option<OpenSession> {
        let (_, session) = self.0.remove(key)?;
        Some(Arc::unwrap_or_clone(session))
    }

    fn holds(&self, key: &Key) -> bool {
        self.0.peek(key).is_some()
    }

    /// Keeps a session for its next turn.
    pub(super) fn keep(&self, session: OpenSession) {
        self.0.insert(session.key.clone(), Arc::new(session));
    }

    /// Keeps a session that the store knows.
    pub(super) fn keep_if_stored(&self, session: OpenSession) {
        if session.revision.is_some() {
            self.keep(session);
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.remove(key);
    }
}

impl OpenSession {
    fn fresh(key: Key, journal: String) -> Self {
        Self {
            key,
            revision: None,
            doc: SessionDoc {
                journal,
                turns: 0,
                attributes: std::collections::BTreeMap::new(),
                lease: None,
                memory: None,
            },
            seq: 0,
            conversation: Conversation::default(),
            unfinished: None,
            recalled: None,
            bytes: 0,
        }
    }

    /// Takes a finished turn's messages and files into the session. They are weighed as they come.
    pub(super) fn settle(&mut self, run: Run) {
        if let Some(started) = run.started().filter(|started| started.memory_id.is_some()) {
            self.recalled = Some(started.memory.clone());
        }
        let added = run.transcript().len();
        self.conversation = run.conversation();
        let history = &self.conversation.history;
        let start = history.len().saturating_sub(added);
        for utterance in history.iter().skip(start) {
            self.bytes += UTTERANCE_OVERHEAD_BYTES + utterance.approximate_bytes();
        }
    }

    /// Where the sessions of collaborators lie below this one: the id that their traces show, which is
    /// the same for all of them, and the names that lead here.
    pub(super) fn below(&self) -> (String, String) {
        if let Some((root, path)) = self.key.id.split_once('#') {
            return (root.to_owned(), path.to_owned());
        }
        // The journal's id ends in a UUID that is fresh with each life of the session.
        let uuid = self.doc.journal.split_once('-').map(|(_, uuid)| uuid);
        (uuid.unwrap_or(&self.doc.journal).to_owned(), String::new())
    }

    /// The document's write, under the revision that was read.
    pub(super) fn put(&self, expires_at_ms: i64) -> Write {
        Write::Put {
            key: self.key.clone(),
            body: records::json(&self.doc).into(),
            expect: self.revision.map_or(Expect::Absent, Expect::Revision),
            name: None,
            expires_at_ms: Some(expires_at_ms),
        }
    }
}

impl Shared {
    /// Whether another process holds the session.
    pub(super) fn leased_elsewhere(&self, doc: &SessionDoc, now_ms: i64) -> bool {
        match &doc.lease {
            Some(LeaseDoc { owner, until_ms }) => {
                !self.settings.exclusive_store && *owner != self.owner && *until_ms > now_ms
            }
            None => false,
        }
    }

    /// A lease of this process.
    pub(super) fn lease(&self, now_ms: i64) -> LeaseDoc {
        LeaseDoc {
            owner: self.owner.clone(),
            until_ms: now_ms + self.lease_ms(),
        }
    }

    /// How long a lease lasts unless renewed.
    pub(super) fn lease_ms(&self) -> i64 {
        i64::try_from(self.settings.session_lease.as_millis()).unwrap_or(i64::MAX >> 1)
    }

    /// Whether what is in memory is the session as the store has it.
    fn is_current(&self, hot: &OpenSession, record: &Record) -> Result<bool, Exception> {
        if hot.revision != Some(record.revision) {
            return Ok(false);
        }
        // Another process may have ended the session and begun another of its name, whose revisions
        // count from one again; it has another journal.
        Ok(self.settings.exclusive_store
            || records::read::<SessionDoc>(record.clone())?.body.journal == hot.doc.journal)
    }

    /// The session on the guess that one which is not in memory does not exist. The guess costs
    /// nothing where it is right, as for most sessions it is; where it is wrong, the commit of the
    /// beginning finds the document there, and [`Shared::open`] reads it.
    pub(super) async fn guess(&self, scope: &Scope, key: &Key) -> Result<OpenSession, Exception> {
        if self.sessions.holds(key) {
            return self.open(scope, key).await;
        }
        Ok(OpenSession::fresh(key.clone(), self.new_journal()))
    }

    /// Id of a new journal. It begins with the time, so that the journals in use at one time are
    /// neighbours in the store's index and its pages stay hot.
    fn new_journal(&self) -> String {
        let now_ms = self.ports.clock.now().as_millis();
        format!("{now_ms:012x}-{}", self.ports.ids.uuid())
    }

    /// The session as the store has it, from memory where that is current.
    pub(super) async fn open(&self, scope: &Scope, key: &Key) -> Result<OpenSession, Exception> {
        let now_ms = self.ports.clock.now().as_millis();
        let hot = self.sessions.take(key);
        let record = self
            .ports
            .store
            .get(key, now_ms)
            .await
            .map_err(error::store)?;
        match (hot, record) {
            (Some(hot), Some(record)) if self.is_current(&hot, &record)? => Ok(hot),
            (_, Some(record)) => self.rebuild(scope, record).await,
            (_, None) => Ok(OpenSession::fresh(key.clone(), self.new_journal())),
        }
    }

    async fn rebuild(&self, scope: &Scope, record: Record) -> Result<OpenSession, Exception> {
        let Stored {
            key,
            revision,
            body: doc,
        } = records::read::<SessionDoc>(record)?;
        let mut session = OpenSession::fresh(key, doc.journal.clone());
        session.revision = Some(revision);
        session.doc = doc;
        let mut run: Option<Run> = None;
        loop {
            let entries = self
                .ports
                .store
                .read_journal(&session.doc.journal, session.seq, JOURNAL_PAGE)
                .await
                .map_err(error::store)?;
            for entry in &entries {
                let event = Event::decode(&entry.bytes)
                    .map_err(|cause| Exception::internal(format!("session journal: {cause}")))?;
                if let EventKind::Started(started) = &event.kind {
                    settle(&mut session, run.take());
                    let plan = self.plan(scope, &started.plan).await?;
                    let before = std::mem::take(&mut session.conversation);
                    run = Some(Run::new(plan, before));
                }
                if let Some(run) = &mut run {
                    run.restore(&event);
                }
                session.seq = entry.seq;
            }
            if entries.len() < JOURNAL_PAGE as usize {
                break;
            }
        }
        settle(&mut session, run);
        Ok(session)
    }
}

/// Takes a replayed turn into the session.
fn settle(session: &mut OpenSession, run: Option<Run>) {
    let Some(run) = run else { return };
    match run.phase() {
        Phase::Finished => session.settle(run),
        _ => session.unfinished = Some(run),
    }
}

/// The key of a session. Those of inline agents are the account's, kept apart by the agents' names
/// (behaviour.md 12.1).
pub(super) fn key(scope: &Scope, agent: &AgentIdentity, session_id: &str) -> Key {
    let alias = if agent.agent_id == INLINE_AGENT {
        &agent.agent_name
    } else {
        &agent.alias_id
    };
    let parent = format!("{}/{alias}", agent.agent_id);
    scope.key(kind::SESSION, &parent, session_id)
}
