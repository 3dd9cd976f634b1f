//! Whether what the tools have answered makes a user's condition true.
//!
//! Judged by words, numbers and truth values of the outcomes, not by the model, which at its size
//! mistakes a denial for what is denied. Invariant: what no outcome mentions counts as not being so.

use serde_json::Value;

use super::literal;
use super::words;

/// "if it hasn't shipped".
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// With its "if" or "unless", as written.
    pub(super) text: String,
}

impl Condition {
    /// Whether what the tools answered makes the condition true. What they do not mention is taken
    /// as not being so: "if it hasn't shipped" holds of an order that is "processing".
    pub(super) fn holds(&self, outcomes: &[&str]) -> bool {
        let lower = self.text.to_lowercase();
        let unless = lower.starts_with("unless");
        let negated = lower.contains("n't")
            || words::words(&lower)
                .iter()
                .any(|word| ["not", "never", "no"].contains(&word.text.as_str()));
        let stems: Vec<String> = words::stems(&lower)
            .into_iter()
            .filter(|stem| {
                ![
                    "hasn", "isn", "wasn", "not", "never", "no", "yet", "already", "still",
                    "unless", "cas", "ha",
                ]
                .contains(&stem.as_str())
            })
            .collect();
        let stated = outcomes
            .iter()
            .rev()
            .any(|outcome| states(outcome, &stems, &lower));
        (stated != negated) != unless
    }
}

/// Whether an outcome says what the stems say.
fn states(outcome: &str, stems: &[String], condition: &str) -> bool {
    let Some(value) = literal::parse(outcome) else {
        let lower = outcome.to_lowercase();
        let denied = lower.contains("n't") || lower.split_whitespace().any(|word| word == "not");
        let said = words::stems(outcome);
        return stems.iter().any(|stem| said.contains(stem)) && !denied;
    };
    let mut facts = Vec::new();
    literal::flatten(&value, String::new(), &mut facts);
    if let Some(compared) = compare(&facts, stems, condition) {
        return compared;
    }
    facts.iter().any(|(key, value)| {
        let key_matches = words::stems(&words::spoken(key))
            .iter()
            .any(|stem| stems.contains(stem));
        match value {
            Value::Bool(truth) => key_matches && *truth,
            Value::Number(number) => {
                key_matches && number.as_f64().is_some_and(|number| number > 0.0)
            }
            Value::String(text) => {
                let said = words::words(&text.to_lowercase());
                let denied = said
                    .iter()
                    .any(|word| ["not", "no", "never"].contains(&word.text.as_str()));
                !denied
                    && words::stems(&words::spoken(text))
                        .iter()
                        .any(|stem| stems.contains(stem))
            }
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    })
}

/// "below 100" against the number the condition names.
fn compare(facts: &[(String, Value)], stems: &[String], condition: &str) -> Option<bool> {
    let below = [
        "below",
        "under",
        "less than",
        "lower than",
        "fewer than",
        "cheaper than",
    ]
    .iter()
    .any(|word| condition.contains(word));
    let above = [
        "above",
        "over",
        "more than",
        "higher than",
        "at least",
        "greater than",
    ]
    .iter()
    .any(|word| condition.contains(word));
    if below == above {
        return None;
    }
    let limit: f64 = words::words(condition)
        .iter()
        .find_map(|word| word.text.parse().ok())?;
    let (_, value) = facts
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_f64()?)))
        .max_by_key(|(key, _)| {
            words::stems(&words::spoken(key))
                .iter()
                .filter(|stem| stems.contains(stem))
                .count()
        })?;
    Some(if below {
        value < limit
    } else {
        value > limit || (condition.contains("at least") && value >= limit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_against_the_outcomes() {
        let condition = |text: &str| Condition { text: text.into() };
        assert!(!condition("if it hasn't shipped").holds(&["{'status': 'shipped'}"]));
        assert!(condition("if it hasn't shipped").holds(&["{'status': 'processing'}"]));
        assert!(condition("if it hasn't shipped").holds(&["{'shipped': False}"]));
        assert!(!condition("unless it has shipped").holds(&["{\"status\": \"SHIPPED\"}"]));
        assert!(
            condition("if the balance is below 100").holds(&["{'balance': 40.5, 'limit': 500}"])
        );
        assert!(condition("if it is cancelled").holds(&["The flight was cancelled."]));
    }
}
