//! Requests, answers and marks of each kind of reranker.

use outcrop_engine::port::{Capabilities, ModelRequest, ModelStream};
use serde_json::json;

use super::*;
use crate::model::registry::ProviderKind;

struct NoModels;

impl ModelProvider for NoModels {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        Err(ModelError::Unmapped {
            model: model.to_owned(),
            hint: "none here".to_owned(),
        })
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        let error = ModelError::Unmapped {
            model: request.model,
            hint: "none here".to_owned(),
        };
        Box::pin(std::future::ready(Err(error)))
    }
}

fn call(model: &str) -> RerankCall {
    RerankCall {
        model: model.to_owned(),
        query: "q".to_owned(),
        documents: vec![
            RerankDocument::Text("one".to_owned()),
            RerankDocument::Json(json!({"title": "T", "year": 2020})),
        ],
        limit: Some(1),
        fields: Some(json!({"max_tokens_per_doc": 9})),
    }
}

fn rerankers(kind: RerankerKind) -> Rerankers {
    let mapping = RerankerMapping {
        kind,
        upstream: ModelMapping::new("cohere.*", ProviderKind::OpenAi),
    };
    let models: Arc<dyn ModelProvider> = Arc::new(NoModels);
    Rerankers::new(&[mapping], &models).expect("a good mapping")
}

#[test]
fn requests_have_the_form_of_their_protocol() {
    let texts = json!(["one", "title: T\nyear: 2020"]);
    assert_eq!(
        protocol::body(Protocol::Cohere, &call("m")).expect("a body"),
        json!({"model": "m", "query": "q", "documents": texts, "top_n": 1, "max_tokens_per_doc": 9})
    );
    assert_eq!(
        protocol::body(Protocol::Tei, &call("m")).expect("a body"),
        json!({"query": "q", "texts": texts, "truncate": true, "max_tokens_per_doc": 9})
    );
    for (model, version) in [
        ("amazon.rerank-v1:0", None),
        ("cohere.rerank-v3-5:0", Some(2)),
    ] {
        let body = bedrock::body(&call(model)).expect("a body");
        assert_eq!(body.get("api_version").and_then(Value::as_i64), version);
        assert_eq!((&body["documents"], &body["top_n"]), (&texts, &json!(1)));
        assert_eq!(body.get("model"), None);
    }
    let wrong = RerankCall {
        fields: Some(json!(1)),
        ..call("m")
    };
    assert!(protocol::body(Protocol::Cohere, &wrong).is_err());
}

#[test]
fn answers_are_read_in_either_form_and_put_in_order() {
    for answer in [
        r#"{"id": "x", "results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9, "document": {"text": "t"}}]}"#,
        r#"[{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}]"#,
    ] {
        let ranked = protocol::read(answer.as_bytes(), "m").expect("an answer");
        let places: Vec<usize> = ordered(ranked, 2, None)
            .iter()
            .map(|one| one.index)
            .collect();
        assert_eq!(places, [1, 0], "{answer}");
    }
    assert!(protocol::read(b"{}", "m").is_err());
    let place = |index, score| Ranked { index, score };
    let ranked = vec![place(0, 0.2), place(7, 0.9), place(1, 0.5), place(0, 0.8)];
    assert_eq!(
        ordered(ranked.clone(), 2, None),
        [place(0, 0.8), place(1, 0.5)]
    );
    assert_eq!(ordered(ranked, 2, Some(1)), [place(0, 0.8)]);
}

#[test]
fn marks_are_read_as_models_write_them() {
    let text = "<thinking>2: 9</thinking>\n1: 3\n**Document 2**: 7.5/10\n4: 11\n9: 1\nthat is all";
    assert_eq!(
        judge::marks(text, 4),
        [Some(3.0), Some(7.5), None, Some(10.0)]
    );
    assert_eq!(judge::marks("I cannot", 1), [None]);
}

#[tokio::test]
async fn models_that_nothing_serves_name_the_setting() {
    let rerankers = rerankers(RerankerKind::Judge);
    let arn = "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0";
    let error = rerankers.rerank(call(arn)).await.expect_err("none");
    assert!(error.to_string().contains("[[rerankers]]"), "{error}");
    let error = rerankers.rerank(call("cohere.rerank-v3-5:0")).await;
    assert!(
        error
            .expect_err("no model")
            .to_string()
            .contains("none here")
    );
    let nothing = RerankCall {
        documents: Vec::new(),
        ..call("x")
    };
    assert_eq!(rerankers.rerank(nothing).await, Ok(Vec::new()));
}
