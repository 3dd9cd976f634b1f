//! How values stand in the database. What is written here is read by every later version.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{Metadata, MetadataValue};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A value of an attribute. A number stands as the bits of its double: a reader of decimal fractions may
/// be off by the last bit, and then the number would no longer equal itself in a filter.
#[derive(Serialize, Deserialize)]
enum Stored<'a> {
    #[serde(rename = "b")]
    Boolean(bool),
    #[serde(rename = "n")]
    Number(u64),
    #[serde(rename = "s")]
    String(Cow<'a, str>),
    #[serde(rename = "l")]
    StringList(Cow<'a, [String]>),
}

pub(super) fn write_metadata(metadata: &Metadata) -> Result<String, Failure> {
    let stored: BTreeMap<&str, Stored<'_>> = metadata
        .iter()
        .map(|(key, value)| {
            let stored = match value {
                MetadataValue::Boolean(value) => Stored::Boolean(*value),
                MetadataValue::Number(value) => Stored::Number(value.to_bits()),
                MetadataValue::String(value) => Stored::String(Cow::Borrowed(value)),
                MetadataValue::StringList(values) => Stored::StringList(Cow::Borrowed(values)),
            };
            (key.as_str(), stored)
        })
        .collect();
    Ok(serde_json::to_string(&stored)?)
}

pub(super) fn read_metadata(text: &str) -> Result<Metadata, Failure> {
    let stored: BTreeMap<String, Stored<'_>> = serde_json::from_str(text)?;
    Ok(stored
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Stored::Boolean(value) => MetadataValue::Boolean(value),
                Stored::Number(bits) => MetadataValue::Number(f64::from_bits(bits)),
                Stored::String(value) => MetadataValue::String(value.into_owned()),
                Stored::StringList(values) => MetadataValue::StringList(values.into_owned()),
            };
            (key, value)
        })
        .collect())
}

/// A vector as its numbers' bytes, little-endian.
pub(super) fn write_vector(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The numbers of a stored vector.
pub(super) fn read_vector(bytes: &[u8], vector: &mut Vec<f32>) {
    vector.clear();
    let (numbers, _) = bytes.as_chunks::<4>();
    vector.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
}

/// A location in two columns that sort as it does.
pub(super) fn location(location: &DocumentLocation) -> (i64, &str) {
    let kind = match location {
        DocumentLocation::S3 { .. } => 0,
        DocumentLocation::Custom { .. } => 1,
        DocumentLocation::Web { .. } => 2,
    };
    (kind, location.as_str())
}

pub(super) fn read_location(kind: i64, text: String) -> Result<DocumentLocation, Failure> {
    match kind {
        0 => Ok(DocumentLocation::S3 { uri: text }),
        1 => Ok(DocumentLocation::Custom { id: text }),
        2 => Ok(DocumentLocation::Web { url: text }),
        other => Err(Failure::Rejected(format!(
            "the index holds a document of a kind unknown to this version ({other})"
        ))),
    }
}

/// A limit as SQLite counts.
pub(super) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
