//! A turn's beginning: the guardrail on the input, pre-processing, routing, then the loop.

use std::sync::Arc;

use outcrop_model::control::PromptType;
use outcrop_model::converse::Message;
use outcrop_model::timestamp::Timestamp;

use super::{Phase, Run};
use crate::citation::Shown;
use crate::files;
use crate::history::{self, Utterance};
use crate::orchestration::effect::{Effect, Effects, PendingAssessment};
use crate::orchestration::event::{GuardrailAssessed, Started};
use crate::orchestration::failure::Failure;
use crate::port::GuardrailSource;
use crate::prompt::conversation;
use crate::trace;

impl Run {
    pub(super) fn start(&mut self, at: Timestamp, started: &Started, effects: &mut Effects) {
        self.started = Some(Box::new(started.clone()));
        self.request_started_at = at;
        self.files = files::joined(&self.files, &started.files);
        self.shown = Shown::following(self.said());
        if !started.conversation_view.is_whole() {
            let view = history::viewed(&self.before.history, started.conversation_view);
            self.view = Some(view);
        }
        if self.is_orchestrated() {
            return self.begin_orchestrated(at, effects);
        }
        self.fill_template(true);
        match self.guard(GuardrailSource::Input, &started.input_text) {
            Some(effect) => {
                self.phase = Phase::GuardingInput;
                effects.push(effect);
            }
            None => self.pre_process(at, effects),
        }
    }

    /// Has the agent's guardrail judge a text; `None` where it has none, or where a function plans that
    /// applies it itself.
    pub(super) fn guard(&self, source: GuardrailSource, text: &str) -> Option<Effect> {
        if self.is_orchestrated() {
            return None;
        }
        let guardrail = self.plan.definition.guardrail.clone()?;
        Some(Effect::ApplyGuardrail(PendingAssessment {
            guardrail,
            source,
            text: text.to_owned(),
        }))
    }

    pub(super) fn input_assessed(
        &mut self,
        at: Timestamp,
        assessed: &GuardrailAssessed,
        effects: &mut Effects,
    ) {
        self.show(
            at,
            |run| {
                let id = run.trace_id_of("guardrail-pre-0");
                trace::steps::guardrail(GuardrailSource::Input, assessed, id)
            },
            effects,
        );
        let assessment = match &assessed.result {
            Ok(assessment) => assessment,
            Err(error) => {
                self.forgotten = true;
                return self.fail(at, Failure::guardrail(error), effects);
            }
        };
        match &assessment.text {
            Some(message) if assessment.blocked => {
                self.forgotten = true;
                self.send(message.clone(), None, effects);
            }
            Some(masked) => {
                if let Some(started) = &mut self.started {
                    started.input_text.clone_from(masked);
                }
                self.fill_template(true);
                self.pre_process(at, effects);
            }
            None => self.pre_process(at, effects),
        }
    }

    fn pre_process(&mut self, at: Timestamp, effects: &mut Effects) {
        if self.begin_step(at, PromptType::PreProcessing, effects) {
            return;
        }
        self.route(at, effects);
    }

    /// Asks the classifier who takes the request, where the agent has one.
    pub(super) fn route(&mut self, at: Timestamp, effects: &mut Effects) {
        if self.plan.routes() && self.begin_step(at, PromptType::RoutingClassifier, effects) {
            return;
        }
        self.enter_loop(at, effects);
    }

    /// The loop, or a search in the agent's only knowledge base before it or in its place.
    pub(super) fn enter_loop(&mut self, at: Timestamp, effects: &mut Effects) {
        let sole = self.plan.sole_knowledge_base().cloned();
        match (sole, &self.started) {
            (Some(base), Some(started)) => {
                let query = started.input_text.clone();
                self.search_first(at, base, query, effects);
            }
            _ => self.plan_next(at, effects),
        }
    }

    /// The earlier turns as the model is shown them.
    pub(super) fn earlier(&self) -> &[Arc<Utterance>] {
        self.view.as_deref().unwrap_or(&self.before.history)
    }

    /// What user and agent said in earlier turns, without what led to it (`TO_COLLABORATOR`).
    pub(super) fn relayed(&self) -> Vec<Message> {
        conversation::relayed(self.said())
    }
}
