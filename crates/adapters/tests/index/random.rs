//! Seeded chunks, attributes and filters, the odd ones among them.

use std::sync::Arc;

use outcrop_engine::port::{DocumentKey, IndexedChunk, ParentChunk};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::{Metadata, MetadataValue};

/// Numbers that are the same in every run (xorshift64*).
pub(crate) struct Random(u64);

const KEYS: [&str; 6] = ["team", "year", "draft", "tags", "it's \"odd\"", "zero\0key"];
const STRINGS: [&str; 10] = [
    "hr",
    "HR",
    "hr-policies",
    "",
    "it's",
    "say \"hi\"",
    "naïve",
    "nul\0l",
    "\u{1}",
    "5",
];
const NUMBERS: [f64; 9] = [0.0, -0.0, 1.0, 5.0, 5.5, -2.0, 2024.0, 1e300, 0.1];
const WORDS: [&str; 12] = [
    "leave", "policy", "days", "manager", "travel", "expense", "the", "sick", "holiday", "report",
    "approve", "remote",
];

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    fn small(&mut self, bound: u16) -> u16 {
        u16::try_from(self.below(bound.into())).expect("below the bound")
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// A vector of unit length.
    pub(crate) fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..dimensions)
            .map(|_| f32::from(self.small(2_001)) / 1_000.0 - 1.0)
            .collect();
        vector[0] += 0.001;
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        for value in &mut vector {
            *value /= length;
        }
        vector
    }

    fn value(&mut self) -> MetadataValue {
        match self.below(4) {
            0 => MetadataValue::Boolean(self.below(2) == 0),
            1 => MetadataValue::Number(NUMBERS[self.below(NUMBERS.len())]),
            2 => MetadataValue::String(self.of(&STRINGS).to_owned()),
            _ => {
                let count = self.below(4);
                let items = (0..count).map(|_| self.of(&STRINGS).to_owned());
                MetadataValue::StringList(items.collect())
            }
        }
    }

    pub(crate) fn metadata(&mut self) -> Metadata {
        let mut metadata = Metadata::new();
        for key in KEYS {
            if self.below(3) > 0 {
                metadata.insert(key.to_owned(), self.value());
            }
        }
        let page = MetadataValue::Number(f64::from(self.small(4)) + 1.0);
        metadata.insert("x-amz-bedrock-kb-document-page-number".to_owned(), page);
        metadata
    }

    /// A filter; `depth` groups at most lie in each other.
    pub(crate) fn filter(&mut self, depth: usize) -> Filter {
        if depth > 0 && self.below(2) == 0 {
            let count = 2 + self.below(3);
            let filters = (0..count).map(|_| self.filter(depth - 1)).collect();
            return match self.below(2) {
                0 => Filter::All(filters),
                _ => Filter::Any(filters),
            };
        }
        let key = match self.below(8) {
            0 => "absent",
            1 => "x-amz-bedrock-kb-document-page-number",
            _ => self.of(&KEYS),
        };
        Filter::Attribute {
            key: key.to_owned(),
            condition: self.condition(),
        }
    }

    fn condition(&mut self) -> Condition {
        let number = NUMBERS[self.below(NUMBERS.len())];
        let string = self.of(&STRINGS).to_owned();
        match self.below(11) {
            0 => Condition::Equals(self.value()),
            1 => Condition::NotEquals(self.value()),
            2 => Condition::GreaterThan(number),
            3 => Condition::GreaterThanOrEquals(number),
            4 => Condition::LessThan(number),
            5 => Condition::LessThanOrEquals(number),
            6 => Condition::In((0..3).map(|_| self.value()).collect()),
            7 => Condition::NotIn((0..3).map(|_| self.value()).collect()),
            8 => Condition::StartsWith(string),
            9 => Condition::ListContains(string),
            // Part of a text, of no control character, which not every engine can look for.
            _ => Condition::StringContains(string.replace(['\0', '\u{1}'], "")),
        }
    }

    pub(crate) fn text(&mut self) -> String {
        let count = 3 + self.below(8);
        let words: Vec<&str> = (0..count).map(|_| self.of(&WORDS)).collect();
        words.join(" ")
    }

    pub(crate) fn chunks(
        &mut self,
        document: &str,
        count: usize,
        dimensions: usize,
    ) -> Vec<IndexedChunk> {
        (0..count)
            .map(|number| IndexedChunk {
                id: format!("{document}-{number:03}"),
                text: self.text().into(),
                vector: self.vector(dimensions),
                parent: (self.below(2) == 0).then(|| {
                    Arc::new(ParentChunk {
                        id: format!("{document}-parent-{}", number / 4),
                        text: self.text().into(),
                    })
                }),
                metadata: Arc::new(self.metadata()),
            })
            .collect()
    }
}

/// A document in S3.
pub(crate) fn document(source: &str, name: &str) -> DocumentKey {
    DocumentKey {
        data_source_id: source.to_owned(),
        location: DocumentLocation::S3 {
            uri: format!("s3://bucket/{name}"),
        },
    }
}
