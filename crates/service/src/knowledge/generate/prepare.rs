//! From a question to the model's prompt: judged, rewritten, searched for.

use outcrop_engine::citation::{self, Shown};
use outcrop_engine::port::{Delivery, ModelRequest};
use outcrop_engine::prompt::template::Values;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::{GuadrailAction, RetrievedReference};

use super::plan::{Plan, Source};
use super::session::Turn;
use super::{Answered, NO_ANSWER, answer, document, prompt, question};
use crate::Service;
use crate::knowledge::retrieve::{Found, action_of};

/// Whether a model is to answer.
pub(super) enum Prepared {
    /// It is not: this is what is said.
    Said(Answered),
    /// It is.
    Asking(Box<Asking>),
}

/// A model call that answers.
pub(super) struct Asking {
    pub(super) request: ModelRequest,
    /// The passages that the model reads, by the ids it knows them by.
    pub(super) shown: Shown,
    /// Their texts, which the answer is to rest on.
    pub(super) grounds: Vec<String>,
    /// The question as it is put to the model.
    pub(super) question: String,
    /// What the guardrail has done so far, where there is one.
    pub(super) action: Option<GuadrailAction>,
}

/// Takes all steps before the answer.
pub(super) async fn prepare(
    service: &Service,
    cx: &CallContext,
    plan: &Plan,
    turns: &[Turn],
    asked: &str,
) -> Result<Prepared, Exception> {
    let ports = &service.ports;
    let mut question = asked.to_owned();
    let mut action = None;
    if let Some(guardrail) = &plan.guardrail {
        let judged = service.judge_question(cx, guardrail, asked).await?;
        action = Some(action_of(&judged));
        if judged.blocked {
            let message = judged.text.unwrap_or_default();
            return Ok(Prepared::Said(answer::unsourced(message, action)));
        }
        question = judged.text.unwrap_or(question);
    }
    let passages = match &plan.source {
        Source::Base {
            base,
            ask,
            orchestration,
        } => {
            let questions =
                question::questions(ports, &plan.model, orchestration, turns, &question).await?;
            let found = question::search(ports, base, ask, &questions).await?;
            if let [one] = questions.as_slice() {
                question.clone_from(one);
            }
            found.iter().map(Found::reference).collect()
        }
        Source::Document(source) => {
            document::passages(ports, source, service.settings.strictness).await?
        }
    };
    if passages.is_empty() {
        return Ok(Prepared::Said(answer::unsourced(
            NO_ANSWER.to_owned(),
            action,
        )));
    }
    let now = ports.clock.now().to_string();
    let mut shown = Shown::default();
    let ids = shown.add(&passages);
    let values = Values {
        search_results: &citation::search_results_text(&passages, &ids),
        query: &question,
        question: &question,
        conversation_history: &question::history(turns),
        current_time: &now,
        ..Values::default()
    };
    let delivery = Delivery::Streamed;
    let request = prompt::request(&plan.model, &plan.generation, &values, delivery)?;
    Ok(Prepared::Asking(Box::new(Asking {
        request,
        shown,
        grounds: passages.into_iter().filter_map(text_of).collect(),
        question,
        action,
    })))
}

fn text_of(passage: RetrievedReference) -> Option<String> {
    passage.content?.text
}
