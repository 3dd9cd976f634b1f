//! `Retrieve` and `Rerank`.

use std::sync::atomic::Ordering;

use outcrop_engine::port::{EmbeddingIdentity, RerankDocument, SearchBy};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::bedrock::ops::CreateGuardrail;
use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::ops::{Rerank, Retrieve};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::index::s3;

async fn retrieve(bench: &Bench, search: Value) -> Value {
    bench
        .call::<Retrieve>(request(bench, "annual leave", search))
        .await
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn request(bench: &Bench, text: &str, search: Value) -> Value {
    json!({"knowledgeBaseId": bench.knowledge_base, "retrievalQuery": {"text": text},
        "retrievalConfiguration": {"vectorSearchConfiguration": search}})
}

fn texts(response: &Value) -> Vec<&str> {
    let results = response["retrievalResults"].as_array().expect("a list");
    results
        .iter()
        .map(|result| result["content"]["text"].as_str().expect("a text"))
        .collect()
}

fn number(value: f64) -> MetadataValue {
    MetadataValue::Number(value)
}

/// Six chunks; by vector they are near in their order, by words the other way round.
async fn bench() -> Bench {
    let bench = Bench::new().await;
    for (at, text) in ["a", "b", "c", "d annual", "e annual", "f annual leave"]
        .into_iter()
        .enumerate()
    {
        let at = u8::try_from(at).expect("few");
        let score = 0.9 - 0.1 * f32::from(at);
        let year = [("year", number(2020.0 + f64::from(at)))];
        bench
            .index
            .add_with(&format!("chunk{at}"), s3(text), score, text, None, year);
    }
    bench
}

#[tokio::test]
async fn both_searches_are_made_unless_one_is_asked_for() {
    let bench = bench().await;
    let hybrid = retrieve(&bench, json!({"numberOfResults": 3})).await;
    assert_eq!(texts(&hybrid), ["d annual", "f annual leave", "e annual"]);
    let scores: Vec<f64> = hybrid["retrievalResults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|result| result["score"].as_f64().expect("a score"))
        .collect();
    assert!(
        scores.is_sorted_by(|a, b| a >= b)
            && scores.iter().all(|score| (0.0..=1.0).contains(score))
    );
    let semantic = retrieve(&bench, json!({"overrideSearchType": "SEMANTIC"})).await;
    assert_eq!(texts(&semantic), ["a", "b", "c", "d annual", "e annual"]);
    assert_eq!(bench.index.searches.lock().expect("unpoisoned").len(), 3);

    bench.index.searches_text.store(false, Ordering::SeqCst);
    assert_eq!(texts(&retrieve(&bench, json!({})).await)[0], "a");
    let hybrid = request(&bench, "x", json!({"overrideSearchType": "HYBRID"}));
    let message = format!(
        "HYBRID search type is not supported for search operation on index {}. Retry your request with a different search type.",
        bench.knowledge_base
    );
    assert_eq!(
        bench.refused::<Retrieve>(hybrid).await,
        (ExceptionKind::Validation, message)
    );
}

#[tokio::test]
async fn filters_narrow_both_searches_and_a_model_may_add_one() {
    let bench = bench().await;
    let filter = json!({"lessThan": {"key": "year", "value": 2024}});
    let found = retrieve(&bench, json!({"filter": filter.clone()})).await;
    assert_eq!(texts(&found), ["d annual", "a", "b", "c"]);

    let implicit = json!({"modelArn": "m", "metadataAttributes": [
        {"key": "year", "type": "NUMBER", "description": "When it was decided"}]});
    let search = json!({"filter": filter, "implicitFilterConfiguration": implicit});
    bench.model.says([
        r#"<filter>{"equals": {"key": "color", "value": "red"}}</filter>"#,
        r#"<filter>{"greaterThan": {"key": "year", "value": 2021}}</filter>"#,
    ]);
    let found = retrieve(&bench, search.clone()).await;
    assert_eq!(texts(&found), ["d annual", "c"]);
    let prompts = bench.model.prompts();
    assert!(prompts[0].contains("year (NUMBER): When it was decided"));
    assert!(prompts[1].contains("there is no attribute color"));

    bench.model.says(["<filter>none</filter>"]);
    assert_eq!(
        retrieve(&bench, search.clone()).await["retrievalResults"]
            .as_array()
            .map(Vec::len),
        Some(4)
    );
    bench.model.says(["after 2021", "after 2021"]);
    let refused = bench
        .refused::<Retrieve>(request(&bench, "x", search))
        .await;
    assert_eq!(refused.0, ExceptionKind::DependencyFailed);

    let wrong = json!({"filter": {"greaterThan": {"key": "year", "value": "2021"}}});
    let (kind, message) = bench.refused::<Retrieve>(request(&bench, "x", wrong)).await;
    assert_eq!(kind, ExceptionKind::Validation);
    assert!(message.contains("greaterThan.value"), "{message}");
}

#[tokio::test]
async fn a_reranker_has_the_last_word() {
    let bench = bench().await;
    let reranked = |metadata: Value| {
        let mut bedrock = json!({"modelConfiguration": {"modelArn": "r",
            "additionalModelRequestFields": {"a": 1}}, "numberOfRerankedResults": 2});
        if !metadata.is_null() {
            bedrock["metadataConfiguration"] = metadata;
        }
        json!({"overrideSearchType": "SEMANTIC", "numberOfResults": 4, "rerankingConfiguration":
            {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": bedrock}})
    };
    let found = retrieve(&bench, reranked(Value::Null)).await;
    assert_eq!(texts(&found), ["d annual", "c"]);
    assert_eq!(found["retrievalResults"][0]["score"], json!(0.03));
    for metadata in [
        json!({"selectionMode": "ALL"}),
        json!({"selectionMode": "SELECTIVE", "selectiveModeConfiguration":
            {"fieldsToInclude": [{"fieldName": "year"}]}}),
        json!({"selectionMode": "SELECTIVE", "selectiveModeConfiguration":
            {"fieldsToExclude": [{"fieldName": "year"}]}}),
    ] {
        retrieve(&bench, reranked(metadata)).await;
    }
    let calls = bench.reranker.0.lock().expect("unpoisoned");
    assert_eq!(calls[0].documents[0], RerankDocument::Text("a".to_owned()));
    assert_eq!(
        (calls[0].limit, calls[0].fields.clone()),
        (Some(2), Some(json!({"a": 1})))
    );
    let members: Vec<Vec<String>> = calls[1..]
        .iter()
        .map(|call| match &call.documents[0] {
            RerankDocument::Json(document) => {
                let document = document.as_object().expect("an object");
                document.keys().cloned().collect()
            }
            RerankDocument::Text(_) => Vec::new(),
        })
        .collect();
    let service = [
        "x-amz-bedrock-kb-data-source-id",
        "x-amz-bedrock-kb-source-uri",
    ];
    assert_eq!(members[0], ["text", service[0], service[1], "year"]);
    assert_eq!(members[1], ["text", "year"]);
    assert_eq!(members[2], ["text", service[0], service[1]]);
}

#[tokio::test]
async fn parents_are_returned_once() {
    let bench = Bench::new().await;
    for (id, score, parent) in [("1", 0.9, "p"), ("2", 0.8, "p"), ("3", 0.7, "q")] {
        let text = format!("whole of {parent}");
        let parent = Some((parent, text.as_str()));
        bench
            .index
            .add_with(id, s3("k"), score, "child", parent, []);
    }
    // Two chunks are found, and have one parent: fewer results than asked for, as on AWS.
    for search_type in ["SEMANTIC", "HYBRID"] {
        let found = retrieve(
            &bench,
            json!({"overrideSearchType": search_type, "numberOfResults": 2}),
        )
        .await;
        assert_eq!(texts(&found), ["whole of p"]);
    }
    let found = retrieve(&bench, json!({})).await;
    assert_eq!(texts(&found), ["whole of p", "whole of q"]);
    let metadata = &found["retrievalResults"][1]["metadata"];
    assert_eq!(metadata["x-amz-bedrock-kb-chunk-id"], json!("q"));
}

#[tokio::test]
async fn results_say_where_they_are_and_long_ones_come_in_pages() {
    let bench = Bench::new().await;
    let long = "x".repeat(700 * 1024);
    let custom = DocumentLocation::Custom {
        id: "42".to_owned(),
    };
    let web = DocumentLocation::Web {
        url: "https://e.org/a".to_owned(),
    };
    bench.index.add("1", custom, 0.9, &long);
    bench.index.add("2", web, 0.8, &long);
    let mut request = request(&bench, "x", json!({}));
    let first = bench.call::<Retrieve>(request.clone()).await;
    let results = first["retrievalResults"].as_array().expect("a list");
    assert_eq!(results.len(), 1);
    assert_eq!(
        results[0]["location"],
        json!({"type": "CUSTOM", "customDocumentLocation": {"id": "42"}})
    );
    request["nextToken"] = first["nextToken"].clone();
    let second = bench.call::<Retrieve>(request.clone()).await;
    let location = &second["retrievalResults"][0]["location"];
    assert_eq!(
        location,
        &json!({"type": "WEB", "webLocation": {"url": "https://e.org/a"}})
    );
    assert_eq!(second.get("nextToken"), None);
    request["retrievalQuery"]["text"] = json!("another");
    assert_eq!(
        bench.refused::<Retrieve>(request).await.0,
        ExceptionKind::Validation
    );
}

#[tokio::test]
async fn a_guardrail_judges_the_question() {
    let bench = bench().await;
    let guardrail = bench
        .call::<CreateGuardrail>(
            json!({"name": "g", "blockedInputMessaging": "no", "blockedOutputsMessaging": "no",
            "wordPolicyConfig": {"wordsConfig": [{"text": "forbidden"}]}}),
        )
        .await;
    let mut asked = request(&bench, "annual leave", json!({}));
    asked["guardrailConfiguration"] =
        json!({"guardrailId": guardrail["guardrailId"], "guardrailVersion": "DRAFT"});
    let passed = bench.call::<Retrieve>(asked.clone()).await;
    assert_eq!(passed["guardrailAction"], json!("NONE"));
    asked["retrievalQuery"]["text"] = json!("something forbidden");
    let blocked = bench.call::<Retrieve>(asked).await;
    assert_eq!(
        blocked,
        json!({"guardrailAction": "INTERVENED", "retrievalResults": []})
    );
}

#[tokio::test]
async fn what_cannot_be_searched_is_named() {
    let bench = bench().await;
    let kendra = json!({"type": "KENDRA", "kendraKnowledgeBaseConfiguration":
        {"kendraIndexArn": "arn:aws:kendra:us-west-2:111111111111:index/12345678-1234-1234-1234-123456789012"}});
    let kendra = bench.create_knowledge_base("kendra", kendra).await;
    let with = |member: &str, value: Value| {
        let mut request = request(&bench, "x", json!({}));
        request[member] = value;
        request
    };
    for (request, kind, said) in [
        (
            with("knowledgeBaseId", json!("NOSUCHBASE")),
            ExceptionKind::ResourceNotFound,
            "KnowledgeBase with id NOSUCHBASE is not found.",
        ),
        (
            with("knowledgeBaseId", json!(kendra)),
            ExceptionKind::Validation,
            "KENDRA, which is not supported",
        ),
        (
            with("retrievalQuery", json!({"text": " "})),
            ExceptionKind::Validation,
            "The query is empty",
        ),
        (
            with("retrievalQuery", json!({"type": "IMAGE"})),
            ExceptionKind::Validation,
            "with an image",
        ),
        (
            with(
                "retrievalConfiguration",
                json!({"managedSearchConfiguration": {}}),
            ),
            ExceptionKind::Validation,
            "managedSearchConfiguration is not supported",
        ),
        (
            with("userContext", json!({"userId": "u"})),
            ExceptionKind::Validation,
            "userContext is not supported",
        ),
    ] {
        let (found, message) = bench.refused::<Retrieve>(request).await;
        assert!(found == kind && message.contains(said), "{message}");
    }
    let arn = format!(
        "arn:aws:bedrock:us-west-2:111111111111:knowledge-base/{}",
        bench.knowledge_base
    );
    assert_eq!(
        texts(
            &bench
                .call::<Retrieve>(with("knowledgeBaseId", json!(arn)))
                .await
        )
        .len(),
        5
    );

    bench.index.fails.store(true, Ordering::SeqCst);
    let (kind, message) = bench
        .refused::<Retrieve>(with("nextToken", Value::Null))
        .await;
    assert_eq!(kind, ExceptionKind::DependencyFailed);
    assert!(
        message
            .starts_with("The vector database encountered an error while processing the request: "),
        "{message}"
    );
    *bench.index.identity.lock().expect("unpoisoned") = Some(EmbeddingIdentity {
        model: "other".to_owned(),
        dimensions: 2,
    });
    let (kind, message) = bench
        .refused::<Retrieve>(request(
            &bench,
            "x",
            json!({"overrideSearchType": "SEMANTIC"}),
        ))
        .await;
    assert!(
        kind == ExceptionKind::Validation && message.contains("vectors of other"),
        "{message}"
    );
    let searches = bench.index.searches.lock().expect("unpoisoned");
    let by_vector = searches
        .iter()
        .filter(|search| matches!(search.by, SearchBy::Vector(_)));
    assert_eq!(
        by_vector.count(),
        2,
        "vectors of another model are not compared"
    );
}

#[tokio::test]
async fn documents_are_reranked_by_themselves() {
    let bench = Bench::new().await;
    let text = |text: &str| json!({"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}});
    let json = json!({"type": "INLINE", "inlineDocumentSource": {"type": "JSON", "jsonDocument": {"a": 1}}});
    let mut request = json!({"queries": [{"type": "TEXT", "textQuery": {"text": "q"}}],
        "sources": [text("one"), json, text("three")],
        "rerankingConfiguration": {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration":
            {"modelConfiguration": {"modelArn": "r"}, "numberOfResults": 2}}});
    let ranked = bench.call::<Rerank>(request.clone()).await;
    let places: Vec<&Value> = ranked["results"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["index"])
        .collect();
    assert_eq!(places, [&json!(2), &json!(1)]);
    assert_eq!(
        bench.reranker.0.lock().expect("unpoisoned")[0].documents[1],
        RerankDocument::Json(json!({"a": 1}))
    );
    let bedrock = "bedrockRerankingConfiguration";
    request["rerankingConfiguration"][bedrock]["modelConfiguration"]["modelArn"] = json!("unknown");
    let (kind, message) = bench.refused::<Rerank>(request.clone()).await;
    assert!(
        kind == ExceptionKind::Validation && message.contains("[[rerankers]]"),
        "{message}"
    );
    request["rerankingConfiguration"][bedrock]["numberOfResults"] = json!(4);
    assert_eq!(
        bench.refused::<Rerank>(request.clone()).await.0,
        ExceptionKind::Validation
    );
    request["sources"][0]["inlineDocumentSource"]["type"] = json!("JSON");
    assert!(
        bench
            .refused::<Rerank>(request)
            .await
            .1
            .contains("sources[0]")
    );
}
