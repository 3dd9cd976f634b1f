//! Reading a template: text to nodes, nodes to sections.
//!
//! Says what is wrong with a template's form; what its values mean is [`crate::stack`]'s business.

pub mod emit;
mod parameters;
mod sam;
mod yaml;

use crate::node::{Content, Key, Mark, Node, Problem};

pub use parameters::values as parameter_values;
pub use yaml::{TEXT_BYTES_MAX, parse};

/// The only macro that is known.
const SAM: &str = "AWS::Serverless-2016-10-31";

/// CloudFormation's own limit.
const RESOURCES_MAX: usize = 500;

const SECTIONS: [&str; 11] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

/// A template, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// `Parameters`.
    pub parameters: Option<Node>,
    /// `Mappings`.
    pub mappings: Option<Node>,
    /// `Conditions`.
    pub conditions: Option<Node>,
    /// `Resources`, in the order written.
    pub resources: Vec<Declared>,
    /// `Outputs`, in the order written.
    pub outputs: Vec<Output>,
}

/// A resource as declared.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its logical id.
    pub logical: Key,
    /// `AWS::Bedrock::Agent`.
    pub type_name: String,
    /// Where the type stands.
    pub type_mark: Mark,
    /// `Properties`, nothing evaluated.
    pub properties: Node,
    /// `DependsOn`.
    pub depends_on: Vec<Key>,
    /// `Condition`.
    pub condition: Option<Key>,
    /// `DeletionPolicy: Retain`.
    pub is_retained: bool,
    /// `UpdateReplacePolicy: Retain`.
    pub is_kept_when_replaced: bool,
    /// `Metadata`.
    pub metadata: Option<Node>,
}

/// An output as declared.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Key,
    /// What it gives, not evaluated.
    pub value: Node,
    /// The name it is exported under, not evaluated.
    pub export: Option<Node>,
    /// `Condition`.
    pub condition: Option<Key>,
}

impl Template {
    /// Takes a template apart. What is wrong is reported, all at once.
    pub fn read(root: &Node, problems: &mut Vec<Problem>) -> Self {
        let Some(entries) = root.entries() else {
            problems.push(Problem::new(root.mark, "a template is a mapping"));
            return Self::default();
        };
        for (key, _) in entries {
            if !SECTIONS.contains(&key.text.as_str()) {
                problems.push(Problem::new(
                    key.mark,
                    format!("the section {} is not supported", key.text),
                ));
            }
        }
        let is_sam = transforms(root.get("Transform"), problems);
        let mut resources = Vec::new();
        match root
            .get("Resources")
            .and_then(|node| Some((node, node.entries()?)))
        {
            Some((node, entries)) => {
                if entries.len() > RESOURCES_MAX {
                    let text = format!("a template has at most {RESOURCES_MAX} resources");
                    problems.push(Problem::new(node.mark, text));
                }
                for (logical, node) in entries {
                    resources.extend(resource(logical, node, problems));
                }
            }
            None => problems.push(Problem::new(root.mark, "the template has no Resources")),
        }
        if is_sam {
            sam::apply(root.get("Globals"), &mut resources, problems);
        } else {
            sam::refuse(root, &resources, problems);
        }
        let outputs = root.get("Outputs").and_then(Node::entries);
        Self {
            parameters: root.get("Parameters").cloned(),
            mappings: root.get("Mappings").cloned(),
            conditions: root.get("Conditions").cloned(),
            resources,
            outputs: outputs
                .unwrap_or_default()
                .iter()
                .filter_map(|(name, node)| output(name, node, problems))
                .collect(),
        }
    }
}

/// Whether SAM's transform is asked for; any other is refused.
fn transforms(node: Option<&Node>, problems: &mut Vec<Problem>) -> bool {
    let Some(node) = node else {
        return false;
    };
    let named: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut is_sam = false;
    for transform in named {
        match transform.as_text() {
            Some(SAM) => is_sam = true,
            other => {
                let shown = other.unwrap_or("this");
                let text = format!("the transform {shown} is not supported; there is {SAM}");
                problems.push(Problem::new(transform.mark, text));
            }
        }
    }
    is_sam
}

fn resource(logical: &Key, node: &Node, problems: &mut Vec<Problem>) -> Option<Declared> {
    let mut problem = |mark: Mark, text: String| problems.push(Problem::new(mark, text));
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_name(&logical.text) {
        let text = format!(
            "a logical id has letters and digits only, {} has others",
            logical.text
        );
        problem(logical.mark, text);
    }
    let Some(type_node) = node.get("Type") else {
        problem(
            logical.mark,
            format!("the resource {} has no Type", logical.text),
        );
        return None;
    };
    let Some(type_name) = type_node.as_text().map(str::to_owned) else {
        problem(type_node.mark, "a Type is text".to_owned());
        return None;
    };
    for (key, _) in node.entries().unwrap_or_default() {
        let known = [
            "Type",
            "Properties",
            "DependsOn",
            "Condition",
            "DeletionPolicy",
            "UpdateReplacePolicy",
            "Metadata",
        ];
        if !known.contains(&key.text.as_str()) {
            problem(
                key.mark,
                format!("the attribute {} is not supported", key.text),
            );
        }
    }
    let mut policy = |name: &str| match node.get(name).map(|node| (node, node.as_text())) {
        None | Some((_, Some("Delete" | "RetainExceptOnCreate"))) => false,
        Some((_, Some("Retain"))) => true,
        Some((node, _)) => {
            problem(node.mark, format!("{name} is Delete or Retain"));
            false
        }
    };
    let empty = || Node::new(logical.mark, Content::Map(Vec::new()));
    Some(Declared {
        logical: logical.clone(),
        type_name,
        type_mark: type_node.mark,
        is_retained: policy("DeletionPolicy"),
        is_kept_when_replaced: policy("UpdateReplacePolicy"),
        properties: node.get("Properties").cloned().unwrap_or_else(empty),
        depends_on: names(node.get("DependsOn")),
        condition: names(node.get("Condition")).into_iter().next(),
        metadata: node.get("Metadata").cloned(),
    })
}

/// A name, or a list of them.
fn names(node: Option<&Node>) -> Vec<Key> {
    let key = |node: &Node| {
        Some(Key {
            mark: node.mark,
            text: node.as_text()?.to_owned(),
        })
    };
    match node {
        None => Vec::new(),
        Some(node) => match node.items() {
            Some(items) => items.iter().filter_map(key).collect(),
            None => key(node).into_iter().collect(),
        },
    }
}

fn output(name: &Key, node: &Node, problems: &mut Vec<Problem>) -> Option<Output> {
    let Some(value) = node.get("Value") else {
        let text = format!("the output {} has no Value", name.text);
        problems.push(Problem::new(name.mark, text));
        return None;
    };
    Some(Output {
        name: name.clone(),
        value: value.clone(),
        export: node
            .get("Export")
            .and_then(|export| export.get("Name"))
            .cloned(),
        condition: names(node.get("Condition")).into_iter().next(),
    })
}

#[cfg(test)]
mod tests;
