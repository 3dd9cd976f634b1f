//! A turn that a function plans for (`CUSTOM_ORCHESTRATION`, behaviour.md 5).
//!
//! The function is asked what comes next and told what came of it, until it says FINISH. It writes the
//! model's whole request, and it calls tools one at a time through the same slots as the default loop:
//! functions, code, collaborators, knowledge bases, returns of control. It applies the guardrail
//! itself, and no prompt of the agent is used.
//!
//! Invariant: at any time either the function is being called, or exactly one thing that it decided is
//! being done.

use std::sync::Arc;

use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, Tool, ToolResultBlock, ToolResultContentBlock,
    ToolResultStatus, ToolUseBlock,
};
use outcrop_model::timestamp::Timestamp;

use super::closing::spoken;
use super::messages::{asked_question, given, results, sanitised};
use super::parsing::payload;
use super::{Phase, Run, emit_trace};
use crate::action::lambda::ReplyFault;
use crate::converse::{text_of, user_text};
use crate::history::Utterance;
use crate::orchestration::acting::{CallSlot, OUTCOME_UNKNOWN};
use crate::orchestration::effect::{
    Effect, Effects, Emission, ModelCall, Outcome, PendingAssessment, PendingFunction,
};
use crate::orchestration::event::{FunctionReturned, GuardrailAssessed, ModelReplied, Started};
use crate::orchestration::failure::{Evidence, Failure};
use crate::orchestrator::{
    self, APPLY_GUARDRAIL_INVOKED, CALLS_MAX, Decision, Directive, EVENT_BYTES_MAX, EventInput,
    GuardrailAsk, MODEL_INVOKED, ModelRequestGiven, OWN_STATES_MAX, OrchestratedStep,
    OrchestratedTurn, START, StepInput, StepOutput, TOOL_INVOKED,
};
use crate::plan::ASK_USER_TOOL;
use crate::port::GuardrailSource;
use crate::trace;

