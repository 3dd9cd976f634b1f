//! What a template asks for, with its parameters given: resources in the order they can be made.
//!
//! Reading one finds everything that can be found wrong without asking the server for more than what
//! is exported there.

mod order;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::files::{Files, digest};
use crate::intrinsics::{Found, Lookup, Pseudo, Scope, conditions};
use crate::node::{Content, Mark, Node, Problem, is_later};
use crate::resource::{ALIAS_CONTENT, ID_TAG, Identity, Kind, Made};
use crate::template::{Declared, Template, parameter_values, parse};

/// What a template is read with.
pub struct Given<'a> {
    /// Values of parameters.
    pub parameters: &'a BTreeMap<String, String>,
    /// Ids that resources are to have, by logical id.
    pub ids: &'a BTreeMap<String, String>,
    /// Account, region, name.
    pub pseudo: Pseudo,
    /// What other stacks of the server export; `None` where no server was asked, so that imported
    /// values are taken to be known later.
    pub exports: Option<BTreeMap<String, String>>,
    /// Files beside the template.
    pub files: &'a dyn Files,
}

/// A template with its parameters.
pub struct Stack<'a> {
    template: Template,
    parameters: BTreeMap<String, Node>,
    conditions: BTreeMap<String, bool>,
    given: Given<'a>,
    imported: RefCell<BTreeSet<String>>,
    /// In an order in which they can be made.
    resources: Vec<Wanted>,
}

/// A resource a stack asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As declared.
    pub declared: Declared,
    /// Its kind.
    pub kind: Kind,
    /// What it needs before it.
    pub depends_on: BTreeSet<String>,
}

impl Wanted {
    /// Its logical id.
    pub fn logical(&self) -> &str {
        &self.declared.logical.text
    }
}

/// Resources as far as they are known: `None` for one that is still to be made.
pub type Known = BTreeMap<String, Option<Made>>;

impl<'a> Stack<'a> {
    /// Reads a template.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order it stands there.
    pub fn read(text: &str, given: Given<'a>) -> Result<Self, Vec<Problem>> {
        let root = parse(text).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let template = Template::read(&root, &mut problems);
        let parameters = parameter_values(
            template.parameters.as_ref(),
            given.parameters,
            &mut problems,
        );
        let mut stack = Self {
            template,
            parameters,
            conditions: BTreeMap::new(),
            given,
            imported: RefCell::default(),
            resources: Vec::new(),
        };
        stack.conditions = {
            let nothing = Nothing;
            let scope = stack.scope(&nothing);
            conditions(stack.template.conditions.as_ref(), &scope, &mut problems)
        };
        stack.collect(&mut problems);
        stack.check(&mut problems);
        problems.sort();
        problems.dedup();
        if problems.is_empty() {
            Ok(stack)
        } else {
            Err(problems)
        }
    }

    /// Account, region, name.
    pub fn pseudo(&self) -> &Pseudo {
        &self.given.pseudo
    }

    /// The resources, in an order in which they can be made.
    pub fn resources(&self) -> &[Wanted] {
        &self.resources
    }

    /// The names of exports that were used.
    pub fn imports(&self) -> Vec<String> {
        self.imported.borrow().iter().cloned().collect()
    }

    /// Who a resource is.
    pub fn identity<'b>(&'b self, wanted: &'b Wanted) -> Identity<'b> {
        Identity {
            type_name: &wanted.declared.type_name,
            logical: wanted.logical(),
            pseudo: &self.given.pseudo,
        }
    }

    /// The definition of a resource, given what is known of the others. `definitions`: those of the
    /// resources before it.
    ///
    /// # Errors
    /// A value that only now turns out not to fit.
    pub fn definition(
        &self,
        wanted: &Wanted,
        known: &Known,
        definitions: &BTreeMap<String, Value>,
    ) -> Result<Value, Vec<Problem>> {
        let mut problems = Vec::new();
        let lookup = Resources {
            stack: self,
            known,
            asked: RefCell::default(),
        };
        let mut definition = self.evaluate(wanted, &lookup, &mut problems);
        if wanted.kind == Kind::AgentAlias && definition.get("routingConfiguration").is_none() {
            let content = self.agent_content(wanted, &definition, known, definitions);
            if let Some(content) = content {
                definition[ALIAS_CONTENT] = json!(content);
            }
        }
        if problems.is_empty() {
            Ok(definition)
        } else {
            Err(problems)
        }
    }

