//! One step's tool calls: from what the model asked for to the results it gets.

use std::sync::Arc;

use outcrop_model::converse::{
    ContentBlock, ImageBlock, ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
    ToolUseBlock,
};
use outcrop_model::runtime::{
    KnowledgeBaseVectorSearchConfiguration, RetrievedReference, ReturnControlPayload,
};
use outcrop_model::timestamp::Timestamp;
use serde_json::Value;

use super::effect::CollaboratorAsk;
use super::event::CollaboratorResult;

use crate::action::Action;
use crate::action::arguments::{self, Argument};
use crate::converse::tool_result;
use crate::definition::{CollaboratorDefinition, Executor, KnowledgeBaseDefinition};
use crate::plan::{ASK_USER_TOOL, AgentPlan, CONTENT, MESSAGE_TOOL, RECIPIENT, SEARCH_QUERY, USER};
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
/// What the model hears of a message to the user that came with messages to agents.
const NOT_SENT: &str = "The message to the User was not sent, since other calls came with it. Send it when their results are there.";
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
    /// `None` where the model named no action's tool.
    pub(super) action: Option<Arc<Action>>,
    pub(super) arguments: Vec<Argument>,
    /// Who serves it, where no action does.
    pub(super) delegate: Option<Delegate>,
    pub(super) state: SlotState,
    /// What the trace has yet to show of a finished call.
    pub(super) observed: Option<Box<Observed>>,
    /// Search results that an answer is yet to be generated from, with the ids they are shown under.
    pub(super) found: Option<Box<(Vec<RetrievedReference>, Vec<String>)>>,
}

/// Who serves a call besides actions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Delegate {
    /// A knowledge base.
    KnowledgeBase {
        id: String,
        query: String,
        configuration: Option<KnowledgeBaseVectorSearchConfiguration>,
        /// Whether the trace shows the call.
        shown: bool,
    },
    /// A collaborator.
    Collaborator {
        collaborator: Box<CollaboratorDefinition>,
        ask: CollaboratorAsk,
        /// Whether it has been called. Calls of one collaborator come one after the other, since they
        /// share its session.
        begun: bool,
        /// Whether the trace shows the call.
        shown: bool,
        /// What it asks the caller, while it waits.
        waits: Option<Box<ReturnControlPayload>>,
        /// Tokens of its share that it has not told of yet.
        granted_tokens: u64,
    },
}

/// Where a call stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SlotState {
    /// To be invoked, or being invoked.
    Running,
    /// The caller must answer.
    Awaiting,
    /// Its result is known.
    Done {
        text: String,
        /// What the caller answered a computer-use call with.
        image: Option<Box<ImageBlock>>,
        status: ToolResultStatus,
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
    /// A knowledge base.
    Lookup {
        client_request_id: String,
        references: Vec<RetrievedReference>,
    },
    /// A collaborator.
    Collaborator {
        client_request_id: String,
        result: CollaboratorResult,
    },
}

