//! The planning loop as a pure step machine: events in, effects out.
//!
//! A [`Run`] is one turn: from the user's input to the final answer, over as many requests as
//! returns of control ask for. The driver journals each [`Event`] before it performs the
//! [`Effect`]s that the event caused, so a journal replayed gives the run back.

mod acting;
mod assembler;
mod control;
mod effect;
mod event;
mod failure;
mod run;

pub use assembler::{AssembledReply, TurnAssembler};
pub(crate) use control::property as trace_parameter;
pub use control::{Confirmation, ReturnedResult, ReturnedTarget};
pub use effect::{Effect, Effects, Emission, Outcome, PendingAction, PendingCode};
pub use event::{
    ActionResult, ActionReturned, AgentIdentity, Budget, CancelCause, CodeExecuted,
    ControlReturned, Event, EventKind, JournalError, ModelReplied, RequestInfo, Started,
    TokenCounts,
};
pub use failure::{Evidence, Failure};
pub use run::{Phase, Run};
