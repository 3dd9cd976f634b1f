//! `$ref`: the document with its references replaced by what they lead to.
//!
//! Only places inside the document; bounded against cycles and expansion bombs.

use serde_json::{Value, json};

use super::Reader;

/// Most nodes after resolving references; a document that expands further is hostile.
const RESOLVED_NODES_MAX: usize = 50_000;
/// Deepest nesting after resolving references.
const RESOLVED_DEPTH_MAX: usize = 64;

impl Reader<'_> {
    pub(super) fn resolve(&mut self, value: &Value) -> Value {
        let mut path = Vec::new();
        self.resolve_in(value, &mut path, 0)
    }

    fn resolve_in(&mut self, value: &Value, path: &mut Vec<String>, depth: usize) -> Value {
        self.nodes += 1;
        if self.nodes > RESOLVED_NODES_MAX || depth > RESOLVED_DEPTH_MAX {
            if self.nodes == RESOLVED_NODES_MAX + 1 || depth == RESOLVED_DEPTH_MAX + 1 {
                self.nodes = RESOLVED_NODES_MAX + 2;
                self.problems
                    .push("the document is too large once its references are resolved".to_owned());
            }
            return Value::Null;
        }
        match value {
            Value::Array(items) => items
                .iter()
                .map(|item| self.resolve_in(item, path, depth + 1))
                .collect(),
            Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
                Some(reference) => self.resolve_reference(reference, path, depth),
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
        reference: &str,
        path: &mut Vec<String>,
        depth: usize,
    ) -> Value {
        if path.iter().any(|seen| seen == reference) {
            // A recursive schema: the model is told that an object belongs here, no more.
            return json!({"type": "object"});
        }
        let root = self.root;
        let Some(target) = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
        else {
            self.problems.push(format!(
                "reference {reference} does not lead to a place in this document"
            ));
            return Value::Null;
        };
        path.push(reference.to_owned());
        let resolved = self.resolve_in(target, path, depth + 1);
        path.pop();
        resolved
    }
}
