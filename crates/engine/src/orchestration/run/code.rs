//! Running code: one run after the other, its result for the model, its traces and files for the
//! client.

use outcrop_model::converse::ToolResultStatus;
use outcrop_model::runtime::OutputFile;
use outcrop_model::timestamp::Timestamp;

use super::{Run, emit_trace};
use crate::action::arguments::Argument;
use crate::action::built_in::{CODE, CODE_INTERPRETER_TOOL};
use crate::converse::tool_uses;
use crate::definition::Executor;
use crate::orchestration::acting::{CallSlot, Observed, ObservedCall, SlotState};
use crate::orchestration::effect::{Effect, Effects, Emission, PendingCode};
use crate::orchestration::event::CodeExecuted;
use crate::orchestration::failure::Failure;
use crate::port::{CodeError, CodeReply};
use crate::trace;

/// What the model hears when what it built in memory is gone. Without it, it would take a name that
/// is no longer defined for a mistake of its own.
const BEGUN_ANEW: &str = "The interpreter was started anew before this run: variables, imports and files of earlier runs were gone. Files that the user gave are in place.";
/// The same, known at once.
const ENDED: &str = "The interpreter has ended with this run: the next one begins without the variables, imports and files of earlier runs. Files that the user gave stay.";

impl Run {
    /// Asks the driver for the first run of code that is still to be made.
    pub(super) fn begin_code(&self, effects: &mut Effects) {
        let slots = self.acting.iter().flat_map(|acting| &acting.slots);
        let next = slots.enumerate().find(|(_, slot)| is_running_code(slot));
        if let Some((index, slot)) = next {
            effects.push(Effect::ExecuteCode(PendingCode {
                index,
                code: code_of(&slot.arguments).to_owned(),
                files: self.files.clone(),
            }));
        }
    }

    pub(super) fn code_executed(
        &mut self,
        at: Timestamp,
        executed: &CodeExecuted,
        effects: &mut Effects,
    ) {
        let begun_before = self.has_run_code();
        self.ran_code |= executed.result.is_ok();
        let Some(slot) = self
            .acting
            .as_mut()
            .and_then(|acting| acting.slots.get_mut(executed.index))
            .filter(|slot| is_running_code(slot))
        else {
            return;
        };
        match &executed.result {
            Err(CodeError::Busy { limit }) => slot.refuse(format!(
                "The code was not run: all {limit} sessions of the code interpreter are at work. Try again in a while."
            )),
            Err(error @ CodeError::Unavailable { .. }) => {
                return self.fail_call(at, executed.index, Failure::code_interpreter(error), effects);
            }
            Ok(reply) => {
                slot.state = SlotState::Done {
                    text: told(reply, begun_before),
                    image: None,
                    status: if reply.error.is_some() {
                        ToolResultStatus::Error
                    } else {
                        ToolResultStatus::Success
                    },
                };
                slot.observed = Some(Box::new(Observed {
                    started_at: executed.started_at,
                    ended_at: executed.ended_at,
                    of: ObservedCall::Code(reply.clone()),
                }));
            }
        }
        self.begin_code(effects);
        self.advance(at, effects);
    }

    /// The traces of a run of code, then its files.
    pub(super) fn show_code(
        &self,
        at: Timestamp,
        arguments: &[Argument],
        times: (Timestamp, Timestamp),
        reply: CodeReply,
        effects: &mut Effects,
    ) {
        if self.traces() {
            let code = code_of(arguments);
            let input = trace::code_input(code, &self.files, self.trace_id());
            emit_trace(at, input, effects);
            let output = trace::code_observation(&reply, times, self.trace_id());
            emit_trace(at, output, effects);
        }
        let files: Vec<OutputFile> = reply
            .files
            .into_iter()
            .map(|file| OutputFile {
                bytes: Some(file.content),
                name: Some(file.name),
                type_: Some(file.media_type),
            })
            .collect();
        if !files.is_empty() {
            effects.push(Effect::Emit(Emission::Files(files)));
        }
    }

    /// Whether code has been run in this session before.
    fn has_run_code(&self) -> bool {
        let mut said = self
            .before
            .history
            .iter()
            .flat_map(|utterance| tool_uses(utterance.message()));
        self.ran_code || said.any(|tool_use| tool_use.name == CODE_INTERPRETER_TOOL)
    }
}

fn is_running_code(slot: &CallSlot) -> bool {
    slot.state == SlotState::Running
        && slot
            .action
            .as_ref()
            .is_some_and(|action| action.executor == Executor::CodeInterpreter)
}

fn code_of(arguments: &[Argument]) -> &str {
    arguments
        .iter()
        .find(|argument| argument.name == CODE)
        .map_or("", |argument| argument.value.as_str())
}

/// The result as the model reads it: AWS's own form, with what else it has to know.
fn told(reply: &CodeReply, begun_before: bool) -> String {
    let mut parts = vec![format!("'code_execution_output': {}", reply.output)];
    if let Some(error) = &reply.error {
        parts.push(format!("'code_execution_error': {error}\n\n"));
        parts.push("'is_error': True".to_owned());
    }
    if !reply.files.is_empty() {
        let names: Vec<String> = reply
            .files
            .iter()
            .map(|file| format!("'{}'", file.name))
            .collect();
        parts.push(format!("'files': [{}]", names.join(", ")));
    }
    let mut notes = Vec::new();
    if reply.fresh && begun_before {
        notes.push(BEGUN_ANEW.to_owned());
    }
    if reply.ended {
        notes.push(ENDED.to_owned());
    }
    if !reply.withheld.is_empty() {
        notes.push(format!(
            "Not given to the user: {}.",
            reply.withheld.join("; ")
        ));
    }
    if !notes.is_empty() {
        parts.push(format!("'note': {}", notes.join(" ")));
    }
    parts.join(",\n")
}
