//! Asking the loop's model: the prompt, the conversation around it, the request.

use std::sync::Arc;

use outcrop_model::converse::{ConversationRole, Message};
use outcrop_model::timestamp::Timestamp;

use super::messages::{given, utterance};
use super::{Phase, Run, emit_trace};
use crate::converse::{text_of, user_text};
use crate::files;
use crate::history::{Utterance, alternating};
use crate::orchestration::effect::{Effect, Effects, LiveAnswer, LiveGuardrail, ModelCall};
use crate::orchestration::failure::Failure;
use crate::port::{Delivery, ModelRequest};
use crate::prompt::syntax;
use crate::prompt::template::Values;
use crate::prompt::{conversation, listing};
use crate::trace;

/// `applyGuardrailInterval` where the request names none (behaviour.md 6.6).
const GUARDRAIL_INTERVAL: u32 = 50;

impl Run {
    /// Fills the template: the system text always, the question only when the turn begins.
    pub(super) fn fill_template(&mut self, begins: bool) {
        let Some(started) = &self.started else { return };
        if !self.plan.definition.orchestration.enabled {
            if begins {
                self.turn = given(started, &self.before.history);
                self.turn
                    .push(Utterance::new(user_text(&started.input_text)));
                self.open_turn();
            }
            return;
        }
        let attributes = trace::prompt_attributes(&started.prompt_session_attributes);
        let code_interpreter_files = files::listed(&self.files);
        let collaborators = self.plan.collaborators();
        let history = if self.plan.template.places(HISTORY) {
            conversation::for_history(self.said())
        } else {
            String::new()
        };
        let any_function_name = syntax::any_tool_name(self.plan.syntax, &self.plan.tools);
        let memory_content = listing::memory_content(&started.memory);
        let agent_collaborators = listing::agent_collaborators(collaborators);
        let multi_agent_collaboration = listing::multi_agent_collaboration(collaborators);
        let mut values = Values {
            instruction: &self.plan.definition.instruction,
            question: &started.input_text,
            prompt_session_attributes: &attributes,
            tools: &self.plan.tools_text,
            any_function_name: &any_function_name,
            code_interpreter_files: &code_interpreter_files,
            conversation_history: &history,
            memory_content: &memory_content,
            agent_collaborators: &agent_collaborators,
            multi_agent_collaboration: &multi_agent_collaboration,
            ..Values::default()
        };
        let mut situation = self.plan.situation();
        situation.remembers = !started.memory.is_empty();
        situation.fill(&mut values);
        let filled = self.plan.template.fill(&values);
        self.unusable = filled.check().err().map(|unusable| unusable.to_string());
        self.system = Arc::from(filled.system.trim());
        if begins {
            self.turn = given(started, &self.before.history);
            self.turn.extend(filled.before.into_iter().map(utterance));
            self.open_turn();
        }
        self.suffix = filled.after.into_iter().map(utterance).collect();
    }

    /// Marks where the turn begins in the conversation.
    fn open_turn(&mut self) {
        if let Some(first) = self.turn.first_mut() {
            *first = Utterance::opening(Arc::clone(first.message()));
        }
    }

    pub(super) fn plan_next(&mut self, at: Timestamp, effects: &mut Effects) {
        if let Some(detail) = &self.unusable {
            let failure = Failure::unusable_prompt(detail);
            return self.fail(at, failure, effects);
        }
        let limit = self.budget().model_calls;
        if self.spent.model_calls >= limit {
            let failure = Failure::budget("model calls", u64::from(limit), "limits.model_calls");
            return self.fail(at, failure, effects);
        }
        self.spent.model_calls += 1;
        self.phase = Phase::Planning;
        self.acting = None;
        self.prefill = self.begun_reply();
        if self.quiet {
            return;
        }
        let conversation = self.prompt();
        if self.traces() {
            let part = trace::model_invocation_input(
                &self.plan,
                &self.system,
                &conversation,
                self.trace_id(),
            );
            emit_trace(at, part, effects);
        }
        let live = self.live();
        let request = ModelRequest {
            model: self.plan.model().to_owned(),
            system: Arc::clone(&self.system),
            messages: conversation
                .iter()
                .map(|utterance| Arc::clone(utterance.message()))
                .collect(),
            tools: self.plan.request_tools(),
            vendor_tools: Arc::clone(&self.plan.vendor_tools),
            tool_choice: None,
            inference: self.plan.inference(),
            additional_fields: self.plan.definition.orchestration.additional_fields.clone(),
            delivery: if live.is_some() {
                Delivery::Streamed
            } else {
                Delivery::Whole
            },
            ..ModelRequest::default()
        };
        effects.push(Effect::CallModel(Box::new(ModelCall { request, live })));
    }

    /// The messages of the request: earlier turns, this one, and what the assistant begins with.
    fn prompt(&self) -> Vec<Arc<Utterance>> {
        // A template that has a place for the history shows it there.
        let earlier = if self.plan.template.places(HISTORY) {
            &[][..]
        } else {
            self.earlier()
        };
        let mut conversation =
            Vec::with_capacity(earlier.len() + self.turn.len() + self.suffix.len());
        conversation.extend_from_slice(earlier);
        conversation.extend_from_slice(&self.turn);
        conversation.extend_from_slice(&self.suffix);
        if !self.plan.syntax.is_text() {
            return alternating(&conversation);
        }
        let messages: Vec<Arc<Message>> = conversation
            .iter()
            .map(|utterance| Arc::clone(utterance.message()))
            .collect();
        let encoded: Vec<Arc<Utterance>> = syntax::encode_all(self.plan.syntax, &messages)
            .into_iter()
            .zip(&conversation)
            .map(|(message, utterance)| {
                if Arc::ptr_eq(&message, utterance.message()) {
                    Arc::clone(utterance)
                } else {
                    Utterance::shared(message)
                }
            })
            .collect();
        alternating(&encoded)
    }

    /// What the prompt lets the assistant begin its next reply with.
    fn begun_reply(&self) -> String {
        let last = self.suffix.last().or(self.turn.last());
        match last.map(|utterance| utterance.message()) {
            Some(message) if message.role == ConversationRole::Assistant => text_of(message),
            _ => String::new(),
        }
    }

    fn live(&self) -> Option<LiveAnswer> {
        if !self.streams() {
            return None;
        }
        let request = self.request()?;
        let guardrail = self.plan.definition.guardrail.clone();
        let interval = request.guardrail_interval.unwrap_or(GUARDRAIL_INTERVAL);
        Some(LiveAnswer {
            may_call_tools: !self.plan.tools.is_empty(),
            prefill: self.prefill.clone(),
            shown: self.shown.clone(),
            guardrail: guardrail.map(|guardrail| LiveGuardrail {
                guardrail,
                interval: usize::try_from(interval.max(1)).unwrap_or(usize::MAX),
                trace_id: request.trace.then(|| self.trace_id_of("guardrail-post-0")),
            }),
        })
    }
}

/// The placeholder of the earlier turns.
const HISTORY: &str = "conversation_history";
