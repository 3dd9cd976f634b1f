//! Call syntaxes: templates that have the model write its calls as text (behaviour.md 1.7, 1.9, 4.3).
//!
//! A conversation is kept in Converse's blocks always. Where a template asks for another form, the
//! blocks become that form's text before the model is asked, and the text of its reply becomes blocks
//! again. A template without a form of its own has its tools called natively. Text in, text out: no
//! reply can make this fail, and the work grows with the length of the reply, not faster.

mod function;
mod json;
mod name;
mod reader;
mod stray;
mod xml;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, Tool, ToolInputSchema, ToolResultBlock,
    ToolResultContentBlock, ToolResultStatus, ToolSpecification, ToolUseBlock,
};
use serde_json::Value;

use crate::converse::text_of;

/// How a template has the model call tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallSyntax {
    /// By the provider's own means: tools travel in the request.
    #[default]
    Native,
    /// `<function_calls>` with `<invoke>` (Claude 3).
    Xml,
    /// `<function_call>name(argument="value")</function_call>` (Claude 2 and Instant).
    Function,
    /// `{"name": …, "parameters": {…}}` (Llama).
    Json,
}

impl CallSyntax {
    /// Whether tool names are written with `::` between their parts, as those models know them.
    pub fn spells_names(self) -> bool {
        matches!(self, Self::Xml | Self::Function)
    }

    /// Whether the model writes its calls into its text.
    pub fn is_text(self) -> bool {
        self != Self::Native
    }
}

/// A reply read in a call syntax.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The message, its calls as blocks; as it came where a call is malformed.
    pub message: Message,
    /// What to answer the model with, where a call cannot be read or names no tool.
    pub malformed: Option<String>,
}

/// A call found in a text.
#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    input: Value,
}

/// What a text holds.
#[derive(Debug, PartialEq)]
enum Found {
    /// No calls.
    Nothing,
    /// Calls, behind the text that ends at byte `text_end`.
    Calls { text_end: usize, calls: Vec<Call> },
    /// Something that was meant as a call; the text to answer with.
    Malformed(String),
}

/// The syntax a template asks for: it must show the form of a call and have a place for the tools.
pub fn of_template(text: &str) -> CallSyntax {
    // In JSON, quotes and slashes may be escaped.
    let text = text.replace('\\', "");
    let places_tools = text.contains("$tools$") || text.contains("$functions$");
    if !places_tools && !text.contains("<tool_description>") {
        return CallSyntax::Native;
    }
    let has = |part: &str| text.contains(part);
    if has("<function_calls>") || (has("<invoke>") && has("<tool_name>")) {
        CallSyntax::Xml
    } else if has("<function_call>") {
        CallSyntax::Function
    } else if has("\"name\"") && (has("\"parameters\"") || has("\"arguments\"")) {
        CallSyntax::Json
    } else {
        CallSyntax::Native
    }
}

/// What `$tools$` and `$functions$` stand for.
pub fn tools_text(syntax: CallSyntax, tools: &[Tool]) -> String {
    let mut out = String::new();
    for tool in tools {
        let Tool::ToolSpec(tool) = tool else { continue };
        match syntax {
            CallSyntax::Native | CallSyntax::Xml => xml::describe(&mut out, syntax, tool),
            CallSyntax::Function => function::describe(&mut out, tool),
            CallSyntax::Json => json::describe(&mut out, tool),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The name of one of the tools as the syntax writes it (`$any_function_name$`): always the first, so
/// that a prompt is the same each time.
pub fn any_tool_name(syntax: CallSyntax, tools: &[Tool]) -> String {
    let first = tools.iter().find_map(|tool| match tool {
        Tool::ToolSpec(tool) => Some(tool.name.as_str()),
        _ => None,
    });
    name::shown(syntax, first.unwrap_or_default())
}

/// The stop sequences that a syntax's default parameters carry (behaviour.md 4.6).
pub fn stop_sequences(syntax: CallSyntax) -> &'static [&'static str] {
    match syntax {
        CallSyntax::Native | CallSyntax::Json => &["</answer>"],
        CallSyntax::Xml => &["</invoke>", "</answer>", "</error>"],
        CallSyntax::Function => &["</function_call>", "</answer>", "</error>"],
    }
}

/// A conversation with its tool blocks as text. Results name the tool, so that the call a result
/// answers must be among `messages`.
pub fn encode_all(syntax: CallSyntax, messages: &[Arc<Message>]) -> Vec<Arc<Message>> {
    if !syntax.is_text() {
        return messages.to_vec();
    }
    let mut names = HashMap::new();
    for message in messages {
        remember(&mut names, message);
    }
    messages
        .iter()
        .map(|message| {
            if message.content.iter().any(is_tool_block) {
                Arc::new(encode_named(syntax, message, &names))
            } else {
                Arc::clone(message)
            }
        })
        .collect()
}

/// One message with its tool blocks as text; a result whose call it does not hold is named by the
/// call's id. [`encode_all`] does a whole conversation.
pub fn encode(syntax: CallSyntax, message: &Message) -> Message {
    let mut names = HashMap::new();
    remember(&mut names, message);
    encode_named(syntax, message, &names)
}

/// Names of tools by the ids of their calls.
type Names<'a> = HashMap<&'a str, &'a str>;

fn remember<'a>(names: &mut Names<'a>, message: &'a Message) {
    for block in &message.content {
        if let ContentBlock::ToolUse(call) = block {
            names.insert(&call.tool_use_id, &call.name);
        }
    }
}

fn is_tool_block(block: &ContentBlock) -> bool {
    matches!(
        block,
        ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_)
    )
}

