//! Prompt templates: `$placeholder$` texts in the JSON envelope AWS uses, or plain text.
//!
//! Parsed once per definition, filled once per turn. Placeholders of behaviour.md 4.4 are replaced;
//! an unknown `$name$` stays as it is; a known one that does not apply becomes the empty string. A
//! replaced text is never scanned again, so input cannot smuggle in a placeholder.

mod lenient;

use outcrop_model::converse::ConversationRole;
use serde_json::Value;

/// Placeholders that Outcrop knows. The ones no feature fills are empty.
const PLACEHOLDERS: [&str; 29] = [
    "action_kb_guideline",
    "agent_collaboration_kb_guideline",
    "agent_collaborators",
    "agent_scratchpad",
    "any_function_name",
    "ask_user_confirm_parameters",
    "ask_user_function",
    "ask_user_function_format",
    "ask_user_input_examples",
    "ask_user_missing_information",
    "ask_user_missing_parameters",
    "code_interpreter_files",
    "code_interpreter_guideline",
    "conversation_history",
    "functions",
    "instruction",
    "knowledge_base_additional_guideline",
    "knowledge_base_guideline",
    "long_term_memory",
    "memory_action_guideline",
    "memory_content",
    "memory_guideline",
    "model_instruction",
    "multi_agent_collaboration",
    "multi_agent_collaboration_guideline",
    "output_format_guideline",
    "prompt_session_attributes",
    "question",
    "tools",
];

/// What the placeholders stand for in one turn.
#[derive(Clone, Debug, Default)]
pub struct Values<'a> {
    /// `$instruction$`, `$model_instruction$`.
    pub instruction: &'a str,
    /// `$question$`.
    pub question: &'a str,
    /// `$ask_user_missing_information$`.
    pub ask_user: &'a str,
    /// `$prompt_session_attributes$`.
    pub prompt_session_attributes: &'a str,
    /// `$tools$`, `$functions$`.
    pub tools: &'a str,
    /// `$code_interpreter_guideline$`.
    pub code_interpreter: &'a str,
    /// `$code_interpreter_files$`.
    pub code_interpreter_files: &'a str,
}

