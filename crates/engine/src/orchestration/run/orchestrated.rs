//! A turn that a function plans for (`CUSTOM_ORCHESTRATION`, behaviour.md 5).
//!
//! The function is asked what comes next and told what came of it, until it says FINISH. It writes the
//! model's whole request, and it calls tools one at a time through the same slots as the default loop:
//! functions, code, collaborators, knowledge bases, returns of control. It applies the guardrail
//! itself, and no prompt of the agent is used.
//!
//! Invariant: at any time either the function is being called, or exactly one thing that it decided is
//! being done.

mod performing;

use std::sync::Arc;

use outcrop_model::converse::{ContentBlock, ConversationRole, Message};
use outcrop_model::timestamp::Timestamp;

use super::messages::{given, results};
use super::parsing::payload;
use super::{Phase, Run};
use crate::action::lambda::ReplyFault;
use crate::converse::{text_of, user_text};
use crate::history::Utterance;
use crate::orchestration::acting::OUTCOME_UNKNOWN;
use crate::orchestration::effect::{Effect, Effects, PendingFunction};
use crate::orchestration::event::{FunctionReturned, Started};
use crate::orchestration::failure::{Evidence, Failure};
use crate::orchestrator::{
    self, CALLS_MAX, Decision, Directive, EVENT_BYTES_MAX, EventInput, OrchestratedStep,
    OrchestratedTurn, START, StepInput, StepOutput, TOOL_INVOKED,
};
use crate::port::GuardrailSource;
use crate::trace;

/// What such a turn keeps track of.
#[derive(Clone, Debug, Default)]
pub(super) struct Orchestrated {
    /// The turn as the function is shown it: the steps it has answered.
    turn: OrchestratedTurn,
    /// What it is being asked; `None` while something is done for it.
    asked: Option<StepInput>,
    calls: u32,
    own_states: u32,
    /// The model it has asked last; empty before.
    model: String,
    /// Whether what is judged for it counts as input or as output.
    judged: Option<GuardrailSource>,
    /// Turns that the caller described (`conversationHistory`), which have no steps.
    told: Vec<Arc<OrchestratedTurn>>,
}

impl Run {
    /// Whether a function plans for this agent.
    pub(super) fn is_orchestrated(&self) -> bool {
        self.plan.definition.orchestrator_lambda.is_some()
    }

    /// Begins the turn: the first state is START.
    pub(super) fn begin_orchestrated(&mut self, at: Timestamp, effects: &mut Effects) {
        let Some(started) = self.started.as_deref() else {
            return;
        };
        self.turn = given(started, &self.before.history);
        self.turn
            .push(Utterance::new(user_text(&started.input_text)));
        self.orchestrated = Orchestrated {
            turn: OrchestratedTurn {
                agent_input: started.input_text.clone(),
                ..OrchestratedTurn::default()
            },
            told: told(started),
            ..Orchestrated::default()
        };
        let text = orchestrator::start_text(&started.input_text);
        self.ask_orchestrator(at, START.to_owned(), text, effects);
    }

    /// Calls the function with a state and what belongs to it.
    fn ask_orchestrator(
        &mut self,
        at: Timestamp,
        state: String,
        text: String,
        effects: &mut Effects,
    ) {
        let Some(function) = self.plan.definition.orchestrator_lambda.clone() else {
            return;
        };
        self.phase = Phase::Orchestrating;
        self.orchestrated.calls += 1;
        if self.orchestrated.calls > CALLS_MAX {
            let detail = format!("the turn: expected FINISH within {CALLS_MAX} calls");
            return self.fail(at, decided_badly(&function, detail), effects);
        }
        let asked = StepInput { state, text };
        let event = self.orchestrator_event(&asked);
        self.orchestrated.asked = Some(asked);
        if event.len() > EVENT_BYTES_MAX {
            let detail = format!(
                "the event for the next state would have {} bytes, at most {EVENT_BYTES_MAX} fit a call",
                event.len()
            );
            return self.fail(at, decided_badly(&function, detail), effects);
        }
        let run_id = self.started.as_ref().map_or("", |started| &started.run_id);
        effects.push(Effect::CallOrchestrator(PendingFunction {
            function,
            event,
            idempotency_key: format!("{run_id}/orchestrator/{}", self.orchestrated.calls),
        }));
    }

    fn orchestrator_event(&self, asked: &StepInput) -> Vec<u8> {
        let Some(started) = &self.started else {
            return Vec::new();
        };
        let session: Vec<Arc<OrchestratedTurn>> = self
            .before
            .orchestrated
            .iter()
            .chain(&self.orchestrated.told)
            .cloned()
            .collect();
        orchestrator::event(&EventInput {
            state: &asked.state,
            text: &asked.text,
            request_id: &started.request.request_id,
            session_id: &started.session_id,
            instruction: &self.plan.definition.instruction,
            default_model: self.plan.model(),
            tools: &self.plan.tools,
            guardrail: self.plan.definition.guardrail.as_ref(),
            session: &session,
            turn: &self.orchestrated.turn,
            session_attributes: &started.session_attributes,
            prompt_session_attributes: &started.prompt_session_attributes,
        })
    }

