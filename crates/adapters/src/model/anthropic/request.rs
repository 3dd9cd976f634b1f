//! Converse request to a messages body. Pure.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_engine::port::{Delivery, ModelError, ModelRequest};
use outcrop_model::converse::{
    CachePointBlock, CacheTTL, CitationsConfig, ContentBlock, ConversationRole, DocumentBlock,
    ImageBlock, OutputConfig, ReasoningContentBlock, SystemContentBlock, Tool, ToolChoice,
    ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::native_id;
use crate::model::cache::Points;
use crate::model::content::{self, DocumentForm};

/// `max_tokens` where the request has none; the protocol wants one. AWS's own default for Claude in
/// an agent is 2048; twice that leaves room for a long tool call, and every model takes it.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

/// The field that switches thinking on.
const THINKING: &str = "thinking";
/// What AWS also calls it.
const BEDROCK_THINKING: &str = "reasoning_config";

#[derive(Serialize)]
struct Body<'a> {
    model: Cow<'a, str>,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<System<'a>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Output<'a>>,
    #[serde(flatten)]
    additional: Option<Cow<'a, Map<String, Value>>>,
}

/// One text, or blocks where a cache point stands in it.
#[derive(Serialize)]
#[serde(untagged)]
enum System<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Cached<Block<'a>>>),
}

/// How the answer is to look, and how much is to be thought about it.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
struct OutputFormat {
    schema: Value,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<&'a CitationsConfig>,
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
    let additional = additional(request)?;
    let points = Points::of(request);
    let (system, messages) = conversation(request, points)?;
    let fields = request.fields.as_deref();
    let output = fields.and_then(|fields| fields.output_config.as_ref());
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
        tools: tools(request, points)?,
        tool_choice: match &request.tool_choice {
            Some(choice) if !request.tools.is_empty() => Some(tool_choice(choice)?),
            Some(_) | None => None,
        },
        output_config: output.map(self::output).transpose()?,
        additional,
    };
    content::refuse_conflict(body.additional.as_deref(), |key| body.sets(key))?;
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
            "output_config" => self.output_config.is_some(),
            _ => false,
        }
    }
}

fn output(config: &OutputConfig) -> Result<Output<'_>, ModelError> {
    let schema = content::output_schema(config)?;
    Ok(Output {
        effort: config.effort.as_deref(),
        format: schema.map(|(_, schema)| OutputFormat { schema }),
    })
}

/// The fields passed through. Bedrock's name for thinking, which agents of AWS use, is not the vendor's.
fn additional(request: &ModelRequest) -> Result<Option<Cow<'_, Map<String, Value>>>, ModelError> {
    let given = content::additional_fields(request)?;
    let renamed = given
        .filter(|fields| fields.contains_key(BEDROCK_THINKING) && !fields.contains_key(THINKING));
    let Some(mut fields) = renamed.cloned() else {
        return Ok(given.map(Cow::Borrowed));
    };
    if let Some(thinking) = fields.remove(BEDROCK_THINKING) {
        fields.insert(THINKING.to_owned(), thinking);
    }
    Ok(Some(Cow::Owned(fields)))
}

/// The system text, with system messages of the conversation at its end, and the messages. Messages
/// that are left without content vanish, and neighbours of one role become one, since the protocol
/// refuses empty messages.
fn conversation(
    request: &ModelRequest,
    points: Points,
) -> Result<(Option<System<'_>>, Vec<Message<'_>>), ModelError> {
    let mut system = system(request)?;
    let mut messages: Vec<Message<'_>> = Vec::with_capacity(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        let role = match message.role {
            ConversationRole::Assistant => "assistant",
            ConversationRole::System => {
                let text = content::system_text(message)?;
                system.extend(Block::owned_text(text).map(Cached::from));
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
        if points.after(index) {
            mark(&mut blocks, CacheControl::EPHEMERAL);
        }
        if !blocks.is_empty() {
            messages.push(Message {
                role,
                content: blocks,
            });
        }
    }
    trim_prefill(&mut messages);
    if points.system {
        mark(&mut system, CacheControl::EPHEMERAL);
    }
    Ok((System::of(system), messages))
}

