//! `$ref`: places of the document, and schemas with their references replaced by what they lead to.
//!
//! Only places inside the document; bounded against cycles and expansion bombs.

use serde_json::{Map, Value, json};

use super::Reader;

/// Most nodes of all schemas after resolving references; a document that expands further is hostile.
const RESOLVED_NODES_MAX: usize = 100_000;
/// Deepest nesting after resolving references.
const RESOLVED_DEPTH_MAX: usize = 64;
/// Most references that lead on to the next one.
const CHAIN_MAX: usize = 16;

impl<'a> Reader<'a> {
    /// The place itself, or where its reference leads.
    pub(super) fn follow(&mut self, value: &'a Value) -> Option<&'a Value> {
        let mut place = value;
        for _ in 0..CHAIN_MAX {
            let Some(reference) = reference_of(place) else {
                return Some(place);
            };
            place = self.target(reference)?;
        }
        self.wrong("references lead from one to the next without an end".to_owned());
        None
    }

    /// A schema with all its references resolved.
    pub(super) fn schema(&mut self, value: &'a Value) -> Value {
        self.resolve_in(value, &mut Vec::new(), 0)
    }

    fn resolve_in(&mut self, value: &'a Value, path: &mut Vec<&'a str>, depth: usize) -> Value {
        if self.nodes > RESOLVED_NODES_MAX {
            return Value::Null;
        }
        self.nodes += 1;
        if self.nodes > RESOLVED_NODES_MAX || depth > RESOLVED_DEPTH_MAX {
            self.nodes = RESOLVED_NODES_MAX + 1;
            self.wrong("the document is too large once its references are resolved".to_owned());
            return Value::Null;
        }
        match value {
            Value::Array(items) => items
                .iter()
                .map(|item| self.resolve_in(item, path, depth + 1))
                .collect(),
            Value::Object(members) => match reference_of(value) {
                Some(reference) => {
                    let mut found = self.resolve_reference(reference, path, depth);
                    self.lay_over(&mut found, members, path, depth);
                    found
                }
                None => Value::Object(
                    members
                        .iter()
                        .map(|(name, member)| {
                            (name.clone(), self.resolve_in(member, path, depth + 1))
                        })
                        .collect(),
                ),
            },
            scalar => scalar.clone(),
        }
    }

    fn resolve_reference(
        &mut self,
        reference: &'a str,
        path: &mut Vec<&'a str>,
        depth: usize,
    ) -> Value {
        let Some(target) = self.target(reference) else {
            return Value::Null;
        };
        if path.contains(&reference) {
            // A recursive schema: the model is told what kind of thing belongs here, no more.
            let kind = target.get("type").and_then(Value::as_str);
            return json!({"type": kind.unwrap_or("object")});
        }
        path.push(reference);
        let resolved = self.resolve_in(target, path, depth + 1);
        path.pop();
        resolved
    }

    /// What stands beside a reference says more of this place than the target can: since 3.1 it
    /// counts, and before it is written all the same.
    fn lay_over(
        &mut self,
        found: &mut Value,
        beside: &'a Map<String, Value>,
        path: &mut Vec<&'a str>,
        depth: usize,
    ) {
        let Value::Object(found) = found else { return };
        for (name, member) in beside {
            if name != "$ref" {
                let member = self.resolve_in(member, path, depth + 1);
                found.insert(name.clone(), member);
            }
        }
    }

    fn target(&mut self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#').and_then(decoded);
        let target = pointer.and_then(|pointer| self.root.pointer(&pointer));
        if target.is_none() {
            self.wrong(format!(
                "reference {reference} does not lead to a place in this document"
            ));
        }
        target
    }
}

fn reference_of(value: &Value) -> Option<&str> {
    // A property may be called $ref; its value is then a schema and no text.
    value.get("$ref")?.as_str()
}

/// A URI fragment without its percent signs.
fn decoded(fragment: &str) -> Option<String> {
    let mut out = Vec::with_capacity(fragment.len());
    let mut bytes = fragment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        out.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(out).ok()
}
