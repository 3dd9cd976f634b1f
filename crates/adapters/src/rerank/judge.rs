//! A language model as a reranker: it is shown the documents in groups and gives each a mark.
//!
//! Slower and dearer than a model made for it, and good where there is no other. A mark that it forgets
//! to give is the lowest; an answer without any mark fails the call.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream::{self, TryStreamExt};
use outcrop_engine::converse::user_text;
use outcrop_engine::fit::fit;
use outcrop_engine::port::{
    Inference, ModelError, ModelProvider, ModelRequest, Ranked, RerankCall,
};
use outcrop_engine::prompt::answer;
use outcrop_model::converse::{ContentBlockDelta, ConverseStreamOutput};

use super::{malformed, text_of};

/// Documents that are judged in one call: few enough to be told apart.
const GROUP: usize = 20;
/// Calls of one reranking at once.
const CALLS: usize = 4;
/// Characters of a document that are shown.
const CHARS_MAX: usize = 4_000;
/// Tokens of an answer: a line of a few tokens for each document.
const TOKENS_MAX: u32 = 400;
/// The best mark.
const BEST: f64 = 10.0;

const INSTRUCTION: &str = "You judge how well documents answer a question. For each document give a mark from 0 (says nothing about it) to 10 (answers it fully). Answer with one line for each document: its number, a colon, its mark. Write nothing else.";

/// Any language model.
pub(super) struct Judge {
    models: Arc<dyn ModelProvider>,
}

impl Judge {
    pub(super) fn new(models: Arc<dyn ModelProvider>) -> Self {
        Self { models }
    }

    pub(super) async fn rerank(&self, call: RerankCall) -> Result<Vec<Ranked>, ModelError> {
        let texts: Vec<String> = call.documents.iter().map(text_of).collect();
        let groups = texts.chunks(GROUP).zip((0..).step_by(GROUP));
        let mut calls: Vec<BoxFuture<'_, _>> = Vec::new();
        for (group, first) in groups {
            calls.push(Box::pin(self.group(&call, group, first)));
        }
        let ranked: Vec<Vec<Ranked>> = stream::iter(calls).buffered(CALLS).try_collect().await?;
        Ok(ranked.into_iter().flatten().collect())
    }

    async fn group(
        &self,
        call: &RerankCall,
        group: &[String],
        first: usize,
    ) -> Result<Vec<Ranked>, ModelError> {
        let mut request = ModelRequest {
            model: call.model.clone(),
            system: INSTRUCTION.into(),
            messages: vec![Arc::new(user_text(shown(&call.query, group)))],
            inference: Inference {
                max_tokens: Some(TOKENS_MAX),
                temperature: Some(0.0),
                ..Inference::default()
            },
            additional_fields: call.fields.clone(),
            ..ModelRequest::default()
        };
        fit(&mut request, self.models.capabilities(&call.model)?)?;
        let mut events = self.models.converse(request).await?;
        let mut text = String::new();
        while let Some(event) = events.next().await {
            if let ConverseStreamOutput::ContentBlockDelta(delta) = event?
                && let ContentBlockDelta::Text(piece) = delta.delta
            {
                text.push_str(&piece);
            }
        }
        let marks = marks(&text, group.len());
        if marks.iter().all(Option::is_none) {
            return Err(malformed(&call.model, "it gave no mark to any document"));
        }
        let places = marks.into_iter().enumerate();
        Ok(places
            .map(|(index, mark)| Ranked {
                index: first + index,
                score: mark.unwrap_or(0.0) / BEST,
            })
            .collect())
    }
}

fn shown(query: &str, group: &[String]) -> String {
    let mut out = format!("The question: {query}\n");
    for (number, text) in (1..).zip(group) {
        let text: String = text.chars().take(CHARS_MAX).collect();
        let _ = writeln!(out, "<document number=\"{number}\">\n{text}\n</document>");
    }
    out
}

/// The marks in a reply, in the order of the documents.
pub(super) fn marks(text: &str, count: usize) -> Vec<Option<f64>> {
    let mut marks = vec![None; count];
    for line in answer::behind_thoughts(text).lines() {
        let Some((number, mark)) = line.split_once([':', '=']) else {
            continue;
        };
        let digits = |text: &str| -> String {
            text.chars()
                .skip_while(|one| !one.is_ascii_digit())
                .take_while(|one| one.is_ascii_digit() || *one == '.')
                .collect()
        };
        let number = digits(number).trim_end_matches('.').parse::<usize>();
        let mark = digits(mark).trim_end_matches('.').parse::<f64>();
        if let (Ok(number), Ok(mark)) = (number, mark)
            && let Some(place) = number.checked_sub(1).and_then(|at| marks.get_mut(at))
        {
            *place = Some(mark.clamp(0.0, BEST));
        }
    }
    marks
}
