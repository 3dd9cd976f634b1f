//! The graph over many vectors, in which a search looks at a few thousand of them (HNSW, by usearch).
//!
//! A graph is built by the side, saved, and from then on only read: it is mapped into memory, never
//! changed in place. Chunks that came later are compared one by one, and those that went are passed over,
//! until the next graph replaces this one. So no crash can damage it, and searches share it without locks.
//!
//! Not here: when to build one, and the file's place in the database (`base`).

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::failure::Failure;

/// Neighbours of a vector in the graph. 16 is what HNSW's authors and every engine use for texts; at
/// 32 the graph is twice as large and no better here (ADR 0018).
const CONNECTIVITY: usize = 16;
/// Candidates weighed for a vector's neighbours when it is put in.
const EXPANSION_ADD: usize = 128;
/// Candidates that a search keeps, at least: at 128 the graphs measured found 0.98 to 0.999 (ADR 0018).
const EXPANSION_SEARCH: usize = 192;
/// Threads that build one graph. More would leave none to whoever makes the vectors.
const BUILDERS_MAX: usize = 4;
/// Vectors that a builder takes at a time, so that the lock they are copied under is held briefly.
const TAKEN: usize = 256;

/// What the database remembers of a graph's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Saved {
    /// Name of the file in the index's folder.
    pub(super) file: String,
    /// All chunks up to this number that lived when it was built are in it.
    pub(super) through: u32,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// CRC-32 of its bytes.
    pub(super) checksum: u32,
}

/// A graph that is searched.
pub(super) struct Graph {
    index: Index,
    /// What is known of its file.
    pub(super) saved: Saved,
}

fn options(dimensions: usize) -> IndexOptions {
    IndexOptions {
        dimensions,
        metric: MetricKind::Cos,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: EXPANSION_SEARCH,
        multi: false,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn failed(failure: impl ToString) -> Failure {
    Failure::Graph(failure.to_string())
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str()
        .ok_or_else(|| Failure::Graph(format!("the path {} is not UTF-8", path.display())))
}

impl Graph {
    /// Maps a saved graph, if it is whole and of these dimensions. `readers` may search at once.
    pub(super) fn open(
        folder: &Path,
        saved: Saved,
        dimensions: usize,
        readers: usize,
    ) -> Result<Self, Failure> {
        let path = folder.join(&saved.file);
        if measure(&path)? != (saved.bytes, saved.checksum) {
            return Err(Failure::Graph("its file is damaged".to_owned()));
        }
        let index = Index::new(&options(dimensions)).map_err(failed)?;
        index
            .reserve_capacity_and_threads(1, readers)
            .map_err(failed)?;
        index.view(text(&path)?).map_err(failed)?;
        // What a file does not tell is the library's default again.
        index.change_expansion_search(EXPANSION_SEARCH);
        if index.dimensions() != dimensions || index.scalar_kind() != ScalarKind::I8 {
            return Err(Failure::Graph("its vectors are of another form".to_owned()));
        }
        Ok(Self { index, saved })
    }

    /// Vectors in it, the dead included.
    pub(super) fn len(&self) -> usize {
        self.index.size()
    }

    /// A chunk's code, if it is in the graph and `code` has room for exactly one.
    pub(super) fn code(&self, chunk: u32, code: &mut [i8]) -> bool {
        self.index
            .get(u64::from(chunk), code)
            .is_ok_and(|found| found == 1)
    }

    /// About the nearest chunks that `allowed` lets through.
    pub(super) fn search(
        &self,
        question: &[i8],
        wanted: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Result<Vec<(u32, f32)>, Failure> {
        let found = self
            .index
            .filtered_search(question, wanted.min(self.len()).max(1), |key| {
                u32::try_from(key).is_ok_and(&allowed)
            })
            .map_err(failed)?;
        Ok(found
            .keys
            .iter()
            .zip(&found.distances)
            .filter_map(|(key, distance)| Some((u32::try_from(*key).ok()?, 1.0 - distance)))
            .collect())
    }
}

/// What a graph is made of.
pub(super) struct Plan<'a> {
    /// Where it goes.
    pub(super) folder: &'a Path,
    /// Length of each vector.
    pub(super) dimensions: usize,
    /// The graph to add to; `None`: a new one.
    pub(super) base: Option<&'a Saved>,
    /// The chunks to add.
    pub(super) chunks: &'a [u32],
    /// The highest number that it covers.
    pub(super) through: u32,
    /// Says whether nobody wants it any more.
    pub(super) stopped: &'a (dyn Fn() -> bool + Sync),
}

/// Builds a graph and saves it; `None` where it was stopped. `copy` writes the codes of some chunks
/// that still live behind each other and names them.
pub(super) fn build(
    plan: &Plan<'_>,
    copy: impl Fn(&[u32], &mut Vec<u32>, &mut Vec<i8>) + Sync,
) -> Result<Option<Saved>, Failure> {
    let builders = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(BUILDERS_MAX);
    let index = Index::new(&options(plan.dimensions)).map_err(failed)?;
    if let Some(base) = plan.base {
        index
            .load(text(&plan.folder.join(&base.file))?)
            .map_err(failed)?;
        index.change_expansion_add(EXPANSION_ADD);
    }
    index
        .reserve_capacity_and_threads(index.size() + plan.chunks.len(), builders)
        .map_err(failed)?;
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Failure> {
        let (mut chunks, mut codes) = (Vec::new(), Vec::new());
        while !(plan.stopped)() {
            let start = next.fetch_add(TAKEN, Ordering::Relaxed);
            let Some(rest) = plan.chunks.get(start..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            chunks.clear();
            codes.clear();
            copy(rest.get(..TAKEN).unwrap_or(rest), &mut chunks, &mut codes);
            for (chunk, code) in chunks.iter().zip(codes.chunks_exact(plan.dimensions)) {
                index.add(u64::from(*chunk), code).map_err(failed)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..builders).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Failure::Thread)?)
    })?;
    if (plan.stopped)() {
        return Ok(None);
    }
    save(&index, plan).map(Some)
}

fn save(index: &Index, plan: &Plan<'_>) -> Result<Saved, Failure> {
    // A name that the graph in use does not have, though it may end at the same chunk.
    let file = format!("{}-{}.graph", plan.through, index.size());
    let path = plan.folder.join(&file);
    let draft = plan.folder.join("draft.graph");
    index.save(text(&draft)?).map_err(failed)?;
    File::open(&draft)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(Failure::file(&path))?;
    let (bytes, checksum) = measure(&path)?;
    Ok(Saved {
        file,
        through: plan.through,
        bytes,
        checksum,
    })
}

/// Size and checksum of a file.
fn measure(path: &Path) -> Result<(u64, u32), Failure> {
    let mut file = File::open(path).map_err(Failure::file(path))?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0_u64;
    loop {
        let read = file.read(&mut buffer).map_err(Failure::file(path))?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok((bytes, hasher.finalize()));
        };
        hasher.update(part);
        bytes += read as u64;
    }
}
