//! The local model on its real weights: the turns of the guide, and the evaluation set.
//!
//! Needs the weights, which are taken from the cache or fetched; where neither is possible the tests
//! say so and pass, since everything that does not need them is tested in the modules.
#![cfg(feature = "local")]

use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use outcrop_adapters::model::local::{LocalModel, LocalSettings};
use outcrop_engine::port::{Delivery, Inference, ModelProvider, ModelRequest};
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockStart, ConverseStreamOutput, Message, StopReason, TokenUsage,
    Tool, ToolInputSchema, ToolSpecification,
};
use serde::Deserialize;
use serde_json::Value;

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
        tool_choice: None,
        inference: Inference {
            max_tokens: Some(48),
            ..Inference::default()
        },
        additional_fields: None,
        delivery: Delivery::Streamed,
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

#[tokio::test]
async fn local_eval() {
    let Some(model) = model() else { return };
    let cases = cases();
    let chosen = std::env::var("OUTCROP_EVAL_HALF").ok();
    let mut scores = std::collections::BTreeMap::new();
    for case in &cases.cases {
        if chosen.as_ref().is_some_and(|half| *half != case.half) {
            continue;
        }
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
        let floor = if *half == "seen" { 19 } else { 16 };
        assert!(
            *whole >= floor,
            "{half}: {whole} of {cases}, recorded were at least {floor}"
        );
    }
}
