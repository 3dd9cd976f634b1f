//! A Python handler for a function of action groups: types from the schema, one place for the work of
//! each operation, and tests that call it with example events.
//!
//! `actions.py` holds what follows from the schema and from the contract (behaviour.md 1); `handler.py`
//! holds what is to be written by hand. The example events are made by whoever knows the contract
//! ([`Events`]); nothing here makes one.
//!
//! Invariant: the tests of a folder pass as it is written.

mod example;
mod plain;
mod powertools;
mod python;
mod types;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use python::file_name;

pub(crate) use python::file_name as name_of_file;

/// An action group of an agent, its schema inlined.
#[derive(Clone, Copy, Debug)]
pub struct ActionGroupUse<'a> {
    /// The agent's id.
    pub agent_id: &'a str,
    /// The agent's name.
    pub agent_name: &'a str,
    /// The group's definition in the API's form; a schema read from S3 stands in it as payload.
    pub group: &'a Value,
}

/// One thing that a function is called for.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// How it is addressed.
    pub kind: OperationKind,
    /// The function's name or the `operationId`.
    pub name: String,
    /// What the model reads about it.
    pub description: Option<String>,
    /// Its parameters, in the order of the schema.
    pub parameters: Vec<Parameter>,
    /// The arguments of the example, by name, before they became text.
    pub example: Map<String, Value>,
    /// An example event, as JSON text.
    pub event: String,
}

/// A parameter, or a member of a request body.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether a call without it is wrong.
    pub required: bool,
    /// Its JSON schema, with a type.
    pub schema: Value,
}

/// How an operation is addressed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// A function of a function schema.
    Function {
        /// Its name.
        name: String,
    },
    /// An operation of an `OpenAPI` schema.
    Api {
        /// The path template.
        path: String,
        /// Upper case.
        method: String,
    },
}

impl OperationKind {
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Function { name } => name.clone(),
            Self::Api { path, method } => format!("{method} {path}"),
        }
    }
}

/// Knows what an action group's Lambda function is called with.
pub trait Events {
    /// The operations of a group, in the order of its schema.
    ///
    /// # Errors
    /// Why the schema gives none.
    fn operations(&self, group: &ActionGroupUse<'_>) -> Result<Vec<Operation>, String>;
}

/// What calls a function.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// Operations by action group and key; the first agent and version that has one shows its event.
    pub operations: BTreeMap<(String, String), Operation>,
    /// Agents whose answers it parses, with their ids, and the prompts it parses.
    pub parses: BTreeMap<(String, String), Vec<String>>,
    /// Whatever else calls it, as sentences.
    pub others: Vec<String>,
}

impl Uses {
    /// Adds an operation of a group, unless it is there already.
    pub fn add(&mut self, group: &str, operation: Operation) {
        let key = (group.to_owned(), operation.kind.key());
        self.operations.entry(key).or_insert(operation);
    }
}

/// What a handler is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Python's own library alone.
    Plain,
    /// Powertools for AWS Lambda, its resolvers for agents.
    Powertools,
}

/// A handler that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaffoldError {
    /// Powertools' resolvers take one kind of schema each.
    #[error(
        "a Powertools resolver takes functions or API operations, and this function has both; use the plain style"
    )]
    MixedKinds,
    /// Powertools' resolvers do not look at the action group.
    #[error(
        "{key} is in the action groups {first} and {second}, which a Powertools resolver cannot tell apart; use the plain style"
    )]
    SameKey {
        /// The operation.
        key: String,
        /// A group that has it.
        first: String,
        /// Another.
        second: String,
    },
}

/// The file that holds the work.
pub const HANDLER: &str = "handler.py";
/// The handler's name, for a configuration.
pub const HANDLER_NAME: &str = "handler.handle";

/// The files of a function's folder, by path below it.
///
/// # Errors
/// [`ScaffoldError`]; never with the plain style.
pub fn files(
    name: &str,
    uses: &Uses,
    style: Style,
) -> Result<BTreeMap<String, String>, ScaffoldError> {
    let events = events(uses);
    let shaped = types::shape(uses);
    let mut files = BTreeMap::new();
    match style {
        Style::Plain => {
            files.insert("actions.py".to_owned(), plain::actions(&shaped));
            files.insert(HANDLER.to_owned(), plain::handler(name, uses, &shaped));
        }
        Style::Powertools => {
            powertools::check(uses)?;
            files.insert("actions.py".to_owned(), powertools::actions(&shaped));
            files.insert(HANDLER.to_owned(), powertools::handler(name, uses, &shaped));
            let packages = powertools::REQUIREMENTS.to_owned();
            files.insert("requirements.txt".to_owned(), packages);
        }
    }
    if !uses.operations.is_empty() {
        let tests = example::tests(&shaped, &events);
        files.insert("test_handler.py".to_owned(), tests);
    }
    for (stem, event) in events.values() {
        files.insert(format!("events/{stem}.json"), event.clone());
    }
    for (stem, event) in parser_events(uses) {
        let mut path = format!("events/{stem}.json");
        let mut number = 2;
        while files.contains_key(&path) {
            path = format!("events/{stem}.{number}.json");
            number += 1;
        }
        files.insert(path, event);
    }
    Ok(files)
}

/// The files of one function's folder in the plain style, which takes everything.
pub(crate) fn plain_files(name: &str, uses: &Uses) -> BTreeMap<String, String> {
    files(name, uses, Style::Plain).expect("the plain style refuses nothing")
}

/// Name of the file and text of each operation's example.
type Examples = BTreeMap<(String, String), (String, String)>;

fn events(uses: &Uses) -> Examples {
    let mut taken: Vec<String> = Vec::new();
    let mut events = Examples::new();
    for ((group, key), operation) in &uses.operations {
        let stem = format!("{}.{}", file_name(group), file_name(key));
        let mut free = stem.clone();
        let mut number = 2;
        // A file system may not tell capitals from small letters.
        while taken.contains(&free.to_lowercase()) {
            free = format!("{stem}.{number}");
            number += 1;
        }
        taken.push(free.to_lowercase());
        let event = operation.event.clone();
        events.insert((group.clone(), key.clone()), (free, event));
    }
    events
}

fn parser_events(uses: &Uses) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for ((agent, id), prompts) in &uses.parses {
        for prompt in prompts {
            let stem = format!("parser.{}.{}", file_name(agent), file_name(prompt));
            events.push((stem, parser_event(agent, id, prompt)));
        }
    }
    events
}

/// behaviour.md 4.8.
fn parser_event(agent: &str, id: &str, prompt: &str) -> String {
    let event = json!({
        "messageVersion": "1.0",
        "agent": {"name": agent, "id": id, "alias": crate::pull::TEST_ALIAS, "version": crate::pull::DRAFT},
        "invokeModelRawResponse": "what the model answered",
        "promptType": prompt,
        "overrideType": "OUTPUT_PARSER",
    });
    format!("{event:#}\n")
}

#[cfg(test)]
mod tests;
