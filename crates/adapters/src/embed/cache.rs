//! Vectors by the content of their texts, in a file.
//!
//! Only a cache: what cannot be read or written is logged and made again, and no call fails for it.
//! Bounded in bytes; the vectors that were made first go first. Opened when it is first needed; all of
//! SQLite's work is done on threads that may block. Invariant: a vector is found only by the identity
//! of the model that made it and the SHA-256 of the text it was made of.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outcrop_engine::port::{EmbeddingIdentity, EmbeddingPurpose};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tracing::warn;

/// Bytes of all vectors: those of 160,000 chunks with 384 dimensions in the room of a song collection.
const BYTES_MAX: i64 = 256 << 20;
/// How much of a full cache goes at once, so that it is not cut again with the next batch: a tenth.
const SHARE_DROPPED: i64 = 10;
/// What a row takes besides its vector: two keys and SQLite's own.
const ROW_BYTES: i64 = 100;
/// How long another process may hold the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Told by `PRAGMA user_version`; a file of another version is begun anew.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS vector (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        key BLOB NOT NULL UNIQUE,
        numbers BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
    INSERT OR IGNORE INTO total VALUES (1, 0);
";

/// What a vector is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key of a text under a model; with a purpose where the model tells purposes.
    pub(super) fn new(
        identity: &EmbeddingIdentity,
        purpose: Option<EmbeddingPurpose>,
        text: &str,
    ) -> Self {
        let purpose = match purpose {
            None => 0,
            Some(EmbeddingPurpose::Document) => 1,
            Some(EmbeddingPurpose::Query) => 2,
        };
        let mut hash = Sha256::new();
        // Each part's end is known: no model's name has a zero in it, and the next two are of fixed length.
        hash.update(identity.model.as_bytes());
        hash.update([0]);
        hash.update(identity.dimensions.to_le_bytes());
        hash.update([purpose]);
        hash.update(text.as_bytes());
        Self(hash.finalize().into())
    }
}

/// The cache of one file.
pub(super) struct Cache {
    path: PathBuf,
    bytes_max: i64,
    connection: Arc<Mutex<Slot>>,
}

enum Slot {
    Unopened,
    Open(Connection),
    /// It could not be opened, which has been told.
    Unusable,
}

impl Cache {
    /// A cache in the file `path`, which is made when something is first put into it or looked for.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            bytes_max: BYTES_MAX,
            connection: Arc::new(Mutex::new(Slot::Unopened)),
        }
    }

    /// The vectors of `keys`, where there are any.
    pub(super) async fn get(&self, keys: &[Key]) -> Vec<Option<Vec<f32>>> {
        let keys = keys.to_vec();
        let nothing = vec![None; keys.len()];
        let found = self
            .with(move |connection| look_up(connection, &keys))
            .await;
        found.unwrap_or(nothing)
    }

    /// Keeps vectors. Those that are there already stay.
    pub(super) async fn put(&self, vectors: Vec<(Key, Vec<f32>)>) {
        let bytes_max = self.bytes_max;
        self.with(move |connection| keep(connection, &vectors, bytes_max))
            .await;
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<T> {
        let (slot, path) = (Arc::clone(&self.connection), self.path.clone());
        let worked = spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*slot, Slot::Unopened) {
                *slot = opened(&path);
            }
            let Slot::Open(connection) = &mut *slot else {
                return None;
            };
            match work(connection) {
                Ok(value) => Some(value),
                Err(error) => {
                    warn!(%error, path = %path.display(), "cache of embeddings not used");
                    None
                }
            }
        });
        // Fails when the runtime ends, and then nobody waits.
        worked.await.ok().flatten()
    }
}

fn opened(path: &Path) -> Slot {
    match open(path).or_else(|_| begin_anew(path)) {
        Ok(connection) => Slot::Open(connection),
        Err(error) => {
            warn!(%error, path = %path.display(), "cache of embeddings cannot be opened, going on without");
            Slot::Unusable
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A crash of the machine may lose the newest vectors, never the file.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != 0 && version != VERSION {
        return Err(rusqlite::Error::InvalidQuery);
    }
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(connection)
}

/// A file that is none of this program's making, or broken, holds nothing of worth.
fn begin_anew(path: &Path) -> rusqlite::Result<Connection> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        // What is not there need not go; what cannot go is told of by the next line.
        let _ = std::fs::remove_file(name);
    }
    open(path)
}

