//! Converse request to the body of Bedrock's Converse. Pure.
//!
//! The content is Bedrock's already. What Bedrock refuses is put right where nothing is lost by it:
//! blank text is left out, and where no tools are given, calls and results of earlier messages are
//! told as text.

use std::borrow::Cow;

use outcrop_engine::port::{Inference, ModelError, ModelRequest};
use outcrop_model::converse::{ContentBlock, ConversationRole, Message, Tool, ToolChoice};
use serde::Serialize;
use serde_json::{Map, Value};

use super::family;
use crate::model::content;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_request_fields: Option<Cow<'a, Map<String, Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_config: Option<InferenceConfig<'a>>,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<SystemText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
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
struct SystemText<'a> {
    text: &'a str,
}

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
    tools: &'a [Tool],
}

/// Writes the body of a request.
///
/// # Errors
/// [`ModelError::Rejected`] for additional fields that contradict the request.
pub(super) fn body(request: &ModelRequest) -> Result<Vec<u8>, ModelError> {
    let has_tools = !request.tools.is_empty();
    let system = Some(&*request.system).filter(|text| !text.trim().is_empty());
    let body = Body {
        additional_model_request_fields: additional(request)?,
        inference_config: inference(&request.inference),
        messages: request
            .messages
            .iter()
            .map(|message| wire_message(message, has_tools))
            .filter(|message| !message.content.is_empty())
            .collect(),
        system: system.map(|text| SystemText { text }).into_iter().collect(),
        tool_config: has_tools.then(|| ToolConfig {
            tool_choice: request.tool_choice.as_ref(),
            tools: &request.tools,
        }),
    };
    content::to_json(&body)
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

fn wire_message(message: &Message, has_tools: bool) -> WireMessage<'_> {
    let content = message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::Text(text) if text.trim().is_empty() => None,
            ContentBlock::ToolUse(call) if !has_tools => {
                Some(Cow::Owned(ContentBlock::Text(content::told_call(call))))
            }
            ContentBlock::ToolResult(result) if !has_tools => {
                Some(Cow::Owned(ContentBlock::Text(content::told_result(result))))
            }
            other => Some(Cow::Borrowed(other)),
        })
        .collect();
    WireMessage {
        content,
        role: message.role,
    }
}

#[cfg(test)]
mod tests;
