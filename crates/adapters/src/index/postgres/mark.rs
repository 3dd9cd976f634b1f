//! What a row says of itself: whose it is, of which document, made by which model.
//!
//! It stands in the metadata of each row under one key of the service's own prefix, so that a table
//! needs no column of this program's. A row without it was written by somebody else, such as AWS; it
//! belongs to each knowledge base of its table, and its document is told by the keys AWS writes.
//!
//! Invariant: what is written here can be read by every later version.

use std::borrow::Cow;
use std::sync::Arc;

use outcrop_engine::port::{DocumentKey, EmbeddingIdentity, Hit, IndexedChunk, ParentChunk};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{
    CHUNK_ID, DATA_SOURCE_ID, Metadata, MetadataValue, RESERVED_PREFIX, SOURCE_URI,
};
use outcrop_postgres::{escape, unescape};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::key;

/// The key of the mark. No client's attribute may begin so.
pub(super) const MARK: &str = "x-amz-bedrock-outcrop";
/// Where AWS has written the URI of a document before it had a key of its own.
const SOURCE: &str = "source";

/// The mark. All texts as the database can hold them.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// The knowledge base: account, region and id.
    kb: String,
    /// The data source.
    source: String,
    /// [`document_key`].
    document: String,
    /// The chunk's id.
    chunk: String,
    /// What made the vector.
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Parent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Parent {
    id: String,
    text: String,
}

/// A document's location as one text, in the order of locations.
pub(super) fn document_key(location: &DocumentLocation) -> String {
    escape(&key::document_key(location)).into_owned()
}

/// The location of a key; `None` for what no version has written.
pub(super) fn location(key: &str) -> Option<DocumentLocation> {
    key::location(&unescape(key))
}

/// A chunk as columns.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) vector: String,
    pub(super) text: String,
    pub(super) metadata: String,
    /// Attributes of the client's own, where they have a column of their own.
    pub(super) custom: Option<String>,
}

impl Row {
    /// `number` is the chunk's place in its document.
    pub(super) fn new(
        scope: &str,
        identity: &EmbeddingIdentity,
        document: &DocumentKey,
        number: usize,
        chunk: &IndexedChunk,
        separate: bool,
    ) -> Self {
        let mark = Mark {
            kb: scope.to_owned(),
            source: escape(&document.data_source_id).into_owned(),
            document: document_key(&document.location),
            chunk: escape(&chunk.id).into_owned(),
            model: escape(&identity.model).into_owned(),
            parent: chunk.parent.as_ref().map(|parent| Parent {
                id: escape(&parent.id).into_owned(),
                text: escape(&parent.text).into_owned(),
            }),
        };
        let mut own = Map::new();
        let mut custom = Map::new();
        for (key, value) in chunk.metadata.iter() {
            let place = if separate && !key.starts_with(RESERVED_PREFIX) {
                &mut custom
            } else {
                &mut own
            };
            place.insert(escape(key).into_owned(), json(value));
        }
        let id = key::row_id(scope, &document.data_source_id, &mark.document, number);
        let mark = serde_json::to_value(&mark).expect("texts are JSON");
        own.insert(MARK.to_owned(), mark);
        Self {
            id,
            vector: vector_text(&chunk.vector),
            text: escape(&chunk.text).into_owned(),
            metadata: Value::Object(own).to_string(),
            custom: separate.then(|| Value::Object(custom).to_string()),
        }
    }
}

/// A vector as pgvector reads it.
pub(super) fn vector_text(vector: &[f32]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(vector.len() * 12 + 2);
    let mut before = '[';
    for value in vector {
        let _ = write!(text, "{before}{value}");
        before = ',';
    }
    text.push(']');
    text
}

/// The value of an attribute as it is stored.
pub(super) fn json(value: &MetadataValue) -> Value {
    match value {
        MetadataValue::Boolean(value) => Value::Bool(*value),
        MetadataValue::Number(value) => Value::from(*value),
        MetadataValue::String(text) => Value::String(escape(text).into_owned()),
        MetadataValue::StringList(texts) => texts
            .iter()
            .map(|text| Value::String(escape(text).into_owned()))
            .collect(),
    }
}

/// A row as it was read.
pub(super) struct Found<'a> {
    pub(super) id: &'a str,
    pub(super) text: &'a str,
    pub(super) metadata: Option<&'a str>,
    pub(super) custom: Option<&'a str>,
    pub(super) extra: Option<&'a str>,
    pub(super) score: f64,
}

impl Found<'_> {
    /// The row as what was found. JSON that cannot be read is as none.
    pub(super) fn hit(&self) -> Hit {
        let mut all = object(self.metadata);
        let mark = all.remove(MARK);
        let mark = mark.and_then(|mark| serde_json::from_value::<Mark>(mark).ok());
        for (key, value) in object(self.extra).into_iter().chain(object(self.custom)) {
            all.insert(key, value);
        }
        let metadata = attributes(all, mark.is_some());
        match mark {
            Some(mark) => self.own(mark, metadata),
            None => self.foreign(metadata),
        }
    }

    fn own(&self, mark: Mark, metadata: Metadata) -> Hit {
        Hit {
            document: DocumentKey {
                data_source_id: unescape(&mark.source).into_owned(),
                location: location(&mark.document).unwrap_or_else(|| DocumentLocation::Custom {
                    id: mark.document.clone(),
                }),
            },
            chunk_id: unescape(&mark.chunk).into_owned(),
            text: unescape(self.text).into(),
            parent: mark.parent.map(|parent| {
                Arc::new(ParentChunk {
                    id: unescape(&parent.id).into_owned(),
                    text: unescape(&parent.text).into(),
                })
            }),
            metadata: Arc::new(metadata),
            score: self.score,
        }
    }

    fn foreign(&self, metadata: Metadata) -> Hit {
        let text = |key: &str| match metadata.get(key) {
            Some(MetadataValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        let uri = text(SOURCE_URI).or_else(|| text(SOURCE));
        Hit {
            document: DocumentKey {
                data_source_id: text(DATA_SOURCE_ID).unwrap_or_default(),
                location: key::location_of_uri(uri.unwrap_or_else(|| self.id.to_owned())),
            },
            chunk_id: text(CHUNK_ID).unwrap_or_else(|| self.id.to_owned()),
            text: self.text.into(),
            parent: None,
            metadata: Arc::new(metadata),
            score: self.score,
        }
    }
}

fn object(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// The attributes of an object; what is of no attribute's type is left out.
fn attributes(object: Map<String, Value>, escaped: bool) -> Metadata {
    let plain = |text: String| match unescape(&text) {
        Cow::Owned(plain) if escaped => plain,
        _ => text,
    };
    let value = |value: Value| match value {
        Value::Bool(value) => Some(MetadataValue::Boolean(value)),
        Value::Number(number) => number.as_f64().map(MetadataValue::Number),
        Value::String(text) => Some(MetadataValue::String(plain(text))),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Some(plain(text)),
                _ => None,
            })
            .collect::<Option<_>>()
            .map(MetadataValue::StringList),
        Value::Null | Value::Object(_) => None,
    };
    object
        .into_iter()
        .filter_map(|(key, found)| Some((plain(key), value(found)?)))
        .collect()
}
