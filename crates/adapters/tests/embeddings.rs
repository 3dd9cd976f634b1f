//! Embeddings end to end: providers against a server on the loopback interface, and the local models on
//! their real weights against vectors that ONNX Runtime and `WordLlama`'s own package made.
//!
//! The local models' weights are taken from the cache or fetched; where neither is possible the tests
//! say so and pass.

#[path = "support/loopback.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod loopback;

use std::collections::BTreeMap;
use std::sync::Arc;

use loopback::{Answer, Server};
use outcrop_adapters::embed::{
    EmbeddingMapping, EmbeddingSettings, Embeddings, LocalEmbeddingSettings,
};
use outcrop_adapters::http::Secret;
use outcrop_adapters::model::registry::{ModelMapping, ProviderKind};
use outcrop_engine::port::{Embedder, EmbeddingChoice, EmbeddingPurpose, ModelError};
use serde::Deserialize;
use serde_json::{Value, json};

const JSON: &str = "content-type: application/json\r\n";

fn embeddings(upstream: ModelMapping, dimensions: Option<u32>) -> Embeddings {
    Embeddings::new(EmbeddingSettings {
        mappings: vec![EmbeddingMapping {
            upstream,
            dimensions,
        }],
        local: LocalEmbeddingSettings::default(),
        cache: None,
    })
    .expect("a mapping that works")
}

fn choice(model: &str) -> EmbeddingChoice {
    EmbeddingChoice {
        model: model.to_owned(),
        dimensions: None,
    }
}

fn texts(texts: &[&str]) -> Vec<Arc<str>> {
    texts.iter().copied().map(Arc::from).collect()
}

fn vectors(vectors: &[[f32; 2]]) -> String {
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    json!({"object": "list", "data": data, "model": "m"}).to_string()
}

fn openai(server: &Server) -> ModelMapping {
    ModelMapping {
        base_url: Some(server.url("/v1")),
        upstream_model: Some("nomic-embed-text".to_owned()),
        api_key: Some(Secret::new("sk-test")),
        ..ModelMapping::new("amazon.titan*", ProviderKind::OpenAi)
    }
}

#[tokio::test]
async fn a_server_of_the_openai_protocol_embeds() {
    let server = Server::start([
        // How long its vectors are is not known before it has made one.
        Answer::whole(200, JSON, &vectors(&[[1.0, 0.0]])),
        Answer::whole(
            429,
            "retry-after-ms: 1\r\n",
            "{\"error\": {\"message\": \"slow down\"}}",
        ),
        Answer::whole(200, JSON, &vectors(&[[3.0, 4.0], [0.0, 2.0]])),
    ])
    .await;
    let embeddings = embeddings(openai(&server), None);
    let choice = choice("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v1");
    let model = embeddings.model(&choice).await.expect("a model");
    assert_eq!(model.identity.model, "openai/nomic-embed-text");
    assert_eq!(model.identity.dimensions, 2);
    let made = embeddings
        .embed(&choice, EmbeddingPurpose::Document, texts(&["a", "b"]))
        .await
        .expect("vectors");
    assert_eq!(made, [[0.6, 0.8], [0.0, 1.0]]);
    let received = server.received();
    assert_eq!(received.len(), 3);
    let last = received.last().expect("a request");
    assert!(
        last.head.starts_with("POST /v1/embeddings "),
        "{}",
        last.head
    );
    assert!(last.head.contains("authorization: Bearer sk-test"));
    let body: Value = serde_json::from_slice(&last.body).expect("JSON");
    assert_eq!(
        body,
        json!({"model": "nomic-embed-text", "input": ["a", "b"]})
    );
}