fn encode_named(syntax: CallSyntax, message: &Message, names: &Names<'_>) -> Message {
    if !syntax.is_text() || !message.content.iter().any(is_tool_block) {
        return message.clone();
    }
    let calls: Vec<&ToolUseBlock> = crate::converse::tool_uses(message).collect();
    let results: Vec<NamedResult<'_>> = message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::ToolResult(result) => Some(NamedResult::of(syntax, result, names)),
            _ => None,
        })
        .collect();
    let (calls_text, results_text) = match syntax {
        CallSyntax::Native | CallSyntax::Xml => (xml::calls(&calls), xml::results(&results)),
        CallSyntax::Function => (function::calls(&calls), function::results(&results)),
        CallSyntax::Json => (json::calls(&calls), json::results(&results)),
    };
    let mut content = Vec::with_capacity(message.content.len());
    if !results.is_empty() {
        content.push(ContentBlock::Text(results_text));
        content.extend(pictures(message));
    }
    for block in &message.content {
        if !is_tool_block(block) {
            content.push(block.clone());
        }
    }
    if !calls.is_empty() {
        match content.last_mut() {
            Some(ContentBlock::Text(text)) => {
                text.truncate(text.trim_end().len());
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&calls_text);
            }
            _ => content.push(ContentBlock::Text(calls_text)),
        }
    }
    Message {
        role: message.role,
        content,
    }
}

/// The pictures and documents of results, which no text can hold.
fn pictures(message: &Message) -> impl Iterator<Item = ContentBlock> {
    message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::ToolResult(result) => Some(&result.content),
            _ => None,
        })
        .flatten()
        .filter_map(|part| match part {
            ToolResultContentBlock::Image(image) => Some(ContentBlock::Image(image.clone())),
            ToolResultContentBlock::Document(document) => {
                Some(ContentBlock::Document(document.clone()))
            }
            _ => None,
        })
}

/// A tool's result as text.
struct NamedResult<'a> {
    /// As the syntax writes it.
    name: String,
    text: String,
    status: Option<&'a ToolResultStatus>,
}

impl<'a> NamedResult<'a> {
    fn of(syntax: CallSyntax, result: &'a ToolResultBlock, names: &Names<'_>) -> Self {
        let id = result.tool_use_id.as_str();
        let mut text = String::new();
        for part in &result.content {
            match part {
                ToolResultContentBlock::Text(part) => text.push_str(part),
                ToolResultContentBlock::Json(value) => text.push_str(&value.to_string()),
                _ => {}
            }
        }
        Self {
            name: name::shown(syntax, names.get(id).copied().unwrap_or(id)),
            text,
            status: result.status.as_ref(),
        }
    }

    fn is_error(&self) -> bool {
        self.status == Some(&ToolResultStatus::Error)
    }
}

/// Reads a reply: the calls in its text become blocks with the ids `{id_prefix}-0`, `{id_prefix}-1`, …
/// `known_tools` tells which native names there are. What the model wrote behind its calls is dropped:
/// it would be results it made up. A native reply whose text is a call is read as that call.
pub fn decode(
    syntax: CallSyntax,
    message: &Message,
    known_tools: &dyn Fn(&str) -> bool,
    id_prefix: &str,
) -> Decoded {
    let text = text_of(message);
    let found = match syntax {
        CallSyntax::Native if crate::converse::tool_uses(message).next().is_some() => {
            Found::Nothing
        }
        CallSyntax::Native => stray::find(&text, known_tools),
        CallSyntax::Xml => xml::find(&text, known_tools),
        CallSyntax::Function => function::find(&text, known_tools),
        CallSyntax::Json => json::find(&text, known_tools),
    };
    let as_it_is = |malformed| Decoded {
        message: message.clone(),
        malformed,
    };
    match found {
        Found::Nothing => as_it_is(None),
        Found::Malformed(text) => as_it_is(Some(text)),
        Found::Calls { text_end, calls } => {
            let mut content: Vec<ContentBlock> = message
                .content
                .iter()
                .filter(|block| !matches!(block, ContentBlock::Text(_)))
                .cloned()
                .collect();
            let said = text.get(..text_end).unwrap_or_default().trim_end();
            if !said.trim().is_empty() {
                content.push(ContentBlock::Text(said.to_owned()));
            }
            content.extend(calls.into_iter().enumerate().map(|(index, call)| {
                ContentBlock::ToolUse(ToolUseBlock {
                    input: call.input,
                    name: call.name,
                    tool_use_id: format!("{id_prefix}-{index}"),
                    type_: None,
                })
            }));
            Decoded {
                message: Message {
                    role: ConversationRole::Assistant,
                    content,
                },
                malformed: None,
            }
        }
    }
}

/// One parameter of a tool, for its description.
struct Parameter<'a> {
    name: &'a str,
    type_: &'a str,
    description: &'a str,
    is_required: bool,
    /// The whole schema, where the type alone does not say enough.
    schema: Option<&'a Value>,
}

/// Members of a schema that say more than a type.
const SAYS_MORE: [&str; 6] = ["properties", "items", "enum", "anyOf", "oneOf", "$ref"];

fn parameters(tool: &ToolSpecification) -> Vec<Parameter<'_>> {
    let ToolInputSchema::Json(schema) = &tool.input_schema else {
        return Vec::new();
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let text = |member| property.get(member).and_then(Value::as_str);
            Parameter {
                name,
                type_: text("type").unwrap_or("string"),
                description: text("description").unwrap_or_default(),
                is_required: required.contains(&name.as_str()),
                schema: SAYS_MORE
                    .iter()
                    .any(|member| property.get(member).is_some())
                    .then_some(property),
            }
        })
        .collect()
}
