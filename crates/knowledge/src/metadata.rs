//! Attributes of documents, as filters see them and as results show them (behaviour.md 9.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Keys that begin so are the service's own.
pub const RESERVED_PREFIX: &str = "x-amz-bedrock";
/// Where the document is: its URI.
pub const SOURCE_URI: &str = "x-amz-bedrock-kb-source-uri";
/// The data source it came through.
pub const DATA_SOURCE_ID: &str = "x-amz-bedrock-kb-data-source-id";
/// The chunk.
pub const CHUNK_ID: &str = "x-amz-bedrock-kb-chunk-id";
/// The page that the chunk begins on, from 1, a number.
pub const PAGE_NUMBER: &str = "x-amz-bedrock-kb-document-page-number";

/// The attributes of a document, by name.
pub type Metadata = BTreeMap<String, MetadataValue>;

/// The value of an attribute. In JSON it is the plain value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataValue {
    /// `BOOLEAN`.
    Boolean(bool),
    /// `NUMBER`. Never NaN or infinite: JSON has neither.
    Number(f64),
    /// `STRING`.
    String(String),
    /// `STRING_LIST`.
    StringList(Vec<String>),
}
