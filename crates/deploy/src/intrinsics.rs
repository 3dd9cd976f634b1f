//! Evaluating a template's functions.
//!
//! One evaluator for every use: what a reference leads to is the [`Lookup`]'s business, which may
//! know the value, know that it comes later, or only note that it was asked for.
//!
//! Invariant: only the chosen branch of an `Fn::If` is evaluated, so that what it refers to is what
//! the resource depends on.

mod condition;
mod string;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::files::Files;
use crate::node::{Content, Key, Mark, Node, Problem};

pub use condition::conditions;

/// Functions that make values.
const SUPPORTED: [&str; 10] = [
    "Fn::GetAtt",
    "Fn::Sub",
    "Fn::Join",
    "Fn::Select",
    "Fn::Split",
    "Fn::If",
    "Fn::FindInMap",
    "Fn::ImportValue",
    "Fn::File",
    "Fn::Base64",
];

/// Where references lead.
pub trait Lookup {
    /// What `Ref` of a resource gives; `None` if there is no such resource.
    fn reference(&self, resource: &str) -> Option<Found>;
    /// What `Fn::GetAtt` gives.
    ///
    /// # Errors
    /// There is no such resource, or it has no such attribute.
    fn attribute(&self, resource: &str, attribute: &str) -> Result<Found, String>;
}

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A value.
    Value(Node),
    /// One that exists once the resource does.
    Later(String),
}

