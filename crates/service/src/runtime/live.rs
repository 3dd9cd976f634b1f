//! An answer on its way to the client while the model writes it, part by part through the agent's
//! guardrail where it has one (behaviour.md 6.6).
//!
//! Invariant: with a guardrail, nothing leaves that it has not judged; what it blocks, and all that
//! follows, never does.

use std::sync::Arc;

use outcrop_engine::orchestration::{
    Emission, EventKind, GuardedAnswer, GuardrailAssessed, LiveAnswer, LiveGuardrail,
    PendingAssessment, guardrail_trace,
};
use outcrop_engine::port::GuardrailSource;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::Attribution;
use tokio::sync::mpsc;

use super::envelope::{Envelope, chunk};
use super::{Shared, Step, guard};

/// Where an answer goes, and who asks for it.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) cx: CallContext,
    pub(super) envelope: Envelope,
    pub(super) events: mpsc::Sender<Step>,
}

/// Takes an answer while it is written.
pub(super) enum Sink {
    /// Nobody reads along.
    Nobody,
    Plain(Box<Client>),
    Guarded(Box<Guarded>),
}

/// An answer under a guardrail.
pub(super) struct Guarded {
    client: Client,
    guardrail: LiveGuardrail,
    /// What is yet to be judged.
    window: String,
    answer: GuardedAnswer,
    begun: bool,
}

impl Sink {
    pub(super) fn new(live: Option<&LiveAnswer>, client: Option<Client>) -> Self {
        let (Some(live), Some(client)) = (live, client) else {
            return Self::Nobody;
        };
        match live.guardrail.clone() {
            None => Self::Plain(Box::new(client)),
            Some(guardrail) => Self::Guarded(Box::new(Guarded {
                client,
                guardrail,
                window: String::new(),
                answer: GuardedAnswer {
                    sent: String::new(),
                    blocked: false,
                    error: None,
                },
                begun: false,
            })),
        }
    }

    /// Takes more of the answer.
    pub(super) async fn take(&mut self, text: String) {
        match self {
            Self::Nobody => {}
            // A client that is gone is noticed by the driver, which drops this call.
            Self::Plain(client) => {
                let _ = client.events.send(Step::more(vec![Ok(chunk(text))])).await;
            }
            Self::Guarded(guarded) => {
                guarded.begun = true;
                if guarded.is_stopped() {
                    return;
                }
                guarded.window.push_str(&text);
                if guarded.window.chars().count() >= guarded.guardrail.interval {
                    guarded.judge().await;
                }
            }
        }
    }

    /// Sends the sources of what was sent before. Under a guardrail the text may be another than the
    /// model's, so that the places of its parts mean nothing.
    pub(super) async fn cite(&mut self, attribution: Attribution) {
        if let Self::Plain(client) = self {
            let event = client.envelope.wrap(Emission::Cited {
                text: String::new(),
                attribution,
            });
            let _ = client.events.send(Step::more(vec![Ok(event)])).await;
        }
    }

    /// Ends the answer with `rest`; gives what the guardrail let through, where it judged any of it.
    pub(super) async fn finish(self, rest: &str) -> Option<GuardedAnswer> {
        let Self::Guarded(mut guarded) = self else {
            return None;
        };
        if !guarded.begun {
            return None;
        }
        guarded.window.push_str(rest);
        if !guarded.is_stopped() && !guarded.window.is_empty() {
            guarded.judge().await;
        }
        Some(guarded.answer)
    }
}

impl Guarded {
    fn is_stopped(&self) -> bool {
        self.answer.blocked || self.answer.error.is_some()
    }

    /// Judges the window and sends what may pass of it.
    async fn judge(&mut self) {
        let window = std::mem::take(&mut self.window);
        let pending = PendingAssessment {
            guardrail: self.guardrail.guardrail.clone(),
            source: GuardrailSource::Output,
            text: window.clone(),
        };
        let client = &self.client;
        let fact = guard::assess(Arc::clone(&client.shared), client.cx.clone(), pending).await;
        let EventKind::GuardrailAssessed(assessed) = fact else {
            return;
        };
        let mut batch: Vec<_> = self.trace(&assessed).into_iter().map(Ok).collect();
        match assessed.result {
            Err(error) => self.answer.error = Some(error),
            Ok(assessment) => {
                let text = assessment.text.unwrap_or(window);
                self.answer.blocked = assessment.blocked;
                self.answer.sent.push_str(&text);
                batch.push(Ok(chunk(text)));
            }
        }
        if !batch.is_empty() {
            let _ = self.client.events.send(Step::more(batch)).await;
        }
    }

    fn trace(
        &self,
        assessed: &GuardrailAssessed,
    ) -> Option<outcrop_model::runtime::ResponseStream> {
        let trace_id = self.guardrail.trace_id.clone()?;
        Some(self.client.envelope.wrap(Emission::Trace {
            at: assessed.ended_at,
            trace: Box::new(guardrail_trace(assessed, trace_id)),
        }))
    }
}
