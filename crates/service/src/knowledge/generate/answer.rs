//! A model's answer as text with citations, and as far as the guardrail lets it through.
//!
//! Spans count characters. In a whole answer `end` is that of the last one, in a stream the one behind
//! it, as on AWS (behaviour.md 6.5). A part without sources has a citation without references.

use outcrop_engine::citation::{self, GeneratedPart, Shown, joined, located};
use outcrop_engine::orchestration::Failure;
use outcrop_engine::port::Delivery;
use outcrop_engine::prompt::steps;
use outcrop_guardrail::Passage;
use outcrop_model::converse::GuardrailContentSource;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::{
    Citation, GeneratedResponsePart, GuadrailAction, GuardrailConfiguration, RetrievedReference,
    Span, TextResponsePart,
};

use super::Answered;
use super::plan::Plan;
use super::prepare::Asking;
use crate::guardrails::{Ask, refusal};
use crate::knowledge::model;
use crate::{Service, error};

/// Which character a span's `end` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last.
    Last,
    /// The one behind the last.
    Behind,
}

/// Has the model answer, and reads all of it.
pub(super) async fn whole(
    service: &Service,
    cx: &CallContext,
    plan: &Plan,
    asking: Asking,
) -> Result<Answered, Exception> {
    let mut request = asking.request;
    request.delivery = Delivery::Whole;
    let text = model::text(&service.ports, &request).await?;
    let mut parts = steps::knowledge_base_response(&text);
    if parts.is_empty() {
        return Err(error::failure(&Failure::empty_reply(&request.model)));
    }
    let mut action = asking.action;
    if let Some(guardrail) = &plan.guardrail {
        let grounds = Grounds {
            sources: &asking.grounds,
            question: &asking.question,
        };
        match judge(service, cx, guardrail, grounds, &mut parts).await? {
            Judged::Passed => {}
            Judged::Masked => action = Some(GuadrailAction::Intervened),
            Judged::Blocked(message) => {
                return Ok(unsourced(message, Some(GuadrailAction::Intervened)));
            }
        }
    }
    let text = joined(&parts);
    let citations = located(&text, &parts)
        .iter()
        .map(|part| {
            let references = citation::references(&part.sources, &asking.shown);
            cited(&text, (part.start, part.end), references, End::Last)
        })
        .collect();
    Ok(Answered {
        text,
        citations,
        action,
    })
}

/// What is said without a source: one citation with an empty span, as on AWS (behaviour.md 9.9).
pub(super) fn unsourced(text: String, action: Option<GuadrailAction>) -> Answered {
    let part = TextResponsePart {
        span: Some(Span::default()),
        text: Some(text.clone()),
    };
    Answered {
        text,
        citations: vec![Citation {
            generated_response_part: Some(GeneratedResponsePart {
                text_response_part: Some(part),
            }),
            retrieved_references: Some(Vec::new()),
        }],
        action,
    }
}

/// The citation of the bytes `start..end` of a text.
pub(super) fn cited(
    text: &str,
    (start, end): (usize, usize),
    references: Vec<RetrievedReference>,
    ends: End,
) -> Citation {
    let before = text.get(..start).unwrap_or_default().chars().count();
    let said = text.get(start..end).unwrap_or_default();
    let behind = before + said.chars().count();
    let end = match ends {
        End::Last => behind.saturating_sub(1),
        End::Behind => behind,
    };
    Citation {
        generated_response_part: Some(GeneratedResponsePart {
            text_response_part: Some(TextResponsePart {
                span: Some(Span {
                    start: i32::try_from(before).ok(),
                    end: i32::try_from(end).ok(),
                }),
                text: Some(said.to_owned()),
            }),
        }),
        retrieved_references: Some(references),
    }
}

/// The references of sources that a model names.
pub(super) fn references(sources: &[String], shown: &Shown) -> Vec<RetrievedReference> {
    citation::references(sources, shown)
}

/// What an answer is to rest on.
struct Grounds<'a> {
    sources: &'a [String],
    question: &'a str,
}

enum Judged {
    Passed,
    Masked,
    Blocked(String),
}

/// Has the guardrail judge an answer part by part, and masks in them what is to be masked.
async fn judge(
    service: &Service,
    cx: &CallContext,
    guardrail: &GuardrailConfiguration,
    grounds: Grounds<'_>,
    parts: &mut [GeneratedPart],
) -> Result<Judged, Exception> {
    let sources = grounds.sources.iter().map(|text| Passage {
        text,
        is_source: true,
        ..Passage::default()
    });
    let question = Passage {
        text: grounds.question,
        is_query: true,
        ..Passage::default()
    };
    let answer = parts.iter().map(|part| Passage {
        text: &part.text,
        is_guarded: true,
        ..Passage::default()
    });
    let passages: Vec<Passage<'_>> = sources.chain([question]).chain(answer).collect();
    let ask = Ask {
        guardrail: &guardrail.guardrail_id,
        version: &guardrail.guardrail_version,
        source: GuardrailContentSource::Output,
        passages: &passages,
    };
    let assessed = service.guardrails.assess(cx, ask).await.map_err(refusal)?;
    if assessed.assessment.blocked {
        return Ok(Judged::Blocked(assessed.message));
    }
    if !assessed.assessment.masked {
        return Ok(Judged::Passed);
    }
    for (part, masked) in parts.iter_mut().zip(assessed.assessment.texts) {
        part.text = masked;
    }
    Ok(Judged::Masked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_count_characters_and_end_as_each_operation_does() {
        let text = "\u{e9}: one two";
        for (ends, end) in [(End::Last, 5), (End::Behind, 6)] {
            let citation = cited(text, (4, 7), Vec::new(), ends);
            assert_eq!(
                serde_json::to_value(citation).expect("JSON"),
                json!({"generatedResponsePart": {"textResponsePart":
                    {"span": {"start": 3, "end": end}, "text": "one"}}, "retrievedReferences": []})
            );
        }
    }

    #[test]
    fn what_has_no_source_has_an_empty_span() {
        let answered = unsourced("no".to_owned(), None);
        assert_eq!(
            serde_json::to_value(answered.citations).expect("JSON"),
            json!([{"generatedResponsePart": {"textResponsePart": {"span": {}, "text": "no"}},
                "retrievedReferences": []}])
        );
    }
}
