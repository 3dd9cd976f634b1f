//! What a run will do, before it does it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::node::Problem;
use crate::resource::Kind;
use crate::stack::{Known, Stack, Wanted};
use crate::state::{Resource, State};

/// What is done to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Made.
    Create,
    /// Changed: the members that differ.
    Update(Vec<String>),
    /// Made anew, because these members cannot be changed; the old one is removed.
    Replace(Vec<String>),
    /// Removed.
    Delete,
    /// No longer looked after, and left where it is.
    Forget,
    /// Nothing.
    Keep,
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The resource.
    pub logical: String,
    /// `AWS::Bedrock::Agent`.
    pub type_name: String,
    /// What is done.
    pub action: Action,
    /// Whether the type means nothing on a server of one's own.
    pub is_paper: bool,
    /// The definition there is.
    pub before: Option<Value>,
    /// The definition there will be.
    pub after: Option<Value>,
}

/// The steps of a run, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether a run would change anything.
    pub fn changes_anything(&self) -> bool {
        self.steps.iter().any(|step| step.action != Action::Keep)
    }
}

/// Plans a deployment.
///
/// # Errors
/// A value that does not fit.
pub fn plan(stack: &Stack<'_>, state: &State) -> Result<Plan, Vec<Problem>> {
    let mut known = known(stack, state);
    let mut definitions = BTreeMap::new();
    let mut plan = Plan::default();
    for wanted in stack.resources() {
        let logical = wanted.logical().to_owned();
        let definition = stack.definition(wanted, &known, &definitions)?;
        let current = state.resources.get(&logical);
        let action = decide(wanted, current, &definition);
        let made = match (&action, current) {
            (Action::Keep | Action::Update(_), Some(current)) => current.made.clone(),
            _ => wanted.kind.predict(stack.identity(wanted), &definition),
        };
        known.insert(logical.clone(), made);
        definitions.insert(logical.clone(), definition.clone());
        plan.steps.push(Step {
            logical,
            type_name: wanted.declared.type_name.clone(),
            action,
            is_paper: wanted.kind == Kind::Paper,
            before: current.map(|current| current.definition.clone()),
            after: Some(definition),
        });
    }
    plan.steps.extend(removals(stack, state));
    Ok(plan)
}

/// Plans the removal of a whole stack.
pub fn removal(state: &State) -> Plan {
    let mut steps: Vec<Step> = dropped(state, |_| true).map(step_of_removal).collect();
    steps.extend(leftovers(state));
    Plan { steps }
}

/// Nothing is known of what the run has not reached; a resource may refer to any before it only.
pub fn known(stack: &Stack<'_>, state: &State) -> Known {
    stack
        .resources()
        .iter()
        .map(|wanted| {
            let current = state.resources.get(wanted.logical());
            let made = current.and_then(|current| current.made.clone());
            (wanted.logical().to_owned(), made)
        })
        .collect()
}

/// What is to be done with a resource.
pub(crate) fn decide(wanted: &Wanted, current: Option<&Resource>, target: &Value) -> Action {
    let Some(current) = current.filter(|current| current.made.is_some()) else {
        return Action::Create;
    };
    if Kind::of(&current.type_name) != Some(wanted.kind) {
        return Action::Replace(vec!["Type".to_owned()]);
    }
    let fixed: Vec<String> = wanted
        .kind
        .create_only()
        .iter()
        .filter(|pointer| current.definition.pointer(pointer) != target.pointer(pointer))
        .map(|pointer| pointer.trim_start_matches('/').replace('/', "."))
        .collect();
    if !fixed.is_empty() {
        return Action::Replace(fixed);
    }
    if current.is_settled() && current.definition == *target {
        return Action::Keep;
    }
    Action::Update(differing(current, target))
}

fn differing(current: &Resource, target: &Value) -> Vec<String> {
    let mut names: Vec<String> = [&current.definition, target]
        .into_iter()
        .chain(&current.tried)
        .flat_map(|definition| definition.as_object().into_iter().flatten())
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names.dedup();
    names.retain(|name| {
        let wanted = target.get(name);
        current.definition.get(name) != wanted
            || current.tried.iter().any(|tried| tried.get(name) != wanted)
    });
    names
}

fn removals(stack: &Stack<'_>, state: &State) -> Vec<Step> {
    let is_dropped = |logical: &str| !stack.resources().iter().any(|one| one.logical() == logical);
    let mut steps: Vec<Step> = dropped(state, is_dropped).map(step_of_removal).collect();
    steps.extend(leftovers(state));
    steps
}

fn leftovers(state: &State) -> impl Iterator<Item = Step> {
    let leftovers = state.leftovers.iter().rev();
    leftovers.map(|left| step_of_removal((&left.logical, &left.resource)))
}

fn step_of_removal((logical, resource): (&String, &Resource)) -> Step {
    Step {
        logical: logical.clone(),
        type_name: resource.type_name.clone(),
        action: if resource.is_retained {
            Action::Forget
        } else {
            Action::Delete
        },
        is_paper: Kind::of(&resource.type_name) == Some(Kind::Paper),
        before: Some(resource.definition.clone()),
        after: None,
    }
}

/// The resources that are to go, each before what it depends on.
pub(crate) fn dropped(
    state: &State,
    is_dropped: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&String, &Resource)> {
    let mut left: Vec<(&String, &Resource)> = state
        .resources
        .iter()
        .filter(|(logical, _)| is_dropped(logical))
        .collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        // One that nothing left depends on; in a state with a circle, which none should have, any.
        let free = left.iter().position(|(logical, _)| {
            !left
                .iter()
                .any(|(_, other)| other.depends_on.contains(logical))
        });
        ordered.push(left.remove(free.unwrap_or(0)));
    }
    ordered.into_iter()
}
