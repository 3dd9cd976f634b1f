//! One knowledge base's open index: the database, and in step with it what is derived.
//!
//! A write is made in the database and then taken over in memory under one lock, and a search takes its
//! view of both under that lock. So a search sees a document whole, as it was before or after a write.
//! All of this blocks; `embedded` calls it on threads that may.
//!
//! Invariant: locks are taken in the order writer, text, state.

mod search;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use outcrop_engine::port::{DocumentKey, EmbeddingIdentity, IndexedChunk};
use outcrop_knowledge::document::DocumentLocation;

use super::failure::Failure;
use super::graph::{self, Graph, Plan};
use super::state::State;
use super::text::Text;
use super::truth::{Change, Durability, Truth, Write};

/// Connections that stay open for searches; more are opened while many search at once.
const READERS_KEPT: usize = 4;
/// Documents that are taken out in one transaction, so that none grows without limit.
const REMOVED_AT_ONCE: usize = 256;

/// How an index is opened.
#[derive(Clone, Debug)]
pub(super) struct BaseOptions {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// What a write survives.
    pub(super) durability: Durability,
    /// Searches that may run at once.
    pub(super) readers: usize,
    /// Chunks from which on there is a graph.
    pub(super) graph_from: usize,
    /// Set when the whole index is dropped.
    pub(super) stop: Arc<AtomicBool>,
}

/// See the module.
pub(super) struct Base {
    options: BaseOptions,
    writer: Mutex<Truth>,
    text: Mutex<Option<Text>>,
    state: RwLock<State>,
    readers: Mutex<Vec<Truth>>,
    building: AtomicBool,
    gone: AtomicBool,
}

impl Base {
    /// Opens the index, and makes it where it is missing.
    pub(super) fn open(options: BaseOptions) -> Result<Self, Failure> {
        fs::create_dir_all(&options.folder).map_err(Failure::file(&options.folder))?;
        let truth = Truth::open(&options.folder, options.durability)?;
        let state = State::load(&options.folder, &truth, options.readers)?;
        Ok(Self {
            options,
            writer: Mutex::new(truth),
            text: Mutex::new(None),
            state: RwLock::new(state),
            readers: Mutex::default(),
            building: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        })
    }

    /// What made the vectors.
    pub(super) fn identity(&self) -> Result<Option<EmbeddingIdentity>, Failure> {
        Ok(self.read()?.identity.clone())
    }

    /// Gives a document these chunks in place of all it had.
    pub(super) fn put(
        &self,
        identity: &EmbeddingIdentity,
        document: &DocumentKey,
        chunks: &[IndexedChunk],
    ) -> Result<(), Failure> {
        check(identity, chunks)?;
        let mut writer = lock(&self.writer)?;
        let known = self.read()?.identity.clone();
        if let Some(known) = &known
            && known != identity
        {
            return Err(Failure::Identity {
                holds: known.clone(),
                wanted: identity.clone(),
            });
        }
        let mut text = self.text(&writer)?;
        let mut change = Change::default();
        let write = writer.begin()?;
        if known.is_none() {
            write.set_identity(identity)?;
        }
        write.remove(document, &mut change)?;
        write.add(document, chunks, &mut change)?;
        self.commit(write, &mut text, Some(identity), &change, chunks)
    }

    /// Takes documents out.
    pub(super) fn remove(&self, documents: &[DocumentKey]) -> Result<(), Failure> {
        let mut writer = lock(&self.writer)?;
        let mut text = self.text(&writer)?;
        for documents in documents.chunks(REMOVED_AT_ONCE) {
            let mut change = Change::default();
            let write = writer.begin()?;
            for document in documents {
                write.remove(document, &mut change)?;
            }
            self.commit(write, &mut text, None, &change, &[])?;
        }
        Ok(())
    }

