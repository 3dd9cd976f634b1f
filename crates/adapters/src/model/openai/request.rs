//! Converse request to chat-completions body. Pure.

mod wire;

use std::borrow::Cow;

use self::wire::{
    Body, ChatMessage, Choice, Content, File, Function, FunctionCall, FunctionName, ImageUrl,
    JsonSchema, NamedChoice, Part, ResponseFormat, StreamOptions, ToolCall, ToolDefinition,
};
use crate::model::content::{self, DocumentForm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_engine::port::{Delivery, ModelError, ModelRequest};
use outcrop_model::converse::{
    ContentBlock, ConversationRole, DocumentBlock, ImageBlock, Message, OutputConfig, Tool,
    ToolChoice, ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
};

/// Which of the protocol's two generations a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `OpenAI`'s own hosts.
    OpenAi,
    /// Everybody else.
    Compatible,
}

impl Dialect {
    /// Whether `model` is one of `OpenAI`'s that refuse `temperature`, `top_p` and `stop`.
    pub(super) fn is_reasoning_model(self, model: &str) -> bool {
        let families = ["o1", "o3", "o4", "gpt-5"];
        self == Self::OpenAi
            && families.iter().any(|family| model.starts_with(family))
            && !model.contains("-chat")
    }
}

/// Writes the body of a request.
///
/// # Errors
/// [`ModelError::Rejected`] for content the protocol cannot carry, and for additional fields that
/// contradict the request.
pub(super) fn body(request: &ModelRequest, dialect: Dialect) -> Result<Vec<u8>, ModelError> {
    let streamed = request.delivery == Delivery::Streamed;
    let inference = &request.inference;
    let (max_tokens, max_completion_tokens) = match dialect {
        Dialect::OpenAi => (None, inference.max_tokens),
        Dialect::Compatible => (inference.max_tokens, None),
    };
    let fields = request.fields.as_deref();
    let output = fields.and_then(|fields| fields.output_config.as_ref());
    let response_format = output.map(response_format).transpose()?.flatten();
    let body = Body {
        model: &request.model,
        messages: messages(request)?,
        stream: streamed,
        stream_options: streamed.then_some(StreamOptions {
            include_usage: true,
        }),
        max_tokens,
        max_completion_tokens,
        temperature: inference.temperature,
        top_p: inference.top_p,
        stop: &inference.stop_sequences,
        tools: tools(&request.tools)?,
        tool_choice: match &request.tool_choice {
            Some(choice) if !request.tools.is_empty() => Some(tool_choice(choice)?),
            Some(_) | None => None,
        },
        response_format,
        reasoning_effort: output.and_then(|output| output.effort.as_deref()),
        additional: content::additional_fields(request)?,
    };
    content::refuse_conflict(body.additional, |key| body.sets(key))?;
    content::to_json(&body)
}

/// The format that the answer is to have.
fn response_format(config: &OutputConfig) -> Result<Option<ResponseFormat<'_>>, ModelError> {
    let schema = content::output_schema(config)?;
    Ok(schema.map(|(definition, schema)| ResponseFormat {
        json_schema: JsonSchema {
            name: definition.name.as_deref().unwrap_or("answer"),
            description: definition.description.as_deref(),
            schema,
            strict: true,
        },
    }))
}

fn messages(request: &ModelRequest) -> Result<Vec<ChatMessage<'_>>, ModelError> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    let system = content::system(request)?;
    if !system.is_empty() {
        messages.push(ChatMessage::System { content: system });
    }
    for message in &request.messages {
        match message.role {
            ConversationRole::Assistant => messages.push(assistant(message)?),
            ConversationRole::System => messages.push(ChatMessage::System {
                content: Cow::Owned(content::system_text(message)?),
            }),
            // The role of a newer model version is no reason to lose a message.
            _ => user(message, &mut messages)?,
        }
    }
    Ok(messages)
}

/// An assistant's message. Its reasoning is left out: vendors of this protocol either have no member
/// for it or refuse to get it back.
fn assistant(message: &Message) -> Result<ChatMessage<'_>, ModelError> {
    let mut text = Joined::default();
    let mut tool_calls = Vec::new();
    for block in &message.content {
        match block {
            ContentBlock::Text(part) => text.push(Cow::Borrowed(part)),
            ContentBlock::ToolUse(call) => tool_calls.push(ToolCall {
                id: &call.tool_use_id,
                function: FunctionCall {
                    name: &call.name,
                    arguments: call.input.to_string(),
                },
            }),
            ContentBlock::ReasoningContent(_) | ContentBlock::CachePoint(_) => {}
            other => return Err(content::no_form(other, "an assistant message")),
        }
    }
    let text = text.into_text();
    Ok(ChatMessage::Assistant {
        content: if text.is_empty() && !tool_calls.is_empty() {
            None
        } else {
            Some(text)
        },
        tool_calls,
    })
}