    /// Takes the function's decision and has it done.
    pub(super) fn orchestrator_replied(
        &mut self,
        at: Timestamp,
        returned: &FunctionReturned,
        effects: &mut Effects,
    ) {
        let Some(function) = self.plan.definition.orchestrator_lambda.clone() else {
            return;
        };
        let (payload, evidence) = match payload(&function, returned) {
            Ok(replied) => replied,
            Err(failure) => return self.fail(at, failure, effects),
        };
        let directives = match orchestrator::read_reply(payload.as_bytes(), self.plan.strictness) {
            Ok(directives) => directives,
            Err(fault) => {
                return self.fail(at, Failure::reply(&function, &fault, evidence), effects);
            }
        };
        let last = directives.len().saturating_sub(1);
        for (index, directive) in directives.into_iter().enumerate() {
            self.note(at, &directive, effects);
            if index == last {
                self.remember_step(&directive);
            }
            match directive.decision {
                // Of a streamed answer the last piece ends the turn, as the stream does.
                Decision::StreamAnswer { text, .. } if last > 0 => self.send_piece(text, effects),
                decision => {
                    let decided = Decided {
                        decision,
                        event: directive.event,
                        text: directive.text,
                        invocation_id: &returned.invocation_id,
                    };
                    return self.perform(at, decided, effects);
                }
            }
        }
        self.finish_orchestrated("", effects);
    }

    /// One call is one step, however many pieces of an answer came before what it decided.
    fn remember_step(&mut self, decided: &Directive) {
        let asked = self.orchestrated.asked.take().unwrap_or_default();
        let steps = &mut self.orchestrated.turn.intermediary_steps;
        steps.push(OrchestratedStep {
            orchestration_input: asked,
            orchestration_output: StepOutput {
                event: Some(decided.event.clone()),
                text: Some(decided.text.clone()),
            },
        });
    }

    /// What every directive may bring: new attributes, a trace.
    fn note(&mut self, at: Timestamp, directive: &Directive, effects: &mut Effects) {
        if let Some(started) = &mut self.started {
            if let Some(attributes) = &directive.session_attributes {
                started.session_attributes.clone_from(attributes);
            }
            if let Some(attributes) = &directive.prompt_session_attributes {
                started.prompt_session_attributes.clone_from(attributes);
            }
        }
        if let Some(text) = &directive.trace {
            self.show(
                at,
                |run| trace::custom::custom_orchestration(text.clone(), run.trace_id()),
                effects,
            );
        }
    }

    /// Tells the function what came of its decision. Trace ids count its calls.
    fn next_step(&mut self, at: Timestamp, state: &str, text: String, effects: &mut Effects) {
        self.iteration += 1;
        self.ask_orchestrator(at, state.to_owned(), text, effects);
    }

    /// The model that the loop asks, as its failures name it.
    pub(super) fn asked_model(&self) -> &str {
        match self.orchestrated.model.as_str() {
            "" => self.plan.model(),
            model => model,
        }
    }

    /// Names the step in the keys of its calls: no two calls of a turn may share one.
    pub(super) fn step_key(&self) -> String {
        if self.is_orchestrated() {
            format!("orchestrator-{}", self.orchestrated.calls)
        } else {
            self.spent.model_calls.to_string()
        }
    }

    /// The turns that the session is to remember: those the caller described, then this one. For a
    /// finished turn.
    pub(super) fn orchestrated_turns(&self) -> Vec<OrchestratedTurn> {
        if !self.is_orchestrated() || self.started.is_none() {
            return Vec::new();
        }
        let told = self.orchestrated.told.iter();
        let told = told.map(|turn| turn.as_ref().clone());
        told.chain([self.closed_turn()]).collect()
    }

    fn closed_turn(&self) -> OrchestratedTurn {
        let mut turn = self.orchestrated.turn.clone();
        let open = match &self.acting {
            Some(acting) => result_text(results(acting, OUTCOME_UNKNOWN).message())
                .map(|text| unanswered(TOOL_INVOKED, text)),
            None => self
                .orchestrated
                .asked
                .as_ref()
                .map(|asked| OrchestratedStep {
                    orchestration_input: asked.clone(),
                    orchestration_output: StepOutput::default(),
                }),
        };
        turn.intermediary_steps.extend(open);
        turn
    }
}

/// A decision with what is needed to carry it out.
struct Decided<'a> {
    decision: Decision,
    event: String,
    text: String,
    invocation_id: &'a str,
}

fn unanswered(state: &str, text: String) -> OrchestratedStep {
    OrchestratedStep {
        orchestration_input: StepInput {
            state: state.to_owned(),
            text,
        },
        orchestration_output: StepOutput::default(),
    }
}

fn decided_badly(function: &str, detail: String) -> Failure {
    Failure::reply(function, &ReplyFault::generic(detail), Evidence::default())
}

fn result_text(message: &Message) -> Option<String> {
    message.content.iter().find_map(|block| match block {
        ContentBlock::ToolResult(result) => Some(orchestrator::tool_text(result.clone())),
        _ => None,
    })
}

/// `conversationHistory` as turns: what was said, without steps.
fn told(started: &Started) -> Vec<Arc<OrchestratedTurn>> {
    let mut turns: Vec<OrchestratedTurn> = Vec::new();
    for message in &started.conversation_history {
        let text = text_of(message);
        match turns.last_mut() {
            Some(turn) if message.role == ConversationRole::Assistant => {
                turn.agent_output.push_str(&text);
            }
            _ if message.role == ConversationRole::Assistant => {}
            _ => turns.push(OrchestratedTurn {
                agent_input: text,
                ..OrchestratedTurn::default()
            }),
        }
    }
    turns.into_iter().map(Arc::new).collect()
}
