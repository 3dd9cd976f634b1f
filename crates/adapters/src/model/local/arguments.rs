//! The arguments of a call, copied from the conversation.
//!
//! Each parameter is matched with pieces of the text by what it looks like, the words around it, and
//! how much likelier the model finds it after that parameter's name than after a name that says
//! nothing. Parameters never share a piece. Invariant: every value fits its parameter's kind, and a
//! required one without evidence is reported as missing instead of being made up.

mod assign;

use serde_json::{Map, Number, Value};

use super::dialogue::{Dialogue, Entry};
use super::prompt;
use super::role::{self, Role};
use super::spans::{self, Look, Span};
use super::tool::{Kind, Parameter, Tool};
use super::words;
use outcrop_llm::{LanguageModel, LlmError};

/// Candidates weighed by the model for one parameter; the rest are far behind by their looks.
const WEIGHED_LIMIT: usize = 6;
/// How much one nat of the model's opinion counts beside the looks.
const MODEL_WEIGHT: f64 = 0.5;
/// The most nats it may bring either way: it is not certain enough for more.
const MODEL_LIMIT: f64 = 3.0;
/// What a required parameter takes at least.
const REQUIRED_LEAST: f64 = 0.5;
/// What an optional one takes: a sign that the user meant it.
const OPTIONAL_LEAST: f64 = 3.5;
/// How far the model must prefer one of several values to choose it unsaid, in nats per token.
const CHOICE_MARGIN: f64 = 0.3;

/// Whole numbers below this are exact in the form they are read in.
const WHOLE_LIMIT: f64 = 9_007_199_254_740_992.0;

/// What filling the parameters gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filled {
    /// The arguments found.
    pub(super) input: Value,
    /// Required parameters without evidence, in words.
    pub(super) missing: Vec<String>,
}

/// A leaf of the schema with the keys that lead to it.
struct Leaf<'a> {
    path: Vec<&'a str>,
    parameter: &'a Parameter,
    required: bool,
}

/// A possible value.
#[derive(Clone, Debug)]
struct Candidate {
    value: Value,
    /// As the conversation writes it.
    text: String,
    /// Which piece of text it uses up: source number and byte range.
    place: (usize, usize, usize),
    score: f64,
}

/// A text that values may come from, nearest first.
struct Source {
    text: String,
    spans: Vec<Span>,
    discount: f64,
}

/// Fills the parameters of `tool` for a goal worded `goal`.
pub(super) fn fill(
    lm: &mut dyn LanguageModel,
    tool: &Tool,
    goal: &str,
    dialogue: &Dialogue,
) -> Result<Filled, LlmError> {
    let mut leaves = Vec::new();
    collect(&tool.parameters, &[], true, &mut leaves);
    let sources = sources(goal, dialogue);
    let request = &dialogue.request();
    let own_words = {
        let mut stems = words::stems(&tool.spoken);
        stems.extend(words::stems(&tool.purpose));
        stems
    };
    let mut options: Vec<Vec<Candidate>> = Vec::with_capacity(leaves.len());
    for leaf in &leaves {
        let mut candidates = match &leaf.parameter.kind {
            Kind::Choice(values) => choices(lm, leaf, values, &sources, request)?,
            Kind::Boolean => truths(leaf, &sources),
            Kind::List(kind) => lists(leaf, kind, &sources, &own_words),
            Kind::Text | Kind::Integer | Kind::Number => {
                let found = scalars(leaf.parameter, &leaf.parameter.kind, &sources, &own_words);
                weighed(lm, leaf, found, request)?
            }
            Kind::Object(_) => Vec::new(),
        };
        candidates.extend(remembered(leaf.parameter, dialogue));
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        let least = if leaf.required {
            REQUIRED_LEAST
        } else {
            OPTIONAL_LEAST
        };
        candidates.retain(|candidate| candidate.score >= least);
        candidates.truncate(WEIGHED_LIMIT);
        options.push(candidates);
    }
    let chosen = assign::best(&leaves, &options);
    let mut input = Map::new();
    let mut missing = Vec::new();
    for (leaf, candidate) in leaves.iter().zip(chosen) {
        match candidate {
            Some(candidate) => put(&mut input, &leaf.path, candidate.value.clone()),
            None if leaf.required => missing.push(leaf.parameter.spoken.clone()),
            None => {}
        }
    }
    Ok(Filled {
        input: Value::Object(input),
        missing,
    })
}

fn collect<'a>(
    parameters: &'a [Parameter],
    path: &[&'a str],
    needed: bool,
    leaves: &mut Vec<Leaf<'a>>,
) {
    for parameter in parameters {
        let mut path = path.to_vec();
        path.push(&parameter.name);
        let required = needed && parameter.required;
        match &parameter.kind {
            Kind::Object(parts) => collect(parts, &path, required, leaves),
            _ => leaves.push(Leaf {
                path,
                parameter,
                required,
            }),
        }
    }
}

