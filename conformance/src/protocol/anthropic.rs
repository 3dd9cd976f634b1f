//! Anthropic messages.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{members, occurrences, text_of};
use crate::reply::{Part, Reply, arguments_value};
use crate::transcript::{Block, Message, Role, Tool, Transcript};

/// Signs what the model thought; the real one is opaque as well.
const SIGNATURE: &str = "c3R1Yg==";

/// Reads a messages request.
pub fn parse(body: &Value) -> Result<Transcript> {
    body.get("max_tokens")
        .and_then(Value::as_u64)
        .context("max_tokens: Field required")?;
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .context("messages: Field required")?
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let role = match message.get("role").and_then(Value::as_str) {
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                role => bail!("messages.{index}.role is {role:?}"),
            };
            Ok(Message {
                role,
                content: blocks(message.get("content").unwrap_or(&Value::Null))?,
            })
        })
        .collect::<Result<_>>()?;
    let tools = body
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|tool| {
            Ok(Tool {
                name: text_of(tool.get("name").context("a tool without name")?),
                description: text_of(tool.get("description").unwrap_or(&Value::Null)),
                schema: match tool.get("input_schema") {
                    Some(schema) => schema.clone(),
                    // The vendor's own tools are known by their type.
                    None if tool.get("type").is_some() => json!({"type": "object"}),
                    None => bail!("a tool without input_schema"),
                },
            })
        })
        .collect::<Result<_>>()?;
    Ok(Transcript {
        model: body
            .get("model")
            .and_then(Value::as_str)
            .context("model: Field required")?
            .to_owned(),
        system: text_of(body.get("system").unwrap_or(&Value::Null)),
        messages,
        tools,
        inference: members(
            body,
            &[
                "max_tokens",
                "temperature",
                "top_p",
                "top_k",
                "stop_sequences",
                "tool_choice",
                "thinking",
            ],
        ),
        streamed: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
        cache_points: occurrences(body, "cache_control"),
    })
}

fn blocks(content: &Value) -> Result<Vec<Block>> {
    let Value::Array(parts) = content else {
        return Ok(vec![Block::Text {
            text: text_of(content),
        }]);
    };
    parts
        .iter()
        .map(|part| {
            let string = |name: &str| {
                part.get(name)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .with_context(|| format!("a content block without {name}"))
            };
            Ok(match part.get("type").and_then(Value::as_str) {
                Some("text") => Block::Text {
                    text: string("text")?,
                },
                Some("tool_use") => Block::ToolUse {
                    id: string("id")?,
                    name: string("name")?,
                    input: match part.get("input") {
                        Some(Value::Object(input)) => Value::Object(input.clone()),
                        input => bail!(
                            "tool_use.input: Input should be a valid dictionary, not {input:?}"
                        ),
                    },
                },
                Some("tool_result") => Block::ToolResult {
                    id: string("tool_use_id")?,
                    text: text_of(part.get("content").unwrap_or(&Value::Null)),
                    error: part
                        .get("is_error")
                        .and_then(Value::as_bool)
                        .unwrap_or(false),
                },
                other => Block::Other {
                    name: other.unwrap_or_default().to_owned(),
                },
            })
        })
        .collect()
}

fn stop_reason(reply: &Reply) -> &str {
    match &reply.stop_reason {
        Some(reason) => reason,
        None if reply.calls() => "tool_use",
        None => "end_turn",
    }
}

/// The unstreamed reply.
pub fn whole(reply: &Reply, model: &str, serial: u64) -> Value {
    let content: Vec<Value> = reply
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => json!({"type": "text", "text": text}),
            Part::Pieces(pieces) => json!({"type": "text", "text": pieces.concat()}),
            Part::Reasoning(text) => {
                json!({"type": "thinking", "thinking": text, "signature": SIGNATURE})
            }
            Part::Call { id, name, arguments } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": arguments_value(arguments)})
            }
        })
        .collect();
    json!({
        "id": format!("msg_{serial}"), "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason(reply), "stop_sequence": null,
        "usage": usage(reply, reply.usage.output),
    })
}

/// The tokens of which `output` have been written so far.
fn usage(reply: &Reply, output: u32) -> Value {
    let mut usage = json!({"input_tokens": reply.usage.input, "output_tokens": output});
    for (name, tokens) in [
        ("cache_read_input_tokens", reply.usage.cache_read),
        ("cache_creation_input_tokens", reply.usage.cache_write),
    ] {
        if tokens > 0 {
            usage[name] = json!(tokens);
        }
    }
    usage
}

/// The streamed reply, with the `ping` the real service mixes in.
pub fn frames(reply: &Reply, model: &str, serial: u64) -> Vec<Bytes> {
    let event = |body: Value| {
        let name = body.get("type").and_then(Value::as_str).unwrap_or_default();
        Bytes::from(format!("event: {name}\ndata: {body}\n\n"))
    };
    let mut frames = vec![
        event(json!({"type": "message_start", "message": {
            "id": format!("msg_{serial}"), "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage(reply, 1),
        }})),
        event(json!({"type": "ping"})),
    ];
    for (index, part) in reply.parts.iter().enumerate() {
        let (start, kind, field) = match part {
            Part::Text(_) | Part::Pieces(_) => {
                (json!({"type": "text", "text": ""}), "text_delta", "text")
            }
            Part::Reasoning(_) => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                "thinking_delta",
                "thinking",
            ),
            Part::Call { id, name, .. } => (
                json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                "input_json_delta",
                "partial_json",
            ),
        };
        frames.push(event(
            json!({"type": "content_block_start", "index": index, "content_block": start}),
        ));
        frames.extend(part.deltas().into_iter().map(|piece| {
            event(json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, field: piece}}))
        }));
        if matches!(part, Part::Reasoning(_)) {
            frames.push(event(
                json!({"type": "content_block_delta", "index": index, "delta": {
                    "type": "signature_delta", "signature": SIGNATURE,
                }}),
            ));
        }
        frames.push(event(json!({"type": "content_block_stop", "index": index})));
    }
    frames.push(event(json!({
        "type": "message_delta", "delta": {"stop_reason": stop_reason(reply), "stop_sequence": null},
        "usage": {"output_tokens": reply.usage.output},
    })));
    frames.push(event(json!({"type": "message_stop"})));
    frames
}

/// The `error.type` that goes with a status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
