//! Converse request to a messages body. Pure.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_engine::port::{Delivery, ModelError, ModelRequest};
use outcrop_model::converse::{
    ContentBlock, ConversationRole, DocumentBlock, ImageBlock, ReasoningContentBlock, Tool,
    ToolChoice, ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::native_id;
use crate::model::content::{self, DocumentForm};

/// `max_tokens` where the request has none; the protocol wants one. AWS's own default for Claude in
/// an agent is 2048; twice that leaves room for a long tool call, and every model takes it.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

#[derive(Serialize)]
struct Body<'a> {
    model: Cow<'a, str>,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Cow<'a, str>>,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Definition<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(flatten)]
    additional: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Cached<Block<'a>>>,
}

/// A block or a tool up to which the vendor may cache the prompt.
#[derive(Serialize)]
struct Cached<T> {
    #[serde(flatten)]
    item: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        title: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a Value,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: Cow<'a, str>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 {
        media_type: Cow<'static, str>,
        data: String,
    },
    Text {
        media_type: &'static str,
        data: Cow<'a, str>,
    },
}

/// A tool as the request describes it, or as the vendor knows it.
#[derive(Serialize)]
#[serde(untagged)]
enum Definition<'a> {
    Own(ToolDefinition<'a>),
    Vendor(&'a Value),
}

#[derive(Serialize)]
struct ToolDefinition<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    Auto,
    Any,
    Tool { name: &'a str },
}

/// Writes the body of a request.
///
/// # Errors
/// [`ModelError::Rejected`] for content the protocol cannot carry, and for additional fields that
/// contradict the request.
pub(super) fn body(request: &ModelRequest) -> Result<Vec<u8>, ModelError> {
    let inference = &request.inference;
    let additional = content::additional_fields(request)?;
    let (system, messages) = conversation(request)?;
    let body = Body {
        model: native_id(&request.model),
        max_tokens: inference.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        system,
        messages,
        stream: request.delivery == Delivery::Streamed,
        temperature: inference.temperature,
        top_p: inference.top_p,
        top_k: inference.top_k,
        stop_sequences: &inference.stop_sequences,
        tools: tools(request)?,
        tool_choice: match &request.tool_choice {
            Some(choice) if !request.tools.is_empty() => Some(tool_choice(choice)?),
            Some(_) | None => None,
        },
        additional,
    };
    content::refuse_conflict(additional, |key| body.sets(key))?;
    content::to_json(&body)
}

impl Body<'_> {
    /// Whether the request itself already sets the member `key`.
    fn sets(&self, key: &str) -> bool {
        match key {
            "model" | "messages" | "stream" | "max_tokens" => true,
            "system" => self.system.is_some(),
            "temperature" => self.temperature.is_some(),
            "top_p" => self.top_p.is_some(),
            "top_k" => self.top_k.is_some(),
            "stop_sequences" => !self.stop_sequences.is_empty(),
            "tools" => !self.tools.is_empty(),
            "tool_choice" => self.tool_choice.is_some(),
            _ => false,
        }
    }
}

/// The system text, with system messages of the conversation at its end, and the messages. Messages
/// that are left without content vanish, and neighbours of one role become one, since the protocol
/// refuses empty messages.
fn conversation(
    request: &ModelRequest,
) -> Result<(Option<Cow<'_, str>>, Vec<Message<'_>>), ModelError> {
    let mut system = Cow::Borrowed(request.system.trim_end());
    let mut messages: Vec<Message<'_>> = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let role = match message.role {
            ConversationRole::Assistant => "assistant",
            ConversationRole::System => {
                let text = content::system_text(message)?;
                let all = system.to_mut();
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(&text);
                continue;
            }
            _ => "user",
        };
        let mut blocks = match messages.pop_if(|last| last.role == role) {
            Some(last) => last.content,
            None => Vec::with_capacity(message.content.len()),
        };
        for block in &message.content {
            push(block, !request.tools.is_empty(), &mut blocks)?;
        }
        if !blocks.is_empty() {
            messages.push(Message {
                role,
                content: blocks,
            });
        }
    }
    trim_prefill(&mut messages);
    let system = Some(system).filter(|text| !text.is_empty());
    Ok((system, messages))
}

/// An assistant message at the end is to be continued; the protocol refuses white space at its end.
fn trim_prefill(messages: &mut [Message<'_>]) {
    if let Some(last) = messages.last_mut()
        && last.role == "assistant"
        && let Some(Cached {
            item: Block::Text { text },
            ..
        }) = last.content.last_mut()
    {
        let kept = text.trim_end().len();
        if kept < text.len() {
            text.to_mut().truncate(kept);
        }
    }
}

fn push<'a>(
    block: &'a ContentBlock,
    has_tools: bool,
    blocks: &mut Vec<Cached<Block<'a>>>,
) -> Result<(), ModelError> {
    let item = match block {
        ContentBlock::Text(text) => Block::text(text),
        ContentBlock::GuardContent(guarded) => Block::text(content::guarded_text(guarded)?),
        ContentBlock::Image(image) => Some(Block::image(image)?),
        ContentBlock::Document(document) => Some(Block::document(document)?),
        ContentBlock::ToolUse(call) if !has_tools => Some(Block::Text {
            text: Cow::Owned(content::told_call(call)),
        }),
        ContentBlock::ToolResult(result) if !has_tools => Some(Block::Text {
            text: Cow::Owned(content::told_result(result)),
        }),
        ContentBlock::ToolUse(call) => Some(Block::ToolUse {
            id: &call.tool_use_id,
            name: &call.name,
            input: &call.input,
        }),
        ContentBlock::ToolResult(result) => Some(tool_result(result)?),
        ContentBlock::ReasoningContent(reasoning) => Block::reasoning(reasoning)?,
        ContentBlock::CachePoint(_) => {
            if let Some(last) = blocks.last_mut() {
                last.cache_control = Some(CacheControl::EPHEMERAL);
            }
            None
        }
        other => return Err(content::no_form(other, "a message")),
    };
    blocks.extend(item.map(|item| Cached {
        item,
        cache_control: None,
    }));
    Ok(())
}

