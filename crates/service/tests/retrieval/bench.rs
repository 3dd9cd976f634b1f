//! A service over an index in memory, whose chunks are as near to any question as the test says.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, Capabilities, ChunkIndex, Clock,
    DocumentKey, DocumentSource, Documents, Embedder, EmbeddingChoice, EmbeddingIdentity,
    EmbeddingModel, EmbeddingPurpose, ExtractCall, ExtractError, Extraction, Extractor,
    FunctionPackages, Hit, Ids, IndexError, IndexPlace, IndexedChunk, ModelError, ModelProvider,
    ModelRequest, ModelStream, NoCodeInterpreter, PackageError, ParentChunk, Ranked, RerankCall,
    Reranker, Search, SearchBy, SourceError,
};
use outcrop_knowledge::chunk::TokenCounter;
use outcrop_knowledge::document::{DocumentLocation, Extracted};
use outcrop_knowledge::metadata::{DATA_SOURCE_ID, Metadata, MetadataValue, SOURCE_URI};
use outcrop_model::control::ops::CreateKnowledgeBase;
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart, ContentBlockStartEvent,
    ConverseStreamMetadataEvent, ConverseStreamMetrics, ConverseStreamOutput, MessageStopEvent,
    StopReason, TokenUsage, ToolUseBlockDelta, ToolUseBlockStart,
};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle, HandleStream};
use outcrop_model::operation::{Operation, StreamingOperation};
use outcrop_model::timestamp::Timestamp;
use outcrop_service::Service;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::memory::MemoryStore;
use serde_json::{Value, json};

pub(crate) const DATA_SOURCE: &str = "DATASOURCE";
pub(crate) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const EMBEDDINGS: &str = "amazon.titan-embed-text-v2:0";

/// What the model says next.
pub(crate) enum Say {
    Text(String),
    Call { name: String, input: Value },
}

impl From<&str> for Say {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A model that says what it is told to, and keeps what it is asked.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) replies: Mutex<VecDeque<Say>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
}

impl Model {
    pub(crate) fn says<T: Into<Say>>(&self, replies: impl IntoIterator<Item = T>) {
        let mut next = self.replies.lock().expect("unpoisoned");
        next.extend(replies.into_iter().map(Into::into));
    }

    /// The prompts so far, each as one text.
    pub(crate) fn prompts(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("unpoisoned");
        requests
            .iter()
            .map(|request| {
                let messages = serde_json::to_string(&request.messages).expect("JSON");
                format!("{}\n{messages}", request.system)
            })
            .collect()
    }
}

impl ModelProvider for Model {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        if model.contains("unknown") {
            return Err(ModelError::Unmapped {
                model: model.to_owned(),
                hint: "add a [[models]] entry".to_owned(),
            });
        }
        Ok(Capabilities {
            tools: true,
            parallel_tools: true,
            prefill: true,
            top_k: true,
            stop_sequences: true,
            sampling: true,
            temperature_with_top_p: true,
            images: true,
            documents: Documents::All,
            prompt_cache: true,
            latency: true,
        })
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        self.requests.lock().expect("unpoisoned").push(request);
        let reply = self.replies.lock().expect("unpoisoned").pop_front();
        let events = events(reply.expect("the model is asked as often as it has something to say"));
        async move { Ok(futures_util::stream::iter(events.into_iter().map(Ok)).boxed()) }.boxed()
    }
}

fn events(say: Say) -> Vec<ConverseStreamOutput> {
    let delta = |delta| {
        ConverseStreamOutput::ContentBlockDelta(ContentBlockDeltaEvent {
            content_block_index: 0,
            delta,
        })
    };
    let (mut events, stop_reason) = match say {
        Say::Text(text) => {
            let characters: Vec<char> = text.chars().collect();
            let pieces = characters.chunks(5).map(|piece| piece.iter().collect());
            let pieces = pieces.map(|piece| delta(ContentBlockDelta::Text(piece)));
            (pieces.collect(), StopReason::EndTurn)
        }
        Say::Call { name, input } => {
            let start = ConverseStreamOutput::ContentBlockStart(ContentBlockStartEvent {
                content_block_index: 0,
                start: ContentBlockStart::ToolUse(ToolUseBlockStart {
                    name,
                    tool_use_id: "tooluse_1".to_owned(),
                    type_: None,
                }),
            });
            let input = delta(ContentBlockDelta::ToolUse(ToolUseBlockDelta {
                input: input.to_string(),
            }));
            (vec![start, input], StopReason::ToolUse)
        }
    };
    events.push(ConverseStreamOutput::MessageStop(MessageStopEvent {
        additional_model_response_fields: None,
        stop_reason,
    }));
    events.push(ConverseStreamOutput::Metadata(
        ConverseStreamMetadataEvent {
            metrics: ConverseStreamMetrics { latency_ms: 1 },
            performance_config: None,
            service_tier: None,
            trace: None,
            usage: TokenUsage::default(),
        },
    ));
    events
}

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

