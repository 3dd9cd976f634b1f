//! `INVOKE_MODEL`: a request of Converse as JSON text (behaviour.md 5.3).
//!
//! The function writes the whole request, so it is read member by member and every fault names its
//! place; what this server cannot do is refused rather than left out. It is not made better either,
//! with one exception: neighbours of one role are joined, since models demand that roles alternate.

use std::sync::Arc;

use outcrop_model::converse::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, SystemContentBlock, Tool,
    ToolChoice,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::action::Strictness;
use crate::action::lambda::ReplyFault;
use crate::action::lambda::reply::{object, shown, wrong};
use crate::history::{Utterance, alternating};
use crate::port::{ConverseFields, Inference, Latency, ModelRequest};

/// Most messages in one request: far more than fit an event of the largest size.
const MESSAGES_MAX: usize = 10_000;
/// Members that would change what comes of the call, and why they cannot.
const REFUSED: [(&str, &str); 3] = [
    (
        "guardrailConfig",
        "answer APPLY_GUARDRAIL to have a text judged",
    ),
    (
        "promptVariables",
        "prompts of Prompt management are not supported in INVOKE_MODEL",
    ),
    (
        "additionalModelResponseFieldPaths",
        "the state MODEL_INVOKED carries the message and the stop reason alone",
    ),
];
const READ: [&str; 10] = [
    "modelId",
    "system",
    "messages",
    "inferenceConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "performanceConfig",
    "requestMetadata",
    "serviceTier",
    "outputConfig",
];

/// A model call as the function wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequestGiven {
    /// The request, but for what only the caller knows: vendors' tools, delivery, for whom.
    pub request: ModelRequest,
    /// `system` and `messages` as they were given: the text of the trace.
    pub prompt: String,
}

/// Reads the request. Strict, roles must alternate as they do on AWS.
pub(super) fn read(
    request: &Value,
    path: &str,
    strictness: Strictness,
) -> Result<ModelRequestGiven, ReplyFault> {
    let request = object(request, path)?;
    check_members(request, path)?;
    let model = match request.get("modelId") {
        Some(Value::String(model)) if !model.trim().is_empty() => model.clone(),
        other => return Err(wrong(&format!("{path}.modelId"), "a model id", other)),
    };
    let (tools, tool_choice) = tools(request, path)?;
    let mut system_blocks = system(request, path)?;
    let text = match system_blocks.as_slice() {
        [SystemContentBlock::Text(text)] => Some(Arc::from(text.as_str())),
        _ => None,
    };
    if text.is_some() {
        system_blocks.clear();
    }
    Ok(ModelRequestGiven {
        request: ModelRequest {
            model,
            system: text.unwrap_or_default(),
            system_blocks,
            messages: messages(request, path, strictness)?,
            tools: tools.into(),
            tool_choice,
            inference: inference(request, path)?,
            additional_fields: additional_fields(request, path)?,
            latency: latency(request, path)?,
            fields: fields(request, path)?,
            ..ModelRequest::default()
        },
        prompt: prompt(request),
    })
}

fn additional_fields(
    request: &Map<String, Value>,
    path: &str,
) -> Result<Option<Value>, ReplyFault> {
    match request.get("additionalModelRequestFields") {
        None | Some(Value::Null) => Ok(None),
        Some(fields @ Value::Object(_)) => Ok(Some(fields.clone())),
        other => {
            let path = format!("{path}.additionalModelRequestFields");
            Err(wrong(&path, "an object", other))
        }
    }
}

fn latency(request: &Map<String, Value>, path: &str) -> Result<Option<Latency>, ReplyFault> {
    let Some(config) = request.get("performanceConfig").filter(|it| !it.is_null()) else {
        return Ok(None);
    };
    let path = format!("{path}.performanceConfig");
    match object(config, &path)?.get("latency") {
        None | Some(Value::Null) => Ok(None),
        Some(latency) => part(latency, &format!("{path}.latency")).map(Some),
    }
}

