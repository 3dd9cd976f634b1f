//! A bucket, an index, an extractor, an embedding model and a function in memory, and the fuse that
//! stops any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, ChunkIndex, CrawlError, CrawlEvent,
    Crawler, DocumentKey, DocumentSource, Embedder, EmbeddingChoice, EmbeddingIdentity,
    EmbeddingModel, EmbeddingPurpose, ExtractCall, ExtractError, Extraction, Extractor, Hit,
    IndexError, IndexPlace, IndexedChunk, ModelError, ObjectInfo, ObjectPage, Search, SourceError,
};
use outcrop_knowledge::chunk::TokenCounter;
use outcrop_knowledge::document::{DocumentLocation, Extracted, Record};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::control::WebDataSourceConfiguration;
use outcrop_store::{
    Batch, Committed, Entry, Health, Job, Key, Lease, Listing, MemoryStore, Page, Scan, Store,
    StoreError,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Counts calls, and stops at one of them for ever: before it has had its effect, or after.
#[derive(Default)]
pub(crate) struct Fuse {
    calls: AtomicUsize,
    blows_at: AtomicUsize,
    pub(crate) blown: Notify,
}

impl Fuse {
    /// Stops at the call with this number, from 1; odd places are before the effect, even ones after.
    pub(crate) fn set(&self, place: usize) {
        self.calls.store(0, Ordering::SeqCst);
        self.blows_at.store(place, Ordering::SeqCst);
    }

    pub(crate) fn clear(&self) {
        self.set(0);
    }

    async fn pass(&self) {
        let place = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if place == self.blows_at.load(Ordering::SeqCst) {
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.pass().await;
        let done = call.await;
        self.pass().await;
        done
    }
}

/// A store whose writes can be stopped.
pub(crate) struct FusedStore {
    pub(crate) store: MemoryStore,
    pub(crate) fuse: Arc<Fuse>,
}

impl Store for FusedStore {
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<outcrop_store::Record>, StoreError>> {
        self.store.get(key, now_ms)
    }

    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        self.store.list(scan, page)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(self.fuse.around(self.store.commit(batch)))
    }

    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        self.store.read_journal(journal, after, limit)
    }

    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>> {
        self.store.claim_job(queue, lease)
    }

    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.store.renew_job(id, lease, until_ms)
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        self.store.check()
    }
}

/// The objects of a bucket: version and content by key.
type Objects = BTreeMap<String, (u64, Bytes)>;

/// Buckets: content by bucket and key, listed few at a time.
pub(crate) struct Buckets {
    pub(crate) objects: Mutex<BTreeMap<String, Objects>>,
    versions: AtomicUsize,
    page: usize,
    pub(crate) reads: AtomicUsize,
    /// Reads going on, and the most there were.
    reading: AtomicUsize,
    pub(crate) reading_most: AtomicUsize,
    fuse: Arc<Fuse>,
}

impl Buckets {
    pub(crate) fn new(fuse: Arc<Fuse>, page: usize) -> Self {
        Self {
            objects: Mutex::default(),
            versions: AtomicUsize::new(0),
            page,
            reads: AtomicUsize::new(0),
            reading: AtomicUsize::new(0),
            reading_most: AtomicUsize::new(0),
            fuse,
        }
    }

    pub(crate) fn make(&self, bucket: &str) {
        let mut objects = self.objects.lock().expect("whole");
        objects.entry(bucket.to_owned()).or_default();
    }

    /// Puts an object into `docs`.
    pub(crate) fn put(&self, key: &str, content: impl Into<Bytes>) {
        self.put_in("docs", key, content);
    }

    pub(crate) fn put_in(&self, bucket: &str, key: &str, content: impl Into<Bytes>) {
        let version = self.versions.fetch_add(1, Ordering::SeqCst) as u64;
        let mut objects = self.objects.lock().expect("whole");
        let bucket = objects.entry(bucket.to_owned()).or_default();
        bucket.insert(key.to_owned(), (version, content.into()));
    }

    pub(crate) fn delete(&self, key: &str) {
        let mut objects = self.objects.lock().expect("whole");
        objects.get_mut("docs").expect("is there").remove(key);
    }

    fn found(&self, bucket: &str) -> Result<BTreeMap<String, (u64, Bytes)>, SourceError> {
        let objects = self.objects.lock().expect("whole");
        objects
            .get(bucket)
            .cloned()
            .ok_or_else(|| SourceError::NotFound {
                bucket: bucket.to_owned(),
                key: String::new(),
                detail: "there is no such folder".to_owned(),
            })
    }
}

impl DocumentSource for Buckets {
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ObjectPage, SourceError>> {
        Box::pin(async move {
            let found = self.fuse.around(async { self.found(bucket) }).await?;
            let mut objects: Vec<ObjectInfo> = found
                .iter()
                .filter(|(key, _)| {
                    key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
                })
                .take(self.page + 1)
                .map(|(key, (version, content))| ObjectInfo {
                    key: key.clone(),
                    size: content.len() as u64,
                    version: version.to_string(),
                })
                .collect();
            let more = objects.len() > self.page;
            objects.truncate(self.page);
            let next = objects.last().filter(|_| more).map(|last| last.key.clone());
            Ok(ObjectPage { objects, next })
        })
    }

