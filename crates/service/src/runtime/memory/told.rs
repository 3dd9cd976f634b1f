//! What was said in a session, read back from its journal.
//!
//! Only turns that came with a `memoryId` count: without one a turn is not stored (behaviour.md 8.2).
//! A turn that a crash or a return of control left open counts as far as it came.

use std::collections::VecDeque;
use std::sync::Arc;

use outcrop_engine::history::Utterance;
use outcrop_engine::orchestration::{AgentIdentity, Conversation, Event, EventKind, Run};
use outcrop_model::exception::Exception;

use crate::error;
use crate::records::Scope;
use crate::runtime::Shared;

/// Journal entries read at once.
const JOURNAL_PAGE: u32 = 1_000;
/// Most bytes of a conversation that are summarised; of a longer one the latest turns. About what the
/// context of a common model holds.
const TOLD_BYTES_MAX: u64 = 384 * 1024;

/// A session's conversation.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Entries of the journal that were read.
    pub(super) seq: u64,
    /// What was said, oldest first.
    pub(super) messages: Vec<Arc<Utterance>>,
    /// Under which names the agent ran last.
    pub(super) agent: Option<AgentIdentity>,
}

/// Turns as they are read, the latest ones kept.
#[derive(Default)]
struct Turns {
    kept: VecDeque<Vec<Arc<Utterance>>>,
    bytes: u64,
    agent: Option<AgentIdentity>,
}

impl Turns {
    fn take(&mut self, run: Option<Run>) {
        let Some(run) = run else { return };
        let Some(started) = run.started() else { return };
        if started.memory_id.is_none() {
            return;
        }
        self.agent = Some(started.agent.clone());
        let said = run.transcript();
        self.bytes += bytes(&said);
        self.kept.push_back(said);
        while self.bytes > TOLD_BYTES_MAX && self.kept.len() > 1 {
            let first = self.kept.pop_front().unwrap_or_default();
            self.bytes -= bytes(&first);
        }
    }
}

fn bytes(messages: &[Arc<Utterance>]) -> u64 {
    messages.iter().map(|said| said.approximate_bytes()).sum()
}

impl Shared {
    /// The conversation of one life of a session, as far as it is to be remembered.
    pub(super) async fn told(&self, scope: &Scope, journal: &str) -> Result<Told, Exception> {
        let mut turns = Turns::default();
        let mut run: Option<Run> = None;
        let mut seq = 0;
        loop {
            let page = self
                .ports
                .store
                .read_journal(journal, seq, JOURNAL_PAGE)
                .await
                .map_err(error::store)?;
            for entry in &page {
                let event = Event::decode(&entry.bytes)
                    .map_err(|cause| Exception::internal(format!("session journal: {cause}")))?;
                if let EventKind::Started(started) = &event.kind {
                    turns.take(run.take());
                    // What a turn said does not depend on what the model was shown of earlier ones.
                    let plan = self.plan(scope, &started.plan).await?;
                    run = Some(Run::new(plan, Conversation::default()));
                }
                if let Some(run) = &mut run {
                    run.restore(&event);
                }
                seq = entry.seq;
            }
            if page.len() < JOURNAL_PAGE as usize {
                break;
            }
        }
        turns.take(run);
        Ok(Told {
            seq,
            messages: turns.kept.into_iter().flatten().collect(),
            agent: turns.agent,
        })
    }
}
