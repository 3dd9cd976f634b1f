//! Conditions: known from the parameters alone, before anything else is looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::{Failed, Scope, problem, text_of};
use crate::node::{Mark, Node, Problem};

/// The outcome of every condition of the section. `scope` needs no conditions of its own.
pub fn conditions(
    section: Option<&Node>,
    scope: &Scope<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, bool> {
    let entries = section.and_then(Node::entries).unwrap_or_default();
    let mut walk = Walk {
        section,
        scope,
        begun: BTreeSet::new(),
        known: BTreeMap::new(),
    };
    for (key, node) in entries {
        match walk.named(key.mark, &key.text, node) {
            Err(Failed::One(problem)) => {
                walk.known.insert(key.text.clone(), false);
                problems.push(problem);
            }
            Ok(_) | Err(Failed::Inside) => {}
        }
    }
    walk.known
}

struct Walk<'a> {
    section: Option<&'a Node>,
    scope: &'a Scope<'a>,
    begun: BTreeSet<String>,
    known: BTreeMap<String, bool>,
}

impl Walk<'_> {
    fn named(&mut self, mark: Mark, name: &str, node: &Node) -> Result<bool, Failed> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        if !self.begun.insert(name.to_owned()) {
            return Err(problem(
                mark,
                format!("the condition {name} depends on itself"),
            ));
        }
        let outcome = self.holds(node)?;
        self.known.insert(name.to_owned(), outcome);
        Ok(outcome)
    }

    fn holds(&mut self, node: &Node) -> Result<bool, Failed> {
        let Some([(key, argument)]) = node.entries() else {
            return Err(problem(
                node.mark,
                "a condition is one of Fn::Equals, Fn::And, Fn::Or, Fn::Not, Fn::Contains, Condition",
            ));
        };
        match key.text.as_str() {
            "Condition" => {
                let name = text_of(argument, "Condition takes a name")?;
                let section = self.section;
                match section.and_then(|section| section.get(name)) {
                    Some(node) => self.named(key.mark, name, node),
                    None => Err(problem(key.mark, format!("there is no condition {name}"))),
                }
            }
            "Fn::Equals" => {
                let [one, other]: [Node; 2] =
                    self.scope
                        .arguments(argument, key.mark, "Fn::Equals takes two values")?;
                Ok(match (one.as_text(), other.as_text()) {
                    (Some(one), Some(other)) => one == other,
                    _ => one.to_json() == other.to_json(),
                })
            }
            "Fn::Contains" => {
                const USAGE: &str = "Fn::Contains takes a list and a text";
                let [list, text]: [Node; 2] = self.scope.arguments(argument, key.mark, USAGE)?;
                let items = list.items().ok_or_else(|| problem(key.mark, USAGE))?;
                Ok(items.iter().any(|item| item.as_text() == text.as_text()))
            }
            "Fn::Not" => {
                let [inner] = argument.items().unwrap_or_default() else {
                    return Err(problem(key.mark, "Fn::Not takes one condition"));
                };
                Ok(!self.holds(inner)?)
            }
            "Fn::And" | "Fn::Or" => {
                let items = argument.items().unwrap_or_default();
                if !(2..=10).contains(&items.len()) {
                    return Err(problem(
                        key.mark,
                        format!("{} takes two to ten conditions", key.text),
                    ));
                }
                let outcomes: Vec<bool> = items
                    .iter()
                    .map(|item| self.holds(item))
                    .collect::<Result<_, _>>()?;
                Ok(if key.text == "Fn::And" {
                    outcomes.iter().all(|outcome| *outcome)
                } else {
                    outcomes.iter().any(|outcome| *outcome)
                })
            }
            other => Err(problem(
                key.mark,
                format!("the intrinsic {other} is not supported in conditions"),
            )),
        }
    }
}