    /// Takes out all documents of a data source.
    pub(super) fn remove_source(&self, source: &str) -> Result<(), Failure> {
        let mut writer = lock(&self.writer)?;
        let mut text = self.text(&writer)?;
        loop {
            let mut change = Change::default();
            let write = writer.begin()?;
            let documents = write.some_of_source(source, REMOVED_AT_ONCE)?;
            if documents.is_empty() {
                return Ok(());
            }
            for document in documents {
                write.remove_document(document, &mut change)?;
            }
            self.commit(write, &mut text, None, &change, &[])?;
        }
    }

    /// The documents of a data source in order, those behind `after`.
    pub(super) fn documents(
        &self,
        source: &str,
        after: Option<&DocumentLocation>,
        limit: usize,
    ) -> Result<Vec<DocumentLocation>, Failure> {
        self.with_reader(|truth| truth.documents(source, after, limit))
    }

    fn commit(
        &self,
        write: Write<'_>,
        text: &mut MutexGuard<'_, Option<Text>>,
        identity: Option<&EmbeddingIdentity>,
        change: &Change,
        chunks: &[IndexedChunk],
    ) -> Result<(), Failure> {
        {
            let mut state = self.write()?;
            write.commit()?;
            state.apply(identity, change, chunks);
        }
        if let Some(open) = &mut **text {
            let mut follow = || -> Result<(), Failure> {
                for chunk in &change.removed {
                    open.remove(*chunk)?;
                }
                for (number, chunk) in change.added.iter().zip(chunks) {
                    open.add(*number, &chunk.text)?;
                }
                Ok(())
            };
            if let Err(failure) = follow() {
                // The write has been made. Opened anew, the text index catches up with it.
                tracing::warn!(folder = %self.options.folder.display(), %failure, "text index fell behind");
                **text = None;
            }
        }
        Ok(())
    }

