//! What only the SQLite store promises: it lasts, it is alone, it groups commits, it refuses when full,
//! and its cache never shows the past.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use outcrop_store::sqlite::OpenError;
use outcrop_store::{
    Batch, Cursor, Expect, Key, Lease, NewJob, Order, Page, Scan, SqliteOptions, SqliteStore,
    Store, StoreError, Write,
};
use rusqlite::Connection;
use tempfile::TempDir;

const NOW: i64 = 1_700_000_000_000;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(&SqliteOptions::new(path)).expect("the store opens")
}

fn open_listing(path: &Path, listings: &'static [(&'static str, Order)]) -> SqliteStore {
    let options = SqliteOptions {
        listings,
        ..SqliteOptions::new(path)
    };
    SqliteStore::open(&options).expect("the store opens")
}

const BOTH_ORDERS: &[(&str, Order)] = &[
    ("session", Order::Created),
    ("session", Order::UpdatedDescending),
];

/// The database, past the store: to look into it, or to stand in the writer's way.
fn database(path: &Path) -> Connection {
    Connection::open(path.join("outcrop.db")).expect("the database opens")
}

fn key(id: &str) -> Key {
    Key {
        scope: "111111111111/us-west-2".into(),
        kind: "session",
        parent: "".into(),
        id: id.into(),
    }
}

fn put(id: &str, body: &str) -> Write {
    Write::Put {
        key: key(id),
        body: body.into(),
        expect: Expect::Any,
        name: None,
        expires_at_ms: None,
    }
}

fn batch(writes: impl Into<Vec<Write>>) -> Batch {
    Batch {
        now_ms: NOW,
        writes: writes.into(),
    }
}

