//! What is sent to OpenSearch and what comes back: mappings, documents, queries, hits.
//!
//! Text, vector and metadata stand in the fields that the knowledge base's configuration names, as AWS
//! fills them. What this program needs besides is in fields of its own, whose names begin with
//! `outcrop`; a document without them was written by somebody else.

use std::fmt::Write as _;
use std::sync::Arc;

use outcrop_engine::port::{DocumentKey, EmbeddingIdentity, Hit, IndexedChunk, ParentChunk};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::filter::Filter;
use outcrop_knowledge::metadata::{CHUNK_ID, DATA_SOURCE_ID, Metadata, MetadataValue, SOURCE_URI};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::super::key::{document_key, location_of_uri};
use super::foreign::{self, Fields};
use super::target::Target;
use super::tokens;

/// The knowledge base.
pub(super) const SCOPE: &str = "outcrop_scope";
/// The data source.
pub(super) const SOURCE: &str = "outcrop_source";
/// The document, as its key.
pub(super) const DOCUMENT: &str = "outcrop_document";
/// The version of the document that the chunk is of.
pub(super) const GENERATION: &str = "outcrop_generation";
/// The chunk's place in the document.
pub(super) const NUMBER: &str = "outcrop_number";
/// Attributes as terms.
pub(super) const TERMS: &str = "outcrop_attributes";
/// All else, stored and not searched.
const STORED: &str = "outcrop";
/// Where AWS has written the URI of a document before it had a key of its own.
const AWS_SOURCE: &str = "source";

/// What is stored with a chunk and comes back with it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    chunk: String,
    location: DocumentLocation,
    identity: EmbeddingIdentity,
    metadata: Metadata,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<ParentChunk>,
    /// How many chunks the document has; 0 where that was not written down yet.
    #[serde(default)]
    chunks: usize,
}

/// Which version of which document a chunk is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// The data source and the document's key.
    pub(super) document: (String, String),
    /// Later ones are greater; `None`: before there were any.
    pub(super) generation: Option<String>,
    /// How many chunks it has when it is whole.
    pub(super) chunks: usize,
}

/// The fields of this program's own.
pub(super) fn own_fields() -> Value {
    json!({
        SCOPE: {"type": "keyword"},
        SOURCE: {"type": "keyword"},
        DOCUMENT: {"type": "keyword"},
        GENERATION: {"type": "keyword"},
        NUMBER: {"type": "integer"},
        TERMS: {"type": "keyword"},
        STORED: {"type": "object", "enabled": false}
    })
}

/// An index as AWS's guide has it made, with the fields of this program's own.
pub(super) fn index(target: &Target, dimensions: u32) -> Value {
    let mut fields = own_fields();
    let vector = json!({
        "type": "knn_vector",
        "dimension": dimensions,
        "method": {"name": "hnsw", "engine": "faiss", "space_type": "l2"}
    });
    fields[&target.vector] = vector;
    fields[&target.text] = json!({"type": "text"});
    fields[&target.metadata] = json!({"type": "text", "index": false});
    json!({"settings": {"index": {"knn": true}}, "mappings": {"properties": fields}})
}

/// A document of a knowledge base, as one of its versions.
pub(super) struct Put<'a> {
    pub(super) target: &'a Target,
    pub(super) identity: &'a EmbeddingIdentity,
    pub(super) key: &'a DocumentKey,
    pub(super) chunks: &'a [IndexedChunk],
}

