//! A service over the doubles, one knowledge base and its data sources.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::action::Strictness;
use outcrop_engine::port::{Clock, NoCodeInterpreter};
use outcrop_model::control::ops as op;
use outcrop_model::exception::Exception;
use outcrop_model::handle::Handle;
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_service::Service;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::MemoryStore;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::buckets::Buckets;
use crate::doubles::{Lengths, Pages, Splits, Texts};
use crate::fuse::{Fuse, FusedStore};
use crate::index::Index;
use crate::no_model::NoModel;
use crate::ports::{self, CountingIds, NotUnpacked};

const ROLE: &str = "arn:aws:iam::111111111111:role/KnowledgeRole";
const MODEL: &str = "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0";

/// Tokio's clock, which the tests hold still.
pub(crate) struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.0.elapsed().as_nanos()).expect("hours");
        Timestamp::from_nanos(1_748_626_089_000_000_000 + passed)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of tests that hold time still"
    )]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) fuse: Arc<Fuse>,
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) index: Arc<Index>,
    pub(crate) embedder: Arc<Lengths>,
    pub(crate) functions: Arc<Splits>,
    pub(crate) crawler: Arc<Pages>,
    pub(crate) base: String,
    ports: Ports,
    settings: Settings,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Strictness::Relaxed, 3).await
    }

    /// With buckets that list `page` objects at a time.
    pub(crate) async fn with(strictness: Strictness, page: usize) -> Self {
        let fuse = Arc::new(Fuse::default());
        let buckets = Arc::new(Buckets::new(Arc::clone(&fuse), page));
        let index = Arc::new(Index::new(Arc::clone(&fuse)));
        let embedder = Arc::new(Lengths::new(Arc::clone(&fuse)));
        let functions = Arc::new(Splits {
            buckets: Arc::clone(&buckets),
            events: std::sync::Mutex::default(),
        });
        let crawler = Arc::new(Pages::default());
        let ports = Ports {
            retriever: None,
            knowledge: KnowledgePorts {
                embedder: Arc::clone(&embedder) as _,
                index: Arc::clone(&index) as _,
                extractor: Arc::new(Texts(Arc::clone(&fuse))),
                crawler: Some(Arc::clone(&crawler) as _),
                ..KnowledgePorts::none()
            },
            store: Arc::new(FusedStore {
                store: MemoryStore::new(),
                fuse: Arc::clone(&fuse),
            }),
            models: Arc::new(NoModel),
            actions: Arc::clone(&functions) as _,
            code: Arc::new(NoCodeInterpreter),
            documents: Arc::clone(&buckets) as _,
            packages: Arc::new(NotUnpacked),
            clock: Arc::new(TestClock(Instant::now())),
            ids: Arc::new(CountingIds::default()),
        };
        let settings = Settings {
            strictness,
            ..Settings::default()
        };
        let mut world = Self {
            service: Service::new(ports.clone(), settings.clone()),
            fuse,
            buckets,
            index,
            embedder,
            functions,
            crawler,
            base: String::new(),
            ports,
            settings,
        };
        world.buckets.make("docs");
        world.base = world.new_base("kb", MODEL).await;
        world
    }

    /// Another process over the same store, index and buckets; the one before is forgotten.
    pub(crate) fn restart(&mut self) {
        self.service = self.other();
    }

    /// As one of several servers over the store from here on.
    pub(crate) fn share_store(&mut self) {
        self.settings.exclusive_store = false;
        self.restart();
    }

    pub(crate) fn other(&self) -> Service {
        Service::new(self.ports.clone(), self.settings.clone())
    }

    pub(crate) async fn new_base(&self, name: &str, model: &str) -> String {
        let made = self
            .call::<op::CreateKnowledgeBase>(json!({
                "name": name, "roleArn": ROLE,
                "knowledgeBaseConfiguration": {
                    "type": "VECTOR",
                    "vectorKnowledgeBaseConfiguration": {"embeddingModelArn": model},
                },
                "storageConfiguration": {"type": "OPENSEARCH_SERVERLESS",
                    "opensearchServerlessConfiguration": {
                        "collectionArn": "arn:aws:aoss:us-west-2:111111111111:collection/kbs",
                        "vectorIndexName": "kb", "fieldMapping": {"vectorField": "v",
                            "textField": "t", "metadataField": "m"}}},
            }))
            .await;
        text(&made["knowledgeBase"]["knowledgeBaseId"])
    }

    /// A data source of the bucket `docs`.
    pub(crate) async fn s3(&self, name: &str, more: Value) -> String {
        let configuration = json!({"type": "S3",
            "s3Configuration": {"bucketArn": "arn:aws:s3:::docs"}});
        self.source(name, configuration, more).await
    }

    pub(crate) async fn custom(&self, name: &str) -> String {
        self.source(name, json!({"type": "CUSTOM"}), json!({}))
            .await
    }

    pub(crate) async fn source(&self, name: &str, configuration: Value, more: Value) -> String {
        let mut input = json!({"knowledgeBaseId": self.base, "name": name,
            "dataSourceConfiguration": configuration});
        extend(&mut input, more);
        let made = self.call::<op::CreateDataSource>(input).await;
        text(&made["dataSource"]["dataSourceId"])
    }

    pub(crate) async fn try_call<Op: Operation>(&self, input: Value) -> Result<Value, Exception>
    where
        Service: Handle<Op>,
    {
        let cx = ports::context("11111111-2222-4333-8444-555555555555");
        let input = serde_json::from_value(input).expect("the test sends what the shape allows");
        let output = Handle::<Op>::handle(&self.service, &cx, input).await?;
        Ok(serde_json::to_value(output).expect("an answer is JSON"))
    }

    pub(crate) async fn call<Op: Operation>(&self, input: Value) -> Value
    where
        Service: Handle<Op>,
    {
        self.try_call::<Op>(input).await.expect("the call succeeds")
    }

    pub(crate) async fn refused<Op: Operation>(&self, input: Value) -> String
    where
        Service: Handle<Op>,
    {
        let exception = self.try_call::<Op>(input).await.expect_err("a refusal");
        format!("{:?}: {}", exception.kind(), exception.message())
    }

    /// Begins a job and gives its id.
    pub(crate) async fn begin(&self, source: &str) -> String {
        let made = self
            .call::<op::StartIngestionJob>(self.named(source, json!({})))
            .await;
        assert_eq!(made["ingestionJob"]["status"], "STARTING");
        text(&made["ingestionJob"]["ingestionJobId"])
    }

    /// Does what is due.
    pub(crate) async fn work(&self) -> usize {
        self.service.ingest_due().await.expect("the store answers")
    }

    /// A job from its beginning to its end.
    pub(crate) async fn ingest(&self, source: &str) -> Value {
        let job = self.begin(source).await;
        self.work().await;
        self.job(source, &job).await
    }

    pub(crate) async fn job(&self, source: &str, job: &str) -> Value {
        let input = self.named(source, json!({"ingestionJobId": job}));
        self.call::<op::GetIngestionJob>(input).await["ingestionJob"].clone()
    }

    /// A request about a data source.
    pub(crate) fn named(&self, source: &str, more: Value) -> Value {
        let mut input = json!({"knowledgeBaseId": self.base, "dataSourceId": source});
        extend(&mut input, more);
        input
    }

    /// What the index should hold of the bucket `docs`: small texts are one chunk each.
    pub(crate) fn expected(&self) -> Vec<(String, String)> {
        let objects = self.buckets.objects.lock().expect("whole");
        let docs = objects.get("docs").expect("is there");
        docs.iter()
            .filter(|(key, _)| !key.ends_with(".metadata.json"))
            .map(|(key, (_, content))| {
                let text = String::from_utf8(content.to_vec()).expect("text");
                (format!("s3://docs/{key}"), text)
            })
            .collect()
    }
}

pub(crate) fn extend(input: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("an object")
    };
    input.as_object_mut().expect("an object").extend(more);
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The statistics that are not 0.
pub(crate) fn counts(job: &Value) -> Value {
    let all = job["statistics"].as_object().expect("an object");
    let some = all.iter().filter(|(_, count)| **count != 0);
    let short = some.map(|(name, count)| {
        let name = name.strip_prefix("numberOf").expect("AWS's name");
        (name.replace("Documents", ""), count.clone())
    });
    Value::Object(short.collect())
}
