//! Converse stream events in their legal order, whatever order a vendor speaks in.
//!
//! Opens and closes content blocks and numbers them; decoders only say what came. Knows no vendor and
//! no clock: the latency in the metadata is filled in by whoever made the call.

use std::collections::VecDeque;

use bytes::Bytes;
use outcrop_model::blob::Blob;
use outcrop_model::converse::{
    CitationsDelta, ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart,
    ContentBlockStartEvent, ContentBlockStopEvent, ConversationRole, ConverseStreamMetadataEvent,
    ConverseStreamMetrics, ConverseStreamOutput, MessageStartEvent, MessageStopEvent,
    ReasoningContentBlockDelta, StopReason, TokenUsage, ToolUseBlockDelta, ToolUseBlockStart,
};

/// The events of one answer, waiting to be taken.
#[derive(Debug, Default)]
pub(crate) struct Emitter {
    queue: VecDeque<ConverseStreamOutput>,
    /// Blocks closed so far, which is the index of the open or next one.
    index: i32,
    open: Option<Block>,
    begun: bool,
    complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    Reasoning,
    ToolUse,
}

impl Emitter {
    /// The next event.
    pub(crate) fn pop(&mut self) -> Option<ConverseStreamOutput> {
        self.queue.pop_front()
    }

    /// Whether the last event of the answer has been emitted.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The answer begins. Later calls do nothing.
    pub(crate) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.queue
                .push_back(ConverseStreamOutput::MessageStart(MessageStartEvent {
                    role: ConversationRole::Assistant,
                }));
        }
    }

    /// A piece of text.
    pub(crate) fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.enter(Block::Text);
            self.delta(ContentBlockDelta::Text(text));
        }
    }

    /// What the text that is open rests on.
    pub(crate) fn citation(&mut self, citation: CitationsDelta) {
        self.enter(Block::Text);
        self.delta(ContentBlockDelta::Citation(citation));
    }

    /// A piece of the model's reasoning.
    pub(crate) fn reasoning(&mut self, text: String) {
        if !text.is_empty() {
            self.enter(Block::Reasoning);
            self.delta(ContentBlockDelta::ReasoningContent(
                ReasoningContentBlockDelta::Text(text),
            ));
        }
    }

    /// The vendor's signature of the reasoning block that is open.
    pub(crate) fn signature(&mut self, signature: String) {
        if !signature.is_empty() {
            self.enter(Block::Reasoning);
            self.delta(ContentBlockDelta::ReasoningContent(
                ReasoningContentBlockDelta::Signature(signature),
            ));
        }
    }

    /// A whole block of reasoning the vendor has encrypted.
    pub(crate) fn redacted_reasoning(&mut self, content: Bytes) {
        self.close();
        self.enter(Block::Reasoning);
        self.delta(ContentBlockDelta::ReasoningContent(
            ReasoningContentBlockDelta::RedactedContent(Blob(content)),
        ));
        self.close();
    }

    /// A tool call begins.
    pub(crate) fn tool_use(&mut self, id: String, name: String) {
        self.close();
        self.enter(Block::ToolUse);
        self.queue
            .push_back(ConverseStreamOutput::ContentBlockStart(
                ContentBlockStartEvent {
                    content_block_index: self.index,
                    start: ContentBlockStart::ToolUse(ToolUseBlockStart {
                        name,
                        tool_use_id: id,
                        type_: None,
                    }),
                },
            ));
    }

    /// A piece of the open tool call's arguments, JSON text as the model wrote it.
    pub(crate) fn tool_input(&mut self, input: String) {
        if !input.is_empty() {
            self.delta(ContentBlockDelta::ToolUse(ToolUseBlockDelta { input }));
        }
    }

    /// The open block ends. Does nothing between blocks.
    pub(crate) fn close(&mut self) {
        if self.open.take().is_some() {
            self.queue.push_back(ConverseStreamOutput::ContentBlockStop(
                ContentBlockStopEvent {
                    content_block_index: self.index,
                },
            ));
            self.index += 1;
        }
    }

    /// The answer ends.
    pub(crate) fn finish(&mut self, stop_reason: StopReason, usage: Usage) {
        self.begin();
        self.close();
        self.queue
            .push_back(ConverseStreamOutput::MessageStop(MessageStopEvent {
                additional_model_response_fields: None,
                stop_reason,
            }));
        self.queue.push_back(ConverseStreamOutput::Metadata(
            ConverseStreamMetadataEvent {
                metrics: ConverseStreamMetrics { latency_ms: 0 },
                performance_config: None,
                service_tier: None,
                trace: None,
                usage: usage.into(),
            },
        ));
        self.complete = true;
    }

    fn enter(&mut self, block: Block) {
        if self.open != Some(block) {
            self.begin();
            self.close();
            self.open = Some(block);
        }
    }

    fn delta(&mut self, delta: ContentBlockDelta) {
        self.queue
            .push_back(ConverseStreamOutput::ContentBlockDelta(
                ContentBlockDeltaEvent {
                    content_block_index: self.index,
                    delta,
                },
            ));
    }
}

/// Tokens of one call, counted as Converse counts: `input` without what the cache served or took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: Option<u64>,
    pub(crate) cache_write: Option<u64>,
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        let count = |tokens: u64| i32::try_from(tokens).unwrap_or(i32::MAX);
        let cached = usage.cache_read.unwrap_or(0) + usage.cache_write.unwrap_or(0);
        Self {
            cache_details: None,
            cache_read_input_tokens: usage.cache_read.map(count),
            cache_write_input_tokens: usage.cache_write.map(count),
            input_tokens: count(usage.input),
            output_tokens: count(usage.output),
            total_tokens: count(usage.input + usage.output + cached),
        }
    }
}
