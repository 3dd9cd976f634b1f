//! Requests and answers of each family of models.

use std::sync::Arc;

use super::*;

fn asked(model: &str, dimensions: Option<u32>) -> Asked {
    Asked {
        model: model.to_owned(),
        dimensions,
    }
}

fn body(model: &str, dimensions: Option<u32>, purpose: EmbeddingPurpose, texts: &[&str]) -> Value {
    let asked = asked(model, dimensions);
    let family = Family::of(model).expect("known");
    let length = family.dimensions(&asked).expect("a length it has");
    let batch = Batch {
        asked,
        purpose,
        texts: texts.iter().copied().map(Arc::from).collect(),
    };
    let body = family.body(&batch, length).expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn bodies_are_those_of_the_family() {
    use EmbeddingPurpose::{Document, Query};
    for (model, dimensions, purpose, texts, expected) in [
        (
            "amazon.titan-embed-text-v1",
            None,
            Document,
            &["a"][..],
            json!({"inputText": "a"}),
        ),
        (
            "amazon.titan-embed-g1-text-02",
            Some(1_536),
            Query,
            &["a"],
            json!({"inputText": "a"}),
        ),
        (
            "amazon.titan-embed-text-v2:0",
            None,
            Document,
            &["a"],
            json!({"inputText": "a", "dimensions": 1024, "normalize": true}),
        ),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
            Some(256),
            Document,
            &["a"],
            json!({"inputText": "a", "dimensions": 256, "normalize": true}),
        ),
        (
            "amazon.titan-embed-image-v1",
            Some(384),
            Document,
            &["a"],
            json!({"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}}),
        ),
        (
            "cohere.embed-english-v3",
            None,
            Document,
            &["a", "b"],
            json!({"texts": ["a", "b"], "input_type": "search_document", "truncate": "END"}),
        ),
        (
            "cohere.embed-multilingual-v3",
            Some(1_024),
            Query,
            &["a"],
            json!({"texts": ["a"], "input_type": "search_query", "truncate": "END"}),
        ),
        (
            "us.cohere.embed-v4:0",
            Some(512),
            Document,
            &["a"],
            json!({"texts": ["a"], "input_type": "search_document", "truncate": "RIGHT",
                "output_dimension": 512, "embedding_types": ["float"]}),
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            Some(384),
            Query,
            &["a"],
            json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {
                "embeddingPurpose": "TEXT_RETRIEVAL", "embeddingDimension": 384,
                "text": {"truncationMode": "END", "value": "a"}}}),
        ),
    ] {
        assert_eq!(body(model, dimensions, purpose, texts), expected, "{model}");
    }
}

#[test]
fn answers_are_read() {
    for (family, answer, expected) in [
        (
            Family::TitanV2,
            r#"{"embedding": [1, 2], "inputTextTokenCount": 3, "embeddingsByType": {"float": [1, 2]}}"#,
            vec![vec![1.0, 2.0]],
        ),
        (
            Family::CohereV3,
            r#"{"embeddings": [[1], [2]], "id": "x", "response_type": "embeddings_floats", "texts": ["a", "b"]}"#,
            vec![vec![1.0], vec![2.0]],
        ),
        (
            Family::CohereV4,
            r#"{"embeddings": {"float": [[1], [2]]}, "id": "x", "response_type": "embeddings_by_type"}"#,
            vec![vec![1.0], vec![2.0]],
        ),
        (
            Family::Nova,
            r#"{"embeddings": [{"embeddingType": "TEXT", "embedding": [1]}]}"#,
            vec![vec![1.0]],
        ),
    ] {
        assert_eq!(
            family.read(answer.as_bytes()).expect("an answer"),
            expected,
            "{family:?}"
        );
    }
    assert!(Family::TitanG1.read(b"{\"message\": \"no\"}").is_err());
}

#[test]
fn lengths_a_model_does_not_have_are_refused() {
    for (model, dimensions) in [
        ("amazon.titan-embed-text-v1", 1_024),
        ("amazon.titan-embed-text-v2:0", 384),
        ("cohere.embed-english-v3", 512),
        ("cohere.embed-v4:0", 3_072),
    ] {
        let family = Family::of(model).expect("known");
        let refused = family.dimensions(&asked(model, Some(dimensions)));
        assert!(
            matches!(refused, Err(ModelError::Rejected { .. })),
            "{model}"
        );
    }
    let unknown = Family::of("anthropic.claude-3").expect_err("none");
    assert!(unknown.to_string().contains("anthropic.claude-3"));
}

#[test]
fn texts_with_too_many_characters_are_cut() {
    let long = "\u{e9}".repeat(3_000);
    let body = body(
        "cohere.embed-english-v3",
        None,
        EmbeddingPurpose::Document,
        &[&long],
    );
    assert_eq!(
        body["texts"][0].as_str().map(|text| text.chars().count()),
        Some(2_048)
    );
}
