//! `RetrieveAndGenerate` and its stream.

use outcrop_engine::action::Strictness;
use outcrop_model::bedrock::ops::CreateGuardrail;
use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::ops::{RetrieveAndGenerate, RetrieveAndGenerateStream};
use outcrop_service::settings::Settings;
use serde_json::{Value, json};

use crate::bench::{Bench, MODEL};
use crate::index::s3;
use crate::says::answer;

/// AWS's reply where nothing was found.
const NO_ANSWER: &str = "Sorry, I am unable to assist you with this request.";

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.index.add(
        "c1",
        s3("leave.md"),
        0.9,
        "Staff have 30 days of annual leave.",
    );
    bench
        .index
        .add("c2", s3("sick.md"), 0.8, "Sick leave needs a note.");
    bench
}

/// A request on the knowledge base, with more members of its configuration.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn ask(bench: &Bench, text: &str, more: Value) -> Value {
    let mut configuration = json!({"knowledgeBaseId": bench.knowledge_base, "modelArn": MODEL});
    for (name, value) in more.as_object().expect("an object") {
        configuration[name] = value.clone();
    }
    json!({"input": {"text": text}, "retrieveAndGenerateConfiguration":
        {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": configuration}})
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn external(source: Value) -> Value {
    json!({"input": {"text": "What is it?"}, "retrieveAndGenerateConfiguration": {"type": "EXTERNAL_SOURCES",
        "externalSourcesConfiguration": {"modelArn": MODEL, "sources": [source]}}})
}

/// Text, span and number of references of each citation.
fn told(citations: &Value) -> Vec<(String, Value, usize)> {
    let citations = citations.as_array().expect("a list");
    citations
        .iter()
        .map(|citation| {
            let part = &citation["generatedResponsePart"]["textResponsePart"];
            let references = citation["retrievedReferences"].as_array();
            (
                part["text"].as_str().expect("a text").to_owned(),
                part["span"].clone(),
                references.expect("a list").len(),
            )
        })
        .collect()
}

#[tokio::test]
async fn an_answer_cites_what_it_rests_on() {
    let bench = bench().await;
    bench.model.says([answer(&[
        ("You have 30 days.", &["1"]),
        ("Bring a note, \u{e9}.", &["2", "9"]),
        ("Enjoy.", &[]),
    ])
    .as_str()]);
    let response = bench
        .call::<RetrieveAndGenerate>(ask(&bench, "How many days?", json!({})))
        .await;
    assert_eq!(
        response["output"]["text"],
        json!("You have 30 days. Bring a note, \u{e9}. Enjoy.")
    );
    assert_eq!(
        told(&response["citations"]),
        [
            (
                "You have 30 days.".to_owned(),
                json!({"start": 0, "end": 16}),
                1
            ),
            (
                "Bring a note, \u{e9}.".to_owned(),
                json!({"start": 18, "end": 33}),
                1
            ),
            ("Enjoy.".to_owned(), json!({"start": 35, "end": 40}), 0),
        ]
    );
    let reference = &response["citations"][0]["retrievedReferences"][0];
    assert_eq!(
        reference["location"]["s3Location"]["uri"],
        json!("s3://policies/leave.md")
    );
    assert_eq!(reference.get("score"), None);
    assert_eq!(response.get("guardrailAction"), None);
    let prompt = &bench.model.prompts()[0];
    assert!(
        prompt.contains("Staff have 30 days") && prompt.contains("How many days?"),
        "{prompt}"
    );
}

#[tokio::test]
async fn nothing_found_is_answered_without_a_model() {
    let bench = bench().await;
    let filter =
        json!({"vectorSearchConfiguration": {"filter": {"equals": {"key": "year", "value": 1}}}});
    let asked = ask(&bench, "x", json!({"retrievalConfiguration": filter}));
    let mut response = bench.call::<RetrieveAndGenerate>(asked.clone()).await;
    let session = response
        .as_object_mut()
        .expect("an object")
        .remove("sessionId");
    assert!(session.is_some());
    let citation = json!({"generatedResponsePart": {"textResponsePart": {"text": NO_ANSWER, "span": {}}},
        "retrievedReferences": []});
    assert_eq!(
        response,
        json!({"output": {"text": NO_ANSWER}, "citations": [citation.clone()]})
    );
    let (_, events) = bench
        .stream::<RetrieveAndGenerateStream>(asked)
        .await
        .expect("a stream");
    let mut legacy = citation.clone();
    legacy["citation"] = citation;
    assert_eq!(
        events,
        [
            ("output".to_owned(), json!({"text": NO_ANSWER})),
            ("citation".to_owned(), legacy)
        ]
    );
}

#[tokio::test]
async fn a_session_remembers_and_questions_are_made_complete() {
    let bench = bench().await;
    bench.model.says([
        "30 days.",
        "<question>How much sick leave is there?</question>",
        "Any.",
    ]);
    let first = bench
        .call::<RetrieveAndGenerate>(ask(&bench, "How much annual leave?", json!({})))
        .await;
    let mut second = ask(&bench, "And when ill?", json!({}));
    second["sessionId"] = first["sessionId"].clone();
    let response = bench.call::<RetrieveAndGenerate>(second.clone()).await;
    assert_eq!(response["sessionId"], first["sessionId"]);
    let prompts = bench.model.prompts();
    for said in [
        "Human: How much annual leave?",
        "Assistant: 30 days.",
        "And when ill?",
    ] {
        assert!(prompts[1].contains(said), "{}", prompts[1]);
    }
    assert!(prompts[2].contains("How much sick leave is there?"));
    second["sessionId"] = json!("00000000-0000-4000-8000-999999999999");
    let refused = bench.refused::<RetrieveAndGenerate>(second).await;
    let message = "Session with Id 00000000-0000-4000-8000-999999999999 is not valid. Please check and try again.";
    assert_eq!(refused, (ExceptionKind::Validation, message.to_owned()));
}

#[tokio::test]
async fn a_question_is_taken_apart() {
    let bench = bench().await;
    bench.model.says([
        "<question>How much annual leave?</question><question>Is a note needed?</question>",
        "Both.",
    ]);
    let decomposed = json!({"orchestrationConfiguration": {"queryTransformationConfiguration": {"type": "QUERY_DECOMPOSITION"}},
        "retrievalConfiguration": {"vectorSearchConfiguration": {"overrideSearchType": "SEMANTIC"}}});
    bench
        .call::<RetrieveAndGenerate>(ask(&bench, "Leave and notes?", decomposed))
        .await;
    assert_eq!(bench.index.searches.lock().expect("unpoisoned").len(), 2);
    let prompt = &bench.model.prompts()[1];
    assert!(prompt.contains("Leave and notes?"));
    assert_eq!(prompt.matches("<search_result>").count(), 2, "{prompt}");
}

#[tokio::test]
async fn prompts_and_parameters_are_the_requests_own() {
    let bench = bench().await;
    bench.model.says(["ok"]);
    let generation = json!({"generationConfiguration": {
        "promptTemplate": {"textPromptTemplate": "AT $current_time$ Q $query$ R $search_results$ F $output_format_instructions$"},
        "inferenceConfig": {"textInferenceConfig": {"maxTokens": 77, "temperature": 0.5, "stopSequences": ["X"]}},
        "additionalModelRequestFields": {"top_k": 5}, "performanceConfig": {"latency": "optimized"}}});
    bench
        .call::<RetrieveAndGenerate>(ask(&bench, "why?", generation))
        .await;
    let prompt = bench.model.prompts().remove(0);
    for said in [
        "AT 2023-11-14T",
        "Q why?",
        "R <search_result>",
        "F Reply in this form",
    ] {
        assert!(prompt.contains(said), "{prompt}");
    }
    {
        let requests = bench.model.requests.lock().expect("unpoisoned");
        let inference = &requests[0].inference;
        assert_eq!(
            (inference.max_tokens, inference.temperature),
            (Some(77), Some(0.5))
        );
        assert_eq!(inference.stop_sequences, ["X"]);
        assert_eq!(requests[0].additional_fields, Some(json!({"top_k": 5})));
    }
    for (more, said) in [
        (
            json!({"modelArn": "unknown"}),
            "The model unknown is not available",
        ),
        (
            json!({"generationConfiguration": {"promptTemplate": {"textPromptTemplate": "$query$"}}}),
            "$search_results$",
        ),
        (
            json!({"orchestrationConfiguration": {"promptTemplate": {"textPromptTemplate": "$query$"}}}),
            "$conversation_history$",
        ),
        (
            json!({"generationConfiguration": {"additionalModelRequestFields": {"top_p": 1},
            "inferenceConfig": {"textInferenceConfig": {"topP": 0.5}}}}),
            "topP",
        ),
    ] {
        let (kind, message) = bench
            .refused::<RetrieveAndGenerate>(ask(&bench, "x", more))
            .await;
        assert!(
            kind == ExceptionKind::Validation && message.contains(said),
            "{message}"
        );
    }
    let (kind, _) = bench
        .refused::<RetrieveAndGenerate>(json!({"input": {"text": "x"}}))
        .await;
    assert_eq!(kind, ExceptionKind::Validation);
}

#[tokio::test]
async fn a_document_may_come_with_the_question() {
    let bench = bench().await;
    for (source, location) in [
        (
            json!({"sourceType": "S3", "s3Location": {"uri": "s3://b/k.txt"}}),
            json!({"type": "S3", "s3Location": {"uri": "s3://b/k.txt"}}),
        ),
        (
            json!({"sourceType": "BYTE_CONTENT", "byteContent":
                {"identifier": "n.txt", "contentType": "text/plain", "data": "VGV4dC4="}}),
            json!({"type": "CUSTOM", "customDocumentLocation": {"id": "n.txt"}}),
        ),
    ] {
        bench.model.says([answer(&[("It.", &["1"])]).as_str()]);
        let response = bench.call::<RetrieveAndGenerate>(external(source)).await;
        let reference = &response["citations"][0]["retrievedReferences"][0];
        assert_eq!(reference["location"], location);
        assert_eq!(reference.get("metadata"), None);
    }
    assert!(bench.index.searches.lock().expect("unpoisoned").is_empty());
    for (source, said) in [
        (
            json!({"sourceType": "S3", "s3Location": {"uri": "s3://none/k"}}),
            "does not exist",
        ),
        (
            json!({"sourceType": "S3", "s3Location": {"uri": "http://b/k"}}),
            "s3://BUCKET/KEY",
        ),
        (json!({"sourceType": "S3"}), "needs s3Location"),
        (
            json!({"sourceType": "BYTE_CONTENT", "byteContent":
            {"identifier": "n", "contentType": "text/plain", "data": "/w=="}}),
            "cannot be read: it is no text",
        ),
    ] {
        let (kind, message) = bench.refused::<RetrieveAndGenerate>(external(source)).await;
        assert!(
            kind == ExceptionKind::Validation && message.contains(said),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_document_may_be_longer_than_on_aws_unless_limits_are_strict() {
    // A word and its space are a little more than a token.
    let words = |count| {
        let data = base64("word ".repeat(count).as_bytes());
        external(json!({"sourceType": "BYTE_CONTENT", "byteContent":
            {"identifier": "n.txt", "contentType": "text/plain", "data": data}}))
    };
    let strict = Settings {
        strictness: Strictness::Strict,
        ..Settings::default()
    };
    for (settings, fits, too_long, limit) in [
        (Settings::default(), 70_000, 90_000, 100_000),
        (strict, 14_000, 18_000, 20_000),
    ] {
        let bench = Bench::with(settings).await;
        bench.model.says([answer(&[("It.", &["1"])]).as_str()]);
        bench.call::<RetrieveAndGenerate>(words(fits)).await;
        let (kind, message) = bench.refused::<RetrieveAndGenerate>(words(too_long)).await;
        assert_eq!(kind, ExceptionKind::Validation);
        assert!(
            message.starts_with("Token limit exceeded: input contains ")
                && message.ends_with(&format!(" tokens and exceeds limit of {limit}")),
            "{message}"
        );
    }
}

fn base64(bytes: &[u8]) -> Value {
    serde_json::to_value(outcrop_model::blob::Blob(bytes.to_vec().into())).expect("JSON")
}

#[tokio::test]
async fn a_guardrail_judges_question_and_answer() {
    let bench = bench().await;
    let guardrail = bench
        .call::<CreateGuardrail>(json!({"name": "g", "blockedInputMessaging": "not that", "blockedOutputsMessaging": "not this",
            "wordPolicyConfig": {"wordsConfig": [{"text": "forbidden"}]},
            "sensitiveInformationPolicyConfig": {"piiEntitiesConfig": [{"type": "EMAIL", "action": "ANONYMIZE"}]}}))
        .await;
    let generation = json!({"generationConfiguration": {"guardrailConfiguration":
        {"guardrailId": guardrail["guardrailId"], "guardrailVersion": "DRAFT"}}});
    for (question, said, text, action) in [
        ("a forbidden thing", None, "not that", "INTERVENED"),
        ("fine", Some("a forbidden answer"), "not this", "INTERVENED"),
        (
            "fine",
            Some("Write to ann@example.org now."),
            "Write to {EMAIL} now.",
            "INTERVENED",
        ),
        ("fine", Some("ok"), "ok", "NONE"),
    ] {
        let asked = ask(&bench, question, generation.clone());
        bench
            .model
            .says(said.into_iter().flat_map(|said| [said, said]));
        let response = bench.call::<RetrieveAndGenerate>(asked.clone()).await;
        assert_eq!(response["output"]["text"], json!(text), "{question}");
        assert_eq!(response["guardrailAction"], json!(action), "{question}");
        let (_, events) = bench
            .stream::<RetrieveAndGenerateStream>(asked)
            .await
            .expect("a stream");
        assert_eq!(events[0], ("output".to_owned(), json!({"text": text})));
        let last = events.last().expect("events");
        assert_eq!(last, &("guardrail".to_owned(), json!({"action": action})));
    }
}

#[tokio::test]
async fn a_stream_is_remembered_and_cites_behind_each_part() {
    let bench = bench().await;
    let said = format!(
        "<thinking>Which?</thinking>{}",
        answer(&[("One.", &["1"]), ("Two.", &["2"])])
    );
    bench
        .model
        .says([said.as_str(), "<question>q</question>", "plain"]);
    let mut asked = ask(&bench, "first", json!({}));
    let (head, events) = bench
        .stream::<RetrieveAndGenerateStream>(asked.clone())
        .await
        .expect("a stream");
    let mut text = String::new();
    let mut citations = Vec::new();
    for (name, event) in &events {
        match name.as_str() {
            "output" => text.push_str(event["text"].as_str().expect("a text")),
            "citation" => {
                assert_eq!(
                    event["citation"]["retrievedReferences"],
                    event["retrievedReferences"]
                );
                citations.push((event["citation"].clone(), text.clone()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(text, "\nOne.\n\nTwo.\n");
    assert_eq!(citations[0].1, "\nOne.\n", "it follows its part");
    let citations = json!(
        citations
            .into_iter()
            .map(|(citation, _)| citation)
            .collect::<Vec<_>>()
    );
    assert_eq!(
        told(&citations),
        [
            ("\nOne.".to_owned(), json!({"start": 0, "end": 5}), 1),
            ("\nTwo.".to_owned(), json!({"start": 6, "end": 11}), 1),
        ]
    );
    asked["sessionId"] = head["sessionId"].clone();
    let (_, events) = bench
        .stream::<RetrieveAndGenerateStream>(asked)
        .await
        .expect("a stream");
    assert!(bench.model.prompts()[1].contains("Assistant: One.\\n\\nTwo."));
    let last = events.last().expect("events");
    assert_eq!(last.0, "citation");
    assert_eq!(
        told(&json!([last.1["citation"]])),
        [("plain".to_owned(), json!({"start": 0, "end": 5}), 0)]
    );
}
