//! Messages answer to Converse events. Pure.
//!
//! The protocol's own stream is nearly Converse's. Events, blocks and deltas of kinds this program does
//! not know are skipped, as the vendor asks clients to do.

mod citation;
mod wire;

use bytes::Bytes;
use outcrop_model::converse::StopReason;

use self::wire::{Block, BlockKind, Delta, DeltaKind, Event, EventKind, Usage, Whole};
use super::super::call::{DecodeError, Decoder};
use super::super::emitter::{self, Emitter};
use super::super::fault::Fault;

/// The state of one answer.
#[derive(Debug, Default)]
pub(super) struct MessagesDecoder {
    emitter: Emitter,
    /// The open block is of a kind that is skipped, its deltas included.
    skipping: bool,
    stop: Option<StopReason>,
    usage: emitter::Usage,
}

impl MessagesDecoder {
    fn open(&mut self, block: Block) {
        self.skipping = false;
        match block.kind {
            BlockKind::Text => {
                self.emitter.text(block.text.unwrap_or_default());
                for citation in block.citations.unwrap_or_default() {
                    self.emitter.citation(citation.into());
                }
            }
            BlockKind::Thinking => {
                self.emitter.reasoning(block.thinking.unwrap_or_default());
                self.emitter.signature(block.signature.unwrap_or_default());
            }
            BlockKind::RedactedThinking => self
                .emitter
                .redacted_reasoning(Bytes::from(block.data.unwrap_or_default())),
            BlockKind::ToolUse => self
                .emitter
                .tool_use(block.id.unwrap_or_default(), block.name.unwrap_or_default()),
            BlockKind::Unknown => self.skipping = true,
        }
    }

    fn delta(&mut self, delta: Delta) {
        if self.skipping {
            return;
        }
        match delta.kind {
            Some(DeltaKind::TextDelta) => self.emitter.text(delta.text.unwrap_or_default()),
            Some(DeltaKind::InputJsonDelta) => self
                .emitter
                .tool_input(delta.partial_json.unwrap_or_default()),
            Some(DeltaKind::ThinkingDelta) => {
                self.emitter.reasoning(delta.thinking.unwrap_or_default());
            }
            Some(DeltaKind::SignatureDelta) => {
                self.emitter.signature(delta.signature.unwrap_or_default());
            }
            Some(DeltaKind::CitationsDelta) => {
                if let Some(citation) = delta.citation {
                    self.emitter.citation((*citation).into());
                }
            }
            Some(DeltaKind::Unknown) | None => {}
        }
    }

    fn count(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        // The counts of a later event replace those of an earlier one; what it lacks stays.
        let seen = &mut self.usage;
        seen.input = usage.input_tokens.unwrap_or(seen.input);
        seen.output = usage.output_tokens.unwrap_or(seen.output);
        seen.cache_read = usage.cache_read_input_tokens.or(seen.cache_read);
        seen.cache_write = usage.cache_creation_input_tokens.or(seen.cache_write);
    }

    fn complete(&mut self) {
        if !self.emitter.is_complete() {
            let stop = self.stop.unwrap_or(StopReason::EndTurn);
            self.emitter.finish(stop, self.usage);
        }
    }
}

impl Decoder for MessagesDecoder {
    fn event(&mut self, data: &[u8]) -> Result<(), DecodeError> {
        let event: Event = serde_json::from_slice(data)?;
        match event.kind {
            EventKind::MessageStart => {
                self.emitter.begin();
                self.count(event.message.and_then(|message| message.usage));
            }
            EventKind::ContentBlockStart => match event.content_block {
                Some(block) => self.open(block),
                None => self.skipping = true,
            },
            EventKind::ContentBlockDelta => {
                if let Some(delta) = event.delta {
                    self.delta(delta);
                }
            }
            EventKind::ContentBlockStop => {
                self.skipping = false;
                self.emitter.close();
            }
            EventKind::MessageDelta => {
                let reason = event.delta.and_then(|delta| delta.stop_reason);
                self.stop = reason.as_deref().map(stop_reason).or(self.stop);
                self.count(event.usage);
            }
            EventKind::MessageStop => self.complete(),
            EventKind::Error => {
                let error = event.error.unwrap_or_default();
                return Err(DecodeError::Vendor(Fault::of_object(&error)));
            }
            EventKind::Unknown => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let whole: Whole = serde_json::from_slice(body)?;
        if let Some(error) = whole.error {
            return Err(DecodeError::Vendor(Fault::of_object(&error)));
        }
        let Some(content) = whole.content else {
            return Err(DecodeError::Malformed(
                "the answer has no content".to_owned(),
            ));
        };
        self.emitter.begin();
        for mut block in content {
            let input = block.input.take();
            self.open(block);
            if let Some(input) = input.filter(|_| !self.skipping) {
                self.emitter.tool_input(input.get().to_owned());
            }
            self.emitter.close();
        }
        self.stop = whole.stop_reason.as_deref().map(stop_reason);
        self.count(whole.usage);
        self.complete();
        Ok(())
    }

    fn end(&mut self) {
        // Without the stop reason the answer may have been cut anywhere.
        if self.stop.is_some() {
            self.complete();
        }
    }

    fn emitter(&mut self) -> &mut Emitter {
        &mut self.emitter
    }
}

fn stop_reason(reason: &str) -> StopReason {
    match reason {
        "max_tokens" => StopReason::MaxTokens,
        "tool_use" => StopReason::ToolUse,
        "stop_sequence" => StopReason::StopSequence,
        "refusal" => StopReason::ContentFiltered,
        "model_context_window_exceeded" => StopReason::ModelContextWindowExceeded,
        _ => StopReason::EndTurn,
    }
}

#[cfg(test)]
mod tests;
