//! Recorded responses, made again from the recorded chunks and answers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::runtime::ops::{Retrieve, RetrieveAndGenerate, RetrieveAndGenerateStream};
use serde_json::{Value, json};

use crate::bench::{Bench, MODEL};
use crate::says::answer;

/// A recorded response; `None`, said aloud, where there are no recordings.
fn recorded(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("OUTCROP_RECORDINGS") else {
        println!("skipped: OUTCROP_RECORDINGS is not set");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    Some(
        std::fs::read_to_string(&path)
            .unwrap_or_else(|cause| panic!("{}: {cause}", path.display())),
    )
}

fn json_of(name: &str) -> Option<Value> {
    Some(serde_json::from_str(&recorded(name)?).expect("JSON"))
}

/// The paths of all members, list places left out. What stands in `metadata` is data, not form.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = format!("{path}.{name}");
                if name != "metadata" {
                    members(value, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, path, found)),
        _ => {}
    }
}

fn form(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    members(value, "", &mut found);
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn parts(citations: &[Value]) -> Vec<Value> {
    let parts = citations.iter();
    parts
        .map(|citation| citation["generatedResponsePart"].clone())
        .collect()
}

/// Puts recorded chunks into the index, the first the nearest.
fn index(bench: &Bench, references: &[&Value]) {
    for (at, reference) in references.iter().enumerate() {
        let score = reference["score"].as_f64();
        #[expect(clippy::cast_possible_truncation, reason = "vectors are of floats")]
        let score = score.unwrap_or(0.9) as f32;
        let id = string(&reference["location"]["customDocumentLocation"]["id"]);
        let text = string(&reference["content"]["text"]);
        let location = DocumentLocation::Custom { id };
        bench
            .index
            .add(&format!("chunk{at}"), location, score, &text);
    }
}

#[tokio::test]
async fn retrieve() {
    let Some(recorded) = json_of("oi-py-retrieve.response.json") else {
        return;
    };
    let bench = Bench::new().await;
    let results = list(&recorded["retrievalResults"]);
    index(&bench, &results.iter().collect::<Vec<_>>());
    let made = bench
        .call::<Retrieve>(json!({"knowledgeBaseId": bench.knowledge_base,
            "retrievalQuery": {"text": "What is task Decomposition?"},
            "retrievalConfiguration": {"vectorSearchConfiguration": {"overrideSearchType": "SEMANTIC"}}}))
        .await;
    assert_eq!(form(&made), form(&recorded));
    for (made, recorded) in list(&made["retrievalResults"]).iter().zip(results) {
        for member in ["content", "location"] {
            assert_eq!(made[member], recorded[member]);
        }
        let (ours, theirs) = (made["score"].as_f64(), recorded["score"].as_f64());
        assert!((ours.expect("a score") - theirs.expect("a score")).abs() < 1e-6);
        let keys = recorded["metadata"].as_object().expect("attributes");
        for (name, _) in keys {
            assert!(made["metadata"].get(name).is_some(), "{name}");
        }
    }
}

/// What the model said, so that the recorded answer is what comes of it.
fn said(citations: &[Value]) -> String {
    let texts: Vec<String> = citations
        .iter()
        .map(|citation| string(&citation["generatedResponsePart"]["textResponsePart"]["text"]))
        .collect();
    let sources: &[&str] = &["1"];
    let parts: Vec<(&str, &[&str])> = texts.iter().map(|text| (text.trim(), sources)).collect();
    answer(&parts)
}

#[tokio::test]
async fn retrieve_and_generate() {
    let Some(recorded) = json_of("oi-py-rag-kb.response.json") else {
        return;
    };
    let bench = Bench::new().await;
    let citations = list(&recorded["citations"]);
    index(&bench, &[&citations[0]["retrievedReferences"][0]]);
    bench.model.says([said(citations).as_str()]);
    let made = bench
        .call::<RetrieveAndGenerate>(json!({"input": {"text": "What is Task Decomposition?"},
            "retrieveAndGenerateConfiguration": {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration":
                {"knowledgeBaseId": bench.knowledge_base, "modelArn": MODEL}}}))
        .await;
    assert_eq!(form(&made), form(&recorded));
    assert_eq!(made["output"], recorded["output"]);
    assert_eq!(parts(list(&made["citations"])), parts(citations));
}

fn telos() -> Value {
    json!({"input": {"text": "What is Telos?"}, "retrieveAndGenerateConfiguration": {"type": "EXTERNAL_SOURCES",
        "externalSourcesConfiguration": {"modelArn": MODEL, "sources": [
            {"sourceType": "S3", "s3Location": {"uri": "s3://bedrock-az-kb/knowledge_bases/VLDBJ96.pdf"}}]}}})
}

#[tokio::test]
async fn retrieve_and_generate_from_a_document() {
    let Some(recorded) = json_of("oi-py-rag-external-s3.response.json") else {
        return;
    };
    let bench = Bench::new().await;
    let citations = list(&recorded["citations"]);
    bench.model.says([said(citations).as_str()]);
    let made = bench.call::<RetrieveAndGenerate>(telos()).await;
    assert_eq!(form(&made), form(&recorded));
    assert_eq!(made["output"], recorded["output"]);
    assert_eq!(parts(list(&made["citations"])), parts(citations));
}

#[tokio::test]
async fn retrieve_and_generate_stream() {
    let Some(recorded) = recorded("oi-py-rag-stream-external.jsonl") else {
        return;
    };
    let recorded: Vec<(String, Value)> = recorded
        .lines()
        .map(|line| {
            let mut event: Value = serde_json::from_str(line).expect("JSON");
            (string(&event["event"]), event["payload"].take())
        })
        .collect();
    let bench = Bench::new().await;
    let cited = |events: &[(String, Value)]| -> Vec<Value> {
        let cited = events.iter().filter(|(name, _)| name == "citation");
        cited.map(|(_, event)| event["citation"].clone()).collect()
    };
    let text = |events: &[(String, Value)]| -> String {
        let output = events.iter().filter(|(name, _)| name == "output");
        output.map(|(_, event)| string(&event["text"])).collect()
    };
    // Pieces of text as one, so that the order can be compared.
    let order = |events: &[(String, Value)]| -> Vec<String> {
        let mut names: Vec<String> = events.iter().map(|(name, _)| name.clone()).collect();
        names.dedup();
        names
    };
    bench.model.says([said(&cited(&recorded)).as_str()]);
    let (_, made) = bench
        .stream::<RetrieveAndGenerateStream>(telos())
        .await
        .expect("a stream");
    assert_eq!(order(&made), order(&recorded));
    assert_eq!(text(&made), text(&recorded));
    assert_eq!(parts(&cited(&made)), parts(&cited(&recorded)));
    let citation = |events: &[(String, Value)]| {
        let found = events.iter().find(|(name, _)| name == "citation");
        form(&found.expect("a citation").1)
    };
    assert_eq!(citation(&made), citation(&recorded));
}
