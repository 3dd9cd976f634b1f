//! Chunks in OpenSearch, over its HTTP API (ADR 0021).
//!
//! The index is the one that a knowledge base's storage names, made where it is missing, or one of the
//! knowledge base's own. OpenSearch has no transactions: a document's chunks are replaced by one bulk
//! request that writes the new and deletes the old, and is refreshed before the call returns. If the
//! process dies within it, the document is written again by whoever ingests it.
//!
//! Serverless collections take no ids and no refresh. There a write is waited for until searches see
//! it, which takes as long as a collection's refresh, some ten seconds.
//!
//! Invariant: writes of this process to one knowledge base take turns. Those of several processes do
//! not; the lease of an ingestion job keeps them apart.

mod body;
mod client;
mod target;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
    SearchBy,
};
use outcrop_knowledge::document::DocumentLocation;
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::client::{BULK_BYTES, Body, Client};
use self::target::Target;
use super::key;
use crate::http::HttpFailure;

pub use self::client::OpenSearchAuth;

/// Most results of one search, OpenSearch's own bound.
const RESULTS_MAX: usize = 10_000;
/// Ids that are asked for and deleted at a time.
const IDS: usize = 5_000;
/// Words of a question: OpenSearch takes 1,024 clauses, and a word may become several.
const WORDS_MAX: usize = 256;
/// How long a serverless collection may take until a search sees a write.
const VISIBLE_WITHIN: Duration = Duration::from_mins(2);
/// How often it is asked meanwhile.
const VISIBLE_POLL: Duration = Duration::from_millis(500);

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

/// What a bulk request has done.
struct Written {
    /// Documents that searches must see.
    ids: Vec<String>,
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

    /// A search; `None` where there is no index.
    async fn found(&self, target: &Target, query: Value) -> Result<Option<Vec<Value>>, IndexError> {
        let path = [target.index.as_str(), "_search"];
        let asked = self
            .client
            .ask(&target.server, Method::POST, &path, &[], Body::Json(query));
        let (status, mut answer) = asked.await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // Half an answer would be taken for all there is.
        let failed = answer.pointer("/_shards/failed").and_then(Value::as_u64);
        if failed.is_some_and(|failed| failed > 0) || answer["timed_out"] == json!(true) {
            return Err(IndexError::Unavailable(
                "OpenSearch answers for a part of the index only".to_owned(),
            ));
        }
        match answer.pointer_mut("/hits/hits").map(Value::take) {
            Some(Value::Array(hits)) => Ok(Some(hits)),
            _ => Err(IndexError::Unavailable(
                "OpenSearch's answer has no hits".to_owned(),
            )),
        }
    }

    /// The ids of some documents, at most [`IDS`].
    async fn ids(&self, target: &Target, which: &Value) -> Result<Vec<String>, IndexError> {
        let query = json!({"size": IDS, "_source": false, "query": which});
        let hits = self.found(target, query).await?.unwrap_or_default();
        let id = |hit: &Value| hit["_id"].as_str().map(str::to_owned);
        Ok(hits.iter().filter_map(id).collect())
    }

    async fn identity(&self, target: &Target) -> Result<Option<EmbeddingIdentity>, IndexError> {
        let query = json!({"size": 1, "_source": ["outcrop"], "query": body::of(target, &[])});
        let hits = self.found(target, query).await?.unwrap_or_default();
        Ok(hits.first().and_then(|hit| body::identity(&hit["_source"])))
    }

    /// Makes sure that the index is there, with the fields of this program's own.
    async fn prepare(&self, target: &Target, dimensions: u32) -> Result<(), IndexError> {
        let path = [target.index.as_str(), "_mapping"];
        let server = &target.server;
        let ask = |method, path, body| self.client.ask(server, method, path, &[], body);
        let (status, answer) = ask(Method::GET, &path, Body::Nothing).await?;
        if status == StatusCode::NOT_FOUND {
            let path = [target.index.as_str()];
            let index = Body::Json(body::index(target, dimensions));
            return match ask(Method::PUT, &path, index).await {
                // Another server was quicker.
                Err(IndexError::Rejected(why)) if why.contains("already exists") => Ok(()),
                outcome => outcome.map(drop),
            };
        }
        // The answer names the index behind an alias.
        let mappings = answer.as_object().and_then(|all| all.values().next());
        let fields = mappings.and_then(|index| index.pointer("/mappings/properties"));
        let vector = fields.and_then(|fields| fields.get(&target.vector));
        let holds = vector.and_then(|vector| vector["dimension"].as_u64());
        match (vector, holds) {
            (Some(vector), _) if vector["type"] != "knn_vector" => {
                return Err(IndexError::Rejected(format!(
                    "the field `{}` of the index {} is of the type {}, not knn_vector",
                    target.vector, target.index, vector["type"]
                )));
            }
            (_, Some(holds)) if holds != u64::from(dimensions) => {
                return Err(IndexError::Rejected(format!(
                    "the field `{}` of the index {} holds vectors of {holds} dimensions, not {dimensions}",
                    target.vector, target.index
                )));
            }
            (None, _) => {
                return Err(IndexError::Rejected(format!(
                    "the index {} has no field `{}`",
                    target.index, target.vector
                )));
            }
            _ => {}
        }
        if fields.is_some_and(|fields| fields.get(body::TERMS).is_some()) {
            return Ok(());
        }
        let own = json!({"properties": body::own_fields()});
        ask(Method::PUT, &path, Body::Json(own)).await.map(drop)
    }

