//! The second walk over an input: does it keep the constraints of the model?
//!
//! Produces the one aggregated sentence AWS's framework produces before any business logic runs
//! (behaviour.md 0.3). Types have been checked before; a value of the wrong type is passed over.
//! Values of sensitive shapes are never repeated in the message, long ones only in part.

use std::fmt;

use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::operation::{Length, Range};
use serde_json::Value;

use crate::path::Path;
use crate::schema::{Kind, Schema, ShapeId};

/// A body can break a constraint at every one of a million elements; a person reads the first few.
const MAX_VIOLATIONS: usize = 50;

/// How much of an offending value a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 1_024;

/// The constraints an input breaks, in the order of the walk.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

/// One broken constraint.
#[derive(Debug)]
struct Violation {
    path: String,
    sentence: String,
}

impl Violations {
    /// The exception with the aggregated message and, for services that have it, the field list.
    pub fn into_exception(self) -> Exception {
        let mut exception = Exception::new(ExceptionKind::Validation, self.to_string());
        for Violation { path, sentence } in self.0 {
            exception = exception.with_field(path, sentence);
        }
        exception
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MAX_VIOLATIONS
    }

    fn add(&mut self, path: Path<'_>, shown: &str, constraint: &str) {
        if !self.is_full() {
            let path = path.to_string();
            let sentence =
                format!("Value {shown}at '{path}' failed to satisfy constraint: {constraint}");
            self.0.push(Violation { path, sentence });
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} validation error{plural} detected: ", self.0.len())?;
        for (index, violation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&violation.sentence)?;
        }
        Ok(())
    }
}

/// Checks every constraint that `shape` and the shapes below it put on `value`.
pub(crate) fn validate(schema: &Schema, shape: ShapeId, value: &Value) -> Result<(), Violations> {
    let mut walk = Walk {
        schema,
        found: Violations::default(),
    };
    walk.value(shape, value, Path::ROOT, Shown::Yes);
    if walk.found.0.is_empty() {
        Ok(())
    } else {
        Err(walk.found)
    }
}

/// Whether messages may repeat values here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

struct Walk<'a> {
    schema: &'a Schema,
    found: Violations,
}

impl Walk<'_> {
    fn value(&mut self, id: ShapeId, value: &Value, path: Path<'_>, shown: Shown) {
        if self.found.is_full() {
            return;
        }
        let shape = self.schema.shape(id);
        let shown = if shape.sensitive { Shown::No } else { shown };
        match (&shape.kind, value) {
            (Kind::Structure(members), Value::Object(object)) => {
                for member in members {
                    let path = path.member(member.name);
                    match object.get(member.name) {
                        Some(value) => self.value(member.target, value, path, shown),
                        None if member.required => {
                            self.found.add(path, "null ", "Member must not be null");
                        }
                        None => {}
                    }
                }
            }
            (Kind::Union(members), Value::Object(object)) => {
                for (name, value) in object {
                    let found = members.binary_search_by_key(&name.as_str(), |member| member.name);
                    if let Ok(index) = found {
                        self.value(members[index].target, value, path.member(name), shown);
                    }
                }
            }
            (Kind::List { member, .. }, Value::Array(elements)) => {
                self.constraints(id, value, path, shown);
                self.list(*member, elements, value, path, shown);
            }
            (
                Kind::Map {
                    key, value: target, ..
                },
                Value::Object(entries),
            ) => {
                self.constraints(id, value, path, shown);
                self.map(*key, *target, entries, value, path, shown);
            }
            _ => self.constraints(id, value, path, shown),
        }
    }

    /// The constraints of one shape itself.
    fn constraints(&mut self, id: ShapeId, value: &Value, path: Path<'_>, shown: Shown) {
        for constraint in broken(self.schema, id, value) {
            self.found.add(path, &show(value, shown), &constraint);
        }
    }

    /// Scalar elements are reported once, with all the constraints of their shape.
    fn list(
        &mut self,
        member: ShapeId,
        elements: &[Value],
        list: &Value,
        path: Path<'_>,
        shown: Shown,
    ) {
        let shown = self.shown_with(member, shown);
        if self.is_scalar(member) {
            if elements
                .iter()
                .any(|element| !self.keeps_all(member, element))
            {
                let all = self.all_constraints(member);
                let constraint = format!("Member must satisfy constraint: [{all}]");
                self.found.add(path, &show(list, shown), &constraint);
            }
        } else {
            for (index, element) in elements.iter().enumerate() {
                self.value(member, element, path.element(index), shown);
            }
        }
    }

    fn map(
        &mut self,
        key: ShapeId,
        target: ShapeId,
        entries: &serde_json::Map<String, Value>,
        map: &Value,
        path: Path<'_>,
        shown: Shown,
    ) {
        let shown = self.shown_with(key, self.shown_with(target, shown));
        let broken_key = entries
            .keys()
            .any(|name| !self.keeps_all(key, &Value::String(name.clone())));
        if broken_key {
            let all = self.all_constraints(key);
            let constraint = format!("Map keys must satisfy constraint: [{all}]");
            self.found.add(path, &show(map, shown), &constraint);
        }
        if self.is_scalar(target) {
            if entries.values().any(|value| !self.keeps_all(target, value)) {
                let all = self.all_constraints(target);
                let constraint = format!("Map value must satisfy constraint: [{all}]");
                self.found.add(path, &show(map, shown), &constraint);
            }
        } else {
            for (name, value) in entries {
                self.value(target, value, path.entry(name), shown);
            }
        }
    }

    fn shown_with(&self, id: ShapeId, shown: Shown) -> Shown {
        if self.schema.shape(id).sensitive {
            Shown::No
        } else {
            shown
        }
    }

    fn is_scalar(&self, id: ShapeId) -> bool {
        !matches!(
            self.schema.shape(id).kind,
            Kind::Structure(_) | Kind::Union(_) | Kind::List { .. } | Kind::Map { .. }
        )
    }

    fn keeps_all(&self, id: ShapeId, value: &Value) -> bool {
        broken(self.schema, id, value).is_empty()
    }

    /// Every constraint of a scalar shape, as AWS lists them for elements.
    fn all_constraints(&self, id: ShapeId) -> String {
        let mut all = Vec::new();
        match &self.schema.shape(id).kind {
            Kind::String { length, pattern } => {
                all.extend(length.max.map(at_most));
                all.extend(length.min.map(at_least));
                all.extend(pattern.as_ref().map(|pattern| must_match(pattern.text())));
            }
            Kind::Enum(values) => all.push(must_be_one_of(values)),
            Kind::Integer(range) | Kind::Long(range) => bounds(range, &mut all),
            Kind::Float(range) | Kind::Double(range) => bounds(range, &mut all),
            Kind::Blob { length } => {
                all.extend(length.max.map(at_most));
                all.extend(length.min.map(at_least));
            }
            _ => {}
        }
        all.join(", ")
    }
}

