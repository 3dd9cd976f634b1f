//! Lookup, batches, limits, retries and checks of what providers answer.

use std::sync::Mutex;

use outcrop_engine::port::EmbeddingIdentity;

use super::*;
use crate::embed::estimate::Estimate;
use crate::embed::provider::BatchLimits;

/// Makes vectors of the lengths of texts, and remembers what it was asked.
struct Counting {
    asked: Mutex<Vec<Vec<String>>>,
    failures: Mutex<u32>,
    length: usize,
}

impl Provider for Counting {
    fn describe<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Described, ModelError>> {
        let described = Described {
            model: EmbeddingModel {
                identity: EmbeddingIdentity {
                    model: format!("test/{}", asked.model),
                    dimensions: asked.dimensions.unwrap_or(2),
                },
                tokens_max: 4,
                tokens: Arc::new(Estimate),
            },
            tells_purposes: true,
            batch: BatchLimits {
                texts: 3,
                tokens: Some(8),
                concurrency: 1,
            },
        };
        Box::pin(std::future::ready(Ok(described)))
    }

    fn embed(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Vec<f32>>, ModelError>> {
        let texts: Vec<String> = batch.texts.iter().map(ToString::to_string).collect();
        let vectors = texts
            .iter()
            .map(|text| {
                let mut vector = vec![0.0; self.length];
                vector[0] = f32::from(u16::try_from(text.len()).expect("short"));
                vector[1] = 1.0;
                vector
            })
            .collect();
        self.asked.lock().expect("unpoisoned").push(texts);
        let mut failures = self.failures.lock().expect("unpoisoned");
        let answer = if *failures > 0 {
            *failures -= 1;
            Err(ModelError::Unavailable {
                detail: "not now".to_owned(),
            })
        } else {
            Ok(vectors)
        };
        Box::pin(std::future::ready(answer))
    }
}

struct Bench {
    embeddings: Embeddings,
    provider: Arc<Counting>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(failures: u32, length: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let provider = Arc::new(Counting {
            asked: Mutex::default(),
            failures: Mutex::new(failures),
            length,
        });
        let route = Route {
            matcher: matcher("amazon.*").expect("a glob"),
            upstream_model: None,
            dimensions: None,
            provider: provider.clone(),
            requests: Semaphore::new(1),
        };
        Self {
            embeddings: Embeddings {
                routes: vec![route],
                cache: Some(Arc::new(Cache::new(folder.path().join("e.sqlite")))),
            },
            provider,
            _folder: folder,
        }
    }

    async fn embed(
        &self,
        purpose: EmbeddingPurpose,
        texts: &[&str],
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let texts = texts.iter().copied().map(Arc::from).collect();
        self.embeddings.embed(&choice(), purpose, texts).await
    }

    fn asked(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.provider.asked.lock().expect("unpoisoned"))
    }
}

fn choice() -> EmbeddingChoice {
    EmbeddingChoice {
        model: "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0"
            .to_owned(),
        dimensions: None,
    }
}

#[tokio::test]
async fn texts_go_in_batches_once_each_and_vectors_come_in_order() {
    let bench = Bench::new(0, 2);
    let texts = ["a", "bb", "a", "one two three four five", "", "c d e", "f"];
    let vectors = bench
        .embed(EmbeddingPurpose::Document, &texts)
        .await
        .expect("vectors");
    let expected: Vec<Vec<String>> = [&["a", "bb", "one two three four"][..], &[" ", "c d e", "f"]]
        .map(|batch| batch.iter().map(ToString::to_string).collect())
        .to_vec();
    assert_eq!(bench.asked(), expected);
    assert_eq!(vectors.len(), texts.len());
    assert_eq!(vectors[0], vectors[2]);
    let ratio = |vector: &[f32]| vector[0] / vector[1];
    for (place, length) in [(0, 1.0), (1, 2.0), (3, 18.0), (4, 1.0), (5, 5.0)] {
        assert!((ratio(&vectors[place]) - length).abs() < 1e-4, "{place}");
    }
    for vector in &vectors {
        let square: f32 = vector.iter().map(|number| number * number).sum();
        assert!((square - 1.0).abs() < 1e-6);
    }
}

#[tokio::test]
async fn what_was_embedded_once_calls_no_model_again() {
    let bench = Bench::new(0, 2);
    let document = EmbeddingPurpose::Document;
    let first = bench.embed(document, &["a", "b"]).await.expect("vectors");
    assert_eq!(bench.asked().len(), 1);
    let second = bench
        .embed(document, &["b", "c", "a"])
        .await
        .expect("vectors");
    assert_eq!(bench.asked(), [["c"]]);
    assert_eq!((&second[2], &second[0]), (&first[0], &first[1]));
    // A question's vector is another one, with a model that tells them apart.
    bench
        .embed(EmbeddingPurpose::Query, &["a"])
        .await
        .expect("vectors");
    assert_eq!(bench.asked(), [["a"]]);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again() {
    let bench = Bench::new(2, 2);
    let document = EmbeddingPurpose::Document;
    bench.embed(document, &["a"]).await.expect("vectors");
    assert_eq!(bench.asked().len(), 3);
}

#[tokio::test]
async fn vectors_of_another_length_are_refused() {
    let bench = Bench::new(0, 3);
    let refused = bench.embed(EmbeddingPurpose::Document, &["a"]).await;
    let text = refused.expect_err("the length is wrong").to_string();
    assert!(text.contains("3 dimensions, expected 2"), "{text}");
}

#[tokio::test]
async fn models_without_a_mapping_are_told_how_to_get_one() {
    let bench = Bench::new(0, 2);
    let choice = EmbeddingChoice {
        model: "cohere.embed-english-v3".to_owned(),
        dimensions: None,
    };
    let error = bench
        .embeddings
        .model(&choice)
        .await
        .err()
        .expect("unmapped");
    assert!(
        error
            .to_string()
            .contains("[[embeddings]] match = \"cohere.embed-english-v3\"")
    );
}

#[test]
fn mappings_that_cannot_work_are_refused() {
    let settings = |provider, upstream_model: Option<&str>| EmbeddingSettings {
        mappings: vec![EmbeddingMapping {
            upstream: ModelMapping {
                upstream_model: upstream_model.map(str::to_owned),
                ..ModelMapping::new("*", provider)
            },
            dimensions: None,
        }],
        local: LocalEmbeddingSettings::default(),
        cache: None,
    };
    for (provider, model) in [
        (ProviderKind::Anthropic, None),
        (ProviderKind::Local, Some("hf:nothing")),
    ] {
        assert!(Embeddings::new(settings(provider, model)).is_err());
    }
    assert!(Embeddings::new(settings(ProviderKind::Local, None)).is_ok());
}

#[test]
fn vectors_get_unit_length() {
    assert_eq!(unit(vec![3.0, 4.0], 2, "m").expect("a vector"), [0.6, 0.8]);
    assert_eq!(unit(vec![0.0, 0.0], 2, "m").expect("a vector"), [1.0, 0.0]);
    assert!(unit(vec![f32::NAN, 1.0], 2, "m").is_err());
    assert!(unit(vec![1.0], 2, "m").is_err());
}
