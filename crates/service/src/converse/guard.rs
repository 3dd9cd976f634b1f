//! A guardrail around one call of Converse: what goes to the model, and what comes from it.
//!
//! Where the request marks content (`guardContent`), that is judged; else all text that the user says.
//! A text that is to be masked goes on masked. What cannot be judged does not pass.

use std::collections::BTreeMap;

use outcrop_guardrail::{Metrics, Passage, interventions};
use outcrop_model::converse::{
    CitationGeneratedContent, ContentBlock, ConversationRole, ConverseRequest, GuardrailAssessment,
    GuardrailConfiguration, GuardrailContentSource, GuardrailConverseContentBlock,
    GuardrailConverseContentQualifier as Qualifier, GuardrailConverseTextBlock, GuardrailTrace,
    GuardrailTraceAssessment, Message, SystemContentBlock,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;

use crate::Service;
use crate::guardrails::{Ask, Assessed, refusal};

/// The guardrail of one call, and what it has said so far.
pub(super) struct Guard {
    identifier: String,
    version: String,
    trace: GuardrailTrace,
    /// What an answer has to be grounded in and relevant to: text, whether a source, whether a query.
    grounds: Vec<(String, bool, bool)>,
    told: GuardrailTraceAssessment,
}

impl Guard {
    /// Reads `guardrailConfig`; none for a request without one.
    ///
    /// # Errors
    /// A `ValidationException` for half a configuration and for images to be judged.
    pub(super) fn of(input: &mut ConverseRequest) -> Result<Option<Self>, Exception> {
        let Some(config) = input.guardrail_config.take() else {
            return Ok(None);
        };
        let GuardrailConfiguration {
            guardrail_identifier: Some(identifier),
            guardrail_version: Some(version),
            trace,
        } = config
        else {
            return Err(Exception::validation(
                "guardrailConfig needs guardrailIdentifier and guardrailVersion. Give both and retry the request.",
            ));
        };
        let images = contents(input)
            .flat_map(|message| &message.content)
            .any(|block| {
                matches!(
                    block,
                    ContentBlock::GuardContent(GuardrailConverseContentBlock::Image(_))
                )
            });
        if images {
            return Err(Exception::validation(
                "Guardrails on images are not supported by Outcrop. Provide text.",
            ));
        }
        Ok(Some(Self {
            identifier,
            version,
            trace: trace.unwrap_or(GuardrailTrace::Disabled),
            grounds: Vec::new(),
            told: GuardrailTraceAssessment::default(),
        }))
    }

    /// Judges what the request says, and masks in it what is to be masked. Gives the guardrail's own
    /// message where the model is not to be asked.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub(super) async fn input(
        &mut self,
        service: &Service,
        cx: &CallContext,
        input: &mut ConverseRequest,
    ) -> Result<Option<String>, Exception> {
        let passages: Vec<Said> = said(input)
            .into_iter()
            .map(|(text, roles)| Said {
                text: text.clone(),
                roles,
            })
            .collect();
        let grounds = passages.iter().filter(|said| said.roles.is_ground());
        self.grounds = grounds
            .map(|said| (said.text.clone(), said.roles.source, said.roles.query))
            .collect();
        if passages.is_empty() {
            return Ok(None);
        }
        let asked: Vec<Passage<'_>> = passages.iter().map(Said::passage).collect();
        let assessed = self
            .assess(service, cx, GuardrailContentSource::Input, &asked)
            .await?;
        let shown = self.shown(&assessed);
        self.told.input_assessment = Some(BTreeMap::from([(assessed.id.clone(), shown)]));
        if assessed.assessment.blocked {
            return Ok(Some(assessed.message));
        }
        if assessed.assessment.masked {
            let guarded = said(input).into_iter().filter(|(_, roles)| roles.guarded);
            for ((text, _), masked) in guarded.zip(assessed.assessment.texts) {
                *text = masked;
            }
        }
        Ok(None)
    }

    /// Judges the answer, and puts in its place what the guardrail lets through. Gives whether it has
    /// intervened.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub(super) async fn output(
        &mut self,
        service: &Service,
        cx: &CallContext,
        message: &mut Message,
    ) -> Result<bool, Exception> {
        let texts = message.content.iter_mut().filter_map(text_of);
        let answer: Vec<String> = texts.map(|text| text.clone()).collect();
        if answer.is_empty() {
            return Ok(false);
        }
        let grounds = self.grounds.iter().map(|(text, source, query)| Passage {
            text,
            is_source: *source,
            is_query: *query,
            is_guarded: false,
        });
        let texts = answer.iter().map(|text| Passage {
            text,
            is_guarded: true,
            ..Passage::default()
        });
        let asked: Vec<Passage<'_>> = grounds.chain(texts).collect();
        let assessed = self
            .assess(service, cx, GuardrailContentSource::Output, &asked)
            .await?;
        let shown = self.shown(&assessed);
        self.told.output_assessments = Some(BTreeMap::from([(assessed.id.clone(), vec![shown])]));
        self.told.model_output = Some(answer);
        let assessment = assessed.assessment;
        if assessment.blocked {
            message.content = vec![ContentBlock::Text(assessed.message)];
            return Ok(true);
        }
        if assessment.masked {
            let texts = message.content.iter_mut().filter_map(text_of);
            for (text, masked) in texts.zip(assessment.texts) {
                *text = masked;
            }
        }
        Ok(assessment.masked)
    }

    /// What is shown of it all, where the caller wants to see it.
    pub(super) fn take_told(&mut self) -> Option<GuardrailTraceAssessment> {
        let told = std::mem::take(&mut self.told);
        (self.trace != GuardrailTrace::Disabled).then_some(told)
    }

    async fn assess(
        &self,
        service: &Service,
        cx: &CallContext,
        source: GuardrailContentSource,
        passages: &[Passage<'_>],
    ) -> Result<Assessed, Exception> {
        let ask = Ask {
            guardrail: &self.identifier,
            version: &self.version,
            source,
            passages,
        };
        service.guardrails.assess(cx, ask).await.map_err(refusal)
    }

    /// The judgement as the trace shows it; notes there why the guardrail has intervened.
    fn shown(&mut self, assessed: &Assessed) -> GuardrailAssessment {
        let reason = match (assessed.assessment.blocked, assessed.assessment.masked) {
            (true, _) => Some("Guardrail blocked."),
            (false, true) => Some("Guardrail masked."),
            (false, false) => None,
        };
        if let Some(reason) = reason {
            self.told.action_reason = Some(reason.to_owned());
        }
        let full = &assessed.assessment.full;
        let mut shown = if self.trace == GuardrailTrace::EnabledFull {
            full.clone()
        } else {
            interventions(full)
        };
        shown.invocation_metrics = Some(assessed.metrics.shown(assessed.latency_ms));
        shown.applied_guardrail_details = Some(Metrics::applied(
            &assessed.arn,
            &assessed.id,
            &assessed.version,
        ));
        shown
    }
}

