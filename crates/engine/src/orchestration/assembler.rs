//! Puts a model's deltas together: the live part of the answer on one side, the finished message on
//! the other. Deltas never enter the journal; the finished message does.

use std::collections::BTreeMap;

use outcrop_model::converse::{
    ContentBlock, ContentBlockDelta, ContentBlockStart, ConversationRole, ConverseStreamOutput,
    Message, ReasoningContentBlock, ReasoningContentBlockDelta, ReasoningTextBlock, StopReason,
    ToolUseBlock,
};
use outcrop_model::runtime::Attribution;
use serde_json::Value;

use super::effect::LiveAnswer;
use super::event::TokenCounts;
use crate::citation::{self, Shown};
use crate::port::ModelError;
use crate::prompt::answer::AnswerScanner;

/// Largest message a model may send, bytes over all blocks. Far above any model's output limit; it
/// bounds what a broken provider can make us keep.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most content blocks in one message.
const BLOCKS_MAX: usize = 1_024;

/// Collects one model call's stream.
#[derive(Debug)]
pub struct TurnAssembler {
    blocks: BTreeMap<i32, Block>,
    stop_reason: Option<StopReason>,
    usage: TokenCounts,
    bytes: usize,
    scanner: Option<AnswerScanner>,
    shown: Shown,
    streamed: usize,
    cited: usize,
}

#[derive(Debug)]
enum Block {
    Text(String),
    ToolUse {
        id: String,
        name: String,
        input: String,
    },
    Reasoning {
        text: String,
        signature: Option<String>,
        redacted: Option<outcrop_model::blob::Blob>,
    },
}

/// A finished model message.
#[derive(Clone, Debug, PartialEq)]
pub struct AssembledReply {
    /// The message.
    pub message: Message,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Tokens.
    pub usage: TokenCounts,
    /// Bytes of answer handed out by [`TurnAssembler::push`].
    pub streamed_bytes: usize,
    /// What of the answer has not been handed out, where some has.
    pub rest: String,
    /// How many parts of the answer [`TurnAssembler::new_citations`] has given the sources of.
    pub cited_parts: usize,
}

impl TurnAssembler {
    /// `live` hands out the answer while it is written.
    pub fn new(live: Option<&LiveAnswer>) -> Self {
        Self {
            blocks: BTreeMap::new(),
            stop_reason: None,
            usage: TokenCounts::default(),
            bytes: 0,
            shown: live.map(|live| live.shown.clone()).unwrap_or_default(),
            scanner: live.map(|live| AnswerScanner::continuing(&live.prefill, live.may_call_tools)),
            streamed: 0,
            cited: 0,
        }
    }

    /// The sources of the parts of the answer that have become known since it was last asked. Their text
    /// has been handed out before.
    pub fn new_citations(&mut self) -> Option<Attribution> {
        let scanner = self.scanner.as_ref().filter(|_| !self.shown.is_empty())?;
        let parts = scanner.parts().get(self.cited..)?;
        self.cited += parts.len();
        citation::citations(scanner.answer(), parts, &self.shown)
    }