async fn body(store: &SqliteStore, id: &str) -> Option<Arc<str>> {
    let record = store.get(&key(id), NOW).await.expect("the store answers");
    record.map(|record| record.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_there_after_reopening() {
    let folder = folder();
    let enqueued = Write::Enqueue(NewJob {
        id: "job".into(),
        queue: "ingest",
        payload: "{}".into(),
        due_at_ms: 7,
    });
    let append = |expected_seq| Write::Append {
        journal: "run".into(),
        expected_seq,
        entries: vec![Bytes::from("one"), Bytes::from("two")],
    };
    let lease = Lease {
        now_ms: 7,
        until_ms: i64::MAX,
    };
    let store = open(folder.path());
    let written = batch([put("a", "1"), put("a", "2"), append(0), enqueued]);
    store.commit(written).await.expect("the batch holds");
    let before = store.get(&key("a"), NOW).await.expect("answers");
    let held = store.claim_job("ingest", lease).await.expect("answers");
    let held = held.expect("the job is due");
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.get(&key("a"), NOW).await.expect("answers"), before);
    let entries = store.read_journal("run", 0, 9).await.expect("answers");
    assert_eq!(entries.len(), 2);
    store
        .commit(batch([append(2)]))
        .await
        .expect("the numbers go on");
    // The holder is gone with its process, so its lease has ended, however long it was.
    let again = store.claim_job("ingest", lease).await.expect("answers");
    let again = again.expect("the lease has ended");
    assert_eq!(again.attempts, 2);
    assert_ne!(again.lease, held.lease);
}

#[test]
fn a_folder_is_for_one_store() {
    let folder = folder();
    let store = open(folder.path());
    let refused = SqliteStore::open(&SqliteOptions::new(folder.path()));
    let error = refused.expect_err("the folder is locked");
    assert!(
        matches!(&error, OpenError::Locked { holder: Some(pid), .. } if *pid == std::process::id()),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("is in use by process"), "{text}");
    drop(store);
    open(folder.path());
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = folder();
    drop(open(folder.path()));
    database(folder.path())
        .execute(
            "INSERT INTO schema_versions VALUES (99, 'from the future')",
            [],
        )
        .expect("the version is written");
    let refused = SqliteStore::open(&SqliteOptions::new(folder.path()));
    assert!(
        matches!(
            refused,
            Err(OpenError::NewerSchema {
                found: 99,
                known: 3
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn a_foreign_database_is_refused() {
    let folder = folder();
    database(folder.path())
        .execute("CREATE TABLE theirs (a)", [])
        .expect("the table is made");
    let refused = SqliteStore::open(&SqliteOptions::new(folder.path()));
    assert!(matches!(refused, Err(OpenError::Foreign)), "{refused:?}");
}

#[test]
fn a_file_in_the_folders_place_is_refused() {
    let folder = folder();
    let path = folder.path().join("file");
    std::fs::write(&path, "").expect("the file is written");
    let refused = SqliteStore::open(&SqliteOptions::new(path));
    assert!(
        matches!(refused, Err(OpenError::Folder { .. })),
        "{refused:?}"
    );
}

/// Commits that wait while another transaction runs share the next one; one that fails spoils nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_commits_share_a_transaction() {
    const WAITING: u64 = 100;
    let folder = folder();
    let store = Arc::new(open(folder.path()));
    let stalled = Stalled::begin(folder.path());
    let before = store.transactions();
    let tasks: Vec<_> = (0..WAITING)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut writes = vec![put(&number.to_string(), "{}")];
                if number % 10 == 3 {
                    writes.push(Write::Delete {
                        key: key("nobody"),
                        expect: Expect::Revision(1),
                    });
                }
                store.commit(batch(writes)).await.is_ok()
            })
        })
        .collect();
    // All are queued, but for what the writer has taken and stalls on.
    tokio::time::sleep(Duration::from_millis(200)).await;
    stalled.end();
    for (number, task) in (0..WAITING).zip(tasks) {
        let done = task.await.expect("the task ends");
        assert_eq!(done, number % 10 != 3);
        assert_eq!(body(&store, &number.to_string()).await.is_some(), done);
    }
    let transactions = store.transactions() - before;
    assert!(
        (1..=5).contains(&transactions),
        "{transactions} transactions"
    );
}

/// Full means busy, at once; what waits is done all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_busy() {
    let folder = folder();
    let options = SqliteOptions {
        writes_waiting_max: 1,
        ..SqliteOptions::new(folder.path())
    };
    let store = Arc::new(SqliteStore::open(&options).expect("the store opens"));
    let stalled = Stalled::begin(folder.path());
    let tasks: Vec<_> = (0..5)
        .map(|number: i32| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(batch([put(&number.to_string(), "{}")])).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stalled.end();
    let mut done = 0;
    for task in tasks {
        match task.await.expect("the task ends") {
            Ok(_) => done += 1,
            Err(StoreError::Busy) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((1..=2).contains(&done), "{done} done");
}

/// A write lock taken past the store, which the writer waits for.
struct Stalled(Connection);

impl Stalled {
    fn begin(path: &Path) -> Self {
        let connection = database(path);
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .expect("the lock is free");
        Self(connection)
    }

    fn end(self) {
        self.0
            .execute_batch("ROLLBACK")
            .expect("the lock is let go");
    }
}

/// Whoever asks after an answered commit sees it or a later one, though the cache is far too small
/// and loads race with commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_never_shows_the_past() {
    const KEYS: usize = 150;
    const ROUNDS: usize = 4_000;
    let folder = folder();
    let options = SqliteOptions {
        cache_bytes: 64 << 10,
        ..SqliteOptions::new(folder.path())
    };
    let store = Arc::new(SqliteStore::open(&options).expect("the store opens"));
    let answered: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let writer = {
        let (store, answered) = (Arc::clone(&store), Arc::clone(&answered));
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let number = round * 7 % KEYS;
                // Now it fits the cache, now it does not.
                let size = if (round / KEYS).is_multiple_of(2) {
                    4_000
                } else {
                    400
                };
                let written = batch([put(&number.to_string(), &"x".repeat(size))]);
                let committed = store.commit(written).await.expect("the batch holds");
                answered[number].store(committed.revisions[0], Ordering::SeqCst);
            }
        })
    };
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (store, answered) = (Arc::clone(&store), Arc::clone(&answered));
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let number = round * 7 % KEYS + reader % 2;
                    let Some(answered) = answered.get(number) else {
                        continue;
                    };
                    let least = answered.load(Ordering::SeqCst);
                    let found = store.get(&key(&number.to_string()), NOW).await;
                    let found = found.expect("the store answers");
                    let revision = found.map_or(0, |record| record.revision);
                    assert!(revision >= least, "{revision} after {least}");
                }
            })
        })
        .collect();
    writer.await.expect("the writer ends well");
    for reader in readers {
        reader.await.expect("the reader ends well");
    }
}

