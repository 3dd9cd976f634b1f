//! A handler's reply, checked member by member against behaviour.md 1.4 to 1.6.
//!
//! Every fault is AWS's sentence plus its cause: which member, what was expected, what came. Nothing
//! here decides what happens then: every fault ends the turn with `DependencyFailed`.

use outcrop_model::runtime::KnowledgeBaseConfiguration;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Attributes;
use crate::action::{ActionTarget, Strictness};

/// Largest reply under strict limits, bytes (behaviour.md 1.6).
pub const REPLY_BYTES_MAX_STRICT: usize = 25 * 1024;
/// Largest reply under relaxed limits, bytes: Lambda's own for synchronous calls.
pub const REPLY_BYTES_MAX_RELAXED: usize = 6 * 1024 * 1024;
/// What a handler in Python that gives an object where text belongs has forgotten.
const SERIALISE: &str = "serialise it first, in Python with json.dumps";

pub(crate) const GENERIC_FAULT: &str = "The server encountered an error processing the Lambda response. Check the Lambda response and retry the request";

/// A reply that keeps the contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The body for the model, verbatim.
    pub text: String,
    /// Whether the handler asks the model to correct itself or ask the user (`REPROMPT`).
    pub reprompt: bool,
    /// Whether the handler reports an error the model can answer (an HTTP status from 400 to 499).
    pub client_error: bool,
    /// The session's new attributes, when given.
    pub session_attributes: Option<Attributes>,
    /// The turn's new prompt attributes, when given.
    pub prompt_session_attributes: Option<Attributes>,
    /// How knowledge bases are searched in the rest of the turn.
    pub knowledge_bases: Vec<KnowledgeBaseConfiguration>,
}

/// A reply that breaks it: AWS's sentence, and what exactly is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyFault {
    /// AWS's sentence (behaviour.md 1.6).
    pub message: String,
    /// Field, expected, got; `None` where the sentence says it all.
    pub detail: Option<String>,
}

impl ReplyFault {
    /// AWS's sentence for whatever has none of its own, and what is wrong.
    pub(crate) fn generic(detail: impl Into<String>) -> Self {
        Self {
            message: GENERIC_FAULT.to_owned(),
            detail: Some(detail.into()),
        }
    }
}

/// Checks a handler's reply against the call it answers.
///
/// # Errors
/// [`ReplyFault`]; every one of them ends the turn with `DependencyFailed`.
pub fn read_reply(
    payload: &[u8],
    action_group: &str,
    target: &ActionTarget,
    strictness: Strictness,
) -> Result<Reply, ReplyFault> {
    let limit = match strictness {
        Strictness::Strict => REPLY_BYTES_MAX_STRICT,
        Strictness::Relaxed => REPLY_BYTES_MAX_RELAXED,
    };
    if payload.len() > limit {
        let size = if strictness == Strictness::Strict {
            "25KB"
        } else {
            "6MB"
        };
        return Err(ReplyFault {
            message: format!(
                "Lambda response exceeds maximum size {size}: {}",
                payload.len()
            ),
            detail: Some(format!(
                "the reply: expected at most {limit} bytes, got {}",
                payload.len()
            )),
        });
    }
    let json: Value = serde_json::from_slice(payload).map_err(|error| {
        ReplyFault::generic(format!(
            "the reply is not JSON: {error}; it begins with {}",
            shown(Some(&Value::from(String::from_utf8_lossy(payload))))
        ))
    })?;
    let envelope = object(&json, "the reply")?;
    match envelope.get("messageVersion") {
        Some(Value::String(version)) if version == "1.0" => {}
        // Half of AWS's own samples leave it out.
        None => {}
        other => return Err(wrong("messageVersion", "\"1.0\"", other)),
    }
    let response = object(
        envelope
            .get("response")
            .ok_or_else(|| wrong("response", "an object", None))?,
        "response",
    )?;
    check_echo(response, action_group, target)?;
    let body = match target {
        ActionTarget::Function { .. } => function_body(response, strictness)?,
        ActionTarget::Api { .. } => api_body(response)?,
    };
    Ok(Reply {
        knowledge_bases: knowledge_bases(envelope.get("knowledgeBasesConfiguration"))?,
        text: body.text,
        reprompt: body.reprompt,
        client_error: body.client_error,
        session_attributes: attributes(envelope, "sessionAttributes")?,
        prompt_session_attributes: attributes(envelope, "promptSessionAttributes")?,
    })
}

