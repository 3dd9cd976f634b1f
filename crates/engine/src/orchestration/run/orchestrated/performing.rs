//! What a function that plans decides, carried out: model calls, tools, judgements, the answer.

use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, Tool, ToolResultBlock, ToolResultContentBlock,
    ToolResultStatus, ToolUseBlock,
};
use outcrop_model::timestamp::Timestamp;

use super::super::closing::spoken;
use super::super::messages::{asked_question, sanitised};
use super::super::{Phase, Run, emit_trace};
use super::{Decided, decided_badly, result_text, unanswered};
use crate::converse::text_of;
use crate::history::Utterance;
use crate::orchestration::acting::CallSlot;
use crate::orchestration::effect::{
    Effect, Effects, Emission, ModelCall, Outcome, PendingAssessment,
};
use crate::orchestration::event::{GuardrailAssessed, ModelReplied};
use crate::orchestration::failure::Failure;
use crate::orchestrator::{
    self, APPLY_GUARDRAIL_INVOKED, Decision, GuardrailAsk, MODEL_INVOKED, ModelRequestGiven,
    OWN_STATES_MAX, TOOL_INVOKED,
};
use crate::plan::ASK_USER_TOOL;
use crate::trace;

/// What the function hears of a piece of the answer.
const PIECE_SENT: &str = "The text was sent to the user.";
/// What it finds, in the next turn, of a message to the user.
const TOLD: &str = "The message was sent to the user.";
/// What it finds, in the next turn, of a question.
const ASKED: &str = "The question was put to the user. The reply follows.";

impl Run {
    pub(super) fn perform(&mut self, at: Timestamp, decided: Decided<'_>, effects: &mut Effects) {
        self.orchestrated.own_states = match decided.decision {
            Decision::OwnState => self.orchestrated.own_states + 1,
            _ => 0,
        };
        match decided.decision {
            Decision::InvokeModel(request) => self.call_given_model(at, *request, effects),
            Decision::InvokeTool(tool_use) => {
                self.call_tool(at, &tool_use, decided.invocation_id, effects);
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
    pub(in crate::orchestration::run) fn given_model_replied(
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
        tool_use: &ToolUseBlock,
        invocation_id: &str,
        effects: &mut Effects,
    ) {
        let message = Message {
            role: ConversationRole::Assistant,
            content: vec![ContentBlock::ToolUse(tool_use.clone())],
        };
        if let Some(text) = self.told_user(&message) {
            self.close_step(&tool_use.tool_use_id, TOLD);
            return self.finish_orchestrated(&text, effects);
        }
        self.turn.push(sanitised(&message));
        if self.plan.asks_user
            && let Some(question) = asked_question(&message)
        {
            self.close_calls(&message, ASK_USER_TOOL, ASKED);
            self.close_step(&tool_use.tool_use_id, ASKED);
            self.orchestrated.turn.agent_output.push_str(&question);
            return self.ask_user(at, question, effects);
        }
        let slots = vec![CallSlot::new(&self.plan, tool_use)];
        self.run_calls(at, slots, invocation_id, effects);
    }

    /// A step that the function is not called for any more, so that the next turn does not find a call
    /// without what became of it.
    fn close_step(&mut self, tool_use_id: &str, text: &str) {
        let result = tool_text(tool_use_id, text, ToolResultStatus::Success);
        let steps = &mut self.orchestrated.turn.intermediary_steps;
        steps.push(unanswered(TOOL_INVOKED, result));
    }

    /// Tells the function what a tool gave. `message` holds the one result block.
    pub(in crate::orchestration::run) fn tool_invoked(
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
    pub(in crate::orchestration::run) fn given_guardrail_assessed(
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

    /// The answer: no FINISH observation comes before it. Pieces that were sent belong to it.
    pub(super) fn finish_orchestrated(&mut self, text: &str, effects: &mut Effects) {
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

    pub(super) fn send_piece(&mut self, text: String, effects: &mut Effects) {
        if text.is_empty() {
            return;
        }
        self.orchestrated.turn.agent_output.push_str(&text);
        effects.push(Effect::Emit(Emission::Chunk(text)));
    }
}

fn tool_text(tool_use_id: &str, text: &str, status: ToolResultStatus) -> String {
    orchestrator::tool_text(ToolResultBlock {
        content: vec![ToolResultContentBlock::Text(text.to_owned())],
        status: Some(status),
        tool_use_id: tool_use_id.to_owned(),
        type_: None,
    })
}
