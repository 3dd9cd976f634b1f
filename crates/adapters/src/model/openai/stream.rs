//! Chat-completions answer to Converse events. Pure.
//!
//! Forgiving towards the many servers of this protocol: members may be null, absent or repeated, usage
//! and `[DONE]` may be missing, tool calls may lack ids and indexes. Tool calls are held back until the
//! answer ends, because their pieces may come interleaved and nobody reads them earlier. Arguments are
//! handed on as the model wrote them, valid JSON or not.

mod wire;

use outcrop_model::converse::StopReason;

use self::wire::{Chunk, Delta, ToolCallDelta};
use super::super::call::{DecodeError, Decoder};
use super::super::emitter::{Emitter, Usage};
use super::super::fault::Fault;

/// The data of the event after the last one.
const DONE: &[u8] = b"[DONE]";

/// The most tool calls read of one answer; a model that repeats itself would never stop.
const TOOL_CALL_LIMIT: usize = 256;

/// The state of one answer.
#[derive(Debug)]
pub(super) struct ChatDecoder {
    emitter: Emitter,
    calls: Vec<PendingCall>,
    finish: Option<StopReason>,
    usage: Usage,
    /// Makes the id of a call that came without one, from its number in the message.
    fresh_id: fn(usize) -> String,
}

#[derive(Debug)]
struct PendingCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl ChatDecoder {
    pub(super) fn new(fresh_id: fn(usize) -> String) -> Self {
        Self {
            emitter: Emitter::default(),
            calls: Vec::new(),
            finish: None,
            usage: Usage::default(),
            fresh_id,
        }
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), DecodeError> {
        if let Some(error) = chunk.error {
            return Err(DecodeError::Vendor(Fault::of_object(&error)));
        }
        if let Some(usage) = chunk.usage {
            self.usage = usage.into();
        }
        for choice in chunk.choices.unwrap_or_default() {
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            self.emitter.begin();
            if let Some(delta) = choice.delta {
                self.delta(delta)?;
            }
            if let Some(reason) = choice.finish_reason {
                let stopped_at_sequence = choice.stop_reason.is_some_and(|stop| stop.is_string());
                self.finish = Some(stop_reason(&reason, stopped_at_sequence)?);
            }
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta) -> Result<(), DecodeError> {
        // Two names for one thing; servers in transition send both.
        let reasoning = if delta.reasoning_content.0.is_empty() {
            delta.reasoning
        } else {
            delta.reasoning_content
        };
        self.emitter.reasoning(reasoning.0);
        self.emitter.text(delta.content.0);
        self.emitter.text(delta.refusal.0);
        for call in delta.tool_calls.unwrap_or_default() {
            self.call(call)?;
        }
        Ok(())
    }

    fn call(&mut self, delta: ToolCallDelta) -> Result<(), DecodeError> {
        let id = delta.id.unwrap_or_default();
        let function = delta.function.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let known = match delta.index {
            Some(index) => self
                .calls
                .iter_mut()
                .rev()
                .find(|call| call.index == Some(index)),
            None => self.calls.last_mut().filter(|_| name.is_empty()),
        };
        // Some servers give every call the index 0; the id tells them apart.
        let known = known.filter(|call| id.is_empty() || call.id.is_empty() || call.id == id);
        if let Some(call) = known {
            if call.id.is_empty() {
                call.id = id;
            }
            if call.name.is_empty() {
                call.name = name;
            }
            call.arguments.push_str(&function.arguments.0);
            return Ok(());
        }
        if self.calls.len() >= TOOL_CALL_LIMIT {
            let what = format!("more than {TOOL_CALL_LIMIT} tool calls in one answer");
            return Err(DecodeError::Malformed(what));
        }
        self.calls.push(PendingCall {
            index: delta.index,
            id,
            name,
            arguments: function.arguments.0,
        });
        Ok(())
    }

    /// Ends the answer: its tool calls, its stop reason, its usage.
    fn complete(&mut self, finish: StopReason) {
        if self.emitter.is_complete() {
            return;
        }
        // Some servers say `stop` after a tool call.
        let finish = if finish == StopReason::EndTurn && !self.calls.is_empty() {
            StopReason::ToolUse
        } else {
            finish
        };
        let mut ids: Vec<String> = Vec::with_capacity(self.calls.len());
        for (number, call) in std::mem::take(&mut self.calls).into_iter().enumerate() {
            let id = if call.id.is_empty() || ids.contains(&call.id) {
                (self.fresh_id)(number)
            } else {
                call.id
            };
            ids.push(id.clone());
            self.emitter.tool_use(id, call.name);
            self.emitter.tool_input(call.arguments);
        }
        self.emitter.finish(finish, self.usage);
    }
}

impl Decoder for ChatDecoder {
    fn event(&mut self, data: &[u8]) -> Result<(), DecodeError> {
        if self.emitter.is_complete() {
            return Ok(());
        }
        if data.trim_ascii() == DONE {
            self.emitter.begin();
            self.complete(self.finish.unwrap_or(StopReason::EndTurn));
            return Ok(());
        }
        self.take(serde_json::from_slice(data)?)
    }

    fn whole(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let chunk: Chunk = serde_json::from_slice(body)?;
        if chunk.error.is_none() && chunk.choices.as_ref().is_none_or(Vec::is_empty) {
            return Err(DecodeError::Malformed(
                "the answer has no choices".to_owned(),
            ));
        }
        self.take(chunk)?;
        self.complete(self.finish.unwrap_or(StopReason::EndTurn));
        Ok(())
    }

    fn end(&mut self) {
        if let Some(finish) = self.finish {
            self.complete(finish);
        }
    }

    fn emitter(&mut self) -> &mut Emitter {
        &mut self.emitter
    }
}

/// `stopped_at_sequence`: vLLM tells which stop sequence matched, the others do not.
fn stop_reason(reason: &str, stopped_at_sequence: bool) -> Result<StopReason, DecodeError> {
    Ok(match reason {
        "length" => StopReason::MaxTokens,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "content_filter" => StopReason::ContentFiltered,
        // Gateways report so that the model behind them broke off.
        "error" | "insufficient_system_resource" => {
            return Err(DecodeError::Vendor(Fault {
                message: format!("the answer broke off ({reason})"),
                ..Fault::default()
            }));
        }
        _ if stopped_at_sequence => StopReason::StopSequence,
        _ => StopReason::EndTurn,
    })
}

#[cfg(test)]
mod tests;
