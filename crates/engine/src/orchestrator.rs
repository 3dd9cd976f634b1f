//! The contract with the function that plans in an agent's place, `CUSTOM_ORCHESTRATION`
//! (behaviour.md 5): the event it gets, the reply it gives, and what a session remembers for it.
//!
//! The function keeps nothing from one call to the next. Whatever it has to know stands in the event:
//! the state, the text that belongs to it, and each step of the session so far. Nothing here decides
//! when it is called; that is `orchestration::run`'s.
//!
//! Invariant: a step in `context.session` repeats, character for character, what the function was
//! given and what it answered, since it builds its messages of them.

mod event;
mod guardrail;
mod model_request;
mod reply;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use event::{EventInput, event, model_text, retrieval_text, start_text, tool_text};
pub use guardrail::{GuardrailAsk, assessment_text};
pub use model_request::ModelRequestGiven;
pub use reply::{Decision, Directive, read_reply};

/// `state` of a turn's first call.
pub const START: &str = "START";
/// `state` after `INVOKE_MODEL`.
pub const MODEL_INVOKED: &str = "MODEL_INVOKED";
/// `state` after `INVOKE_TOOL`.
pub const TOOL_INVOKED: &str = "TOOL_INVOKED";
/// `state` after `APPLY_GUARDRAIL`.
pub const APPLY_GUARDRAIL_INVOKED: &str = "APPLY_GUARDRAIL_INVOKED";

/// The tool that is none: its input's `text` goes to the client at once (behaviour.md 5.3).
pub const STREAM_ANSWER_TOOL: &str = "bedrock_stream_answer_tool";

/// Largest event that a function is called with, bytes: Lambda's own limit for synchronous calls.
pub const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Largest reply, bytes: the same limit, which holds both ways.
pub const REPLY_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Most bytes of earlier turns that a session keeps for the function. Each model request of a turn
/// holds all messages before it, so turns grow fast; a quarter of an event leaves room for the quotes
/// that are escaped in it, and for the turn at hand.
pub const SESSION_BYTES_MAX: usize = EVENT_BYTES_MAX / 4;
/// Most calls of the function in one turn. Model calls and actions have budgets of their own; this
/// bounds what costs neither, such as pieces of an answer.
pub const CALLS_MAX: u32 = 500;
/// How often in a row the function may name a state of its own. Such a step does nothing, so a
/// function that goes on like this would never end.
pub const OWN_STATES_MAX: u32 = 25;

/// One turn as the function is shown it: an element of `context.session`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrchestratedTurn {
    /// The user's input.
    pub agent_input: String,
    /// The answer; empty while there is none.
    #[serde(default)]
    pub agent_output: String,
    /// The steps that the function has answered, in order.
    #[serde(default)]
    pub intermediary_steps: Vec<OrchestratedStep>,
}

/// One call of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrchestratedStep {
    /// What it was given.
    pub orchestration_input: StepInput,
    /// What it answered.
    #[serde(default)]
    pub orchestration_output: StepOutput,
}

/// What the function was given in a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepInput {
    /// `state`.
    pub state: String,
    /// `input.text`.
    pub text: String,
}

/// What the function answered in a step. Both are absent where the turn ended before it could.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutput {
    /// `actionEvent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `output.text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl OrchestratedTurn {
    /// Roughly what it takes in an event and in memory, bytes.
    pub fn bytes(&self) -> usize {
        let steps = self.intermediary_steps.iter().map(|step| {
            let output = &step.orchestration_output;
            step.orchestration_input.state.len()
                + step.orchestration_input.text.len()
                + output.event.as_ref().map_or(0, String::len)
                + output.text.as_ref().map_or(0, String::len)
        });
        self.agent_input.len() + self.agent_output.len() + steps.sum::<usize>()
    }
}

/// Adds a finished turn to those a session remembers, and forgets the oldest where they become too
/// large ([`SESSION_BYTES_MAX`]). Of a turn that is too large by itself, question and answer stay.
pub fn remember(turns: &mut Vec<Arc<OrchestratedTurn>>, mut turn: OrchestratedTurn) {
    if turn.bytes() > SESSION_BYTES_MAX {
        turn.intermediary_steps.clear();
    }
    turns.push(Arc::new(turn));
    let mut bytes: usize = turns.iter().map(|turn| turn.bytes()).sum();
    let forgotten = turns
        .iter()
        .take_while(|turn| {
            let too_large = bytes > SESSION_BYTES_MAX;
            bytes -= if too_large { turn.bytes() } else { 0 };
            too_large
        })
        .count();
    turns.drain(..forgotten);
}

#[cfg(test)]
mod tests;
