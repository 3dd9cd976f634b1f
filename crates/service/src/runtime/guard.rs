//! A guardrail's judgement as a fact of a turn.

use std::sync::Arc;

use outcrop_engine::orchestration::{EventKind, GuardrailAssessed, PendingAssessment};
use outcrop_engine::port::GuardrailError;
use outcrop_model::handle::CallContext;

use super::Shared;

/// Judges one text and gives the event to journal.
pub(super) async fn assess(
    shared: Arc<Shared>,
    _cx: CallContext,
    pending: PendingAssessment,
) -> EventKind {
    let started_at = shared.ports.clock.now();
    let result = Err(GuardrailError::Unsupported {
        guardrail: pending.guardrail.guardrail_identifier.unwrap_or_default(),
        detail: "guardrails on agents are not supported by Outcrop".to_owned(),
    });
    EventKind::GuardrailAssessed(Box::new(GuardrailAssessed {
        client_request_id: shared.ports.ids.uuid(),
        started_at,
        ended_at: shared.ports.clock.now(),
        result,
    }))
}
