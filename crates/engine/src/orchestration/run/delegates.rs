//! Messages to collaborators, and how calls that no action serves appear in the trace.

use outcrop_model::converse::ToolResultStatus;
use outcrop_model::runtime::{OrchestrationTrace, RoutingClassifierTrace, Trace};
use outcrop_model::timestamp::Timestamp;

use super::Run;
use super::closing::spoken;
use crate::definition::CollaboratorDefinition;
use crate::orchestration::acting::{Acting, CallSlot, Delegate, Observed, ObservedCall, SlotState};
use crate::orchestration::effect::{CollaboratorAsk, Effect, Effects, PendingCollaborator};
use crate::orchestration::event::{Budget, CollaboratorReplied, CollaboratorResult};
use crate::orchestration::failure::Failure;
use crate::payload;
use crate::trace;

impl Run {
    /// Calls the collaborators that can be called now; gives their number.
    pub(super) fn begin_collaborators(&mut self, effects: &mut Effects) -> u32 {
        let budget = self.share();
        let relayed = std::cell::OnceCell::new();
        let attributes = self
            .started
            .as_ref()
            .map(|started| started.session_attributes.clone())
            .unwrap_or_default();
        let Some(mut acting) = self.acting.take() else {
            return 0;
        };
        let mut begun_now = 0;
        for index in 0..acting.slots.len() {
            if !may_begin(&acting, index) {
                continue;
            }
            let Some(CallSlot {
                delegate:
                    Some(Delegate::Collaborator {
                        collaborator,
                        ask,
                        begun,
                        granted_tokens,
                        ..
                    }),
                ..
            }) = acting.slots.get_mut(index)
            else {
                continue;
            };
            *begun = true;
            begun_now += 1;
            // One that goes on has its share already.
            if matches!(ask, CollaboratorAsk::Message { .. }) {
                *granted_tokens = budget.tokens;
            }
            let ask = match &*ask {
                CollaboratorAsk::Message { text, .. } => CollaboratorAsk::Message {
                    text: self.expanded(text),
                    history: if collaborator.relays_history {
                        relayed.get_or_init(|| self.relayed()).clone()
                    } else {
                        Vec::new()
                    },
                },
                results @ CollaboratorAsk::Results { .. } => results.clone(),
            };
            effects.push(Effect::CallCollaborator(Box::new(PendingCollaborator {
                index,
                collaborator: (**collaborator).clone(),
                ask,
                session_attributes: attributes.clone(),
                budget,
            })));
        }
        self.acting = Some(acting);
        begun_now
    }

    /// The request goes to a collaborator, whose answer is the agent's.
    pub(super) fn hand_over(
        &mut self,
        at: Timestamp,
        collaborator: CollaboratorDefinition,
        text: Option<String>,
        effects: &mut Effects,
    ) {
        let input = self.started.as_ref().map(|started| &started.input_text);
        let text = text.or_else(|| input.cloned()).unwrap_or_default();
        self.before.last_collaborator = Some(collaborator.name.clone());
        self.routed = true;
        let slot = CallSlot {
            tool_use_id: String::new(),
            action: None,
            arguments: Vec::new(),
            delegate: Some(Delegate::Collaborator {
                collaborator: Box::new(collaborator),
                ask: CollaboratorAsk::Message {
                    text,
                    history: Vec::new(),
                },
                begun: false,
                shown: false,
                waits: None,
                granted_tokens: 0,
            }),
            state: SlotState::Running,
            observed: None,
            found: None,
        };
        let uuid = self.uuid.clone();
        self.run_calls(at, vec![slot], &uuid, effects);
    }

    pub(super) fn collaborator_replied(
        &mut self,
        at: Timestamp,
        replied: &CollaboratorReplied,
        effects: &mut Effects,
    ) {
        let Some(slot) = self
            .acting
            .as_mut()
            .and_then(|acting| acting.slots.get_mut(replied.index))
            .filter(|slot| slot.state == SlotState::Running)
        else {
            return;
        };
        let Some(Delegate::Collaborator {
            waits,
            granted_tokens,
            ..
        }) = &mut slot.delegate
        else {
            return;
        };
        *granted_tokens = match &replied.result {
            CollaboratorResult::ReturnedControl(_) => {
                granted_tokens.saturating_sub(replied.spent.tokens)
            }
            CollaboratorResult::Answered(_) | CollaboratorResult::Failed { .. } => 0,
        };
        let done = |text: &str, status| SlotState::Done {
            text: text.to_owned(),
            image: None,
            status,
        };
        slot.state = match &replied.result {
            CollaboratorResult::Answered(text) => done(text, ToolResultStatus::Success),
            CollaboratorResult::Failed { message, .. } => done(
                &format!("The agent failed. {message}"),
                ToolResultStatus::Error,
            ),
            CollaboratorResult::ReturnedControl(payload) => {
                *waits = Some(payload.clone());
                SlotState::Awaiting
            }
        };
        slot.observed = Some(Box::new(Observed {
            started_at: replied.started_at,
            ended_at: replied.ended_at,
            of: ObservedCall::Collaborator {
                client_request_id: replied.client_request_id.clone(),
                result: replied.result.clone(),
            },
        }));
        if let CollaboratorResult::Failed { kind, message } = &replied.result
            && self.routed
        {
            self.routed_failure = Some((*kind, message.clone()));
        }
        self.spent.tokens += replied.spent.tokens;
        self.begin_collaborators(effects);
        self.advance(at, effects);
    }

