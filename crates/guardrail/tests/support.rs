//! Definitions of guardrails for tests.

#![allow(dead_code, reason = "each test uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use outcrop_model::bedrock::GetGuardrailResponse;
use serde_json::{Value, json};

/// A definition with these policies, in the form of `GetGuardrail`.
pub(crate) fn of(policies: &Value) -> GetGuardrailResponse {
    let mut definition = json!({
        "name": "g", "guardrailId": "g1", "guardrailArn": "arn", "version": "DRAFT", "status": "READY",
        "blockedInputMessaging": "no input", "blockedOutputsMessaging": "no output",
        "createdAt": "2025-01-01T00:00:00Z", "updatedAt": "2025-01-01T00:00:00Z",
    });
    for (name, policy) in policies.as_object().unwrap() {
        definition[name] = policy.clone();
    }
    serde_json::from_value(definition).unwrap()
}

/// A policy on sensitive information.
#[derive(Default)]
pub(crate) struct Sensitive<'a> {
    /// Kind and action.
    pub(crate) entities: &'a [(&'a str, &'a str)],
    /// Name, pattern and action.
    pub(crate) regexes: &'a [(&'a str, &'a str, &'a str)],
}

/// A definition with this policy alone.
pub(crate) fn definition(sensitive: &Sensitive<'_>) -> GetGuardrailResponse {
    let entities: Vec<_> = sensitive
        .entities
        .iter()
        .map(|(kind, action)| json!({"type": kind, "action": action}))
        .collect();
    let regexes: Vec<_> = sensitive
        .regexes
        .iter()
        .map(|(name, pattern, action)| json!({"name": name, "pattern": pattern, "action": action}))
        .collect();
    of(&json!({"sensitiveInformationPolicy": {"piiEntities": entities, "regexes": regexes}}))
}
