//! A guardrail's judgement as a fact of a turn.

use std::sync::Arc;

use outcrop_engine::orchestration::{EventKind, GuardrailAssessed, PendingAssessment};
use outcrop_model::handle::CallContext;
use tracing::warn;

use super::Shared;

/// Judges one text and gives the event to journal.
pub(super) async fn assess(
    shared: Arc<Shared>,
    cx: CallContext,
    pending: PendingAssessment,
) -> EventKind {
    let started_at = shared.ports.clock.now();
    let named = &pending.guardrail;
    let identifier = named.guardrail_identifier.as_deref().unwrap_or_default();
    let version = named.guardrail_version.as_deref().unwrap_or("DRAFT");
    let judged = shared
        .guardrails
        .judge(&cx, identifier, version, pending.source, &pending.text);
    let result = judged.await;
    if let Err(error) = &result {
        warn!(%error, "nothing passes, for the guardrail was not evaluated");
    }
    EventKind::GuardrailAssessed(Box::new(GuardrailAssessed {
        client_request_id: shared.ports.ids.uuid(),
        started_at,
        ended_at: shared.ports.clock.now(),
        result,
    }))
}
