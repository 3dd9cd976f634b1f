//! What the service model does not know of a value: the members a report names as missing.

use outcrop_model::control;
use outcrop_model::operation::{MemberSpec, ShapeKind};
use serde_json::Value;

/// The member of a structure or union.
pub(super) fn member(shape: &str, name: &str) -> Option<&'static MemberSpec> {
    match kind(shape)? {
        ShapeKind::Structure(members) | ShapeKind::Union(members) => {
            members.iter().find(|member| member.name == name)
        }
        _ => None,
    }
}

fn kind(name: &str) -> Option<&'static ShapeKind> {
    let shapes = control::tables::SERVICE.shapes;
    let index = shapes
        .binary_search_by_key(&name, |shape| shape.name)
        .ok()?;
    shapes.get(index).map(|shape| &shape.kind)
}

/// Dotted paths of members below `value` that the shape does not have. Java's type tags, which AWS
/// leaks, are no members.
pub(super) fn unknown(shape: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(shape, value, "", &mut found);
    found
}

fn walk(shape: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    match (kind(shape), value) {
        (Some(ShapeKind::Structure(_) | ShapeKind::Union(_)), Value::Object(object)) => {
            for (name, value) in object {
                let path = join(path, name);
                match member(shape, name) {
                    Some(member) => walk(member.target, value, &path, found),
                    None if name == "__type" => {}
                    None => found.push(path),
                }
            }
        }
        (Some(ShapeKind::List { member, .. }), Value::Array(items)) => {
            for item in items {
                walk(member, item, path, found);
            }
        }
        (Some(ShapeKind::Map { value: target, .. }), Value::Object(entries)) => {
            for (name, value) in entries {
                walk(target, value, &join(path, name), found);
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