fn put(object: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => {
            object.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = object
                .entry(*key)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The goal, then the whole request, then what the user wrote before, each less believed.
fn sources(goal: &str, dialogue: &Dialogue) -> Vec<Source> {
    let mut texts = vec![goal.to_owned()];
    let request = dialogue.request();
    if request != goal {
        texts.push(request);
    }
    let earlier = dialogue
        .entries
        .iter()
        .rev()
        .filter_map(|entry| match entry {
            Entry::User(text) => Some(text.clone()),
            Entry::Assistant(_) | Entry::Call(_) | Entry::Outcome(_) => None,
        });
    texts.extend(earlier.skip(1).take(3));
    let mut sources: Vec<Source> = Vec::new();
    for (text, discount) in texts.into_iter().zip([0.0, 1.0, 2.0, 2.5, 3.0]) {
        sources.push(Source {
            spans: spans::spans(&text),
            text,
            discount,
        });
    }
    sources
}

/// Values of the same name in earlier calls, in what tools answered, and in the system text.
fn remembered(parameter: &Parameter, dialogue: &Dialogue) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut add = |value: &Value, score: f64| {
        if fits(&parameter.kind, value) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            found.push(Candidate {
                value: value.clone(),
                text,
                place: (usize::MAX, 0, 0),
                score,
            });
        }
    };
    for (age, entry) in dialogue.entries.iter().rev().enumerate() {
        let age = f64::from(u32::try_from(age).unwrap_or(u32::MAX)) * 0.05;
        match entry {
            Entry::Call(call) => {
                if let Some(value) = call.input.get(&parameter.name) {
                    add(value, 2.5 - age);
                }
            }
            Entry::Outcome(outcome) => {
                let mut facts = Vec::new();
                if let Some(value) = super::literal::parse(&outcome.text) {
                    super::literal::flatten(&value, String::new(), &mut facts);
                }
                for (_, value) in facts.iter().filter(|(key, _)| *key == parameter.name) {
                    add(value, 2.0 - age);
                }
            }
            Entry::User(_) | Entry::Assistant(_) => {}
        }
    }
    let key = format!("{}:", parameter.name);
    if let Some(at) = dialogue.system.find(&key) {
        let line = dialogue.system[at + key.len()..]
            .lines()
            .next()
            .unwrap_or_default();
        let value = line.trim().trim_matches(['"', '\'', ',']);
        if !value.is_empty() && value.len() < 80 && role::of(parameter) == Role::Identifier {
            add(&Value::String(value.to_owned()), 1.0);
        }
    }
    found
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value.is_string(),
        Kind::Choice(values) => values.contains(value),
        Kind::Integer => value.is_i64() || value.is_u64(),
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::List(_) => value.is_array(),
        Kind::Object(_) => value.is_object(),
    }
}

/// Candidates for a text or a number by their looks and surroundings.
fn scalars(
    parameter: &Parameter,
    kind: &Kind,
    sources: &[Source],
    own_words: &[String],
) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let trimmed = source.spans.iter().filter(|span| span.look == Look::Phrase);
        let trimmed: Vec<Span> = trimmed
            .filter_map(|span| spans::without(span, own_words))
            .collect();
        for span in source.spans.iter().chain(&trimmed) {
            let Some(value) = value_of(kind, span) else {
                continue;
            };
            let Some(look) = role::fit(parameter, kind, span) else {
                continue;
            };
            let score = look + role::surroundings(parameter, span)
                - echo(span, own_words)
                - source.discount;
            if found
                .iter()
                .any(|known| known.value == value && known.score >= score)
            {
                continue;
            }
            let place = (index, span.start, span.end);
            found.push(Candidate {
                value,
                text: span.text.clone(),
                place,
                score,
            });
        }
    }
    found
}

/// Words of the request that only name the tool are no values for it.
fn echo(span: &Span, own_words: &[String]) -> f64 {
    match span.look {
        Look::Name | Look::Phrase => {
            let stems = words::stems(&span.text);
            let own = stems.iter().filter(|stem| own_words.contains(stem)).count();
            if stems.is_empty() || own == stems.len() {
                3.0
            } else if own > 0 {
                1.0
            } else {
                0.0
            }
        }
        _ => 0.0,
    }
}

fn value_of(kind: &Kind, span: &Span) -> Option<Value> {
    match (kind, span.look) {
        (Kind::Text, _) => Some(Value::String(span.text.clone())),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        (Kind::Integer | Kind::Number, Look::Number(number))
            if number.fract() == 0.0 && number.abs() < WHOLE_LIMIT =>
        {
            Some(Value::Number((number as i64).into()))
        }
        (Kind::Number, Look::Number(number)) => Number::from_f64(number).map(Value::Number),
        _ => None,
    }
}

/// Adds the model's opinion to the best candidates.
fn weighed(
    lm: &mut dyn LanguageModel,
    leaf: &Leaf<'_>,
    mut found: Vec<Candidate>,
    request: &str,
) -> Result<Vec<Candidate>, LlmError> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(WEIGHED_LIMIT);
    if found.len() < 2 {
        return Ok(found);
    }
    let texts: Vec<String> = found
        .iter()
        .map(|candidate| format!(" {}", prompt::inert(&candidate.text)))
        .collect();
    let named = lm.likelihood(&prompt::value(request, &leaf.parameter.spoken), &texts)?;
    let unnamed = lm.likelihood(&prompt::value(request, "value"), &texts)?;
    for ((candidate, named), unnamed) in found.iter_mut().zip(named).zip(unnamed) {
        let gain = named.log_probability - unnamed.log_probability;
        candidate.score += MODEL_WEIGHT * gain.clamp(-MODEL_LIMIT, MODEL_LIMIT);
    }
    Ok(found)
}

