//! What an agent remembers of sessions that have ended (behaviour.md 8).
//!
//! A summary is a document of its own with an expiry; a job of the store's queue makes it (ADR 0016).
//! [`job`] says what is to be done and is written together with the session it is about; [`summarise`]
//! does one that [`crate::background`] has taken up; [`told`] reads what was said, [`ask`] has the model put it
//! in short; [`api`] serves `GetAgentMemory` and `DeleteAgentMemory`. When a session ends is decided
//! elsewhere, by its document.
//!
//! Invariant: a life of a session, named by its journal, has at most one summary, for the journal is
//! part of the summary's key.

mod api;
mod ask;
pub(super) mod job;
mod summarise;
mod told;

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::definition::AgentDefinition;
use outcrop_model::control::{MemoryType, PromptType};
use outcrop_model::exception::Exception;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Cursor, Expect, Key, Order, PAGE_MAX, Page, Scan, StoreError, Write};
use serde::{Deserialize, Serialize};

use super::Shared;
use crate::background::Queue;
use crate::error;
use crate::records::{self, Scope, Stored, kind};

/// Summaries in the making at once. They share providers and their limits with turns, which somebody
/// waits for.
pub(super) const QUEUES: [Queue; 1] = [Queue {
    name: job::QUEUE,
    at_once: 4,
}];
/// `maxRecentSessions` where none is given, as AWS's own tools have it (behaviour.md 8.1).
const RECENT_SESSIONS_DEFAULT: u32 = 20;
/// `storageDays` where none is given.
const STORAGE_DAYS_DEFAULT: u64 = 30;
/// Seconds of a day.
const DAY_S: u64 = 24 * 60 * 60;
/// Most bytes of summaries that a turn is given: they go into every prompt of the session and into
/// its journal with every turn. Two hundred summaries of the usual size.
const RECALLED_BYTES_MAX: usize = 256 * 1024;
/// Deletions in one batch: everyone else's commits wait for it.
const DELETIONS_AT_ONCE: u32 = 200;
/// The latest time that a summary's key can count down from, milliseconds: the year 10889.
const TIME_MAX_MS: i64 = (1 << 48) - 1;

/// The summary of one life of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SummaryDoc {
    /// `memoryId`.
    pub(super) memory_id: String,
    /// `sessionId`.
    pub(super) session_id: String,
    /// The journal it was made from.
    pub(super) journal: String,
    /// How many of its entries were read.
    pub(super) seq: u64,
    /// When the session began.
    pub(super) started_at: Timestamp,
    /// When the summary is forgotten.
    pub(super) expires_at: Timestamp,
    /// The summary.
    pub(super) text: String,
    /// Whether the session had ended; a running summary is replaced, this one never.
    pub(super) ended: bool,
}

/// A session that could not be summarised, for whoever asks where its summary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureDoc {
    session_id: String,
    journal: String,
    cause: String,
}

/// How an agent remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// `maxRecentSessions`: how many summaries a new session is given.
    pub(super) recent: u32,
    /// `storageDays`: how long a summary is kept, from the session's beginning on.
    pub(super) storage: Duration,
    /// Whether sessions are summarised at all; not where the `MEMORY_SUMMARIZATION` prompt is off.
    pub(super) summarises: bool,
}

impl Terms {
    /// The terms of an agent that has a memory.
    pub(super) fn of(definition: &AgentDefinition) -> Option<Self> {
        let memory = definition.memory.as_ref()?;
        if !memory
            .enabled_memory_types
            .contains(&MemoryType::SessionSummary)
        {
            return None;
        }
        let recent = memory
            .session_summary_configuration
            .as_ref()
            .and_then(|summaries| summaries.max_recent_sessions)
            .and_then(|recent| u32::try_from(recent).ok());
        let days = memory
            .storage_days
            .and_then(|days| u64::try_from(days).ok());
        let mut steps = definition.steps.iter();
        Some(Self {
            recent: recent.unwrap_or(RECENT_SESSIONS_DEFAULT).min(PAGE_MAX),
            storage: Duration::from_secs(days.unwrap_or(STORAGE_DAYS_DEFAULT) * DAY_S),
            summarises: steps.any(|step| step.prompt_type == PromptType::MemorySummarization),
        })
    }
}

/// Whose memory: an alias of an agent, and the id by which its client knows the user. Aliases share
/// nothing (behaviour.md 8.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    pub(super) scope: &'a Scope,
    /// `agentId/aliasId`, as in the keys of sessions.
    pub(super) parent: &'a str,
    pub(super) memory_id: &'a str,
}

