//! A template's tree, each node with the place where it stands.
//!
//! Scalars keep the text they were written with: what a value is (`1.10`: a version or a number) is
//! known only where it is used, and CloudFormation converts there too.

use std::fmt;

use serde_json::Value;

/// A place in a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// From 1; 0 where a value stands in no file.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Something in a template that cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub mark: Mark,
    /// What, for the template's author.
    pub text: String,
}

impl Problem {
    /// A problem.
    pub fn new(mark: Mark, text: impl Into<String>) -> Self {
        Self {
            mark,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mark.line == 0 {
            f.write_str(&self.text)
        } else {
            write!(f, "line {}: {}", self.mark.line, self.text)
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing.
    Null,
    /// A plain `true` or `false`.
    Bool(bool),
    /// A plain number, as written.
    Number(String),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written.
    Map(Vec<(Key, Node)>),
    /// Known only once this attribute (`Agent.AgentId`) exists.
    Later(String),
    /// `AWS::NoValue`: the property that holds it is absent.
    Absent,
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it begins.
    pub mark: Mark,
    /// Its text.
    pub text: String,
}

impl Node {
    /// A node.
    pub fn new(mark: Mark, content: Content) -> Self {
        Self { mark, content }
    }

    /// Text.
    pub fn text(mark: Mark, text: impl Into<String>) -> Self {
        Self::new(mark, Content::Text(text.into()))
    }

    /// A scalar's text, as CloudFormation would put it where text is wanted.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) | Content::Number(text) => Some(text),
            Content::Bool(true) => Some("true"),
            Content::Bool(false) => Some("false"),
            Content::Null
            | Content::List(_)
            | Content::Map(_)
            | Content::Later(_)
            | Content::Absent => None,
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[(Key, Self)]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a sequence.
    pub fn items(&self) -> Option<&[Self]> {
        match &self.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.entries()?;
        entries
            .iter()
            .find(|(found, _)| found.text == key)
            .map(|(_, value)| value)
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
            Content::Later(_) => "a value known later",
            Content::Absent => "AWS::NoValue",
        }
    }

    /// The node of a JSON value, at `mark`.
    pub fn of_json(mark: Mark, value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => Content::Number(number.to_string()),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(items) => {
                Content::List(items.iter().map(|item| Self::of_json(mark, item)).collect())
            }
            Value::Object(members) => Content::Map(
                members
                    .iter()
                    .map(|(key, value)| {
                        let text = key.clone();
                        (Key { mark, text }, Self::of_json(mark, value))
                    })
                    .collect(),
            ),
        };
        Self::new(mark, content)
    }

    /// As JSON, scalars by their plain form; what is known later as [`later`].
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null | Content::Absent => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(text) => number(text).unwrap_or_else(|| Value::from(text.as_str())),
            Content::Text(text) => Value::from(text.as_str()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .filter(|(_, value)| value.content != Content::Absent)
                    .map(|(key, value)| (key.text.clone(), value.to_json()))
                    .collect(),
            ),
            Content::Later(what) => later(what),
        }
    }
}

/// A number's JSON, if the text is one.
pub(crate) fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    let number = text.parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// The key of an object that stands for a value not yet known. No member of the API is named so.
const LATER: &str = "$later";

/// A value not yet known: the attribute it will come from.
pub fn later(what: &str) -> Value {
    serde_json::json!({ LATER: what })
}

/// The attribute a value not yet known will come from.
pub fn is_later(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(LATER)?.as_str()
}
