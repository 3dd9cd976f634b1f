//! The reply, checked member by member (behaviour.md 5.3).
//!
//! A function may return an object, the object's JSON text, or several objects: a list of them, or
//! one after the other, as a function writes them that streams its response. All but the last must be
//! pieces of the answer ([`STREAM_ANSWER_TOOL`]), since only those need no call of the function after
//! them.

use outcrop_model::converse::ToolUseBlock;
use serde_json::{Map, Value, json};

use super::{
    APPLY_GUARDRAIL_INVOKED, GuardrailAsk, MODEL_INVOKED, ModelRequestGiven, REPLY_BYTES_MAX,
    START, STREAM_ANSWER_TOOL, TOOL_INVOKED, guardrail, model_request,
};
use crate::action::Strictness;
use crate::action::lambda::reply::{not_text, object, shown, wrong};
use crate::action::lambda::{Attributes, ReplyFault};

/// Most directives in one reply; a long answer streamed word by word stays below it.
const DIRECTIVES_MAX: usize = 10_000;
/// Longest name of a state, characters. It is repeated in each later event of the session.
const EVENT_CHARS_MAX: usize = 256;

/// What the function wants done.
#[derive(Clone, Debug, PartialEq)]
pub struct Directive {
    /// `actionEvent`, as given.
    pub event: String,
    /// `output.text` as given; JSON text where a value was given in its place.
    pub text: String,
    /// `output.trace.event.text`.
    pub trace: Option<String>,
    /// The session's new attributes, when given.
    pub session_attributes: Option<Attributes>,
    /// The turn's new prompt attributes, when given.
    pub prompt_session_attributes: Option<Attributes>,
    /// What `actionEvent` and `output.text` mean.
    pub decision: Decision,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// `INVOKE_MODEL`.
    InvokeModel(Box<ModelRequestGiven>),
    /// `INVOKE_TOOL`.
    InvokeTool(ToolUseBlock),
    /// `INVOKE_TOOL` with [`STREAM_ANSWER_TOOL`]: a piece of the answer.
    StreamAnswer {
        /// `toolUseId`.
        tool_use_id: String,
        /// The piece.
        text: String,
    },
    /// `APPLY_GUARDRAIL`.
    ApplyGuardrail(GuardrailAsk),
    /// `FINISH`: the text is the answer.
    Finish,
    /// A state of the function's own: it is called again with it.
    OwnState,
}

/// Reads a reply; there is at least one directive in what it gives.
///
/// # Errors
/// [`ReplyFault`]; every one of them ends the turn with `DependencyFailed`.
pub fn read_reply(payload: &[u8], strictness: Strictness) -> Result<Vec<Directive>, ReplyFault> {
    if payload.len() > REPLY_BYTES_MAX {
        return Err(ReplyFault::generic(format!(
            "the reply: expected at most {REPLY_BYTES_MAX} bytes, got {}",
            payload.len()
        )));
    }
    let mut replies = Vec::new();
    for value in serde_json::Deserializer::from_slice(payload).into_iter::<Value>() {
        let value = value.map_err(|error| not_json(&error, payload))?;
        spread(value, &mut replies)?;
    }
    if replies.is_empty() || replies.len() > DIRECTIVES_MAX {
        return Err(ReplyFault::generic(format!(
            "the reply: expected 1 to {DIRECTIVES_MAX} objects, got {}",
            replies.len()
        )));
    }
    let single = replies.len() == 1;
    let mut directives = Vec::with_capacity(replies.len());
    for (index, reply) in replies.iter().enumerate() {
        let place = if single {
            String::new()
        } else {
            format!("[{index}].")
        };
        let directive = directive(reply, &place, strictness)?;
        let is_last = index + 1 == replies.len();
        if !is_last && !matches!(directive.decision, Decision::StreamAnswer { .. }) {
            return Err(ReplyFault::generic(format!(
                "{place}actionEvent: expected INVOKE_TOOL with {STREAM_ANSWER_TOOL} in all but the last of several objects, got {}",
                directive.event
            )));
        }
        directives.push(directive);
    }
    Ok(directives)
}

fn not_json(error: &serde_json::Error, payload: &[u8]) -> ReplyFault {
    ReplyFault::generic(format!(
        "the reply is not JSON: {error}; it begins with {}",
        shown(Some(&Value::from(String::from_utf8_lossy(payload))))
    ))
}

/// A returned value as the objects it stands for.
fn spread(value: Value, replies: &mut Vec<Value>) -> Result<(), ReplyFault> {
    match value {
        Value::Array(elements) => {
            for element in elements {
                replies.push(unwrapped(element)?);
            }
        }
        other => replies.push(unwrapped(other)?),
    }
    Ok(())
}

/// A handler in Node may return the JSON text of its reply, which Lambda then quotes.
fn unwrapped(value: Value) -> Result<Value, ReplyFault> {
    match value {
        Value::String(text) => {
            serde_json::from_str(&text).map_err(|error| not_json(&error, text.as_bytes()))
        }
        other => Ok(other),
    }
}

