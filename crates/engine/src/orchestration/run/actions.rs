//! Running actions and taking their results.

use std::sync::Arc;

use outcrop_model::converse::ToolResultStatus;
use outcrop_model::timestamp::Timestamp;

use super::messages::results;
use super::{Phase, Run, emit_trace};
use crate::action::call::CalledAction;
use crate::action::lambda::{self, EventAgent, EventInput};
use crate::definition::Executor;
use crate::orchestration::acting::{
    Acting, CallSlot, Delegate, NOT_MADE, OUTCOME_UNKNOWN, Observed, ObservedCall, SlotState,
};
use crate::orchestration::effect::{Effect, Effects, PendingAction};
use crate::orchestration::event::{ActionResult, ActionReturned, CollaboratorResult};
use crate::orchestration::failure::{Evidence, Failure};
use crate::port::ActionError;
use crate::trace;

impl Run {
    /// Counts invocations; past the budget the turn fails and none of the step's calls is made.
    pub(super) fn spend_actions(&mut self, at: Timestamp, invoked: u32, effects: &mut Effects) {
        self.spent.actions += invoked;
        let limit = self.budget().actions;
        if self.spent.actions > limit {
            effects.retain(|effect| {
                !matches!(
                    effect,
                    Effect::CallAction(_)
                        | Effect::ExecuteCode(_)
                        | Effect::Retrieve(_)
                        | Effect::CallCollaborator(_)
                )
            });
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
                idempotency_key: format!("{}/{}/{index}", started.run_id, self.step_key()),
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
                knowledge_bases: Vec::new(),
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
            for given in reply.knowledge_bases {
                let id = given.knowledge_base_id.as_str();
                started
                    .knowledge_bases
                    .retain(|one| one.knowledge_base_id != id);
                started.knowledge_bases.push(given);
            }
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
            };
            slot.observed = Some(Box::new(observation));
        }
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
        let mut traced = acting.traced;
        while let Some(slot) = acting.slots.get_mut(traced) {
            self.show_begun(at, traced, slot, effects);
            if slot.state == SlotState::Running {
                break;
            }
            if let Some(observed) = slot.observed.take() {
                self.show_ended(at, slot, *observed, effects);
            }
            traced += 1;
        }
        acting.traced = traced;
        let (any_running, all_done) = (acting.any_running(), acting.all_done());
        self.acting = Some(acting);
        if any_running || self.generate_next(at, effects) {
            return;
        }
        let Some(acting) = self.acting.take() else {
            return;
        };
        if !all_done {
            self.return_control(at, acting, effects);
        } else if self.routed {
            self.close_routed(at, &acting, effects);
        } else {
            self.take_results(at, &acting, effects);
        }
    }

    /// The traces of a call that ended.
    fn show_ended(
        &self,
        at: Timestamp,
        slot: &CallSlot,
        observed: Observed,
        effects: &mut Effects,
    ) {
        let times = (observed.started_at, observed.ended_at);
        match (observed.of, &slot.action, &slot.delegate) {
            (ObservedCall::Code(reply), ..) => {
                self.show_code(at, &slot.arguments, times, reply, effects);
            }
            (
                ObservedCall::Action {
                    client_request_id,
                    reprompt,
                },
                Some(action),
                _,
            ) if self.traces() => {
                let input = trace::invocation_input(action, &slot.arguments, None, self.trace_id());
                emit_trace(at, input, effects);
                let SlotState::Done { text, .. } = &slot.state else {
                    return;
                };
                let id = self.trace_id();
                let output =
                    trace::action_observation(text, &client_request_id, times, reprompt, id);
                emit_trace(at, output, effects);
            }
            (
                ObservedCall::Lookup {
                    client_request_id,
                    references,
                },
                ..,
            ) => self.show_lookup(at, times, (&client_request_id, &references), effects),
            // As with the agent's own calls, what the caller is asked for is not observed.
            (
                ObservedCall::Collaborator {
                    result: CollaboratorResult::ReturnedControl(_),
                    ..
                },
                ..,
            ) => {}
            (
                ObservedCall::Collaborator {
                    client_request_id,
                    result,
                },
                _,
                Some(Delegate::Collaborator { collaborator, .. }),
            ) => self.show_reply_of(
                at,
                collaborator,
                times,
                (&client_request_id, &result),
                effects,
            ),
            _ => {}
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
        self.turn.push(Arc::clone(&message));
        let limit = self.budget().observation_bytes;
        if self.spent.observation_bytes > limit {
            let failure = Failure::budget("observation bytes", limit, "limits.observation_bytes");
            return self.fail(at, failure, effects);
        }
        if self.is_orchestrated() {
            return self.tool_invoked(at, &message, acting.resumed_without_calls, effects);
        }
        if !acting.resumed_without_calls {
            self.iteration += 1;
        }
        self.plan_next(at, effects);
    }
}