/// What only Bedrock itself has a use for.
fn fields(
    request: &Map<String, Value>,
    path: &str,
) -> Result<Option<Box<ConverseFields>>, ReplyFault> {
    let fields = ConverseFields {
        request_metadata: whole(request, path, "requestMetadata")?.unwrap_or_default(),
        service_tier: whole(request, path, "serviceTier")?,
        output_config: whole(request, path, "outputConfig")?,
        ..ConverseFields::default()
    };
    Ok((fields != ConverseFields::default()).then(|| Box::new(fields)))
}

fn check_members(request: &Map<String, Value>, path: &str) -> Result<(), ReplyFault> {
    for member in given(request) {
        if READ.contains(&member) {
            continue;
        }
        let refused = REFUSED.iter().find(|(name, _)| *name == member);
        return Err(ReplyFault::generic(match refused {
            Some((_, why)) => format!("{path}.{member} is not supported: {why}"),
            None => format!(
                "{path}.{member}: a request of Converse has no such member, expected {}",
                READ.join(", ")
            ),
        }));
    }
    Ok(())
}

/// The members that say something: a null is none.
fn given(request: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let members = request.iter().filter(|(_, value)| !value.is_null());
    members.map(|(name, _)| name.as_str())
}

fn prompt(request: &Map<String, Value>) -> String {
    let mut prompt = Map::new();
    for member in ["system", "messages"] {
        if let Some(value) = request.get(member).filter(|value| !value.is_null()) {
            prompt.insert(member.to_owned(), value.clone());
        }
    }
    Value::Object(prompt).to_string()
}

fn system(request: &Map<String, Value>, path: &str) -> Result<Vec<SystemContentBlock>, ReplyFault> {
    let mut blocks = Vec::new();
    for (place, block) in list(request, path, "system")? {
        match part::<SystemContentBlock>(block, &place)? {
            block @ (SystemContentBlock::Text(_) | SystemContentBlock::CachePoint(_)) => {
                blocks.push(block);
            }
            _ => return Err(wrong(&place, "text or cachePoint", Some(block))),
        }
    }
    Ok(blocks)
}

fn messages(
    request: &Map<String, Value>,
    path: &str,
    strictness: Strictness,
) -> Result<Vec<Arc<Message>>, ReplyFault> {
    let given = list(request, path, "messages")?;
    if given.is_empty() || given.len() > MESSAGES_MAX {
        let path = format!("{path}.messages");
        let expected = format!("1 to {MESSAGES_MAX} messages");
        return Err(wrong(&path, &expected, request.get("messages")));
    }
    let mut messages: Vec<Arc<Utterance>> = Vec::with_capacity(given.len());
    for (place, value) in given {
        let message = message(value, &place)?;
        let last = messages.last().map(|last| last.message().role);
        if last.is_none() && message.role != ConversationRole::User {
            let role = Some(&value["role"]);
            return Err(wrong(&format!("{place}.role"), "user in the first", role));
        }
        if last == Some(message.role) && strictness == Strictness::Strict {
            return Err(ReplyFault::generic(format!(
                "{place}.role: A conversation must alternate between user and assistant roles, and the message before has the role {} too",
                message.role
            )));
        }
        messages.push(Utterance::new(message));
    }
    Ok(alternating(&messages)
        .iter()
        .map(|utterance| Arc::clone(utterance.message()))
        .collect())
}

fn message(value: &Value, place: &str) -> Result<Message, ReplyFault> {
    let members = object(value, place)?;
    let role = match members.get("role") {
        Some(Value::String(role)) if role == "user" => ConversationRole::User,
        Some(Value::String(role)) if role == "assistant" => ConversationRole::Assistant,
        other => return Err(wrong(&format!("{place}.role"), "user or assistant", other)),
    };
    let mut content = Vec::new();
    for (place, block) in list(members, place, "content")? {
        let mut block: ContentBlock = part(block, &place)?;
        // Models refuse a tool use whose input is no object, though one of them may have written it.
        if let ContentBlock::ToolUse(tool_use) = &mut block
            && !tool_use.input.is_object()
        {
            tool_use.input = json!({});
        }
        content.push(block);
    }
    if content.is_empty() {
        let place = format!("{place}.content");
        return Err(wrong(&place, "at least one block", members.get("content")));
    }
    Ok(Message { content, role })
}

