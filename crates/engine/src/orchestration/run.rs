//! One turn of one agent.
//!
//! Owns: the phase, the turn's part of the conversation, the attributes, what has been spent. Does
//! not own: the session's history (shared), the lease, the stream, retries. Total: an event that
//! makes no sense in the phase, such as a late reply after a cancellation, changes nothing.
//!
//! Invariant: each tool use gets exactly one result before the next model call, and nothing is
//! emitted after the turn has finished.

use std::sync::Arc;

use outcrop_model::converse::{ContentBlock, ConversationRole, Message, ToolResultStatus};
use outcrop_model::runtime::ReturnControlPayload;
use outcrop_model::timestamp::Timestamp;

use super::acting::{
    Acting, CallSlot, DENIED, NOT_ANSWERED, NOT_MADE, OUTCOME_UNKNOWN, Observed, SlotState,
    conversation_input,
};
use super::control::{self, Confirmation, ReturnedResult};
use super::effect::{Effect, Effects, Emission, Outcome, PendingAction};
use super::event::{
    ActionResult, ActionReturned, Budget, ControlReturned, Event, EventKind, ModelReplied,
    RequestInfo, Started,
};
use super::failure::Failure;
use crate::action::lambda::{self, Attributes, EventAgent, EventInput};
use crate::converse::{text_of, tool_result, tool_uses, user_text};
use crate::definition::Executor;
use crate::history::{Utterance, alternating};
use crate::plan::{ASK_USER_TOOL, AgentPlan};
use crate::port::{Delivery, ModelRequest};
use crate::prompt::answer::{self, Reading};
use crate::prompt::template::Values;
use crate::trace;

/// How often an empty model message is asked for again before the turn fails.
const EMPTY_REPLIES_MAX: u32 = 2;

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Created,
    /// The model is being asked.
    Planning,
    /// Actions are running.
    Acting,
    /// The caller must answer a return of control.
    AwaitingControl,
    /// Over.
    Finished,
}

/// One turn.
#[derive(Clone, Debug)]
pub struct Run {
    plan: Arc<AgentPlan>,
    history: Vec<Arc<Utterance>>,
    phase: Phase,
    started: Option<Box<Started>>,
    request_started_at: Timestamp,
    iteration: u32,
    system: Arc<str>,
    turn: Vec<Arc<Utterance>>,
    suffix: Vec<Arc<Utterance>>,
    acting: Option<Acting>,
    spent: Spent,
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    model_calls: u32,
    actions: u32,
    tokens: u64,
    observation_bytes: u64,
    empty_replies: u32,
}

impl Run {
    /// A turn on `plan` that continues the conversation in `history`.
    pub fn new(plan: Arc<AgentPlan>, history: Vec<Arc<Utterance>>) -> Self {
        Self {
            plan,
            history,
            phase: Phase::Created,
            started: None,
            request_started_at: Timestamp::from_nanos(0),
            iteration: 0,
            system: Arc::from(""),
            turn: Vec::new(),
            suffix: Vec::new(),
            acting: None,
            spent: Spent::default(),
            quiet: false,
        }
    }