fn look_up(connection: &mut Connection, keys: &[Key]) -> rusqlite::Result<Vec<Option<Vec<f32>>>> {
    let mut statement = connection.prepare_cached("SELECT numbers FROM vector WHERE key = ?1")?;
    keys.iter()
        .map(|key| {
            let bytes: Option<Vec<u8>> = statement
                .query_row(params![key.0], |row| row.get(0))
                .optional()?;
            Ok(bytes.map(|bytes| {
                let (numbers, _) = bytes.as_chunks::<4>();
                numbers
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes))
                    .collect()
            }))
        })
        .collect()
}

fn keep(
    connection: &mut Connection,
    vectors: &[(Key, Vec<f32>)],
    bytes_max: i64,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let mut added = 0;
    {
        let mut insert = transaction
            .prepare_cached("INSERT OR IGNORE INTO vector (key, numbers) VALUES (?1, ?2)")?;
        for (key, vector) in vectors {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            if insert.execute(params![key.0, bytes])? > 0 {
                added += i64::try_from(bytes.len()).unwrap_or(i64::MAX / 2) + ROW_BYTES;
            }
        }
    }
    let before: i64 = transaction.query_row("SELECT bytes FROM total", [], |row| row.get(0))?;
    let mut total = before + added;
    if total > bytes_max {
        let kept = bytes_max - bytes_max / SHARE_DROPPED;
        total -= make_room(&transaction, total - kept)?;
    }
    transaction.execute("UPDATE total SET bytes = ?1", params![total])?;
    transaction.commit()
}

/// Takes out the oldest vectors until `wanted` bytes are free; answers how many are.
fn make_room(connection: &Connection, wanted: i64) -> rusqlite::Result<i64> {
    let mut freed = 0;
    let mut last = None;
    {
        let mut statement =
            connection.prepare("SELECT place, length(numbers) FROM vector ORDER BY place")?;
        let mut rows = statement.query([])?;
        while freed < wanted {
            let Some(row) = rows.next()? else { break };
            last = Some(row.get::<_, i64>(0)?);
            freed += row.get::<_, i64>(1)? + ROW_BYTES;
        }
    }
    connection.execute("DELETE FROM vector WHERE place <= ?1", params![last])?;
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        let identity = EmbeddingIdentity {
            model: "m".to_owned(),
            dimensions: 2,
        };
        Key::new(&identity, None, text)
    }

    #[test]
    fn keys_differ_in_every_part() {
        let identity = |model: &str, dimensions| EmbeddingIdentity {
            model: model.to_owned(),
            dimensions,
        };
        let keys = [
            Key::new(&identity("a", 1), None, "t"),
            Key::new(&identity("b", 1), None, "t"),
            Key::new(&identity("a", 2), None, "t"),
            Key::new(&identity("a", 1), None, "u"),
            Key::new(&identity("a", 1), Some(EmbeddingPurpose::Query), "t"),
            Key::new(&identity("a", 1), Some(EmbeddingPurpose::Document), "t"),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[tokio::test]
    async fn what_was_put_is_found_again_by_another_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("e.sqlite");
        let first = Cache::new(path.clone());
        let vectors = vec![(key("a"), vec![0.25, -1.5]), (key("b"), vec![1.0, 0.0])];
        first.put(vectors.clone()).await;
        first.put(vectors).await;
        let second = Cache::new(path);
        let found = second.get(&[key("b"), key("c"), key("a")]).await;
        assert_eq!(found, [Some(vec![1.0, 0.0]), None, Some(vec![0.25, -1.5])]);
    }

    #[tokio::test]
    async fn the_oldest_go_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let row = ROW_BYTES + 8;
        let cache = Cache {
            bytes_max: 10 * row,
            ..Cache::new(folder.path().join("e.sqlite"))
        };
        for number in 0..25 {
            cache
                .put(vec![(key(&number.to_string()), vec![1.0, 2.0])])
                .await;
        }
        let keys: Vec<Key> = (0..25).map(|number| key(&number.to_string())).collect();
        let found = cache.get(&keys).await;
        let kept = found.iter().flatten().count();
        assert!((5..=10).contains(&kept), "{kept}");
        assert!(found.iter().take(25 - kept).all(Option::is_none));
        assert!(found.iter().skip(25 - kept).all(Option::is_some));
    }

    #[tokio::test]
    async fn a_broken_file_is_begun_anew_and_a_hopeless_place_does_no_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("e.sqlite");
        std::fs::write(&path, vec![7; 9_000]).expect("written");
        let cache = Cache::new(path);
        cache.put(vec![(key("a"), vec![1.0, 0.0])]).await;
        assert_eq!(cache.get(&[key("a")]).await, [Some(vec![1.0, 0.0])]);
        let nowhere = Cache::new(folder.path().join("missing/e.sqlite"));
        nowhere.put(vec![(key("a"), vec![1.0, 0.0])]).await;
        assert_eq!(nowhere.get(&[key("a")]).await, [None]);
    }
}
