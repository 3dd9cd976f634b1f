//! Asking the model and taking its reply: the planning half of a run.

use std::sync::Arc;

use outcrop_model::converse::{ConversationRole, Message, ToolResultStatus};
use outcrop_model::runtime::OrchestrationTrace;
use outcrop_model::timestamp::Timestamp;

use super::messages::{
    asked_question, closed_without_calls, given, rationale, sanitised, utterance,
};
use super::{Phase, Run, emit_trace};
use crate::converse::{text_of, tool_result, tool_uses, user_text};
use crate::files;
use crate::history::{Utterance, alternating};
use crate::orchestration::acting::{Acting, CallSlot, NOT_MADE};
use crate::orchestration::effect::{Effect, Effects, Emission, LiveAnswer, ModelCall, Outcome};
use crate::orchestration::event::{ModelReplied, Started};
use crate::orchestration::failure::Failure;
use crate::plan::ASK_USER_TOOL;
use crate::port::{Delivery, ModelRequest};
use crate::prompt::answer;
use crate::prompt::template::Values;
use crate::trace;

/// How often an empty model message is asked for again before the turn fails.
const EMPTY_REPLIES_MAX: u32 = 2;

impl Run {
    pub(super) fn start(&mut self, at: Timestamp, started: &Started, effects: &mut Effects) {
        self.started = Some(Box::new(started.clone()));
        self.request_started_at = at;
        self.files = files::joined(&self.files, &started.files);
        self.fill_template(true);
        self.plan_next(at, effects);
    }

    /// Fills the template: the system text always, the question only when the turn begins.
    pub(super) fn fill_template(&mut self, begins: bool) {
        let Some(started) = &self.started else { return };
        if !self.plan.definition.orchestration.enabled {
            if begins {
                self.turn = given(started, &self.before.history);
                self.turn
                    .push(Utterance::new(user_text(&started.input_text)));
            }
            return;
        }
        let attributes = trace::prompt_attributes(&started.prompt_session_attributes);
        let code_interpreter_files = files::listed(&self.files);
        let filled = self.plan.template.fill(&Values {
            instruction: &self.plan.definition.instruction,
            question: &started.input_text,
            ask_user: self.plan.ask_user_rule(),
            prompt_session_attributes: &attributes,
            tools: &self.plan.tools_text,
            code_interpreter: self.plan.code_rule(),
            code_interpreter_files: &code_interpreter_files,
            ..Values::default()
        });
        self.system = Arc::from(filled.system.trim());
        if begins {
            self.turn = given(started, &self.before.history);
            self.turn.extend(filled.before.into_iter().map(utterance));
        }
        self.suffix = filled.after.into_iter().map(utterance).collect();
    }

    pub(super) fn plan_next(&mut self, at: Timestamp, effects: &mut Effects) {
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
            Vec::with_capacity(self.before.history.len() + self.turn.len() + self.suffix.len());
        conversation.extend_from_slice(&self.before.history);
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
            emit_trace(at, part, effects);
        }
        let streams = self.request().is_some_and(|request| request.stream);
        let request = ModelRequest {
            model: self.plan.model().to_owned(),
            system: Arc::clone(&self.system),
            messages: conversation
                .iter()
                .map(|utterance| Arc::clone(utterance.message()))
                .collect(),
            tools: Arc::clone(&self.plan.tools),
            vendor_tools: Arc::clone(&self.plan.vendor_tools),
            tool_choice: None,
            inference: self.plan.inference(),
            additional_fields: self.plan.definition.orchestration.additional_fields.clone(),
            delivery: if streams {
                Delivery::Streamed
            } else {
                Delivery::Whole
            },
            ..ModelRequest::default()
        };
        let live = streams.then_some(LiveAnswer {
            may_call_tools: !self.plan.tools.is_empty(),
            guardrail: None,
        });
        effects.push(Effect::CallModel(Box::new(ModelCall { request, live })));
    }

    pub(super) fn model_replied(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        effects: &mut Effects,
    ) {
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
            emit_trace(at, part, effects);
            if let Some(text) = rationale(&reply.message, &reading, acts) {
                let part = trace::rationale(text, self.trace_id());
                emit_trace(at, part, effects);
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

    pub(super) fn answer(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        answer: String,
        effects: &mut Effects,
    ) {
        if answer.trim().is_empty() {
            self.empty_replies += 1;
            if self.empty_replies > EMPTY_REPLIES_MAX {
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
    pub(super) fn conclude(
        &mut self,
        at: Timestamp,
        text: String,
        asks: bool,
        effects: &mut Effects,
    ) {
        if self.traces() {
            let part =
                trace::final_response(&text, asks, self.request_started_at, at, self.trace_id());
            emit_trace(at, OrchestrationTrace::Observation(part), effects);
        }
        self.answered = true;
        let streamed = !asks && self.request().is_some_and(|request| request.stream);
        if !streamed {
            effects.push(Effect::Emit(Emission::Chunk(text)));
        }
        self.finish(Outcome::Completed, effects);
    }

    pub(super) fn act(&mut self, at: Timestamp, reply: &ModelReplied, effects: &mut Effects) {
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
        self.begin_code(effects);
        self.spend_actions(at, invoked, effects);
        self.advance(at, effects);
    }
}
