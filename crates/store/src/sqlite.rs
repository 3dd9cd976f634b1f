//! The store in a SQLite database: the embedded default.
//!
//! One writer commits together whatever waits ([`writer`]), in the caller or on its thread
//! ([`committer`]); a few threads read; hot documents are answered from memory ([`cache`]). That memory is right because the data folder
//! belongs to one process at a time ([`lock`]). It does not replicate and does not back up.
//!
//! Invariant: an answered commit is in the write-ahead log, whole, and every later read sees it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use futures_core::future::BoxFuture;
use tokio::sync::oneshot;

use crate::batch::{Batch, Committed};
use crate::document::{Key, Listing, Order, Page, Record, Scan, expired};
use crate::error::StoreError;
use crate::job::{Job, Lease};
use crate::journal::{self, Entry};
use crate::{Health, Store};

mod apply;
mod cache;
mod checkpoint;
mod committer;
mod connection;
mod listings;
mod lock;
mod queue;
mod reader;
mod schema;
mod tails;
mod writer;

use cache::RecordCache;
use checkpoint::{Checkpoints, Progress, Wake};
use committer::Committer;
use listings::Listings;
use lock::FolderLock;
use queue::{Queue, Refused};
use reader::Read;
use writer::{Answer, Request, Writer};

/// Name of the database file within the data folder.
const FILE_NAME: &str = "outcrop.db";

/// What an answered commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, `kill -9` included: the commit is in the operating system's hands
    /// (`synchronous=NORMAL`). A power cut may lose the last commits, but never part of one.
    #[default]
    Process,
    /// A power cut too: each transaction is synced to disk (`synchronous=FULL`).
    Power,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The data folder; created if it is missing, and locked while the store is open.
    pub path: PathBuf,
    /// What an answered commit survives.
    pub durability: Durability,
    /// Memory for documents kept at hand, in bytes; 0 keeps none.
    pub cache_bytes: usize,
    /// Threads that read, at least 1.
    pub readers: usize,
    /// Commits and claims that may wait for the writer; more are told that the store is busy.
    pub writes_waiting_max: usize,
    /// Reads that may wait for a reader; more are told that the store is busy.
    pub reads_waiting_max: usize,
    /// Kinds of documents with the orders they are listed in, besides that of their ids: these get an
    /// index. Any other listing is as right, but reads and sorts all documents of its parent.
    pub listings: &'static [(&'static str, Order)],
}

