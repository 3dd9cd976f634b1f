//! The index of chunks in process: the default, which needs nothing but a folder (ADR 0018).
//!
//! Each knowledge base has a folder of its own, opened with its first use and closed when it has not been
//! used for a while. The truth is a SQLite database; a text index (tantivy) and, from some 10,000
//! chunks on, a graph over the vectors (usearch) are derived from it and replaceable.
//!
//! Not here: replication. The folder belongs to one process, so servers that share a database do not
//! share this index; they use PostgreSQL or OpenSearch.
//!
//! Invariant: a folder is open at most once, and each base's writes go in the order of their calls.

mod attributes;
mod base;
mod failure;
mod folder;
mod graph;
mod state;
mod text;
mod truth;
mod vectors;
mod words;

use std::collections::HashMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
};
use outcrop_knowledge::document::DocumentLocation;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use base::{Base, BaseOptions};
use failure::Failure;
use folder::Root;
pub use truth::Durability;

/// Knowledge bases that stay open, in use or not. Each costs files and the memory of its codes.
const OPEN_MAX: usize = 16;
/// How long an unused knowledge base stays open.
const UNUSED: Duration = Duration::from_mins(5);
/// How often unused ones are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// Chunks from which on a graph pays. Below, comparing with each takes at most some milliseconds.
const GRAPH_FROM: usize = 20_000;
/// A write waits while the chunks behind the graph are this many times the smallest graph and the next
/// one is being built; searches compare with each of them.
const TAILS_WAITED_FOR: u64 = 6;
/// How often such a write looks whether it may go on.
const WAIT: Duration = Duration::from_millis(100);

/// How the index is opened.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Where the folders of knowledge bases are; made with the first of them.
    pub folder: PathBuf,
    /// What a write survives.
    pub durability: Durability,
    /// Chunks of a knowledge base from which on it has a graph over its vectors.
    pub graph_from: usize,
}

impl EmbeddedOptions {
    /// The defaults for a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::default(),
            graph_from: GRAPH_FROM,
        }
    }
}

/// See the module. Needs a tokio runtime; does nothing before its first use.
pub struct EmbeddedIndex {
    inner: Arc<Inner>,
}

struct Inner {
    root: Arc<Root>,
    options: EmbeddedOptions,
    slots: std::sync::Mutex<HashMap<String, Arc<Slot>>>,
    /// One for each search that may run at once; more would only take time from each other.
    searches: Arc<Semaphore>,
    readers: usize,
    stop: Arc<AtomicBool>,
    sweeping: AtomicBool,
}

/// A knowledge base, open or not.
#[derive(Default)]
struct Slot {
    /// Held by whoever writes; waiting writers take it in their order.
    writing: Arc<Mutex<()>>,
    /// Held only to open, to close and to take a copy.
    open: Mutex<Option<Open>>,
}

struct Open {
    base: Arc<Base>,
    used: Instant,
}

impl EmbeddedIndex {
    /// An index in a folder, which is not looked at yet.
    pub fn new(options: EmbeddedOptions) -> Self {
        let readers = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            inner: Arc::new(Inner {
                root: Arc::new(Root::new(options.folder.clone())),
                options,
                slots: std::sync::Mutex::default(),
                searches: Arc::new(Semaphore::new(readers)),
                readers,
                stop: Arc::new(AtomicBool::new(false)),
                sweeping: AtomicBool::new(false),
            }),
        }
    }

    /// Closes whatever is open, for good. Writes what a later start would have to do again, but waits for
    /// nothing that takes long; without it nothing is lost.
    pub async fn close(&self) {
        self.inner.stop.store(true, Ordering::Relaxed);
        self.inner.close_unused(Duration::ZERO).await;
    }

    /// Waits until no graph over a knowledge base's vectors is being built. Searches need not wait: they
    /// only get faster.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]: the index cannot be opened.
    pub async fn settled(&self, place: &IndexPlace) -> Result<(), IndexError> {
        let slot = self.inner.slot(place)?;
        if let Some(base) = self.inner.open(&slot, place, Make::No).await? {
            while base.tail().1 {
                tokio::time::sleep(WAIT).await;
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        place: &IndexPlace,
        make: Make,
        write: impl FnOnce(&Base) -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), IndexError> {
        let slot = self.inner.slot(place)?;
        let writing = Arc::clone(&slot.writing).lock_owned().await;
        let Some(base) = self.inner.open(&slot, place, make).await? else {
            return Ok(());
        };
        self.inner.wait_for_graph(&base).await;
        let wants_graph = {
            let base = Arc::clone(&base);
            blocking(move || {
                // Held until the write is done, even if nobody waits for it any more.
                let _writing: OwnedMutexGuard<()> = writing;
                write(&base)?;
                Ok(base.wants_graph())
            })
            .await?
        };
        if wants_graph {
            build_graphs(&base);
        }
        Ok(())
    }

    async fn read<T: Send + 'static>(
        &self,
        place: &IndexPlace,
        nothing: T,
        read: impl FnOnce(&Base) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, IndexError> {
        let slot = self.inner.slot(place)?;
        let Some(base) = self.inner.open(&slot, place, Make::No).await? else {
            return Ok(nothing);
        };
        let permit = Arc::clone(&self.inner.searches)
            .acquire_owned()
            .await
            .map_err(|_| Failure::Thread)?;
        Ok(blocking(move || {
            let _permit = permit;
            read(&base)
        })
        .await?)
    }
}

impl Drop for EmbeddedIndex {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Relaxed);
    }
}

/// Whether an index that does not exist is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Yes,
    No,
}