/// The overrides for knowledge bases.
fn knowledge_bases(given: Option<&Value>) -> Result<Vec<KnowledgeBaseConfiguration>, ReplyFault> {
    let member = "knowledgeBasesConfiguration";
    let list = match given {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        other => return Err(wrong(member, "a list", other)),
    };
    let read = |(index, one): (usize, &Value)| {
        let place = format!("{member}[{index}]");
        let id = object(one, &place)?.get("knowledgeBaseId");
        if !id.is_some_and(Value::is_string) {
            return Err(wrong(&format!("{place}.knowledgeBaseId"), "a string", id));
        }
        let configuration = KnowledgeBaseConfiguration::deserialize(one)
            .map_err(|error| ReplyFault::generic(format!("{place}: {error}")))?;
        let retrieval = &configuration.retrieval_configuration;
        if retrieval.managed_search_configuration.is_some() {
            return Err(ReplyFault::generic(format!(
                "{place}.retrievalConfiguration.managedSearchConfiguration is not supported by Outcrop"
            )));
        }
        Ok(configuration)
    };
    list.iter().enumerate().map(read).collect()
}

struct Body {
    text: String,
    reprompt: bool,
    client_error: bool,
}

fn check_echo(
    response: &Map<String, Value>,
    action_group: &str,
    target: &ActionTarget,
) -> Result<(), ReplyFault> {
    let mut expected = vec![("actionGroup", "ActionGroup", action_group, false)];
    match target {
        ActionTarget::Function { name } => expected.push(("function", "Function", name, false)),
        ActionTarget::Api { path, method, .. } => {
            expected.push(("apiPath", "APIPath", path, false));
            expected.push(("httpMethod", "HttpMethod", method, true));
        }
    }
    for (member, label, value, any_case) in expected {
        let got = response.get(member).and_then(Value::as_str);
        let echoes =
            got.is_some_and(|got| got == value || (any_case && got.eq_ignore_ascii_case(value)));
        if !echoes {
            return Err(ReplyFault {
                message: format!(
                    "{label} in Lambda response doesn't match input. Check that the {label} in the input and response match and retry the request."
                ),
                detail: Some(format!(
                    "response.{member}: expected {value:?}, got {}",
                    shown(response.get(member))
                )),
            });
        }
    }
    Ok(())
}

fn function_body(
    response: &Map<String, Value>,
    strictness: Strictness,
) -> Result<Body, ReplyFault> {
    let reply = object(
        response
            .get("functionResponse")
            .ok_or_else(|| wrong("response.functionResponse", "an object", None))?,
        "response.functionResponse",
    )?;
    let state = response_state(reply.get("responseState"))?;
    let bodies = object(
        reply
            .get("responseBody")
            .ok_or_else(|| wrong("response.functionResponse.responseBody", "an object", None))?,
        "response.functionResponse.responseBody",
    )?;
    let keyed = match bodies.get("TEXT") {
        // The handler of the public guide keys its reply by media type.
        None if strictness == Strictness::Relaxed => bodies.get("application/json"),
        other => other,
    };
    let Some(body) = keyed else {
        let keys: Vec<&str> = bodies.keys().map(String::as_str).collect();
        return Err(ReplyFault::generic(format!(
            "response.functionResponse.responseBody: expected the key TEXT, got {}",
            if keys.is_empty() {
                "none".to_owned()
            } else {
                keys.join(", ")
            }
        )));
    };
    Ok(Body {
        text: body_text(body, "response.functionResponse.responseBody.TEXT.body")?,
        reprompt: state,
        client_error: false,
    })
}

