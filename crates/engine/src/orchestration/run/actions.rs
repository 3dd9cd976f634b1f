//! Running actions, handing control to the caller, taking results: the acting half of a run.

use std::sync::Arc;

use outcrop_model::converse::ToolResultStatus;
use outcrop_model::runtime::ReturnControlPayload;
use outcrop_model::timestamp::Timestamp;

use super::messages::{answered, invocation_id, results};
use super::{Phase, Run, emit_trace};
use crate::action::Strictness;
use crate::action::call::CalledAction;
use crate::action::lambda::{self, EventAgent, EventInput};
use crate::definition::Executor;
use crate::orchestration::acting::{
    Acting, CallSlot, NOT_MADE, OUTCOME_UNKNOWN, Observed, ObservedCall, SlotState,
};
use crate::orchestration::control::{self, ReturnedResult};
use crate::orchestration::effect::{Effect, Effects, PendingAction};
use crate::orchestration::event::{ActionResult, ActionReturned, ControlReturned};
use crate::orchestration::failure::{Evidence, Failure};
use crate::port::ActionError;
use crate::trace;

impl Run {
    /// Whether `results` answer exactly what was returned to the caller.
    ///
    /// # Errors
    /// The message of a `ValidationException`, in AWS's style (behaviour.md 2.3).
    pub fn check_results(&self, id: &str, results: &[ReturnedResult]) -> Result<(), String> {
        let (Some(acting), Phase::AwaitingControl) = (&self.acting, self.phase) else {
            return Err(format!(
                "Validation failed: No invocation is waiting for results in this session, but results for invocationId: {id} were given."
            ));
        };
        let expected = invocation_id(acting);
        if expected != id {
            return Err(format!(
                "Validation failed: Unexpected invocationId: {id}. The session waits for results for invocationId: {expected}, which are {}",
                control::expected(acting.awaiting())
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
                    "Validation failed: Unexpected actionGroup: {} or function : {} encountered for invocationId: {id}. Expected: {}",
                    result.action_group,
                    result.target_label(),
                    control::expected(open)
                ));
            };
            self.check_agent(result)?;
            let slot = open.remove(position);
            if result.image.is_some()
                && self.plan.strictness == Strictness::Strict
                && !slot
                    .action
                    .as_ref()
                    .is_some_and(|action| action.computer_use)
            {
                return Err(format!(
                    "Validation failed: IMAGES can be given for a computer use action only, not for actionGroup: {} and function : {}",
                    result.action_group,
                    result.target_label()
                ));
            }
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
                "Validation failed: {} of {} results are missing for invocationId: {id}. Give one for each of its invocationInputs. Missing: {}",
                open.len(),
                open.len() + results.len(),
                control::expected(open)
            ))
        }
    }

    /// A result may say for which agent it is.
    fn check_agent(&self, result: &ReturnedResult) -> Result<(), String> {
        let own = self.started.as_ref().map(|started| &started.agent.agent_id);
        match (&result.agent_id, own) {
            (Some(given), Some(own)) if given != own => Err(format!(
                "Validation failed: Unexpected agentId: {given} encountered for actionGroup: {} and function : {}. Expected: {own}",
                result.action_group,
                result.target_label()
            )),
            _ => Ok(()),
        }
    }

    /// Counts invocations; past the budget the turn fails and none of the step's calls is made.
    pub(super) fn spend_actions(&mut self, at: Timestamp, invoked: u32, effects: &mut Effects) {
        self.spent.actions += invoked;
        let limit = self.budget().actions;
        if self.spent.actions > limit {
            effects
                .retain(|effect| !matches!(effect, Effect::CallAction(_) | Effect::ExecuteCode(_)));
            for slot in self.acting.iter_mut().flat_map(|acting| &mut acting.slots) {
                if slot.state == SlotState::Running {
                    slot.refuse(NOT_MADE.to_owned());
                }
            }
            let failure = Failure::budget("actions", u64::from(limit), "limits.actions");
            self.fail(at, failure, effects);
        }
    }

    /// Asks the driver to invoke the running slots that `choose` picks; gives their number. Of those
    /// that run code only the first is begun: the others build on what it leaves behind.
    pub(super) fn call_running(
        &self,
        choose: impl Fn(usize) -> bool,
        effects: &mut Effects,
    ) -> u32 {
        let (Some(acting), Some(started)) = (&self.acting, &self.started) else {
            return 0;
        };
        let mut invoked = 0;
        for (index, slot) in acting.slots.iter().enumerate() {
            let Some(action) = slot.action.as_ref().filter(|_| choose(index)) else {
                continue;
            };
            if slot.state != SlotState::Running {
                continue;
            }
            invoked += 1;
            let Executor::Lambda(function) = &action.executor else {
                continue;
            };
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
                    typed_arguments: action.typed_arguments,
                    session_attributes: &started.session_attributes,
                    prompt_session_attributes: &started.prompt_session_attributes,
                }),
                idempotency_key: format!("{}/{}/{index}", started.run_id, self.spent.model_calls),
                action: Arc::new(CalledAction::new(action, &slot.arguments)),
            }));
        }
        invoked
    }

    pub(super) fn action_returned(
        &mut self,
        at: Timestamp,
        returned: &ActionReturned,
        effects: &mut Effects,
    ) {
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
            ActionResult::Error(ActionError::RespondToModel(text)) => lambda::Reply {
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
                request_id,
            } => {
                let evidence = Evidence {
                    log_tail: log_tail.as_deref(),
                    request_id: request_id.as_deref(),
                };
                let failure = Failure::unhandled(function, error, payload, evidence);
                return self.fail_call(at, returned.index, failure, effects);
            }
            ActionResult::Replied {
                payload,
                function_error: None,
                log_tail,
                request_id,
            } => match lambda::read_reply(
                payload.as_bytes(),
                &action.action_group,
                &action.target,
                self.plan.strictness,
            ) {
                Ok(reply) => reply,
                Err(fault) => {
                    let evidence = Evidence {
                        log_tail: log_tail.as_deref(),
                        request_id: request_id.as_deref(),
                    };
                    let failure = Failure::reply(function, &fault, evidence);
                    return self.fail_call(at, returned.index, failure, effects);
                }
            },
        };
        self.take_reply(at, returned, reply, effects);
    }

    pub(super) fn take_reply(
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
            started_at: returned.started_at,
            ended_at: returned.ended_at,
            of: ObservedCall::Action {
                client_request_id: returned.client_request_id.clone(),
                reprompt: reply.reprompt,
            },
        };
        if let Some(slot) = self
            .acting
            .as_mut()
            .and_then(|acting| acting.slots.get_mut(returned.index))
        {
            slot.state = SlotState::Done {
                text: reply.text,
                image: None,
                status,
                observation: Some(Box::new(observation)),
            };
        }
        self.advance(at, effects);
    }

    pub(super) fn control_returned(
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
            if result.fails() && failed.is_none() {
                failed = Some(result);
            }
            slot.state = answered(slot, result);
            if slot.state == SlotState::Running {
                confirmed.push(index);
            }
        }
        acting.traced = 0;
        acting.resumed_without_calls = confirmed.is_empty();
        if !returned.invocation_id.is_empty() {
            acting.invocation_uuid.clone_from(&returned.invocation_id);
        }
        if let Some(result) = failed {
            for index in confirmed {
                if let Some(slot) = acting.slots.get_mut(index) {
                    slot.refuse(NOT_MADE.to_owned());
                }
            }
            let target = result.target_label();
            let failure = Failure::returned(&result.action_group, &target, result.body.as_deref());
            return self.fail(at, failure, effects);
        }
        let invoked = self.call_running(|index| confirmed.contains(&index), effects);
        self.begin_code(effects);
        self.spend_actions(at, invoked, effects);
        self.advance(at, effects);
    }

    /// Traces what can be traced in call order, then goes on once nothing runs any more.
    pub(super) fn advance(&mut self, at: Timestamp, effects: &mut Effects) {
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
            if let (Some(observed), Some(action)) = (observation, &slot.action) {
                let times = (observed.started_at, observed.ended_at);
                match observed.of {
                    ObservedCall::Code(reply) => {
                        self.show_code(at, &slot.arguments, times, reply, effects);
                    }
                    ObservedCall::Action {
                        client_request_id,
                        reprompt,
                    } if self.traces() => {
                        let id = self.trace_id();
                        let input = trace::invocation_input(action, &slot.arguments, None, id);
                        emit_trace(at, input, effects);
                        let output = trace::action_observation(
                            text,
                            &client_request_id,
                            times,
                            reprompt,
                            self.trace_id(),
                        );
                        emit_trace(at, output, effects);
                    }
                    ObservedCall::Action { .. } => {}
                }
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

    pub(super) fn take_results(&mut self, at: Timestamp, acting: &Acting, effects: &mut Effects) {
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

    pub(super) fn return_control(&mut self, at: Timestamp, acting: Acting, effects: &mut Effects) {
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
                    emit_trace(at, part, effects);
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
}
