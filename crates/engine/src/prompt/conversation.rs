//! A conversation as text, for the prompts that place one: routing, memory, and the old forms of
//! templates (behaviour.md 4.4, 11.4).
//!
//! What was thought and the tags around an answer are left out; a call and its result are told where
//! the reader needs to know what was done.

use std::fmt::Write as _;

use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, ToolResultBlock, ToolResultContentBlock,
};

use super::answer;

/// Longest result of a call that is told whole, characters. A summary is made of what was done, not of
/// the documents it was done with.
const RESULT_CHARS_MAX: usize = 2_000;

/// `$conversation$` of `ROUTING_CLASSIFIER`: what the user and the agent told each other.
pub fn for_routing<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    let mut out = String::new();
    for (role, text) in spoken(messages) {
        let (from, to) = match role {
            ConversationRole::Assistant => ("Agent", "User"),
            _ => ("User", "Agent"),
        };
        let _ = writeln!(
            out,
            "<message from=\"{from}\" to=\"{to}\">\n{text}\n</message>"
        );
    }
    out.truncate(out.trim_end().len());
    out
}

/// `$conversation_history$` of the templates of completion models.
pub fn for_history<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    let turns: Vec<String> = spoken(messages)
        .map(|(role, text)| match role {
            ConversationRole::Assistant => format!("Assistant: {text}"),
            _ => format!("Human: {text}"),
        })
        .collect();
    turns.join("\n\n")
}

/// `$conversation$` of `MEMORY_SUMMARIZATION`: what was said, and what was done.
pub fn for_memory<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    let mut lines = Vec::new();
    for message in messages {
        if let Some((role, text)) = said(message) {
            let speaker = match role {
                ConversationRole::Assistant => "Assistant",
                _ => "User",
            };
            lines.push(format!("{speaker}: {text}"));
        }
        for block in &message.content {
            match block {
                ContentBlock::ToolUse(call) => {
                    lines.push(format!(
                        "Assistant called {} with {}",
                        call.name, call.input
                    ));
                }
                ContentBlock::ToolResult(result) => {
                    lines.push(format!("Result: {}", result_text(result)));
                }
                _ => {}
            }
        }
    }
    lines.join("\n")
}

/// `$responses$`: the results of the turn's calls.
pub fn results<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    let results: Vec<String> = messages
        .into_iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match block {
            ContentBlock::ToolResult(result) => Some(result_text(result)),
            _ => None,
        })
        .collect();
    results.join("\n")
}

/// A conversation as another agent is shown it (`TO_COLLABORATOR`, behaviour.md 11.3): what was said
/// aloud, roles alternating.
pub fn relayed<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<Message> {
    let mut relayed: Vec<Message> = Vec::new();
    for (role, text) in spoken(messages) {
        match relayed.last_mut() {
            Some(last) if last.role == role => last.content.push(ContentBlock::Text(text)),
            _ => relayed.push(Message {
                role,
                content: vec![ContentBlock::Text(text)],
            }),
        }
    }
    relayed
}

fn spoken<'a>(
    messages: impl IntoIterator<Item = &'a Message>,
) -> impl Iterator<Item = (ConversationRole, String)> {
    messages.into_iter().filter_map(said)
}

/// What a message says aloud. The words before a call are not meant for the user.
fn said(message: &Message) -> Option<(ConversationRole, String)> {
    let text = crate::converse::text_of(message);
    let text = match message.role {
        ConversationRole::Assistant => {
            let calls = crate::converse::tool_uses(message).next().is_some();
            if calls && !text.contains("<answer>") {
                return None;
            }
            answer::read(&text, true).answer
        }
        _ => text,
    };
    let text = text.trim();
    (!text.is_empty()).then(|| (message.role, text.to_owned()))
}

fn result_text(result: &ToolResultBlock) -> String {
    let mut text = String::new();
    for part in &result.content {
        match part {
            ToolResultContentBlock::Text(part) => text.push_str(part),
            ToolResultContentBlock::Json(value) => text.push_str(&value.to_string()),
            _ => {}
        }
    }
    match text.char_indices().nth(RESULT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use outcrop_model::converse::{ToolResultStatus, ToolUseBlock};
    use serde_json::json;

    use super::*;
    use crate::converse::{assistant_text, tool_result, user_text};

    fn conversation() -> Vec<Message> {
        let mut call = assistant_text("<thinking>look</thinking>Let me see.");
        call.content.push(ContentBlock::ToolUse(ToolUseBlock {
            input: json!({"id": 1}),
            name: "Orders__get".to_owned(),
            tool_use_id: "1".to_owned(),
            type_: None,
        }));
        let mut result = user_text("");
        result.content = vec![tool_result(
            "1",
            "x".repeat(3_000),
            ToolResultStatus::Success,
        )];
        vec![
            user_text("Where is it?"),
            call,
            result,
            assistant_text("<thinking>done</thinking><answer>On its way.</answer>"),
        ]
    }

    #[test]
    fn what_was_said_is_told_without_thoughts_and_tags() {
        let messages = conversation();
        assert_eq!(
            for_routing(&messages),
            "<message from=\"User\" to=\"Agent\">\nWhere is it?\n</message>\n<message from=\"Agent\" to=\"User\">\nOn its way.\n</message>"
        );
        assert_eq!(
            for_history(&messages),
            "Human: Where is it?\n\nAssistant: On its way."
        );
    }

    #[test]
    fn what_was_done_is_told_for_memory() {
        let messages = conversation();
        let told = for_memory(&messages);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[1], "Assistant called Orders__get with {\"id\":1}");
        assert_eq!(lines[2].chars().count(), "Result: ".len() + 2_001);
        assert_eq!(lines[3], "Assistant: On its way.");
        assert!(results(&messages).starts_with("xxx"));
    }
}
