//! One turn of one agent.
//!
//! Owns: the phase, the turn's part of the conversation, the attributes, what has been spent. Does
//! not own: the session's history (shared), the lease, the stream, retries. Total: an event that
//! makes no sense in the phase, such as a late reply after a cancellation, changes nothing.
//!
//! Invariant: each tool use gets exactly one result before the next model call, and nothing is
//! emitted after the turn has finished.

mod actions;
mod closing;
mod code;
mod control;
mod deciding;
mod delegates;
mod messages;
mod opening;
mod orchestrated;
mod parsing;
mod planning;
mod searching;
mod steps;

use std::sync::Arc;

use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::{OrchestrationTrace, Trace};
use outcrop_model::timestamp::Timestamp;

use super::acting::{Acting, NOT_ANSWERED, OUTCOME_UNKNOWN, SlotState};
use super::conversation::Conversation;
use super::effect::{Effect, Effects, Emission, Outcome};
use super::event::{
    Budget, Event, EventKind, GuardrailAssessed, ModelReplied, RequestInfo, Spent, Started,
};
use super::failure::Failure;
use crate::action::lambda::Attributes;
use crate::citation::Shown;
use crate::converse::assistant_text;
use crate::files::SessionFile;
use crate::history::Utterance;
use crate::orchestrator;
use crate::plan::AgentPlan;
use crate::port::GuardrailSource;
use crate::trace;
use closing::Closing;
use messages::{invocation_id, results};
use orchestrated::Orchestrated;
use steps::Step;

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Created,
    /// The guardrail judges the input.
    GuardingInput,
    /// The model of a step besides ORCHESTRATION is being asked.
    Stepping,
    /// The model is being asked.
    Planning,
    /// The parser function reads what the model said.
    Parsing,
    /// The function that plans for the agent is being asked.
    Orchestrating,
    /// A guardrail judges what that function gave it.
    Judging,
    /// Actions are running.
    Acting,
    /// The caller must answer a return of control.
    AwaitingControl,
    /// The guardrail judges the answer.
    GuardingOutput,
    /// Over.
    Finished,
}

/// One turn.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact about the turn, none a state of it: that is the phase"
)]
#[derive(Clone, Debug)]
pub struct Run {
    plan: Arc<AgentPlan>,
    /// The session as this turn found it.
    before: Conversation,
    /// What code of this session may read, what came with this turn included.
    files: Vec<Arc<SessionFile>>,
    phase: Phase,
    started: Option<Box<Started>>,
    request_started_at: Timestamp,
    iteration: u32,
    system: Arc<str>,
    turn: Vec<Arc<Utterance>>,
    suffix: Vec<Arc<Utterance>>,
    /// What the prompt lets the assistant begin its reply with.
    prefill: String,
    /// Why the filled template is no prompt.
    unusable: Option<String>,
    /// The earlier turns as the model is shown them, where that is not all of them.
    view: Option<Vec<Arc<Utterance>>>,
    acting: Option<Acting>,
    /// The step besides ORCHESTRATION that is under way.
    step: Option<Step>,
    /// Of a turn that a function plans for.
    orchestrated: Orchestrated,
    /// The reply that the parser function reads.
    parsing: Option<Box<ModelReplied>>,
    /// The answer that is on its way out.
    closing: Option<Closing>,
    /// Whether a collaborator answers for the agent.
    routed: bool,
    /// Why it did not.
    routed_failure: Option<(ExceptionKind, String)>,
    /// Whether the agent's only knowledge base answers in place of the loop.
    direct: bool,
    /// A fresh UUID, from the last fact that brought one.
    uuid: String,
    /// The search results that the model was shown.
    shown: Shown,
    spent: Spent,
    empty_replies: u32,
    answered: bool,
    /// Whether the session forgets this turn: its input was not let in.
    forgotten: bool,
    /// Whether this turn has run code.
    ran_code: bool,
    quiet: bool,
}

/// What stands in the history where a turn ended without an answer. Without it the next question
/// would join the unanswered one, and the model would take up again what was stopped.
const UNANSWERED: &str = "(This turn ended without an answer.)";

