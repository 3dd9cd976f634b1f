//! Which tool, if any, does what a goal asks for.
//!
//! A model of this size says little about what to do next, but it does know which words go with
//! which purpose. So the question is turned round: how much likelier does the user's text become when
//! the model is told that a tool's purpose is its only task, compared with being told nothing? That
//! difference of log-likelihoods (a pointwise mutual information) needs no prior per tool and no
//! length correction, since the text is the same each time. Shared words and the mood of the sentence
//! are added as evidence of their own. The same is asked of conversation, which is the choice to
//! answer without a tool.

use std::collections::HashSet;

use super::prompt;
use super::role;
use super::spans::{self, Look};
use super::tool::{Kind, Parameter, Tool};
use super::words;
use outcrop_llm::{LanguageModel, LlmError};

/// Purposes that stand for answering without a tool.
const CONVERSATION: &[&str] = &[
    "small talk. Greet, thank, or say goodbye.",
    "question. Answer a question from general knowledge.",
];

/// Nats that a word shared with the tool's name or purpose is worth, before its rarity.
const SHARED_WORD: f64 = 1.5;
/// The most that shared words count, so that a long description does not win by its length.
const SHARED_WORDS_LIMIT: f64 = 4.0;
/// Nats for a question meeting a tool that reads, or against one that acts.
const MOOD: f64 = 1.0;
/// What a tool has to be ahead of conversation, in nats.
const AHEAD_OF_CONVERSATION: f64 = 0.5;
/// The score below which a tool is not believed, even if conversation is worse.
const LEAST: f64 = 1.0;

/// Nats for each value in the request that the tool has a parameter for, and against it for each that
/// it has none for.
const VALUE: f64 = 1.0;

/// Verbs of tools that only look.
const READING: &[&str] = &[
    "get", "list", "find", "search", "look", "lookup", "show", "check", "read", "fetch", "query",
    "view", "track", "describe", "retrieve", "tell", "report",
];
const QUESTION_WORDS: &[&str] = &[
    "what", "where", "when", "who", "how", "which", "why", "is", "are", "has", "did", "does",
    "was", "whats", "wheres",
];

/// How well each tool fits, best first, and whether the best is believed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranking {
    /// Index into the tools and score in nats, best first.
    pub(super) tools: Vec<(usize, f64)>,
    /// The best score of answering without a tool.
    pub(super) conversation: f64,
}

impl Ranking {
    /// The tool to call; `None` to answer without one.
    pub(super) fn choice(&self) -> Option<usize> {
        let (tool, score) = self.tools.first()?;
        (*score >= LEAST && *score >= self.conversation + AHEAD_OF_CONVERSATION).then_some(*tool)
    }
}

/// Ranks `tools` for `goal`.
pub(super) fn rank(
    lm: &mut dyn LanguageModel,
    tools: &[Tool],
    goal: &str,
) -> Result<Ranking, LlmError> {
    let text = [prompt::bounded(goal)];
    let null = total(lm, &prompt::task(None), &text)?;
    let vocabulary: Vec<Vec<String>> = tools.iter().map(vocabulary).collect();
    let rarity = words::weights(&vocabulary);
    let said: HashSet<String> = words::stems(goal).into_iter().collect();
    let mut ranked = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let task = format!("{}. {}", tool.spoken, tool.purpose);
        let information = total(lm, &prompt::task(Some(&task)), &text)? - null;
        let mut shared: Vec<&String> = vocabulary[index]
            .iter()
            .filter(|stem| said.contains(*stem))
            .collect();
        shared.sort();
        shared.dedup();
        let lexical: f64 = shared
            .iter()
            .filter_map(|stem| rarity.get(*stem))
            .sum::<f64>()
            * SHARED_WORD;
        ranked.push((
            index,
            information + lexical.min(SHARED_WORDS_LIMIT) + mood(goal, tool) + values(goal, tool),
        ));
    }
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut conversation = f64::NEG_INFINITY;
    for purpose in CONVERSATION {
        conversation = conversation.max(total(lm, &prompt::task(Some(purpose)), &text)? - null);
    }
    Ok(Ranking {
        tools: ranked,
        conversation,
    })
}

/// The mean log-likelihood of a text after two prefixes of the same meaning.
fn total(
    lm: &mut dyn LanguageModel,
    prefixes: &[String; 2],
    text: &[String],
) -> Result<f64, LlmError> {
    let mut sum = 0.0;
    for prefix in prefixes {
        let likelihoods = lm.likelihood(prefix, text)?;
        sum += likelihoods
            .first()
            .map_or(f64::NEG_INFINITY, |likelihood| likelihood.log_probability);
    }
    Ok(sum / 2.0)
}

/// The stems by which a request may name a tool.
fn vocabulary(tool: &Tool) -> Vec<String> {
    let mut stems = words::stems(&tool.spoken);
    stems.extend(words::stems(&tool.purpose));
    for parameter in &tool.parameters {
        stems.extend(words::stems(&parameter.spoken));
        if let Kind::Choice(values) = &parameter.kind {
            for value in values.iter().filter_map(serde_json::Value::as_str) {
                stems.extend(words::stems(&words::spoken(value)));
            }
        }
    }
    stems
}

/// Whether the tool has a use for the values that the request gives: someone who names a price does
/// not ask for one.
fn values(goal: &str, tool: &Tool) -> f64 {
    let mut free: Vec<&Parameter> = tool.parameters.iter().collect();
    let mut score = 0.0;
    for span in spans::spans(goal) {
        if matches!(span.look, Look::Name | Look::Phrase | Look::Clause) {
            continue;
        }
        let taker = free.iter().position(|parameter| {
            role::fit(parameter, &parameter.kind, &span).is_some_and(|fit| fit >= VALUE)
        });
        match taker {
            Some(index) => {
                free.swap_remove(index);
                score += VALUE;
            }
            None => score -= VALUE,
        }
    }
    score
}

fn mood(goal: &str, tool: &Tool) -> f64 {
    let said = words::words(goal);
    let first = said.first().map_or("", |word| word.text.as_str());

    match (QUESTION_WORDS.contains(&first), only_reads(tool)) {
        (true, true) => MOOD,
        (true, false) => -MOOD,
        (false, _) => 0.0,
    }
}

/// Whether a tool's name says that it changes nothing.
pub(super) fn only_reads(tool: &Tool) -> bool {
    READING.contains(&tool.spoken.split(' ').next().unwrap_or_default())
}
