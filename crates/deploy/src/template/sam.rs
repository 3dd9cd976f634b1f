//! SAM's transform, as far as functions need it: `Globals` and the roles it makes by itself.

use crate::node::{Content, Key, Node, Problem};

use super::Declared;

const FUNCTION: &str = "AWS::Serverless::Function";
const ROLE: &str = "AWS::IAM::Role";

/// Merges the globals into functions, and declares the role of each function that has none.
pub(super) fn apply(
    globals: Option<&Node>,
    resources: &mut Vec<Declared>,
    problems: &mut Vec<Problem>,
) {
    for (key, _) in globals.and_then(Node::entries).unwrap_or_default() {
        // Of the other tables no resource can be here: their types are refused.
        if key.text != "Function" {
            let text = format!("the globals of {} are not supported", key.text);
            problems.push(Problem::new(key.mark, text));
        }
    }
    let defaults = globals.and_then(|globals| globals.get("Function"));
    let mut roles = Vec::new();
    for resource in resources.iter_mut().filter(|one| one.type_name == FUNCTION) {
        if let Some(defaults) = defaults {
            resource.properties = merged(defaults, &resource.properties);
        }
        if resource.properties.get("Role").is_none() {
            roles.push(role_of(resource));
        }
    }
    roles.retain(|role| {
        let name = &role.logical.text;
        resources.iter().all(|other| other.logical.text != *name)
    });
    resources.extend(roles);
}

/// Without the transform, what belongs to it means nothing to CloudFormation.
pub(super) fn refuse(root: &Node, resources: &[Declared], problems: &mut Vec<Problem>) {
    let text = "needs `Transform: AWS::Serverless-2016-10-31`";
    if let Some(globals) = root.get("Globals") {
        problems.push(Problem::new(globals.mark, format!("Globals {text}")));
    }
    for resource in resources.iter().filter(|one| one.type_name == FUNCTION) {
        problems.push(Problem::new(
            resource.type_mark,
            format!("{FUNCTION} {text}"),
        ));
    }
}

/// The resource's own value wins; mappings are merged, lists joined, as SAM does.
fn merged(default: &Node, own: &Node) -> Node {
    match (&default.content, &own.content) {
        (Content::Map(defaults), Content::Map(entries))
            if crate::intrinsics::function(default).is_none()
                && crate::intrinsics::function(own).is_none() =>
        {
            let mut made = entries.clone();
            for (key, value) in defaults {
                match made.iter_mut().find(|(own, _)| own.text == key.text) {
                    Some((_, own)) => *own = merged(value, own),
                    None => made.push((key.clone(), value.clone())),
                }
            }
            Node::new(own.mark, Content::Map(made))
        }
        (Content::List(defaults), Content::List(items)) => {
            let joined = defaults.iter().chain(items).cloned().collect();
            Node::new(own.mark, Content::List(joined))
        }
        _ => own.clone(),
    }
}

fn role_of(function: &Declared) -> Declared {
    let mark = function.logical.mark;
    Declared {
        logical: Key {
            mark,
            text: format!("{}Role", function.logical.text),
        },
        type_name: ROLE.to_owned(),
        type_mark: mark,
        properties: Node::new(mark, Content::Map(Vec::new())),
        depends_on: Vec::new(),
        condition: function.condition.clone(),
        is_retained: false,
        is_kept_when_replaced: false,
        metadata: None,
    }
}