    /// Sends lines of one or several bulk requests; the ids of what was written.
    async fn bulk(&self, target: &Target, lines: &[Vec<u8>]) -> Result<Written, IndexError> {
        let mut written = Written { ids: Vec::new() };
        let mut begin = 0;
        while begin < lines.len() {
            let mut end = begin;
            let mut request = Vec::new();
            while end < lines.len()
                && (end == begin || request.len() + lines[end].len() <= BULK_BYTES)
            {
                request.extend_from_slice(&lines[end]);
                end += 1;
            }
            begin = end;
            let refresh: &[_] = if target.server.serverless {
                &[]
            } else {
                &[("refresh", "true")]
            };
            let path = [target.index.as_str(), "_bulk"];
            let asked = self.client.ask(
                &target.server,
                Method::POST,
                &path,
                refresh,
                Body::Bulk(request),
            );
            let (status, answer) = asked.await?;
            if status == StatusCode::NOT_FOUND {
                return Err(IndexError::Unavailable(format!(
                    "the index {} is gone",
                    target.index
                )));
            }
            written.ids.extend(outcome(&answer)?);
        }
        Ok(written)
    }

    /// Replaces what `which` finds by new documents.
    async fn replace(
        &self,
        target: &Target,
        which: &Value,
        documents: Vec<(String, Value)>,
    ) -> Result<(), IndexError> {
        let serverless = target.server.serverless;
        let mut lines: Vec<Vec<u8>> = Vec::with_capacity(documents.len());
        let mut kept = Vec::with_capacity(documents.len());
        for (id, document) in documents {
            // Serverless collections of vectors take no ids.
            let action = if serverless {
                json!({"index": {}})
            } else {
                json!({"index": {"_id": id}})
            };
            lines.push(format!("{action}\n{document}\n").into_bytes());
            if !serverless {
                kept.push(id);
            }
        }
        kept.sort_unstable();
        let mut gone: Vec<String> = Vec::new();
        let mut found = self.ids(target, which).await?;
        loop {
            let more = found.len() == IDS;
            found.retain(|id| kept.binary_search(id).is_err());
            for id in &found {
                let action = json!({"delete": {"_id": id}});
                lines.push(format!("{action}\n").into_bytes());
            }
            if lines.is_empty() {
                return Ok(());
            }
            let written = self.bulk(target, &lines).await?;
            gone.append(&mut found);
            if serverless {
                self.wait(target, which, &written.ids, &gone).await?;
            }
            if !more {
                return Ok(());
            }
            // More than one request deletes: what is left is found again.
            lines.clear();
            let rest = json!({"bool": {"filter": [which], "must_not": [
                {"ids": {"values": kept.iter().chain(&written.ids).collect::<Vec<_>>()}}
            ]}});
            kept.extend(written.ids);
            kept.sort_unstable();
            found = self.ids(target, &rest).await?;
        }
    }

