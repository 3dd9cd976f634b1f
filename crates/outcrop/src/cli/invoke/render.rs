//! A turn's events as lines, one event at a time. Pure: no terminal, no clock, no network.
//!
//! ```text
//! step 1    anthropic.claude-3-haiku
//!   model     612 ms, 728 tokens in, 165 out
//!   thinks    The user wants …
//!   calls     orders.find_order(order_id: A-482)
//!   returns   {"status": "shipped"}  343 ms
//! ```
//!
//! Invariant: what a collaborator does is indented under the question it was asked, and begins with its
//! name wherever another agent spoke before it.

mod guardrail;

use std::collections::BTreeMap;

use super::event::{
    ActionInput, Citation, CodeOutput, Event, Guardrail, InvocationInput, ModelInput, ModelOutput,
    Observation, Parameter, Step, TracePart,
};
use super::line::{Block, Line, Tone, clean, duration, grouped};

/// Columns a level of collaboration moves to the right.
const LEVEL: usize = 4;
/// Deeper chains than this exist only by mistake; the indent stops growing.
const DEEPEST: usize = 5;
/// Longest argument value on a call's line.
const VALUE_CHARS: usize = 160;
/// Passages listed per retrieval.
const PASSAGES: usize = 5;
/// Characters shown of each, and of a part of the answer that has a source.
const PASSAGE_CHARS: usize = 80;

/// Turns events into lines and keeps the sums.
#[derive(Debug)]
pub(crate) struct Renderer {
    width: usize,
    /// Collaborators' names by alias ARN, as their supervisors call them. The name in a trace part is
    /// always that of the first below the supervisor that was asked.
    names: BTreeMap<String, String>,
    /// The alias ARN of the agent that spoke last on each level, down to the level that spoke last.
    speakers: Vec<String>,
    model_calls: u64,
    tokens_in: u64,
    tokens_out: u64,
}

