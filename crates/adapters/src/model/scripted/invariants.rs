//! What holds for every request the engine may send, because some vendor refuses the contrary.

use std::collections::BTreeSet;

use outcrop_engine::port::{Capabilities, ModelRequest};
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, Tool, ToolResultContentBlock,
};

/// The longest name of a tool.
const NAME_LIMIT: usize = 64;

/// The most stop sequences the vendors agree on.
const STOP_LIMIT: usize = 4;

/// Tells the first thing that is wrong with a request.
pub(super) fn check(request: &ModelRequest, can: Capabilities) -> Result<(), String> {
    parameters(request, can)?;
    tools(request, can)?;
    let mut expected = BTreeSet::new();
    let mut previous = None;
    for (index, message) in request.messages.iter().enumerate() {
        let at = |what: String| format!("messages[{index}]: {what}");
        roles(message, previous, index).map_err(at)?;
        expected = blocks(message, expected).map_err(at)?;
        previous = Some(message.role);
    }
    if !expected.is_empty() {
        return Err(format!("no result for the tool calls {expected:?}"));
    }
    match previous {
        None => Err("there are no messages".to_owned()),
        Some(ConversationRole::Assistant) if !can.prefill => {
            Err("the last message is the assistant's, but the model takes no prefill".to_owned())
        }
        Some(_) => Ok(()),
    }
}

fn parameters(request: &ModelRequest, can: Capabilities) -> Result<(), String> {
    let inference = &request.inference;
    let samples = inference.temperature.is_some() || inference.top_p.is_some();
    let both = inference.temperature.is_some() && inference.top_p.is_some();
    let wrong = [
        (request.model.is_empty(), "the model is empty"),
        (inference.top_k.is_some() && !can.top_k, "topK is not taken"),
        (
            samples && !can.sampling,
            "sampling parameters are not taken",
        ),
        (
            both && !can.temperature_with_top_p,
            "temperature and topP are not taken together",
        ),
        (
            !inference.stop_sequences.is_empty() && !can.stop_sequences,
            "stop sequences are not taken",
        ),
        (
            inference.stop_sequences.len() > STOP_LIMIT,
            "too many stop sequences",
        ),
        (
            inference.stop_sequences.iter().any(String::is_empty),
            "a stop sequence is empty",
        ),
        (
            request.tool_choice.is_some() && request.tools.is_empty(),
            "a tool choice without tools",
        ),
    ];
    match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, reason)) => Err(reason.to_owned()),
        None => Ok(()),
    }
}

fn tools(request: &ModelRequest, can: Capabilities) -> Result<(), String> {
    if !request.tools.is_empty() && !can.tools {
        return Err("tools are not taken".to_owned());
    }
    let mut names = BTreeSet::new();
    for tool in &*request.tools {
        if let Tool::ToolSpec(spec) = tool {
            name(&spec.name)?;
            if !names.insert(spec.name.as_str()) {
                return Err(format!("the tool {} is offered twice", spec.name));
            }
            if spec.description.as_deref() == Some("") {
                return Err(format!("the tool {} has an empty description", spec.name));
            }
        }
    }
    Ok(())
}

fn name(name: &str) -> Result<(), String> {
    let is_legal = (1..=NAME_LIMIT).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_legal {
        Ok(())
    } else {
        Err(format!("{name:?} is no name of a tool"))
    }
}

fn roles(
    message: &Message,
    previous: Option<ConversationRole>,
    index: usize,
) -> Result<(), String> {
    let is_user = message.role == ConversationRole::User;
    if previous == Some(message.role) {
        return Err(format!("a second message of {} in a row", message.role));
    }
    if index == 0 && !is_user {
        return Err(format!("the first message is of {}", message.role));
    }
    if message.content.is_empty() {
        return Err("no content".to_owned());
    }
    Ok(())
}

/// Checks the blocks of a message that has to answer the calls `expected`; tells which calls the next
/// one has to answer.
fn blocks(message: &Message, mut expected: BTreeSet<String>) -> Result<BTreeSet<String>, String> {
    let by_user = message.role == ConversationRole::User;
    let mut calls = BTreeSet::new();
    for block in &message.content {
        match block {
            ContentBlock::Text(text) if text.trim().is_empty() => {
                return Err("an empty text".to_owned());
            }
            ContentBlock::ToolUse(call) if by_user => {
                return Err(format!("the user calls {}", call.name));
            }
            ContentBlock::ToolUse(call) => {
                name(&call.name)?;
                if !call.input.is_object() {
                    return Err(format!("the input of {} is no object", call.tool_use_id));
                }
                if !calls.insert(call.tool_use_id.clone()) {
                    return Err(format!("two calls have the id {}", call.tool_use_id));
                }
            }
            ContentBlock::ToolResult(result) => {
                if !expected.remove(&result.tool_use_id) {
                    return Err(format!("a result for {}, not called", result.tool_use_id));
                }
                let is_empty_text = |part: &ToolResultContentBlock| matches!(part, ToolResultContentBlock::Text(text) if text.is_empty());
                if result.content.is_empty() || result.content.iter().any(is_empty_text) {
                    return Err(format!("the result of {} is empty", result.tool_use_id));
                }
            }
            _ => {}
        }
    }
    if !expected.is_empty() {
        return Err(format!("no result for the tool calls {expected:?}"));
    }
    Ok(calls)
}

#[cfg(test)]
mod tests;