    fn write<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        content: Bytes,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            self.put_in(bucket, key, content);
            Ok(())
        })
    }

    fn remove<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut objects = self.objects.lock().expect("whole");
            if let Some(bucket) = objects.get_mut(bucket) {
                bucket.remove(key);
            }
            Ok(())
        })
    }

    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
            self.reading_most.fetch_max(reading, Ordering::SeqCst);
            let found = {
                let objects = self.objects.lock().expect("whole");
                let bucket = objects.get(bucket);
                bucket.and_then(|bucket| bucket.get(key)).cloned()
            };
            let found = self.fuse.around(async { found }).await;
            self.reading.fetch_sub(1, Ordering::SeqCst);
            let Some((_, content)) = found else {
                return Err(SourceError::NotFound {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    detail: "there is no such file".to_owned(),
                });
            };
            if content.len() as u64 > limit_bytes {
                return Err(SourceError::TooLarge {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    limit_bytes,
                });
            }
            Ok(content)
        })
    }
}

type Held = BTreeMap<DocumentKey, Vec<IndexedChunk>>;

/// Indexes of all knowledge bases.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) held: Mutex<BTreeMap<String, (Option<EmbeddingIdentity>, Held)>>,
    /// What every write fails with.
    pub(crate) broken: Mutex<Option<IndexError>>,
    pub(crate) puts: AtomicUsize,
    fuse: Arc<Fuse>,
}

impl Index {
    pub(crate) fn new(fuse: Arc<Fuse>) -> Self {
        Self {
            fuse,
            ..Self::default()
        }
    }

    /// Document and text of all chunks of a knowledge base, by document.
    pub(crate) fn texts(&self, base: &str) -> Vec<(String, String)> {
        let held = self.held.lock().expect("whole");
        let Some((_, documents)) = held.get(base) else {
            return Vec::new();
        };
        let chunks = documents.iter().flat_map(|(key, chunks)| {
            chunks
                .iter()
                .map(|chunk| (key.location.as_str().to_owned(), chunk.text.to_string()))
        });
        chunks.collect()
    }

    pub(crate) fn chunks(&self, base: &str) -> Vec<IndexedChunk> {
        let held = self.held.lock().expect("whole");
        let documents = held.get(base).map(|(_, documents)| documents.clone());
        documents
            .unwrap_or_default()
            .into_values()
            .flatten()
            .collect()
    }

    async fn write<T>(
        &self,
        place: &IndexPlace,
        work: impl FnOnce(&mut (Option<EmbeddingIdentity>, Held)) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.fuse
            .around(async {
                if let Some(broken) = &*self.broken.lock().expect("whole") {
                    return Err(broken.clone());
                }
                let mut held = self.held.lock().expect("whole");
                work(held.entry(place.knowledge_base_id.clone()).or_default())
            })
            .await
    }
}

impl ChunkIndex for Index {
    fn searches_text<'a>(&'a self, _: &'a IndexPlace) -> BoxFuture<'a, Result<bool, IndexError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        Box::pin(async move {
            let held = self.held.lock().expect("whole");
            Ok(held
                .get(&place.knowledge_base_id)
                .and_then(|(identity, _)| identity.clone()))
        })
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(async move {
            self.puts.fetch_add(1, Ordering::SeqCst);
            self.write(place, |(known, held)| {
                *known = Some(identity.clone());
                held.insert(document.clone(), chunks);
                Ok(())
            })
            .await
        })
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.write(place, move |(_, held)| {
            for document in documents {
                held.remove(document);
            }
            Ok(())
        }))
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.write(place, move |(_, held)| {
            held.retain(|key, _| key.data_source_id != data_source_id);
            Ok(())
        }))
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.write(place, |all| {
            *all = (None, Held::new());
            Ok(())
        }))
    }

    fn documents<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: &'a str,
        _: Option<&'a DocumentLocation>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn search<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// Words are tokens.
struct Words;

impl TokenCounter for Words {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut in_word = false;
        for (at, character) in text.char_indices() {
            if character.is_whitespace() && in_word {
                ends.push(at);
            }
            in_word = !character.is_whitespace();
        }
        if in_word {
            ends.push(text.len());
        }
        ends
    }
}

/// Vectors out of lengths, of any model but `missing`.
#[derive(Default)]
pub(crate) struct Lengths {
    pub(crate) revision: AtomicUsize,
    /// All that was embedded.
    pub(crate) texts: Mutex<Vec<String>>,
    pub(crate) broken: Mutex<Option<ModelError>>,
    fuse: Arc<Fuse>,
}

impl Lengths {
    pub(crate) fn new(fuse: Arc<Fuse>) -> Self {
        Self {
            fuse,
            ..Self::default()
        }
    }
}

