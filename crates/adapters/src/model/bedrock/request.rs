//! Converse request to the body of Bedrock's Converse. Pure.
//!
//! The content is Bedrock's already. What Bedrock refuses is put right where nothing is lost by it:
//! blank text is left out, where no tools are given, calls and results of earlier messages are told as
//! text, and reasoning that the model could not have written itself stays behind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outcrop_engine::port::{Inference, Latency, ModelError, ModelRequest};
use outcrop_model::converse::{
    CachePointBlock, CachePointType, ContentBlock, ConversationRole, Message, OutputConfig,
    ServiceTier, SystemContentBlock, Tool, ToolChoice,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::family::{self, Cache};
use crate::model::cache::Points;
use crate::model::content;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_request_fields: Option<Cow<'a, Map<String, Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_config: Option<InferenceConfig<'a>>,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    performance_config: Option<Performance>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<SystemPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(flatten)]
    fields: Option<Fields<'a>>,
}

#[derive(Serialize)]
struct Performance {
    latency: Latency,
}

/// What the caller of Converse has said besides.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    additional_model_response_field_paths: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<&'a OutputConfig>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    request_metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a ServiceTier>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SystemPart<'a> {
    Text { text: &'a str },
    Given(&'a SystemContentBlock),
    Point(CachePoint),
}

#[derive(Serialize)]
#[serde(untagged)]
enum ToolPart<'a> {
    Given(&'a Tool),
    Point(CachePoint),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CachePoint {
    cache_point: CachePointBlock,
}

const POINT: CachePointBlock = CachePointBlock {
    ttl: None,
    type_: CachePointType::Default,
};

#[derive(Serialize)]
struct WireMessage<'a> {
    content: Vec<Cow<'a, ContentBlock>>,
    role: ConversationRole,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a ToolChoice>,
    tools: Vec<ToolPart<'a>>,
}

/// Writes the body of a request.
///
/// # Errors
/// [`ModelError::Rejected`] for additional fields that contradict the request.
pub(super) fn body(request: &ModelRequest) -> Result<Vec<u8>, ModelError> {
    let has_tools = !request.tools.is_empty();
    let points = Points::of(request);
    let body = Body {
        additional_model_request_fields: additional(request)?,
        inference_config: inference(&request.inference),
        messages: request
            .messages
            .iter()
            .enumerate()
            .map(|(index, message)| wire_message(message, request, points.after(index)))
            .filter(|message| !message.content.is_empty())
            .collect(),
        performance_config: request.latency.map(|latency| Performance { latency }),
        system: system(request, points),
        tool_config: has_tools.then(|| ToolConfig {
            tool_choice: request.tool_choice.as_ref(),
            tools: tools(request, points),
        }),
        fields: request.fields.as_deref().map(|fields| Fields {
            additional_model_response_field_paths: &fields.response_field_paths,
            output_config: fields.output_config.as_ref(),
            request_metadata: &fields.request_metadata,
            service_tier: fields.service_tier.as_ref(),
        }),
    };
    content::to_json(&body)
}

fn system(request: &ModelRequest, points: Points) -> Vec<SystemPart<'_>> {
    let mut parts: Vec<SystemPart<'_>> = request
        .system_blocks
        .iter()
        .map(SystemPart::Given)
        .collect();
    let text = &*request.system;
    if parts.is_empty() && !text.trim().is_empty() {
        parts.push(SystemPart::Text { text });
    }
    if points.system && !parts.is_empty() {
        parts.push(SystemPart::Point(CachePoint { cache_point: POINT }));
    }
    parts
}

fn tools(request: &ModelRequest, points: Points) -> Vec<ToolPart<'_>> {
    let mut parts: Vec<ToolPart<'_>> = request.tools.iter().map(ToolPart::Given).collect();
    if points.tools && family::cache(&request.model) == Some(Cache::Everywhere) {
        parts.push(ToolPart::Point(CachePoint { cache_point: POINT }));
    }
    parts
}

fn inference(inference: &Inference) -> Option<InferenceConfig<'_>> {
    let config = InferenceConfig {
        max_tokens: inference.max_tokens,
        stop_sequences: &inference.stop_sequences,
        temperature: inference.temperature,
        top_p: inference.top_p,
    };
    let is_set = config.max_tokens.is_some()
        || !config.stop_sequences.is_empty()
        || config.temperature.is_some()
        || config.top_p.is_some();
    is_set.then_some(config)
}

/// The fields passed through, with `topK` where the model's family wants it.
fn additional(request: &ModelRequest) -> Result<Option<Cow<'_, Map<String, Value>>>, ModelError> {
    let given = content::additional_fields(request)?;
    let top_k = request
        .inference
        .top_k
        .and_then(|top_k| family::top_k(&request.model, top_k));
    let Some((name, value)) = top_k else {
        return Ok(given.map(Cow::Borrowed));
    };
    content::refuse_conflict(given, |key| key == name)?;
    let mut fields = given.cloned().unwrap_or_default();
    fields.insert(name.to_owned(), value);
    Ok(Some(Cow::Owned(fields)))
}

fn wire_message<'a>(
    message: &'a Message,
    request: &ModelRequest,
    ends_prefix: bool,
) -> WireMessage<'a> {
    let has_tools = !request.tools.is_empty();
    let mut content: Vec<Cow<'a, ContentBlock>> = message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::Text(text) if text.trim().is_empty() => None,
            ContentBlock::ReasoningContent(reasoning)
                if !family::takes_reasoning(&request.model, reasoning) =>
            {
                None
            }
            ContentBlock::ToolUse(call) if !has_tools => {
                Some(Cow::Owned(ContentBlock::Text(content::told_call(call))))
            }
            ContentBlock::ToolResult(result) if !has_tools => {
                Some(Cow::Owned(ContentBlock::Text(content::told_result(result))))
            }
            other => Some(Cow::Borrowed(other)),
        })
        .collect();
    if ends_prefix && !content.is_empty() {
        content.push(Cow::Owned(ContentBlock::CachePoint(POINT)));
    }
    WireMessage {
        content,
        role: message.role,
    }
}

#[cfg(test)]
mod tests;