impl SqliteOptions {
    /// The defaults for a data folder: [`Durability::Process`], 32 MiB of cache, two readers (most
    /// reads never reach them), queues that hold a second's work and more, no listings declared.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            cache_bytes: 32 << 20,
            readers: 2,
            writes_waiting_max: 4_096,
            reads_waiting_max: 4_096,
            listings: &[],
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another store of this one, has the data folder open.
    #[error("the data folder {} is in use{}", path.display(), by(*holder))]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// The id of the process that has it, where it could be read.
        holder: Option<u32>,
    },
    /// The data folder or the lock file in it could not be created or opened.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database was written by a newer version of this program.
    #[error("the database has schema version {found}, but this program knows only {known}")]
    NewerSchema {
        /// Version of the database.
        found: usize,
        /// Newest version known.
        known: usize,
    },
    /// The database file belongs to another program.
    #[error("the database in the data folder was not made by this program")]
    Foreign,
    /// A thread could not be started.
    #[error("cannot start a thread of the store")]
    Thread(#[source] std::io::Error),
    /// SQLite failed.
    #[error("cannot open the database")]
    Sqlite(#[from] rusqlite::Error),
}

fn by(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

/// See the module. Dropping it finishes what waits and closes the database, which may take some
/// milliseconds.
pub struct SqliteStore {
    cache: Arc<RecordCache>,
    committer: Arc<Committer>,
    reads: Arc<Queue<Read>>,
    wakes: Arc<Queue<Wake>>,
    transactions: Arc<AtomicU64>,
    listings: Listings,
    threads: Vec<JoinHandle<()>>,
    /// Let go last, once every connection is closed.
    lock: FolderLock,
}

impl SqliteStore {
    /// Locks the folder, opens the database and brings its schema up to date. Blocks.
    pub fn open(options: &SqliteOptions) -> Result<Self, OpenError> {
        let folder = create_folder(&options.path)?;
        let lock = FolderLock::acquire(&folder)?;
        let path = folder.join(FILE_NAME);

        let mut connection = connection::open_writer(&path, options.durability)?;
        schema::migrate(&mut connection)?;
        let listings = Listings::declare(&mut connection, options.listings)?;
        let cache = Arc::new(RecordCache::new(options.cache_bytes));
        let wakes = Arc::new(Queue::new(checkpoint::WAKES_WAITING_MAX));
        let progress = Arc::<Progress>::default();
        let transactions = Arc::<AtomicU64>::default();
        let writer = Writer::new(
            Checkpoints::follow(&mut connection, Arc::clone(&wakes), Arc::clone(&progress))?,
            connection,
            listings,
            Arc::clone(&cache),
            Arc::clone(&transactions),
        )?;
        let committer = Committer::new(writer, options.durability, options.writes_waiting_max);
        let mut store = Self {
            cache,
            committer: Arc::new(committer),
            reads: Arc::new(Queue::new(options.reads_waiting_max)),
            wakes,
            transactions,
            listings,
            threads: Vec::new(),
            lock,
        };

        let committer = Arc::clone(&store.committer);
        store.spawn("store-writer", move || committer.run())?;
        for _ in 0..options.readers.max(1) {
            let reader = connection::open_reader(&path)?;
            let reads = Arc::clone(&store.reads);
            store.spawn("store-reader", move || reader::run(&reader, &reads))?;
        }
        let checkpointer = connection::open_checkpointer(&path)?;
        let wakes = Arc::clone(&store.wakes);
        store.spawn("store-log", move || {
            checkpoint::run(&checkpointer, &wakes, &progress);
        })?;
        Ok(store)
    }

    /// Write transactions committed since the store was opened; fewer than the batches where several
    /// were committed together.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(OpenError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    async fn write<T>(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.committer.submit(request).map_err(refused)?;
        answer.await.map_err(|_| stopped())?
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.reads.close();
        self.wakes.close();
        self.committer.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        }
    }
}

impl Store for SqliteStore {
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            let load = async {
                let key = key.clone();
                reader::read(&self.reads, |connection| reader::get(connection, key)).await
            };
            let stored = self.cache.get_or_load(key, load).await?;
            Ok(stored
                .filter(|stored| !expired(stored.expires_at_ms, now_ms))
                .map(|stored| stored.record.clone()))
        })
    }

    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move {
            page.check()?;
            let listed = self.listings.of(scan.kind);
            reader::read(&self.reads, move |connection| {
                reader::list(connection, listed, &scan, &page)
            })
            .await
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            batch.check()?;
            let (answer, receiver) = Answer::new();
            self.write(Request::Commit(batch, answer), receiver).await
        })
    }

    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            journal::check_limit(limit)?;
            let journal = journal.to_owned();
            reader::read(&self.reads, move |connection| {
                reader::journal(connection, &journal, after, limit)
            })
            .await
        })
    }

    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>> {
        Box::pin(async move {
            let (answer, receiver) = Answer::new();
            self.write(Request::Claim(queue, lease, answer), receiver)
                .await
        })
    }

    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let (answer, receiver) = Answer::new();
            let request = Request::Renew(id.into(), lease, until_ms, answer);
            self.write(request, receiver).await
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        Box::pin(async move {
            let (answer, receiver) = Answer::new();
            self.write(Request::Check(answer), receiver).await
        })
    }
}

/// Creates the folder if it is missing, and gives its full path.
fn create_folder(path: &Path) -> Result<PathBuf, OpenError> {
    std::fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| OpenError::Folder {
            path: path.to_owned(),
            source,
        })
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable(error.into())
}

fn stopped() -> StoreError {
    unavailable("the thread that should have answered has ended")
}

fn refused(refused: Refused) -> StoreError {
    match refused {
        Refused::Full => StoreError::Busy,
        Refused::Closed => stopped(),
    }
}