impl Renderer {
    /// Lines are wrapped at `width` columns.
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            names: BTreeMap::new(),
            speakers: Vec::new(),
            model_calls: 0,
            tokens_in: 0,
            tokens_out: 0,
        }
    }

    /// The lines for one event. The answer itself is the caller's to print; its sources are here.
    pub(crate) fn event(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::Trace(part) => self.trace(part),
            Event::Chunk(chunk) => self.sources(&chunk.attribution.citations),
            Event::Files(files) => files
                .files
                .iter()
                .flat_map(|file| self.block(0, "file", Tone::Result, &file.name, &file.media_type))
                .collect(),
            // Answered at the prompt, which shows it.
            Event::ReturnControl(_) => Vec::new(),
            Event::Other(kind) => {
                let text = format!("an event of kind {kind}, unknown to this version");
                self.block(0, "skipped", Tone::Quiet, &text, "")
            }
        }
    }

    /// The last line of a turn that took `elapsed_ms`.
    pub(crate) fn totals(&self, elapsed_ms: u64) -> Line {
        let mut facts = Vec::new();
        match self.model_calls {
            0 => {}
            1 => facts.push("1 model call".to_owned()),
            calls => facts.push(format!("{} model calls", grouped(calls))),
        }
        if self.tokens_in + self.tokens_out > 0 {
            facts.push(tokens(self.tokens_in, self.tokens_out));
        }
        facts.push(duration(elapsed_ms));
        let text = facts.join(", ");
        Line::new([(Tone::Quiet, &text)])
    }

    fn block(&self, depth: usize, label: &str, tone: Tone, text: &str, note: &str) -> Vec<Line> {
        Block {
            indent: 2 + depth * LEVEL,
            label,
            tone,
            text,
            note,
        }
        .lines(self.width)
    }

    fn trace(&mut self, part: &TracePart) -> Vec<Line> {
        let depth = part.caller_chain.len().saturating_sub(1).min(DEEPEST);
        let trace = &part.trace;
        let mut lines = self.change_of_speaker(depth, part);
        if let Some(step) = trace.step() {
            let name = self.name(part);
            lines.extend(self.step(depth, name.as_deref(), step));
        } else if let Some(guardrail) = &trace.guardrail_trace {
            lines.extend(self.guardrail(depth, guardrail));
        } else if let Some(failure) = &trace.failure_trace {
            let code = failure.failure_code.map(|code| code.to_string());
            let note = code.unwrap_or_default();
            let reason = &failure.failure_reason;
            lines.extend(self.block(depth, "fails", Tone::Failure, reason, &note));
        } else if let Some(step) = &trace.custom_orchestration_trace {
            lines.extend(self.block(depth, "says", Tone::Plain, &step.event.text, ""));
        }
        lines
    }

    /// The name of the collaborator that a part is of.
    fn name(&self, part: &TracePart) -> Option<String> {
        let caller = part.caller_chain.last()?;
        let known = self.names.get(&caller.agent_alias_arn);
        known.or(part.collaborator_name.as_ref()).cloned()
    }

    /// A line with the name of a collaborator that goes on where another one of its level spoke before.
    /// A step's own heading says it too.
    fn change_of_speaker(&mut self, depth: usize, part: &TracePart) -> Vec<Line> {
        let Some(caller) = part.caller_chain.last() else {
            return Vec::new();
        };
        let arn = &caller.agent_alias_arn;
        let goes_on = self.speakers.get(depth) == Some(arn);
        self.speakers.resize(depth + 1, String::new());
        if let Some(speaker) = self.speakers.last_mut() {
            speaker.clone_from(arn);
        }
        let step = part.trace.step();
        let has_heading = step.is_some_and(|step| step.model_invocation_input.is_some());
        if depth == 0 || has_heading || goes_on || arn.is_empty() {
            return Vec::new();
        }
        let Some(name) = self.name(part) else {
            return Vec::new();
        };
        let title = format!("{:indent$}{}", "", clean(&name), indent = depth * LEVEL);
        vec![Line::new([(Tone::Heading, &title)])]
    }

    fn step(&mut self, depth: usize, collaborator: Option<&str>, step: &Step) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(input) = &step.model_invocation_input {
            lines.push(heading(depth, collaborator, input));
        }
        if let Some(output) = &step.model_invocation_output {
            lines.extend(self.model_output(depth, output));
        }
        if let Some(rationale) = &step.rationale {
            lines.extend(self.block(depth, "thinks", Tone::Thought, &rationale.text, ""));
        }
        if let Some(input) = &step.invocation_input {
            lines.extend(self.invocation(depth, input));
        }
        if let Some(observation) = &step.observation {
            lines.extend(self.observation(depth, observation));
        }
        lines
    }

    fn model_output(&mut self, depth: usize, output: &ModelOutput) -> Vec<Line> {
        let usage = output.metadata.usage;
        self.model_calls += 1;
        self.tokens_in += usage.input_tokens;
        self.tokens_out += usage.output_tokens;
        let mut facts: Vec<String> = output
            .metadata
            .time_ms()
            .map(duration)
            .into_iter()
            .collect();
        if usage.input_tokens + usage.output_tokens > 0 {
            facts.push(tokens(usage.input_tokens, usage.output_tokens));
        }
        let note = facts.join(", ");
        let mut lines = self.block(depth, "model", Tone::Plain, "", &note);
        let parsed = &output.parsed_response;
        if let Some(is_valid) = parsed.is_valid {
            let (verdict, tone) = if is_valid {
                ("accepted", Tone::Result)
            } else {
                ("rejected", Tone::Failure)
            };
            lines.extend(self.block(depth, verdict, tone, &parsed.rationale, ""));
        } else if !parsed.text.is_empty() {
            lines.extend(self.block(depth, "rewrites", Tone::Result, &parsed.text, ""));
        }
        lines
    }

    fn invocation(&mut self, depth: usize, input: &InvocationInput) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(action) = &input.action_group_invocation_input {
            let (label, note) = match action.execution_type.as_str() {
                "RETURN_CONTROL" => ("asks for", "returned to the caller"),
                _ => ("calls", ""),
            };
            lines.extend(self.block(depth, label, Tone::Call, &call(action), note));
        }
        if let Some(lookup) = &input.knowledge_base_lookup_input {
            lines.extend(self.block(
                depth,
                "searches",
                Tone::Call,
                &lookup.text,
                &lookup.knowledge_base_id,
            ));
        }
        if let Some(question) = &input.agent_collaborator_invocation_input {
            let name = &question.agent_collaborator_name;
            self.names
                .insert(question.agent_collaborator_alias_arn.clone(), name.clone());
            let text = format!("{name}: {}", question.input.text());
            lines.extend(self.block(depth, "asks", Tone::Call, &text, ""));
        }
        if let Some(code) = &input.code_interpreter_invocation_input {
            lines.extend(self.block(depth, "runs", Tone::Call, &code.code, ""));
        }
        lines
    }

    fn observation(&self, depth: usize, observation: &Observation) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(output) = &observation.action_group_invocation_output {
            let note = time(output.metadata.time_ms());
            lines.extend(self.block(depth, "returns", Tone::Result, &output.text, &note));
        }
        if let Some(found) = &observation.knowledge_base_lookup_output {
            let count = match found.retrieved_references.len() {
                1 => "1 passage".to_owned(),
                count => format!("{count} passages"),
            };
            let note = time(found.metadata.time_ms());
            lines.extend(self.block(depth, "finds", Tone::Result, &count, &note));
            for passage in found.retrieved_references.iter().take(PASSAGES) {
                let text = excerpt(&passage.content.text, PASSAGE_CHARS);
                lines.extend(self.block(depth, "", Tone::Plain, &text, passage.location()));
            }
        }
        if let Some(answer) = &observation.agent_collaborator_invocation_output {
            let name = &answer.agent_collaborator_name;
            let text = format!("{name}: {}", answer.output.text());
            let note = time(answer.metadata.time_ms());
            lines.extend(self.block(depth, "answers", Tone::Result, &text, &note));
        }
        if let Some(output) = &observation.code_interpreter_invocation_output {
            lines.extend(self.code_output(depth, output));
        }
        if let Some(reprompt) = &observation.reprompt_response {
            lines.extend(self.block(depth, "retries", Tone::Failure, &reprompt.text, ""));
        }
        if let Some(answer) = &observation.final_response {
            // The text follows as the answer; a collaborator's comes back as its own observation.
            let label = match observation.observation_type.as_str() {
                "ASK_USER" => "asks you",
                _ => "done",
            };
            lines.extend(self.block(
                depth,
                label,
                Tone::Plain,
                "",
                &time(answer.metadata.time_ms()),
            ));
        }
        lines
    }

    fn code_output(&self, depth: usize, output: &CodeOutput) -> Vec<Line> {
        let note = time(output.metadata.time_ms());
        let (label, tone, text) = if output.execution_timeout {
            ("raises", Tone::Failure, "it took too long and was stopped")
        } else if output.execution_error.is_empty() {
            ("prints", Tone::Result, output.execution_output.as_str())
        } else {
            ("raises", Tone::Failure, output.execution_error.as_str())
        };
        let mut lines = self.block(depth, label, tone, text, &note);
        for file in &output.files {
            lines.extend(self.block(depth, "writes", Tone::Result, file, ""));
        }
        lines
    }

    fn guardrail(&self, depth: usize, guardrail: &Guardrail) -> Vec<Line> {
        let (text, tone) = guardrail::verdict(guardrail);
        let note = time(guardrail.metadata.time_ms());
        self.block(depth, "guardrail", tone, &text, &note)
    }

    /// What parts of the answer rest on.
    fn sources(&self, citations: &[Citation]) -> Vec<Line> {
        let mut lines = Vec::new();
        for citation in citations {
            let mut locations: Vec<&str> = Vec::new();
            for reference in &citation.retrieved_references {
                if !locations.contains(&reference.location()) {
                    locations.push(reference.location());
                }
            }
            let text = excerpt(citation.text(), PASSAGE_CHARS);
            if !text.is_empty() {
                lines.extend(self.block(0, "cites", Tone::Quiet, &text, ""));
            }
            for location in locations {
                lines.extend(self.block(0, "source", Tone::Quiet, location, ""));
            }
        }
        lines
    }
}