impl Values<'_> {
    fn of(&self, placeholder: &str) -> &str {
        match placeholder {
            "instruction" | "model_instruction" => self.instruction,
            "question" => self.question,
            "ask_user_missing_information" | "ask_user_missing_parameters" => self.ask_user,
            "prompt_session_attributes" => self.prompt_session_attributes,
            "tools" | "functions" => self.tools,
            "code_interpreter_guideline" => self.code_interpreter,
            "code_interpreter_files" => self.code_interpreter_files,
            _ => "",
        }
    }
}

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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Placeholder(&'static str),
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
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(part)
                .collect::<Result<Vec<_>, _>>()?,
            Some(_) => {
                return Err(TemplateError::Shape(
                    "messages: expected a list of messages".to_owned(),
                ));
            }
        };
        Ok(Self { system, messages })
    }

    /// A plain text is the user message where it places the question itself, else the system text.
    fn plain(text: &str) -> Self {
        let text = segments(text);
        if text.contains(&Segment::Placeholder("question")) {
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

    /// Fills the template. A question the template does not place is added as the last user message,
    /// so that it is never lost.
    pub fn fill(&self, values: &Values<'_>) -> Filled {
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut scratchpad_seen = false;
        for part in &self.messages {
            let holds_scratchpad = part
                .text
                .contains(&Segment::Placeholder("agent_scratchpad"));
            let text = fill(&part.text, values);
            let place = if scratchpad_seen {
                &mut after
            } else {
                &mut before
            };
            scratchpad_seen |= holds_scratchpad;
            if !text.trim().is_empty() {
                place.push((part.role, text));
            }
        }
        let places_question = self
            .messages
            .iter()
            .map(|part| &part.text)
            .chain([&self.system])
            .any(|text| text.contains(&Segment::Placeholder("question")));
        let asks = before
            .iter()
            .any(|(role, _)| *role == ConversationRole::User);
        if !places_question || !asks {
            before.push((ConversationRole::User, values.question.to_owned()));
        }
        Filled {
            system: fill(&self.system, values),
            before,
            after,
        }
    }
}

fn fill(text: &[Segment], values: &Values<'_>) -> String {
    text.iter()
        .map(|segment| match segment {
            Segment::Text(text) => text.as_str(),
            Segment::Placeholder(name) => values.of(name),
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
        let known = name.and_then(|name| PLACEHOLDERS.iter().find(|known| **known == name));
        if let Some(known) = known {
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

/// Longest text between two `$` that may be meant for a placeholder.
const PLACEHOLDER_CHARS_MAX: usize = 64;

/// A `$name$` in a template that no placeholder is called: it would reach the model as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlaceholder {
    /// Without the `$`.
    pub name: String,
    /// From 1, in the text as it was given.
    pub line: usize,
}

/// The placeholders of a template's text that are none, each once.
pub fn unknown_placeholders(text: &str) -> Vec<UnknownPlaceholder> {
    let mut found: Vec<UnknownPlaceholder> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line;
        while let Some((_, tail)) = rest.split_once('$') {
            rest = tail;
            let Some((name, after)) = tail.split_once('$') else {
                break;
            };
            let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.len() <= PLACEHOLDER_CHARS_MAX
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name {
                continue;
            }
            rest = after;
            let is_new = found.iter().all(|one| one.name != name);
            if is_new && !PLACEHOLDERS.contains(&name) {
                found.push(UnknownPlaceholder {
                    name: name.to_owned(),
                    line: index + 1,
                });
            }
        }
    }
    found
}

/// All placeholders there are, sorted.
pub fn placeholders() -> &'static [&'static str] {
    &PLACEHOLDERS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values<'static> {
        Values {
            instruction: "Be kind.",
            question: "Where is $instruction$?",
            ..Values::default()
        }
    }

    #[test]
    fn placeholders_that_are_none_are_found() {
        let text = "$instruction$ costs $5 and $6\n$instructions$ $question$ US$ $todays_date$ $todays_date$";
        let found = unknown_placeholders(text);
        let found: Vec<(&str, usize)> = found
            .iter()
            .map(|one| (one.name.as_str(), one.line))
            .collect();
        assert_eq!(found, [("instructions", 2), ("todays_date", 2)]);
    }

    #[test]
    fn fills_known_placeholders_once_and_leaves_unknown_ones() {
        let template = Template::parse(
            "{\"system\": \"$instruction$\nCall <$TOOL_NAME> for $5$. $memory_content$\",
              \"messages\": [{\"role\": \"user\", \"content\": [{\"text\": \"$question$\"}]},
                             {\"role\": \"assistant\", \"content\": \"$agent_scratchpad$\"},
                             {\"role\": \"assistant\", \"content\": \"Thought:\"}]}",
        )
        .expect("valid");
        let filled = template.fill(&values());
        assert_eq!(filled.system, "Be kind.\nCall <$TOOL_NAME> for $5$. ");
        assert_eq!(
            filled.before,
            [(ConversationRole::User, "Where is $instruction$?".to_owned())]
        );
        assert_eq!(
            filled.after,
            [(ConversationRole::Assistant, "Thought:".to_owned())]
        );
    }

    #[test]
    fn a_plain_text_without_the_question_is_the_system_text() {
        let filled = Template::parse("You are a pirate. $instruction$")
            .expect("valid")
            .fill(&values());
        assert_eq!(filled.system, "You are a pirate. Be kind.");
        assert_eq!(filled.before.len(), 1);
    }

    #[test]
    fn a_plain_text_with_the_question_is_the_user_message() {
        let filled = Template::parse("$instruction$ Q: $question$ $agent_scratchpad$")
            .expect("valid")
            .fill(&values());
        assert_eq!(filled.system, "");
        assert_eq!(
            filled.before,
            [(
                ConversationRole::User,
                "Be kind. Q: Where is $instruction$? ".to_owned()
            )]
        );
    }

    #[test]
    fn a_broken_template_says_where() {
        // Each text has its mistake at the mark, which is taken out.
        for marked in [
            "{\"system\": \"x\",\n \"messages\": [^}",
            "{\"system\": ^x}",
            "{\"system\": \"one\ntwo\tthree\nfour\" ^\"messages\": []}",
            "{\"system\": \"a \\\" b\n\u{e9}\u{e9}\", ^}",
            "{\"system\": \"one\n\ntwo\"^",
            "{\"system\": \"never ends\n^",
        ] {
            let place = marked.find('^').expect("a mark");
            let before = marked.get(..place).expect("before the mark");
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().expect("a line").chars().count() + 1;
            let error = Template::parse(&marked.replace('^', "")).expect_err("broken");
            let expected = format!("line {line}, column {column}: ");
            let said = error.to_string();
            assert!(said.starts_with(&expected), "{marked}: {said}");
            assert!(!said.contains(" at line "), "{said}");
        }
    }

    #[test]
    fn a_template_of_another_shape_says_where() {
        for (text, message) in [
            (
                "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"system\", \"content\": \"x\"}]}",
                "messages[1].role: expected user or assistant, got system",
            ),
            (
                "{\"messages\": [{\"role\": \"user\"}]}",
                "messages[0].content: expected text or a list of text blocks",
            ),
            (
                "{\"system\": [{\"image\": 1}]}",
                "system: expected text or a list of text blocks",
            ),
            (
                "{\"messages\": {}}",
                "messages: expected a list of messages",
            ),
        ] {
            let error = Template::parse(text).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
    }
}
