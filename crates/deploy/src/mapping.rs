//! CloudFormation's properties and the API's members: one table, read in both directions.
//!
//! CloudFormation writes `AgentName` where the API writes `agentName`, all the way down, with few
//! exceptions ([`RENAMED`]). So the shapes of the service model are the table: a [`Form`] says which
//! shape a resource type is made of, which members are no properties, and which properties are more
//! than the shape has. A *definition* is the API's form of all properties: camelCase, every scalar of
//! the type its shape has.
//!
//! Invariant: `to_template` of a definition, read by `to_definition`, is that definition again.

use outcrop_model::operation::{MemberSpec, ShapeKind, ShapeSpec};
use outcrop_model::{bedrock, control};
use serde_json::{Map, Value};

use crate::node::{Content, Key, Node, Problem, later, number};

pub use forms::{
    ACTION_GROUP, AGENT, AGENT_ALIAS, AGENT_VERSION, AGENT_VERSION_TYPE, COLLABORATOR, DATA_SOURCE,
    GUARDRAIL, GUARDRAIL_VERSION, KNOWLEDGE_BASE, KNOWLEDGE_BASE_ASSOCIATION, PROMPT,
    PROMPT_VERSION,
};

mod forms;

/// What a resource type, or a part of one, is made of.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The shape whose members are properties.
    pub shape: &'static str,
    /// Members that are no properties: ids the resource is reached by, and tokens.
    pub hidden: &'static [&'static str],
    /// Properties that the shape does not have.
    pub extra: &'static [Extra],
}

/// A property that no member of the shape stands for.
#[derive(Clone, Copy, Debug)]
pub struct Extra {
    /// `ActionGroups`.
    pub property: &'static str,
    /// What it holds.
    pub kind: ExtraKind,
}

/// What an [`Extra`] holds.
#[derive(Clone, Copy, Debug)]
pub enum ExtraKind {
    /// A boolean.
    Flag,
    /// A value of this shape.
    Shape(&'static str),
    /// A list whose elements have this form.
    List(&'static Form),
}

/// Members that are not the property's name with a small first letter: (shape, property, member).
const RENAMED: [(&str, &str, &str); 6] = [
    ("CreateGuardrailRequest", "KmsKeyArn", "kmsKeyId"),
    (
        "GuardrailContentPolicyConfig",
        "ContentFiltersTierConfig",
        "tierConfig",
    ),
    (
        "GuardrailCrossRegionConfig",
        "GuardrailProfileArn",
        "guardrailProfileIdentifier",
    ),
    (
        "GuardrailTopicPolicyConfig",
        "TopicsTierConfig",
        "tierConfig",
    ),
    ("S3Location", "URI", "uri"),
    (
        "SupplementalDataStorageConfiguration",
        "SupplementalDataStorageLocations",
        "storageLocations",
    ),
];

/// The definition that properties give. What cannot be read is reported and left out.
pub fn to_definition(form: &Form, properties: &Node, problems: &mut Vec<Problem>) -> Value {
    Reader { problems }.form(form, properties)
}

/// The properties that give a definition. Members no property stands for are left out.
pub fn to_template(form: &Form, definition: &Value) -> Value {
    let Value::Object(members) = definition else {
        return definition.clone();
    };
    let mut properties = Map::new();
    for (name, value) in members {
        if let Some(extra) = extra_of_member(form, name) {
            properties.insert(extra.property.to_owned(), write_extra(extra.kind, value));
        } else if !form.hidden.contains(&name.as_str())
            && let Some(member) = member(form.shape, name)
        {
            let property = property_of(form.shape, name);
            properties.insert(property, write(member.target, value));
        }
    }
    Value::Object(properties)
}

/// The property that stands for a member of a shape: `AgentName` for `agentName`.
pub fn property_of(shape: &str, member: &str) -> String {
    RENAMED
        .iter()
        .find(|(of, _, renamed)| *of == shape && *renamed == member)
        .map_or_else(
            || with_first(member, char::to_uppercase),
            |(_, property, _)| (*property).to_owned(),
        )
}

/// The member that a property of a shape stands for.
pub fn member_of(shape: &str, property: &str) -> String {
    RENAMED
        .iter()
        .find(|(of, renamed, _)| *of == shape && *renamed == property)
        .map_or_else(
            || with_first(property, char::to_lowercase),
            |(_, _, member)| (*member).to_owned(),
        )
}

fn with_first<I: Iterator<Item = char>>(text: &str, change: impl Fn(char) -> I) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(change);
    first.chain(characters).collect()
}

/// A shape of `bedrock-agent`, else of `bedrock`. Names that both have are scalars, and the same.
fn shape(name: &str) -> &'static ShapeSpec {
    let services = [&control::tables::SERVICE, &bedrock::tables::SERVICE];
    let found = services.into_iter().find_map(|service| {
        let shapes = service.shapes;
        let index = shapes.binary_search_by_key(&name, |shape| shape.name);
        shapes.get(index.ok()?)
    });
    found.expect("forms and tables name only shapes of the services")
}