fn api_body(response: &Map<String, Value>) -> Result<Body, ReplyFault> {
    let status = http_status(response.get("httpStatusCode"))?;
    if status >= 500 {
        return Err(failed_response(&format!(
            "response.httpStatusCode is {status}"
        )));
    }
    let reprompt = response_state(response.get("responseState"))?;
    let bodies = match response.get("responseBody") {
        Some(value) => object(value, "response.responseBody")?,
        None => return Err(missing_json_body(None)),
    };
    let Some(body) = bodies.get("application/json") else {
        return Err(missing_json_body(bodies.keys().next()));
    };
    Ok(Body {
        text: json_text(body, "response.responseBody.application/json.body")?,
        reprompt,
        client_error: status >= 400,
    })
}

/// The status; a handler that gives none has succeeded.
fn http_status(given: Option<&Value>) -> Result<u64, ReplyFault> {
    let status = match given {
        None | Some(Value::Null) => return Ok(200),
        Some(Value::Number(number)) => number.as_u64().or_else(|| {
            // A framework that counts in floats writes 200.0.
            let text = number.to_string();
            text.strip_suffix(".0")?.parse().ok()
        }),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    status
        .filter(|status| (100..=599).contains(status))
        .ok_or_else(|| wrong("response.httpStatusCode", "a status from 100 to 599", given))
}

fn missing_json_body(key: Option<&String>) -> ReplyFault {
    ReplyFault {
        message: "The server encountered an error processing the Lambda response. The response body from Bedrock agent must be of type 'application/json', but 'null' was returned.".to_owned(),
        detail: Some(match key {
            Some(key) => format!(
                "response.responseBody: expected the key \"application/json\", got {key:?}"
            ),
            None => "response.responseBody: expected the key \"application/json\", got nothing"
                .to_owned(),
        }),
    }
}

fn failed_response(detail: &str) -> ReplyFault {
    ReplyFault {
        message: "Received failed response from API execution. Retry the request later.".to_owned(),
        detail: Some(detail.to_owned()),
    }
}

/// Whether the state asks for a reprompt.
fn response_state(state: Option<&Value>) -> Result<bool, ReplyFault> {
    match state {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(state)) if state == "REPROMPT" => Ok(true),
        Some(Value::String(state)) if state == "FAILURE" => {
            Err(failed_response("responseState is FAILURE"))
        }
        other => Err(wrong("responseState", "FAILURE or REPROMPT", other)),
    }
}

/// The guide asks for JSON as a string, but AWS takes the value itself too, and its samples give it.
fn json_text(body: &Value, path: &str) -> Result<String, ReplyFault> {
    match body.get("body") {
        None | Some(Value::Null | Value::String(_)) => body_text(body, path),
        Some(value) => Ok(value.to_string()),
    }
}

fn body_text(body: &Value, path: &str) -> Result<String, ReplyFault> {
    match body.get("body") {
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(not_text(path, other)),
    }
}

fn attributes(
    envelope: &Map<String, Value>,
    member: &str,
) -> Result<Option<Attributes>, ReplyFault> {
    match envelope.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                other => Err(not_text(&format!("{member}.{name}"), Some(other))),
            })
            .collect::<Result<Attributes, _>>()
            .map(Some),
        other => Err(wrong(member, "an object of strings", other)),
    }
}

/// The object at `path`.
pub(crate) fn object<'a>(
    value: &'a Value,
    path: &str,
) -> Result<&'a Map<String, Value>, ReplyFault> {
    value
        .as_object()
        .ok_or_else(|| wrong(path, "an object", Some(value)))
}

/// Something where text belongs.
pub(crate) fn not_text(path: &str, got: Option<&Value>) -> ReplyFault {
    let text = format!("{path}: expected a string, got {}", shown(got));
    ReplyFault::generic(match got {
        Some(Value::Object(_) | Value::Array(_)) => format!("{text}; {SERIALISE}"),
        _ => text,
    })
}

/// A member with a value that it may not have.
pub(crate) fn wrong(path: &str, expected: &str, got: Option<&Value>) -> ReplyFault {
    ReplyFault::generic(format!("{path}: expected {expected}, got {}", shown(got)))
}

/// Longest excerpt of a wrong value that is shown.
const SHOWN_CHARS_MAX: usize = 80;

/// A value as faults show it.
pub(crate) fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let text = value.to_string();
    if text.chars().count() > SHOWN_CHARS_MAX {
        let head: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        return format!("{head}…");
    }
    text
}
