//! How many tokens a call may use, before it is made.
//!
//! Rough on purpose: the real count replaces it minutes before it would matter.

use outcrop_engine::port::ModelRequest;
use outcrop_model::converse::{
    ContentBlock, SystemContentBlock, Tool, ToolInputSchema, ToolResultContentBlock,
};
use serde_json::Value;

/// English text has about four bytes a token; less would let calls pass that the vendor then refuses.
const BYTES_PER_TOKEN: usize = 4;
/// An image, by Anthropic's and `OpenAI`'s tables for one of common size.
const IMAGE_TOKENS: usize = 1_500;
/// A document whose length says nothing, such as a PDF of some pages.
const DOCUMENT_TOKENS: usize = 4_000;
/// What a model writes that was given no bound; vendors reserve about that.
const OUTPUT_TOKENS: u32 = 1_024;

/// Tokens read and written.
pub(super) fn tokens(request: &ModelRequest) -> u32 {
    let mut weight = Weight::default();
    weight.text(&request.system);
    for block in &request.system_blocks {
        if let SystemContentBlock::Text(text) = block {
            weight.text(text);
        }
    }
    for tool in &*request.tools {
        if let Tool::ToolSpec(spec) = tool {
            weight.text(&spec.name);
            weight.text(spec.description.as_deref().unwrap_or_default());
            if let ToolInputSchema::Json(schema) = &spec.input_schema {
                weight.value(schema);
            }
        }
    }
    for block in request.messages.iter().flat_map(|message| &message.content) {
        weight.block(block);
    }
    let input = u32::try_from(weight.bytes / BYTES_PER_TOKEN + weight.tokens).unwrap_or(u32::MAX);
    input.saturating_add(request.inference.max_tokens.unwrap_or(OUTPUT_TOKENS))
}

#[derive(Default)]
struct Weight {
    bytes: usize,
    tokens: usize,
}

impl Weight {
    fn text(&mut self, text: &str) {
        self.bytes += text.len();
    }

    fn block(&mut self, block: &ContentBlock) {
        match block {
            ContentBlock::Text(text) => self.text(text),
            ContentBlock::ToolUse(call) => {
                self.text(&call.name);
                self.value(&call.input);
            }
            ContentBlock::ToolResult(result) => {
                for part in &result.content {
                    match part {
                        ToolResultContentBlock::Text(text) => self.text(text),
                        ToolResultContentBlock::Json(value) => self.value(value),
                        ToolResultContentBlock::Image(_) => self.tokens += IMAGE_TOKENS,
                        _ => self.tokens += DOCUMENT_TOKENS,
                    }
                }
            }
            ContentBlock::Image(_) => self.tokens += IMAGE_TOKENS,
            ContentBlock::Document(_) => self.tokens += DOCUMENT_TOKENS,
            _ => {}
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.bytes += BYTES_PER_TOKEN,
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.text(name);
                    self.value(member);
                }
            }
        }
    }
}
