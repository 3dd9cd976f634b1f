//! The model's reply in the form that parser functions are written for (behaviour.md 4.8).
//!
//! Functions for Claude read Anthropic's message, those for other models Converse's, and those for
//! templates with calls in the text that text.

use outcrop_model::converse::{
    ContentBlock, ReasoningContentBlock, StopReason, ToolResultContentBlock,
};
use serde_json::{Value, json};

use crate::converse::text_of;
use crate::orchestration::ModelReplied;
use crate::prompt::family::Family;
use crate::prompt::syntax::{self, CallSyntax};
use crate::trace;

/// `invokeModelRawResponse` of a reply.
pub fn raw_response(syntax: CallSyntax, family: Family, reply: &ModelReplied) -> String {
    if syntax.is_text() {
        return text_of(&syntax::encode(syntax, &reply.message));
    }
    match family {
        Family::Claude => anthropic(reply).to_string(),
        Family::Nova | Family::Llama | Family::Other => trace::raw_response(reply),
    }
}

fn anthropic(reply: &ModelReplied) -> Value {
    let content: Vec<Value> = reply.message.content.iter().filter_map(block).collect();
    json!({
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason(reply.stop_reason),
        "stop_sequence": null,
        "usage": {
            "input_tokens": reply.usage.input,
            "output_tokens": reply.usage.output,
        },
    })
}

fn stop_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::ToolUse => "tool_use",
        StopReason::MaxTokens => "max_tokens",
        StopReason::StopSequence => "stop_sequence",
        _ => "end_turn",
    }
}

fn block(block: &ContentBlock) -> Option<Value> {
    Some(match block {
        ContentBlock::Text(text) => json!({"type": "text", "text": text}),
        ContentBlock::ToolUse(call) => json!({
            "type": "tool_use",
            "id": call.tool_use_id,
            "name": call.name,
            "input": call.input,
        }),
        ContentBlock::ToolResult(result) => json!({
            "type": "tool_result",
            "tool_use_id": result.tool_use_id,
            "content": result.content.iter().filter_map(result_part).collect::<Vec<_>>(),
        }),
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => json!({
            "type": "thinking",
            "thinking": reasoning.text,
            "signature": reasoning.signature,
        }),
        _ => return None,
    })
}

fn result_part(part: &ToolResultContentBlock) -> Option<Value> {
    match part {
        ToolResultContentBlock::Text(text) => Some(json!({"type": "text", "text": text})),
        _ => None,
    }
}
