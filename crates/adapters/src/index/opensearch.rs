//! Chunks in OpenSearch, over its HTTP API (ADR 0021).
//!
//! The index is the one that a knowledge base's storage names, made where it is missing, or one of the
//! knowledge base's own. OpenSearch has no transactions: a document's new chunks are written beside the
//! old ones, which are deleted then, and searches never show both. A call returns when searches see what
//! it did. If the process dies within it, the document is written again by whoever ingests it.
//!
//! Serverless collections take no ids and no refresh. There a write is waited for until searches see
//! it, which takes as long as a collection's refresh, some ten seconds, and twice that for a document
//! that is replaced.
//!
//! Invariant: writes of this process to one knowledge base take turns. Those of several processes do
//! not; the lease of an ingestion job keeps them apart.

mod body;
mod client;
mod foreign;
mod search;
mod target;
mod tokens;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
};
use outcrop_knowledge::document::DocumentLocation;
use reqwest::Url;

use self::client::Client;
use self::target::Target;
use crate::http::HttpFailure;

pub use self::client::OpenSearchAuth;

/// Documents of OpenSearch that are told and deleted at a time.
const IDS: usize = 5_000;

/// How an OpenSearch is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSearchOptions {
    /// The server; `None`: the one that the storage of a knowledge base names.
    pub url: Option<Url>,
    /// How it knows who asks.
    pub auth: OpenSearchAuth,
    /// Whether what a storage calls a serverless collection is one: AWS's own, which takes no ids and
    /// no refresh, rather than a server of one's own in its place.
    pub serverless: bool,
}

/// See the module. Needs a tokio runtime.
pub struct OpenSearchIndex {
    inner: Arc<Inner>,
}

struct Inner {
    url: Option<Url>,
    serverless: bool,
    client: Client,
    /// Whose turn it is to write to a knowledge base.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl OpenSearchIndex {
    /// An index that connects when it is first used.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(options: OpenSearchOptions) -> Result<Self, HttpFailure> {
        Ok(Self {
            inner: Arc::new(Inner {
                url: options.url,
                serverless: options.serverless,
                client: Client::new(options.auth)?,
                turns: Mutex::default(),
            }),
        })
    }
}

impl fmt::Debug for OpenSearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.inner.url.as_ref().map(crate::http::host_of);
        f.debug_struct("OpenSearchIndex")
            .field("url", &url)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn target(&self, place: &IndexPlace) -> Result<Target, IndexError> {
        Target::of(place, self.url.as_ref(), self.serverless)
    }

    /// The lock of a knowledge base's writers. Those that nobody holds are dropped.
    fn turn(&self, scope: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(scope.to_owned()).or_default())
    }
}

/// Goes to its end even if nobody waits for it any more.
async fn to_its_end(
    work: impl Future<Output = Result<(), IndexError>> + Send + 'static,
) -> Result<(), IndexError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(cause) => Err(IndexError::Unavailable(cause.to_string())),
    }
}

impl ChunkIndex for OpenSearchIndex {
    fn is_reached_by_others(&self, _: &IndexPlace) -> bool {
        true
    }

    fn searches_text<'a>(
        &'a self,
        _place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        Box::pin(async move {
            let target = self.inner.target(place)?;
            self.inner.identity(&target).await
        })
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let inner = Arc::clone(&self.inner);
        let target = inner.target(place);
        let (identity, document) = (identity.clone(), document.clone());
        Box::pin(to_its_end(async move {
            inner.put(&target?, &identity, &document, &chunks).await
        }))
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let inner = Arc::clone(&self.inner);
        let target = inner.target(place);
        let documents = documents.to_vec();
        Box::pin(to_its_end(async move {
            let target = target?;
            for document in &documents {
                inner.remove_document(&target, document).await?;
            }
            Ok(())
        }))
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let inner = Arc::clone(&self.inner);
        let target = inner.target(place);
        let source = data_source_id.to_owned();
        Box::pin(to_its_end(async move {
            let target = target?;
            let which = body::of(&target, &[(body::SOURCE, &source)]);
            inner.remove(&target, &which).await
        }))
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        let inner = Arc::clone(&self.inner);
        let target = inner.target(place);
        Box::pin(to_its_end(async move { inner.remove_all(&target?).await }))
    }

    fn documents<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
        after: Option<&'a DocumentLocation>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        Box::pin(async move {
            let target = self.inner.target(place)?;
            let inner = &self.inner;
            inner.documents(&target, data_source_id, after, limit).await
        })
    }

    fn search<'a>(
        &'a self,
        place: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        Box::pin(async move {
            let target = self.inner.target(place)?;
            self.inner.search(&target, &search).await
        })
    }
}
