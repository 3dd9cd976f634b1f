//! Prompt templates: `$placeholder$` texts in the JSON envelope AWS uses, or plain text.
//!
//! Parsed once per definition, filled once per turn. Placeholders of behaviour.md 4.4 are replaced;
//! an unknown `$name$` stays as it is; a known one that does not apply becomes the empty string. A
//! replaced text is never scanned again, so input cannot smuggle in a placeholder.
//!
//! Every form ends in the same: a system text, and messages before and after the place of the
//! scratchpad. A text of the older completion models (`Human:` … `Assistant:`) is cut into its
//! messages, so that it works with any provider (behaviour.md 4.3).

mod lenient;
mod transcript;
mod unknown;
mod values;

#[cfg(test)]
mod tests;

use outcrop_model::converse::ConversationRole;
use serde_json::Value;

pub use unknown::{UnknownPlaceholder, misplaced_placeholders, placeholders, unknown_placeholders};
pub use values::{Placeholder, TABLE, Values, placeholder};

/// Placeholders by which a template brings in what the model is to work on. A plain text with one of
/// them is the user's message; where a template has none, the input follows as a message.
const INPUTS: [&str; 5] = [
    "conversation",
    "last_user_request",
    "latest_response",
    "query",
    "question",
];

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It begins like JSON and is none, even read leniently.
    #[error("line {line}, column {column}: {detail}")]
    Json {
        /// From 1, in the text as it was given.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What the parser expected.
        detail: String,
    },
    /// It is JSON of another shape.
    #[error("{0}")]
    Shape(String),
}

/// Why a filled template is no prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence} ({detail})", sentence = UNUSABLE)]
pub struct UnusablePrompt {
    /// What is missing.
    pub detail: &'static str,
}

/// AWS's sentence for a prompt that its placeholders have spoilt (behaviour.md 4.2).
pub const UNUSABLE: &str = "The overridden prompt that you provided is incorrectly formatted. Check the format for errors, such as invalid JSON, and retry your request.";

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    system: Vec<Segment>,
    messages: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    role: ConversationRole,
    text: Vec<Segment>,
}

impl Part {
    /// Whether the history is all it places.
    fn is_history(&self) -> bool {
        let mut said = self.text.iter().filter(|segment| match segment {
            Segment::Text(text) => !text.trim().is_empty(),
            Segment::Placeholder(_) => true,
        });
        said.next()
            .is_some_and(|segment| segment.is("conversation_history"))
            && said.next().is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Placeholder(&'static str),
}

impl Segment {
    fn is(&self, name: &str) -> bool {
        matches!(self, Self::Placeholder(placed) if *placed == name)
    }
}

/// A filled template: the messages before and after the place of the scratchpad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The system text.
    pub system: String,
    /// Messages before the scratchpad, at least the user's question.
    pub before: Vec<(ConversationRole, String)>,
    /// Messages after it: an assistant prefill, in templates that have one.
    pub after: Vec<(ConversationRole, String)>,
}

impl Filled {
    /// Whether a model can be asked with it.
    ///
    /// # Errors
    /// [`UnusablePrompt`] where nothing is asked, or where the assistant speaks first.
    pub fn check(&self) -> Result<(), UnusablePrompt> {
        let detail = match self.before.first() {
            None => "it has no message of the user",
            Some((ConversationRole::User, _)) if self.before.iter().all(is_blank) => {
                "its messages are empty"
            }
            Some((ConversationRole::User, _)) => return Ok(()),
            Some(_) => "its first message is not the user's",
        };
        Err(UnusablePrompt { detail })
    }

