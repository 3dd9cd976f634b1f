//! `OpenAPI` 3 documents as actions (behaviour.md 1.8, 1.9).
//!
//! A document is read once, whatever the limits: [`read`] gives its actions and everything that is
//! wrong with it, each with what serves instead where the meaning is still clear. Strict limits
//! refuse all of it, relaxed ones what nothing can serve for. What is wrong is named by its place, in
//! the words of the parser that AWS passes on: `attribute paths.'/x'(post).parameters.[id].in is
//! missing`. References are followed inside the document only ([`resolve`]).

mod action;
mod operation;
mod resolve;
mod schema;

use serde_json::{Map, Value};

use super::{Action, SchemaError, Strictness};
use crate::definition::Executor;

/// Largest document, bytes: what AWS's own payload members allow is far below.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Most things told about one document: enough to see what it suffers from.
const PROBLEMS_MAX: usize = 100;
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// A document, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Its actions, in order of path and method, as relaxed limits take them.
    pub actions: Vec<Action>,
    /// What is wrong with it.
    pub problems: Vec<SchemaProblem>,
    /// What is wrong with the names of its tools.
    pub names: Vec<SchemaError>,
}

/// Something wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    /// Where and what, in the words of AWS's parser where they are known.
    pub text: String,
    /// The operation, as `GET /orders/{id}`; none for the document itself.
    pub action: Option<String>,
    /// What serves instead when limits are relaxed; `None` where nothing can.
    pub instead: Option<String>,
}

impl SchemaProblem {
    /// Whether a document with it is refused.
    pub fn is_refused(&self, strictness: Strictness) -> bool {
        strictness == Strictness::Strict || self.instead.is_none()
    }
}

/// The actions of an `OpenAPI` document.
///
/// # Errors
/// [`SchemaError`] naming every place that is wrong.
pub fn actions(
    action_group: &str,
    document: &str,
    executor: &Executor,
    strictness: Strictness,
) -> Result<Vec<Action>, SchemaError> {
    let Reading {
        actions,
        problems,
        names,
    } = read(action_group, document, executor);
    let details: Vec<String> = problems
        .into_iter()
        .filter(|problem| problem.is_refused(strictness))
        .map(|problem| problem.text)
        .collect();
    if !details.is_empty() {
        return Err(SchemaError::OpenApi {
            action_group: action_group.to_owned(),
            details,
        });
    }
    match names.into_iter().find(|error| error.is_refused(strictness)) {
        Some(error) => Err(error),
        None => Ok(actions),
    }
}

/// Reads a document.
pub fn read(action_group: &str, document: &str, executor: &Executor) -> Reading {
    match parse(document) {
        Ok(root) => {
            let mut reader = Reader {
                root: &root,
                action_group,
                executor,
                reading: Reading::default(),
                operation_ids: Vec::new(),
                operation: None,
                nodes: 0,
            };
            reader.document();
            reader.reading
        }
        Err(text) => Reading {
            problems: vec![SchemaProblem {
                text,
                action: None,
                instead: None,
            }],
            ..Reading::default()
        },
    }
}

fn parse(document: &str) -> Result<Value, String> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(format!(
            "the document has {} bytes, the limit is {DOCUMENT_BYTES_MAX}",
            document.len()
        ));
    }
    // Editors of another system put a mark at the front of what they save.
    let document = document.trim_start_matches('\u{feff}');
    let parsed: Value = if document.trim_start().starts_with('{') {
        serde_json::from_str(document).map_err(|error| error.to_string())?
    } else {
        serde_yaml_ng::from_str(document).map_err(|error| error.to_string())?
    };
    if parsed.is_object() {
        Ok(parsed)
    } else {
        Err("the document is not an object".to_owned())
    }
}

