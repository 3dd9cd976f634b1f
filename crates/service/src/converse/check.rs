//! What Bedrock checks of a Converse request before any model sees it, in its words.
//!
//! Only what every provider would refuse, each in words of its own; what one model takes and another
//! does not is left to the model.

use std::collections::BTreeSet;

use outcrop_engine::action::Strictness;
use outcrop_model::converse::{ContentBlock, ConversationRole, ConverseRequest, Message};
use outcrop_model::exception::Exception;

/// Checks the conversation.
///
/// # Errors
/// A `ValidationException`.
pub(super) fn conversation(
    input: &ConverseRequest,
    strictness: Strictness,
) -> Result<(), Exception> {
    let messages = input.messages.as_deref().unwrap_or_default();
    let Some(first) = messages.first() else {
        return Err(Exception::validation(
            "The messages field is empty. Add at least one message and try again.",
        ));
    };
    if first.role == ConversationRole::Assistant {
        return Err(Exception::validation(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    let alternates = messages.windows(2).all(|pair| match pair {
        [one, next] => one.role != next.role,
        _ => true,
    });
    // Where several providers stand behind one interface, messages in a row are joined for those that
    // refuse them.
    if strictness == Strictness::Strict && !alternates {
        return Err(Exception::validation(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
        ));
    }
    let mut called = BTreeSet::new();
    for (index, message) in messages.iter().enumerate() {
        called = blocks(index, message, &called)?;
    }
    let uses_tools = messages
        .iter()
        .flat_map(|message| &message.content)
        .any(|block| {
            matches!(
                block,
                ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_)
            )
        });
    if uses_tools && input.tool_config.is_none() {
        return Err(Exception::validation(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    Ok(())
}

/// Checks one message, which follows one that made the calls `called`; gives its own calls.
fn blocks<'a>(
    index: usize,
    message: &'a Message,
    called: &BTreeSet<&'a str>,
) -> Result<BTreeSet<&'a str>, Exception> {
    if message.content.is_empty() {
        return Err(Exception::validation(format!(
            "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the content field and try again."
        )));
    }
    let mut calls = BTreeSet::new();
    let mut answered = BTreeSet::new();
    for (place, block) in message.content.iter().enumerate() {
        match block {
            ContentBlock::Text(text) if text.trim().is_empty() => {
                return Err(Exception::validation(format!(
                    "The text field in the ContentBlock object at messages.{index}.content.{place} is blank. Add text to the text field, and try again."
                )));
            }
            ContentBlock::ToolUse(call) => {
                calls.insert(call.tool_use_id.as_str());
            }
            ContentBlock::ToolResult(result) => {
                answered.insert(result.tool_use_id.as_str());
            }
            _ => {}
        }
    }
    if answered.len() > called.len() || !answered.is_subset(called) {
        return Err(Exception::validation(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
        )));
    }
    let open: Vec<&str> = called.difference(&answered).copied().collect();
    if !open.is_empty() {
        return Err(Exception::validation(format!(
            "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
            open.join(", ")
        )));
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(messages: &Value, tools: bool, strictness: Strictness) -> String {
        let mut input = json!({"modelId": "m", "messages": messages});
        if tools {
            input["toolConfig"] =
                json!({"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {}}}}]});
        }
        let input = serde_json::from_value(input).expect("a request");
        match conversation(&input, strictness) {
            Ok(()) => String::new(),
            Err(exception) => exception.message().to_owned(),
        }
    }

    #[test]
    fn conversations() {
        let user = |text: &str| json!({"role": "user", "content": [{"text": text}]});
        let calls = json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "t", "input": {}}}]});
        let result = |id: &str| json!({"role": "user", "content": [{"toolResult": {"toolUseId": id, "content": []}}]});
        let relaxed = Strictness::Relaxed;
        for (messages, tools, strictness, expected) in [
            (json!([user("a")]), false, relaxed, ""),
            (json!([user("a"), user("b")]), false, relaxed, ""),
            (
                json!([user("a"), user("b")]),
                false,
                Strictness::Strict,
                "A conversation must alternate",
            ),
            (json!([]), false, relaxed, "The messages field is empty"),
            (
                json!([{"role": "assistant", "content": [{"text": "a"}]}]),
                false,
                relaxed,
                "A conversation must start with a user message",
            ),
            (
                json!([user(" ")]),
                false,
                relaxed,
                "The text field in the ContentBlock object at messages.0.content.0 is blank",
            ),
            (
                json!([{"role": "user", "content": []}]),
                false,
                relaxed,
                "The content field in the Message object at messages.0 is empty",
            ),
            (json!([user("a"), calls, result("t1")]), true, relaxed, ""),
            (
                json!([user("a"), calls, result("t1")]),
                false,
                relaxed,
                "The toolConfig field must be defined",
            ),
            (
                json!([user("a"), calls, user("b")]),
                true,
                relaxed,
                "Expected toolResult blocks at messages.2.content for the following Ids: t1",
            ),
            (
                json!([user("a"), calls, result("t2")]),
                true,
                relaxed,
                "The number of toolResult blocks at messages.2.content exceeds",
            ),
        ] {
            let told = check(&messages, tools, strictness);
            assert!(
                told.starts_with(expected) && told.is_empty() == expected.is_empty(),
                "{told} for {messages}"
            );
        }
    }
}
