//! What is in memory of one knowledge base's index: which chunks live, their codes and attributes, and
//! the graph.

use std::borrow::Cow;
use std::path::Path;

use outcrop_engine::port::{EmbeddingIdentity, IndexedChunk};
use outcrop_knowledge::filter::Filter;
use roaring::RoaringBitmap;

use super::attributes::Attributes;
use super::failure::Failure;
use super::graph::Graph;
use super::truth::{Change, Truth};
use super::vectors::{Best, Candidate, Codes, code};

/// Dead chunks that may stay in memory besides a third of those that live.
const DEAD_MAX: u64 = 4096;
/// A set of chunks is compared one by one while it has at most this times the root of all of them;
/// then both ways take about the same time (ADR 0018).
const SCANNED_PER_ROOT: u64 = 100;
/// A tail may grow to this part of its graph, and to this many times the smallest one, before the next
/// graph is built: building copies the whole graph, comparing only the tail.
const TAIL_SHARE: u64 = 16;
const TAILS_MAX: u64 = 4;

/// See the module.
pub(super) struct State {
    /// What makes the vectors; `None` until there are some.
    pub(super) identity: Option<EmbeddingIdentity>,
    /// The chunks that are in the database.
    pub(super) live: RoaringBitmap,
    /// Their codes, from the first chunk on.
    pub(super) codes: Option<Codes>,
    /// Their attributes, once a filter has asked.
    pub(super) attributes: Option<Attributes>,
    /// The graph over most of them, if there are many.
    pub(super) graph: Option<Graph>,
}

impl State {
    /// Reads what the database has. A graph that is not whole is left out, and built anew later.
    pub(super) fn load(folder: &Path, truth: &Truth, readers: usize) -> Result<Self, Failure> {
        let identity = truth.identity()?;
        let mut state = Self {
            live: truth.live()?,
            codes: None,
            attributes: None,
            graph: None,
            identity,
        };
        let Some(dimensions) = state.dimensions() else {
            return Ok(state);
        };
        if let Some(saved) = truth.graph()? {
            match Graph::open(folder, saved, dimensions, readers) {
                Ok(graph) => state.graph = Some(graph),
                Err(failure) => {
                    tracing::warn!(folder = %folder.display(), %failure, "vector graph built anew");
                }
            }
        }
        let mut codes = state.codes_of_graph(dimensions).unwrap_or_else(|| {
            state.graph = None;
            Codes::new(dimensions)
        });
        let above = state.graph.as_ref().map(|graph| graph.saved.through);
        truth.each_vector(above, |chunk, vector| codes.push(chunk, vector))?;
        state.codes = Some(codes);
        Ok(state)
    }

    /// The codes of all living chunks that the graph covers; `None` if it lacks one.
    fn codes_of_graph(&self, dimensions: usize) -> Option<Codes> {
        let mut codes = Codes::new(dimensions);
        let Some(graph) = &self.graph else {
            return Some(codes);
        };
        let mut code = vec![0; dimensions];
        for chunk in self.live.range(..=graph.saved.through) {
            if !graph.code(chunk, &mut code) {
                return None;
            }
            codes.push_code(chunk, &code);
        }
        Some(codes)
    }

    /// The length of each vector.
    pub(super) fn dimensions(&self) -> Option<usize> {
        self.identity
            .as_ref()
            .map(|identity| usize::try_from(identity.dimensions).unwrap_or(usize::MAX))
    }

    /// Takes over a committed write.
    pub(super) fn apply(
        &mut self,
        identity: Option<&EmbeddingIdentity>,
        change: &Change,
        chunks: &[IndexedChunk],
    ) {
        if self.identity.is_none() {
            self.identity = identity.cloned();
        }
        for chunk in &change.removed {
            self.live.remove(*chunk);
        }
        if let Some(dimensions) = self.dimensions() {
            let codes = self.codes.get_or_insert_with(|| Codes::new(dimensions));
            for (number, chunk) in change.added.iter().zip(chunks) {
                self.live.insert(*number);
                codes.push(*number, &chunk.vector);
                if let Some(attributes) = &mut self.attributes {
                    attributes.add(*number, &chunk.metadata);
                }
            }
        }
        self.bury();
    }

    /// Gives back the memory of the dead, once it is much.
    fn bury(&mut self) {
        if let Some(codes) = &mut self.codes {
            let dead = codes.len() as u64 - self.live.len().min(codes.len() as u64);
            if dead > DEAD_MAX + self.live.len() / 3 {
                codes.keep(&self.live);
                self.attributes = None;
            }
        }
    }

    /// Living chunks that came after the graph.
    pub(super) fn tail(&self) -> u64 {
        self.live.len() - self.in_graph(&self.live)
    }

    /// Chunks of a set that the graph covers.
    fn in_graph(&self, chunks: &RoaringBitmap) -> u64 {
        self.graph
            .as_ref()
            .map_or(0, |graph| chunks.rank(graph.saved.through))
    }

    /// Whether the next graph should be built: the tail is long, or half of the graph is dead.
    pub(super) fn graph_due(&self, smallest: usize) -> bool {
        let smallest = smallest as u64;
        match &self.graph {
            None => self.live.len() >= smallest,
            Some(graph) => {
                let all = graph.len() as u64;
                let tail = (all / TAIL_SHARE).clamp(smallest, smallest * TAILS_MAX);
                self.tail() >= tail || self.graph_is_dead()
            }
        }
    }

    /// Whether more than half of the graph is dead.
    pub(super) fn graph_is_dead(&self) -> bool {
        self.graph
            .as_ref()
            .is_some_and(|graph| self.in_graph(&self.live) * 2 < graph.len() as u64)
    }

    /// The living chunks that a filter lets through; `None` while the attributes are not loaded.
    pub(super) fn allowed(&self, filter: Option<&Filter>) -> Option<Cow<'_, RoaringBitmap>> {
        let Some(filter) = filter else {
            return Some(Cow::Borrowed(&self.live));
        };
        self.attributes
            .as_ref()
            .map(|attributes| Cow::Owned(attributes.matching(filter, &self.live)))
    }

    /// About the nearest of the allowed chunks.
    pub(super) fn nearest(
        &self,
        question: &[f32],
        allowed: &RoaringBitmap,
        wanted: usize,
    ) -> Result<Vec<u32>, Failure> {
        let Some(codes) = &self.codes else {
            return Ok(Vec::new());
        };
        let question = code(question);
        let mut best = Best::of(wanted);
        let scanned_max = SCANNED_PER_ROOT * (codes.len() as u64).isqrt();
        match &self.graph {
            Some(graph) if self.in_graph(allowed) > scanned_max => {
                let found = graph.search(&question, wanted, |chunk| allowed.contains(chunk))?;
                for (chunk, score) in found {
                    best.offer(Candidate { chunk, score });
                }
                codes.scan(&question, allowed, Some(graph.saved.through), &mut best);
            }
            _ => codes.scan(&question, allowed, None, &mut best),
        }
        Ok(best.chunks())
    }
}