fn members(name: &str) -> &'static [MemberSpec] {
    match shape(name).kind {
        ShapeKind::Structure(members) | ShapeKind::Union(members) => members,
        _ => &[],
    }
}

fn member(shape: &str, name: &str) -> Option<&'static MemberSpec> {
    members(shape).iter().find(|member| member.name == name)
}

/// Whether a shape has a member of this name.
pub(crate) fn has_member(shape: &str, name: &str) -> bool {
    member(shape, name).is_some()
}

fn extra_of_member(form: &Form, name: &str) -> Option<&'static Extra> {
    let property = with_first(name, char::to_uppercase);
    form.extra.iter().find(|extra| extra.property == property)
}

fn write_extra(kind: ExtraKind, value: &Value) -> Value {
    match (kind, value) {
        (ExtraKind::Shape(shape), value) => write(shape, value),
        (ExtraKind::List(form), Value::Array(items)) => {
            items.iter().map(|item| to_template(form, item)).collect()
        }
        (ExtraKind::Flag | ExtraKind::List(_), value) => value.clone(),
    }
}

fn write(name: &str, value: &Value) -> Value {
    match (&shape(name).kind, value) {
        (ShapeKind::Structure(_) | ShapeKind::Union(_), Value::Object(object)) => object
            .iter()
            .filter_map(|(key, value)| {
                let member = member(name, key)?;
                Some((property_of(name, key), write(member.target, value)))
            })
            .collect(),
        (ShapeKind::List { member, .. }, Value::Array(items)) => {
            items.iter().map(|item| write(member, item)).collect()
        }
        (ShapeKind::Map { value: target, .. }, Value::Object(entries)) => entries
            .iter()
            .map(|(key, value)| (key.clone(), write(target, value)))
            .collect(),
        _ => value.clone(),
    }
}

