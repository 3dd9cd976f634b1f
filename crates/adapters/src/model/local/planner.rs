//! Decides the next step of a conversation: call a tool, ask for a value, or answer.
//!
//! A request is split into goals, each goal is given a tool or none, and the first goal that is still
//! open becomes the next call. Nothing is kept between decisions: all is read off the conversation
//! each time, so a restarted session decides the same. Invariant: no call is repeated with the same
//! arguments within a turn, and a turn makes at most [`STEPS_LIMIT`] calls.

use serde_json::Value;

use super::answer::{self, Skipped};
use super::arguments::{self, Filled};
use super::choose;
use super::clause::{self, Goal};
use super::condition::Condition;
use super::dialogue::{Dialogue, Step};
use super::spans::{self, Look};
use super::tool::Tool;
use outcrop_llm::{LanguageModel, LlmError};

/// Calls after which a turn is answered with what is known.
const STEPS_LIMIT: usize = 8;

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// Call a tool.
    Call {
        /// Its name on the wire.
        tool: String,
        /// The arguments.
        input: Value,
        /// Why, for the trace.
        rationale: String,
    },
    /// Ask the user this, for a value that the conversation does not give.
    Ask(String),
    /// Say this, from what the tools gave.
    Answer(String),
    /// Let the model continue the conversation freely.
    Converse,
}

/// How far the caller leaves the choice open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Freedom {
    /// Any tool or none.
    Auto,
    /// Some tool must be called.
    SomeTool,
    /// This tool must be called.
    ThisTool(String),
}

/// A goal with its tool.
struct Plan<'t> {
    tool: &'t Tool,
    text: String,
    condition: Option<Condition>,
}

/// Decides what to do next.
pub(super) fn decide(
    lm: &mut dyn LanguageModel,
    tools: &[Tool],
    dialogue: &Dialogue,
    freedom: &Freedom,
) -> Result<Decision, LlmError> {
    let steps = dialogue.steps();
    let plans = plans(lm, tools, dialogue, freedom)?;
    let mut skipped = Vec::new();
    if steps.len() < STEPS_LIMIT && !steps.iter().any(failed) {
        let mut made = Vec::new();
        for plan in &plans {
            made.push(plan.tool.name.as_str());
            let wanted = made.iter().filter(|name| **name == plan.tool.name).count();
            if steps
                .iter()
                .filter(|step| step.call.tool == plan.tool.name)
                .count()
                >= wanted
            {
                continue;
            }
            if let Some(condition) = &plan.condition {
                if let Some(inquiry) = inquiry(lm, tools, plan, condition, dialogue, &steps)? {
                    return Ok(inquiry);
                }
                let outcomes: Vec<&str> = outcomes(&steps);
                if !outcomes.is_empty() && !condition.holds(&outcomes) {
                    skipped.push(Skipped {
                        text: &plan.text,
                        condition,
                    });
                    continue;
                }
            }
            let filled = arguments::fill(lm, plan.tool, &plan.text, dialogue)?;
            if is_repeat(plan.tool, &filled, &steps) {
                continue;
            }
            return Ok(call_or_ask(plan.tool, filled, plan.condition.as_ref()));
        }
    }
    if steps.is_empty() {
        return Ok(Decision::Converse);
    }
    answer::from_steps(lm, dialogue, &steps, &skipped).map(Decision::Answer)
}

fn failed(step: &Step<'_>) -> bool {
    step.outcome.is_some_and(|outcome| !outcome.success)
}

fn outcomes<'d>(steps: &[Step<'d>]) -> Vec<&'d str> {
    steps
        .iter()
        .filter_map(|step| step.outcome)
        .map(|outcome| outcome.text.as_str())
        .collect()
}

