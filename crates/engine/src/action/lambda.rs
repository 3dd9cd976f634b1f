//! The contract with an action group's Lambda function: the event, and the reply (behaviour.md 1).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::arguments::Argument;
use super::{ActionTarget, Strictness};

/// Largest reply under strict limits, bytes (behaviour.md 1.6).
pub const REPLY_BYTES_MAX_STRICT: usize = 25 * 1024;
/// Largest reply under relaxed limits, bytes: Lambda's own for synchronous calls.
pub const REPLY_BYTES_MAX_RELAXED: usize = 6 * 1024 * 1024;

const GENERIC_FAULT: &str = "The server encountered an error processing the Lambda response. Check the Lambda response and retry the request";

/// String attributes of a session or a prompt.
pub type Attributes = BTreeMap<String, String>;

/// Who asks, for the event's `agent` member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventAgent<'a> {
    /// Alias id.
    pub alias: &'a str,
    /// Agent id.
    pub id: &'a str,
    /// Agent name.
    pub name: &'a str,
    /// `DRAFT` or the version's number.
    pub version: &'a str,
}

/// Everything an event is made of.
#[derive(Clone, Debug)]
pub struct EventInput<'a> {
    /// The agent.
    pub agent: EventAgent<'a>,
    /// The session's id.
    pub session_id: &'a str,
    /// The turn's input, unmodified.
    pub input_text: &'a str,
    /// The action group.
    pub action_group: &'a str,
    /// The function or operation.
    pub target: &'a ActionTarget,
    /// The arguments.
    pub arguments: &'a [Argument],
    /// The session's attributes.
    pub session_attributes: &'a Attributes,
    /// The turn's prompt attributes.
    pub prompt_session_attributes: &'a Attributes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    message_version: &'static str,
    agent: &'a EventAgent<'a>,
    session_id: &'a str,
    input_text: &'a str,
    action_group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_method: Option<&'a str>,
    parameters: Vec<&'a Argument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<RequestBodyJson<'a>>,
    session_attributes: &'a Attributes,
    prompt_session_attributes: &'a Attributes,
}

#[derive(Serialize)]
struct RequestBodyJson<'a> {
    content: BTreeMap<&'a str, PropertiesJson<'a>>,
}

#[derive(Serialize)]
struct PropertiesJson<'a> {
    properties: Vec<&'a Argument>,
}

/// The Lambda event of one call, as JSON text.
pub fn event(input: &EventInput<'_>) -> Vec<u8> {
    let (function, api_path, http_method, media_type) = match input.target {
        ActionTarget::Function { name } => (Some(name.as_str()), None, None, None),
        ActionTarget::Api {
            path,
            method,
            body_media_type,
        } => (
            None,
            Some(path.as_str()),
            Some(method.as_str()),
            body_media_type.as_deref(),
        ),
    };
    let (body, parameters): (Vec<_>, Vec<_>) = input
        .arguments
        .iter()
        .partition(|argument| argument.in_body);
    let json = EventJson {
        message_version: "1.0",
        agent: &input.agent,
        session_id: input.session_id,
        input_text: input.input_text,
        action_group: input.action_group,
        function,
        api_path,
        http_method,
        parameters,
        request_body: media_type.map(|media_type| RequestBodyJson {
            content: BTreeMap::from([(media_type, PropertiesJson { properties: body })]),
        }),
        session_attributes: input.session_attributes,
        prompt_session_attributes: input.prompt_session_attributes,
    };
    serde_json::to_vec(&json).expect("an event holds only string-keyed data")
}

/// A reply that keeps the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    fn generic(detail: impl Into<String>) -> Self {
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
            detail: None,
        });
    }
    let json: Value = serde_json::from_slice(payload)
        .map_err(|error| ReplyFault::generic(format!("the reply is not JSON: {error}")))?;
    let envelope = object(&json, "the reply")?;
    match envelope.get("messageVersion") {
        Some(Value::String(version)) if version == "1.0" => {}
        // AWS demands it; an absent version has only one possible meaning.
        None if strictness == Strictness::Relaxed => {}
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
        text: body.text,
        reprompt: body.reprompt,
        client_error: body.client_error,
        session_attributes: attributes(envelope, "sessionAttributes")?,
        prompt_session_attributes: attributes(envelope, "promptSessionAttributes")?,
    })
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
    let status = match response.get("httpStatusCode") {
        None => 200,
        Some(Value::Number(number)) => number.as_u64().unwrap_or(200),
        Some(Value::String(text)) => text.parse().map_err(|_| {
            wrong(
                "response.httpStatusCode",
                "a number",
                response.get("httpStatusCode"),
            )
        })?,
        other => return Err(wrong("response.httpStatusCode", "a number", other)),
    };
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
        text: body_text(body, "response.responseBody.application/json.body")?,
        reprompt,
        client_error: status >= 400,
    })
}

fn missing_json_body(key: Option<&String>) -> ReplyFault {
    ReplyFault {
        message: "The server encountered an error processing the Lambda response. The response body from Bedrock agent must be of type 'application/json', but 'null' was returned.".to_owned(),
        detail: key.map(|key| {
            format!("response.responseBody: expected the key \"application/json\", got {key:?}")
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

fn body_text(body: &Value, path: &str) -> Result<String, ReplyFault> {
    match body.get("body") {
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(wrong(path, "a string", other)),
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
                other => Err(wrong(&format!("{member}.{name}"), "a string", Some(other))),
            })
            .collect::<Result<Attributes, _>>()
            .map(Some),
        other => Err(wrong(member, "an object of strings", other)),
    }
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, ReplyFault> {
    value
        .as_object()
        .ok_or_else(|| wrong(path, "an object", Some(value)))
}

fn wrong(path: &str, expected: &str, got: Option<&Value>) -> ReplyFault {
    ReplyFault::generic(format!("{path}: expected {expected}, got {}", shown(got)))
}

/// Longest excerpt of a wrong value that is shown.
const SHOWN_CHARS_MAX: usize = 80;

fn shown(value: Option<&Value>) -> String {
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

#[cfg(test)]
mod tests;