    /// The text that the reply of the first step goes on from: what the template lets the assistant
    /// begin with, behind the scratchpad if it stands there.
    pub fn prefill(&self) -> Option<&str> {
        let last = self.after.last().or(self.before.last())?;
        (last.0 == ConversationRole::Assistant).then_some(last.1.as_str())
    }
}

fn is_blank((_, text): &(ConversationRole, String)) -> bool {
    text.trim().is_empty()
}

impl Template {
    /// Parses a template: JSON (raw line breaks inside strings are accepted, behaviour.md 4.2) if it
    /// begins with a brace, else plain text.
    ///
    /// # Errors
    /// [`TemplateError`] with the place of the mistake.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.trim_start().starts_with('{') {
            return Ok(Self::plain(text));
        }
        let escaped = lenient::escape(text);
        let json: Value = serde_json::from_str(&escaped)
            .map_err(|error| lenient::error(text, &escaped, &error))?;
        let system = match json.get("system") {
            None | Some(Value::Null) => Vec::new(),
            Some(value) => segments(&content_text(value, "system")?),
        };
        let messages = match json.get("messages") {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let parts = items.iter().enumerate().map(part);
                let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
                // Models of messages are given the history as messages (behaviour.md 4.4).
                parts.retain(|part| !part.is_history());
                parts
            }
            Some(_) => {
                return Err(TemplateError::Shape(
                    "messages: expected a list of messages".to_owned(),
                ));
            }
        };
        Ok(Self { system, messages })
    }

    /// A plain text with speakers is cut into what each says. One without is the user's message where
    /// it places the input itself, else the system text.
    fn plain(text: &str) -> Self {
        if let Some(transcript) = transcript::cut(text) {
            return Self {
                system: segments(&transcript.system),
                messages: transcript
                    .messages
                    .into_iter()
                    .map(|(role, text)| Part {
                        role,
                        text: segments(&text),
                    })
                    .collect(),
            };
        }
        let text = segments(text);
        if places_input(&text) {
            Self {
                system: Vec::new(),
                messages: vec![Part {
                    role: ConversationRole::User,
                    text,
                }],
            }
        } else {
            Self {
                system: text,
                messages: Vec::new(),
            }
        }
    }

    /// Whether the template has a place for a placeholder, such as for `conversation_history`: what is
    /// in the text need not be in the messages.
    pub fn places(&self, name: &str) -> bool {
        self.texts()
            .any(|text| text.iter().any(|segment| segment.is(name)))
    }

    /// Fills the template. An input the template does not place is added as the last user message, so
    /// that it is never lost.
    pub fn fill(&self, values: &Values<'_>) -> Filled {
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut scratchpad_seen = false;
        for part in &self.messages {
            let scratchpad = part
                .text
                .iter()
                .position(|segment| segment.is("agent_scratchpad"));
            match scratchpad {
                // The assistant's own message is where its steps stand: what it says behind them is
                // where it goes on.
                Some(at) if part.role == ConversationRole::Assistant && !scratchpad_seen => {
                    let (head, tail) = part.text.split_at(at);
                    add(&mut before, part.role, fill(head, values));
                    add(&mut after, part.role, fill(tail, values));
                }
                _ => {
                    let place = if scratchpad_seen {
                        &mut after
                    } else {
                        &mut before
                    };
                    add(place, part.role, fill(&part.text, values));
                }
            }
            scratchpad_seen |= scratchpad.is_some();
        }
        let asks = before
            .iter()
            .any(|(role, _)| *role == ConversationRole::User);
        // Only the answer to a search has a query, which is then what is to be answered.
        let input = if values.query.is_empty() {
            values.question
        } else {
            values.query
        };
        if !asks || (!self.texts().any(places_input) && !input.is_empty()) {
            before.push((ConversationRole::User, input.to_owned()));
        }
        Filled {
            system: fill(&self.system, values),
            before,
            after,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &[Segment]> {
        let messages = self.messages.iter().map(|part| part.text.as_slice());
        messages.chain([self.system.as_slice()])
    }
}

fn places_input(text: &[Segment]) -> bool {
    let is_input = |segment: &Segment| INPUTS.iter().any(|input| segment.is(input));
    text.iter().any(is_input)
}

fn add(out: &mut Vec<(ConversationRole, String)>, role: ConversationRole, mut text: String) {
    if role == ConversationRole::Assistant {
        // Anthropic's models refuse to go on from a text that ends in white space.
        text.truncate(text.trim_end().len());
    }
    if !text.trim().is_empty() {
        out.push((role, text));
    }
}

fn fill(text: &[Segment], values: &Values<'_>) -> String {
    text.iter()
        .map(|segment| match segment {
            Segment::Text(text) => text.as_str(),
            Segment::Placeholder(name) => placeholder(name).map_or("", |known| known.of(values)),
        })
        .collect()
}

fn part((index, message): (usize, &Value)) -> Result<Part, TemplateError> {
    let role = match message.get("role").and_then(Value::as_str) {
        Some("user") => ConversationRole::User,
        Some("assistant") => ConversationRole::Assistant,
        other => {
            return Err(TemplateError::Shape(format!(
                "messages[{index}].role: expected user or assistant, got {}",
                other.unwrap_or("none")
            )));
        }
    };
    let content = message.get("content").unwrap_or(&Value::Null);
    Ok(Part {
        role,
        text: segments(&content_text(
            content,
            &format!("messages[{index}].content"),
        )?),
    })
}

fn content_text(value: &Value, member: &str) -> Result<String, TemplateError> {
    let wrong =
        || TemplateError::Shape(format!("{member}: expected text or a list of text blocks"));
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => blocks
            .iter()
            .map(|block| block.get("text").and_then(Value::as_str).ok_or_else(wrong))
            .collect(),
        _ => Err(wrong()),
    }
}

fn segments(text: &str) -> Vec<Segment> {
    let mut out = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (head, tail) = rest.split_at(start);
        plain.push_str(head);
        let name = tail[1..].split_once('$').map(|(name, _)| name);
        if let Some(Placeholder { name: known, .. }) = name.and_then(placeholder) {
            if !plain.is_empty() {
                out.push(Segment::Text(std::mem::take(&mut plain)));
            }
            out.push(Segment::Placeholder(known));
            rest = &tail[known.len() + 2..];
        } else {
            plain.push('$');
            rest = &tail[1..];
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        out.push(Segment::Text(plain));
    }
    out
}