fn is_repeat(tool: &Tool, filled: &Filled, steps: &[Step<'_>]) -> bool {
    steps
        .iter()
        .any(|step| step.call.tool == tool.name && step.call.input == filled.input)
}

fn call_or_ask(tool: &Tool, filled: Filled, condition: Option<&Condition>) -> Decision {
    if filled.missing.is_empty() {
        let rationale = answer::rationale(tool, &filled.input, condition);
        return Decision::Call {
            tool: tool.name.clone(),
            input: filled.input,
            rationale,
        };
    }
    Decision::Ask(answer::question(&filled.missing))
}

/// A condition about which nothing is known yet is looked up first, where a tool that only reads can
/// tell.
fn inquiry(
    lm: &mut dyn LanguageModel,
    tools: &[Tool],
    plan: &Plan<'_>,
    condition: &Condition,
    dialogue: &Dialogue,
    steps: &[Step<'_>],
) -> Result<Option<Decision>, LlmError> {
    if !steps.is_empty() {
        return Ok(None);
    }
    let reading: Vec<Tool> = tools
        .iter()
        .filter(|tool| tool.name != plan.tool.name && choose::only_reads(tool))
        .cloned()
        .collect();
    let ranking = choose::rank(lm, &reading, &condition.text)?;
    let Some(tool) = ranking.choice().and_then(|index| reading.get(index)) else {
        return Ok(None);
    };
    let filled = arguments::fill(lm, tool, &plan.text, dialogue)?;
    Ok(filled
        .missing
        .is_empty()
        .then(|| call_or_ask(tool, filled, None)))
}

/// The goals of the request that a tool serves, in order.
fn plans<'t>(
    lm: &mut dyn LanguageModel,
    tools: &'t [Tool],
    dialogue: &Dialogue,
    freedom: &Freedom,
) -> Result<Vec<Plan<'t>>, LlmError> {
    let request = dialogue.request();
    if let Freedom::ThisTool(name) = freedom {
        let only = tools.iter().filter(|tool| tool.name == *name);
        return Ok(only
            .map(|tool| Plan {
                tool,
                text: request.clone(),
                condition: None,
            })
            .collect());
    }
    let mut plans: Vec<Plan<'t>> = Vec::new();
    let mut leftover = String::new();
    for goal in clause::goals(&request) {
        let ranking = choose::rank(lm, tools, &goal.text)?;
        match ranking.choice().and_then(|index| tools.get(index)) {
            Some(tool) => add(&mut plans, tool, goal, &mut leftover),
            None => match plans.last_mut() {
                Some(last) => {
                    last.text.push(' ');
                    last.text.push_str(&goal.text);
                }
                None => leftover = format!("{leftover}{} ", goal.text),
            },
        }
    }
    if plans.is_empty() {
        // Split, no part was convincing; the whole may be.
        let ranking = choose::rank(lm, tools, &request)?;
        let forced = || match freedom {
            Freedom::SomeTool => ranking.tools.first().map(|(index, _)| *index),
            Freedom::Auto | Freedom::ThisTool(_) => None,
        };
        if let Some(tool) = ranking
            .choice()
            .or_else(forced)
            .and_then(|index| tools.get(index))
        {
            plans.push(Plan {
                tool,
                text: request,
                condition: None,
            });
        }
    }
    Ok(plans)
}

/// Adds a goal; one that repeats the tool of the last goal and names no other record says more about
/// it.
fn add<'t>(plans: &mut Vec<Plan<'t>>, tool: &'t Tool, goal: Goal, leftover: &mut String) {
    let text = format!("{leftover}{}", goal.text);
    leftover.clear();
    if let Some(last) = plans.last_mut() {
        let (known, named) = (records(&last.text), records(&goal.text));
        let another = !named.is_empty() && !known.is_empty() && named != known;
        if last.tool.name == tool.name && !another {
            last.text = format!("{} {text}", last.text);
            last.condition = last.condition.take().or(goal.condition);
            return;
        }
    }
    plans.push(Plan {
        tool,
        text,
        condition: goal.condition,
    });
}

fn records(text: &str) -> Vec<String> {
    let found = spans::spans(text).into_iter();
    found
        .filter(|span| matches!(span.look, Look::Code | Look::Name))
        .map(|span| span.text)
        .collect()
}
