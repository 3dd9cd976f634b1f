//! The store in memory: the oracle every backend is compared with, and the double for tests.
//!
//! It is written to be obviously right, not fast: a batch is applied to a copy of everything, and the
//! copy takes the original's place only if the whole batch held. Nothing is kept past the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::batch::{Batch, Committed, Expect, Write};
use crate::document::{Cursor, Key, Listing, Order, Page, Record, Scan, expired};
use crate::error::StoreError;
use crate::job::{Job, Lease, NewJob};
use crate::journal::{self, Entry, JOURNAL_ENTRIES_MAX};
use crate::{Health, Store};

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    documents: BTreeMap<Key, Document>,
    journals: BTreeMap<Arc<str>, Vec<Bytes>>,
    jobs: BTreeMap<Arc<str>, QueuedJob>,
    last_lease: u64,
}

#[derive(Clone, Debug)]
struct Document {
    record: Record,
    name: Option<Arc<str>>,
    expires_at_ms: Option<i64>,
}

#[derive(Clone, Debug)]
struct QueuedJob {
    queue: &'static str,
    payload: Arc<str>,
    /// The due time, or the end of the lease.
    claimable_at_ms: i64,
    attempts: u32,
    /// The claim it is under, if any.
    lease: Option<u64>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves the old state whole, for it is replaced in one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_now(&self, batch: &Batch) -> Result<Committed, StoreError> {
        batch.check()?;
        let mut state = self.state();
        let mut next = state.clone();
        let committed = next.apply(batch)?;
        *state = next;
        Ok(committed)
    }
}

impl State {
    fn apply(&mut self, batch: &Batch) -> Result<Committed, StoreError> {
        let now_ms = batch.now_ms;
        self.documents
            .retain(|_, document| !expired(document.expires_at_ms, now_ms));
        let mut revisions = Vec::with_capacity(batch.writes.len());
        for (index, write) in batch.writes.iter().enumerate() {
            let mut revision = 0;
            match write {
                Write::Put {
                    key,
                    body,
                    expect,
                    name,
                    expires_at_ms,
                } => {
                    self.check_expect(key, *expect, index)?;
                    self.check_name(key, name.as_ref(), index)?;
                    revision = self.put(key, body, now_ms, name.clone(), *expires_at_ms);
                }
                Write::Delete { key, expect } => {
                    self.check_expect(key, *expect, index)?;
                    self.documents.remove(key);
                }
                Write::DeleteChildren {
                    scope,
                    kind,
                    parent,
                } => self
                    .documents
                    .retain(|key, _| (&key.scope, key.kind, &key.parent) != (scope, *kind, parent)),
                Write::Append {
                    journal,
                    expected_seq,
                    entries,
                } => self.append(journal, *expected_seq, entries, index)?,
                Write::Enqueue(job) => self.enqueue(job),
                Write::Finish { id, lease } => {
                    if self
                        .jobs
                        .get(id)
                        .is_some_and(|job| job.lease == Some(*lease))
                    {
                        self.jobs.remove(id);
                    }
                }
            }
            // A document put with an expiry already past is absent for the writes after it.
            if let Write::Put {
                expires_at_ms: Some(_),
                ..
            } = write
            {
                self.documents
                    .retain(|_, document| !expired(document.expires_at_ms, now_ms));
            }
            revisions.push(revision);
        }
        Ok(Committed { revisions })
    }

    fn check_expect(&self, key: &Key, expect: Expect, index: usize) -> Result<(), StoreError> {
        let revision = self
            .documents
            .get(key)
            .map(|document| document.record.revision);
        if expect.holds(revision) {
            Ok(())
        } else {
            Err(StoreError::Stale { index })
        }
    }

    fn check_name(
        &self,
        key: &Key,
        name: Option<&Arc<str>>,
        index: usize,
    ) -> Result<(), StoreError> {
        if name.is_none() {
            return Ok(());
        }
        let holder = self.documents.iter().find(|(other, document)| {
            document.name.as_ref() == name
                && (&other.scope, other.kind, &other.parent) == (&key.scope, key.kind, &key.parent)
                && other.id != key.id
        });
        match holder {
            None => Ok(()),
            Some((holder, _)) => Err(StoreError::NameTaken {
                index,
                holder: Arc::clone(&holder.id),
            }),
        }
    }

