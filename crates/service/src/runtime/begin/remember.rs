//! What a turn brings along from earlier sessions, and whether this one will be remembered
//! (behaviour.md 8.2).
//!
//! A `memoryId` to an agent without a memory is taken and has no effect, so that a client need not
//! know how an agent is configured.

use outcrop_engine::plan::AgentPlan;
use outcrop_model::exception::Exception;

use super::Beginning;
use crate::records::SessionMemory;
use crate::runtime::memory::{Owner, Terms};
use crate::runtime::session::OpenSession;

/// What a turn knows of earlier sessions.
#[derive(Default)]
pub(super) struct Recalled {
    /// `memoryId`, where it has an effect.
    pub(super) id: Option<String>,
    /// Summaries, oldest first.
    pub(super) summaries: Vec<String>,
}

impl Beginning<'_> {
    /// Refuses another `memoryId` than the session's.
    pub(super) fn check_memory(&self, session: &OpenSession) -> Result<(), Exception> {
        let own = session.doc.memory.as_ref();
        match (own, &self.invocation.memory_id) {
            (Some(own), Some(given)) if own.id != *given => {
                Err(another(&self.invocation.session_id))
            }
            _ => Ok(()),
        }
    }

    /// Takes the request's `memoryId` into the session and recalls what belongs to it. A session is
    /// given its summaries once, with its first turn that asks for them, so that the beginning of its
    /// prompts stays the same.
    pub(super) async fn remember(
        &self,
        session: &mut OpenSession,
        plan: &AgentPlan,
    ) -> Result<Recalled, Exception> {
        let Some(memory_id) = &self.invocation.memory_id else {
            return Ok(Recalled::default());
        };
        let Some(terms) = Terms::of(&plan.definition) else {
            return Ok(Recalled::default());
        };
        if terms.summarises {
            let own = session.doc.memory.as_ref();
            let started_at =
                own.map_or_else(|| self.shared.ports.clock.now(), |own| own.started_at);
            session.doc.memory = Some(SessionMemory {
                id: memory_id.clone(),
                plan: self.target.plan.clone(),
                started_at,
            });
        }
        let summaries = if let Some(recalled) = &session.recalled {
            recalled.clone()
        } else {
            let owner = Owner {
                scope: self.scope,
                parent: &session.key.parent,
                memory_id,
            };
            let except = Some(session.doc.journal.as_str());
            self.shared.recall(&owner, terms.recent, except).await?
        };
        Ok(Recalled {
            id: Some(memory_id.clone()),
            summaries,
        })
    }
}

/// A session belongs to one memory: what two users said must not meet in the summary of one.
fn another(session_id: &str) -> Exception {
    let message = format!(
        "Session {session_id} belongs to another memoryId. Give the memoryId that the session began with, or begin another session."
    );
    Exception::validation(message.clone()).with_field("memoryId", message)
}
