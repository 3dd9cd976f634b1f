//! One step's tool calls: from what the model asked for to the results it gets.

use std::sync::Arc;

use outcrop_model::converse::{
    ContentBlock, ImageBlock, ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
    ToolUseBlock,
};
use outcrop_model::timestamp::Timestamp;
use serde_json::Value;

use crate::action::Action;
use crate::action::arguments::{self, Argument};
use crate::converse::tool_result;
use crate::definition::Executor;
use crate::plan::{ASK_USER_TOOL, AgentPlan};
use crate::port::CodeReply;

/// What the model hears of a call whose fate is unknown: the server or the client went away.
pub(super) const OUTCOME_UNKNOWN: &str = "The outcome of this call is unknown: the turn was interrupted after the call was made and before its result arrived. It may or may not have taken effect. Check before making it again.";
/// What the model hears of a call that was never made.
pub(super) const NOT_MADE: &str = "This call was not made.";
/// What the model hears of a returned call that the caller did not answer.
pub(super) const NOT_ANSWERED: &str =
    "No result was given for this call. The user went on with something else.";
/// What the model hears when it asked the user nothing (behaviour.md 4.7).
const NO_QUESTION: &str = "Missing the parameter 'question' for user::askuser function call. Please try again with the correct argument added.";
/// What the model hears when the user declined.
pub(super) const DENIED: &str =
    "Access denied: the user did not confirm this action, so it was not carried out.";

/// Most calls one return of control asks for: the service model allows five invocation inputs and
/// five results. What is left is asked for when the first are answered.
const RETURNED_MAX: usize = 5;

/// The calls of one step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Acting {
    /// In the order the model made them.
    pub(super) slots: Vec<CallSlot>,
    /// How many of them the trace has passed.
    pub(super) traced: usize,
    /// Whether the caller's results ended the step without any call of our own: such a step has no
    /// trace, and the next model call is the first of the new request.
    pub(super) resumed_without_calls: bool,
    /// `invocationId` of a return of control, should it come to one.
    pub(super) invocation_uuid: String,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CallSlot {
    pub(super) tool_use_id: String,
    /// `None` where the model named no known tool.
    pub(super) action: Option<Arc<Action>>,
    pub(super) arguments: Vec<Argument>,
    pub(super) state: SlotState,
}

/// Where a call stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SlotState {
    /// To be invoked, or being invoked.
    Running,
    /// The caller must answer.
    Awaiting,
    /// Its result is known. `observation` holds what the trace has yet to show of an invocation.
    Done {
        text: String,
        /// What the caller answered a computer-use call with.
        image: Option<Box<ImageBlock>>,
        status: ToolResultStatus,
        observation: Option<Box<Observed>>,
    },
}

/// What the trace shows of a finished invocation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) of: ObservedCall,
}

/// What was invoked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ObservedCall {
    /// An action's function.
    Action {
        client_request_id: String,
        reprompt: bool,
    },
    /// The code interpreter.
    Code(CodeReply),
}

impl CallSlot {
    /// Decides what becomes of a tool use: run it, hand it to the caller, or explain the mistake.
    pub(super) fn new(plan: &AgentPlan, tool_use: &ToolUseBlock) -> Self {
        let mut slot = Self {
            tool_use_id: tool_use.tool_use_id.clone(),
            action: None,
            arguments: Vec::new(),
            state: SlotState::Running,
        };
        if plan.asks_user && tool_use.name == ASK_USER_TOOL {
            slot.refuse(NO_QUESTION.to_owned());
            return slot;
        }
        let Some(action) = plan.action(&tool_use.name) else {
            let names = plan.tool_names();
            slot.refuse(format!(
                "There is no function named {}. The functions are: {}.",
                tool_use.name,
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            ));
            return slot;
        };
        slot.action = Some(Arc::clone(action));
        match arguments::bind(action, &tool_use.input) {
            Ok(arguments) => {
                slot.arguments = arguments;
                slot.state = match (&action.executor, action.requires_confirmation) {
                    (Executor::Lambda(_), false) | (Executor::CodeInterpreter, _) => {
                        SlotState::Running
                    }
                    (Executor::Lambda(_), true) | (Executor::ReturnControl, _) => {
                        SlotState::Awaiting
                    }
                };
            }
            Err(problem) => slot.refuse(problem),
        }
        slot
    }

    /// Ends the call with an error the model can react to.
    pub(super) fn refuse(&mut self, text: String) {
        self.state = SlotState::Done {
            text,
            image: None,
            status: ToolResultStatus::Error,
            observation: None,
        };
    }

    /// The result block for the model; an open call is closed with `open`.
    pub(super) fn result(&self, open: &str) -> ContentBlock {
        match &self.state {
            SlotState::Done {
                text,
                image: Some(image),
                status,
                ..
            } => {
                let mut content = vec![ToolResultContentBlock::Image((**image).clone())];
                if !text.is_empty() {
                    content.push(ToolResultContentBlock::Text(text.clone()));
                }
                ContentBlock::ToolResult(ToolResultBlock {
                    tool_use_id: self.tool_use_id.clone(),
                    content,
                    status: Some(*status),
                    type_: None,
                })
            }
            SlotState::Done { text, status, .. } => {
                // Models refuse an empty text block.
                let text = if text.is_empty() {
                    "(no output)"
                } else {
                    text.as_str()
                };
                tool_result(&self.tool_use_id, text, *status)
            }
            SlotState::Running => tool_result(&self.tool_use_id, open, ToolResultStatus::Error),
            // A step that fails before control is returned leaves these behind.
            SlotState::Awaiting => {
                tool_result(&self.tool_use_id, NOT_MADE, ToolResultStatus::Error)
            }
        }
    }
}

impl Acting {
    pub(super) fn all_done(&self) -> bool {
        self.slots
            .iter()
            .all(|slot| matches!(slot.state, SlotState::Done { .. }))
    }

    pub(super) fn any_running(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.state == SlotState::Running)
    }

    /// The calls that the caller is asked for at once.
    pub(super) fn awaiting(&self) -> impl Iterator<Item = &CallSlot> {
        self.slots
            .iter()
            .filter(|slot| slot.state == SlotState::Awaiting)
            .take(RETURNED_MAX)
    }
}

/// The input as an object for the conversation: models refuse anything else in a tool-use block, and
/// malformed arguments are quoted in the result instead.
pub(super) fn conversation_input(input: &Value) -> Value {
    if input.is_object() {
        input.clone()
    } else {
        Value::Object(serde_json::Map::new())
    }
}
