//! Chunks before they have vectors: their metadata, their parents, their ids.

use std::sync::Arc;

use outcrop_engine::port::{DocumentKey, ParentChunk};
use outcrop_knowledge::chunk::{self, CHUNKS_MAX, Chunk, ChunkError, Cut, Strategy, TokenCounter};
use outcrop_knowledge::document::{DocumentLocation, Extracted, Record};
use outcrop_knowledge::metadata::{
    DATA_SOURCE_ID, Metadata, MetadataValue, PAGE_NUMBER, SOURCE_URI,
};
use sha2::{Digest, Sha256};

use super::super::DocumentError;
use super::super::content::About;
use super::{Kitchen, elsewhere};

/// A chunk that waits for its vector.
#[derive(Clone, Debug)]
pub(in crate::knowledge::ingest) struct Piece {
    pub(in crate::knowledge::ingest) text: Arc<str>,
    /// What is embedded.
    pub(super) embedded: Arc<str>,
    pub(super) parent: Option<Arc<ParentChunk>>,
    pub(in crate::knowledge::ingest) metadata: Arc<Metadata>,
}

impl Kitchen {
    pub(super) fn pieces(
        &self,
        key: &DocumentKey,
        about: &About,
        chunks: Vec<Chunk>,
    ) -> Vec<Piece> {
        let common = Arc::new(self.metadata(&key.location, &about.attributes.metadata));
        let mut of_page: Option<(u32, Arc<Metadata>)> = None;
        let mut parents: Option<(usize, Arc<ParentChunk>)> = None;
        let mut pieces = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let metadata = match chunk.page {
                None => Arc::clone(&common),
                Some(page) => match &of_page {
                    Some((known, metadata)) if *known == page => Arc::clone(metadata),
                    _ => {
                        let mut metadata = Metadata::clone(&common);
                        let number = MetadataValue::Number(f64::from(page));
                        metadata.insert(PAGE_NUMBER.to_owned(), number);
                        let metadata = Arc::new(metadata);
                        of_page = Some((page, Arc::clone(&metadata)));
                        metadata
                    }
                },
            };
            let parent = chunk.parent.map(|parent| match &parents {
                Some((known, made)) if *known == parent.number => Arc::clone(made),
                _ => {
                    let made = Arc::new(ParentChunk {
                        id: self.id(key, "parent", parent.number),
                        text: Arc::clone(&parent.text),
                    });
                    parents = Some((parent.number, Arc::clone(&made)));
                    made
                }
            });
            pieces.push(Piece {
                embedded: about.attributes.text_to_embed(&chunk.text),
                text: chunk.text,
                parent,
                metadata,
            });
        }
        pieces
    }

    /// Each row is a chunk, or several where it is longer than one.
    pub(super) async fn rows(
        &self,
        key: &DocumentKey,
        about: &About,
        rows: Vec<Record>,
    ) -> Result<Vec<Piece>, DocumentError> {
        let strategy = of_rows(self.strategy);
        let tokens = Arc::clone(&self.model.tokens);
        let rows = elsewhere(move || cut_rows(rows, strategy, &*tokens)).await?;
        let mut pieces = Vec::with_capacity(rows.len());
        for (metadata, chunks) in rows {
            let mut about = about.clone();
            about.attributes.metadata.extend(metadata);
            pieces.extend(self.pieces(key, &about, chunks));
        }
        Ok(pieces)
    }

    /// A chunk whose text and metadata somebody else has made.
    pub(in crate::knowledge::ingest) fn made_elsewhere(
        &self,
        location: &DocumentLocation,
        about: &About,
        text: Arc<str>,
        own: Metadata,
    ) -> Piece {
        let mut attributes = about.attributes.clone();
        attributes.metadata.extend(own);
        Piece {
            embedded: attributes.text_to_embed(&text),
            metadata: Arc::new(self.metadata(location, &attributes.metadata)),
            text,
            parent: None,
        }
    }

    /// The attributes of a document with those that the service adds.
    fn metadata(&self, location: &DocumentLocation, given: &Metadata) -> Metadata {
        let mut metadata = given.clone();
        let uri = MetadataValue::String(location.as_str().to_owned());
        metadata.insert(SOURCE_URI.to_owned(), uri);
        let source = MetadataValue::String(self.source.data_source_id.clone());
        metadata.insert(DATA_SOURCE_ID.to_owned(), source);
        metadata
    }

    /// A UUID that depends on nothing but the place of a chunk, for stores whose keys are UUIDs.
    pub(super) fn id(&self, key: &DocumentKey, what: &str, number: usize) -> String {
        let kind = match key.location {
            DocumentLocation::S3 { .. } => "s3",
            DocumentLocation::Custom { .. } => "custom",
            DocumentLocation::Web { .. } => "web",
        };
        let place = format!(
            "{}/{}/{what}/{number}/{kind}/{}",
            self.source.knowledge_base_id,
            key.data_source_id,
            key.location.as_str()
        );
        uuid(place.as_bytes())
    }
}

/// How a row is cut: it is one record, whatever its sentences are about.
fn of_rows(strategy: Strategy) -> Strategy {
    match strategy {
        Strategy::Whole | Strategy::Fixed { .. } => strategy,
        Strategy::Hierarchical {
            child_tokens,
            overlap_tokens,
            ..
        } => Strategy::Fixed {
            max_tokens: child_tokens,
            overlap_tokens: overlap_tokens.min(child_tokens / 2),
        },
        Strategy::Semantic { max_tokens, .. } => Strategy::Fixed {
            max_tokens,
            overlap_tokens: 0,
        },
    }
}

fn cut_rows(
    rows: Vec<Record>,
    strategy: Strategy,
    tokens: &dyn TokenCounter,
) -> Result<Vec<(Metadata, Vec<Chunk>)>, ChunkError> {
    let mut all = Vec::with_capacity(rows.len());
    let mut count = 0;
    for row in rows {
        let document = Arc::new(Extracted::plain(row.content));
        let Cut::Chunks(chunks) = chunk::cut(document, strategy, tokens)? else {
            continue;
        };
        count += chunks.len();
        if count > CHUNKS_MAX {
            return Err(ChunkError::TooMany);
        }
        all.push((row.metadata, chunks));
    }
    Ok(all)
}

/// Version 8: a UUID made of a hash.
fn uuid(of: &[u8]) -> String {
    let digest = Sha256::digest(of);
    let mut bytes = [0_u8; 16];
    for (byte, hashed) in bytes.iter_mut().zip(digest) {
        *byte = hashed;
    }
    let mut number = u128::from_be_bytes(bytes);
    number &= !(0xf << 76) & !(0x3 << 62);
    number |= (0x8 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32)
    )
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn ids_are_uuids_of_version_8() {
        let id = uuid(b"KB/DS/chunk/0/s3/s3://docs/a.txt");
        assert_eq!(id, uuid(b"KB/DS/chunk/0/s3/s3://docs/a.txt"));
        assert_ne!(id, uuid(b"KB/DS/chunk/1/s3/s3://docs/a.txt"));
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "8");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }
}
