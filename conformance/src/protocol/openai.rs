//! Chat completions, the protocol of `OpenAI` and of most local servers.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{members, text_of};
use crate::reply::{Part, Reply, arguments_value};
use crate::transcript::{Block, Message, Role, Tool, Transcript};

/// Reads a chat-completions request.
pub fn parse(body: &Value) -> Result<Transcript> {
    let mut system = Vec::new();
    let mut messages: Vec<Message> = Vec::new();
    for (index, message) in body
        .get("messages")
        .and_then(Value::as_array)
        .context("messages is no list")?
        .iter()
        .enumerate()
    {
        let content = message.get("content").unwrap_or(&Value::Null);
        match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => system.push(text_of(content)),
            Some("user") => push(&mut messages, Role::User, user_blocks(content)),
            Some("assistant") => push(&mut messages, Role::Assistant, assistant_blocks(message)?),
            Some("tool") => {
                let id = message
                    .get("tool_call_id")
                    .and_then(Value::as_str)
                    .with_context(|| format!("messages[{index}] has no tool_call_id"))?;
                let result = Block::ToolResult {
                    id: id.to_owned(),
                    text: text_of(content),
                    error: false,
                };
                push(&mut messages, Role::User, vec![result]);
            }
            role => bail!("messages[{index}] has the role {role:?}"),
        }
    }
    Ok(Transcript {
        model: body
            .get("model")
            .and_then(Value::as_str)
            .context("model is missing")?
            .to_owned(),
        system: system.join("\n"),
        messages,
        tools: tools(body)?,
        inference: members(
            body,
            &[
                "temperature",
                "top_p",
                "max_tokens",
                "max_completion_tokens",
                "stop",
                "tool_choice",
            ],
        ),
        streamed: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
        cache_points: 0,
    })
}

/// Tool results are messages of their own here; they and a user text after them are one turn.
fn push(messages: &mut Vec<Message>, role: Role, content: Vec<Block>) {
    match messages.last_mut() {
        Some(last)
            if role == Role::User
                && last.role == Role::User
                && last
                    .content
                    .iter()
                    .any(|block| matches!(block, Block::ToolResult { .. })) =>
        {
            last.content.extend(content);
        }
        Some(_) | None => messages.push(Message { role, content }),
    }
}

fn user_blocks(content: &Value) -> Vec<Block> {
    match content {
        Value::Array(parts) => parts
            .iter()
            .map(|part| match part.get("text").and_then(Value::as_str) {
                Some(text) => Block::Text {
                    text: text.to_owned(),
                },
                None => Block::Other {
                    name: part.get("type").map(Value::to_string).unwrap_or_default(),
                },
            })
            .collect(),
        _ => vec![Block::Text {
            text: text_of(content),
        }],
    }
}

fn assistant_blocks(message: &Value) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let text = text_of(message.get("content").unwrap_or(&Value::Null));
    if !text.is_empty() {
        blocks.push(Block::Text { text });
    }
    for call in message
        .get("tool_calls")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let function = call
            .get("function")
            .context("a tool call without function")?;
        blocks.push(Block::ToolUse {
            id: call
                .get("id")
                .and_then(Value::as_str)
                .context("a tool call without id")?
                .to_owned(),
            name: function
                .get("name")
                .and_then(Value::as_str)
                .context("a tool call without name")?
                .to_owned(),
            input: arguments_value(
                function
                    .get("arguments")
                    .and_then(Value::as_str)
                    .context("a tool call's arguments are no string")?,
            ),
        });
    }
    Ok(blocks)
}

fn tools(body: &Value) -> Result<Vec<Tool>> {
    body.get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|tool| {
            let function = tool.get("function").context("a tool without function")?;
            Ok(Tool {
                name: function
                    .get("name")
                    .and_then(Value::as_str)
                    .context("a tool without name")?
                    .to_owned(),
                description: text_of(function.get("description").unwrap_or(&Value::Null)),
                schema: function.get("parameters").cloned().unwrap_or(Value::Null),
            })
        })
        .collect()
}

/// `choices[0].finish_reason` of a reply.
fn finish_reason(reply: &Reply) -> &str {
    match &reply.stop_reason {
        Some(reason) => reason,
        None if reply.calls() => "tool_calls",
        None => "stop",
    }
}

fn usage(reply: &Reply) -> Value {
    let prompt = reply.usage.input + reply.usage.cache_read;
    let mut usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": reply.usage.output,
        "total_tokens": prompt + reply.usage.output,
    });
    if reply.usage.cache_read > 0 {
        usage["prompt_tokens_details"] = json!({"cached_tokens": reply.usage.cache_read});
    }
    usage
}

/// The unstreamed reply.
pub fn whole(reply: &Reply, model: &str, serial: u64) -> Value {
    let mut text = String::new();
    let mut reasoning = String::new();
    let mut calls = Vec::new();
    for part in &reply.parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Pieces(pieces) => text.push_str(&pieces.concat()),
            Part::Reasoning(piece) => reasoning.push_str(piece),
            Part::Call {
                id,
                name,
                arguments,
            } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments}
            })),
        }
    }
    let mut message = json!({
        "role": "assistant",
        "content": if text.is_empty() { Value::Null } else { Value::String(text) },
        "refusal": null,
    });
    if !reasoning.is_empty() {
        message["reasoning_content"] = Value::String(reasoning);
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    json!({
        "id": format!("chatcmpl-{serial}"), "object": "chat.completion", "created": 1_767_225_600, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(reply)}],
        "usage": usage(reply),
    })
}

/// The streamed reply: server-sent events, closed by usage and `[DONE]`.
pub fn frames(reply: &Reply, model: &str, serial: u64) -> Vec<Bytes> {
    let chunk = |choices: Value, usage: Value| {
        let body = json!({
            "id": format!("chatcmpl-{serial}"), "object": "chat.completion.chunk", "created": 1_767_225_600,
            "model": model, "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {body}\n\n"))
    };
    let delta = |delta: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "finish_reason": null}]),
            Value::Null,
        )
    };
    let mut frames = vec![delta(json!({"role": "assistant", "content": ""}))];
    let mut call_index = 0;
    for part in &reply.parts {
        match part {
            Part::Text(_) | Part::Pieces(_) => frames.extend(
                part.deltas()
                    .into_iter()
                    .map(|piece| delta(json!({"content": piece}))),
            ),
            Part::Reasoning(_) => frames.extend(
                part.deltas()
                    .into_iter()
                    .map(|piece| delta(json!({"reasoning_content": piece}))),
            ),
            Part::Call { id, name, .. } => {
                frames.push(delta(json!({"tool_calls": [{
                    "index": call_index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}
                }]})));
                frames.extend(part.deltas().into_iter().map(|piece| {
                    delta(json!({"tool_calls": [{"index": call_index, "function": {"arguments": piece}}]}))
                }));
                call_index += 1;
            }
        }
    }
    frames.push(chunk(
        json!([{"index": 0, "delta": {}, "finish_reason": finish_reason(reply)}]),
        Value::Null,
    ));
    frames.push(chunk(json!([]), usage(reply)));
    frames.push(Bytes::from_static(b"data: [DONE]\n\n"));
    frames
}

/// The `error.type` that goes with a status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}