fn tools(
    request: &Map<String, Value>,
    path: &str,
) -> Result<(Vec<Tool>, Option<ToolChoice>), ReplyFault> {
    let place = format!("{path}.toolConfig");
    let config = match request.get("toolConfig") {
        None | Some(Value::Null) => return Ok((Vec::new(), None)),
        Some(config) => object(config, &place)?,
    };
    let mut tools = Vec::new();
    for (place, tool) in list(config, &place, "tools")? {
        match part::<Tool>(tool, &place)? {
            tool @ (Tool::ToolSpec(_) | Tool::CachePoint(_)) => tools.push(tool),
            _ => return Err(wrong(&place, "toolSpec or cachePoint", Some(tool))),
        }
    }
    let choice = match config.get("toolChoice") {
        None | Some(Value::Null) => None,
        Some(choice) => Some(part(choice, &format!("{place}.toolChoice"))?),
    };
    Ok((tools, choice))
}

fn inference(request: &Map<String, Value>, path: &str) -> Result<Inference, ReplyFault> {
    let place = format!("{path}.inferenceConfig");
    let config = match request.get("inferenceConfig") {
        None | Some(Value::Null) => return Ok(Inference::default()),
        Some(config) => config,
    };
    let members = object(config, &place)?;
    let known = ["maxTokens", "temperature", "topP", "stopSequences"];
    if let Some(unknown) = given(members).find(|member| !known.contains(member)) {
        return Err(ReplyFault::generic(format!(
            "{place}.{unknown}: expected one of {}; other parameters belong into additionalModelRequestFields",
            known.join(", ")
        )));
    }
    let read: InferenceConfiguration = part(config, &place)?;
    for (member, value) in [("temperature", read.temperature), ("topP", read.top_p)] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            let place = format!("{place}.{member}");
            return Err(wrong(&place, "a number from 0 to 1", members.get(member)));
        }
    }
    let max_tokens = match read.max_tokens {
        None => None,
        Some(tokens) => match u32::try_from(tokens) {
            Ok(tokens) if tokens > 0 => Some(tokens),
            _ => {
                let place = format!("{place}.maxTokens");
                return Err(wrong(&place, "at least 1", members.get("maxTokens")));
            }
        },
    };
    Ok(Inference {
        max_tokens,
        temperature: read.temperature,
        top_p: read.top_p,
        top_k: None,
        stop_sequences: read.stop_sequences.unwrap_or_default(),
    })
}

/// The elements of a list, each with its place. A list that is absent is empty.
fn list<'a>(
    members: &'a Map<String, Value>,
    path: &str,
    member: &str,
) -> Result<Vec<(String, &'a Value)>, ReplyFault> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(elements)) => Ok(elements
            .iter()
            .enumerate()
            .map(|(index, element)| (format!("{path}.{member}[{index}]"), element))
            .collect()),
        other => Err(wrong(&format!("{path}.{member}"), "a list", other)),
    }
}

/// A member as a shape of Converse, where it is there.
fn whole<T: DeserializeOwned>(
    request: &Map<String, Value>,
    path: &str,
    member: &str,
) -> Result<Option<T>, ReplyFault> {
    match request.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => part(value, &format!("{path}.{member}")).map(Some),
    }
}

/// A value as a shape of Converse.
fn part<T: DeserializeOwned>(value: &Value, place: &str) -> Result<T, ReplyFault> {
    serde_json::from_value(value.clone()).map_err(|error| {
        ReplyFault::generic(format!("{place}: {error}, got {}", shown(Some(value))))
    })
}
