//! Bedrock's two operations, `Converse` and `ConverseStream`.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{members, occurrences, text_of};
use crate::eventstream;
use crate::reply::{Part, Reply, arguments_value};
use crate::transcript::{Block, Message, Role, Tool, Transcript};

/// Reads a Converse request; the model is in its path and the operation says whether it streams.
pub fn parse(body: &Value, model: &str, streamed: bool) -> Result<Transcript> {
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .context("messages is missing")?
        .iter()
        .map(|message| {
            let role = match message.get("role").and_then(Value::as_str) {
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                role => bail!("a message has the role {role:?}"),
            };
            let content = message
                .get("content")
                .and_then(Value::as_array)
                .context("a message's content is no list")?
                .iter()
                .filter(|part| part.get("cachePoint").is_none())
                .map(block)
                .collect::<Result<_>>()?;
            Ok(Message { role, content })
        })
        .collect::<Result<_>>()?;
    let tools = body
        .pointer("/toolConfig/tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|tool| tool.get("cachePoint").is_none())
        .map(|tool| {
            let spec = tool.get("toolSpec").context("a tool without toolSpec")?;
            Ok(Tool {
                name: text_of(spec.get("name").context("a tool without name")?),
                description: text_of(spec.get("description").unwrap_or(&Value::Null)),
                schema: spec
                    .pointer("/inputSchema/json")
                    .cloned()
                    .context("a tool without inputSchema")?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Transcript {
        model: model.to_owned(),
        system: text_of(body.get("system").unwrap_or(&Value::Null)),
        messages,
        tools,
        inference: members(body, &["inferenceConfig", "additionalModelRequestFields"]),
        streamed,
        cache_points: occurrences(body, "cachePoint"),
    })
}

fn block(part: &Value) -> Result<Block> {
    let (name, value) = part
        .as_object()
        .and_then(|object| object.iter().next())
        .context("a content block is no object")?;
    Ok(match name.as_str() {
        "text" => Block::Text {
            text: text_of(value),
        },
        "toolUse" => Block::ToolUse {
            id: text_of(
                value
                    .get("toolUseId")
                    .context("toolUse without toolUseId")?,
            ),
            name: text_of(value.get("name").context("toolUse without name")?),
            input: match value.get("input") {
                Some(Value::Object(input)) => Value::Object(input.clone()),
                input => bail!("toolUse.input must be a JSON object, not {input:?}"),
            },
        },
        "toolResult" => Block::ToolResult {
            id: text_of(
                value
                    .get("toolUseId")
                    .context("toolResult without toolUseId")?,
            ),
            text: match value.get("content") {
                Some(Value::Array(parts)) => parts
                    .iter()
                    .map(|part| match part.get("json") {
                        Some(json) => json.to_string(),
                        None => text_of(part.get("text").unwrap_or(&Value::Null)),
                    })
                    .collect::<Vec<_>>()
                    .join("\n"),
                content => bail!("toolResult.content is {content:?}"),
            },
            error: value.get("status").and_then(Value::as_str) == Some("error"),
        },
        other => Block::Other {
            name: other.to_owned(),
        },
    })
}

fn stop_reason(reply: &Reply) -> &str {
    match &reply.stop_reason {
        Some(reason) => reason,
        None if reply.calls() => "tool_use",
        None => "end_turn",
    }
}

fn usage(reply: &Reply) -> Value {
    let crate::reply::Usage {
        input,
        output,
        cache_read,
        cache_write,
    } = reply.usage;
    let mut usage = json!({
        "inputTokens": input,
        "outputTokens": output,
        "totalTokens": input + output + cache_read + cache_write,
    });
    for (name, tokens) in [
        ("cacheReadInputTokens", cache_read),
        ("cacheWriteInputTokens", cache_write),
    ] {
        if tokens > 0 {
            usage[name] = json!(tokens);
        }
    }
    usage
}

/// The Converse reply.
pub fn whole(reply: &Reply) -> Value {
    let content: Vec<Value> = reply
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => json!({"text": text}),
            Part::Pieces(pieces) => json!({"text": pieces.concat()}),
            Part::Reasoning(text) => {
                json!({"reasoningContent": {"reasoningText": {"text": text}}})
            }
            Part::Call { id, name, arguments } => {
                json!({"toolUse": {"toolUseId": id, "name": name, "input": arguments_value(arguments)}})
            }
        })
        .collect();
    json!({
        "metrics": {"latencyMs": 1},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(reply),
        "usage": usage(reply),
    })
}

/// The `ConverseStream` reply, one frame an element. As on the real wire, text blocks have no start event.
pub fn frames(reply: &Reply) -> Vec<Bytes> {
    let event = |name: &str, body: Value| eventstream::event(name, body.to_string().into());
    let mut frames = vec![event("messageStart", json!({"role": "assistant"}))];
    for (index, part) in reply.parts.iter().enumerate() {
        match part {
            Part::Text(_) | Part::Pieces(_) => frames.extend(part.deltas().into_iter().map(|piece| {
                event(
                    "contentBlockDelta",
                    json!({"contentBlockIndex": index, "delta": {"text": piece}}),
                )
            })),
            Part::Reasoning(_) => frames.extend(part.deltas().into_iter().map(|piece| {
                event(
                    "contentBlockDelta",
                    json!({"contentBlockIndex": index, "delta": {"reasoningContent": {"text": piece}}}),
                )
            })),
            Part::Call { id, name, .. } => {
                frames.push(event(
                    "contentBlockStart",
                    json!({"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}}),
                ));
                frames.extend(part.deltas().into_iter().map(|piece| {
                    event(
                        "contentBlockDelta",
                        json!({"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}}),
                    )
                }));
            }
        }
        frames.push(event(
            "contentBlockStop",
            json!({"contentBlockIndex": index}),
        ));
    }
    frames.push(event(
        "messageStop",
        json!({"stopReason": stop_reason(reply)}),
    ));
    frames.push(event(
        "metadata",
        json!({"metrics": {"latencyMs": 1}, "usage": usage(reply)}),
    ));
    frames
}

/// The exception name that goes with a status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}