    /// Waits until searches see what was written and no longer what was deleted.
    async fn wait(
        &self,
        target: &Target,
        which: &Value,
        written: &[String],
        gone: &[String],
    ) -> Result<(), IndexError> {
        let end = Instant::now() + VISIBLE_WITHIN;
        loop {
            let seen = self.ids(target, which).await?;
            // Of more than are told at a time, a full page is as much as can be seen.
            let full = seen.len() == IDS;
            let all = full || written.iter().all(|id| seen.contains(id));
            if all && !gone.iter().any(|id| seen.contains(id)) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(IndexError::Unavailable(format!(
                    "the collection does not show a write after {} seconds",
                    VISIBLE_WITHIN.as_secs()
                )));
            }
            tokio::time::sleep(VISIBLE_POLL).await;
        }
    }

    async fn put(
        &self,
        target: &Target,
        identity: &EmbeddingIdentity,
        document: &DocumentKey,
        chunks: &[IndexedChunk],
    ) -> Result<(), IndexError> {
        let name = key::document_key(&document.location);
        let terms = [
            (body::SOURCE, document.data_source_id.as_str()),
            (body::DOCUMENT, name.as_str()),
        ];
        let which = body::of(target, &terms);
        let turn = self.turn(&target.scope);
        let _turn = turn.lock().await;
        if chunks.is_empty() {
            return self.replace(target, &which, Vec::new()).await;
        }
        let odd = |chunk: &&IndexedChunk| chunk.vector.len() != identity.dimensions as usize;
        if let Some(chunk) = chunks.iter().find(odd) {
            return Err(IndexError::Rejected(format!(
                "the vector of chunk {} has {} dimensions, not {}",
                chunk.id,
                chunk.vector.len(),
                identity.dimensions
            )));
        }
        if let Some(holds) = self.identity(target).await?
            && holds != *identity
        {
            return Err(IndexError::Identity {
                holds: Box::new(holds),
                wanted: Box::new(identity.clone()),
            });
        }
        self.prepare(target, identity.dimensions).await?;
        let documents = chunks.iter().enumerate().map(|(number, chunk)| {
            let value = body::document(target, identity, document, number, chunk);
            let id = key::row_id(&target.scope, &document.data_source_id, &name, number);
            (id, value)
        });
        self.replace(target, &which, documents.collect()).await
    }

    async fn remove(&self, target: &Target, terms: &[(&str, &str)]) -> Result<(), IndexError> {
        let turn = self.turn(&target.scope);
        let _turn = turn.lock().await;
        self.replace(target, &body::of(target, terms), Vec::new())
            .await
    }

    async fn remove_all(&self, target: &Target) -> Result<(), IndexError> {
        if !target.own {
            return self.remove(target, &[]).await;
        }
        let turn = self.turn(&target.scope);
        let _turn = turn.lock().await;
        let path = [target.index.as_str()];
        let asked = self
            .client
            .ask(&target.server, Method::DELETE, &path, &[], Body::Nothing);
        asked.await.map(drop)
    }

    async fn search(&self, target: &Target, search: &Search) -> Result<Vec<Hit>, IndexError> {
        let limit = search.limit.min(RESULTS_MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let allowed = body::allowed(target, search.filter.as_ref());
        let (query, question) = match &search.by {
            SearchBy::Vector(vector) => (
                body::neighbours(target, vector, &allowed, limit),
                Some(vector.as_slice()),
            ),
            SearchBy::Text(text) => {
                let words: Vec<&str> = text.split_whitespace().take(WORDS_MAX).collect();
                (body::words(target, &words.join(" "), &allowed, limit), None)
            }
        };
        let found = self.found(target, query).await?.unwrap_or_default();
        let mut hits: Vec<Hit> = found
            .iter()
            .map(|hit| body::hit(target, hit, question))
            .collect();
        hits.sort_by(|one, other| {
            let by_score = other.score.total_cmp(&one.score);
            by_score.then_with(|| one.chunk_id.cmp(&other.chunk_id))
        });
        hits.truncate(limit);
        Ok(hits)
    }

    async fn documents(
        &self,
        target: &Target,
        data_source_id: &str,
        after: Option<&DocumentLocation>,
        limit: usize,
    ) -> Result<Vec<DocumentLocation>, IndexError> {
        let mut which = body::of(target, &[(body::SOURCE, data_source_id)]);
        if let Some(Value::Array(all)) = which.pointer_mut("/bool/filter") {
            // One for each document.
            all.push(json!({"term": {body::NUMBER: 0}}));
        }
        let mut query = json!({
            "size": limit.min(RESULTS_MAX),
            "_source": [body::DOCUMENT],
            "sort": [{body::DOCUMENT: "asc"}],
            "query": which
        });
        if let Some(after) = after {
            query["search_after"] = json!([key::document_key(after)]);
        }
        let hits = self.found(target, query).await?.unwrap_or_default();
        let key = |hit: &Value| {
            hit["_source"][body::DOCUMENT]
                .as_str()
                .and_then(key::location)
        };
        Ok(hits.iter().filter_map(key).collect())
    }
}

/// The ids that a bulk request has written; an error where any of it failed.
fn outcome(answer: &Value) -> Result<Vec<String>, IndexError> {
    let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    let mut written = Vec::new();
    for item in items {
        let (action, done) = match item.as_object().and_then(|item| item.iter().next()) {
            Some((action, done)) => (action.as_str(), done),
            None => continue,
        };
        let status = done["status"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok());
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        // What is to be deleted may be gone already.
        let gone = action == "delete" && status == StatusCode::NOT_FOUND;
        if !status.is_success() && !gone {
            let reason = done.pointer("/error/reason").and_then(Value::as_str);
            return Err(client::refusal(
                status,
                "OpenSearch",
                reason.unwrap_or("a write of a bulk request has failed"),
            ));
        }
        if action != "delete" {
            written.extend(done["_id"].as_str().map(str::to_owned));
        }
    }
    Ok(written)
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
                let name = key::document_key(&document.location);
                let terms = [
                    (body::SOURCE, document.data_source_id.as_str()),
                    (body::DOCUMENT, name.as_str()),
                ];
                inner.remove(&target, &terms).await?;
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
            inner.remove(&target?, &[(body::SOURCE, &source)]).await
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
