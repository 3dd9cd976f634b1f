//! How long the deterministic policies take for 2 KB of text: all entities, words and a few regexes.
//!
//! `cargo run --release -p outcrop-guardrail --example speed` prints the median in microseconds.

use std::time::Instant;

use outcrop_guardrail::{Decided, Guardrail, Passage, decided_by};
use outcrop_model::bedrock::{GetGuardrailResponse, GuardrailPiiEntityType as Kind};
use outcrop_model::converse::GuardrailContentSource as Source;
use serde_json::json;

/// Rounds that are measured.
const ROUNDS: usize = 2_000;

fn main() {
    let kinds = Kind::VALUES
        .iter()
        .filter(|kind| decided_by(**kind) != Decided::Model);
    let entities: Vec<_> = kinds
        .map(|kind| json!({"type": kind, "action": "ANONYMIZE"}))
        .collect();
    let words: Vec<_> = (0..100)
        .map(|n| json!({"text": format!("word number {n}")}))
        .collect();
    let definition: GetGuardrailResponse = serde_json::from_value(json!({
        "name": "g", "guardrailId": "g1", "guardrailArn": "arn", "version": "1", "status": "READY",
        "blockedInputMessaging": "no", "blockedOutputsMessaging": "no",
        "createdAt": "2025-01-01T00:00:00Z", "updatedAt": "2025-01-01T00:00:00Z",
        "sensitiveInformationPolicy": {"piiEntities": entities, "regexes": [
            {"name": "case", "pattern": r"CASE-\d{6}", "action": "BLOCK"},
            {"name": "badge", "pattern": r"[A-Z]{2}\d{4}", "action": "ANONYMIZE"},
        ]},
        "wordPolicy": {"words": words, "managedWordLists": [{"type": "PROFANITY"}]},
    }))
    .expect("a definition");
    let guardrail = Guardrail::compile(&definition).expect("it compiles");
    let prose = "The committee met on 12 March 2024 to discuss the plan for the new building, which \
        had been put off twice since the spring. Ms Okafor spoke for the tenants and asked for another \
        survey. ";
    let mixed = "Please send the contract to maria.lopez@example.org or call (206) 555-0142 before noon; \
        the card ending in 4242 was charged, see https://shop.example.com/orders/1881. My PIN is 4821. ";
    for (name, part) in [("prose", prose), ("mixed", mixed)] {
        let text = part.repeat(2_048 / part.len() + 1);
        let passage = Passage {
            text: &text[..2_048],
            is_guarded: true,
            ..Passage::default()
        };
        let mut times: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                std::hint::black_box(guardrail.assess(Source::Input, &[passage], None));
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        let micros = |at: usize| times[at].as_secs_f64() * 1e6;
        println!(
            "{name}: p50 {:.1} µs, p99 {:.1} µs",
            micros(ROUNDS / 2),
            micros(ROUNDS * 99 / 100)
        );
    }
}