fn identity() -> EmbeddingIdentity {
    EmbeddingIdentity {
        model: "test/double@1".to_owned(),
        dimensions: 2,
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

struct Embeddings;

struct Words;

impl TokenCounter for Words {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        text.char_indices()
            .filter(|(_, character)| character.is_whitespace())
            .map(|(at, _)| at)
            .chain((!text.is_empty()).then_some(text.len()))
            .collect()
    }
}

impl Embedder for Embeddings {
    fn model<'a>(
        &'a self,
        _: &'a EmbeddingChoice,
    ) -> BoxFuture<'a, Result<EmbeddingModel, ModelError>> {
        async {
            Ok(EmbeddingModel {
                identity: identity(),
                tokens_max: 512,
                tokens: Arc::new(Words),
            })
        }
        .boxed()
    }

    fn embed<'a>(
        &'a self,
        _: &'a EmbeddingChoice,
        _: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        async move { Ok(texts.iter().map(|_| vec![1.0, 0.0]).collect()) }.boxed()
    }
}

/// The last is the best.
#[derive(Default)]
pub(crate) struct Backwards(pub(crate) Mutex<Vec<RerankCall>>);

impl Reranker for Backwards {
    fn rerank(&self, call: RerankCall) -> BoxFuture<'_, Result<Vec<Ranked>, ModelError>> {
        if call.model.contains("unknown") {
            let error = ModelError::Unmapped {
                model: call.model,
                hint: "add a [[rerankers]] entry".to_owned(),
            };
            return async move { Err(error) }.boxed();
        }
        let count = call.documents.len();
        let limit = call.limit.unwrap_or(count);
        self.0.lock().expect("unpoisoned").push(call);
        let ranked = (0..count).rev().take(limit).map(|index| Ranked {
            index,
            score: f64::from(u32::try_from(index).expect("few")) / 100.0,
        });
        let ranked = ranked.collect();
        async move { Ok(ranked) }.boxed()
    }
}

/// Every file is its text.
struct Plain;

impl Extractor for Plain {
    fn extract(&self, call: ExtractCall) -> BoxFuture<'_, Result<Extraction, ExtractError>> {
        let text = String::from_utf8(call.content.to_vec());
        async move {
            let text = text.map_err(|_| ExtractError::Malformed("it is no text".to_owned()))?;
            Ok(Extraction::Document(Extracted::plain(text)))
        }
        .boxed()
    }
}

struct Nothing;

/// Every function replies `ok`, and has knowledge bases searched as the test says.
#[derive(Default)]
pub(crate) struct Functions(pub(crate) Mutex<Value>);

impl ActionExecutor for Functions {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        let event: Value = serde_json::from_slice(&call.event).expect("JSON");
        let configurations = self.0.lock().expect("unpoisoned").clone();
        let reply = json!({"messageVersion": "1.0", "knowledgeBasesConfiguration": configurations,
            "response": {"actionGroup": event["actionGroup"], "function": event["function"],
                "functionResponse": {"responseBody": {"TEXT": {"body": "ok"}}}}});
        let payload = Bytes::from(reply.to_string());
        async move {
            Ok(ActionReply {
                payload,
                function_error: None,
                log_tail: None,
                request_id: None,
            })
        }
        .boxed()
    }
}

impl FunctionPackages for Nothing {
    fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<PathBuf>> {
        async { None }.boxed()
    }

    fn unpack<'a>(
        &'a self,
        sha256: &'a str,
        _: Bytes,
    ) -> BoxFuture<'a, Result<PathBuf, PackageError>> {
        async move { Ok(PathBuf::from(sha256)) }.boxed()
    }
}

/// Every object is `s3://BUCKET/KEY is what this says.`, but for those of the bucket `none`.
impl DocumentSource for Nothing {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        async move {
            if bucket == "none" {
                return Err(SourceError::NotFound {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    detail: "no such bucket".to_owned(),
                });
            }
            Ok(Bytes::from(format!(
                "s3://{bucket}/{key} is what this says."
            )))
        }
        .boxed()
    }
}

struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.fetch_add(1_000, Ordering::SeqCst))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Ids for Counter {
    fn uuid(&self) -> String {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        format!("00000000-0000-4000-8000-{number:012}")
    }

    fn resource_id(&self) -> String {
        format!("ID{:08}", self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

/// The service and its doubles, with one knowledge base.
pub(crate) struct Bench {
    service: Service,
    pub(crate) model: Arc<Model>,
    pub(crate) index: Arc<Index>,
    pub(crate) reranker: Arc<Backwards>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) knowledge_base: String,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let model = Arc::new(Model::default());
        let index = Arc::new(Index::default());
        let reranker = Arc::new(Backwards::default());
        let functions = Arc::new(Functions::default());
        let ports = Ports {
            store: Arc::new(MemoryStore::new()),
            models: Arc::clone(&model) as Arc<dyn ModelProvider>,
            actions: Arc::clone(&functions) as Arc<dyn ActionExecutor>,
            code: Arc::new(NoCodeInterpreter),
            retriever: None,
            knowledge: KnowledgePorts {
                embedder: Arc::new(Embeddings),
                reranker: Arc::clone(&reranker) as Arc<dyn Reranker>,
                index: Arc::clone(&index) as Arc<dyn ChunkIndex>,
                extractor: Arc::new(Plain),
                ..KnowledgePorts::none()
            },
            documents: Arc::new(Nothing),
            packages: Arc::new(Nothing),
            clock: Arc::new(StillClock(AtomicI64::new(1_700_000_000_000_000_000))),
            ids: Arc::new(Counter::default()),
        };
        let mut bench = Self {
            service: Service::new(ports, Settings::default()),
            model,
            index,
            reranker,
            functions,
            knowledge_base: String::new(),
        };
        let configuration = json!({"type": "VECTOR", "vectorKnowledgeBaseConfiguration": {
            "embeddingModelArn": format!("arn:aws:bedrock:us-west-2::foundation-model/{EMBEDDINGS}")}});
        bench.knowledge_base = bench.create_knowledge_base("docs", configuration).await;
        bench
    }

    pub(crate) async fn create_knowledge_base(&self, name: &str, configuration: Value) -> String {
        let mut request = json!({"name": name, "roleArn": "arn:aws:iam::111111111111:role/Role",
            "knowledgeBaseConfiguration": configuration});
        if request["knowledgeBaseConfiguration"]["type"] == "VECTOR" {
            request["storageConfiguration"] = json!({"type": "OPENSEARCH_SERVERLESS",
                "opensearchServerlessConfiguration": {
                    "collectionArn": "arn:aws:aoss:us-west-2:111111111111:collection/abcdefghij1234567890",
                    "vectorIndexName": "docs", "fieldMapping": {
                        "vectorField": "v", "textField": "t", "metadataField": "m"}}});
        }
        let made = self.call::<CreateKnowledgeBase>(request).await;
        let id = made["knowledgeBase"]["knowledgeBaseId"].as_str();
        id.expect("an id").to_owned()
    }

    fn context() -> CallContext {
        CallContext {
            request_id: "11111111-1111-4111-8111-111111111111".to_owned(),
            account_id: "111111111111".to_owned(),
            region: "us-west-2".to_owned(),
            host: None,
        }
    }

    pub(crate) async fn try_call<Op: Operation>(&self, input: Value) -> Result<Value, Exception>
    where
        Service: Handle<Op>,
    {
        let input = serde_json::from_value(input).expect("of the shape");
        let output = Handle::<Op>::handle(&self.service, &Self::context(), input).await?;
        Ok(serde_json::to_value(output).expect("JSON"))
    }

    pub(crate) async fn call<Op: Operation>(&self, input: Value) -> Value
    where
        Service: Handle<Op>,
    {
        self.try_call::<Op>(input).await.expect("succeeds")
    }

    pub(crate) async fn refused<Op: Operation>(&self, input: Value) -> (ExceptionKind, String)
    where
        Service: Handle<Op>,
    {
        let exception = self.try_call::<Op>(input).await.expect_err("a refusal");
        (exception.kind(), exception.message().to_owned())
    }

    /// The events of a streaming operation, by name; an exception in the stream is the last.
    pub(crate) async fn stream<Op: StreamingOperation>(
        &self,
        input: Value,
    ) -> Result<(Value, Vec<(String, Value)>), Exception>
    where
        Service: HandleStream<Op>,
    {
        let input = serde_json::from_value(input).expect("of the shape");
        let cx = Self::context();
        let answer = HandleStream::<Op>::handle_stream(&self.service, &cx, input).await;
        let (head, mut events) = answer?;
        let mut found = Vec::new();
        while let Some(event) = events.next().await {
            let event = serde_json::to_value(event?).expect("JSON");
            found.extend(event.as_object().expect("a union").clone());
        }
        Ok((serde_json::to_value(head).expect("JSON"), found))
    }
}

pub(crate) fn s3(key: &str) -> DocumentLocation {
    DocumentLocation::S3 {
        uri: format!("s3://policies/{key}"),
    }
}

/// An answer of a model, in the form it is asked for.
pub(crate) fn answer(parts: &[(&str, &[&str])]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|(text, sources)| {
            let sources: Vec<String> = sources
                .iter()
                .map(|source| format!("<source>{source}</source>\n"))
                .collect();
            let sources = sources.concat();
            format!(
                "<answer_part>\n<text>\n{text}\n</text>\n<sources>\n{sources}</sources>\n</answer_part>\n"
            )
        })
        .collect();
    format!("<answer>\n{}</answer>", parts.concat())
}