/// Reads one document. Its problems are those of the operation that is being read.
struct Reader<'a> {
    root: &'a Value,
    action_group: &'a str,
    executor: &'a Executor,
    reading: Reading,
    operation_ids: Vec<String>,
    operation: Option<String>,
    /// Nodes of schemas resolved so far.
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) {
        self.head();
        let root = self.root;
        let Some(paths) = root.get("paths").and_then(Value::as_object) else {
            return self.missing("paths");
        };
        for (path, item) in paths {
            // Extensions may stand beside the paths.
            if path.starts_with("x-") {
                continue;
            }
            if !path.starts_with('/') {
                self.wrong(format!(
                    "attribute paths. Resource {path} should start with /"
                ));
            }
            self.path(path, item);
        }
        if self.reading.actions.is_empty() && self.reading.problems.is_empty() {
            self.wrong("attribute paths holds no operation".to_owned());
        }
    }

    /// The version, and the title.
    fn head(&mut self) {
        let version = match self.root.get("openapi") {
            None => return self.missing("openapi"),
            Some(Value::String(version)) => version.clone(),
            // Unquoted in YAML, 3.0 is a number.
            Some(Value::Number(version)) => version.to_string(),
            Some(_) => "not text".to_owned(),
        };
        // The guide says 3.0.0; what AWS's own tools for Python write is 3.0.3.
        if !version.starts_with("3.0.") {
            let text = format!("attribute openapi is {version}, expected 3.0.0");
            if version == "3" || version.starts_with("3.") {
                self.unlike_aws(text, "it is read as 3.0.0");
            } else {
                self.wrong(text);
            }
        }
        let info = self.root.get("info").and_then(Value::as_object);
        let Some(info) = info else {
            return self.lacks("info", "the document is read without it");
        };
        for member in ["title", "version"] {
            if !info.contains_key(member) {
                self.lacks(&format!("info.{member}"), "the document is read without it");
            }
        }
    }

    fn path(&mut self, path: &str, item: &'a Value) {
        let Some(item) = self.follow(item) else {
            return;
        };
        let Some(item) = item.as_object() else {
            return self.wrong(format!("attribute paths.'{path}' is not of type `object`"));
        };
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            self.operation = Some(format!("{} {path}", method.to_ascii_uppercase()));
            if let Some(action) = self.action(path, method, operation, item) {
                self.take(action);
            }
            self.operation = None;
        }
    }

    fn take(&mut self, action: Action) {
        let first = self
            .reading
            .actions
            .iter()
            .find(|known| known.tool_name == action.tool_name);
        if let Some(first) = first {
            self.reading.names.push(SchemaError::DuplicateTool {
                tool_name: action.tool_name.clone(),
                first: first.target.to_string(),
                second: action.target.to_string(),
            });
        }
        self.reading.actions.push(action);
    }

    /// What an object or a reference to one holds. References lead from place to place, so this costs
    /// no copy; what lies below is followed when it is read.
    fn object(&mut self, value: &'a Value) -> Option<&'a Map<String, Value>> {
        self.follow(value).and_then(Value::as_object)
    }

    fn missing(&mut self, place: &str) {
        self.wrong(format!("attribute {place} is missing"));
    }

    /// Something missing for which `instead` serves.
    fn lacks(&mut self, place: &str, instead: &str) {
        self.unlike_aws(format!("attribute {place} is missing"), instead);
    }

    fn wrong(&mut self, text: String) {
        self.tell(text, None);
    }

    /// Something AWS refuses although its meaning is clear.
    fn unlike_aws(&mut self, text: String, instead: &str) {
        self.tell(text, Some(instead.to_owned()));
    }

    fn tell(&mut self, text: String, instead: Option<String>) {
        let problems = &mut self.reading.problems;
        // One bad reference may be met a hundred times.
        let is_known = problems
            .iter()
            .any(|known| known.text == text && known.instead == instead);
        if problems.len() < PROBLEMS_MAX && !is_known {
            problems.push(SchemaProblem {
                text,
                action: self.operation.clone(),
                instead,
            });
        }
    }
}

#[cfg(test)]
mod tests;
