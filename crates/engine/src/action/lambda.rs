//! The contract with an action group's Lambda function: the event, and the reply (behaviour.md 1).

pub(crate) mod reply;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::ActionTarget;
use super::arguments::Argument;

pub use reply::{REPLY_BYTES_MAX_RELAXED, REPLY_BYTES_MAX_STRICT, Reply, ReplyFault, read_reply};

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
    /// Whether the function is given them as JSON values rather than AWS's strings.
    pub typed_arguments: bool,
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
    parameters: Vec<ArgumentJson<'a>>,
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
    properties: Vec<ArgumentJson<'a>>,
}

#[derive(Serialize)]
struct ArgumentJson<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    type_: &'a str,
    value: ValueJson<'a>,
}

impl<'a> ArgumentJson<'a> {
    fn of(argument: &'a Argument, typed: bool) -> Self {
        Self {
            name: &argument.name,
            type_: &argument.type_,
            value: if typed {
                ValueJson::Typed(&argument.json)
            } else {
                ValueJson::Text(&argument.value)
            },
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueJson<'a> {
    Text(&'a str),
    Typed(&'a Value),
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
    let arguments = |in_body: bool| {
        let chosen = input
            .arguments
            .iter()
            .filter(|argument| argument.in_body == in_body);
        let json = |argument| ArgumentJson::of(argument, input.typed_arguments);
        chosen.map(json).collect::<Vec<_>>()
    };
    let json = EventJson {
        message_version: "1.0",
        agent: &input.agent,
        session_id: input.session_id,
        input_text: input.input_text,
        action_group: input.action_group,
        function,
        api_path,
        http_method,
        parameters: arguments(false),
        request_body: media_type.map(|media_type| RequestBodyJson {
            content: BTreeMap::from([(
                media_type,
                PropertiesJson {
                    properties: arguments(true),
                },
            )]),
        }),
        session_attributes: input.session_attributes,
        prompt_session_attributes: input.prompt_session_attributes,
    };
    serde_json::to_vec(&json).expect("an event holds only string-keyed data")
}

#[cfg(test)]
mod tests;
