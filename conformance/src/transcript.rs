//! One conversation as a model received it, the same whatever protocol carried it.
//!
//! The three protocols are lowered to this form so that one brain can answer and one test can read all
//! of them. It keeps what a planner can see and nothing else; the raw body is recorded beside it.
//! Invariant: `violations` of a conversation a careful provider would accept is empty.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The most cache points that the vendors take.
const CACHE_POINTS_MAX: usize = 4;

/// Who speaks. A tool result is the user's, as in Converse and Anthropic's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person, or the program that answers tool calls for them.
    User,
    /// The model.
    Assistant,
}

/// One piece of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Plain text.
    Text {
        /// The text as given.
        text: String,
    },
    /// A call the model asked for earlier.
    ToolUse {
        /// The call's id.
        id: String,
        /// The tool's name as offered.
        name: String,
        /// Its arguments; a string where they were not valid JSON.
        input: Value,
    },
    /// The result of such a call.
    ToolResult {
        /// The id of the call it answers.
        id: String,
        /// All text of the result.
        text: String,
        /// Whether it is marked as an error.
        error: bool,
    },
    /// Anything this stub has no use for, by the name the protocol gives it.
    Other {
        /// That name.
        name: String,
    },
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Its pieces, in order.
    pub content: Vec<Block>,
}

/// One offered tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for, as the model reads it.
    pub description: String,
    /// The JSON schema of its arguments.
    pub schema: Value,
}

/// A whole request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transcript {
    /// The model asked for.
    pub model: String,
    /// The system text, parts joined by newlines.
    pub system: String,
    /// Oldest first.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Sampling parameters as the protocol names them.
    pub inference: Value,
    /// Whether the reply is wanted as a stream.
    pub streamed: bool,
    /// How many cache points it was sent with.
    pub cache_points: usize,
}

impl Transcript {
    /// The offered tool whose name ends in `suffix`, or none.
    pub fn tool_ending(&self, suffix: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name.ends_with(suffix))
    }

    /// The last text block of the last message; empty when it has none. Texts before it in the same
    /// message are of turns that got no answer.
    pub fn last_text(&self) -> &str {
        self.messages
            .last()
            .into_iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                Block::Text { text } => Some(text.as_str()),
                Block::ToolUse { .. } | Block::ToolResult { .. } | Block::Other { .. } => None,
            })
            .next_back()
            .unwrap_or_default()
    }

    /// The results the last message answers calls with.
    pub fn last_results(&self) -> Vec<&str> {
        self.messages
            .last()
            .into_iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                Block::ToolResult { text, .. } => Some(text.as_str()),
                Block::Text { .. } | Block::ToolUse { .. } | Block::Other { .. } => None,
            })
            .collect()
    }

    /// What a careful provider would refuse in this request; empty when there is nothing.
    ///
    /// The rules are those the three public APIs share: the user begins, roles alternate, no blank
    /// text, tool names of `[a-zA-Z0-9_-]{1,64}`, and each call answered once in the very next message.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        match self.messages.first() {
            None => found.push("there is no message".to_owned()),
            Some(first) if first.role != Role::User => {
                found.push("the first message is not the user's".to_owned());
            }
            Some(_) => {}
        }
        if self
            .messages
            .last()
            .is_some_and(|last| last.role != Role::User)
        {
            found.push("the last message is not the user's".to_owned());
        }
        for (index, pair) in self.messages.windows(2).enumerate() {
            if let [first, second] = pair {
                if first.role == second.role {
                    found.push(format!(
                        "messages {index} and {} have the same role",
                        index + 1
                    ));
                }
                pairing(index, first, second, &mut found);
            }
        }
        if let Some(first) = self.messages.first()
            && first
                .content
                .iter()
                .any(|block| matches!(block, Block::ToolResult { .. }))
        {
            found.push("the first message holds a tool result".to_owned());
        }
        for (index, message) in self.messages.iter().enumerate() {
            if message.content.is_empty() {
                found.push(format!("message {index} is empty"));
            }
            for block in &message.content {
                if matches!(block, Block::Text { text } if text.trim().is_empty()) {
                    found.push(format!("message {index} has a blank text block"));
                }
            }
        }
        if self.cache_points > CACHE_POINTS_MAX {
            found.push(format!("{} cache points", self.cache_points));
        }
        let mut names = BTreeSet::new();
        for tool in &self.tools {
            let legal = (1..=64).contains(&tool.name.len())
                && tool
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if !legal {
                found.push(format!("tool name {:?} is not legal", tool.name));
            }
            if !names.insert(&tool.name) {
                found.push(format!("tool name {:?} is offered twice", tool.name));
            }
            if tool.schema.get("type").and_then(Value::as_str) != Some("object") {
                found.push(format!("tool {:?} has no object schema", tool.name));
            }
        }
        found
    }
}

/// Checks that the calls of `first` and the results of `second` are the same set, each once.
fn pairing(index: usize, first: &Message, second: &Message, found: &mut Vec<String>) {
    let mut calls = BTreeSet::new();
    for block in &first.content {
        if let Block::ToolUse { id, .. } = block
            && !calls.insert(id.as_str())
        {
            found.push(format!("message {index} uses the call id {id} twice"));
        }
    }
    let mut results = BTreeSet::new();
    for block in &second.content {
        if let Block::ToolResult { id, .. } = block
            && !results.insert(id.as_str())
        {
            found.push(format!("message {} answers the call {id} twice", index + 1));
        }
    }
    for id in calls.difference(&results) {
        found.push(format!(
            "the call {id} of message {index} has no result in the next message"
        ));
    }
    for id in results.difference(&calls) {
        found.push(format!(
            "message {} answers {id}, which nobody asked for",
            index + 1
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: Role, content: Vec<Block>) -> Message {
        Message { role, content }
    }

    fn text(text: &str) -> Block {
        Block::Text {
            text: text.to_owned(),
        }
    }

    fn transcript(messages: Vec<Message>) -> Transcript {
        Transcript {
            model: "m".to_owned(),
            system: String::new(),
            messages,
            tools: Vec::new(),
            inference: Value::Null,
            streamed: false,
            cache_points: 0,
        }
    }

    #[test]
    fn a_legal_conversation_has_no_violation() {
        let call = Block::ToolUse {
            id: "1".into(),
            name: "t".into(),
            input: Value::Object(serde_json::Map::default()),
        };
        let result = Block::ToolResult {
            id: "1".into(),
            text: "r".into(),
            error: false,
        };
        let legal = transcript(vec![
            said(Role::User, vec![text("q")]),
            said(Role::Assistant, vec![text("a"), call]),
            said(Role::User, vec![result]),
        ]);
        assert_eq!(legal.violations(), Vec::<String>::new());
        assert_eq!(legal.last_results(), ["r"]);
    }

    #[test]
    fn an_unanswered_call_and_a_blank_text_are_found() {
        let call = Block::ToolUse {
            id: "1".into(),
            name: "t".into(),
            input: Value::Null,
        };
        let bad = transcript(vec![
            said(Role::User, vec![text("q")]),
            said(Role::Assistant, vec![call]),
            said(Role::User, vec![text(" ")]),
        ]);
        assert_eq!(
            bad.violations(),
            [
                "the call 1 of message 1 has no result in the next message",
                "message 2 has a blank text block"
            ]
        );
    }
}
