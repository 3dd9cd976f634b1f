//! A Python stand-in for each Lambda function: one place a piece of work for each operation, and the
//! events that the server would send.
//!
//! The events of operations are made by whoever knows the action groups' contract ([`Events`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::names::file_name;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// How it is addressed.
    pub kind: OperationKind,
    /// What the model reads about it.
    pub description: Option<String>,
    /// Name and type of each parameter.
    pub parameters: Vec<(String, String)>,
    /// An example event, as JSON text.
    pub event: String,
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
    fn key(&self) -> String {
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
pub(super) struct Uses {
    /// Operations by action group and key; the first agent and version that has one shows its event.
    pub(super) operations: BTreeMap<(String, String), Operation>,
    /// Agents whose answers it parses, with their ids, and the prompts it parses.
    pub(super) parses: BTreeMap<(String, String), Vec<String>>,
    /// Whatever else calls it, as sentences.
    pub(super) others: Vec<String>,
}

impl Uses {
    pub(super) fn add(&mut self, group: &str, operation: Operation) {
        let key = (group.to_owned(), operation.kind.key());
        self.operations.entry(key).or_insert(operation);
    }
}

/// Files of one function's folder, by path below it.
pub(super) fn files(name: &str, uses: &Uses) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([("handler.py".to_owned(), handler(name, uses))]);
    let mut add = |stem: String, text: String| {
        let mut path = format!("events/{stem}.json");
        let mut number = 2;
        while files.contains_key(&path) {
            path = format!("events/{stem}.{number}.json");
            number += 1;
        }
        files.insert(path, text);
    };
    for ((group, key), operation) in &uses.operations {
        let stem = format!("{}.{}", file_name(group), file_name(key));
        add(stem, operation.event.clone());
    }
    for ((agent, id), prompts) in &uses.parses {
        for prompt in prompts {
            let stem = format!("parser.{}.{}", file_name(agent), file_name(prompt));
            add(stem, parser_event(agent, id, prompt));
        }
    }
    files
}

/// behaviour.md 4.8.
fn parser_event(agent: &str, id: &str, prompt: &str) -> String {
    let event = json!({
        "messageVersion": "1.0",
        "agent": {"name": agent, "id": id, "alias": super::TEST_ALIAS, "version": super::DRAFT},
        "invokeModelRawResponse": "what the model answered",
        "promptType": prompt,
        "overrideType": "OUTPUT_PARSER",
    });
    format!("{event:#}\n")
}

fn handler(name: &str, uses: &Uses) -> String {
    let mut text = format!(
        "\"\"\"Stands in for the Lambda function {}.\n\n\
         Each operation below answers that it is a stub. Put the real work there, or the function's own\n\
         code into this folder. `events/` holds an example of each call, as the function will get it.\n\
         A later pull leaves this file alone.\n\"\"\"\n\nimport json\n",
        doc(name)
    );
    let mut table = String::new();
    let mut taken: Vec<String> = ["handle", "json", "OPERATIONS"].map(str::to_owned).into();
    for ((group, key), operation) in &uses.operations {
        let function = identifier(&operation.kind, &mut taken);
        let _ = write!(
            text,
            "\n\ndef {function}(arguments):\n    \"\"\"{}\"\"\"\n    return {}\n",
            docstring(group, operation),
            literal(&format!("{key} of {group} is a stub"))
        );
        let _ = writeln!(
            table,
            "    ({}, {}): {function},",
            literal(group),
            literal(key)
        );
    }
    let _ = write!(text, "\n\nOPERATIONS = {{\n{table}}}\n");
    text.push_str("\n\ndef handle(event, context):\n");
    for ((agent, _), prompts) in &uses.parses {
        let _ = writeln!(
            text,
            "    # Parses what the model answers to the agent {} ({}).",
            doc(agent),
            prompts.join(", ")
        );
    }
    if !uses.parses.is_empty() {
        text.push_str(
            "    if event.get(\"overrideType\") == \"OUTPUT_PARSER\":\n        raise NotImplementedError(\"the parser of \" + event[\"promptType\"] + \" is to be put here\")\n",
        );
    }
    for other in &uses.others {
        let _ = writeln!(text, "    # {}", doc(other));
    }
    text.push_str(REPLY);
    text
}

/// The contract of replies (behaviour.md 1.4, 1.5), common to all stubs.
const REPLY: &str = r#"    if "actionGroup" not in event:
        raise NotImplementedError("this kind of call is to be answered here: " + json.dumps(event)[:1000])
    is_function = "function" in event
    key = event["function"] if is_function else event["httpMethod"] + " " + event["apiPath"]
    arguments = {given["name"]: given["value"] for given in event.get("parameters", [])}
    for content in event.get("requestBody", {}).get("content", {}).values():
        arguments.update({given["name"]: given["value"] for given in content["properties"]})
    result = OPERATIONS[event["actionGroup"], key](arguments)
    response = {"actionGroup": event["actionGroup"]}
    if is_function:
        text = result if isinstance(result, str) else json.dumps(result)
        response["function"] = event["function"]
        response["functionResponse"] = {"responseBody": {"TEXT": {"body": text}}}
    else:
        response["apiPath"] = event["apiPath"]
        response["httpMethod"] = event["httpMethod"]
        response["httpStatusCode"] = 200
        response["responseBody"] = {"application/json": {"body": json.dumps(result)}}
    return {
        "messageVersion": "1.0",
        "response": response,
        "sessionAttributes": event.get("sessionAttributes", {}),
        "promptSessionAttributes": event.get("promptSessionAttributes", {}),
    }
"#;

fn docstring(group: &str, operation: &Operation) -> String {
    let what = operation.description.as_deref().unwrap_or_default().trim();
    let what = if what.is_empty() {
        format!("An operation of {group}.")
    } else {
        what.to_owned()
    };
    let mut text = doc(&what);
    if !operation.parameters.is_empty() {
        text.push_str("\n\n    Arguments, all given as text:\n");
        for (name, type_) in &operation.parameters {
            let _ = writeln!(text, "        {} ({type_})", doc(name));
        }
        text.push_str("    ");
    }
    text
}

/// Text inside a docstring or a comment: on one line, unable to end it.
fn doc(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .map(|character| match character {
            '"' => '\'',
            '\\' => '/',
            other => other,
        })
        .collect()
}

/// A Python string.
fn literal(text: &str) -> String {
    // JSON's escapes are Python's, but for the characters beyond 16 bits, which stay as they are.
    Value::from(text).to_string()
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

fn identifier(kind: &OperationKind, taken: &mut Vec<String>) -> String {
    let text = match kind {
        OperationKind::Function { name } => name.clone(),
        OperationKind::Api { path, method } => format!("{}_{path}", method.to_lowercase()),
    };
    let mut name = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    let digit_first = name.starts_with(|first: char| first.is_ascii_digit());
    let name = if name.is_empty() || digit_first || KEYWORDS.contains(&name) {
        format!("do_{name}")
    } else {
        name.to_owned()
    };
    let mut free = name.clone();
    let mut number = 2;
    while taken.contains(&free) {
        free = format!("{name}_{number}");
        number += 1;
    }
    taken.push(free.clone());
    free
}
