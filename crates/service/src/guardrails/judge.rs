//! Asks the classifier model what a guardrail's patterns cannot tell.
//!
//! One call, asked again once where the answer is not the JSON that was asked for. The answer is never
//! logged: it quotes the text.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, pin_mut};
use outcrop_engine::converse::{text_of, user_text};
use outcrop_engine::orchestration::TurnAssembler;
use outcrop_engine::port::{Delivery, GuardrailError, Inference, ModelError, ModelRequest};
use outcrop_guardrail::judge::{CHARACTERS_MAX, Question, Verdict};
use outcrop_model::handle::CallContext;
use tracing::warn;

use super::{Ask, Guardrails};
use crate::models::{self, Behalf};
use crate::ports::Ports;

/// Times the question is put.
const ATTEMPTS_MAX: u32 = 2;

/// Longest wait for one answer: it is some hundred tokens, and the turn waits for it.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Most tokens of an answer: the verdicts of thirty topics and six filters, and some hundred entities.
const TOKENS_MAX: u32 = 4_096;

impl Guardrails {
    /// The verdict on a question.
    ///
    /// # Errors
    /// Without a configured classifier, and when it gives no verdict.
    pub(super) async fn ask_classifier(
        &self,
        cx: &CallContext,
        ask: Ask<'_>,
        question: &Question,
    ) -> Result<Verdict, GuardrailError> {
        let guardrail = || format!("{} version {}", ask.guardrail, ask.version);
        let Some(classifier) = &self.0.classifier else {
            return Err(GuardrailError::Unsupported {
                guardrail: guardrail(),
                detail: "its topics, content filters, grounding or entities of type NAME or ADDRESS are judged by a model, and none is configured; set guardrails.classifier".to_owned(),
            });
        };
        let failed = |detail: String| GuardrailError::Failed {
            guardrail: guardrail(),
            detail,
        };
        let characters = question.characters();
        if characters > CHARACTERS_MAX {
            return Err(failed(format!(
                "a classifier is asked about at most {CHARACTERS_MAX} characters, and these are {characters}"
            )));
        }
        let request = request(cx, classifier, question);
        let mut attempt = 1;
        loop {
            let answer = answer(&self.0.ports, &request).await;
            let answer = answer
                .map_err(|error| failed(format!("the classifier {classifier} failed: {error}")))?;
            match question.read(&answer) {
                Ok(verdict) => return Ok(verdict),
                Err(error) => {
                    warn!(classifier, attempt, %error, "the classifier gave no verdict");
                    if attempt == ATTEMPTS_MAX {
                        return Err(failed(error.to_string()));
                    }
                }
            }
            attempt += 1;
        }
    }
}

fn request(cx: &CallContext, classifier: &str, question: &Question) -> ModelRequest {
    ModelRequest {
        model: classifier.to_owned(),
        system: Arc::from(question.system.as_str()),
        messages: vec![Arc::new(user_text(question.user.as_str()))],
        inference: Inference {
            max_tokens: Some(TOKENS_MAX),
            temperature: Some(0.0),
            ..Inference::default()
        },
        delivery: Delivery::Whole,
        caller: Some(Arc::from(cx.account_id.as_str())),
        ..ModelRequest::default()
    }
}

/// The text of one answer.
async fn answer(ports: &Ports, request: &ModelRequest) -> Result<String, ModelError> {
    let read = async {
        let answer = models::ask(ports, request, Behalf::Turn).await?;
        let mut assembler = TurnAssembler::new(None);
        let mut events = answer.events();
        while let Some(event) = events.next().await {
            assembler.push(event?)?;
        }
        assembler.finish().map(|reply| text_of(&reply.message))
    };
    let limit = ports.clock.sleep(WAIT_MAX);
    pin_mut!(read);
    match select(read, limit).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(ModelError::Timeout {
            detail: format!("no answer within {} seconds", WAIT_MAX.as_secs()),
        }),
    }
}
