//! Tools that a model can hardly tell apart, judged by the words of their names and descriptions.
//!
//! A rule of thumb, on purpose a cautious one: it speaks up where two texts say nearly the same, and
//! leaves alone those that differ in the word that matters.

use std::collections::BTreeSet;

use super::{Findings, Place, Rule, Severity};
use crate::action::{Action, ActionTarget};

/// Tools compared with each other; the pairs of more would take long and help nobody.
const TOOLS_MAX: usize = 400;
/// Pairs that are told of.
const PAIRS_MAX: usize = 20;
/// From here on two descriptions say the same, whatever the names are.
const SAME_DESCRIPTION: f64 = 0.85;
/// From here on they say much the same, which is too near where the names do so too.
const NEAR: f64 = 0.6;
/// Without a description on both sides the names must differ more than this.
const NEAR_NAME: f64 = 0.75;

/// Words that tell nothing.
const STOP_WORDS: [&str; 22] = [
    "a", "an", "and", "any", "are", "as", "at", "be", "by", "for", "from", "given", "in", "is",
    "it", "of", "or", "that", "the", "this", "to", "with",
];

struct Words {
    name: BTreeSet<String>,
    description: BTreeSet<String>,
}

/// Adds a finding for each pair that is too alike.
pub(super) fn check(actions: &[Action], findings: &mut Findings) {
    let compared = actions.get(..TOOLS_MAX).unwrap_or(actions);
    let words: Vec<Words> = compared.iter().map(words_of).collect();
    let mut pairs = 0;
    for (index, (action, own)) in compared.iter().zip(&words).enumerate() {
        for (other, others) in compared.iter().zip(&words).take(index) {
            // One name for both is an error of its own.
            if action.tool_name == other.tool_name || !alike(own, others) {
                continue;
            }
            pairs += 1;
            if pairs > PAIRS_MAX {
                return;
            }
            findings.add(
                Rule::SimilarTools,
                Severity::Warning,
                Place::group(&action.action_group).action(action.target.to_string()),
                format!(
                    "the model can hardly tell {} from {}: their names and descriptions say nearly the same",
                    action.tool_name, other.tool_name
                ),
                "Say in each description when to use it rather than the other",
            );
        }
    }
}

fn words_of(action: &Action) -> Words {
    let name = match &action.target {
        ActionTarget::Function { name } => name.as_str(),
        // The tool name ends in the operation id.
        ActionTarget::Api { .. } => action
            .tool_name
            .rsplit("__")
            .next()
            .unwrap_or(&action.tool_name),
    };
    Words {
        name: words(name),
        description: words(action.description.as_deref().unwrap_or_default()),
    }
}

fn alike(one: &Words, other: &Words) -> bool {
    let names = overlap(&one.name, &other.name);
    if one.description.is_empty() || other.description.is_empty() {
        return names >= NEAR_NAME;
    }
    let descriptions = overlap(&one.description, &other.description);
    descriptions >= SAME_DESCRIPTION || (descriptions >= NEAR && names >= NEAR)
}

/// The part of all words that both have: 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
fn overlap(one: &BTreeSet<String>, other: &BTreeSet<String>) -> f64 {
    let all = one.union(other).count();
    if all == 0 {
        return 0.0;
    }
    one.intersection(other).count() as f64 / all as f64
}

/// The words of a text, in lower case, without endings: `getOrders` and `get_order` are the same.
fn words(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut word = String::new();
    let mut after_lower = false;
    for character in text.chars().chain(std::iter::once(' ')) {
        let begins = character.is_uppercase() && after_lower;
        if (begins || !character.is_alphanumeric()) && !word.is_empty() {
            take(std::mem::take(&mut word), &mut out);
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        after_lower = character.is_lowercase() || character.is_numeric();
    }
    out
}

fn take(word: String, out: &mut BTreeSet<String>) {
    if STOP_WORDS.contains(&word.as_str()) {
        return;
    }
    let stem = match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with(['s', 'u']) => stem.to_owned(),
        _ => word,
    };
    out.insert(stem);
}

#[cfg(test)]
mod tests {
    use super::{Words, alike, words};

    fn tool(name: &str, description: &str) -> Words {
        Words {
            name: words(name),
            description: words(description),
        }
    }

    #[test]
    fn only_what_says_nearly_the_same_is_alike() {
        for (one, other, expected) in [
            (
                ("get_order", "Gets an order."),
                ("getOrders", "Get the orders."),
                true,
            ),
            (("get_order", ""), ("getOrders", ""), true),
            (
                ("find_user", "Looks a user up by email address."),
                ("lookup", "Looks up the user by email address."),
                true,
            ),
            (
                ("create_order", "Creates an order."),
                ("delete_order", "Deletes an order."),
                false,
            ),
            (
                ("turn_on_light", "Turns on the light in a room."),
                ("turn_off_light", "Turns off the light in a room."),
                false,
            ),
            (
                (
                    "get_shipping_status",
                    "Gets the shipping status of an order by its id.",
                ),
                (
                    "get_payment_status",
                    "Gets the payment status of an order by its id.",
                ),
                false,
            ),
            (("ping", ""), ("weather", "Tells the weather."), false),
        ] {
            assert_eq!(
                alike(&tool(one.0, one.1), &tool(other.0, other.1)),
                expected,
                "{one:?} {other:?}"
            );
        }
    }
}
