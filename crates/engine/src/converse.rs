//! Small constructors and readers for the generated Converse shapes.

use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, ToolResultBlock, ToolResultContentBlock,
    ToolResultStatus, ToolUseBlock,
};

/// A user message of one text block.
pub fn user_text(text: impl Into<String>) -> Message {
    Message {
        role: ConversationRole::User,
        content: vec![ContentBlock::Text(text.into())],
    }
}

/// An assistant message of one text block.
pub fn assistant_text(text: impl Into<String>) -> Message {
    Message {
        role: ConversationRole::Assistant,
        content: vec![ContentBlock::Text(text.into())],
    }
}

/// The result of one tool use.
pub fn tool_result(
    tool_use_id: impl Into<String>,
    text: impl Into<String>,
    status: ToolResultStatus,
) -> ContentBlock {
    ContentBlock::ToolResult(ToolResultBlock {
        tool_use_id: tool_use_id.into(),
        content: vec![ToolResultContentBlock::Text(text.into())],
        status: Some(status),
        type_: None,
    })
}

/// The tool uses of a message, in order.
pub fn tool_uses(message: &Message) -> impl Iterator<Item = &ToolUseBlock> {
    message.content.iter().filter_map(|block| match block {
        ContentBlock::ToolUse(tool_use) => Some(tool_use),
        _ => None,
    })
}

/// The text blocks of a message, joined.
pub fn text_of(message: &Message) -> String {
    let mut text = String::new();
    for block in &message.content {
        if let ContentBlock::Text(part) = block {
            text.push_str(part);
        }
    }
    text
}
