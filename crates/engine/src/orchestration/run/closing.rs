//! A turn's end: post-processing, the guardrail on the answer, the last trace and the answer itself.

use std::sync::Arc;

use outcrop_model::control::PromptType;
use outcrop_model::converse::Message;
use outcrop_model::runtime::{Attribution, OrchestrationTrace, RoutingClassifierTrace, Trace};
use outcrop_model::timestamp::Timestamp;

use super::messages::closed_without_calls;
use super::{Phase, Run};
use crate::citation::{self, GeneratedPart};
use crate::converse::assistant_text;
use crate::history::Utterance;
use crate::orchestration::effect::{Effect, Effects, Emission, Outcome};
use crate::orchestration::event::{GuardedAnswer, GuardrailAssessed};
use crate::orchestration::failure::Failure;
use crate::port::GuardrailSource;
use crate::prompt::answer::AnswerPart;
use crate::trace;

/// An answer on its way out.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) text: String,
    attribution: Option<Attribution>,
    /// Whether it is a question to the user.
    asks: bool,
    /// Whether the trace has shown it: it had before post-processing.
    shown: bool,
    /// Whether the client has it: it was sent while the model wrote it.
    sent: bool,
}

impl Run {
    /// Sends an answer of the loop on its way.
    pub(super) fn close(
        &mut self,
        at: Timestamp,
        text: String,
        parts: &[AnswerPart],
        effects: &mut Effects,
    ) {
        self.close_sent(at, text, parts, false, effects);
    }

    /// The same; `sent` where the client has the text already.
    pub(super) fn close_sent(
        &mut self,
        at: Timestamp,
        text: String,
        parts: &[AnswerPart],
        sent: bool,
        effects: &mut Effects,
    ) {
        let attribution = citation::citations(&text, parts, &self.shown);
        self.closing = Some(Closing {
            text,
            attribution,
            asks: false,
            shown: false,
            sent,
        });
        if self.plan.step(PromptType::PostProcessing).is_some() {
            self.show_final(at, effects);
            if self.begin_step(at, PromptType::PostProcessing, effects) {
                return;
            }
        }
        self.guard_output(at, effects);
    }

    /// A question to the user ends the turn as an answer does; it is not post-processed.
    pub(super) fn ask_user(&mut self, at: Timestamp, question: String, effects: &mut Effects) {
        self.closing = Some(Closing {
            text: question,
            attribution: None,
            asks: true,
            shown: false,
            sent: false,
        });
        self.guard_output(at, effects);
    }

    /// What post-processing made of the answer.
    pub(super) fn post_processed(
        &mut self,
        at: Timestamp,
        text: String,
        parts: &[GeneratedPart],
        effects: &mut Effects,
    ) {
        let places = citation::located(&text, parts);
        let cited = citation::citations(&text, &places, &self.shown);
        if let Some(closing) = &mut self.closing {
            // The spans of the answer before it mean nothing in this one.
            closing.attribution = cited;
            closing.text = text;
        }
        self.guard_output(at, effects);
    }

    fn guard_output(&mut self, at: Timestamp, effects: &mut Effects) {
        let Some(closing) = &self.closing else { return };
        match self.guard(GuardrailSource::Output, &closing.text) {
            Some(effect) => {
                self.phase = Phase::GuardingOutput;
                effects.push(effect);
            }
            None => self.conclude(at, effects),
        }
    }

    pub(super) fn output_assessed(
        &mut self,
        at: Timestamp,
        assessed: &GuardrailAssessed,
        effects: &mut Effects,
    ) {
        self.show(
            at,
            |run| {
                let id = run.trace_id_of("guardrail-post-0");
                trace::steps::guardrail(GuardrailSource::Output, assessed, id)
            },
            effects,
        );
        let assessment = match &assessed.result {
            Ok(assessment) => assessment,
            Err(error) => {
                self.withhold("(The answer was withheld.)");
                return self.fail(at, Failure::guardrail(error), effects);
            }
        };
        if let Some(text) = &assessment.text {
            if let Some(closing) = &mut self.closing {
                closing.text.clone_from(text);
                closing.attribution = None;
            }
            self.withhold(text);
        }
        self.conclude(at, effects);
    }

    /// Puts another text in place of the answer in the conversation, so that the model is never shown
    /// again what the user must not see.
    fn withhold(&mut self, text: &str) {
        let Some(last) = self.turn.last_mut() else {
            return;
        };
        let is_answer = last.message().role == outcrop_model::converse::ConversationRole::Assistant;
        let said = spoken(text);
        if is_answer {
            *last = said;
        } else {
            self.turn.push(said);
        }
    }

    /// A streamed answer that the guardrail judged part by part.
    pub(super) fn close_guarded(
        &mut self,
        at: Timestamp,
        message: &Message,
        guarded: &GuardedAnswer,
        effects: &mut Effects,
    ) {
        if let Some(error) = &guarded.error {
            self.turn
                .push(Utterance::new(assistant_text("(The answer was withheld.)")));
            return self.fail(at, Failure::guardrail(error), effects);
        }
        let said = closed_without_calls(message);
        let untouched = crate::converse::text_of(message).contains(guarded.sent.trim());
        self.turn.push(if untouched && !guarded.blocked {
            said
        } else {
            spoken(&guarded.sent)
        });
        self.closing = Some(Closing {
            text: guarded.sent.clone(),
            attribution: None,
            asks: false,
            shown: false,
            sent: true,
        });
        self.conclude(at, effects);
    }

    /// The turn's last trace and the answer.
    fn conclude(&mut self, at: Timestamp, effects: &mut Effects) {
        if self.closing.as_ref().is_some_and(|closing| !closing.shown) {
            self.show_final(at, effects);
        }
        let Some(closing) = self.closing.take() else {
            return;
        };
        self.answered = true;
        match (closing.sent, closing.attribution) {
            (true, None) => self.finish(Outcome::Completed, effects),
            // The text has gone out already; its sources follow it.
            (true, Some(attribution)) => {
                self.send(String::new(), Some(attribution), effects);
            }
            (false, attribution) => self.send(closing.text, attribution, effects),
        }
    }

    fn show_final(&mut self, at: Timestamp, effects: &mut Effects) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        closing.shown = true;
        let (text, asks) = (closing.text.clone(), closing.asks);
        let started_at = self.request_started_at;
        self.show(
            at,
            |run| {
                if run.routed {
                    let id = run.trace_id_of("routing-0");
                    let part = trace::final_response(&text, asks, started_at, at, id);
                    Trace::RoutingClassifierTrace(RoutingClassifierTrace::Observation(part))
                } else {
                    let part = trace::final_response(&text, asks, started_at, at, run.trace_id());
                    Trace::OrchestrationTrace(OrchestrationTrace::Observation(part))
                }
            },
            effects,
        );
    }

    /// Sends a text and ends the turn with it.
    pub(super) fn send(
        &mut self,
        text: String,
        attribution: Option<Attribution>,
        effects: &mut Effects,
    ) {
        effects.push(Effect::Emit(match attribution {
            Some(attribution) => Emission::Cited { text, attribution },
            None => Emission::Chunk(text),
        }));
        self.answered = true;
        self.finish(Outcome::Completed, effects);
    }
}

/// What the conversation keeps of an answer that no model of this agent wrote. Models refuse a message
/// without text.
pub(super) fn spoken(text: &str) -> Arc<Utterance> {
    let text = if text.trim().is_empty() {
        "(no answer)"
    } else {
        text
    };
    Utterance::new(assistant_text(text))
}