/// A user's message: first its tool results, each a message of its own, as the protocol wants them
/// right after the calls; then the rest, which the protocol's tool messages cannot hold.
fn user<'a>(message: &'a Message, out: &mut Vec<ChatMessage<'a>>) -> Result<(), ModelError> {
    let mut parts = Vec::new();
    for block in &message.content {
        match block {
            ContentBlock::ToolResult(result) => {
                let content = tool_result(result, &mut parts)?;
                out.push(ChatMessage::Tool {
                    content,
                    tool_call_id: &result.tool_use_id,
                });
            }
            ContentBlock::Text(text) => parts.push(Part::text(text)),
            ContentBlock::Image(image) => parts.push(Part::image(image)?),
            ContentBlock::Document(document) => Part::push_document(document, &mut parts)?,
            ContentBlock::GuardContent(guarded) => {
                parts.push(Part::text(content::guarded_text(guarded)?));
            }
            ContentBlock::CachePoint(_) => {}
            other => return Err(content::no_form(other, "a user message")),
        }
    }
    parts.retain(|part| !matches!(part, Part::Text { text } if text.is_empty()));
    if !parts.is_empty() {
        out.push(ChatMessage::User {
            content: Content::of(parts),
        });
    }
    Ok(())
}

/// The text of a tool result. The protocol has no mark for a failed call, so the text says it; images
/// go to `parts`, to follow in the user's message.
fn tool_result<'a>(
    result: &'a ToolResultBlock,
    parts: &mut Vec<Part<'a>>,
) -> Result<Cow<'a, str>, ModelError> {
    let mut text = Joined::default();
    if result.status == Some(ToolResultStatus::Error) {
        text.push(Cow::Borrowed("Error:"));
    }
    for block in &result.content {
        match block {
            ToolResultContentBlock::Text(part) => text.push(Cow::Borrowed(part)),
            ToolResultContentBlock::Json(value) => text.push(Cow::Owned(value.to_string())),
            ToolResultContentBlock::Image(image) => parts.push(Part::image(image)?),
            ToolResultContentBlock::Document(document) => Part::push_document(document, parts)?,
            other => return Err(content::no_form(other, "a tool result")),
        }
    }
    Ok(text.into_text())
}

impl<'a> Part<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text {
            text: Cow::Borrowed(text),
        }
    }

    fn image(image: &ImageBlock) -> Result<Self, ModelError> {
        let (media_type, bytes) = content::image(image)?;
        Ok(Self::ImageUrl {
            image_url: ImageUrl {
                url: data_url(&media_type, bytes),
            },
        })
    }

    /// The document, after what its sender says about it.
    fn push_document(document: &'a DocumentBlock, parts: &mut Vec<Self>) -> Result<(), ModelError> {
        parts.extend(document.context.as_deref().map(Self::text));
        parts.push(Self::document(document)?);
        Ok(())
    }

    fn document(document: &'a DocumentBlock) -> Result<Self, ModelError> {
        Ok(match content::document(document)? {
            DocumentForm::Text(text) => Self::Text { text },
            DocumentForm::Pdf(bytes) => Self::File {
                file: File {
                    filename: Cow::Owned(format!("{}.pdf", document.name)),
                    file_data: data_url("application/pdf", bytes),
                },
            },
        })
    }
}

fn data_url(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

impl<'a> Content<'a> {
    /// Plain text where there is nothing else: not every server takes parts.
    fn of(parts: Vec<Part<'a>>) -> Self {
        if !parts.iter().all(|part| matches!(part, Part::Text { .. })) {
            return Self::Parts(parts);
        }
        let mut joined = Joined::default();
        for part in parts {
            if let Part::Text { text } = part {
                joined.push(text);
            }
        }
        Self::Text(joined.into_text())
    }
}

/// Text blocks put together, one per line. A single one is not copied.
#[derive(Default)]
struct Joined<'a>(Cow<'a, str>);

impl<'a> Joined<'a> {
    fn push(&mut self, text: Cow<'a, str>) {
        if self.0.is_empty() {
            self.0 = text;
        } else if !text.is_empty() {
            let all = self.0.to_mut();
            all.push('\n');
            all.push_str(&text);
        }
    }

    fn into_text(self) -> Cow<'a, str> {
        self.0
    }
}

fn tools(tools: &[Tool]) -> Result<Vec<ToolDefinition<'_>>, ModelError> {
    let mut definitions = Vec::with_capacity(tools.len());
    for tool in tools {
        match tool {
            Tool::ToolSpec(spec) => definitions.push(ToolDefinition {
                function: Function {
                    name: &spec.name,
                    description: spec.description.as_deref(),
                    parameters: content::schema(&spec.input_schema)?,
                    strict: spec.strict,
                },
            }),
            Tool::CachePoint(_) => {}
            other => return Err(content::no_form(other, "tools")),
        }
    }
    Ok(definitions)
}

fn tool_choice(choice: &ToolChoice) -> Result<Choice<'_>, ModelError> {
    Ok(match choice {
        ToolChoice::Auto(_) => Choice::Mode("auto"),
        ToolChoice::Any(_) => Choice::Mode("required"),
        ToolChoice::Tool(tool) => Choice::Named(NamedChoice {
            function: FunctionName { name: &tool.name },
        }),
        other => return Err(content::no_form(other, "toolChoice")),
    })
}

#[cfg(test)]
mod tests;