/// The constraints of a shape, not of what it holds, that a value breaks.
fn broken(schema: &Schema, id: ShapeId, value: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    match (&schema.shape(id).kind, value) {
        (Kind::String { length, pattern }, Value::String(text)) => {
            if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
                broken.push(must_match(pattern.text()));
            }
            if *length != Length::ANY {
                check_length(*length, count_chars(text), &mut broken);
            }
        }
        (Kind::Enum(values), Value::String(text)) if !values.contains(&text.as_str()) => {
            broken.push(must_be_one_of(values));
        }
        (Kind::Integer(range) | Kind::Long(range), value) => {
            if let Some(number) = value.as_i64() {
                check_range(range, number, &mut broken);
            }
        }
        (Kind::Float(range) | Kind::Double(range), value) => {
            if let Some(number) = value.as_f64() {
                check_range(range, number, &mut broken);
            }
        }
        (Kind::Blob { length }, Value::String(text)) => {
            check_length(*length, decoded_length(text), &mut broken);
        }
        (Kind::List { length, .. }, Value::Array(elements)) => {
            check_length(*length, elements.len() as u64, &mut broken);
        }
        (Kind::Map { length, .. }, Value::Object(entries)) => {
            check_length(*length, entries.len() as u64, &mut broken);
        }
        _ => {}
    }
    broken
}

fn count_chars(text: &str) -> u64 {
    text.chars().count() as u64
}

/// The number of bytes that valid, padded Base64 stands for.
fn decoded_length(base64: &str) -> u64 {
    let padding = base64
        .bytes()
        .rev()
        .take_while(|&byte| byte == b'=')
        .count();
    (base64.len() / 4 * 3).saturating_sub(padding) as u64
}

fn check_length(length: Length, actual: u64, broken: &mut Vec<String>) {
    if let Some(min) = length.min.filter(|&min| actual < min) {
        broken.push(at_least(min));
    }
    if let Some(max) = length.max.filter(|&max| actual > max) {
        broken.push(at_most(max));
    }
}

fn check_range<T: Copy + PartialOrd + fmt::Display>(
    range: &Range<T>,
    actual: T,
    broken: &mut Vec<String>,
) {
    if let Some(min) = range.min.filter(|&min| actual < min) {
        broken.push(format!(
            "Member must have value greater than or equal to {min}"
        ));
    }
    if let Some(max) = range.max.filter(|&max| actual > max) {
        broken.push(format!(
            "Member must have value less than or equal to {max}"
        ));
    }
}

fn bounds<T: Copy + fmt::Display>(range: &Range<T>, all: &mut Vec<String>) {
    let max = range
        .max
        .map(|max| format!("Member must have value less than or equal to {max}"));
    let min = range
        .min
        .map(|min| format!("Member must have value greater than or equal to {min}"));
    all.extend(max);
    all.extend(min);
}

fn at_least(min: u64) -> String {
    format!("Member must have length greater than or equal to {min}")
}

fn at_most(max: u64) -> String {
    format!("Member must have length less than or equal to {max}")
}

fn must_match(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn must_be_one_of(values: &[&str]) -> String {
    format!(
        "Member must satisfy enum value set: [{}]",
        values.join(", ")
    )
}

/// The value as a message repeats it, with a blank after it; nothing for what cannot be shown.
fn show(value: &Value, shown: Shown) -> String {
    let text = match (shown, value) {
        (Shown::No, _) => None,
        (Shown::Yes, Value::Array(elements)) => {
            let scalars: Option<Vec<_>> = elements.iter().map(scalar).collect();
            scalars.map(|scalars| format!("[{}]", scalars.join(", ")))
        }
        (Shown::Yes, Value::Object(entries)) => {
            let pairs = entries
                .iter()
                .map(|(key, value)| Some(format!("{key}={}", scalar(value)?)));
            let pairs: Option<Vec<_>> = pairs.collect();
            pairs.map(|pairs| format!("{{{}}}", pairs.join(", ")))
        }
        (Shown::Yes, value) => scalar(value),
    };
    let Some(text) = text else {
        return String::new();
    };
    let mut shown = String::from("'");
    shown.extend(text.chars().take(MAX_SHOWN_CHARS));
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown.push_str("' ");
    shown
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