/// A few with each commit, until none is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_documents_are_swept() {
    const HOUR_MS: i64 = 3_600_000;
    let folder = folder();
    let store = open(folder.path());
    let writes: Vec<Write> = (0..100)
        .map(|number| Write::Put {
            key: key(&number.to_string()),
            body: "{}".into(),
            expect: Expect::Any,
            name: None,
            expires_at_ms: Some(NOW + 1),
        })
        .collect();
    store.commit(batch(writes)).await.expect("the batch holds");
    let rows = || -> u32 {
        database(folder.path())
            .query_row("SELECT count(*) FROM documents", [], |row| row.get(0))
            .expect("the rows are counted")
    };
    assert_eq!(rows(), 100);
    for _ in 0..5 {
        let later = Batch {
            now_ms: NOW + HOUR_MS,
            writes: vec![put("stays", "{}")],
        };
        store.commit(later).await.expect("the batch holds");
    }
    assert_eq!(rows(), 1);
}

/// Enough for the log to be checkpointed by the thread many times, and by the writer too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded() {
    let folder = folder();
    let store = open(folder.path());
    let large = "x".repeat(1 << 20);
    for number in 0..200 {
        let written = batch([put(&(number % 5).to_string(), &large)]);
        store.commit(written).await.expect("the batch holds");
    }
    let log = folder.path().join("outcrop.db-wal");
    let bytes = log.metadata().expect("there is a log").len();
    assert!(bytes < 80 << 20, "{bytes} bytes of log");
    assert_eq!(body(&store, "4").await.as_deref(), Some(&*large));
}

/// Puts documents numbered from `from` up to `to`; twenty share a batch and with it a millisecond.
async fn fill(store: &SqliteStore, from: i64, to: i64) {
    let numbers: Vec<i64> = (from..to).collect();
    for together in numbers.chunks(20) {
        let writes = together.iter();
        let batch = Batch {
            now_ms: NOW + together[0],
            writes: writes
                .map(|number| put(&format!("{number:06}"), "{}"))
                .collect(),
        };
        store.commit(batch).await.expect("committed");
    }
}

/// The quickest of some readings of a page that starts after the document of this number.
async fn page_time(store: &SqliteStore, order: Order, after: i64) -> Duration {
    let mut quickest = Duration::MAX;
    for _ in 0..READINGS {
        let Key {
            scope,
            kind,
            parent,
            ..
        } = key("");
        let scan = Scan {
            scope,
            kind,
            parent,
            order,
            now_ms: NOW,
        };
        let cursor = Cursor {
            sort: NOW + after,
            id: format!("{after:06}").into(),
        };
        let page = Page {
            limit: 100,
            after: Some(cursor),
        };
        let began = Instant::now();
        let listing = store.list(scan, page).await.expect("listed");
        quickest = quickest.min(began.elapsed());
        assert_eq!(listing.records.len(), 100);
    }
    quickest
}

/// The quickest of so many is what the work takes, whatever else the machine does.
const READINGS: u32 = 25;

/// A page that had to be sorted out of a hundred times as many documents takes about as many times as
/// long; one that is walked to, hardly longer. The bound lies far from both.
const GROWTH_MAX: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_many_takes_as_long_as_a_page_of_few() {
    let orders = [Order::Created, Order::UpdatedDescending];
    let folder = folder();
    let store = open_listing(folder.path(), BOTH_ORDERS);
    fill(&store, 0, 1_000).await;
    let mut few = Vec::new();
    for order in orders {
        few.push(page_time(&store, order, 500).await);
    }
    fill(&store, 1_000, 100_000).await;
    for (order, few) in orders.into_iter().zip(few) {
        for after in [500, 50_000, 99_000] {
            let many = page_time(&store, order, after).await;
            assert!(
                many < few * GROWTH_MAX,
                "{order:?} after {after}: {many:?} of 100,000, {few:?} of 1,000"
            );
        }
    }
}

#[tokio::test]
async fn documents_follow_the_declared_orders() {
    let folder = folder();
    let indexed = || -> i64 {
        let documents = "SELECT sum(listed) FROM documents WHERE kind = 'session'";
        let found = database(folder.path()).query_row(documents, [], |row| row.get(0));
        found.expect("there are documents")
    };
    for (listings, bits) in [
        (&[][..], 0),
        (BOTH_ORDERS, 3),
        (&BOTH_ORDERS[1..], 2),
        (&[][..], 0),
    ] {
        let store = open_listing(folder.path(), listings);
        for id in ["a", "b"] {
            store.commit(batch([put(id, "{}")])).await.expect("holds");
        }
        drop(store);
        assert_eq!(indexed(), 2 * bits, "{listings:?}");
    }
}
