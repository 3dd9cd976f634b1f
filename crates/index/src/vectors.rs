//! Vectors in a quarter of their size, and comparing a question with many of them.
//!
//! A component is one signed byte, scaled by the vector's own largest, so a cosine is about two parts
//! in a thousand off. That is enough to choose candidates, whose exact cosines come from the database.

use roaring::RoaringBitmap;
use rten_simd::{Isa, SimdOp};

/// The largest code.
const CODE_MAX: f32 = 127.0;

/// The codes of all chunks, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Codes {
    dimensions: usize,
    chunks: Vec<u32>,
    values: Vec<i8>,
    /// Of each code, [`weight`].
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
        self.weights.push(weight(code));
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
        Scan {
            codes: self,
            question,
            weight: weight(question),
            chunks,
            from: above.map_or(0, |above| above.saturating_add(1)),
            best,
        }
        .dispatch();
    }

    /// The place of a chunk that is at or behind `from`, or else of the first one above it.
    fn place(&self, from: usize, chunk: u32) -> Result<usize, usize> {
        let behind = self.chunks.get(from..).unwrap_or_default();
        // Numbers only rise, so it is at most as many places on as it is numbers on; mostly just that.
        let furthest = match behind.first() {
            Some(first) if *first <= chunk => (chunk - first) as usize,
            _ => return Err(from),
        };
        if behind.get(furthest) == Some(&chunk) {
            return Ok(from + furthest);
        }
        let near = behind.get(..furthest).unwrap_or(behind);
        near.binary_search(&chunk)
            .map(|place| from + place)
            .map_err(|place| from + place)
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

/// [`Codes::scan`], compiled for each set of vector instructions and run with the best that the
/// processor has.
struct Scan<'a> {
    codes: &'a Codes,
    question: &'a [i8],
    weight: f32,
    chunks: &'a RoaringBitmap,
    from: u32,
    best: &'a mut Best,
}

impl SimdOp for Scan<'_> {
    type Output = ();

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined is compiled for those instructions"
    )]
    #[inline(always)]
    fn eval<I: Isa>(self, _isa: I) {
        let codes = self.codes;
        let mut next = 0;
        for chunk in self.chunks.range(self.from..) {
            let place = match codes.place(next, chunk) {
                Ok(place) => place,
                Err(place) if place < codes.chunks.len() => {
                    next = place;
                    continue;
                }
                Err(_) => break,
            };
            next = place + 1;
            let code = codes
                .values
                .get(place * codes.dimensions..next * codes.dimensions);
            let (Some(code), Some(weight)) = (code, codes.weights.get(place)) else {
                break;
            };
            #[expect(
                clippy::cast_precision_loss,
                reason = "the last bits do not matter here"
            )]
            let score = dot(self.question, code) as f32 * weight * self.weight;
            self.best.offer(Candidate { chunk, score });
        }
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

/// One over the length of a code, so that a dot product times both codes' is their cosine.
#[expect(
    clippy::cast_precision_loss,
    reason = "the last bits do not matter here"
)]
fn weight(code: &[i8]) -> f32 {
    let length = (dot(code, code) as f32).sqrt();
    if length > 0.0 { length.recip() } else { 0.0 }
}

/// At most 16,129 times the dimensions, of which there are at most tens of thousands.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the instructions of a scan"
)]
#[inline(always)]
fn dot(one: &[i8], other: &[i8]) -> i32 {
    one.iter()
        .zip(other)
        .map(|(a, b)| i32::from(*a) * i32::from(*b))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of the chunks 3, 4, 10, 11, 12 and 900: the larger the number, the nearer to `[1, 0]`.
    fn codes() -> Codes {
        let mut codes = Codes::new(2);
        for chunk in [3_u8, 4, 10, 11, 12] {
            codes.push(u32::from(chunk), &[f32::from(chunk), 20.0]);
        }
        codes.push(900, &[1.0, 0.0]);
        codes
    }

    fn found(chunks: &[u32], above: Option<u32>, wanted: usize) -> Vec<u32> {
        let mut best = Best::of(wanted);
        let chunks = chunks.iter().copied().collect();
        codes().scan(&code(&[1.0, 0.0]), &chunks, above, &mut best);
        let mut found = best.chunks();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_scan_compares_exactly_the_chunks_that_are_wanted() {
        let all = [3, 4, 10, 11, 12, 900];
        for (chunks, above, expected) in [
            (&all[..], None, &all[..]),
            (&all[..], Some(4), &[10, 11, 12, 900]),
            (&all[..], Some(u32::MAX), &[]),
            // Those that have no code are passed over, before, between and behind.
            (&[0, 2, 5, 9, 11, 13, 899, 901], None, &[11]),
            (&[1, 900, 5_000_000], Some(0), &[900]),
            (&[], None, &[]),
        ] {
            assert_eq!(found(chunks, above, 9), expected, "{chunks:?} {above:?}");
        }
        assert_eq!(found(&all, None, 2), [12, 900], "the nearest");
    }

    #[test]
    fn a_scan_scores_like_the_cosine() {
        let dimensions = 100;
        let number = |seed: usize| {
            let number = u16::try_from(seed * 7_919 % 2_003).expect("below 2,003");
            f32::from(number) / 1_000.0 - 1.0
        };
        let vector = |of: usize| -> Vec<f32> {
            (0..dimensions)
                .map(|at| number(of * dimensions + at))
                .collect()
        };
        let mut codes = Codes::new(dimensions);
        for chunk in 0..20_u32 {
            codes.push(chunk, &vector(chunk as usize));
        }
        let question = vector(77);
        let mut best = Best::of(20);
        codes.scan(&code(&question), &(0..20).collect(), None, &mut best);
        for Candidate { chunk, score } in best.candidates {
            let exact = cosine(&question, &vector(chunk as usize));
            assert!((f64::from(score) - exact).abs() < 0.01, "{score} {exact}");
        }
    }
}
