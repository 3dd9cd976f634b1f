//! The record cache: documents by key, and the knowledge that there is none.
//!
//! It never answers wrongly, because the data folder is locked and every change passes the one writer:
//! after a commit, and before anybody hears of it, the writer puts each changed document here. A
//! reader that loads a document at the same time holds a placeholder, which that displaces, so an
//! older load can never overwrite a newer commit.

use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use crate::document::{Key, Record};
use crate::error::StoreError;

/// A fixed number, so that the share of one shard is known whatever the machine.
const SHARDS: usize = 8;

/// One record may take this part of a shard; larger ones are read from the database each time.
const SHARD_PART_OF_RECORD: usize = 4;

/// What an entry costs besides its text: the shard's slot, three counted strings, the record.
const ENTRY_OVERHEAD_BYTES: u64 = 320;

/// A guess of the usual record, for sizing the table of keys lately evicted.
const USUAL_ENTRY_BYTES: usize = 2 * 1024;

/// A document as it is stored; whether it has expired is for each reader to say.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) record: Record,
    pub(super) expires_at_ms: Option<i64>,
}

/// A change of one document, told to the cache once it is committed.
#[derive(Debug)]
pub(super) enum Change {
    Put(Arc<Stored>),
    Gone(Key),
    /// Removed by the sweep, which reads keys from the database.
    Swept {
        scope: String,
        kind: String,
        parent: String,
        id: String,
    },
}

/// See the module. `None` says that there is no such document.
#[derive(Debug)]
pub(super) struct RecordCache {
    entries: Cache<Key, Option<Arc<Stored>>, Bytes>,
    entry_bytes_max: u64,
}

impl RecordCache {
    /// A cache of at most `capacity_bytes`; 0 keeps nothing.
    pub(super) fn new(capacity_bytes: usize) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .weight_capacity(capacity_bytes as u64)
            .estimated_items_capacity(capacity_bytes / USUAL_ENTRY_BYTES)
            .build()
            .expect("both capacities are set");
        Self {
            entries: Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            entry_bytes_max: (capacity_bytes / SHARDS / SHARD_PART_OF_RECORD) as u64,
        }
    }

    /// The document, loaded if it is not here; loads of one key at a time are shared.
    pub(super) async fn get_or_load(
        &self,
        key: &Key,
        load: impl Future<Output = Result<Option<Stored>, StoreError>>,
    ) -> Result<Option<Arc<Stored>>, StoreError> {
        self.entries
            .get_or_insert_async(key, async { Ok(load.await?.map(Arc::new)) })
            .await
    }

    /// Takes in a committed change.
    pub(super) fn publish(&self, change: Change) {
        match change {
            Change::Put(stored) => self.replace(stored.record.key.clone(), Some(stored)),
            Change::Gone(key) => self.replace(key, None),
            Change::Swept {
                scope,
                kind,
                parent,
                id,
            } => {
                self.entries.remove(&KeyText {
                    scope: &scope,
                    kind: &kind,
                    parent: &parent,
                    id: &id,
                });
            }
        }
    }

    /// Forgets everything, for when the state of the database is in doubt.
    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    fn replace(&self, key: Key, value: Option<Arc<Stored>>) {
        // An insertion that is too heavy is dropped without displacing a placeholder; removal does.
        if Bytes.weight(&key, &value) > self.entry_bytes_max {
            self.entries.remove(&key);
        } else {
            self.entries.insert(key, value);
        }
    }
}

/// Weighs entries by the memory they hold.
#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<Key, Option<Arc<Stored>>> for Bytes {
    fn weight(&self, key: &Key, value: &Option<Arc<Stored>>) -> u64 {
        let body = value.as_ref().map_or(0, |stored| stored.record.body.len());
        let text = key.scope.len() + key.parent.len() + key.id.len() + body;
        text as u64 + ENTRY_OVERHEAD_BYTES
    }
}

/// A key as text, hashing like the [`Key`] with the same parts: same fields, same order.
#[derive(Hash)]
struct KeyText<'a> {
    scope: &'a str,
    kind: &'a str,
    parent: &'a str,
    id: &'a str,
}

impl Equivalent<Key> for KeyText<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.scope, self.kind, self.parent, self.id)
            == (&*key.scope, key.kind, &*key.parent, &*key.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY_BYTES: usize = 64 << 10;

    fn key() -> Key {
        Key {
            scope: "s".into(),
            kind: "agent",
            parent: "p".into(),
            id: "i".into(),
        }
    }

    fn stored(revision: u64, body_bytes: usize) -> Stored {
        Stored {
            record: Record {
                key: key(),
                revision,
                body: "x".repeat(body_bytes).into(),
                created_at_ms: 0,
                updated_at_ms: 0,
            },
            expires_at_ms: None,
        }
    }

    /// Whatever the change, and whether or not the cache can keep what was put.
    #[tokio::test]
    async fn a_commit_displaces_a_load_under_way() {
        let swept = || Change::Swept {
            scope: "s".into(),
            kind: "agent".into(),
            parent: "p".into(),
            id: "i".into(),
        };
        for (change, now) in [
            (Change::Put(Arc::new(stored(2, 10))), Some(stored(2, 10))),
            (
                Change::Put(Arc::new(stored(2, CAPACITY_BYTES))),
                Some(stored(2, CAPACITY_BYTES)),
            ),
            (Change::Gone(key()), None),
            (swept(), None),
        ] {
            let cache = RecordCache::new(CAPACITY_BYTES);
            let revision = now.as_ref().map(|stored| stored.record.revision);
            let overtaken = async {
                cache.publish(change);
                Ok(Some(stored(1, 10)))
            };
            let first = cache.get_or_load(&key(), overtaken).await;
            assert!(first.is_ok());
            let second = cache.get_or_load(&key(), async { Ok(now) }).await;
            let second = second.expect("the load succeeds");
            assert_eq!(second.map(|stored| stored.record.revision), revision);
        }
    }
}