/// Reads properties, with everything wrong in them.
struct Reader<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, node: &Node, text: impl Into<String>) {
        self.problems.push(Problem::new(node.mark, text));
    }

    fn form(&mut self, form: &Form, node: &Node) -> Value {
        if let Content::Later(what) = &node.content {
            return later(what);
        }
        let Some(entries) = node.entries() else {
            self.problem(
                node,
                format!("a mapping is expected here, not {}", node.kind()),
            );
            return Value::Null;
        };
        let mut definition = Map::new();
        for (key, value) in present(entries) {
            let extra = form.extra.iter().find(|extra| extra.property == key.text);
            if let Some(extra) = extra {
                let value = self.extra(extra.kind, value);
                definition.insert(with_first(&key.text, char::to_lowercase), value);
                continue;
            }
            let name = member_of(form.shape, &key.text);
            let member = member(form.shape, &name)
                .filter(|_| is_property(&key.text) && !form.hidden.contains(&name.as_str()));
            match member {
                Some(member) => {
                    let value = self.value(member.target, value);
                    definition.insert(name, value);
                }
                None => self.unknown(key, &known_of_form(form)),
            }
        }
        for member in members(form.shape) {
            if member.required
                && !form.hidden.contains(&member.name)
                && !definition.contains_key(member.name)
            {
                let property = property_of(form.shape, member.name);
                self.problem(node, format!("the property {property} is missing"));
            }
        }
        Value::Object(definition)
    }

    fn extra(&mut self, kind: ExtraKind, node: &Node) -> Value {
        match kind {
            ExtraKind::Flag => self.boolean(node),
            ExtraKind::Shape(shape) => self.value(shape, node),
            ExtraKind::List(form) => self.list(node, |reader, item| reader.form(form, item)),
        }
    }

    fn value(&mut self, name: &'static str, node: &Node) -> Value {
        if let Content::Later(what) = &node.content {
            return later(what);
        }
        match shape(name).kind {
            ShapeKind::Structure(members) => self.structure(name, members, node, Required::Checked),
            ShapeKind::Union(members) => self.structure(name, members, node, Required::None),
            ShapeKind::List { member, .. } => {
                self.list(node, |reader, item| reader.value(member, item))
            }
            ShapeKind::Map { value, .. } => self.map(value, node),
            ShapeKind::Document => node.to_json(),
            ShapeKind::Boolean => self.boolean(node),
            ShapeKind::Integer(_) | ShapeKind::Long(_) => {
                self.number(node, "a whole number", |text| {
                    let whole = text.parse::<i64>().ok();
                    // CloudFormation's own JSON writers may give whole numbers a fraction of zero.
                    whole
                        .or_else(|| text.strip_suffix(".0")?.parse().ok())
                        .map(Value::from)
                })
            }
            ShapeKind::Float(_) | ShapeKind::Double(_) | ShapeKind::Timestamp(_) => {
                self.number(node, "a number", number)
            }
            ShapeKind::String { .. } | ShapeKind::Enum(_) | ShapeKind::Blob { .. } => {
                match node.as_text() {
                    Some(text) => Value::from(text),
                    None => self.expected(node, "text"),
                }
            }
        }
    }

    fn structure(
        &mut self,
        name: &'static str,
        members: &'static [MemberSpec],
        node: &Node,
        required: Required,
    ) -> Value {
        let Some(entries) = node.entries() else {
            return self.expected(node, "a mapping");
        };
        let mut object = Map::new();
        for (key, value) in present(entries) {
            let found = member(name, &member_of(name, &key.text));
            match found.filter(|_| is_property(&key.text)) {
                Some(member) => {
                    let value = self.value(member.target, value);
                    object.insert(member.name.to_owned(), value);
                }
                None => self.unknown(key, &known_of_shape(name)),
            }
        }
        if required == Required::Checked {
            for member in members {
                if member.required && !object.contains_key(member.name) {
                    let property = property_of(name, member.name);
                    self.problem(node, format!("the property {property} is missing"));
                }
            }
        }
        Value::Object(object)
    }

    fn list(&mut self, node: &Node, mut item: impl FnMut(&mut Self, &Node) -> Value) -> Value {
        match &node.content {
            Content::Later(what) => later(what),
            Content::List(items) => items
                .iter()
                .filter(|item| item.content != Content::Absent)
                .map(|element| item(self, element))
                .collect(),
            _ => self.expected(node, "a list"),
        }
    }

    fn map(&mut self, target: &'static str, node: &Node) -> Value {
        let Some(entries) = node.entries() else {
            return self.expected(node, "a mapping");
        };
        let entries = present(entries)
            .map(|(key, value)| (key.text.clone(), self.value(target, value)))
            .collect();
        Value::Object(entries)
    }

    fn boolean(&mut self, node: &Node) -> Value {
        // YAML 1.1, which CloudFormation reads, has more words for them.
        match (&node.content, node.as_text()) {
            (Content::Later(what), _) => later(what),
            (_, Some("true" | "True" | "TRUE" | "yes" | "Yes" | "on" | "On")) => Value::Bool(true),
            (_, Some("false" | "False" | "FALSE" | "no" | "No" | "off" | "Off")) => {
                Value::Bool(false)
            }
            _ => self.expected(node, "true or false"),
        }
    }

    fn number(
        &mut self,
        node: &Node,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<Value>,
    ) -> Value {
        match node.as_text().and_then(read) {
            Some(value) => value,
            None => self.expected(node, wanted),
        }
    }

    fn expected(&mut self, node: &Node, wanted: &str) -> Value {
        let text = match node.as_text() {
            Some(text) => format!("{wanted} is expected here, not {text:?}"),
            None => format!("{wanted} is expected here, not {}", node.kind()),
        };
        self.problem(node, text);
        Value::Null
    }

    fn unknown(&mut self, key: &Key, known: &[String]) {
        let nearest = known
            .iter()
            .map(|name| (strsim::jaro_winkler(name, &key.text), name))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let hint = nearest.map_or_else(String::new, |(_, name)| format!(" (did you mean {name}?)"));
        self.problems.push(Problem::new(
            key.mark,
            format!("the property {} is not supported here{hint}", key.text),
        ));
    }
}

/// Whether missing members are reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Required {
    Checked,
    None,
}

fn present(entries: &[(Key, Node)]) -> impl Iterator<Item = (&Key, &Node)> {
    entries
        .iter()
        .filter(|(_, value)| !matches!(value.content, Content::Absent | Content::Null))
        .map(|(key, value)| (key, value))
}

/// Properties begin with a capital; a member's own name is none.
fn is_property(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
}

fn known_of_shape(name: &str) -> Vec<String> {
    let members = members(name).iter();
    members
        .map(|member| property_of(name, member.name))
        .collect()
}

fn known_of_form(form: &Form) -> Vec<String> {
    let mut known: Vec<String> = members(form.shape)
        .iter()
        .filter(|member| !form.hidden.contains(&member.name))
        .map(|member| property_of(form.shape, member.name))
        .collect();
    known.extend(form.extra.iter().map(|extra| extra.property.to_owned()));
    known
}

#[cfg(test)]
mod tests;
