//! What a session carries from one turn to the next.

use std::sync::Arc;

use crate::files::SessionFile;
use crate::history::Utterance;
use crate::orchestrator::OrchestratedTurn;

/// The state of a session between two turns. Made by turns alone, so that replaying a session's
/// journal gives it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// What was said, oldest first. Shared with every prompt made of it.
    pub history: Vec<Arc<Utterance>>,
    /// What code of the session may read.
    pub files: Vec<Arc<SessionFile>>,
    /// The collaborator that the router chose last (`LAST_AGENT`).
    pub last_collaborator: Option<String>,
    /// The turns that a function planned for, as it is shown them (behaviour.md 5.2).
    pub orchestrated: Vec<Arc<OrchestratedTurn>>,
}

impl From<Vec<Arc<Utterance>>> for Conversation {
    fn from(history: Vec<Arc<Utterance>>) -> Self {
        Self {
            history,
            ..Self::default()
        }
    }
}
