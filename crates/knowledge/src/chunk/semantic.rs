//! Chunks of sentences that are about the same thing (`SEMANTIC`).
//!
//! The machine asks for the embeddings of a document's sentences, some at a time, and keeps of them
//! only the distances between neighbours. Where a distance is above the percentile that is asked
//! for, the text is parted; a group that is too long for a chunk is packed like any other text.

use std::sync::Arc;

use super::atoms::{Atom, Atoms};
use super::{Chunk, ChunkError, collect, pack};

/// A document that waits for embeddings.
#[derive(Debug)]
pub struct Semantic {
    atoms: Atoms,
    max_tokens: usize,
    buffer: usize,
    percentile: u8,
    /// From each sentence to the one before, the first one missing.
    distances: Vec<f64>,
    /// How many vectors have come.
    embedded: usize,
    last: Vec<f32>,
}

impl Semantic {
    pub(super) fn new(atoms: Atoms, max_tokens: usize, buffer: usize, percentile: u8) -> Self {
        Self {
            atoms,
            max_tokens,
            buffer,
            percentile,
            distances: Vec::new(),
            embedded: 0,
            last: Vec::new(),
        }
    }

    /// How many texts there are to embed in all, and how many of them have been.
    pub fn progress(&self) -> (usize, usize) {
        (self.embedded, self.atoms.list().len())
    }

    /// The next texts to embed, at most `most` of them: sentences, each with its neighbours if these
    /// are asked for. None when all have been. Asked again before [`Semantic::add`], the same.
    pub fn texts(&self, most: usize) -> Vec<Arc<str>> {
        let all = self.atoms.list().len();
        let until = all.min(self.embedded.saturating_add(most));
        (self.embedded..until)
            .map(|at| {
                let from = at.saturating_sub(self.buffer);
                let to = all.min(at + self.buffer + 1);
                self.atoms.text(from..to).into()
            })
            .collect()
    }

    /// The vectors of the texts that were asked for last.
    ///
    /// # Errors
    /// [`ChunkError::Vectors`] where there are more than texts, or they cannot be compared.
    pub fn add(&mut self, vectors: Vec<Vec<f32>>) -> Result<(), ChunkError> {
        let wanted = self.atoms.list().len() - self.embedded;
        let error = |got| ChunkError::Vectors { wanted, got };
        if vectors.len() > wanted {
            return Err(error(vectors.len()));
        }
        for (index, vector) in vectors.into_iter().enumerate() {
            if self.embedded > 0 {
                if vector.len() != self.last.len() {
                    return Err(error(index));
                }
                self.distances.push(distance(&self.last, &vector));
            }
            self.embedded += 1;
            self.last = vector;
        }
        Ok(())
    }

    /// The chunks, once all texts are embedded.
    ///
    /// # Errors
    /// [`ChunkError::Vectors`] where texts are left, [`ChunkError::TooMany`].
    pub fn cut(self) -> Result<Vec<Chunk>, ChunkError> {
        let atoms = self.atoms.list();
        if self.embedded < atoms.len() {
            return Err(ChunkError::Vectors {
                wanted: atoms.len(),
                got: self.embedded,
            });
        }
        let mut starts: Vec<usize> = breaks(&self.distances, self.percentile)
            .map(|at| behind_headings(atoms, at))
            .collect();
        starts.insert(0, 0);
        starts.push(atoms.len());
        starts.dedup();
        let chunks = starts.windows(2).flat_map(|pair| {
            let first = pair[0];
            pack::runs(&atoms[first..pair[1]], self.max_tokens, 0)
                .map(move |run| first + run.start..first + run.end)
        });
        collect(chunks.map(|run| self.atoms.chunk(run, None)))
    }
}

/// The atoms before which the text is parted, ascending.
fn breaks(distances: &[f64], percentile: u8) -> impl Iterator<Item = usize> {
    let threshold = threshold(distances, percentile);
    distances
        .iter()
        .enumerate()
        .filter(move |(_, distance)| **distance > threshold)
        .map(|(index, _)| index + 1)
}

/// The percentile, interpolated between the two distances next to it.
fn threshold(distances: &[f64], percentile: u8) -> f64 {
    let mut sorted = distances.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::INFINITY;
    };
    let hundredths = last * usize::from(percentile);
    let (below, part) = (hundredths / 100, hundredths % 100);
    let low = sorted[below];
    let high = sorted[last.min(below + 1)];
    #[expect(clippy::cast_precision_loss, reason = "it is below 100")]
    let part = part as f64 / 100.0;
    low + (high - low) * part
}

/// A break behind headings goes before them: they belong to what follows.
fn behind_headings(atoms: &[Atom], at: usize) -> usize {
    let headings = atoms[..at].iter().rev().take_while(|atom| atom.heading);
    at - headings.count()
}

/// One minus the cosine.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let (mut dot, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    let lengths = f64::sqrt(of_a * of_b);
    if lengths > 0.0 && dot.is_finite() {
        1.0 - dot / lengths
    } else {
        1.0
    }
}
