//! What the tests of the providers share: a request with everything in it, and answers fed in pieces.

use std::fmt::Write;
use std::sync::Arc;

use outcrop_engine::port::{Delivery, Inference, ModelRequest};
use outcrop_model::converse::{ConverseStreamOutput, Message, Tool, ToolChoice};
use serde_json::{Value, json};

use super::call::{DecodeError, Decoder};
use crate::http::sse::SseParser;

/// A streamed request with one user message.
pub(super) fn request(model: &str) -> ModelRequest {
    ModelRequest {
        model: model.to_owned(),
        system: Arc::from(""),
        messages: messages(&json!([{"role": "user", "content": [{"text": "Hello"}]}])),
        tools: Arc::from([]),
        vendor_tools: Arc::from([]),
        tool_choice: None,
        inference: Inference::default(),
        additional_fields: None,
        delivery: Delivery::Streamed,
        ..ModelRequest::default()
    }
}

/// A turn with a failed and a good tool call behind it, every parameter set.
pub(super) fn full_request(model: &str) -> ModelRequest {
    let conversation = json!([
        {"role": "user", "content": [{"text": "Where is order A-482?"}]},
        {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "Look it up.", "signature": "c2ln"}}},
            {"text": "Let me look."},
            {"toolUse": {"toolUseId": "t1", "name": "get_order", "input": {"id": "A-482", "deep": {"b": 1, "a": [1.5, true, null]}}}},
            {"toolUse": {"toolUseId": "t2", "name": "get_user", "input": {}}}
        ]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "t1", "content": [{"json": {"status": "shipped"}}]}},
            {"toolResult": {"toolUseId": "t2", "content": [{"text": "no such user"}], "status": "error"}},
            {"text": "Please hurry."}
        ]}
    ]);
    let inference = Inference {
        max_tokens: Some(512),
        temperature: Some(0.1),
        top_p: Some(0.9),
        top_k: Some(250),
        stop_sequences: vec!["</answer>".to_owned()],
    };
    ModelRequest {
        system: Arc::from("You are support."),
        messages: messages(&conversation),
        tools: tools(),
        tool_choice: Some(choice(&json!({"auto": {}}))),
        inference,
        additional_fields: Some(json!({"seed": 7})),
        delivery: Delivery::Whole,
        ..request(model)
    }
}

pub(super) fn messages(messages: &Value) -> Vec<Arc<Message>> {
    let messages: Vec<Message> = serde_json::from_value(messages.clone()).expect("messages");
    messages.into_iter().map(Arc::new).collect()
}

pub(super) fn tools() -> Arc<[Tool]> {
    let tools: Vec<Tool> = serde_json::from_value(json!([
        {"toolSpec": {
            "name": "get_order", "description": "Looks an order up",
            "inputSchema": {"json": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}
        }},
        {"toolSpec": {"name": "get_user", "inputSchema": {"json": {"type": "object"}}}}
    ]))
    .expect("tools");
    Arc::from(tools)
}

pub(super) fn choice(choice: &Value) -> ToolChoice {
    serde_json::from_value(choice.clone()).expect("a tool choice")
}

/// A body, indented.
pub(super) fn pretty(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).expect("a JSON body");
    format!("{body:#}\n")
}

/// The events of a stream, one a line, then the error if it failed or what was missing at its end.
/// Fails if any way to cut the bytes in two changes them.
pub(super) fn stream<D: Decoder>(decoder: impl Fn() -> D, bytes: &str) -> String {
    let bytes = bytes.as_bytes();
    let whole = chunked(decoder(), &[bytes]);
    for cut in 1..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(chunked(decoder(), &[head, tail]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(chunked(decoder(), &single), whole, "byte by byte");
    whole
}

fn chunked<D: Decoder>(mut decoder: D, chunks: &[&[u8]]) -> String {
    let mut parser = SseParser::default();
    let mut failure = None;
    for chunk in chunks {
        if let Err(error) = parser.push(chunk, |data| decoder.event(data)) {
            failure = Some(error);
            break;
        }
    }
    if failure.is_none() {
        decoder.end();
    }
    told(&mut decoder, failure)
}

/// The events of an unstreamed answer, in the same form.
pub(super) fn whole<D: Decoder>(mut decoder: D, body: &Value) -> String {
    let failure = decoder.whole(body.to_string().as_bytes()).err();
    told(&mut decoder, failure)
}

fn told<D: Decoder>(decoder: &mut D, failure: Option<DecodeError>) -> String {
    let complete = decoder.emitter().is_complete();
    let mut text = String::new();
    while let Some(event) = decoder.emitter().pop() {
        text.push_str(&line(&event));
        text.push('\n');
    }
    match failure {
        Some(DecodeError::Vendor(fault)) => {
            let error = fault.into_stream_error("host");
            let _ = writeln!(text, "vendor: {error}");
        }
        Some(DecodeError::Malformed(_)) => text.push_str("malformed\n"),
        None if !complete => text.push_str("incomplete\n"),
        None => {}
    }
    text
}

fn line(event: &ConverseStreamOutput) -> String {
    serde_json::to_string(event).expect("an event is JSON")
}