fn directive(reply: &Value, at: &str, strictness: Strictness) -> Result<Directive, ReplyFault> {
    let reply = object(reply, if at.is_empty() { "the reply" } else { at })?;
    match reply.get("version") {
        None | Some(Value::Null) => {}
        Some(Value::String(version)) if version == "1.0" => {}
        other => return Err(wrong(&format!("{at}version"), "\"1.0\"", other)),
    }
    let event = action_event(reply, at)?;
    let nothing = Map::new();
    let output = optional(reply, at, "output")?.unwrap_or(&nothing);
    let place = format!("{at}output.text");
    let given = output.get("text").filter(|text| !text.is_null());
    let text = match given {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let decision = decision(event, given, &place, strictness)?;
    let context = optional(reply, at, "context")?.unwrap_or(&nothing);
    let path = format!("{at}context.");
    Ok(Directive {
        event: event.to_owned(),
        text,
        trace: trace_text(output, at)?,
        session_attributes: attributes(context, &path, "sessionAttributes")?,
        prompt_session_attributes: attributes(context, &path, "promptSessionAttributes")?,
        decision,
    })
}

fn action_event<'a>(reply: &'a Map<String, Value>, at: &str) -> Result<&'a str, ReplyFault> {
    let place = format!("{at}actionEvent");
    let expected = "INVOKE_MODEL, INVOKE_TOOL, APPLY_GUARDRAIL, FINISH or a state of your own";
    let event = match reply.get("actionEvent") {
        Some(Value::String(event)) if !event.trim().is_empty() => event.as_str(),
        other => return Err(wrong(&place, expected, other)),
    };
    // An echo of a state would be taken for what this server says.
    let ours = [START, MODEL_INVOKED, TOOL_INVOKED, APPLY_GUARDRAIL_INVOKED];
    if ours.contains(&event) || event.chars().count() > EVENT_CHARS_MAX {
        let expected = format!("{expected} of at most {EVENT_CHARS_MAX} characters");
        return Err(wrong(&place, &expected, reply.get("actionEvent")));
    }
    Ok(event)
}

fn decision(
    event: &str,
    given: Option<&Value>,
    place: &str,
    strictness: Strictness,
) -> Result<Decision, ReplyFault> {
    Ok(match event {
        "INVOKE_MODEL" => {
            let request = payload(given, place, "a request of Converse")?;
            let request = model_request::read(&request, place, strictness)?;
            Decision::InvokeModel(Box::new(request))
        }
        "INVOKE_TOOL" => tool(&payload(given, place, "a toolUse block")?, place)?,
        "APPLY_GUARDRAIL" => {
            let request = payload(given, place, "a request of ApplyGuardrail")?;
            Decision::ApplyGuardrail(guardrail::read(&request, place)?)
        }
        "FINISH" => Decision::Finish,
        _ => Decision::OwnState,
    })
}

/// What `output.text` says: JSON text, or, as AWS's own samples have it here and there, the value.
fn payload(given: Option<&Value>, place: &str, expected: &str) -> Result<Value, ReplyFault> {
    match given {
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| {
            ReplyFault::generic(format!(
                "{place}: expected {expected} as JSON text, got {}: {error}",
                shown(given)
            ))
        }),
        Some(value @ Value::Object(_)) => Ok(value.clone()),
        other => Err(wrong(place, &format!("{expected} as JSON text"), other)),
    }
}

fn tool(block: &Value, place: &str) -> Result<Decision, ReplyFault> {
    let block = object(block, place)?;
    let place = format!("{place}.toolUse");
    let tool_use = block
        .get("toolUse")
        .ok_or_else(|| wrong(&place, "an object", None))?;
    let tool_use = object(tool_use, &place)?;
    let text = |member: &str| match tool_use.get(member) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        other => Err(wrong(&format!("{place}.{member}"), "a string", other)),
    };
    let (tool_use_id, name) = (text("toolUseId")?, text("name")?);
    let input = tool_use.get("input").filter(|input| !input.is_null());
    if name == STREAM_ANSWER_TOOL {
        let piece = input.and_then(|input| input.get("text"));
        return match piece {
            Some(Value::String(piece)) => Ok(Decision::StreamAnswer {
                tool_use_id,
                text: piece.clone(),
            }),
            other => Err(wrong(&format!("{place}.input.text"), "a string", other)),
        };
    }
    Ok(Decision::InvokeTool(ToolUseBlock {
        input: input.cloned().unwrap_or_else(|| json!({})),
        name,
        tool_use_id,
        type_: None,
    }))
}

fn trace_text(output: &Map<String, Value>, at: &str) -> Result<Option<String>, ReplyFault> {
    let Some(trace) = optional(output, &format!("{at}output."), "trace")? else {
        return Ok(None);
    };
    let Some(event) = optional(trace, &format!("{at}output.trace."), "event")? else {
        return Ok(None);
    };
    match event.get("text") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        other => Err(not_text(&format!("{at}output.trace.event.text"), other)),
    }
}

/// A member that is an object where it is there at all.
fn optional<'a>(
    members: &'a Map<String, Value>,
    path: &str,
    member: &str,
) -> Result<Option<&'a Map<String, Value>>, ReplyFault> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => object(value, &format!("{path}{member}")).map(Some),
    }
}

/// Attributes; one that is null is none, since AWS's sample passes on what it did not find.
fn attributes(
    context: &Map<String, Value>,
    path: &str,
    member: &str,
) -> Result<Option<Attributes>, ReplyFault> {
    let Some(given) = optional(context, path, member)? else {
        return Ok(None);
    };
    let read =
        given
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                other => Err(not_text(&format!("{path}{member}.{name}"), Some(other))),
            });
    read.collect::<Result<Attributes, _>>().map(Some)
}