fn heading(depth: usize, collaborator: Option<&str>, input: &ModelInput) -> Line {
    let title = match input.prompt_type.as_str() {
        "ORCHESTRATION" => step_number(&input.trace_id)
            .map_or_else(|| "step".to_owned(), |number| format!("step {number}")),
        "PRE_PROCESSING" => "before".to_owned(),
        "POST_PROCESSING" => "after".to_owned(),
        "ROUTING_CLASSIFIER" => "route".to_owned(),
        "KNOWLEDGE_BASE_RESPONSE_GENERATION" => "word it".to_owned(),
        other => other.to_lowercase(),
    };
    let title = format!("{:indent$}{title:<10}", "", indent = depth * LEVEL);
    let collaborator = collaborator.map(|name| format!("{}  ", clean(name)));
    Line::new([
        (Tone::Heading, &title),
        (Tone::Heading, collaborator.as_deref().unwrap_or_default()),
        (Tone::Quiet, &clean(&input.foundation_model)),
    ])
}

/// `…-0` is step 1.
fn step_number(trace_id: &str) -> Option<u32> {
    let (_, suffix) = trace_id.rsplit_once('-')?;
    suffix.parse::<u32>().ok()?.checked_add(1)
}

fn call(action: &ActionInput) -> String {
    let target = match (&action.function, &action.api_path) {
        (Some(function), _) => format!("{}.{function}", action.action_group_name),
        (None, Some(path)) => {
            let verb = action.verb.as_deref().unwrap_or_default().to_uppercase();
            format!("{} {verb} {path}", action.action_group_name)
        }
        (None, None) => action.action_group_name.clone(),
    };
    format!(
        "{target}({})",
        arguments(
            action
                .parameters
                .iter()
                .chain(action.request_body.properties())
        )
    )
}

/// `name: value, …`, each value cut to a readable length.
pub(crate) fn arguments<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> String {
    parameters
        .map(|parameter| {
            format!(
                "{}: {}",
                parameter.name,
                excerpt(&parameter.value, VALUE_CHARS)
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// The first `limit` characters of `text` on one line.
fn excerpt(text: &str, limit: usize) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut characters = one_line.chars();
    let mut excerpt: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

fn tokens(input: u64, output: u64) -> String {
    format!("{} tokens in, {} out", grouped(input), grouped(output))
}

fn time(ms: Option<u64>) -> String {
    ms.map(duration).unwrap_or_default()
}
