//! Vectors in a quarter of their size, and comparing a question with many of them.
//!
//! A component is one signed byte, scaled by the vector's own largest, so a cosine is about two parts
//! in a thousand off. That is enough to choose candidates, whose exact cosines come from the database.

use roaring::RoaringBitmap;

/// The largest code.
const CODE_MAX: f32 = 127.0;

/// The codes of all chunks, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Codes {
    dimensions: usize,
    chunks: Vec<u32>,
    values: Vec<i8>,
    /// One over the length of each code, so that dot product times this is the cosine.
    weights: Vec<f32>,
}

/// A chunk and about its cosine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Its number.
    pub(super) chunk: u32,
    /// The higher the nearer.
    pub(super) score: f32,
}

/// The best of many candidates.
#[derive(Debug)]
pub(super) struct Best {
    wanted: usize,
    candidates: Vec<Candidate>,
    /// What is not above this is none of the best.
    floor: f32,
}

/// Writes a vector's code behind `codes`.
pub(super) fn encode(vector: &[f32], codes: &mut Vec<i8>) {
    let largest = vector
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 {
        CODE_MAX / largest
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the largest becomes 127, and the cast saturates"
    )]
    codes.extend(vector.iter().map(|value| (value * scale).round() as i8));
}

/// The code of one vector.
pub(super) fn code(vector: &[f32]) -> Vec<i8> {
    let mut codes = Vec::with_capacity(vector.len());
    encode(vector, &mut codes);
    codes
}

/// The cosine of two vectors; 0 where one of them has no length.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let (mut dot, mut one_squared, mut other_squared) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        one_squared += a * a;
        other_squared += b * b;
    }
    let lengths = (one_squared * other_squared).sqrt();
    if lengths > 0.0 { dot / lengths } else { 0.0 }
}

impl Codes {
    /// No codes yet.
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            chunks: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Chunks that have a code, the dead included.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Adds a chunk by its vector. Chunks come with rising numbers.
    pub(super) fn push(&mut self, chunk: u32, vector: &[f32]) {
        encode(vector, &mut self.values);
        self.finish(chunk);
    }

    /// Adds a chunk by its code.
    pub(super) fn push_code(&mut self, chunk: u32, code: &[i8]) {
        self.values.extend_from_slice(code);
        self.finish(chunk);
    }

    fn finish(&mut self, chunk: u32) {
        debug_assert!(self.chunks.last().is_none_or(|last| *last < chunk));
        let start = self.chunks.len() * self.dimensions;
        let code = self.values.get(start..).unwrap_or_default();
        #[expect(
            clippy::cast_precision_loss,
            reason = "the last bits do not matter here"
        )]
        let length = (dot(code, code) as f32).sqrt();
        self.weights
            .push(if length > 0.0 { length.recip() } else { 0.0 });
        self.chunks.push(chunk);
    }

    /// A chunk's code.
    pub(super) fn code(&self, chunk: u32) -> Option<&[i8]> {
        let place = self.chunks.binary_search(&chunk).ok()?;
        self.values
            .get(place * self.dimensions..(place + 1) * self.dimensions)
    }

    /// Compares a question with the chunks of a set that are numbered above `above`.
    pub(super) fn scan(
        &self,
        question: &[i8],
        chunks: &RoaringBitmap,
        above: Option<u32>,
        best: &mut Best,
    ) {
        let from = above.map_or(0, |above| {
            self.chunks.partition_point(|chunk| *chunk <= above)
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "the last bits do not matter here"
        )]
        let mut compare = |place: usize, chunk: u32, code: &[i8]| {
            let weight = self.weights.get(place).copied().unwrap_or(0.0);
            best.offer(Candidate {
                chunk,
                score: dot(question, code) as f32 * weight,
            });
        };
        // Few of many are looked up; many are walked along with all.
        if chunks.len() < (self.chunks.len() / 32) as u64 {
            let first = above.map_or(0, |above| above.saturating_add(1));
            let mut rest = from;
            for chunk in chunks.range(first..) {
                let Some(behind) = self.chunks.get(rest..) else {
                    break;
                };
                match behind.binary_search(&chunk) {
                    Ok(place) => {
                        rest += place;
                        if let Some(code) = self
                            .values
                            .get(rest * self.dimensions..(rest + 1) * self.dimensions)
                        {
                            compare(rest, chunk, code);
                        }
                        rest += 1;
                    }
                    Err(place) => rest += place,
                }
            }
            return;
        }
        let mut wanted = chunks.iter().peekable();
        let all = self
            .chunks
            .iter()
            .zip(self.values.chunks_exact(self.dimensions.max(1)));
        for (place, (chunk, code)) in all.enumerate().skip(from) {
            while wanted.peek().is_some_and(|wanted| wanted < chunk) {
                wanted.next();
            }
            match wanted.peek() {
                None => break,
                Some(wanted) if wanted == chunk => compare(place, *chunk, code),
                Some(_) => {}
            }
        }
    }

    /// Forgets the dead.
    pub(super) fn keep(&mut self, live: &RoaringBitmap) {
        let mut kept = Self::new(self.dimensions);
        let all = self
            .chunks
            .iter()
            .zip(self.values.chunks_exact(self.dimensions.max(1)));
        for (chunk, code) in all {
            if live.contains(*chunk) {
                kept.push_code(*chunk, code);
            }
        }
        *self = kept;
    }
}

impl Best {
    /// The `wanted` best, at least 1.
    pub(super) fn of(wanted: usize) -> Self {
        Self {
            wanted: wanted.max(1),
            candidates: Vec::new(),
            floor: f32::NEG_INFINITY,
        }
    }

    /// Takes a candidate, if it is good enough.
    #[inline]
    pub(super) fn offer(&mut self, candidate: Candidate) {
        if candidate.score > self.floor {
            self.candidates.push(candidate);
            // Cutting at twice as many makes each cut pay for itself.
            if self.candidates.len() >= self.wanted * 2 {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.candidates.len() > self.wanted {
            let (_, last, _) = self
                .candidates
                .select_nth_unstable_by(self.wanted - 1, |one, other| {
                    other.score.total_cmp(&one.score)
                });
            self.floor = last.score;
            self.candidates.truncate(self.wanted);
        }
    }

    /// The numbers of the best, in no order.
    pub(super) fn chunks(mut self) -> Vec<u32> {
        self.cut();
        self.candidates
            .into_iter()
            .map(|candidate| candidate.chunk)
            .collect()
    }
}

/// At most 16,129 times the dimensions, of which there are at most tens of thousands.
fn dot(one: &[i8], other: &[i8]) -> i32 {
    one.iter()
        .zip(other)
        .map(|(a, b)| i32::from(*a) * i32::from(*b))
        .sum()
}