/// One of the values of an enumeration: said, or clearly preferred by the model where it must be
/// chosen.
fn choices(
    lm: &mut dyn LanguageModel,
    leaf: &Leaf<'_>,
    values: &[Value],
    sources: &[Source],
    request: &str,
) -> Result<Vec<Candidate>, LlmError> {
    let spoken: Vec<String> = values
        .iter()
        .map(|value| words::spoken(value.as_str().unwrap_or(&value.to_string())))
        .collect();
    let mut found = Vec::new();
    for source in sources {
        let said = words::words(&source.text);
        let said: Vec<String> = said.iter().map(|word| words::stem(&word.text)).collect();
        for (value, spoken) in values.iter().zip(&spoken) {
            let stems: Vec<String> = words::words(spoken)
                .iter()
                .map(|word| words::stem(&word.text))
                .collect();
            let matched = stems.iter().filter(|stem| said.contains(stem)).count();
            if matched > 0 {
                let share = 4.0 * ratio(matched, stems.len());
                found.push(free(value, spoken, share - source.discount));
            }
        }
    }
    if !found.is_empty() || !leaf.required || values.len() < 2 {
        return Ok(found);
    }
    let texts: Vec<String> = spoken.iter().map(|text| format!(" {text}")).collect();
    let told = lm.likelihood(&prompt::value(request, &leaf.parameter.spoken), &texts)?;
    let untold = lm.likelihood(&prompt::value("Hello.", &leaf.parameter.spoken), &texts)?;
    let mut gains: Vec<(f64, usize)> = told
        .iter()
        .zip(&untold)
        .enumerate()
        .map(|(index, (told, untold))| (told.per_token() - untold.per_token(), index))
        .collect();
    gains.sort_by(|a, b| b.0.total_cmp(&a.0));
    if let [(best, index), (second, _), ..] = gains.as_slice()
        && best - second >= CHOICE_MARGIN
    {
        found.extend(values.get(*index).map(|value| free(value, "", 1.0)));
    }
    Ok(found)
}

fn free(value: &Value, text: &str, score: f64) -> Candidate {
    Candidate {
        value: value.clone(),
        text: text.to_owned(),
        place: (usize::MAX, 0, 0),
        score,
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(part) / number(whole.max(1))
}

/// True or false by the words for it, those of the description included.
fn truths(leaf: &Leaf<'_>, sources: &[Source]) -> Vec<Candidate> {
    const YES: &[&str] = &[
        "on", "yes", "true", "enable", "enabled", "with", "start", "activate", "include",
    ];
    const NO: &[&str] = &[
        "off",
        "no",
        "not",
        "don",
        "false",
        "disable",
        "disabled",
        "without",
        "stop",
        "deactivate",
        "never",
        "exclude",
    ];
    let named = words::stems(&leaf.parameter.spoken);
    for source in sources.iter().take(2) {
        let said = words::words(&source.text);
        let has = |list: &[&str]| said.iter().any(|word| list.contains(&word.text.as_str()));
        let mentioned = said
            .iter()
            .any(|word| named.contains(&words::stem(&word.text)));
        if !leaf.required && !mentioned {
            continue;
        }
        if has(NO) {
            return vec![free(&Value::Bool(false), "", 4.0)];
        }
        if has(YES) || mentioned {
            return vec![free(&Value::Bool(true), "", 4.0)];
        }
    }
    Vec::new()
}

/// Everything in the nearest text that fits the items.
fn lists(leaf: &Leaf<'_>, kind: &Kind, sources: &[Source], own_words: &[String]) -> Vec<Candidate> {
    for source in sources {
        let nearest = std::slice::from_ref(source);
        let mut items: Vec<Candidate> = match kind {
            Kind::Choice(values) => {
                let said = words::stems(&source.text);
                let is_said = |value: &&Value| {
                    let stems = words::stems(&words::spoken(value.as_str().unwrap_or_default()));
                    !stems.is_empty() && stems.iter().all(|stem| said.contains(stem))
                };
                values
                    .iter()
                    .filter(is_said)
                    .map(|value| free(value, "", 4.0))
                    .collect()
            }
            _ => scalars(leaf.parameter, kind, nearest, own_words),
        };
        items.retain(|item| item.score >= 1.0);
        let best = items
            .iter()
            .map(|item| item.score)
            .fold(f64::NEG_INFINITY, f64::max);
        items.retain(|item| item.score >= best - 1.5);
        items.sort_by_key(|item| item.place.1);
        if !items.is_empty() {
            let values = items.into_iter().map(|item| item.value).collect();
            return vec![free(&Value::Array(values), "", best)];
        }
    }
    Vec::new()
}