    /// The outputs whose conditions hold, and the exports among them.
    ///
    /// # Errors
    /// A value that does not fit.
    pub fn outputs(&self, known: &Known) -> Result<Outputs, Vec<Problem>> {
        let mut problems = Vec::new();
        let lookup = Resources {
            stack: self,
            known,
            asked: RefCell::default(),
        };
        let scope = self.scope(&lookup);
        let mut outputs = Outputs::default();
        for output in &self.template.outputs {
            if !self.holds(output.condition.as_ref().map(|key| key.text.as_str())) {
                continue;
            }
            let value = scope.evaluate(&output.value, &mut problems);
            let Some(text) = value.as_text() else {
                if !matches!(value.content, Content::Later(_) | Content::Null) {
                    let text = format!(
                        "the output {} is {}, not text",
                        output.name.text,
                        value.kind()
                    );
                    problems.push(Problem::new(output.value.mark, text));
                }
                continue;
            };
            outputs.values.insert(output.name.text.clone(), json!(text));
            if let Some(name) = &output.export {
                let name = scope.evaluate(name, &mut problems);
                if let Some(name) = name.as_text() {
                    outputs.exports.insert(name.to_owned(), text.to_owned());
                }
            }
        }
        if problems.is_empty() {
            Ok(outputs)
        } else {
            Err(problems)
        }
    }

    fn scope<'b>(&'b self, lookup: &'b dyn Lookup) -> Scope<'b> {
        Scope {
            parameters: &self.parameters,
            mappings: self.template.mappings.as_ref(),
            conditions: &self.conditions,
            pseudo: &self.given.pseudo,
            exports: self.given.exports.as_ref(),
            imported: &self.imported,
            files: self.given.files,
            lookup,
        }
    }

    fn holds(&self, condition: Option<&str>) -> bool {
        condition.is_none_or(|name| self.conditions.get(name).copied().unwrap_or(false))
    }

    /// The resources whose conditions hold and whose types are supported, in order.
    fn collect(&mut self, problems: &mut Vec<Problem>) {
        let mut wanted = Vec::new();
        for declared in &self.template.resources {
            let condition = declared.condition.as_ref();
            if let Some(name) = condition
                && !self.conditions.contains_key(&name.text)
            {
                let text = format!("there is no condition {}", name.text);
                problems.push(Problem::new(name.mark, text));
            }
            let Some(kind) = Kind::of(&declared.type_name) else {
                let text = format!("the resource type {} is not supported", declared.type_name);
                problems.push(Problem::new(declared.type_mark, text));
                continue;
            };
            if self.holds(condition.map(|key| key.text.as_str())) {
                wanted.push(Wanted {
                    declared: declared.clone(),
                    kind,
                    depends_on: BTreeSet::new(),
                });
            }
        }
        for (logical, id) in self.given.ids {
            let found = wanted.iter_mut().find(|one| one.logical() == logical);
            match found {
                Some(one) if has_fixed_id(one.kind) => fix_id(one, id),
                Some(one) => {
                    let text = format!("--id: a {} cannot have a fixed id", one.declared.type_name);
                    problems.push(Problem::new(Mark::default(), text));
                }
                None => {
                    let text = format!("--id: there is no resource {logical}");
                    problems.push(Problem::new(Mark::default(), text));
                }
            }
        }
        self.resources = wanted;
    }

    /// Evaluates everything once with nothing known, for what is wrong and for what depends on what.
    fn check(&mut self, problems: &mut Vec<Problem>) {
        let known: Known = self
            .resources
            .iter()
            .map(|wanted| (wanted.logical().to_owned(), None))
            .collect();
        let mut depends = Vec::new();
        for wanted in &self.resources {
            let lookup = Resources {
                stack: self,
                known: &known,
                asked: RefCell::default(),
            };
            self.evaluate(wanted, &lookup, problems);
            let mut needs = lookup.asked.into_inner();
            for name in &wanted.declared.depends_on {
                let declared = self.template.resources.iter();
                if !declared
                    .into_iter()
                    .any(|one| one.logical.text == name.text)
                {
                    let text = format!("DependsOn: there is no resource {}", name.text);
                    problems.push(Problem::new(name.mark, text));
                } else if known.contains_key(&name.text) {
                    needs.insert(name.text.clone());
                }
            }
            depends.push(needs);
        }
        if let Err(found) = self.outputs(&known) {
            problems.extend(found);
        }
        for (wanted, needs) in self.resources.iter_mut().zip(depends) {
            wanted.depends_on = needs;
        }
        match order::sorted(&self.resources) {
            Ok(sorted) => self.resources = sorted,
            Err(problem) => problems.push(problem),
        }
    }