#[tokio::test]
async fn dimensions_are_asked_for_and_checked() {
    let server = Server::start([Answer::whole(200, JSON, &vectors(&[[1.0, 0.0]]))]).await;
    let embeddings = embeddings(openai(&server), Some(256));
    let refused = embeddings
        .embed(
            &choice("amazon.titan-embed-text-v2:0"),
            EmbeddingPurpose::Query,
            texts(&["a"]),
        )
        .await
        .expect_err("two dimensions are not 256");
    assert!(matches!(refused, ModelError::Malformed { .. }), "{refused}");
    let body: Value = serde_json::from_slice(&server.received()[0].body).expect("JSON");
    assert_eq!(body["dimensions"], 256);
}

#[tokio::test]
async fn what_cannot_succeed_is_asked_once_and_the_key_is_not_told() {
    let refusal =
        "{\"error\": {\"message\": \"sk-test may not\", \"type\": \"invalid_request_error\"}}";
    let server = Server::start([Answer::whole(401, JSON, refusal)]).await;
    let embeddings = embeddings(openai(&server), Some(2));
    let error = embeddings
        .embed(
            &choice("amazon.titan-embed-text-v1"),
            EmbeddingPurpose::Document,
            texts(&["a"]),
        )
        .await
        .expect_err("refused");
    assert!(matches!(error, ModelError::Auth { .. }), "{error}");
    assert!(!error.to_string().contains("sk-test"), "{error}");
    assert_eq!(server.received().len(), 1);
}

fn bedrock(server: &Server) -> ModelMapping {
    ModelMapping {
        base_url: Some(server.url("")),
        api_key: Some(Secret::new("bedrock-key")),
        region: Some("eu-west-1".to_owned()),
        ..ModelMapping::new("*", ProviderKind::Bedrock)
    }
}

#[tokio::test]
async fn bedrock_models_get_their_own_bodies() {
    let unit = |at: usize| {
        let mut vector = vec![0.0; 256];
        vector[at] = 2.0;
        vector
    };
    let server = Server::start([
        Answer::whole(200, JSON, &json!({"embedding": unit(1)}).to_string()),
        Answer::whole(
            200,
            JSON,
            &json!({"embeddings": {"float": [unit(2), unit(3)]}}).to_string(),
        ),
    ])
    .await;
    let embeddings = embeddings(bedrock(&server), Some(256));
    let titan = choice("amazon.titan-embed-text-v2:0");
    let made = embeddings
        .embed(&titan, EmbeddingPurpose::Document, texts(&["a"]))
        .await
        .expect("a vector");
    assert!((made[0][1] - 1.0).abs() < 1e-6);
    let cohere = choice("cohere.embed-v4:0");
    let made = embeddings
        .embed(&cohere, EmbeddingPurpose::Query, texts(&["b", "c"]))
        .await
        .expect("vectors");
    assert!((made[1][3] - 1.0).abs() < 1e-6);
    let received = server.received();
    let paths: Vec<&str> = received
        .iter()
        .filter_map(|request| request.head.split(' ').nth(1))
        .collect();
    assert_eq!(
        paths,
        [
            "/model/amazon.titan-embed-text-v2%3A0/invoke",
            "/model/cohere.embed-v4%3A0/invoke"
        ]
    );
    let body: Value = serde_json::from_slice(&received[1].body).expect("JSON");
    assert_eq!(body["input_type"], "search_query");
    assert!(
        received[0]
            .head
            .to_lowercase()
            .contains("authorization: bearer bedrock-key")
    );
}

#[tokio::test]
async fn bedrock_refusals_are_told() {
    let refusal = "{\"message\": \"too long\"}";
    let headers = "content-type: application/json\r\nx-amzn-errortype: ValidationException\r\n";
    let server = Server::start([Answer::whole(400, headers, refusal)]).await;
    let embeddings = embeddings(bedrock(&server), None);
    let error = embeddings
        .embed(
            &choice("amazon.titan-embed-text-v1"),
            EmbeddingPurpose::Document,
            texts(&["a"]),
        )
        .await
        .expect_err("refused");
    assert!(matches!(error, ModelError::Rejected { .. }), "{error}");
    assert!(error.to_string().contains("too long"));
    let unknown = embeddings
        .model(&choice("meta.llama3-8b"))
        .await
        .err()
        .expect("no embedding model");
    assert!(unknown.to_string().contains("meta.llama3-8b"), "{unknown}");
}

