//! `ApplyGuardrail`: a guardrail by itself, without a model behind it (behaviour.md 10.3).

use outcrop_engine::port::GuardrailError;
use outcrop_guardrail::{Metrics, Passage, interventions};
use outcrop_model::converse::{
    ApplyGuardrailRequest, ApplyGuardrailResponse, GuardrailAction, GuardrailContentBlock,
    GuardrailContentQualifier as Qualifier, GuardrailOutputContent, GuardrailOutputScope,
    GuardrailTextBlock, ops as op,
};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};

use super::{Ask, Assessed};
use crate::Service;

impl Handle<op::ApplyGuardrail> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ApplyGuardrailRequest,
    ) -> Result<ApplyGuardrailResponse, Exception> {
        let passages = input
            .content
            .iter()
            .enumerate()
            .map(|(index, block)| passage(index, block))
            .collect::<Result<Vec<_>, _>>()?;
        let ask = Ask {
            guardrail: &input.guardrail_identifier,
            version: &input.guardrail_version,
            source: input.source,
            passages: &passages,
        };
        let assessed = self.guardrails.assess(cx, ask).await.map_err(refusal)?;
        Ok(response(&assessed, input.output_scope))
    }
}

fn passage(index: usize, block: &GuardrailContentBlock) -> Result<Passage<'_>, Exception> {
    let GuardrailContentBlock::Text(GuardrailTextBlock { text, qualifiers }) = block else {
        let message = "Guardrails on images are not supported by Outcrop. Provide text.";
        return Err(Exception::validation(message)
            .with_field(format!("content.{}.image", index + 1), message));
    };
    let qualifiers = qualifiers.as_deref().unwrap_or_default();
    let has = |qualifier| qualifiers.contains(&qualifier);
    Ok(Passage {
        text,
        is_source: has(Qualifier::GroundingSource),
        is_query: has(Qualifier::Query),
        is_guarded: qualifiers.is_empty() || has(Qualifier::GuardContent),
    })
}

/// A guardrail that cannot be evaluated.
pub(crate) fn refusal(error: GuardrailError) -> Exception {
    let message = error.to_string();
    let kind = match error {
        GuardrailError::NotFound { .. } => ExceptionKind::ResourceNotFound,
        GuardrailError::Unsupported { .. } => ExceptionKind::Validation,
        GuardrailError::Failed { .. } => ExceptionKind::ServiceUnavailable,
    };
    Exception::new(kind, message).with_source(error)
}

fn response(assessed: &Assessed, scope: Option<GuardrailOutputScope>) -> ApplyGuardrailResponse {
    let Assessed {
        assessment,
        message,
        metrics,
        ..
    } = assessed;
    let texts: Vec<String> = if assessment.blocked {
        vec![message.clone()]
    } else if assessment.masked {
        assessment.texts.clone()
    } else {
        Vec::new()
    };
    let (action, reason) = match (assessment.blocked, assessment.masked) {
        (true, _) => (GuardrailAction::GuardrailIntervened, "Guardrail blocked."),
        (false, true) => (GuardrailAction::GuardrailIntervened, "Guardrail masked."),
        (false, false) => (GuardrailAction::None, "No action."),
    };
    let mut told = if scope == Some(GuardrailOutputScope::Full) {
        assessment.full.clone()
    } else {
        interventions(&assessment.full)
    };
    told.invocation_metrics = Some(metrics.shown(assessed.latency_ms));
    told.applied_guardrail_details = Some(Metrics::applied(
        &assessed.arn,
        &assessed.id,
        &assessed.version,
    ));
    ApplyGuardrailResponse {
        action,
        action_reason: Some(reason.to_owned()),
        assessments: vec![told],
        guardrail_coverage: Some(metrics.coverage()),
        outputs: texts
            .into_iter()
            .map(|text| GuardrailOutputContent { text: Some(text) })
            .collect(),
        usage: metrics.usage(),
    }
}
