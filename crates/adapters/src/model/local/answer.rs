//! The texts the planner speaks: reasons, questions, and answers from what tools gave.
//!
//! Worded by rule from the outcomes' own words; the model only picks the form that best fits the
//! request. Writing freely, it was seen to drop and to invent facts. Invariant: no number, name or
//! negation reaches the user that neither the tool nor the user wrote.

use std::fmt::Write as _;

use serde_json::Value;

use super::condition::Condition;
use super::dialogue::{Dialogue, Outcome, Step};
use super::literal;
use super::prompt;
use super::tool::{Tool, capitalised};
use super::words;
use outcrop_llm::{LanguageModel, LlmError};

/// Facts spelled out of one outcome; a longer list is named by its number.
const FACTS_LIMIT: usize = 24;
/// Members that say what state the record is in.
const STATES: &[&str] = &["status", "state"];
/// Items spelled out of a list.
const ITEMS_LIMIT: usize = 8;
/// Characters of a tool's prose that are passed on as they are.
const PROSE_LIMIT: usize = 1200;

/// A goal left undone because its condition is not met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skipped<'a> {
    /// The goal, in the user's words.
    pub(super) text: &'a str,
    /// Its condition.
    pub(super) condition: &'a Condition,
}

/// Why a tool is called.
pub(super) fn rationale(tool: &Tool, input: &Value, condition: Option<&Condition>) -> String {
    let mut text = String::new();
    if let Some(condition) = condition {
        let _ = write!(text, "The condition \"{}\" is met. ", condition.text);
    }
    let _ = write!(text, "I will call {}", tool.function());
    let mut facts = Vec::new();
    literal::flatten(input, String::new(), &mut facts);
    for (index, (key, value)) in facts.iter().enumerate() {
        let joint = if index == 0 { " with" } else { "," };
        let _ = write!(text, "{joint} {key} {value}");
    }
    let _ = write!(text, ": {}", tool.purpose);
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

/// The question for values that the conversation does not give.
pub(super) fn question(missing: &[String]) -> String {
    let named: Vec<String> = missing.iter().map(|name| format!("the {name}")).collect();
    format!("Could you tell me {}?", enumerate(&named))
}

/// The answer to the request once no goal is left open.
pub(super) fn from_steps(
    lm: &mut dyn LanguageModel,
    dialogue: &Dialogue,
    steps: &[Step<'_>],
    skipped: &[Skipped<'_>],
) -> Result<String, LlmError> {
    let mut sentences = Vec::new();
    for step in steps {
        let Some(outcome) = step.outcome else {
            continue;
        };
        sentences.push(from_outcome(lm, dialogue, step, outcome)?);
    }
    for Skipped { text, condition } in skipped {
        let text = text.trim_end_matches(['?', '.', '!', ' ']);
        sentences.push(format!(
            "Since \"{}\" is not the case, I did not act on \"{text}\".",
            condition.text
        ));
    }
    if sentences.is_empty() {
        sentences.push("No result came back.".to_owned());
    }
    Ok(sentences.join(" "))
}

fn from_outcome(
    lm: &mut dyn LanguageModel,
    dialogue: &Dialogue,
    step: &Step<'_>,
    outcome: &Outcome,
) -> Result<String, LlmError> {
    let text = outcome.text.trim();
    let function = step
        .call
        .tool
        .rsplit_once("__")
        .map_or(step.call.tool.as_str(), |(_, name)| name);
    if !outcome.success {
        return Ok(sentence(&format!("That did not work: {}", cut(text))));
    }
    let Some(value) = literal::parse(text) else {
        return Ok(if text.is_empty() {
            "Done.".to_owned()
        } else {
            sentence(&capitalised(cut(text)))
        });
    };
    let request = dialogue.request();
    let topic = words::stems(&format!("{} {request}", words::spoken(function)));
    let wordings = wordings(&value, &step.call.input, &topic);
    pick(lm, &request, wordings)
}

/// The wording the model finds likeliest as a reply to the request.
fn pick(
    lm: &mut dyn LanguageModel,
    request: &str,
    mut wordings: Vec<String>,
) -> Result<String, LlmError> {
    if wordings.len() < 2 {
        return Ok(wordings.pop().unwrap_or_default());
    }
    let texts: Vec<String> = wordings.iter().map(|text| prompt::inert(text)).collect();
    let reply = format!(
        "{}{}",
        prompt::message("user", &prompt::bounded(request)),
        prompt::ASSISTANT
    );
    let likelihoods = lm.likelihood(&reply, &texts)?;
    let best = likelihoods
        .iter()
        .zip(wordings)
        .max_by(|(a, _), (b, _)| a.per_token().total_cmp(&b.per_token()));
    Ok(best.map(|(_, wording)| wording).unwrap_or_default())
}

/// The outcome in plain words, in as many forms as it takes.
fn wordings(value: &Value, input: &Value, topic: &[String]) -> Vec<String> {
    match value {
        Value::Array(items) if items.is_empty() => vec!["Nothing was found.".to_owned()],
        Value::Array(items) => {
            let shown: Vec<String> = items.iter().take(ITEMS_LIMIT).map(one_line).collect();
            let more = items.len().saturating_sub(ITEMS_LIMIT);
            let rest = if more > 0 {
                format!("; and {more} more")
            } else {
                String::new()
            };
            vec![sentence(&format!(
                "Found {}: {}{rest}",
                items.len(),
                shown.join("; ")
            ))]
        }
        other => statements(other, input, topic),
    }
}

fn one_line(value: &Value) -> String {
    let mut facts = Vec::new();
    literal::flatten(value, String::new(), &mut facts);
    let parts: Vec<String> = facts
        .iter()
        .take(FACTS_LIMIT)
        .map(|(key, value)| {
            format!("{} {}", words::spoken(key), shown(value))
                .trim()
                .to_owned()
        })
        .collect();
    parts.join(", ")
}

/// "Order A-482 is shipped, and the eta is 2026-03-04." The record that was asked about comes first,
/// then what the request names; the other members follow.
fn statements(value: &Value, input: &Value, topic: &[String]) -> Vec<String> {
    let mut facts = Vec::new();
    literal::flatten(value, String::new(), &mut facts);
    facts.retain(|(_, value)| !value.is_null());
    facts.sort_by_key(|(key, _)| !is_about(key, topic));
    facts.truncate(FACTS_LIMIT);
    let given = |(key, value): &(String, Value)| input.get(key).is_some_and(|asked| asked == value);
    let (about, told): (Vec<_>, Vec<_>) = facts.into_iter().partition(given);
    let subject: Vec<String> = about.iter().map(|(key, value)| named(key, value)).collect();
    let parts: Vec<String> = told.iter().map(|(key, value)| clause(key, value)).collect();
    if parts.is_empty() {
        return vec![sentence(&format!("Done: {}", subject.join(", ")))];
    }
    if subject.is_empty() {
        return vec![sentence(&capitalised(&enumerate(&parts)))];
    }
    let subject = subject.join(", ");
    let mut forms = vec![format!("{subject}: {}", enumerate(&parts))];
    let state = told
        .iter()
        .position(|(key, value)| STATES.contains(&key.as_str()) && value.is_string());
    if let Some((_, state_value)) = state.and_then(|index| told.get(index)) {
        let others: Vec<String> = told
            .iter()
            .filter(|(key, _)| !STATES.contains(&key.as_str()))
            .map(|(key, value)| clause(key, value))
            .collect();
        let state_value = shown(state_value);
        let rest = if others.is_empty() {
            String::new()
        } else {
            format!(", and {}", enumerate(&others))
        };
        forms.push(format!("{subject} is {state_value}{rest}"));
        forms.push(format!("The status of {subject} is {state_value}{rest}"));
    }
    forms
        .iter()
        .map(|form| sentence(&capitalised(form)))
        .collect()
}

fn named(key: &str, value: &Value) -> String {
    let spoken = words::spoken(key);
    format!(
        "{} {}",
        spoken.strip_suffix(" id").unwrap_or(&spoken),
        shown(value)
    )
}

fn clause(key: &str, value: &Value) -> String {
    match value {
        _ if key.is_empty() => shown(value),
        Value::Bool(truth) => format!(
            "{}: {}",
            words::spoken(key),
            if *truth { "yes" } else { "no" }
        ),
        value => format!("the {} is {}", words::spoken(key), shown(value)),
    }
}

fn is_about(key: &str, topic: &[String]) -> bool {
    words::stems(&words::spoken(key))
        .iter()
        .any(|stem| topic.contains(stem))
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn enumerate(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn cut(text: &str) -> &str {
    match text.char_indices().nth(PROSE_LIMIT) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