    fn put(
        &mut self,
        key: &Key,
        body: &Arc<str>,
        now_ms: i64,
        name: Option<Arc<str>>,
        expires_at_ms: Option<i64>,
    ) -> u64 {
        let (revision, created_at_ms) = match self.documents.get(key) {
            Some(old) => (old.record.revision + 1, old.record.created_at_ms),
            None => (1, now_ms),
        };
        let record = Record {
            key: key.clone(),
            revision,
            body: Arc::clone(body),
            created_at_ms,
            updated_at_ms: now_ms,
        };
        self.documents.insert(
            key.clone(),
            Document {
                record,
                name,
                expires_at_ms,
            },
        );
        revision
    }

    fn append(
        &mut self,
        journal: &Arc<str>,
        expected_seq: u64,
        entries: &[Bytes],
        index: usize,
    ) -> Result<(), StoreError> {
        let actual = self.journals.get(journal).map_or(0, Vec::len) as u64;
        if actual != expected_seq {
            return Err(StoreError::Fenced { index, actual });
        }
        if actual + entries.len() as u64 > JOURNAL_ENTRIES_MAX {
            return Err(StoreError::OutOfBounds(
                "a journal holds at most JOURNAL_ENTRIES_MAX entries",
            ));
        }
        self.journals
            .entry(Arc::clone(journal))
            .or_default()
            .extend_from_slice(entries);
        Ok(())
    }

    fn enqueue(&mut self, job: &NewJob) {
        let attempts = self.jobs.get(&job.id).map_or(0, |old| old.attempts);
        self.jobs.insert(
            Arc::clone(&job.id),
            QueuedJob {
                queue: job.queue,
                payload: Arc::clone(&job.payload),
                claimable_at_ms: job.due_at_ms,
                attempts,
                lease: None,
            },
        );
    }

    fn claim(&mut self, queue: &str, lease: Lease) -> Option<Job> {
        let (id, job) = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| job.queue == queue && job.claimable_at_ms <= lease.now_ms)
            .min_by_key(|(id, job)| (job.claimable_at_ms, Arc::clone(id)))?;
        self.last_lease += 1;
        job.claimable_at_ms = lease.until_ms;
        job.attempts = job.attempts.saturating_add(1);
        job.lease = Some(self.last_lease);
        Some(Job {
            id: Arc::clone(id),
            payload: Arc::clone(&job.payload),
            attempts: job.attempts,
            lease: self.last_lease,
        })
    }

    fn renew(&mut self, id: &str, lease: u64, until_ms: i64) -> bool {
        let held = self.jobs.get_mut(id).filter(|job| job.lease == Some(lease));
        let Some(job) = held else {
            return false;
        };
        job.claimable_at_ms = until_ms;
        true
    }

    fn list(&self, scan: &Scan, page: &Page) -> Listing {
        let mut records: Vec<Record> = self
            .documents
            .values()
            .filter(|document| {
                let key = &document.record.key;
                (&key.scope, key.kind, &key.parent) == (&scan.scope, scan.kind, &scan.parent)
                    && !expired(document.expires_at_ms, scan.now_ms)
            })
            .map(|document| document.record.clone())
            .collect();
        let place = |cursor: &Cursor| match scan.order {
            Order::Id => (0, Arc::clone(&cursor.id)),
            Order::Created => (i128::from(cursor.sort), Arc::clone(&cursor.id)),
            Order::UpdatedDescending => (-i128::from(cursor.sort), Arc::clone(&cursor.id)),
        };
        records.sort_by_key(|record| place(&scan.order.cursor(record)));
        if let Some(after) = &page.after {
            records.retain(|record| place(&scan.order.cursor(record)) > place(after));
        }
        Listing::from_sought(records, page.limit, scan.order)
    }

    fn read_journal(&self, journal: &str, after: u64, limit: u32) -> Vec<Entry> {
        let entries = self.journals.get(journal).map_or(&[][..], Vec::as_slice);
        (1..)
            .zip(entries)
            .filter(|(seq, _)| *seq > after)
            .take(limit as usize)
            .map(|(seq, bytes)| Entry {
                seq,
                bytes: bytes.clone(),
            })
            .collect()
    }
}

impl Store for MemoryStore {
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let state = self.state();
            let document = state.documents.get(key);
            Ok(document
                .filter(|document| !expired(document.expires_at_ms, now_ms))
                .map(|document| document.record.clone()))
        })
    }

    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move {
            page.check()?;
            Ok(self.state().list(&scan, &page))
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move { self.commit_now(&batch) })
    }

    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            journal::check_limit(limit)?;
            Ok(self.state().read_journal(journal, after, limit))
        })
    }

    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>> {
        Box::pin(async move { Ok(self.state().claim(queue, lease)) })
    }

    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.state().renew(id, lease, until_ms)) })
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        Box::pin(async move {
            Ok(Health {
                backend: "memory".to_owned(),
            })
        })
    }
}