/// What a text is to the guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roles {
    guarded: bool,
    source: bool,
    query: bool,
}

impl Roles {
    const GUARDED: Self = Self {
        guarded: true,
        source: false,
        query: false,
    };

    fn of(block: &GuardrailConverseTextBlock) -> Self {
        let qualifiers = block.qualifiers.as_deref().unwrap_or_default();
        let has = |qualifier| qualifiers.contains(&qualifier);
        Self {
            guarded: qualifiers.is_empty() || has(Qualifier::GuardContent),
            source: has(Qualifier::GroundingSource),
            query: has(Qualifier::Query),
        }
    }

    fn is_ground(self) -> bool {
        self.source || self.query
    }
}

struct Said {
    text: String,
    roles: Roles,
}

impl Said {
    fn passage(&self) -> Passage<'_> {
        Passage {
            text: &self.text,
            is_source: self.roles.source,
            is_query: self.roles.query,
            is_guarded: self.roles.guarded,
        }
    }
}

fn contents(input: &ConverseRequest) -> impl Iterator<Item = &Message> {
    input.messages.iter().flatten()
}

fn text_of(block: &mut ContentBlock) -> Option<&mut String> {
    match block {
        ContentBlock::Text(text) => Some(text),
        ContentBlock::CitationsContent(cited) => match cited.content.as_mut()?.first_mut()? {
            CitationGeneratedContent::Text(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The texts that the guardrail hears of, in their order.
fn said(input: &mut ConverseRequest) -> Vec<(&mut String, Roles)> {
    let marks = contents(input)
        .flat_map(|message| &message.content)
        .any(|block| matches!(block, ContentBlock::GuardContent(_)));
    let mut texts = Vec::new();
    for block in input.system.iter_mut().flatten() {
        if let SystemContentBlock::GuardContent(GuardrailConverseContentBlock::Text(block)) = block
        {
            let roles = Roles::of(block);
            texts.push((&mut block.text, roles));
        }
    }
    for message in input.messages.iter_mut().flatten() {
        let by_user = message.role != ConversationRole::Assistant;
        for block in &mut message.content {
            match block {
                ContentBlock::GuardContent(GuardrailConverseContentBlock::Text(block)) => {
                    let roles = Roles::of(block);
                    texts.push((&mut block.text, roles));
                }
                ContentBlock::Text(text) if by_user && !marks => {
                    texts.push((text, Roles::GUARDED));
                }
                _ => {}
            }
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_marked_is_judged_alone() {
        let mut input: ConverseRequest = serde_json::from_value(json!({"modelId": "m",
            "system": [{"text": "s"}, {"guardContent": {"text": {"text": "t"}}}],
            "messages": [
                {"role": "user", "content": [{"text": "a"}]},
                {"role": "assistant", "content": [{"text": "b"}]},
                {"role": "user", "content": [{"text": "c"}]}]}))
        .expect("a request");
        let texts = |input: &mut ConverseRequest| {
            let said = said(input).into_iter();
            said.map(|(text, _)| text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(&mut input), ["t", "a", "c"]);
        let marked = serde_json::from_value(json!({"role": "user", "content": [
            {"guardContent": {"text": {"text": "d", "qualifiers": ["query"]}}},
            {"guardContent": {"text": {"text": "e", "qualifiers": ["query", "guard_content"]}}}]}));
        let messages = input.messages.as_mut().expect("messages");
        messages.push(marked.expect("a message"));
        assert_eq!(texts(&mut input), ["t", "d", "e"]);
        let roles: Vec<Roles> = said(&mut input)
            .into_iter()
            .map(|(_, roles)| roles)
            .collect();
        assert_eq!(
            roles.iter().map(|roles| roles.guarded).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert!(roles[1].is_ground() && roles[2].is_ground() && !roles[0].is_ground());
    }
}