impl CallSlot {
    /// Decides what becomes of a tool use: run it, hand it to the caller, or explain the mistake.
    pub(super) fn new(plan: &AgentPlan, tool_use: &ToolUseBlock) -> Self {
        let mut slot = Self {
            tool_use_id: tool_use.tool_use_id.clone(),
            action: None,
            arguments: Vec::new(),
            delegate: None,
            state: SlotState::Running,
            observed: None,
            found: None,
        };
        if plan.asks_user && tool_use.name == ASK_USER_TOOL {
            slot.refuse(NO_QUESTION.to_owned());
            return slot;
        }
        if tool_use.name == MESSAGE_TOOL && !plan.collaborators().is_empty() {
            slot.address(plan, &tool_use.input);
            return slot;
        }
        if let Some(base) = plan.knowledge_base(&tool_use.name) {
            slot.search(base, &tool_use.input);
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

    /// A message to a collaborator.
    fn address(&mut self, plan: &AgentPlan, input: &Value) {
        let text = |member: &str| input.get(member).and_then(Value::as_str).map(str::trim);
        let (recipient, content) = (text(RECIPIENT), text(CONTENT));
        let (Some(recipient), Some(content)) = (recipient, content) else {
            return self.refuse(format!(
                "The function {MESSAGE_TOOL} needs the parameters '{RECIPIENT}' and '{CONTENT}', both texts. Try again with them."
            ));
        };
        if recipient.eq_ignore_ascii_case(USER) {
            return self.refuse(NOT_SENT.to_owned());
        }
        let Some(collaborator) = plan.collaborator(recipient) else {
            let names: Vec<&str> = plan
                .collaborators()
                .iter()
                .map(|collaborator| collaborator.name.as_str())
                .collect();
            return self.refuse(format!(
                "There is no agent named {recipient}. The agents are: {}.",
                names.join(", ")
            ));
        };
        self.delegate = Some(Delegate::Collaborator {
            collaborator: Box::new(collaborator.clone()),
            ask: CollaboratorAsk::Message {
                text: content.to_owned(),
                history: Vec::new(),
            },
            begun: false,
            shown: false,
            waits: None,
            granted_tokens: 0,
        });
    }

    /// A search.
    fn search(&mut self, base: &KnowledgeBaseDefinition, input: &Value) {
        let query = input.get(SEARCH_QUERY).and_then(Value::as_str);
        match query.map(str::trim).filter(|query| !query.is_empty()) {
            Some(query) => {
                self.delegate = Some(Delegate::KnowledgeBase {
                    id: base.id.clone(),
                    query: query.to_owned(),
                    configuration: base.retrieval.clone(),
                    shown: false,
                });
            }
            None => self.refuse(format!(
                "The required parameter '{SEARCH_QUERY}' is missing, or is no text. Try again with it."
            )),
        }
    }

    /// What was searched for, what was found, and the ids it is shown under.
    pub(super) fn found(&self) -> Option<(&str, &[RetrievedReference], &[String])> {
        match (&self.delegate, self.found.as_deref()) {
            (Some(Delegate::KnowledgeBase { query, .. }), Some((references, ids))) => {
                Some((query, references, ids))
            }
            _ => None,
        }
    }

    /// How many inputs a return of control has for this call.
    pub(super) fn inputs(&self) -> usize {
        match &self.delegate {
            Some(Delegate::Collaborator {
                waits: Some(payload),
                ..
            }) => payload.invocation_inputs.as_ref().map_or(0, Vec::len),
            _ => 1,
        }
    }

    /// The collaborator that is still to be called, if any.
    pub(super) fn uncalled(&self) -> Option<&str> {
        match &self.delegate {
            Some(Delegate::Collaborator {
                collaborator,
                begun: false,
                ..
            }) if self.state == SlotState::Running => Some(&collaborator.name),
            _ => None,
        }
    }

    /// Ends the call with an error the model can react to.
    pub(super) fn refuse(&mut self, text: String) {
        self.state = SlotState::Done {
            text,
            image: None,
            status: ToolResultStatus::Error,
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
            SlotState::Running if self.uncalled().is_none() => {
                tool_result(&self.tool_use_id, open, ToolResultStatus::Error)
            }
            // A step that fails before control is returned leaves these behind.
            SlotState::Running | SlotState::Awaiting => {
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

    /// Whether anything is under way. A message to a collaborator that waits for results itself is
    /// not: it can be sent only when those have come.
    pub(super) fn any_running(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.state == SlotState::Running && !self.is_held_back(slot))
    }

    fn is_held_back(&self, slot: &CallSlot) -> bool {
        let Some(name) = slot.uncalled() else {
            return false;
        };
        self.slots.iter().any(|other| {
            other.state == SlotState::Awaiting
                && matches!(&other.delegate, Some(Delegate::Collaborator { collaborator, .. })
                    if collaborator.name == name)
        })
    }

    /// The calls that the caller is asked for at once.
    pub(super) fn awaiting(&self) -> impl Iterator<Item = (usize, &CallSlot)> {
        let mut inputs = 0;
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.state == SlotState::Awaiting)
            .take_while(move |(_, slot)| {
                let first = inputs == 0;
                inputs += slot.inputs();
                first || inputs <= RETURNED_MAX
            })
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