/// What the function hears of a piece of the answer.
const PIECE_SENT: &str = "The text was sent to the user.";
/// What it finds, in the next turn, of a question.
const ASKED: &str = "The question was put to the user. The reply follows.";

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
        // Of a streamed answer the last piece ends the turn, as the stream does.
        let streams = directives.len() > 1;
        let asked = self.orchestrated.asked.take().unwrap_or_default();
        for directive in directives {
            self.note(at, &asked, &directive, effects);
            match directive.decision {
                Decision::StreamAnswer { text, .. } if streams => self.send_piece(text, effects),
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

    /// What every directive brings: a step for the session, new attributes, a trace.
    fn note(
        &mut self,
        at: Timestamp,
        asked: &StepInput,
        directive: &Directive,
        effects: &mut Effects,
    ) {
        self.orchestrated
            .turn
            .intermediary_steps
            .push(OrchestratedStep {
                orchestration_input: asked.clone(),
                orchestration_output: StepOutput {
                    event: Some(directive.event.clone()),
                    text: Some(directive.text.clone()),
                },
            });
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

    fn perform(&mut self, at: Timestamp, decided: Decided<'_>, effects: &mut Effects) {
        self.orchestrated.own_states = match decided.decision {
            Decision::OwnState => self.orchestrated.own_states + 1,
            _ => 0,
        };
        match decided.decision {
            Decision::InvokeModel(request) => self.call_given_model(at, *request, effects),
            Decision::InvokeTool(tool_use) => {
                self.call_tool(at, tool_use, decided.invocation_id, effects);
            }
            Decision::StreamAnswer { tool_use_id, text } => {
                self.send_piece(text, effects);
                let result = tool_text(&tool_use_id, PIECE_SENT, ToolResultStatus::Success);
                self.next_step(at, TOOL_INVOKED, result, effects);
            }
            Decision::ApplyGuardrail(ask) => self.apply_given_guardrail(at, ask, effects),
            Decision::Finish => self.finish_orchestrated(&decided.text, effects),
            Decision::OwnState if self.orchestrated.own_states > OWN_STATES_MAX => {
                let function = self.plan.definition.orchestrator_lambda.clone();
                let detail = format!(
                    "actionEvent: expected at most {OWN_STATES_MAX} states of its own in a row, got {}",
                    decided.event
                );
                let failure = decided_badly(&function.unwrap_or_default(), detail);
                self.fail(at, failure, effects);
            }
            Decision::OwnState => self.next_step(at, &decided.event, decided.text, effects),
        }
    }

    /// Tells the function what came of its decision. Trace ids count its calls.
    fn next_step(&mut self, at: Timestamp, state: &str, text: String, effects: &mut Effects) {
        self.iteration += 1;
        self.ask_orchestrator(at, state.to_owned(), text, effects);
    }

    fn call_given_model(&mut self, at: Timestamp, given: ModelRequestGiven, effects: &mut Effects) {
        let limit = self.budget().model_calls;
        if self.spent.model_calls >= limit {
            let failure = Failure::budget("model calls", u64::from(limit), "limits.model_calls");
            return self.fail(at, failure, effects);
        }
        self.spent.model_calls += 1;
        self.phase = Phase::Planning;
        if self.traces() {
            let part = trace::custom::given_model_input(&given, self.trace_id());
            emit_trace(at, part, effects);
        }
        let mut request = given.request;
        self.orchestrated.model.clone_from(&request.model);
        let named = |name: &str| {
            request.tools.iter().any(|tool| match tool {
                Tool::ToolSpec(spec) => spec.name == name,
                _ => false,
            })
        };
        let vendor_tools = self.plan.vendor_tools.iter();
        request.vendor_tools = vendor_tools
            .filter(|tool| named(&tool.name))
            .cloned()
            .collect();
        effects.push(Effect::CallModel(Box::new(ModelCall {
            request,
            live: None,
        })));
    }

    /// Takes the model's reply. The rationale comes before the output here, unlike in the default loop.
    pub(super) fn given_model_replied(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        effects: &mut Effects,
    ) {
        self.spend_tokens(reply);
        if self.traces() {
            let text = text_of(&reply.message);
            if !text.trim().is_empty() {
                self.show_rationale(at, text, effects);
            }
            let part =
                trace::custom::given_model_output(&reply.message, reply.usage, self.trace_id());
            emit_trace(at, part, effects);
        }
        let limit = self.budget().tokens;
        if self.spent.tokens > limit {
            let failure = Failure::budget("tokens", limit, "limits.tokens");
            return self.fail(at, failure, effects);
        }
        let text = orchestrator::model_text(&reply.message, reply.stop_reason);
        self.next_step(at, MODEL_INVOKED, text, effects);
    }

    /// Has one tool called, as the default loop would; one that the model never asked for is fine.
    fn call_tool(
        &mut self,
        at: Timestamp,
        tool_use: ToolUseBlock,
        invocation_id: &str,
        effects: &mut Effects,
    ) {
        let message = Message {
            role: ConversationRole::Assistant,
            content: vec![ContentBlock::ToolUse(tool_use.clone())],
        };
        if let Some(text) = self.told_user(&message) {
            return self.finish_orchestrated(&text, effects);
        }
        self.turn.push(sanitised(&message));
        if self.plan.asks_user
            && let Some(question) = asked_question(&message)
        {
            self.close_calls(&message, ASK_USER_TOOL, ASKED);
            let result = tool_text(&tool_use.tool_use_id, ASKED, ToolResultStatus::Success);
            let steps = &mut self.orchestrated.turn.intermediary_steps;
            steps.push(unanswered(TOOL_INVOKED, result));
            self.orchestrated.turn.agent_output.push_str(&question);
            return self.ask_user(at, question, effects);
        }
        let slots = vec![CallSlot::new(&self.plan, &tool_use)];
        self.run_calls(at, slots, invocation_id, effects);
    }

    /// Tells the function what a tool gave. `message` holds the one result block.
    pub(super) fn tool_invoked(
        &mut self,
        at: Timestamp,
        message: &Utterance,
        resumed_without_calls: bool,
        effects: &mut Effects,
    ) {
        let Some(text) = result_text(message.message()) else {
            return;
        };
        if resumed_without_calls {
            // Nothing of this request has been traced yet.
            self.ask_orchestrator(at, TOOL_INVOKED.to_owned(), text, effects);
        } else {
            self.next_step(at, TOOL_INVOKED, text, effects);
        }
    }

    fn apply_given_guardrail(&mut self, at: Timestamp, ask: GuardrailAsk, effects: &mut Effects) {
        let own = self.plan.definition.guardrail.as_ref();
        let guardrail = GuardrailConfiguration {
            guardrail_identifier: ask
                .guardrail
                .guardrail_identifier
                .clone()
                .or_else(|| own?.guardrail_identifier.clone()),
            guardrail_version: ask
                .guardrail
                .guardrail_version
                .clone()
                .or_else(|| own?.guardrail_version.clone()),
        };
        let missing = match (
            &guardrail.guardrail_identifier,
            &guardrail.guardrail_version,
        ) {
            (None, _) => Some("guardrailIdentifier"),
            (_, None) => Some("guardrailVersion"),
            _ => None,
        };
        if let Some(member) = missing {
            let function = self.plan.definition.orchestrator_lambda.clone();
            let detail = format!(
                "output.text.{member}: expected a string, since the agent has no guardrail, got nothing"
            );
            let failure = decided_badly(&function.unwrap_or_default(), detail);
            return self.fail(at, failure, effects);
        }
        self.phase = Phase::Judging;
        self.orchestrated.judged = Some(ask.source);
        effects.push(Effect::ApplyGuardrail(PendingAssessment {
            guardrail,
            source: ask.source,
            text: ask.text,
        }));
    }

    /// Tells the function how a guardrail judged. Without a judgement nothing goes on.
    pub(super) fn given_guardrail_assessed(
        &mut self,
        at: Timestamp,
        assessed: &GuardrailAssessed,
        effects: &mut Effects,
    ) {
        if let Some(source) = self.orchestrated.judged.take() {
            self.show(
                at,
                |run| trace::steps::guardrail(source, assessed, run.trace_id()),
                effects,
            );
        }
        match &assessed.result {
            Ok(assessment) => {
                let text = orchestrator::assessment_text(assessment);
                self.next_step(at, APPLY_GUARDRAIL_INVOKED, text, effects);
            }
            Err(error) => self.fail(at, Failure::guardrail(error), effects),
        }
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

    /// The answer: no FINISH observation comes before it. Pieces that were sent belong to it.
    fn finish_orchestrated(&mut self, text: &str, effects: &mut Effects) {
        let sent = !self.orchestrated.turn.agent_output.is_empty();
        if !sent || !text.is_empty() {
            effects.push(Effect::Emit(Emission::Chunk(text.to_owned())));
        }
        let answer = &mut self.orchestrated.turn.agent_output;
        answer.push_str(text);
        self.turn.push(spoken(answer));
        self.answered = true;
        self.finish(Outcome::Completed, effects);
    }

    fn send_piece(&mut self, text: String, effects: &mut Effects) {
        if text.is_empty() {
            return;
        }
        self.orchestrated.turn.agent_output.push_str(&text);
        effects.push(Effect::Emit(Emission::Chunk(text)));
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

fn tool_text(tool_use_id: &str, text: &str, status: ToolResultStatus) -> String {
    orchestrator::tool_text(ToolResultBlock {
        content: vec![ToolResultContentBlock::Text(text.to_owned())],
        status: Some(status),
        tool_use_id: tool_use_id.to_owned(),
        type_: None,
    })
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
