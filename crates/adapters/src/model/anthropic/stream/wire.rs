//! The members of a messages answer this program reads.
//!
//! Flat on purpose: serde reads an internally tagged enum through a buffer, which would cost several
//! allocations for every token.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::citation::Citation;

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    /// Of `message_start`.
    pub(super) message: Option<Start>,
    /// Of `content_block_start`.
    pub(super) content_block: Option<Block>,
    /// Of `content_block_delta` and `message_delta`.
    pub(super) delta: Option<Delta>,
    /// Of `message_delta`.
    pub(super) usage: Option<Usage>,
    /// Of `error`.
    pub(super) error: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventKind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    Error,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(super) struct Start {
    pub(super) usage: Option<Usage>,
}

/// A content block: as it begins, or whole in an unstreamed answer.
#[derive(Debug, Deserialize)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub(super) kind: BlockKind,
    pub(super) text: Option<String>,
    /// Whole where the answer is; empty or absent where a stream's block begins.
    pub(super) citations: Option<Vec<Citation>>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    /// Empty where a stream's block begins: the arguments follow as deltas.
    pub(super) input: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BlockKind {
    Text,
    Thinking,
    RedactedThinking,
    ToolUse,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    /// None in `message_delta`.
    #[serde(rename = "type")]
    pub(super) kind: Option<DeltaKind>,
    pub(super) text: Option<String>,
    pub(super) partial_json: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    /// Boxed, since hardly any delta has one.
    pub(super) citation: Option<Box<Citation>>,
    /// Of `message_delta`.
    pub(super) stop_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeltaKind {
    TextDelta,
    InputJsonDelta,
    ThinkingDelta,
    SignatureDelta,
    CitationsDelta,
    #[serde(other)]
    Unknown,
}

/// An unstreamed answer.
#[derive(Debug, Deserialize)]
pub(super) struct Whole {
    pub(super) content: Option<Vec<Block>>,
    pub(super) stop_reason: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the vendor's names")]
pub(super) struct Usage {
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cache_read_input_tokens: Option<u64>,
    pub(super) cache_creation_input_tokens: Option<u64>,
}
