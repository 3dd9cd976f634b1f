//! The three model protocols: how each one's request is read and its reply written.
//!
//! Written from the public API descriptions, apart from the product's own providers, so that the two
//! can only agree by both being right.

pub mod anthropic;
pub mod bedrock;
pub mod openai;

use anyhow::Result;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::reply::Reply;
use crate::transcript::Transcript;

/// A protocol and, for Bedrock, which of its two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Chat completions.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// `Converse` and `ConverseStream`.
    Bedrock,
}

impl Protocol {
    /// Reads a request. `model` is the one in the path, for the protocol that has it there.
    ///
    /// # Errors
    /// What is missing or has the wrong type, in words.
    pub fn parse(self, body: &Value, model: &str, streamed: bool) -> Result<Transcript> {
        match self {
            Self::OpenAi => openai::parse(body),
            Self::Anthropic => anthropic::parse(body),
            Self::Bedrock => bedrock::parse(body, model, streamed),
        }
    }

    /// The unstreamed reply.
    pub fn whole(self, reply: &Reply, model: &str, serial: u64) -> Bytes {
        let body = match self {
            Self::OpenAi => openai::whole(reply, model, serial),
            Self::Anthropic => anthropic::whole(reply, model, serial),
            Self::Bedrock => bedrock::whole(reply),
        };
        body.to_string().into()
    }

    /// The streamed reply, one element a write.
    pub fn frames(self, reply: &Reply, model: &str, serial: u64) -> Vec<Bytes> {
        match self {
            Self::OpenAi => openai::frames(reply, model, serial),
            Self::Anthropic => anthropic::frames(reply, model, serial),
            Self::Bedrock => bedrock::frames(reply),
        }
    }

    /// The content type of a reply.
    pub fn content_type(self, streamed: bool) -> &'static str {
        match (self, streamed) {
            (Self::OpenAi | Self::Anthropic, true) => "text/event-stream",
            (Self::Bedrock, true) => "application/vnd.amazon.eventstream",
            (_, false) => "application/json",
        }
    }

    /// An error body and the error-type header, as the protocol's owner sends them.
    pub fn error(self, status: u16, message: &str) -> (Option<&'static str>, Value) {
        match self {
            Self::OpenAi => (
                None,
                json!({"error": {"message": message, "type": openai::error_type(status), "param": null, "code": null}}),
            ),
            Self::Anthropic => (
                None,
                json!({"type": "error", "error": {"type": anthropic::error_type(status), "message": message}, "request_id": "req_stub"}),
            ),
            Self::Bedrock => (
                Some(bedrock::error_type(status)),
                json!({"message": message}),
            ),
        }
    }
}

/// The text of a JSON value that is a string, an array of `{text}` parts, or absent.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// How often a member of this name stands anywhere in `body`: the cache points of a request.
fn occurrences(body: &Value, name: &str) -> usize {
    match body {
        Value::Object(members) => members
            .iter()
            .map(|(member, value)| usize::from(member == name) + occurrences(value, name))
            .sum(),
        Value::Array(items) => items.iter().map(|item| occurrences(item, name)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The members of `body` in `names` that are present.
fn members(body: &Value, names: &[&str]) -> Value {
    let mut found = serde_json::Map::new();
    for name in names {
        if let Some(value) = body.get(*name) {
            found.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(found)
}