/// The values that pseudo parameters have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudo {
    /// `AWS::AccountId`.
    pub account_id: String,
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::StackName`.
    pub stack_name: String,
}

impl Pseudo {
    fn get(&self, name: &str) -> Option<String> {
        let suffix = if self.region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        Some(match name {
            "AWS::AccountId" => self.account_id.clone(),
            "AWS::Region" => self.region.clone(),
            "AWS::StackName" => self.stack_name.clone(),
            "AWS::StackId" => format!(
                "arn:{}:cloudformation:{}:{}:stack/{}/{}",
                self.partition(),
                self.region,
                self.account_id,
                self.stack_name,
                stack_guid(self)
            ),
            "AWS::Partition" => self.partition().to_owned(),
            "AWS::URLSuffix" => suffix.to_owned(),
            _ => return None,
        })
    }

    /// `AWS::Partition`.
    pub fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }
}

/// The last part of a stack's id, the same for every run of the stack.
fn stack_guid(pseudo: &Pseudo) -> String {
    let seed = format!(
        "{}/{}/{}",
        pseudo.account_id, pseudo.region, pseudo.stack_name
    );
    let digest = crate::files::digest(&seed);
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// All that values are made from.
pub struct Scope<'a> {
    /// Values of parameters.
    pub parameters: &'a BTreeMap<String, Node>,
    /// The section `Mappings`.
    pub mappings: Option<&'a Node>,
    /// Outcomes of conditions.
    pub conditions: &'a BTreeMap<String, bool>,
    /// Pseudo parameters.
    pub pseudo: &'a Pseudo,
    /// What other stacks export; `None`: not known.
    pub exports: Option<&'a BTreeMap<String, String>>,
    /// Names of exports that were asked for.
    pub imported: &'a RefCell<BTreeSet<String>>,
    /// Where `Fn::File` reads.
    pub files: &'a dyn Files,
    /// Where references lead.
    pub lookup: &'a dyn Lookup,
}

/// Values that variables of an `Fn::Sub` have besides references.
type Variables = BTreeMap<String, Node>;

impl Scope<'_> {
    /// The value of a node, every function in it done. What is wrong is reported and left null.
    pub fn evaluate(&self, node: &Node, problems: &mut Vec<Problem>) -> Node {
        match self.value(node) {
            Ok(value) => value,
            Err(Failed::One(problem)) => {
                problems.push(problem);
                Node::new(node.mark, Content::Null)
            }
            Err(Failed::Inside) => self.parts(node, problems),
        }
    }

    /// A list or mapping that is no function, its parts evaluated one by one.
    fn parts(&self, node: &Node, problems: &mut Vec<Problem>) -> Node {
        let content = match &node.content {
            Content::List(items) => Content::List(
                items
                    .iter()
                    .map(|item| self.evaluate(item, problems))
                    .filter(|item| item.content != Content::Absent)
                    .collect(),
            ),
            Content::Map(entries) => Content::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), self.evaluate(value, problems)))
                    .filter(|(_, value)| value.content != Content::Absent)
                    .collect(),
            ),
            other => other.clone(),
        };
        Node::new(node.mark, content)
    }

    fn value(&self, node: &Node) -> Result<Node, Failed> {
        let Some((function, argument)) = function(node) else {
            return match node.content {
                Content::List(_) | Content::Map(_) => Err(Failed::Inside),
                _ => Ok(node.clone()),
            };
        };
        let mark = node.mark;
        let made = match function.text.as_str() {
            "Ref" => {
                let name = text_of(argument, "Ref takes a name")?;
                self.reference(mark, name)?
            }
            "Fn::GetAtt" => self.get_att(mark, argument)?,
            "Fn::Sub" => self.sub(mark, argument)?,
            "Fn::Join" => self.join(mark, argument)?,
            "Fn::Split" => self.split(mark, argument)?,
            "Fn::Select" => self.select(mark, argument)?,
            "Fn::If" => self.choose(mark, argument)?,
            "Fn::FindInMap" => self.find_in_map(mark, argument)?,
            "Fn::ImportValue" => self.import(mark, argument)?,
            "Fn::File" => self.file(mark, argument)?,
            "Fn::Base64" => self.base64(mark, argument)?,
            other => {
                return Err(problem(
                    function.mark,
                    format!(
                        "the intrinsic {other} is not supported; there are Ref, {}",
                        SUPPORTED.join(", ")
                    ),
                ));
            }
        };
        Ok(made)
    }

    /// A value that a function takes, with everything in it done.
    fn argument(&self, node: &Node) -> Result<Node, Failed> {
        let mut problems = Vec::new();
        let value = self.evaluate(node, &mut problems);
        match problems.into_iter().next() {
            Some(problem) => Err(Failed::One(problem)),
            None => Ok(value),
        }
    }

    fn arguments<const N: usize>(
        &self,
        node: &Node,
        mark: Mark,
        usage: &str,
    ) -> Result<[Node; N], Failed> {
        let items = node.items().ok_or_else(|| problem(mark, usage))?;
        let items: Vec<Node> = items
            .iter()
            .map(|item| self.argument(item))
            .collect::<Result<_, _>>()?;
        items.try_into().map_err(|_| problem(mark, usage))
    }

    fn reference(&self, mark: Mark, name: &str) -> Result<Node, Failed> {
        if name == "AWS::NoValue" {
            return Ok(Node::new(mark, Content::Absent));
        }
        if name == "AWS::NotificationARNs" {
            return Ok(Node::new(mark, Content::List(Vec::new())));
        }
        if let Some(text) = self.pseudo.get(name) {
            return Ok(Node::text(mark, text));
        }
        if let Some(value) = self.parameters.get(name) {
            return Ok(Node::new(mark, value.content.clone()));
        }
        match self.lookup.reference(name) {
            Some(found) => Ok(place(found, mark)),
            None => Err(problem(
                mark,
                format!("there is no parameter or resource {name}"),
            )),
        }
    }

    fn get_att(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        const USAGE: &str = "Fn::GetAtt takes a resource and an attribute";
        let [resource, attribute]: [Node; 2] = match argument.as_text() {
            Some(text) => {
                let (resource, attribute) =
                    text.split_once('.').ok_or_else(|| problem(mark, USAGE))?;
                [resource, attribute].map(|part| Node::text(mark, part))
            }
            None => self.arguments(argument, mark, USAGE)?,
        };
        let resource = text_of(&resource, USAGE)?;
        let attribute = text_of(&attribute, USAGE)?;
        match self.lookup.attribute(resource, attribute) {
            Ok(found) => Ok(place(found, mark)),
            Err(detail) => Err(problem(mark, detail)),
        }
    }

    fn select(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        const USAGE: &str = "Fn::Select takes an index and a list";
        let [index, list]: [Node; 2] = self.arguments(argument, mark, USAGE)?;
        if let Some(later) = first_later([&index, &list]) {
            return Ok(Node::new(mark, later));
        }
        let index = text_of(&index, USAGE)?;
        let place: usize = index.parse().map_err(|_| problem(mark, USAGE))?;
        let items = list.items().ok_or_else(|| problem(mark, USAGE))?;
        items.get(place).cloned().ok_or_else(|| {
            problem(
                mark,
                format!("Fn::Select asks for element {place} of {}", items.len()),
            )
        })
    }

    fn choose(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        let usage = "Fn::If takes a condition and two values";
        let Some([condition, yes, no]) = argument.items() else {
            return Err(problem(mark, usage));
        };
        let name = text_of(condition, usage)?;
        match self.conditions.get(name) {
            Some(true) => self.argument(yes),
            Some(false) => self.argument(no),
            None => Err(problem(mark, format!("there is no condition {name}"))),
        }
    }

    fn find_in_map(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        const USAGE: &str = "Fn::FindInMap takes a mapping and two keys";
        let mut items = argument
            .items()
            .ok_or_else(|| problem(mark, USAGE))?
            .to_vec();
        let mut default = None;
        if items.len() == 4 {
            let options = items.pop();
            default = options.and_then(|options| options.get("DefaultValue").cloned());
        }
        let items = Node::new(mark, Content::List(items));
        let [map, first, second]: [Node; 3] = self.arguments(&items, mark, USAGE)?;
        let map = text_of(&map, USAGE)?;
        let first = text_of(&first, USAGE)?;
        let second = text_of(&second, USAGE)?;
        let table = self.mappings.and_then(|mappings| mappings.get(map));
        let found = table
            .and_then(|table| table.get(first))
            .and_then(|row| row.get(second));
        match (found, default) {
            (Some(found), _) => Ok(found.clone()),
            (None, Some(default)) => self.argument(&default),
            (None, None) => Err(problem(
                mark,
                format!("the mapping {map} has no value for {first}, {second}"),
            )),
        }
    }

    fn import(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        let name = self.argument(argument)?;
        let name = text_of(&name, "Fn::ImportValue takes the name of an export")?;
        let Some(exports) = self.exports else {
            return Ok(Node::new(mark, Content::Later(name.to_owned())));
        };
        match exports.get(name) {
            Some(value) => {
                self.imported.borrow_mut().insert(name.to_owned());
                Ok(Node::text(mark, value))
            }
            None => Err(problem(
                mark,
                format!("no stack of this server exports {name}"),
            )),
        }
    }

    fn file(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        let path = self.argument(argument)?;
        let path = text_of(&path, "Fn::File takes the path of a file")?;
        let text = self.files.text(path);
        text.map(|text| Node::text(mark, text))
            .map_err(|detail| problem(mark, format!("the file cannot be read: {detail}")))
    }
}

/// Why a node has no value.
enum Failed {
    /// Something is wrong with it.
    One(Problem),
    /// It is no function; its parts are to be evaluated.
    Inside,
}

fn problem(mark: Mark, text: impl Into<String>) -> Failed {
    Failed::One(Problem::new(mark, text))
}

fn place(found: Found, mark: Mark) -> Node {
    match found {
        Found::Value(node) => Node::new(mark, node.content),
        Found::Later(what) => Node::new(mark, Content::Later(what)),
    }
}

/// A function and what it is given: a mapping of one key that is named like one.
pub(crate) fn function(node: &Node) -> Option<(&Key, &Node)> {
    let [(key, argument)] = node.entries()? else {
        return None;
    };
    let is_function = key.text == "Ref" || key.text.starts_with("Fn::");
    is_function.then_some((key, argument))
}

/// The path of the file whose text a node takes in, where it is written out.
pub fn file_of(node: &Node) -> Option<&str> {
    let (name, argument) = function(node)?;
    argument.as_text().filter(|_| name.text == "Fn::File")
}

fn text_of<'a>(node: &'a Node, usage: &str) -> Result<&'a str, Failed> {
    node.as_text().ok_or_else(|| problem(node.mark, usage))
}

/// What is not known yet among these, the lists' elements included.
fn first_later<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Option<Content> {
    nodes.into_iter().find_map(|node| match &node.content {
        Content::Later(_) => Some(node.content.clone()),
        Content::List(items) => first_later(items),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