    /// The text index, opened if it is not.
    fn text(&self, truth: &Truth) -> Result<MutexGuard<'_, Option<Text>>, Failure> {
        let mut text = lock(&self.text)?;
        if text.is_none() {
            let live = self.read()?.live.clone();
            *text = Some(Text::open(&self.options.folder, truth, &live)?);
        }
        Ok(text)
    }

    /// Whether a graph should be built and nobody does.
    pub(super) fn wants_graph(&self) -> bool {
        !self.building.load(Ordering::Relaxed)
            && self
                .read()
                .is_ok_and(|state| state.graph_due(self.options.graph_from))
    }

    /// Living chunks that came after the graph, and whether one is being built.
    pub(super) fn tail(&self) -> (u64, bool) {
        let tail = self.read().map_or(0, |state| state.tail());
        (tail, self.building.load(Ordering::Relaxed))
    }

    /// Takes the building of graphs upon itself; `false` where somebody has. Who has it calls
    /// [`Base::build_graphs`] or [`Base::leave_building`].
    pub(super) fn take_building(&self) -> bool {
        !self.building.swap(true, Ordering::AcqRel)
    }

    /// Ends what [`Base::take_building`] began.
    pub(super) fn leave_building(&self) {
        self.building.store(false, Ordering::Release);
    }

    /// Builds graphs until none is due. It takes seconds to minutes, and searches go on meanwhile.
    pub(super) fn build_graphs(&self) {
        loop {
            match self.build_graph() {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => {
                    tracing::warn!(folder = %self.options.folder.display(), %failure, "vector graph not built");
                    break;
                }
            }
        }
        self.leave_building();
    }

    fn stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed) || self.gone.load(Ordering::Relaxed)
    }

    /// Builds one graph, if it is due; whether it did.
    fn build_graph(&self) -> Result<bool, Failure> {
        let folder = &self.options.folder;
        let (chunks, base, through, dimensions) = {
            let state = self.read()?;
            let (Some(dimensions), Some(through)) = (state.dimensions(), state.live.max()) else {
                return Ok(false);
            };
            if !state.graph_due(self.options.graph_from) {
                return Ok(false);
            }
            let base = match &state.graph {
                Some(graph) if !state.graph_is_dead() => Some(graph.saved.clone()),
                _ => None,
            };
            let first = base
                .as_ref()
                .map_or(0, |base| base.through.saturating_add(1));
            let chunks: Vec<u32> = state.live.range(first..).collect();
            (chunks, base, through, dimensions)
        };
        let plan = Plan {
            folder,
            dimensions,
            base: base.as_ref(),
            chunks: &chunks,
            through,
            stopped: &|| self.stopped(),
        };
        let saved = graph::build(&plan, |wanted, chunks, codes| {
            let Ok(state) = self.read() else {
                return;
            };
            let Some(all) = &state.codes else {
                return;
            };
            for chunk in wanted.iter().filter(|chunk| state.live.contains(**chunk)) {
                if let Some(code) = all.code(*chunk) {
                    chunks.push(*chunk);
                    codes.extend_from_slice(code);
                }
            }
        })?;
        let Some(saved) = saved else {
            return Ok(false);
        };
        let graph = Graph::open(folder, saved.clone(), dimensions, self.options.readers)?;
        lock(&self.writer)?.set_graph(&saved)?;
        let before = self.write()?.graph.replace(graph);
        if let Some(before) = before.filter(|before| before.saved.file != saved.file) {
            let path = folder.join(&before.saved.file);
            drop(before);
            fs::remove_file(&path).map_err(Failure::file(&path))?;
        }
        Ok(true)
    }

    /// Says that the index is being deleted, so that what goes on ends.
    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Writes what waits, before the index is closed.
    pub(super) fn rest(&self) -> Result<(), Failure> {
        match &mut *lock(&self.text)? {
            Some(text) if self.stopped() => text.leave(),
            Some(text) => text.rest(),
            None => Ok(()),
        }
    }

    fn with_reader<T>(
        &self,
        read: impl FnOnce(&Truth) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reader = self.reader()?;
        // Only kept where all went well: it may be within a transaction.
        let result = read(&reader)?;
        self.keep(reader)?;
        Ok(result)
    }

    fn reader(&self) -> Result<Truth, Failure> {
        let kept = lock(&self.readers)?.pop();
        match kept {
            Some(reader) => Ok(reader),
            None => Truth::open(&self.options.folder, self.options.durability),
        }
    }

    fn keep(&self, reader: Truth) -> Result<(), Failure> {
        let mut readers = lock(&self.readers)?;
        if readers.len() < READERS_KEPT {
            readers.push(reader);
        }
        Ok(())
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, State>, Failure> {
        self.state.read().map_err(|_| Failure::Broken)
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, State>, Failure> {
        self.state.write().map_err(|_| Failure::Broken)
    }

    /// Whether a panic left a lock behind, after which nothing in memory can be relied on.
    pub(super) fn is_broken(&self) -> bool {
        self.state.is_poisoned() || self.writer.is_poisoned() || self.text.is_poisoned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Failure> {
    mutex.lock().map_err(|_| Failure::Broken)
}

/// Whether the vectors are what their identity says.
fn check(identity: &EmbeddingIdentity, chunks: &[IndexedChunk]) -> Result<(), Failure> {
    let dimensions = usize::try_from(identity.dimensions).unwrap_or(usize::MAX);
    if dimensions == 0 {
        return Err(Failure::Rejected(
            "vectors need at least one dimension".to_owned(),
        ));
    }
    for chunk in chunks {
        if chunk.vector.len() != dimensions {
            return Err(Failure::Rejected(format!(
                "the vector of chunk {} has {} dimensions, not {dimensions}",
                chunk.id,
                chunk.vector.len(),
            )));
        }
        if chunk.vector.iter().any(|value| !value.is_finite()) {
            return Err(Failure::Rejected(format!(
                "the vector of chunk {} holds a number that is not finite",
                chunk.id
            )));
        }
    }
    Ok(())
}
