//! The planning loop as a pure step machine: events in, effects out.
//!
//! A [`Run`] is one turn: from the user's input to the final answer, over as many requests as
//! returns of control ask for. The driver journals each [`Event`] before it performs the
//! [`Effect`]s that the event caused, so a journal replayed gives the run back.

mod acting;
mod assembler;
mod control;
mod conversation;
mod effect;
mod event;
mod failure;
mod run;

pub use assembler::{AssembledReply, TurnAssembler};
pub(crate) use control::property as trace_parameter;
pub use control::{Confirmation, ReturnedResult, ReturnedTarget};
pub use conversation::Conversation;
pub use effect::{
    CollaboratorAsk, Effect, Effects, Emission, LiveAnswer, LiveGuardrail, ModelCall, Outcome,
    PendingAction, PendingAssessment, PendingCode, PendingCollaborator, PendingFunction,
    PendingRetrieval,
};
pub use event::{
    ActionResult, ActionReturned, AgentIdentity, Budget, Caller, CancelCause, CodeExecuted,
    CollaboratorReplied, CollaboratorResult, ControlReturned, ConversationView, Event, EventKind,
    FunctionReturned, GuardedAnswer, GuardrailAssessed, JournalError, ModelReplied, RequestInfo,
    Retrieved, Spent, Started, TokenCounts,
};
pub use failure::{Evidence, Failure};
pub use run::{Phase, Run, guardrail_trace};