impl Run {
    /// A turn on `plan` that goes on with a session.
    pub fn new(plan: Arc<AgentPlan>, before: impl Into<Conversation>) -> Self {
        let before = before.into();
        Self {
            plan,
            files: before.files.clone(),
            before,
            phase: Phase::Created,
            started: None,
            request_started_at: Timestamp::from_nanos(0),
            iteration: 0,
            system: Arc::from(""),
            turn: Vec::new(),
            suffix: Vec::new(),
            prefill: String::new(),
            unusable: None,
            view: None,
            acting: None,
            step: None,
            orchestrated: Orchestrated::default(),
            parsing: None,
            closing: None,
            routed: false,
            routed_failure: None,
            direct: false,
            uuid: String::new(),
            shown: Shown::default(),
            spent: Spent::default(),
            empty_replies: 0,
            answered: false,
            forgotten: false,
            ran_code: false,
            quiet: false,
        }
    }

    /// What it has spent so far, its collaborators included.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The run that these events lead to. Its steps render no traces: nobody sees their effects.
    pub fn replay<'a>(
        plan: Arc<AgentPlan>,
        before: impl Into<Conversation>,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Self {
        let mut run = Self::new(plan, before);
        for event in events {
            run.restore(event);
        }
        run
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The facts it was started with; attributes are kept up to date in it.
    pub fn started(&self) -> Option<&Started> {
        self.started.as_deref()
    }

    /// The plan it runs on.
    pub fn plan(&self) -> &Arc<AgentPlan> {
        &self.plan
    }

    /// The session's attributes as this turn leaves them.
    pub fn session_attributes(&self) -> Option<&Attributes> {
        self.started
            .as_ref()
            .map(|started| &started.session_attributes)
    }

    /// `invocationId` of the return of control it waits for.
    pub fn awaited_invocation_id(&self) -> Option<String> {
        match (&self.acting, self.phase) {
            (Some(acting), Phase::AwaitingControl) => Some(invocation_id(acting)),
            _ => None,
        }
    }

    /// The session as the next turn finds it.
    pub fn conversation(self) -> Conversation {
        let transcript = self.transcript();
        let orchestrated = self.orchestrated_turns();
        let mut after = self.before;
        after.history.extend(transcript);
        after.files = self.files;
        for turn in orchestrated {
            orchestrator::remember(&mut after.orchestrated, turn);
        }
        after
    }

    /// Takes in a fact that was journaled before: the state changes, the effects were had already.
    pub fn restore(&mut self, event: &Event) {
        self.quiet = true;
        self.step(event, &mut Effects::new());
        self.quiet = false;
    }

    /// The turn's messages for the session's history, every call closed. For a finished turn.
    pub fn transcript(&self) -> Vec<Arc<Utterance>> {
        if self.forgotten {
            return Vec::new();
        }
        let mut messages = self.turn.clone();
        // A call that no model asked for has no place among the messages.
        if let Some(acting) = &self.acting
            && !self.routed
            && !self.direct
        {
            messages.push(results(acting, OUTCOME_UNKNOWN));
        }
        if self.phase == Phase::Finished && !self.answered {
            messages.push(Utterance::new(assistant_text(UNANSWERED)));
        }
        messages
    }

    /// Takes in one fact. Effects are appended in the order in which they are to be done.
    pub fn step(&mut self, event: &Event, effects: &mut Effects) {
        let at = event.at;
        match (self.phase, &event.kind) {
            (Phase::Created, EventKind::Started(started)) => self.start(at, started, effects),
            (Phase::GuardingInput, EventKind::GuardrailAssessed(assessed)) => {
                self.input_assessed(at, assessed, effects);
            }
            (Phase::GuardingOutput, EventKind::GuardrailAssessed(assessed)) => {
                self.output_assessed(at, assessed, effects);
            }
            (Phase::Stepping, EventKind::ModelReplied(reply)) => {
                self.step_replied(at, reply, effects);
            }
            (Phase::Planning, EventKind::ModelReplied(reply)) => {
                self.model_replied(at, reply, effects);
            }
            (Phase::Stepping, EventKind::ModelFailed(error)) => {
                let failure = Failure::model(error, self.step_model());
                self.fail(at, failure, effects);
            }
            (Phase::Planning, EventKind::ModelFailed(error)) => {
                let failure = Failure::model(error, self.asked_model());
                self.fail(at, failure, effects);
            }
            (Phase::Orchestrating, EventKind::OrchestratorReplied(returned)) => {
                self.orchestrator_replied(at, returned, effects);
            }
            (Phase::Judging, EventKind::GuardrailAssessed(assessed)) => {
                self.given_guardrail_assessed(at, assessed, effects);
            }
            (Phase::Parsing, EventKind::ParserReplied(returned)) => {
                self.parser_replied(at, returned, effects);
            }
            (Phase::Acting, EventKind::ActionReturned(returned)) => {
                self.action_returned(at, returned, effects);
            }
            (Phase::Acting, EventKind::CodeExecuted(executed)) => {
                self.code_executed(at, executed, effects);
            }
            (Phase::Acting, EventKind::Retrieved(retrieved)) => {
                self.retrieved(at, retrieved, effects);
            }
            (Phase::Acting, EventKind::CollaboratorReplied(replied)) => {
                self.collaborator_replied(at, replied, effects);
            }
            (Phase::AwaitingControl, EventKind::ControlReturned(returned)) => {
                self.control_returned(at, returned, effects);
            }
            (Phase::AwaitingControl, EventKind::ControlAbandoned) => {
                for slot in self.acting.iter_mut().flat_map(|acting| &mut acting.slots) {
                    if slot.state == SlotState::Awaiting {
                        slot.refuse(NOT_ANSWERED.to_owned());
                    }
                }
                self.finish(Outcome::Stopped, effects);
            }
            (
                Phase::Created | Phase::AwaitingControl | Phase::Finished,
                EventKind::DeadlinePassed,
            )
            | (
                Phase::Created | Phase::Finished,
                EventKind::Cancelled(_) | EventKind::Interrupted,
            ) => {}
            (_, EventKind::DeadlinePassed) => {
                let limit = u64::from(self.budget().turn_s);
                let failure = Failure::budget("seconds", limit, "limits.turn_s");
                self.fail(at, failure, effects);
            }
            (_, EventKind::Cancelled(_) | EventKind::Interrupted) => {
                self.finish(Outcome::Stopped, effects);
            }
            // A fact that comes too late, or that this phase does not ask for.
            (_, _) => {}
        }
    }

    /// A call's failure fails the turn; the history says of which call.
    fn fail_call(&mut self, at: Timestamp, index: usize, failure: Failure, effects: &mut Effects) {
        if let Some(slot) = self
            .acting
            .as_mut()
            .and_then(|acting| acting.slots.get_mut(index))
        {
            slot.refuse(format!("The call failed. {}", failure.message));
        }
        self.fail(at, failure, effects);
    }

    fn fail(&mut self, at: Timestamp, failure: Failure, effects: &mut Effects) {
        if self.traces() {
            let part = trace::failure(&failure, self.request_started_at, at, self.trace_id());
            effects.push(Effect::Emit(Emission::Trace {
                at,
                trace: Box::new(part),
            }));
        }
        self.finish(Outcome::Failed(failure), effects);
    }

    fn finish(&mut self, outcome: Outcome, effects: &mut Effects) {
        self.phase = Phase::Finished;
        effects.push(Effect::Finish(outcome));
    }

    fn request(&self) -> Option<&RequestInfo> {
        self.started.as_ref().map(|started| &started.request)
    }

    fn traces(&self) -> bool {
        !self.quiet && self.request().is_some_and(|request| request.trace)
    }

    fn trace_id(&self) -> String {
        self.trace_id_of(self.iteration)
    }

    /// `traceId` with a suffix (behaviour.md 6.2).
    fn trace_id_of(&self, suffix: impl std::fmt::Display) -> String {
        let request_id = self
            .request()
            .map_or("", |request| request.request_id.as_str());
        format!("{request_id}-{suffix}")
    }

    /// Emits a trace where one is wanted; it is made only then.
    fn show(&self, at: Timestamp, trace: impl FnOnce(&Self) -> Trace, effects: &mut Effects) {
        if self.traces() {
            effects.push(Effect::Emit(Emission::Trace {
                at,
                trace: Box::new(trace(self)),
            }));
        }
    }

    fn budget(&self) -> Budget {
        self.started
            .as_ref()
            .map(|started| started.budget)
            .unwrap_or_default()
    }
}

/// `guardrailTrace` of a part of a streamed answer.
pub fn guardrail_trace(assessed: &GuardrailAssessed, trace_id: String) -> Trace {
    trace::steps::guardrail(GuardrailSource::Output, assessed, trace_id)
}

/// Emits a part of the orchestration.
fn emit_trace(at: Timestamp, part: OrchestrationTrace, effects: &mut Effects) {
    effects.push(Effect::Emit(Emission::Trace {
        at,
        trace: Box::new(Trace::OrchestrationTrace(part)),
    }));
}