    /// The run that these events lead to. Its steps render no traces: nobody sees their effects.
    pub fn replay<'a>(
        plan: Arc<AgentPlan>,
        history: Vec<Arc<Utterance>>,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Self {
        let mut run = Self::new(plan, history);
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

    /// Whether `results` answer exactly what was returned to the caller.
    ///
    /// # Errors
    /// The message of a ValidationException, in AWS's style (behaviour.md 2.3).
    pub fn check_results(&self, id: &str, results: &[ReturnedResult]) -> Result<(), String> {
        let (Some(acting), Phase::AwaitingControl) = (&self.acting, self.phase) else {
            return Err(format!(
                "Validation failed: No invocation is waiting for results in this session, but results for invocationId: {id} were given."
            ));
        };
        let expected = invocation_id(acting);
        if expected != id {
            return Err(format!(
                "Validation failed: Unexpected invocationId: {id}. The session waits for results for invocationId: {expected}"
            ));
        }
        let mut open: Vec<&CallSlot> = acting.awaiting().collect();
        for result in results {
            let position = open.iter().position(|slot| {
                slot.action
                    .as_ref()
                    .is_some_and(|action| result.answers(action))
            });
            let Some(position) = position else {
                return Err(format!(
                    "Validation failed: Unexpected actionGroup: {} or function : {} encountered for invocationId: {id}",
                    result.action_group,
                    result.target_label()
                ));
            };
            let slot = open.remove(position);
            let confirms = slot
                .action
                .as_ref()
                .is_some_and(|action| action.requires_confirmation);
            if confirms && result.confirmation.is_none() {
                return Err(format!(
                    "Validation failed: confirmationState is required for actionGroup: {} and function : {}, expected CONFIRM or DENY",
                    result.action_group,
                    result.target_label()
                ));
            }
        }
        if open.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "Validation failed: {} results are missing for invocationId: {id}. Give one for each of its invocationInputs.",
                open.len()
            ))
        }
    }

    /// The session's history as the next turn finds it.
    pub fn conversation(mut self) -> Vec<Arc<Utterance>> {
        let transcript = self.transcript();
        self.history.extend(transcript);
        self.history
    }

    /// Takes in a fact that was journaled before: the state changes, the effects were had already.
    pub fn restore(&mut self, event: &Event) {
        self.quiet = true;
        self.step(event, &mut Effects::new());
        self.quiet = false;
    }

    /// The turn's messages for the session's history, every call closed. For a finished turn.
    pub fn transcript(&self) -> Vec<Arc<Utterance>> {
        let mut messages = self.turn.clone();
        if let Some(acting) = &self.acting {
            messages.push(results(acting, OUTCOME_UNKNOWN));
        }
        messages
    }

    /// Takes in one fact. Effects are appended in the order in which they are to be done.
    pub fn step(&mut self, event: &Event, effects: &mut Effects) {
        let at = event.at;
        match (self.phase, &event.kind) {
            (Phase::Created, EventKind::Started(started)) => self.start(at, started, effects),
            (Phase::Planning, EventKind::ModelReplied(reply)) => {
                self.model_replied(at, reply, effects);
            }
            (Phase::Planning, EventKind::ModelFailed(error)) => {
                let failure = Failure::model(error, self.plan.model());
                self.fail(at, failure, effects);
            }
            (Phase::Acting, EventKind::ActionReturned(returned)) => {
                self.action_returned(at, returned, effects);
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
            (Phase::Planning | Phase::Acting, EventKind::DeadlinePassed) => {
                let limit = u64::from(self.budget().turn_s);
                let failure = Failure::budget("seconds", limit, "limits.turn_s");
                self.fail(at, failure, effects);
            }
            (
                Phase::Planning | Phase::Acting | Phase::AwaitingControl,
                EventKind::Cancelled(_) | EventKind::Interrupted,
            ) => self.finish(Outcome::Stopped, effects),
            // A fact that comes too late, or that this phase does not ask for.
            (_, _) => {}
        }
    }

    fn start(&mut self, at: Timestamp, started: &Started, effects: &mut Effects) {
        self.started = Some(Box::new(started.clone()));
        self.request_started_at = at;
        self.fill_template(true);
        self.plan_next(at, effects);
    }

    /// Fills the template: the system text always, the question only when the turn begins.
    fn fill_template(&mut self, begins: bool) {
        let Some(started) = &self.started else { return };
        if !self.plan.definition.orchestration.enabled {
            if begins {
                self.turn = given(started);
                self.turn
                    .push(Utterance::new(user_text(&started.input_text)));
            }
            return;
        }
        let attributes = trace::prompt_attributes(&started.prompt_session_attributes);
        let filled = self.plan.template.fill(&Values {
            instruction: &self.plan.definition.instruction,
            question: &started.input_text,
            ask_user: self.plan.ask_user_rule(),
            prompt_session_attributes: &attributes,
            tools: &self.plan.tools_text,
        });
        self.system = Arc::from(filled.system.trim());
        if begins {
            self.turn = given(started);
            self.turn.extend(filled.before.into_iter().map(utterance));
        }
        self.suffix = filled.after.into_iter().map(utterance).collect();
    }

    fn plan_next(&mut self, at: Timestamp, effects: &mut Effects) {
        let limit = self.budget().model_calls;
        if self.spent.model_calls >= limit {
            let failure = Failure::budget("model calls", u64::from(limit), "limits.model_calls");
            return self.fail(at, failure, effects);
        }
        self.spent.model_calls += 1;
        self.phase = Phase::Planning;
        if self.quiet {
            return;
        }
        let mut conversation =
            Vec::with_capacity(self.history.len() + self.turn.len() + self.suffix.len());
        conversation.extend_from_slice(&self.history);
        conversation.extend_from_slice(&self.turn);
        conversation.extend_from_slice(&self.suffix);
        let conversation = alternating(&conversation);
        if self.traces() {
            let part = trace::model_invocation_input(
                &self.plan,
                &self.system,
                &conversation,
                self.trace_id(),
            );
            self.emit_trace(at, part, effects);
        }
        effects.push(Effect::CallModel(Box::new(ModelRequest {
            model: self.plan.model().to_owned(),
            system: Arc::clone(&self.system),
            messages: conversation
                .iter()
                .map(|utterance| Arc::clone(utterance.message()))
                .collect(),
            tools: Arc::clone(&self.plan.tools),
            tool_choice: None,
            inference: self.plan.inference(),
            additional_fields: self.plan.definition.orchestration.additional_fields.clone(),
            delivery: if self.request().is_some_and(|request| request.stream) {
                Delivery::Streamed
            } else {
                Delivery::Whole
            },
        })));
    }

    fn model_replied(&mut self, at: Timestamp, reply: &ModelReplied, effects: &mut Effects) {
        self.spent.tokens += u64::from(reply.usage.input) + u64::from(reply.usage.output);
        let has_calls = tool_uses(&reply.message).next().is_some();
        let text = text_of(&reply.message);
        let may_call = !self.plan.tools.is_empty();
        let reading = answer::read(&text, may_call);
        // Text that was sent as the answer cannot be taken back for a tool call.
        let acts = has_calls && reply.streamed_bytes == 0;
        if !acts
            && let Some(rest) = reading.answer.get(reply.streamed_bytes..)
            && self.request().is_some_and(|request| request.stream)
            && !rest.is_empty()
        {
            effects.push(Effect::Emit(Emission::Chunk(rest.to_owned())));
        }
        if self.traces() {
            let part = trace::model_invocation_output(reply, at, self.trace_id());
            self.emit_trace(at, part, effects);
            if let Some(text) = rationale(&reply.message, &reading, acts) {
                let part = trace::rationale(text, self.trace_id());
                self.emit_trace(at, part, effects);
            }
        }
        let limit = self.budget().tokens;
        if self.spent.tokens > limit {
            self.turn.push(closed_without_calls(&reply.message));
            return self.fail(
                at,
                Failure::budget("tokens", limit, "limits.tokens"),
                effects,
            );
        }
        if acts {
            self.act(at, reply, effects);
        } else {
            self.answer(at, reply, reading.answer, effects);
        }
    }

    fn answer(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        answer: String,
        effects: &mut Effects,
    ) {
        if answer.trim().is_empty() {
            self.spent.empty_replies += 1;
            if self.spent.empty_replies > EMPTY_REPLIES_MAX {
                let failure = Failure::empty_reply(self.plan.model());
                return self.fail(at, failure, effects);
            }
            self.iteration += 1;
            return self.plan_next(at, effects);
        }
        self.turn.push(closed_without_calls(&reply.message));
        self.conclude(at, answer, false, effects);
    }

    /// The turn's last trace and chunk.
    fn conclude(&mut self, at: Timestamp, text: String, asks: bool, effects: &mut Effects) {
        if self.traces() {
            let part =
                trace::final_response(&text, asks, self.request_started_at, at, self.trace_id());
            self.emit_trace(at, part, effects);
        }
        let streamed = !asks && self.request().is_some_and(|request| request.stream);
        if !streamed {
            effects.push(Effect::Emit(Emission::Chunk(text)));
        }
        self.finish(Outcome::Completed, effects);
    }

    fn act(&mut self, at: Timestamp, reply: &ModelReplied, effects: &mut Effects) {
        self.turn.push(sanitised(&reply.message));
        if self.plan.asks_user
            && let Some(question) = asked_question(&reply.message)
        {
            let closing = tool_uses(&reply.message)
                .map(|tool_use| {
                    let text = if tool_use.name == ASK_USER_TOOL {
                        "The question was put to the user. The reply follows."
                    } else {
                        NOT_MADE
                    };
                    tool_result(&tool_use.tool_use_id, text, ToolResultStatus::Success)
                })
                .collect();
            self.turn.push(Utterance::new(Message {
                role: ConversationRole::User,
                content: closing,
            }));
            return self.conclude(at, question, true, effects);
        }
        let slots: Vec<CallSlot> = tool_uses(&reply.message)
            .map(|tool_use| CallSlot::new(&self.plan, tool_use))
            .collect();
        self.acting = Some(Acting {
            slots,
            traced: 0,
            resumed_without_calls: false,
            invocation_uuid: reply.invocation_id.clone(),
        });
        self.phase = Phase::Acting;
        let invoked = self.call_running(|_| true, effects);
        self.spend_actions(at, invoked, effects);
        self.advance(at, effects);
    }

    /// Counts invocations; past the budget the turn fails and none of the step's calls is made.
    fn spend_actions(&mut self, at: Timestamp, invoked: u32, effects: &mut Effects) {
        self.spent.actions += invoked;
        let limit = self.budget().actions;
        if self.spent.actions > limit {
            effects.retain(|effect| !matches!(effect, Effect::CallAction(_)));
            for slot in self.acting.iter_mut().flat_map(|acting| &mut acting.slots) {
                if slot.state == SlotState::Running {
                    slot.refuse(NOT_MADE.to_owned());
                }
            }
            let failure = Failure::budget("actions", u64::from(limit), "limits.actions");
            self.fail(at, failure, effects);
        }
    }

    /// Asks the driver to invoke the running slots that `choose` picks; gives their number.
    fn call_running(&self, choose: impl Fn(usize) -> bool, effects: &mut Effects) -> u32 {
        let (Some(acting), Some(started)) = (&self.acting, &self.started) else {
            return 0;
        };
        let mut invoked = 0;
        for (index, slot) in acting.slots.iter().enumerate() {
            let Some(action) = slot.action.as_ref().filter(|_| choose(index)) else {
                continue;
            };
            let (SlotState::Running, Executor::Lambda(function)) = (&slot.state, &action.executor)
            else {
                continue;
            };
            invoked += 1;
            effects.push(Effect::CallAction(PendingAction {
                index,
                function: function.clone(),
                event: lambda::event(&EventInput {
                    agent: EventAgent {
                        alias: &started.agent.alias_id,
                        id: &started.agent.agent_id,
                        name: &started.agent.agent_name,
                        version: &started.agent.version,
                    },
                    session_id: &started.session_id,
                    input_text: &started.input_text,
                    action_group: &action.action_group,
                    target: &action.target,
                    arguments: &slot.arguments,
                    session_attributes: &started.session_attributes,
                    prompt_session_attributes: &started.prompt_session_attributes,
                }),
                idempotency_key: format!("{}/{}/{index}", started.run_id, self.spent.model_calls),
            }));
        }
        invoked
    }

    fn action_returned(&mut self, at: Timestamp, returned: &ActionReturned, effects: &mut Effects) {
        let Some(slot) = self
            .acting
            .as_ref()
            .and_then(|acting| acting.slots.get(returned.index))
            .filter(|slot| slot.state == SlotState::Running)
        else {
            return;
        };
        let Some(action) = slot.action.clone() else {
            return;
        };
        let Executor::Lambda(function) = &action.executor else {
            return;
        };
        let reply = match &returned.result {
            ActionResult::Error(crate::port::ActionError::RespondToModel(text)) => lambda::Reply {
                text: text.clone(),
                reprompt: false,
                client_error: true,
                session_attributes: None,
                prompt_session_attributes: None,
            },
            ActionResult::Error(error) => {
                let failure = Failure::action(function, error);
                return self.fail_call(at, returned.index, failure, effects);
            }
            ActionResult::Replied {
                payload,
                function_error: Some(error),
                log_tail,
            } => {
                let failure = Failure::unhandled(function, error, payload, log_tail.as_deref());
                return self.fail_call(at, returned.index, failure, effects);
            }
            ActionResult::Replied {
                payload,
                function_error: None,
                log_tail,
            } => match lambda::read_reply(
                payload.as_bytes(),
                &action.action_group,
                &action.target,
                self.plan.strictness,
            ) {
                Ok(reply) => reply,
                Err(fault) => {
                    let failure = Failure::reply(function, &fault, log_tail.as_deref());
                    return self.fail_call(at, returned.index, failure, effects);
                }
            },
        };
        self.take_reply(at, returned, reply, effects);
    }

    fn take_reply(
        &mut self,
        at: Timestamp,
        returned: &ActionReturned,
        reply: lambda::Reply,
        effects: &mut Effects,
    ) {
        if let Some(started) = &mut self.started {
            if let Some(attributes) = reply.session_attributes {
                started.session_attributes = attributes;
            }
            if let Some(attributes) = reply.prompt_session_attributes {
                started.prompt_session_attributes = attributes;
                self.fill_template(false);
            }
        }
        let status = if reply.reprompt || reply.client_error {
            ToolResultStatus::Error
        } else {
            ToolResultStatus::Success
        };
        let observation = Observed {
            client_request_id: returned.client_request_id.clone(),
            started_at: returned.started_at,
            ended_at: returned.ended_at,
            reprompt: reply.reprompt,
        };
        if let Some(slot) = self
            .acting
            .as_mut()
            .and_then(|acting| acting.slots.get_mut(returned.index))
        {
            slot.state = SlotState::Done {
                text: reply.text,
                status,
                observation: Some(Box::new(observation)),
            };
        }
        self.advance(at, effects);
    }

    fn control_returned(
        &mut self,
        at: Timestamp,
        returned: &ControlReturned,
        effects: &mut Effects,
    ) {
        if let Some(started) = &mut self.started {
            started.request = returned.request.clone();
            let session = returned.session_attributes.clone();
            started.session_attributes.extend(session);
            let prompt = returned.prompt_session_attributes.clone();
            started.prompt_session_attributes.extend(prompt);
        }
        self.fill_template(false);
        self.request_started_at = at;
        self.iteration = 0;
        self.phase = Phase::Acting;
        let Some(acting) = &mut self.acting else {
            return;
        };
        let mut confirmed = Vec::new();
        let mut failed = None;
        for result in &returned.results {
            let slot = acting.slots.iter_mut().enumerate().find(|(_, slot)| {
                slot.state == SlotState::Awaiting
                    && slot
                        .action
                        .as_ref()
                        .is_some_and(|action| result.answers(action))
            });
            let Some((index, slot)) = slot else { continue };
            if result.failed {
                failed = Some(result.action_group.clone());
            }
            slot.state = answered(slot, result);
            if slot.state == SlotState::Running {
                confirmed.push(index);
            }
        }
        acting.traced = 0;
        acting.resumed_without_calls = confirmed.is_empty();
        if let Some(action_group) = failed {
            for index in confirmed {
                if let Some(slot) = acting.slots.get_mut(index) {
                    slot.refuse(NOT_MADE.to_owned());
                }
            }
            return self.fail(at, Failure::returned(&action_group), effects);
        }
        let invoked = self.call_running(|index| confirmed.contains(&index), effects);
        self.spend_actions(at, invoked, effects);
        self.advance(at, effects);
    }

    /// Traces what can be traced in call order, then goes on once nothing runs any more.
    fn advance(&mut self, at: Timestamp, effects: &mut Effects) {
        if self.phase != Phase::Acting {
            return;
        }
        let Some(mut acting) = self.acting.take() else {
            return;
        };
        while let Some(slot) = acting.slots.get_mut(acting.traced) {
            let (text, observation) = match &mut slot.state {
                SlotState::Running => break,
                SlotState::Awaiting => {
                    acting.traced += 1;
                    continue;
                }
                SlotState::Done {
                    text, observation, ..
                } => (text, observation.take()),
            };
            if self.traces()
                && let (Some(observed), Some(action)) = (observation, &slot.action)
            {
                let input = trace::invocation_input(action, &slot.arguments, None, self.trace_id());
                self.emit_trace(at, input, effects);
                let output = trace::action_observation(
                    text,
                    &observed.client_request_id,
                    (observed.started_at, observed.ended_at),
                    observed.reprompt,
                    self.trace_id(),
                );
                self.emit_trace(at, output, effects);
            }
            acting.traced += 1;
        }
        if acting.any_running() {
            self.acting = Some(acting);
            return;
        }
        if acting.all_done() {
            self.take_results(at, &acting, effects);
        } else {
            self.return_control(at, acting, effects);
        }
    }

    fn take_results(&mut self, at: Timestamp, acting: &Acting, effects: &mut Effects) {
        let message = results(acting, OUTCOME_UNKNOWN);
        let bytes: usize = acting
            .slots
            .iter()
            .map(|slot| match &slot.state {
                SlotState::Done { text, .. } => text.len(),
                SlotState::Running | SlotState::Awaiting => 0,
            })
            .sum();
        self.spent.observation_bytes += bytes as u64;
        self.turn.push(message);
        let limit = self.budget().observation_bytes;
        if self.spent.observation_bytes > limit {
            let failure = Failure::budget("observation bytes", limit, "limits.observation_bytes");
            return self.fail(at, failure, effects);
        }
        if !acting.resumed_without_calls {
            self.iteration += 1;
        }
        self.plan_next(at, effects);
    }

    fn return_control(&mut self, at: Timestamp, acting: Acting, effects: &mut Effects) {
        let id = invocation_id(&acting);
        let agent_id = self
            .started
            .as_ref()
            .map(|started| started.agent.agent_id.clone())
            .unwrap_or_default();
        if self.traces() {
            for slot in acting.awaiting() {
                if let Some(action) = &slot.action {
                    let part = trace::invocation_input(
                        action,
                        &slot.arguments,
                        Some(&id),
                        self.trace_id(),
                    );
                    self.emit_trace(at, part, effects);
                }
            }
        }
        let inputs = acting
            .awaiting()
            .filter_map(|slot| control::invocation_input(slot, &agent_id))
            .collect();
        effects.push(Effect::ReturnControl(Box::new(ReturnControlPayload {
            invocation_id: Some(id),
            invocation_inputs: Some(inputs),
        })));
        self.acting = Some(acting);
        self.phase = Phase::AwaitingControl;
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

    fn emit_trace(
        &self,
        at: Timestamp,
        part: outcrop_model::runtime::OrchestrationTrace,
        effects: &mut Effects,
    ) {
        effects.push(Effect::Emit(Emission::Trace {
            at,
            trace: Box::new(outcrop_model::runtime::Trace::OrchestrationTrace(part)),
        }));
    }

    fn request(&self) -> Option<&RequestInfo> {
        self.started.as_ref().map(|started| &started.request)
    }

    fn traces(&self) -> bool {
        !self.quiet && self.request().is_some_and(|request| request.trace)
    }

    fn trace_id(&self) -> String {
        let request_id = self
            .request()
            .map_or("", |request| request.request_id.as_str());
        format!("{request_id}-{}", self.iteration)
    }

    fn budget(&self) -> Budget {
        self.started
            .as_ref()
            .map(|started| started.budget)
            .unwrap_or_default()
    }
}

/// The messages that the caller put before the question.
fn given(started: &Started) -> Vec<Arc<Utterance>> {
    let messages = started.conversation_history.iter();
    messages
        .map(|message| Utterance::new(message.clone()))
        .collect()
}

fn utterance((role, text): (ConversationRole, String)) -> Arc<Utterance> {
    Utterance::new(Message {
        role,
        content: vec![ContentBlock::Text(text)],
    })
}

fn invocation_id(acting: &Acting) -> String {
    let types: Vec<_> = acting
        .awaiting()
        .filter_map(|slot| slot.action.as_deref())
        .map(control::invocation_type)
        .collect();
    control::invocation_id(&acting.invocation_uuid, &types)
}

/// What a returned result makes of the call it answers.
fn answered(slot: &CallSlot, result: &ReturnedResult) -> SlotState {
    let done = |text: String, status| SlotState::Done {
        text,
        status,
        observation: None,
    };
    if result.confirmation == Some(Confirmation::Deny) {
        return done(DENIED.to_owned(), ToolResultStatus::Error);
    }
    let by_lambda = slot
        .action
        .as_ref()
        .is_some_and(|action| matches!(action.executor, Executor::Lambda(_)));
    if by_lambda {
        return SlotState::Running;
    }
    let status = if result.reprompt {
        ToolResultStatus::Error
    } else {
        ToolResultStatus::Success
    };
    done(result.body.clone().unwrap_or_default(), status)
}

fn results(acting: &Acting, open: &str) -> Arc<Utterance> {
    Utterance::new(Message {
        role: ConversationRole::User,
        content: acting.slots.iter().map(|slot| slot.result(open)).collect(),
    })
}

/// The assistant's message as the conversation keeps it: tool inputs that are no objects emptied.
fn sanitised(message: &Message) -> Arc<Utterance> {
    let mut message = message.clone();
    for block in &mut message.content {
        if let ContentBlock::ToolUse(tool_use) = block {
            tool_use.input = conversation_input(&tool_use.input);
        }
    }
    message
        .content
        .retain(|block| !matches!(block, ContentBlock::Text(text) if text.trim().is_empty()));
    Utterance::new(message)
}

/// A final message as the conversation keeps it: without calls that were not made, and with the
/// answer tag closed that the stop sequence cut off.
fn closed_without_calls(message: &Message) -> Arc<Utterance> {
    let mut message = message.clone();
    message.content.retain(|block| match block {
        ContentBlock::ToolUse(_) => false,
        ContentBlock::Text(text) => !text.trim().is_empty(),
        _ => true,
    });
    if let Some(ContentBlock::Text(text)) = message.content.last_mut()
        && text.contains("<answer>")
        && !text.contains("</answer>")
    {
        text.push_str("</answer>");
    }
    if message.content.is_empty() {
        message
            .content
            .push(ContentBlock::Text("(no answer)".to_owned()));
    }
    Utterance::new(message)
}

fn asked_question(message: &Message) -> Option<String> {
    tool_uses(message)
        .find(|tool_use| tool_use.name == ASK_USER_TOOL)
        .and_then(|tool_use| tool_use.input.get("question"))
        .and_then(|question| question.as_str())
        .filter(|question| !question.trim().is_empty())
        .map(ToOwned::to_owned)
}

/// Thinking, else the model's own reasoning, else the text before a call (trace-order.md 2).
fn rationale(message: &Message, reading: &Reading, acts: bool) -> Option<String> {
    if let Some(thinking) = &reading.thinking {
        return Some(thinking.clone());
    }
    let reasoning: String = message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::ReasoningContent(
                outcrop_model::converse::ReasoningContentBlock::ReasoningText(reasoning),
            ) => Some(reasoning.text.as_str()),
            _ => None,
        })
        .collect();
    if !reasoning.trim().is_empty() {
        return Some(reasoning.trim().to_owned());
    }
    (acts && !reading.preamble.is_empty()).then(|| reading.preamble.clone())
}