/// The blocks of the system text.
fn system(request: &ModelRequest) -> Result<Vec<Cached<Block<'_>>>, ModelError> {
    let mut blocks = Vec::new();
    if request.system_blocks.is_empty() {
        blocks.extend(Block::text(request.system.trim_end()).map(Cached::from));
    }
    for block in &request.system_blocks {
        match block {
            SystemContentBlock::Text(text) => blocks.extend(Block::text(text).map(Cached::from)),
            SystemContentBlock::GuardContent(guarded) => {
                let text = content::guarded_text(guarded)?;
                blocks.extend(Block::text(text).map(Cached::from));
            }
            SystemContentBlock::CachePoint(point) => mark(&mut blocks, point.into()),
            other => return Err(content::no_form(other, "the system text")),
        }
    }
    Ok(blocks)
}

impl<'a> System<'a> {
    /// One text where nothing in it is marked: the form that every server of the protocol takes.
    fn of(blocks: Vec<Cached<Block<'a>>>) -> Option<Self> {
        if blocks.is_empty() {
            return None;
        }
        if blocks.iter().any(|block| block.cache_control.is_some()) {
            return Some(Self::Blocks(blocks));
        }
        let mut all: Option<Cow<'a, str>> = None;
        for block in blocks {
            let Block::Text { text } = block.item else {
                continue;
            };
            match &mut all {
                None => all = Some(text),
                Some(all) => {
                    let all = all.to_mut();
                    all.push('\n');
                    all.push_str(&text);
                }
            }
        }
        all.map(Self::Text)
    }
}

/// Sets a cache point after the last block that takes one; thinking takes none.
fn mark(blocks: &mut [Cached<Block<'_>>], control: CacheControl) {
    let mut markable = blocks.iter_mut().rev();
    let last = markable.find(|block| {
        !matches!(
            block.item,
            Block::Thinking { .. } | Block::RedactedThinking { .. }
        )
    });
    if let Some(last) = last {
        last.cache_control = Some(control);
    }
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
        ContentBlock::CachePoint(point) => {
            mark(blocks, point.into());
            None
        }
        other => return Err(content::no_form(other, "a message")),
    };
    blocks.extend(item.map(Cached::from));
    Ok(())
}

impl<T> From<T> for Cached<T> {
    fn from(item: T) -> Self {
        Self {
            item,
            cache_control: None,
        }
    }
}

impl CacheControl {
    const EPHEMERAL: Self = Self {
        kind: "ephemeral",
        ttl: None,
    };
}

impl From<&CachePointBlock> for CacheControl {
    fn from(point: &CachePointBlock) -> Self {
        Self {
            ttl: point.ttl.map(CacheTTL::as_str),
            ..Self::EPHEMERAL
        }
    }
}

impl<'a> Block<'a> {
    /// None for text without a visible character, which the protocol refuses.
    fn text(text: &'a str) -> Option<Self> {
        let visible = !text.trim().is_empty();
        visible.then_some(Self::Text {
            text: Cow::Borrowed(text),
        })
    }

    fn owned_text(text: String) -> Option<Self> {
        let visible = !text.trim().is_empty();
        visible.then_some(Self::Text {
            text: Cow::Owned(text),
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
            context: document.context.as_deref(),
            citations: document.citations.as_ref(),
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

fn tools(request: &ModelRequest, points: Points) -> Result<Vec<Definition<'_>>, ModelError> {
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
            Tool::CachePoint(point) => mark_tools(&mut definitions, point.into()),
            other => return Err(content::no_form(other, "tools")),
        }
    }
    if points.tools {
        mark_tools(&mut definitions, CacheControl::EPHEMERAL);
    }
    Ok(definitions)
}

/// Sets a cache point after the last tool. One that the vendor defines takes none; the point after the
/// system text covers it.
fn mark_tools(definitions: &mut [Definition<'_>], control: CacheControl) {
    if let Some(Definition::Own(last)) = definitions.last_mut() {
        last.cache_control = Some(control);
    }
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
