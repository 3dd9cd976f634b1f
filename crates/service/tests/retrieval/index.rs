//! An index in memory, whose chunks are as near to any question as the test says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk,
    ParentChunk, Search, SearchBy,
};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{DATA_SOURCE_ID, Metadata, MetadataValue, SOURCE_URI};

use crate::knowledge::identity;

const DATA_SOURCE: &str = "DATASOURCE";

/// Chunks in memory. A chunk is as near to every question as its vector says.
pub(crate) struct Index {
    chunks: Mutex<Vec<(DocumentKey, IndexedChunk)>>,
    pub(crate) searches: Mutex<Vec<Search>>,
    pub(crate) searches_text: AtomicBool,
    pub(crate) identity: Mutex<Option<EmbeddingIdentity>>,
    pub(crate) fails: AtomicBool,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            chunks: Mutex::default(),
            searches: Mutex::default(),
            searches_text: AtomicBool::new(true),
            identity: Mutex::new(Some(identity())),
            fails: AtomicBool::new(false),
        }
    }
}

impl Index {
    /// Adds a chunk that is as near as `score` says.
    pub(crate) fn add(&self, id: &str, location: DocumentLocation, score: f32, text: &str) {
        self.add_with(id, location, score, text, None, []);
    }

    pub(crate) fn add_with<const N: usize>(
        &self,
        id: &str,
        location: DocumentLocation,
        score: f32,
        text: &str,
        parent: Option<(&str, &str)>,
        attributes: [(&str, MetadataValue); N],
    ) {
        let string = |text: &str| MetadataValue::String(text.to_owned());
        let mut metadata: Metadata = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        metadata.insert(SOURCE_URI.to_owned(), string(location.as_str()));
        metadata.insert(DATA_SOURCE_ID.to_owned(), string(DATA_SOURCE));
        let document = DocumentKey {
            data_source_id: DATA_SOURCE.to_owned(),
            location,
        };
        let chunk = IndexedChunk {
            id: id.to_owned(),
            text: text.into(),
            vector: vec![score, (1.0 - score * score).sqrt()],
            parent: parent.map(|(id, text)| {
                Arc::new(ParentChunk {
                    id: id.to_owned(),
                    text: text.into(),
                })
            }),
            metadata: Arc::new(metadata),
        };
        let mut chunks = self.chunks.lock().expect("unpoisoned");
        chunks.push((document, chunk));
    }
}

impl ChunkIndex for Index {
    fn searches_text<'a>(&'a self, _: &'a IndexPlace) -> BoxFuture<'a, Result<bool, IndexError>> {
        let can = self.searches_text.load(Ordering::SeqCst);
        async move { Ok(can) }.boxed()
    }

    fn identity<'a>(
        &'a self,
        _: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        let identity = self.identity.lock().expect("unpoisoned").clone();
        async move { Ok(identity) }.boxed()
    }

    fn put<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: &'a EmbeddingIdentity,
        _: &'a DocumentKey,
        _: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        async { Ok(()) }.boxed()
    }

    fn remove<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        async { Ok(()) }.boxed()
    }

    fn remove_source<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        async { Ok(()) }.boxed()
    }

    fn remove_all<'a>(&'a self, _: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        async { Ok(()) }.boxed()
    }

    fn documents<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: &'a str,
        _: Option<&'a DocumentLocation>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn search<'a>(
        &'a self,
        _: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        self.searches
            .lock()
            .expect("unpoisoned")
            .push(search.clone());
        if self.fails.load(Ordering::SeqCst) {
            let error = IndexError::Unavailable("it is being woken".to_owned());
            return async move { Err(error) }.boxed();
        }
        let chunks = self.chunks.lock().expect("unpoisoned");
        let score = |chunk: &IndexedChunk| match &search.by {
            SearchBy::Vector(vector) => {
                let products = vector.iter().zip(&chunk.vector).map(|(a, b)| a * b);
                Some(f64::from(products.sum::<f32>()))
            }
            SearchBy::Text(text) => {
                let words = text
                    .split_whitespace()
                    .filter(|word| chunk.text.contains(word));
                let count = u32::try_from(words.count()).expect("few words");
                (count > 0).then(|| f64::from(count))
            }
        };
        let mut hits: Vec<Hit> = chunks
            .iter()
            .filter(|(_, chunk)| {
                let filter = search.filter.as_ref();
                filter.is_none_or(|filter| filter.matches(&chunk.metadata))
            })
            .filter_map(|(document, chunk)| {
                Some(Hit {
                    document: document.clone(),
                    chunk_id: chunk.id.clone(),
                    text: Arc::clone(&chunk.text),
                    parent: chunk.parent.clone(),
                    metadata: Arc::clone(&chunk.metadata),
                    score: score(chunk)?,
                })
            })
            .collect();
        hits.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(a.chunk_id.cmp(&b.chunk_id))
        });
        hits.truncate(search.limit);
        async move { Ok(hits) }.boxed()
    }
}

/// An object of the bucket that most chunks are of.
pub(crate) fn s3(key: &str) -> DocumentLocation {
    DocumentLocation::S3 {
        uri: format!("s3://policies/{key}"),
    }
}