impl Owner<'_> {
    /// Where the ids of this memory's summaries begin: no `memoryId` holds a slash.
    fn prefix(&self) -> String {
        format!("{}/", self.memory_id)
    }

    /// The key of a summary. Its time counts down, so that in order of ids the newest come first.
    fn key(&self, kind: &'static str, started_at: Timestamp, journal: &str) -> Key {
        let left_ms = TIME_MAX_MS - started_at.as_millis().clamp(0, TIME_MAX_MS);
        let id = format!("{}{left_ms:012x}-{journal}", self.prefix());
        self.scope.key(kind, self.parent, &id)
    }

    fn scan(&self, now_ms: i64) -> Scan {
        Scan {
            scope: Arc::clone(&self.scope.0),
            kind: kind::SESSION_SUMMARY,
            parent: self.parent.into(),
            order: Order::Id,
            now_ms,
        }
    }

    /// The place before the first of this memory's summaries.
    fn start(&self) -> Cursor {
        Cursor {
            sort: 0,
            id: self.prefix().into(),
        }
    }
}

/// Some summaries, and where more of them follow.
pub(super) type Summaries = (Vec<Stored<SummaryDoc>>, Option<Cursor>);

impl Shared {
    /// Up to `limit` summaries of one memory, the latest session first.
    async fn summaries(
        &self,
        owner: &Owner<'_>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Summaries, Exception> {
        let page = Page {
            limit,
            after: Some(after.unwrap_or_else(|| owner.start())),
        };
        let scan = owner.scan(self.ports.clock.now().as_millis());
        let listing = self.ports.store.list(scan, page).await;
        let listing = listing.map_err(error::store)?;
        let prefix = owner.prefix();
        let mut next = listing.next;
        let mut found = Vec::with_capacity(listing.records.len());
        for record in listing.records {
            // Behind the last of this memory come those of others.
            if !record.key.id.starts_with(&prefix) {
                next = None;
                break;
            }
            found.push(records::read(record)?);
        }
        Ok((found, next))
    }

    /// The newest summaries, oldest first, as a prompt tells them; `except` is a journal whose own
    /// summary does not count.
    pub(super) async fn recall(
        &self,
        owner: &Owner<'_>,
        recent: u32,
        except: Option<&str>,
    ) -> Result<Vec<String>, Exception> {
        if recent == 0 {
            return Ok(Vec::new());
        }
        let limit = recent.saturating_add(u32::from(except.is_some()));
        let (found, _) = self
            .summaries(owner, None, limit.clamp(1, PAGE_MAX))
            .await?;
        let mut texts = Vec::new();
        let mut bytes = 0;
        for summary in found {
            if except == Some(&*summary.body.journal) || texts.len() >= recent as usize {
                continue;
            }
            bytes += summary.body.text.len();
            if bytes > RECALLED_BYTES_MAX {
                break;
            }
            texts.push(summary.body.text);
        }
        texts.reverse();
        Ok(texts)
    }

    /// Forgets the summaries of one memory, all or those of one session.
    async fn forget(&self, owner: &Owner<'_>, session_id: Option<&str>) -> Result<(), Exception> {
        let mut after = None;
        loop {
            let (found, next) = self.summaries(owner, after, DELETIONS_AT_ONCE).await?;
            let writes: Vec<Write> = found
                .into_iter()
                .filter(|summary| session_id.is_none_or(|id| id == summary.body.session_id))
                .map(|summary| delete(summary.key))
                .collect();
            if !writes.is_empty() {
                self.commit(writes).await.map_err(error::store)?;
            }
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    /// Forgets all that an alias (`agentId/aliasId`) remembers, a bounded batch at a time.
    pub(super) async fn forget_all(&self, scope: &Scope, parent: &str) -> Result<(), StoreError> {
        for kind in [kind::SESSION_SUMMARY, kind::SUMMARY_FAILURE] {
            loop {
                let scan = Scan {
                    scope: Arc::clone(&scope.0),
                    kind,
                    parent: parent.into(),
                    order: Order::Id,
                    now_ms: self.ports.clock.now().as_millis(),
                };
                // What the page before held is gone, so each page is the first.
                let page = Page {
                    limit: DELETIONS_AT_ONCE,
                    after: None,
                };
                let listing = self.ports.store.list(scan, page).await?;
                let more = listing.next.is_some();
                let keys = listing.records.into_iter().map(|record| record.key);
                let writes: Vec<Write> = keys.map(delete).collect();
                if !writes.is_empty() {
                    self.commit(writes).await?;
                }
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn delete(key: Key) -> Write {
    Write::Delete {
        key,
        expect: Expect::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_from_the_newest_session_to_the_oldest() {
        let scope = Scope::new("111111111111", "us-west-2");
        let owner = Owner {
            scope: &scope,
            parent: "AGENT/ALIAS",
            memory_id: "user-1",
        };
        let key = |ms| owner.key(kind::SESSION_SUMMARY, Timestamp::from_millis(ms), "journal");
        let mut ids = [-5, 0, 1, 1_700_000_000_000, i64::MAX].map(|ms| key(ms).id);
        ids.reverse();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.starts_with("user-1/")));
    }
}
