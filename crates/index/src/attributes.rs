//! Which chunks have which attributes, in memory: a filter becomes the set of chunks it lets through.
//!
//! For each attribute there is each value with the chunks that have it, in order. A condition looks its
//! values up, or is asked of each value once, not of each chunk, by [`Condition::matches`] itself.
//! Chunks that are gone may stand here for a while; whoever asks intersects with those that live.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{self, Excluded, Included};

use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::{Metadata, MetadataValue};
use roaring::RoaringBitmap;

/// A set is put in order by marking a bit for each number while that takes at most so many bytes for each
/// chunk in it; this also bounds the memory it takes.
const BYTES_PER_CHUNK: usize = 4;

/// The attributes of all chunks.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    columns: HashMap<String, BTreeMap<Value, Chunks>>,
}

/// The chunks that have one value. Most values of some attributes (a document's address) have few.
#[derive(Debug)]
enum Chunks {
    One(u32),
    Many(Box<RoaringBitmap>),
}

/// A value with the order that a map needs. Values are equal exactly where `MetadataValue` says so:
/// the two zeros are one, and NaN, which no JSON has, does not occur.
#[derive(Clone, Debug)]
struct Value(MetadataValue);

impl Attributes {
    /// Adds a chunk. Chunks come with rising numbers.
    pub(super) fn add(&mut self, chunk: u32, metadata: &Metadata) {
        for (key, value) in metadata {
            if !self.columns.contains_key(key) {
                self.columns.insert(key.clone(), BTreeMap::new());
            }
            let Some(column) = self.columns.get_mut(key) else {
                continue;
            };
            let value = Value(value.clone());
            match column.get_mut(&value) {
                Some(chunks) => chunks.add(chunk),
                None => {
                    column.insert(value, Chunks::One(chunk));
                }
            }
        }
    }

    /// The living chunks that a filter lets through.
    pub(super) fn matching(&self, filter: &Filter, live: &RoaringBitmap) -> RoaringBitmap {
        match filter {
            Filter::All(filters) => {
                let mut all = live.clone();
                for filter in filters {
                    if all.is_empty() {
                        break;
                    }
                    all &= self.matching(filter, live);
                }
                all
            }
            Filter::Any(filters) => {
                let mut any = RoaringBitmap::new();
                for filter in filters {
                    any |= self.matching(filter, live);
                }
                any
            }
            Filter::Attribute { key, condition } => {
                Self::with(self.columns.get(key.as_str()), condition, live)
            }
        }
    }

    fn with(
        column: Option<&BTreeMap<Value, Chunks>>,
        condition: &Condition,
        live: &RoaringBitmap,
    ) -> RoaringBitmap {
        let Some(column) = column else {
            return if condition.matches(None) {
                live.clone()
            } else {
                RoaringBitmap::new()
            };
        };
        let one = |value: &MetadataValue| union(column.get(&Value(value.clone())));
        let several = |values: &[MetadataValue]| {
            union(
                values
                    .iter()
                    .filter_map(|value| column.get(&Value(value.clone()))),
            )
        };
        match condition {
            Condition::Equals(value) => one(value) & live,
            Condition::NotEquals(value) => live - one(value),
            Condition::In(values) => several(values) & live,
            Condition::NotIn(values) => live - several(values),
            Condition::GreaterThan(limit) => {
                numbers(column, Excluded(*limit), Included(f64::INFINITY)) & live
            }
            Condition::GreaterThanOrEquals(limit) => {
                numbers(column, Included(*limit), Included(f64::INFINITY)) & live
            }
            Condition::LessThan(limit) => {
                numbers(column, Included(f64::NEG_INFINITY), Excluded(*limit)) & live
            }
            Condition::LessThanOrEquals(limit) => {
                numbers(column, Included(f64::NEG_INFINITY), Included(*limit)) & live
            }
            Condition::StartsWith(_)
            | Condition::ListContains(_)
            | Condition::StringContains(_) => {
                let matching = column
                    .iter()
                    .filter(|(value, _)| condition.matches(Some(&value.0)))
                    .map(|(_, chunks)| chunks);
                union(matching) & live
            }
        }
    }
}

impl Chunks {
    fn add(&mut self, chunk: u32) {
        match self {
            Self::One(first) => *self = Self::Many(Box::new([*first, chunk].into_iter().collect())),
            Self::Many(chunks) => {
                chunks.insert(chunk);
            }
        }
    }
}

/// The chunks whose value is a number between these. There may be as many numbers as chunks, so they are
/// not asked one by one. Nothing is above or below NaN.
fn numbers(column: &BTreeMap<Value, Chunks>, from: Bound<f64>, to: Bound<f64>) -> RoaringBitmap {
    let nan =
        |bound: &Bound<f64>| matches!(bound, Included(limit) | Excluded(limit) if limit.is_nan());
    if nan(&from) || nan(&to) {
        return RoaringBitmap::new();
    }
    let value = |number: f64| Value(MetadataValue::Number(number));
    union(
        column
            .range((from.map(value), to.map(value)))
            .map(|(_, chunks)| chunks),
    )
}

/// All chunks of some values. Single ones are gathered and put in order first, which is far faster than
/// putting each into the set when there are many.
fn union<'a>(values: impl IntoIterator<Item = &'a Chunks>) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    let mut single = Vec::new();
    for chunks in values {
        match chunks {
            Chunks::One(chunk) => single.push(*chunk),
            Chunks::Many(chunks) => all |= &**chunks,
        }
    }
    all |= set(single);
    all
}

/// The set of these chunks, in whatever order they come.
fn set(mut chunks: Vec<u32>) -> RoaringBitmap {
    let bytes = chunks.iter().max().map_or(0, |last| *last as usize / 8 + 1);
    if bytes > chunks.len().saturating_mul(BYTES_PER_CHUNK) {
        chunks.sort_unstable();
        return chunks.into_iter().collect();
    }
    // So dense that a bit for each number is less work than sorting.
    let mut bits = vec![0_u8; bytes];
    for chunk in chunks {
        if let Some(byte) = bits.get_mut(chunk as usize / 8) {
            *byte |= 1 << (chunk % 8);
        }
    }
    RoaringBitmap::from_lsb0_bytes(0, &bits)
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        use MetadataValue as V;
        match (&self.0, &other.0) {
            (V::Boolean(this), V::Boolean(other)) => this.cmp(other),
            (V::Number(this), V::Number(other)) => (this + 0.0).total_cmp(&(other + 0.0)),
            (V::String(this), V::String(other)) => this.cmp(other),
            (V::StringList(this), V::StringList(other)) => this.cmp(other),
            (this, other) => kind(this).cmp(&kind(other)),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

fn kind(value: &MetadataValue) -> u8 {
    match value {
        MetadataValue::Boolean(_) => 0,
        MetadataValue::Number(_) => 1,
        MetadataValue::String(_) => 2,
        MetadataValue::StringList(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_same_dense_or_sparse() {
        for chunks in [
            vec![],
            vec![0],
            vec![7, 0, 8, 3],
            (0..1_000).rev().step_by(3).collect(),
            vec![u32::MAX, 0, 70_000],
        ] {
            let expected: Vec<u32> = chunks
                .iter()
                .copied()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect();
            let found: Vec<u32> = set(chunks).into_iter().collect();
            assert_eq!(found, expected);
        }
    }
}