    fn evaluate(
        &self,
        wanted: &Wanted,
        lookup: &Resources<'_>,
        problems: &mut Vec<Problem>,
    ) -> Value {
        let scope = self.scope(lookup);
        let before = problems.len();
        let properties = scope.evaluate(&wanted.declared.properties, problems);
        if problems.len() > before {
            return Value::Null;
        }
        wanted.kind.definition(
            self.identity(wanted),
            &properties,
            wanted.declared.metadata.as_ref(),
            self.given.files,
            problems,
        )
    }

    /// A hash of all that a version of the alias's agent would hold, where the agent is of this stack.
    fn agent_content(
        &self,
        wanted: &Wanted,
        definition: &Value,
        known: &Known,
        definitions: &BTreeMap<String, Value>,
    ) -> Option<String> {
        let agent_id = definition.get("agentId")?;
        let agent = self.resources.iter().find(|one| {
            one.kind == Kind::Agent
                && wanted.depends_on.contains(one.logical())
                && match known.get(one.logical()) {
                    Some(Some(made)) => agent_id == &json!(made.physical),
                    _ => is_later(agent_id)
                        .is_some_and(|what| what.split('.').next() == Some(one.logical())),
                }
        })?;
        let mut content = definitions.get(agent.logical())?.clone();
        if let Value::Object(members) = &mut content {
            let outside = [
                "autoPrepare",
                "skipResourceInUseCheckOnDelete",
                "tags",
                "testAliasTags",
            ];
            members.retain(|name, _| !outside.contains(&name.as_str()));
        }
        Some(digest(&content.to_string()))
    }
}

/// Outputs of a stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// By name.
    pub values: BTreeMap<String, Value>,
    /// By the name they are exported under.
    pub exports: BTreeMap<String, String>,
}

fn has_fixed_id(kind: Kind) -> bool {
    matches!(kind, Kind::Agent | Kind::AgentAlias | Kind::KnowledgeBase)
}

/// Adds the tag that the server takes an id from.
fn fix_id(wanted: &mut Wanted, id: &str) {
    let mark = wanted.declared.logical.mark;
    let key = |text: &str| crate::node::Key {
        mark,
        text: text.to_owned(),
    };
    let tag = (key(ID_TAG), Node::text(mark, id));
    if let Content::Map(properties) = &mut wanted.declared.properties.content {
        let tags = properties.iter_mut().find(|(name, _)| name.text == "Tags");
        match tags {
            Some((
                _,
                Node {
                    content: Content::Map(tags),
                    ..
                },
            )) => {
                tags.retain(|(name, _)| name.text != ID_TAG);
                tags.push(tag);
            }
            Some(_) => {}
            None => {
                let tags = Node::new(mark, Content::Map(vec![tag]));
                properties.push((key("Tags"), tags));
            }
        }
    }
}

/// Leads nowhere: conditions may refer to parameters only.
struct Nothing;

impl Lookup for Nothing {
    fn reference(&self, _resource: &str) -> Option<Found> {
        None
    }

    fn attribute(&self, resource: &str, _attribute: &str) -> Result<Found, String> {
        Err(format!(
            "a condition cannot refer to the resource {resource}"
        ))
    }
}

/// Leads to the resources of a stack.
struct Resources<'a> {
    stack: &'a Stack<'a>,
    known: &'a Known,
    asked: RefCell<BTreeSet<String>>,
}

impl Lookup for Resources<'_> {
    fn reference(&self, resource: &str) -> Option<Found> {
        let known = self.known.get(resource)?;
        self.asked.borrow_mut().insert(resource.to_owned());
        Some(match known {
            Some(made) => Found::Value(Node::text(Mark::default(), &made.physical)),
            None => Found::Later(resource.to_owned()),
        })
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<Found, String> {
        let Some(known) = self.known.get(resource) else {
            return Err(format!("there is no resource {resource}"));
        };
        self.asked.borrow_mut().insert(resource.to_owned());
        let wanted = self.stack.resources.iter();
        let kind = wanted
            .into_iter()
            .find(|wanted| wanted.logical() == resource)
            .map(|wanted| wanted.kind);
        let has_it = kind
            .and_then(Kind::attributes)
            .is_none_or(|attributes| attributes.contains(&attribute));
        if !has_it {
            return Err(format!("{resource} has no attribute {attribute}"));
        }
        Ok(match known {
            None => Found::Later(format!("{resource}.{attribute}")),
            Some(made) => match made.attributes.get(attribute) {
                Some(value) => Found::Value(Node::of_json(Mark::default(), value)),
                None => return Err(format!("{resource} has no {attribute} now")),
            },
        })
    }
}

#[cfg(test)]
mod tests;