impl Put<'_> {
    /// What the version is called that replaces those that were `found`: greater than their names, and
    /// the same for the same chunks, so that two who write them at once write the same documents.
    pub(super) fn generation(&self, found: &[Found]) -> String {
        let latest = found.iter().filter_map(|found| {
            let (number, _) = found.generation.as_deref()?.split_once('-')?;
            u64::from_str_radix(number, 16).ok()
        });
        let number = latest.max().map_or(0, |latest| latest.saturating_add(1));
        let mut hash = Sha256::new();
        let key = document_key(&self.key.location);
        for part in [&self.target.scope, &self.key.data_source_id, &key] {
            hash.update(part.as_bytes());
            // No text has this byte.
            hash.update([0xff]);
        }
        for chunk in self.documents("") {
            hash.update(chunk.to_string().as_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut name = format!("{number:016x}-");
        for byte in hash.iter().take(16) {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Its chunks as documents of OpenSearch.
    pub(super) fn documents<'b>(&'b self, generation: &'b str) -> impl Iterator<Item = Value> + 'b {
        let chunks = self.chunks.iter().enumerate();
        chunks.map(move |(number, chunk)| self.document(generation, number, chunk))
    }

    fn document(&self, generation: &str, number: usize, chunk: &IndexedChunk) -> Value {
        let Self { target, key, .. } = self;
        // What another program reads of AWS's field: the source, and the attributes beside it.
        let mut told = Map::new();
        told.insert(AWS_SOURCE.to_owned(), json!(key.location.as_str()));
        for (name, value) in chunk.metadata.iter() {
            told.insert(name.clone(), json!(value));
        }
        let stored = Stored {
            chunk: chunk.id.clone(),
            location: key.location.clone(),
            identity: self.identity.clone(),
            metadata: Metadata::clone(&chunk.metadata),
            parent: chunk.parent.as_deref().cloned(),
            chunks: self.chunks.len(),
        };
        let mut document = json!({
            SCOPE: target.scope,
            SOURCE: key.data_source_id,
            DOCUMENT: document_key(&key.location),
            GENERATION: generation,
            NUMBER: number,
            TERMS: tokens::of(&chunk.metadata),
            STORED: stored
        });
        document[&target.vector] = json!(chunk.vector);
        document[&target.text] = json!(chunk.text);
        document[&target.metadata] = json!(Value::Object(told).to_string());
        document
    }
}

/// A document of OpenSearch that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) generation: Option<String>,
}

impl Found {
    /// From a hit that has its generation at least.
    pub(super) fn of(hit: &Value) -> Option<Self> {
        Some(Self {
            id: hit["_id"].as_str()?.to_owned(),
            generation: generation(&hit["_source"]),
        })
    }
}

fn generation(source: &Value) -> Option<String> {
    source[GENERATION].as_str().map(str::to_owned)
}

/// Documents of a knowledge base, those of `more` terms only.
pub(super) fn of(target: &Target, more: &[(&str, &str)]) -> Value {
    let mut all = vec![json!({"term": {SCOPE: target.scope}})];
    all.extend(
        more.iter()
            .map(|(field, value)| json!({"term": {*field: value}})),
    );
    json!({"bool": {"filter": all}})
}

/// What a search may find, but for what is `stale`. `fields` are those of an index with documents that
/// are nobody's and so everybody's; without any there are none.
pub(super) fn allowed(
    target: &Target,
    filter: Option<&Filter>,
    fields: Option<&Fields>,
    stale: &[Version],
) -> Value {
    let mut own = vec![json!({"term": {SCOPE: target.scope}})];
    let mut foreign = Vec::new();
    if let Some(filter) = filter {
        own.push(tokens::query(TERMS, filter));
        foreign.extend(fields.map(|fields| foreign::may_match(fields, filter)));
    }
    let mut own = json!({"bool": {"filter": own}});
    if !stale.is_empty() {
        let stale = stale.iter().map(|version| of_version(target, version));
        own["bool"]["must_not"] = stale.collect();
    }
    if fields.is_none() {
        return own;
    }
    let foreign = json!({"bool": {
        "filter": foreign, "must_not": [{"exists": {"field": SCOPE}}]
    }});
    json!({"bool": {"should": [own, foreign], "minimum_should_match": 1}})
}

/// The chunks of one version of a document.
pub(super) fn of_version(target: &Target, version: &Version) -> Value {
    let (source, document) = &version.document;
    let mut query = of(target, &[(SOURCE, source), (DOCUMENT, document)]);
    match &version.generation {
        Some(generation) => {
            if let Some(Value::Array(all)) = query.pointer_mut("/bool/filter") {
                all.push(json!({"term": {GENERATION: generation}}));
            }
        }
        None => query["bool"]["must_not"] = json!([{"exists": {"field": GENERATION}}]),
    }
    query
}

/// A search by vector.
pub(super) fn neighbours(target: &Target, vector: &[f32], allowed: &Value, limit: usize) -> Value {
    json!({
        "size": limit,
        "query": {"knn": {&target.vector: {"vector": vector, "k": limit, "filter": allowed}}}
    })
}

/// A search by words, without vectors in the answer.
pub(super) fn words(target: &Target, text: &str, allowed: &Value, limit: usize) -> Value {
    json!({
        "size": limit,
        "_source": {"excludes": [target.vector]},
        "query": {"bool": {
            "must": [{"match": {&target.text: {"query": text}}}],
            "filter": [allowed]
        }}
    })
}

/// What made the vectors, from a document.
pub(super) fn identity(source: &Value) -> Option<EmbeddingIdentity> {
    let identity = source.get(STORED)?.get("identity")?;
    serde_json::from_value(identity.clone()).ok()
}

/// The version of a document that a hit is of; `None` for one that somebody else has written.
pub(super) fn version(hit: &Value) -> Option<Version> {
    let source = &hit["_source"];
    let stored = source.get(STORED)?;
    let chunks = stored["chunks"].as_u64().unwrap_or_default();
    let text = |field: &str| source[field].as_str().unwrap_or_default().to_owned();
    Some(Version {
        document: (text(SOURCE), text(DOCUMENT)),
        generation: generation(source),
        chunks: usize::try_from(chunks).unwrap_or(usize::MAX),
    })
}

/// A document as what was found. `score` is by words; a `question` has the cosine computed, for each
/// engine within OpenSearch has a scale of its own.
pub(super) fn hit(target: &Target, found: &Value, question: Option<&[f32]>) -> Hit {
    let source = &found["_source"];
    let text = source[&target.text].as_str().unwrap_or_default();
    let score = match question {
        Some(question) => cosine(question, &source[&target.vector]),
        None => found["_score"].as_f64().unwrap_or_default(),
    };
    let stored = source.get(STORED);
    let stored = stored.and_then(|stored| serde_json::from_value::<Stored>(stored.clone()).ok());
    match stored {
        Some(stored) => Hit {
            document: DocumentKey {
                data_source_id: source[SOURCE].as_str().unwrap_or_default().to_owned(),
                location: stored.location,
            },
            chunk_id: stored.chunk,
            text: text.into(),
            parent: stored.parent.map(Arc::new),
            metadata: Arc::new(stored.metadata),
            score,
        },
        None => foreign_hit(target, found, text, score),
    }
}

/// The cosine of two vectors. What AWS has stored may not be of unit length.
fn cosine(question: &[f32], stored: &Value) -> f64 {
    let stored = stored.as_array().map_or(&[][..], Vec::as_slice);
    let (mut dot, mut length) = (0.0, 0.0);
    for (one, other) in question.iter().zip(stored) {
        let other = other.as_f64().unwrap_or_default();
        dot += f64::from(*one) * other;
        length += other * other;
    }
    if length > 0.0 {
        dot / length.sqrt()
    } else {
        -1.0
    }
}

/// A document that AWS has written: its attributes are fields beside the text.
fn foreign_hit(target: &Target, found: &Value, text: &str, score: f64) -> Hit {
    let source = found["_source"].as_object().cloned().unwrap_or_default();
    let mut all = source
        .get(&target.metadata)
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok())
        .unwrap_or_default();
    all.extend(
        source
            .into_iter()
            .filter(|(name, _)| ![&target.vector, &target.text, &target.metadata].contains(&name)),
    );
    let metadata: Metadata = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, serde_json::from_value(value).ok()?)))
        .collect();
    let text_of = |key: &str| match metadata.get(key) {
        Some(MetadataValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let id = found["_id"].as_str().unwrap_or_default();
    let uri = text_of(SOURCE_URI).or_else(|| text_of(AWS_SOURCE));
    let uri = uri.unwrap_or_else(|| id.to_owned());
    Hit {
        document: DocumentKey {
            data_source_id: text_of(DATA_SOURCE_ID).unwrap_or_default(),
            location: location_of_uri(uri),
        },
        chunk_id: text_of(CHUNK_ID).unwrap_or_else(|| id.to_owned()),
        text: text.into(),
        parent: None,
        metadata: Arc::new(metadata),
        score,
    }
}
