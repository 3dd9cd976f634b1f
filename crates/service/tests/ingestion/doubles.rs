//! An embedding model, an extractor, a crawler and a function in memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, CrawlError, CrawlEvent, Crawler,
    DocumentSource, Embedder, EmbeddingChoice, EmbeddingIdentity, EmbeddingModel, EmbeddingPurpose,
    ExtractCall, ExtractError, Extraction, Extractor, ModelError,
};
use outcrop_knowledge::document::{Extracted, Record};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::control::WebDataSourceConfiguration;
use serde_json::{Value, json};

use crate::buckets::Buckets;
use crate::functions::replied;
use crate::fuse::Fuse;
use crate::words::Words;

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
                function_error: failed.then(|| "Unhandled".to_owned()),
                ..replied(&payload)
            })
        })
    }
}

/// Keys in a listing, for comparisons.
pub(crate) fn set<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    all.into_iter().collect()
}
