//! REPORT.md: what of a pulled agent is exact, what differs, what is missing.
//!
//! Says nothing of where and when it was pulled, so that two copies of one agent have one report.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::folder::function_folder;
use super::layout::definition_text;
use super::{Notes, Source, SourceAgent};
use crate::scaffold::Uses;

/// What no copy carries over.
const NEVER: [&str; 3] = [
    "times of creation and change, status history, the history of an alias's routing",
    "ids of action groups, collaborators and data sources, which no client names",
    "what lies outside the API of agents: IAM roles, keys and secrets (named by ARN only), the code and the settings of Lambda functions, documents and vectors of knowledge bases, sessions and memories",
];

pub(super) fn report(
    source: &Source,
    functions: &BTreeMap<String, (String, Uses)>,
    notes: &Notes,
) -> String {
    let root = source.agents.get(&source.root);
    let name = root.map_or("", |agent| agent.name.as_str());
    let mut text = format!("# {name}\n\nWritten by `outcrop pull`.\n\n## Exact\n\n");
    for agent in ordered(source) {
        text.push_str(&of_agent(agent.0, agent.1));
    }
    for (id, base) in &source.knowledge_bases {
        let sources: Vec<&str> = base.data_sources.keys().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "- Knowledge base {} (`{id}`): its configuration, tags, and the data sources: {}.",
            definition_text(&base.definition, "name"),
            or_none(&sources)
        );
    }
    let names = source.prompts.values();
    let names: BTreeSet<&str> = names
        .map(|prompt| definition_text(&prompt.definition, "name"))
        .collect();
    for name in names {
        let _ = writeln!(text, "- Prompt {name}: variants and tags.");
    }
    text.push_str(
        "- Ids of agents, aliases, knowledge bases and prompts, by the tag `outcrop:id`.\n",
    );
    section(&mut text, "Differs", differences(source, functions, notes));
    let never = NEVER
        .iter()
        .map(|text| format!("Never carried over: {text}."));
    section(
        &mut text,
        "Missing",
        notes.missing.iter().cloned().chain(never),
    );
    text
}

fn ordered(source: &Source) -> impl Iterator<Item = (&String, &SourceAgent)> {
    let root = source.agents.get_key_value(&source.root);
    let others = source.agents.iter();
    root.into_iter()
        .chain(others.filter(|(id, _)| **id != source.root))
}

fn of_agent(id: &str, agent: &SourceAgent) -> String {
    let draft = &agent.draft;
    let list = |items: &[serde_json::Value], member: &str| {
        let names: Vec<&str> = items
            .iter()
            .map(|item| super::read::text(item, member))
            .collect();
        or_none(&names)
    };
    let versions: Vec<String> = agent.versions.keys().map(u32::to_string).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let mut aliases: Vec<String> = agent
        .aliases
        .iter()
        .map(|(id, alias)| {
            let name = definition_text(&alias.definition, "agentAliasName");
            match alias.version {
                Some(version) => format!("{name} (`{id}`, version {version})"),
                None => format!("{name} (`{id}`)"),
            }
        })
        .collect();
    aliases.sort();
    let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
    format!(
        "- Agent {} (`{id}`): its settings, prompt overrides, memory and guardrail configuration, tags.\n\
         \x20 - action groups: {}\n\
         \x20 - collaborators: {}\n\
         \x20 - knowledge bases: {}\n\
         \x20 - versions: {}\n\
         \x20 - aliases: {}\n",
        agent.name,
        list(&draft.action_groups, "actionGroupName"),
        list(&draft.collaborators, "collaboratorName"),
        list(&draft.knowledge_bases, "knowledgeBaseId"),
        or_none(&versions),
        or_none(&aliases),
    )
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn differences(
    source: &Source,
    functions: &BTreeMap<String, (String, Uses)>,
    notes: &Notes,
) -> Vec<String> {
    let mut all: Vec<String> = notes.differs.iter().cloned().collect();
    all.push("Account and region are those of the server that the template is applied to; ARNs of what the template declares follow them, all others stay as they are.".to_owned());
    for (name, (_, uses)) in functions {
        all.push(format!(
            "Function {name}: a stub in Python stands in for it, `{}/handler.py`, with {} example {}.",
            function_folder(name),
            uses.operations.len(),
            if uses.operations.len() == 1 { "event" } else { "events" },
        ));
    }
    let guarded = source.agents.values().flat_map(SourceAgent::snapshots);
    let guardrails: BTreeSet<String> = guarded
        .filter_map(|snapshot| snapshot.own.get("guardrailConfiguration"))
        .map(|guardrail| super::read::text(guardrail, "guardrailIdentifier").to_owned())
        .filter(|id| !id.is_empty())
        .collect();
    for id in guardrails {
        all.push(format!(
            "Guardrail {id}: the agent names it as before; its policies belong to another API and are not part of the copy."
        ));
    }
    all
}

fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let _ = write!(text, "\n## {title}\n\n");
    for line in lines {
        let line: Vec<&str> = line.split_whitespace().collect();
        let _ = writeln!(text, "- {}", line.join(" "));
    }
}