#[derive(Deserialize)]
struct Reference {
    texts: Vec<String>,
    models: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<usize>,
    vectors: Vec<Vec<f32>>,
}

fn local(model: &str) -> Embeddings {
    embeddings(
        ModelMapping {
            upstream_model: Some(model.to_owned()),
            ..ModelMapping::new("*", ProviderKind::Local)
        },
        None,
    )
}

/// The cosine of two vectors of unit length.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[tokio::test]
async fn local_models_agree_with_the_reference() {
    let reference: Reference =
        serde_json::from_str(include_str!("embedding_reference.json")).expect("the reference");
    for (name, expected) in &reference.models {
        let embeddings = local(name);
        let choice = choice("amazon.titan-embed-text-v2:0");
        let model = match embeddings.model(&choice).await {
            Ok(model) => model,
            Err(error) => {
                println!("skipped: {error}");
                continue;
            }
        };
        let counted: Vec<usize> = reference
            .texts
            .iter()
            .map(|text| model.tokens.count(text))
            .collect();
        assert_eq!(counted, expected.tokens, "{name}");
        for text in &reference.texts {
            let ends = model.tokens.token_ends(text);
            assert!(ends.is_sorted() && ends.iter().all(|end| text.is_char_boundary(*end)));
            assert_eq!(ends.last(), Some(&text.len()), "{name}");
        }
        let all = reference
            .texts
            .iter()
            .map(|text| Arc::from(&**text))
            .collect();
        let together = embeddings
            .embed(&choice, EmbeddingPurpose::Document, all)
            .await
            .expect("vectors");
        for (text, (made, wanted)) in reference
            .texts
            .iter()
            .zip(together.iter().zip(&expected.vectors))
        {
            assert!(cosine(made, wanted) > 0.999_99, "{name}: {text}");
            let alone = embeddings
                .embed(&choice, EmbeddingPurpose::Query, texts(&[text]))
                .await
                .expect("a vector");
            assert!(cosine(made, &alone[0]) > 0.999_999, "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn local_models_make_longer_vectors_and_static_ones_shorter_too() {
    for (name, dimensions, possible) in [
        ("all-minilm-l6-v2", 1_024, true),
        ("all-minilm-l6-v2", 256, false),
        ("wordllama-256", 64, true),
    ] {
        let embeddings = local(name);
        let choice = EmbeddingChoice {
            dimensions: Some(dimensions),
            ..choice("amazon.titan-embed-text-v2:0")
        };
        let made = embeddings
            .embed(
                &choice,
                EmbeddingPurpose::Document,
                texts(&["leave", "leave policy"]),
            )
            .await;
        match made {
            Ok(made) => {
                assert!(possible, "{name} {dimensions}");
                assert!(
                    made.iter()
                        .all(|vector| u32::try_from(vector.len()) == Ok(dimensions))
                );
                assert!(cosine(&made[0], &made[1]) > 0.5);
            }
            Err(ModelError::Rejected { detail }) => {
                assert!(!possible, "{name} {dimensions}: {detail}");
            }
            Err(error) => println!("skipped: {error}"),
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_the_model_to_others() {
    let embeddings = local("wordllama-256");
    let choice = choice("any");
    if let Err(error) = embeddings.model(&choice).await {
        println!("skipped: {error}");
        return;
    }
    let many: Vec<Arc<str>> = (0..20_000)
        .map(|n| Arc::from(format!("text {n}")))
        .collect();
    let mut begun = embeddings.embed(&choice, EmbeddingPurpose::Document, many);
    let polled = futures_util::poll!(&mut begun);
    assert!(polled.is_pending());
    drop(begun);
    let made = embeddings
        .embed(&choice, EmbeddingPurpose::Query, texts(&["a"]))
        .await
        .expect("a vector");
    assert_eq!(made.len(), 1);
}