impl Inner {
    fn slot(&self, place: &IndexPlace) -> Result<Arc<Slot>, Failure> {
        let name = folder::name(place)?;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(slots.entry(name).or_default()))
    }

    /// The open base of a slot; `None` where there is none and none is to be made.
    async fn open(
        self: &Arc<Self>,
        slot: &Slot,
        place: &IndexPlace,
        make: Make,
    ) -> Result<Option<Arc<Base>>, Failure> {
        let mut open = slot.open.lock().await;
        if let Some(open) = open.as_mut().filter(|open| !open.base.is_broken()) {
            open.used = Instant::now();
            return Ok(Some(Arc::clone(&open.base)));
        }
        *open = None;
        let root = Arc::clone(&self.root);
        let name = folder::name(place)?;
        let options = BaseOptions {
            folder: root.base(&name),
            durability: self.options.durability,
            readers: self.readers,
            graph_from: self.options.graph_from.max(1),
            stop: Arc::clone(&self.stop),
        };
        let base = blocking(move || {
            if make == Make::No && !truth::Truth::exists(&options.folder) {
                return Ok(None);
            }
            root.lock()?;
            Base::open(options).map(|base| Some(Arc::new(base)))
        })
        .await?;
        if let Some(base) = &base {
            *open = Some(Open {
                base: Arc::clone(base),
                used: Instant::now(),
            });
            self.sweep();
            if base.wants_graph() {
                build_graphs(base);
            }
        }
        Ok(base)
    }

    /// Waits while far more chunks have come than the graph has, so that searches stay fast and the
    /// next graph is not always late.
    async fn wait_for_graph(&self, base: &Arc<Base>) {
        let most = (self.options.graph_from as u64).saturating_mul(TAILS_WAITED_FOR);
        loop {
            let (tail, building) = base.tail();
            if tail < most || !building {
                return;
            }
            tokio::time::sleep(WAIT).await;
        }
    }

    /// Begins to look for unused bases, unless somebody does.
    fn sweep(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::downgrade(self);
        tokio::spawn(async move { while Self::sweep_once(&inner).await {} });
    }

    /// Whether there is more to do later.
    async fn sweep_once(inner: &Weak<Self>) -> bool {
        tokio::time::sleep(SWEEP).await;
        let Some(inner) = inner.upgrade() else {
            return false;
        };
        let left = inner.close_unused(UNUSED).await;
        if left == 0 {
            inner.sweeping.store(false, Ordering::Release);
        }
        left > 0
    }

    /// Closes what has not been used for so long, and what is too many; how many stay open.
    async fn close_unused(&self, unused: Duration) -> usize {
        let slots: Vec<_> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.values().cloned().collect()
        };
        let mut open = Vec::new();
        for slot in slots {
            let used = slot.open.lock().await.as_ref().map(|open| open.used);
            if let Some(used) = used {
                open.push((used, slot));
            }
        }
        open.sort_by_key(|(used, _)| *used);
        let mut left = open.len();
        for (used, slot) in open {
            if (used.elapsed() >= unused || left > OPEN_MAX) && close(&slot).await {
                left -= 1;
            }
        }
        left
    }
}

/// Closes a base that nobody uses; whether it is closed.
async fn close(slot: &Slot) -> bool {
    let mut open = slot.open.lock().await;
    // Copies are only made under the lock that is held here.
    match open.take_if(|open| Arc::strong_count(&open.base) == 1) {
        Some(Open { base, .. }) => {
            let rested = blocking(move || base.rest()).await;
            if let Err(failure) = rested {
                tracing::warn!(%failure, "index not closed in order");
            }
            true
        }
        None => open.is_none(),
    }
}

/// Builds graphs on a thread of its own: it takes long, and a runtime that shuts down waits for the
/// threads it lends.
fn build_graphs(base: &Arc<Base>) {
    if !base.take_building() {
        return;
    }
    let thread = std::thread::Builder::new().name("vector-graph".to_owned());
    let built = Arc::clone(base);
    if let Err(error) = thread.spawn(move || built.build_graphs()) {
        base.leave_building();
        tracing::warn!(%error, "vector graph not built: no thread");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::Thread)?
}

impl ChunkIndex for EmbeddedIndex {
    fn searches_text<'a>(
        &'a self,
        _place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        Box::pin(self.read(place, None, Base::identity))
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let (identity, document) = (identity.clone(), document.clone());
        if chunks.is_empty() {
            return Box::pin(self.write(place, Make::No, move |base| base.remove(&[document])));
        }
        Box::pin(self.write(place, Make::Yes, move |base| {
            base.put(&identity, &document, &chunks)
        }))
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let documents = documents.to_vec();
        Box::pin(self.write(place, Make::No, move |base| base.remove(&documents)))
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let source = data_source_id.to_owned();
        Box::pin(self.write(place, Make::No, move |base| base.remove_source(&source)))
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(async move {
            let slot = self.inner.slot(place)?;
            let writing = Arc::clone(&slot.writing).lock_owned().await;
            let mut open = slot.open.lock().await;
            if let Some(open) = open.take() {
                open.base.leave();
            }
            let root = Arc::clone(&self.inner.root);
            let name = folder::name(place)?;
            blocking(move || {
                let _writing = writing;
                root.remove(&name)
            })
            .await?;
            Ok(())
        })
    }

    fn documents<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
        after: Option<&'a DocumentLocation>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        let (source, after) = (data_source_id.to_owned(), after.cloned());
        Box::pin(self.read(place, Vec::new(), move |base| {
            base.documents(&source, after.as_ref(), limit)
        }))
    }

    fn search<'a>(
        &'a self,
        place: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        Box::pin(self.read(place, Vec::new(), move |base| base.search(&search)))
    }
}
