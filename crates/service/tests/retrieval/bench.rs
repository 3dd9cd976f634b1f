//! A service with one knowledge base over an index in memory, and requests in one line.

use std::sync::Arc;

use futures_util::StreamExt;
use outcrop_engine::port::{
    ActionExecutor, ChunkIndex, ModelProvider, NoCodeInterpreter, Reranker,
};
use outcrop_model::control::ops::CreateKnowledgeBase;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle, HandleStream};
use outcrop_model::operation::{Operation, StreamingOperation};
use outcrop_service::Service;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::memory::MemoryStore;
use serde_json::{Value, json};

use crate::clock::StillClock;
use crate::index::Index;
use crate::knowledge::{Backwards, Buckets, Embeddings, Plain};
use crate::ports::{self, CountingIds, NotUnpacked};
use crate::says::Model;
use crate::tools::Functions;

pub(crate) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const EMBEDDINGS: &str = "amazon.titan-embed-text-v2:0";

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
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
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
            documents: Arc::new(Buckets),
            packages: Arc::new(NotUnpacked),
            clock: Arc::new(StillClock::default()),
            ids: Arc::new(CountingIds::default()),
        };
        let mut bench = Self {
            service: Service::new(ports, settings),
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
        ports::context("11111111-1111-4111-8111-111111111111")
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