impl CacheControl {
    const EPHEMERAL: Self = Self { kind: "ephemeral" };
}

impl<'a> Block<'a> {
    /// None for text without a visible character, which the protocol refuses.
    fn text(text: &'a str) -> Option<Self> {
        let visible = !text.trim().is_empty();
        visible.then_some(Self::Text {
            text: Cow::Borrowed(text),
        })
    }

    fn image(image: &ImageBlock) -> Result<Self, ModelError> {
        let (media_type, bytes) = content::image(image)?;
        Ok(Self::Image {
            source: Source::Base64 {
                media_type: Cow::Owned(media_type),
                data: STANDARD.encode(bytes),
            },
        })
    }

    fn document(document: &'a DocumentBlock) -> Result<Self, ModelError> {
        let source = match content::document(document)? {
            DocumentForm::Text(data) => Source::Text {
                media_type: "text/plain",
                data,
            },
            DocumentForm::Pdf(bytes) => Source::Base64 {
                media_type: Cow::Borrowed("application/pdf"),
                data: STANDARD.encode(bytes),
            },
        };
        Ok(Self::Document {
            source,
            title: &document.name,
        })
    }

    /// None for reasoning that is not the vendor's own.
    fn reasoning(block: &'a ReasoningContentBlock) -> Result<Option<Self>, ModelError> {
        Ok(match block {
            ReasoningContentBlock::ReasoningText(text) => {
                text.signature.as_deref().map(|signature| Self::Thinking {
                    thinking: &text.text,
                    signature,
                })
            }
            ReasoningContentBlock::RedactedContent(data) => Some(Self::RedactedThinking {
                data: String::from_utf8_lossy(data.as_bytes()),
            }),
            // The type prints no content, so that reasoning stays out of error texts.
            other => return Err(content::no_form(other, "reasoning")),
        })
    }
}

fn tool_result(result: &ToolResultBlock) -> Result<Block<'_>, ModelError> {
    let mut blocks = Vec::with_capacity(result.content.len());
    for block in &result.content {
        match block {
            ToolResultContentBlock::Text(text) => blocks.extend(Block::text(text)),
            ToolResultContentBlock::Json(value) => blocks.push(Block::Text {
                text: Cow::Owned(value.to_string()),
            }),
            ToolResultContentBlock::Image(image) => blocks.push(Block::image(image)?),
            ToolResultContentBlock::Document(document) => blocks.push(Block::document(document)?),
            other => return Err(content::no_form(other, "a tool result")),
        }
    }
    Ok(Block::ToolResult {
        tool_use_id: &result.tool_use_id,
        content: blocks,
        is_error: result.status == Some(ToolResultStatus::Error),
    })
}

/// The betas that the vendor's own tools of a request belong to, for the header.
pub(super) fn betas(request: &ModelRequest) -> Vec<&str> {
    let mut betas: Vec<&str> = request
        .vendor_tools
        .iter()
        .filter_map(|tool| tool.beta.as_deref())
        .collect();
    betas.sort_unstable();
    betas.dedup();
    betas
}

fn tools(request: &ModelRequest) -> Result<Vec<Definition<'_>>, ModelError> {
    let mut definitions: Vec<Definition<'_>> = Vec::with_capacity(request.tools.len());
    for tool in &*request.tools {
        match tool {
            Tool::ToolSpec(spec) => {
                definitions.push(match vendor_definition(request, &spec.name) {
                    Some(vendor) => Definition::Vendor(vendor),
                    None => Definition::Own(ToolDefinition {
                        name: &spec.name,
                        description: spec.description.as_deref(),
                        input_schema: content::schema(&spec.input_schema)?,
                        strict: spec.strict,
                        cache_control: None,
                    }),
                });
            }
            Tool::CachePoint(_) => {
                if let Some(Definition::Own(last)) = definitions.last_mut() {
                    last.cache_control = Some(CacheControl::EPHEMERAL);
                }
            }
            other => return Err(content::no_form(other, "tools")),
        }
    }
    Ok(definitions)
}

fn vendor_definition<'a>(request: &'a ModelRequest, name: &str) -> Option<&'a Value> {
    let mut tools = request.vendor_tools.iter();
    let tool = tools.find(|tool| tool.name == name)?;
    Some(&tool.definition)
}

fn tool_choice(choice: &ToolChoice) -> Result<Choice<'_>, ModelError> {
    Ok(match choice {
        ToolChoice::Auto(_) => Choice::Auto,
        ToolChoice::Any(_) => Choice::Any,
        ToolChoice::Tool(tool) => Choice::Tool { name: &tool.name },
        other => return Err(content::no_form(other, "toolChoice")),
    })
}

#[cfg(test)]
mod tests;
