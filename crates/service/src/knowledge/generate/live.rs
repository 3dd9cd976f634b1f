//! The events of `RetrieveAndGenerateStream`: text as the model writes it, and behind each part its
//! citation (behaviour.md 9.9).
//!
//! The white space around the texts of parts is sent as the model writes it, as on AWS; spans count it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use outcrop_engine::citation::Shown;
use outcrop_engine::orchestration::Failure;
use outcrop_engine::port::ModelError;
use outcrop_engine::prompt::answer::{AnswerPart, AnswerScanner};
use outcrop_model::converse::{ContentBlockDelta, ConverseStreamOutput};
use outcrop_model::exception::Exception;
use outcrop_model::handle::EventSource;
use outcrop_model::runtime::{
    Citation, CitationEvent, GuardrailEvent, RetrieveAndGenerateOutputEvent,
    RetrieveAndGenerateStreamResponseOutput as Event,
};

use super::Answered;
use super::answer::{End, cited, references};
use super::prepare::Asking;
use super::session::Session;
use crate::knowledge::model;
use crate::models::{self, Behalf};
use crate::ports::Ports;
use crate::{Service, error};

/// What is known as a whole, as events.
pub(super) fn said(answered: Answered) -> EventSource<Event> {
    let mut events = vec![output(answered.text)];
    // Of a whole answer the spans include their last character; in a stream they do not.
    events.extend(answered.citations.into_iter().map(behind).map(citation));
    if let Some(action) = answered.action {
        let action = Some(action);
        events.push(Event::Guardrail(GuardrailEvent { action }));
    }
    stream::iter(events.into_iter().map(Ok)).boxed()
}

/// Has the model answer and sends on what it says. The model has begun to when this returns.
pub(super) async fn stream(
    service: &Service,
    asking: Asking,
    session: Session,
    asked: String,
) -> Result<EventSource<Event>, Exception> {
    session.announce(&service.ports).await?;
    let name = asking.request.model.clone();
    let answer = models::ask(&service.ports, &asking.request, Behalf::Turn).await;
    let answer = answer.map_err(|error| model::failure(&error, &name))?;
    let live = Live {
        reader: Some(Reader::new(asking.shown)),
        model: name,
        ready: VecDeque::new(),
        session: Some((session, asked)),
        ports: Arc::clone(&service.ports),
        events: answer.events(),
    };
    Ok(stream::unfold(live, |mut live| async {
        let event = live.next().await?;
        Some((event, live))
    })
    .boxed())
}

/// An answer on its way.
struct Live<S> {
    events: S,
    /// `None` once the answer has ended.
    reader: Option<Reader>,
    ready: VecDeque<Result<Event, Exception>>,
    /// What is to be remembered when it ends.
    session: Option<(Session, String)>,
    model: String,
    ports: Arc<Ports>,
}

impl<S> Live<S>
where
    S: Stream<Item = Result<ConverseStreamOutput, ModelError>> + Unpin,
{
    async fn next(&mut self) -> Option<Result<Event, Exception>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let reader = self.reader.as_mut()?;
            match self.events.next().await {
                Some(Ok(ConverseStreamOutput::ContentBlockDelta(delta))) => {
                    if let ContentBlockDelta::Text(text) = delta.delta {
                        self.ready.extend(reader.feed(&text).into_iter().map(Ok));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.reader = None;
                    return Some(Err(model::failure(&error, &self.model)));
                }
                None => {
                    let reader = self.reader.take()?;
                    self.finish(reader).await;
                }
            }
        }
    }

    /// The last events come when the turn is remembered, so that the next one may follow them.
    async fn finish(&mut self, reader: Reader) {
        let (events, text) = reader.finish();
        self.ready.extend(events.into_iter().map(Ok));
        if text.trim().is_empty() {
            let failure = Failure::empty_reply(&self.model);
            self.ready.push_back(Err(error::failure(&failure)));
            return;
        }
        if let Some((session, asked)) = self.session.take()
            && let Err(exception) = session.remember(&self.ports, &asked, text.trim()).await
        {
            self.ready.push_back(Err(exception));
        }
    }
}

/// Reads an answer and tells what is new of it.
struct Reader {
    scanner: AnswerScanner,
    shown: Shown,
    /// Bytes of the answer that were sent.
    sent: usize,
    /// Parts that were cited, and where the last one ends.
    cited: usize,
    behind: usize,
}

impl Reader {
    fn new(shown: Shown) -> Self {
        Self {
            scanner: AnswerScanner::verbatim(),
            shown,
            sent: 0,
            cited: 0,
            behind: 0,
        }
    }

    fn feed(&mut self, text: &str) -> Vec<Event> {
        self.scanner.feed(text);
        let answer = self.scanner.answer().to_owned();
        let parts = self.scanner.parts().to_vec();
        self.told(&answer, &parts)
    }

    /// The last events, and the whole text.
    fn finish(mut self) -> (Vec<Event>, String) {
        let scanner = std::mem::replace(&mut self.scanner, AnswerScanner::verbatim());
        let reading = scanner.finish();
        let mut events = self.told(&reading.answer, &reading.parts);
        events.extend(self.uncited(&reading.answer, reading.answer.len()));
        (events, reading.answer)
    }

    fn told(&mut self, answer: &str, parts: &[AnswerPart]) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(more) = answer.get(self.sent..).filter(|more| !more.is_empty()) {
            self.sent = answer.len();
            events.push(output(more.to_owned()));
        }
        for part in parts.get(self.cited..).unwrap_or_default() {
            self.cited += 1;
            events.extend(self.uncited(answer, part.start));
            let references = references(&part.sources, &self.shown);
            let place = (part.start, part.end);
            events.push(citation(cited(answer, place, references, End::Behind)));
            self.behind = part.end;
        }
        events
    }

    /// What was said since the last part and names no source, if anything was.
    fn uncited(&mut self, answer: &str, until: usize) -> Option<Event> {
        let said = answer.get(self.behind..until)?;
        let trimmed = said.trim();
        if trimmed.is_empty() {
            return None;
        }
        let start = self.behind + (said.len() - said.trim_start().len());
        let place = (start, start + trimmed.len());
        self.behind = until;
        Some(citation(cited(answer, place, Vec::new(), End::Behind)))
    }
}

fn output(text: String) -> Event {
    Event::Output(RetrieveAndGenerateOutputEvent { text })
}

/// As recorded: the members of the citation stand beside it, too.
fn citation(citation: Citation) -> Event {
    Event::Citation(CitationEvent {
        generated_response_part: citation.generated_response_part.clone(),
        retrieved_references: citation.retrieved_references.clone(),
        citation: Some(citation),
    })
}

/// The same citation with a span that ends behind its last character.
fn behind(mut citation: Citation) -> Citation {
    let part = citation.generated_response_part.as_mut();
    let part = part.and_then(|part| part.text_response_part.as_mut());
    if let Some(span) = part.and_then(|part| part.span.as_mut()) {
        span.end = span.end.map(|end| end.saturating_add(1));
    }
    citation
}