    /// Takes one event; gives new text of the answer, if it brought some.
    ///
    /// # Errors
    /// [`ModelError::Malformed`] where the stream breaks its own rules or a bound.
    pub fn push(&mut self, event: ConverseStreamOutput) -> Result<Option<String>, ModelError> {
        match event {
            ConverseStreamOutput::ContentBlockStart(start) => {
                if let ContentBlockStart::ToolUse(tool_use) = start.start {
                    self.open(
                        start.content_block_index,
                        Block::ToolUse {
                            id: tool_use.tool_use_id,
                            name: tool_use.name,
                            input: String::new(),
                        },
                    )?;
                }
                Ok(None)
            }
            ConverseStreamOutput::ContentBlockDelta(delta) => {
                self.delta(delta.content_block_index, delta.delta)
            }
            ConverseStreamOutput::MessageStop(stop) => {
                self.stop_reason = Some(stop.stop_reason);
                Ok(None)
            }
            ConverseStreamOutput::Metadata(metadata) => {
                let count = |tokens: i32| u32::try_from(tokens).unwrap_or(0);
                let usage = &metadata.usage;
                self.usage = TokenCounts {
                    input: count(usage.input_tokens),
                    output: count(usage.output_tokens),
                    cache_read: count(usage.cache_read_input_tokens.unwrap_or(0)),
                    cache_write: count(usage.cache_write_input_tokens.unwrap_or(0)),
                };
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Whether any content has arrived: from then on a failure must not be retried.
    pub fn has_begun(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Bytes of answer handed out so far.
    pub fn streamed_bytes(&self) -> usize {
        self.streamed
    }

    /// The finished message.
    ///
    /// # Errors
    /// [`ModelError::Malformed`] where the stream ended before its message did.
    pub fn finish(self) -> Result<AssembledReply, ModelError> {
        let Some(stop_reason) = self.stop_reason else {
            return Err(malformed(
                "the stream ended before the message was complete",
            ));
        };
        let rest = match self.scanner {
            Some(scanner) if self.streamed > 0 => {
                let answer = scanner.finish().answer;
                answer.get(self.streamed..).unwrap_or_default().to_owned()
            }
            _ => String::new(),
        };
        Ok(AssembledReply {
            message: Message {
                role: ConversationRole::Assistant,
                content: self.blocks.into_values().map(Block::finish).collect(),
            },
            stop_reason,
            usage: self.usage,
            streamed_bytes: self.streamed,
            rest,
            cited_parts: self.cited,
        })
    }

    fn open(&mut self, index: i32, block: Block) -> Result<&mut Block, ModelError> {
        if self.blocks.len() >= BLOCKS_MAX && !self.blocks.contains_key(&index) {
            return Err(malformed("the message has too many content blocks"));
        }
        Ok(self.blocks.entry(index).or_insert(block))
    }

    fn delta(
        &mut self,
        index: i32,
        delta: ContentBlockDelta,
    ) -> Result<Option<String>, ModelError> {
        match delta {
            ContentBlockDelta::Text(text) => {
                self.grow(text.len())?;
                let Block::Text(block) = self.open(index, Block::Text(String::new()))? else {
                    return Err(malformed("a text delta for a block that is not text"));
                };
                block.push_str(&text);
                Ok(self.live(&text))
            }
            ContentBlockDelta::ToolUse(part) => {
                self.grow(part.input.len())?;
                let Some(Block::ToolUse { input, .. }) = self.blocks.get_mut(&index) else {
                    return Err(malformed("a tool-use delta for a block that did not start"));
                };
                input.push_str(&part.input);
                Ok(None)
            }
            ContentBlockDelta::ReasoningContent(part) => {
                self.reasoning(index, part)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn reasoning(
        &mut self,
        index: i32,
        part: ReasoningContentBlockDelta,
    ) -> Result<(), ModelError> {
        let empty = Block::Reasoning {
            text: String::new(),
            signature: None,
            redacted: None,
        };
        let added = match &part {
            ReasoningContentBlockDelta::Text(text)
            | ReasoningContentBlockDelta::Signature(text) => text.len(),
            _ => 0,
        };
        self.grow(added)?;
        let Block::Reasoning {
            text,
            signature,
            redacted,
        } = self.open(index, empty)?
        else {
            return Err(malformed(
                "a reasoning delta for a block that is not reasoning",
            ));
        };
        match part {
            ReasoningContentBlockDelta::Text(part) => text.push_str(&part),
            ReasoningContentBlockDelta::Signature(part) => {
                signature.get_or_insert_default().push_str(&part);
            }
            ReasoningContentBlockDelta::RedactedContent(blob) => *redacted = Some(blob),
            _ => {}
        }
        Ok(())
    }

    fn live(&mut self, text: &str) -> Option<String> {
        let scanner = self.scanner.as_mut()?;
        scanner.feed(text);
        let fresh = scanner.answer().get(self.streamed..)?;
        if fresh.is_empty() {
            return None;
        }
        self.streamed += fresh.len();
        Some(fresh.to_owned())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), ModelError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MESSAGE_BYTES_MAX {
            return Err(malformed("the message is too large"));
        }
        Ok(())
    }
}

impl Block {
    fn finish(self) -> ContentBlock {
        match self {
            Self::Text(text) => ContentBlock::Text(text),
            Self::ToolUse { id, name, input } => ContentBlock::ToolUse(ToolUseBlock {
                tool_use_id: id,
                name,
                input: parse_input(input),
                type_: None,
            }),
            Self::Reasoning {
                redacted: Some(blob),
                ..
            } => ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(blob)),
            Self::Reasoning {
                text,
                signature,
                redacted: None,
            } => ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(
                ReasoningTextBlock { signature, text },
            )),
        }
    }
}

/// The arguments; malformed JSON is kept as a string, which the step explains to the model.
fn parse_input(input: String) -> Value {
    if input.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(&input).unwrap_or(Value::String(input))
}

fn malformed(detail: &str) -> ModelError {
    ModelError::Malformed {
        detail: detail.to_owned(),
    }
}
