//! The jobs by which sessions are summarised, and when they are written.
//!
//! A session with a memory has one job from its first turn on, due when the session's document
//! expires and moved on with each write of it, in the same batch. Ending the session makes it due at
//! once. With running summaries there is a second job, due after each turn.
//!
//! Invariant: a job holds all that is needed to do it, for the session's document is gone by then.
//! Payloads are a contract with the past: members may be added with a default, never renamed.

use std::sync::Arc;

use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Key, NewJob, Write};
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::records::{self, Scope, SessionDoc};
use crate::runtime::session::OpenSession;

/// The queue of these jobs.
pub(super) const QUEUE: &str = "summarise";

/// What a job is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::runtime) enum Purpose {
    /// The summary of a session that has ended.
    Ended,
    /// A summary of a session so far (`memory.live`).
    Running,
}

/// The payload of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    pub(super) purpose: Purpose,
    /// Account and region.
    pub(super) scope: Arc<str>,
    /// `agentId/aliasId`.
    pub(super) parent: Arc<str>,
    pub(super) session_id: Arc<str>,
    pub(super) memory_id: String,
    pub(super) journal: String,
    /// Content hash of the definition whose prompt summarises.
    pub(super) plan: String,
    pub(super) started_at: Timestamp,
    /// Attempts that failed.
    #[serde(default)]
    pub(super) failures: u32,
}

impl Task {
    /// The task that a session asks for, if it has a memory.
    fn of(key: &Key, doc: &SessionDoc, purpose: Purpose) -> Option<Self> {
        let memory = doc.memory.as_ref()?;
        Some(Self {
            purpose,
            scope: Arc::clone(&key.scope),
            parent: Arc::clone(&key.parent),
            session_id: Arc::clone(&key.id),
            memory_id: memory.id.clone(),
            journal: doc.journal.clone(),
            plan: memory.plan.clone(),
            started_at: memory.started_at,
            failures: 0,
        })
    }

    /// The job's id: one for each life of a session and purpose.
    pub(super) fn id(&self) -> String {
        match self.purpose {
            Purpose::Ended => format!("summarise/{}", self.journal),
            Purpose::Running => format!("recap/{}", self.journal),
        }
    }

    /// The write that has it done from `due_at_ms` on.
    pub(super) fn enqueue(&self, due_at_ms: i64) -> Write {
        Write::Enqueue(NewJob {
            id: self.id().into(),
            queue: QUEUE,
            payload: records::json(self).into(),
            due_at_ms,
        })
    }

    pub(super) fn scope(&self) -> Scope {
        Scope(Arc::clone(&self.scope))
    }

    pub(super) fn owner<'a>(&'a self, scope: &'a Scope) -> Owner<'a> {
        Owner {
            scope,
            parent: &self.parent,
            memory_id: &self.memory_id,
        }
    }
}

/// The write that has a session summarised from `due_at_ms` on; nothing for one without a memory.
pub(in crate::runtime) fn summary(
    key: &Key,
    doc: &SessionDoc,
    purpose: Purpose,
    due_at_ms: i64,
) -> Option<Write> {
    Task::of(key, doc, purpose).map(|task| task.enqueue(due_at_ms))
}

impl OpenSession {
    /// The document's write with what goes with it: its summary is due when it expires. The document
    /// comes first.
    pub(in crate::runtime) fn writes(&self, expires_at_ms: i64) -> Vec<Write> {
        let put = self.put(expires_at_ms);
        let job = summary(&self.key, &self.doc, Purpose::Ended, expires_at_ms);
        std::iter::once(put).chain(job).collect()
    }
}