    /// A routed collaborator is done: its answer is the turn's.
    pub(super) fn close_routed(&mut self, at: Timestamp, acting: &Acting, effects: &mut Effects) {
        let Some(slot) = acting.slots.first() else {
            return;
        };
        let SlotState::Done { text, status, .. } = &slot.state else {
            return;
        };
        if *status == ToolResultStatus::Error {
            let (kind, message) = self.routed_failure.clone().unwrap_or((
                outcrop_model::exception::ExceptionKind::DependencyFailed,
                text.clone(),
            ));
            return self.fail(at, Failure::collaborator(kind, &message), effects);
        }
        self.turn.push(spoken(text));
        self.close(at, text.clone(), &[], effects);
    }

    /// What each collaborator that is called now may spend. A turn's limits on calls are those of one
    /// agent, and a collaborator is another; what the whole tree of them costs is bounded by the
    /// tokens: those that are called at once share what is neither spent nor granted to others.
    fn share(&self) -> Budget {
        let budget = self.budget();
        let Some(acting) = &self.acting else {
            return budget;
        };
        let granted: u64 = acting
            .slots
            .iter()
            .map(|slot| match &slot.delegate {
                Some(Delegate::Collaborator { granted_tokens, .. }) => *granted_tokens,
                _ => 0,
            })
            .sum();
        let called = (0..acting.slots.len()).filter(|index| may_begin(acting, *index));
        let sharers = u64::try_from(called.count().max(1)).unwrap_or(u64::MAX);
        let left = budget.tokens.saturating_sub(self.spent.tokens);
        Budget {
            tokens: left.saturating_sub(granted) / sharers,
            ..budget
        }
    }

    /// A message with the payloads it refers to in place (behaviour.md 11.2).
    pub(super) fn expanded(&self, text: &str) -> String {
        let said = self.before.history.iter().chain(&self.turn);
        payload::expand(text, &said.map(|utterance| utterance.message().as_ref()))
    }

    /// The trace of a call that begins, in its place among the others.
    pub(super) fn show_begun(
        &self,
        at: Timestamp,
        index: usize,
        slot: &mut CallSlot,
        effects: &mut Effects,
    ) {
        match &mut slot.delegate {
            Some(Delegate::KnowledgeBase {
                id, query, shown, ..
            }) if !*shown => {
                *shown = true;
                self.show(
                    at,
                    |run| {
                        let part = trace::steps::lookup_input(id, query, run.trace_id());
                        Trace::OrchestrationTrace(part)
                    },
                    effects,
                );
            }
            Some(Delegate::Collaborator {
                collaborator,
                ask,
                begun: true,
                shown,
                ..
            }) if !*shown => {
                *shown = true;
                self.show(
                    at,
                    |run| {
                        let input = match &*ask {
                            CollaboratorAsk::Message { text, .. } => {
                                trace::steps::message(&run.expanded(text))
                            }
                            CollaboratorAsk::Results {
                                invocation_id,
                                results,
                            } => super::control::shown_results(invocation_id, results),
                        };
                        let id = run.collaboration_trace_id();
                        let part = trace::steps::collaborator_input(collaborator, input, id);
                        if run.routed {
                            Trace::RoutingClassifierTrace(RoutingClassifierTrace::InvocationInput(
                                part,
                            ))
                        } else {
                            Trace::OrchestrationTrace(OrchestrationTrace::InvocationInput(part))
                        }
                    },
                    effects,
                );
                effects.push(Effect::Reveal(index));
            }
            _ => {}
        }
    }

    /// The trace of a collaborator that replied.
    pub(super) fn show_reply_of(
        &self,
        at: Timestamp,
        collaborator: &CollaboratorDefinition,
        times: (Timestamp, Timestamp),
        (client_request_id, result): (&str, &CollaboratorResult),
        effects: &mut Effects,
    ) {
        self.show(
            at,
            |run| {
                let metadata = trace::metadata(client_request_id, times.0, times.1);
                let id = run.collaboration_trace_id();
                let part = trace::steps::collaborator_output(collaborator, result, metadata, id);
                if run.routed {
                    Trace::RoutingClassifierTrace(RoutingClassifierTrace::Observation(part))
                } else {
                    Trace::OrchestrationTrace(OrchestrationTrace::Observation(part))
                }
            },
            effects,
        );
    }

    fn collaboration_trace_id(&self) -> String {
        if self.routed {
            self.trace_id_of("routing-0")
        } else {
            self.trace_id()
        }
    }
}

/// Whether a collaborator's call is still to be made, and no other call of it is under way.
fn may_begin(acting: &Acting, index: usize) -> bool {
    let name = |slot: &CallSlot| match &slot.delegate {
        Some(Delegate::Collaborator {
            collaborator,
            begun,
            ..
        }) if slot.state == SlotState::Running => Some((collaborator.name.clone(), *begun)),
        _ => None,
    };
    let Some((own, false)) = acting.slots.get(index).and_then(name) else {
        return false;
    };
    let waits = |slot: &CallSlot| {
        matches!(&slot.delegate, Some(Delegate::Collaborator { collaborator, .. })
            if collaborator.name == own && slot.state == SlotState::Awaiting)
    };
    !acting
        .slots
        .iter()
        .any(|slot| waits(slot) || name(slot).is_some_and(|(other, begun)| begun && other == own))
}