impl Embedder for Lengths {
    fn model<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
    ) -> BoxFuture<'a, Result<EmbeddingModel, ModelError>> {
        Box::pin(async move {
            if choice.model.ends_with("missing") {
                return Err(ModelError::Unmapped {
                    model: choice.model.clone(),
                    hint: "add it".to_owned(),
                });
            }
            let revision = self.revision.load(Ordering::SeqCst);
            Ok(EmbeddingModel {
                identity: EmbeddingIdentity {
                    model: format!("test/lengths@{revision}"),
                    dimensions: 2,
                },
                tokens_max: 256,
                tokens: Arc::new(Words),
            })
        })
    }

    fn embed<'a>(
        &'a self,
        _: &'a EmbeddingChoice,
        _: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(async move {
            self.fuse.around(async {}).await;
            if let Some(broken) = &*self.broken.lock().expect("whole") {
                return Err(broken.clone());
            }
            if texts.iter().any(|text| text.contains("unspeakable")) {
                return Err(ModelError::Rejected {
                    detail: "not that".to_owned(),
                });
            }
            let mut all = self.texts.lock().expect("whole");
            all.extend(texts.iter().map(ToString::to_string));
            Ok(texts.iter().map(|_| vec![1.0, 0.0]).collect())
        })
    }
}

/// Text is text; `damaged` is not.
pub(crate) struct Texts(pub(crate) Arc<Fuse>);

impl Extractor for Texts {
    fn extract(&self, call: ExtractCall) -> BoxFuture<'_, Result<Extraction, ExtractError>> {
        Box::pin(async move {
            self.0.around(async {}).await;
            if call.name.to_lowercase().ends_with(".zip") {
                return Err(ExtractError::Unsupported(
                    "the file format is not supported".to_owned(),
                ));
            }
            let text = String::from_utf8_lossy(&call.content).into_owned();
            if text.contains("damaged") {
                return Err(ExtractError::Malformed("the file is damaged".to_owned()));
            }
            if call.records.is_none() {
                return Ok(Extraction::Document(Extracted::plain(text)));
            }
            let rows = text.lines().map(|line| {
                let (content, color) = line.split_once(',').unwrap_or((line, ""));
                let color = MetadataValue::String(color.to_owned());
                Record {
                    content: content.to_owned(),
                    metadata: [("color".to_owned(), color)].into(),
                }
            });
            Ok(Extraction::Records(rows.collect()))
        })
    }
}

/// A crawler that finds what it is told to.
#[derive(Default)]
pub(crate) struct Pages(pub(crate) Mutex<Vec<Result<CrawlEvent, CrawlError>>>);

impl Crawler for Pages {
    fn crawl(
        &self,
        _: Arc<WebDataSourceConfiguration>,
    ) -> BoxStream<'static, Result<CrawlEvent, CrawlError>> {
        let found = self.0.lock().expect("whole").clone();
        Box::pin(futures_util::stream::iter(found))
    }
}

/// A transformation that writes each chunk's words as chunks.
pub(crate) struct Splits {
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) events: Mutex<Vec<Value>>,
}

impl ActionExecutor for Splits {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        Box::pin(async move {
            let event: Value = serde_json::from_slice(&call.event).expect("JSON");
            self.events.lock().expect("whole").push(event.clone());
            let failed = call.function.ends_with("broken");
            let bucket = event["bucketName"].as_str().expect("a name").to_owned();
            let mut outputs = Vec::new();
            for batch in event["inputFiles"][0]["contentBatches"]
                .as_array()
                .expect("a list")
            {
                let key = batch["key"].as_str().expect("a key");
                let read = self.buckets.read(&bucket, key, u64::MAX).await;
                let input: Value = serde_json::from_slice(&read.expect("is there")).expect("JSON");
                let words = input["fileContents"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .flat_map(|content| {
                        let text = content["contentBody"].as_str().expect("text");
                        text.split(' ').collect::<Vec<_>>()
                    })
                    .map(|word| {
                        json!({"contentBody": word, "contentType": "TEXT",
                            "contentMetadata": {"length": word.len(), "tag": "chunk"}})
                    });
                let contents = json!({"fileContents": words.collect::<Vec<_>>()});
                let key = format!("out/{key}");
                self.buckets.put_in(&bucket, &key, contents.to_string());
                outputs.push(json!({"key": key}));
            }
            let payload = json!({"outputFiles": [{
                "originalFileLocation": event["inputFiles"][0]["originalFileLocation"],
                "fileMetadata": event["inputFiles"][0]["fileMetadata"],
                "contentBatches": outputs}]});
            Ok(ActionReply {
                payload: Bytes::from(payload.to_string()),
                function_error: failed.then(|| "Unhandled".to_owned()),
                log_tail: None,
                request_id: None,
            })
        })
    }
}

/// Keys in a listing, for comparisons.
pub(crate) fn set<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    all.into_iter().collect()
}
