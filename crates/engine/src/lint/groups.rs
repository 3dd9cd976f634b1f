//! Findings about one action group, and about all of them together.

use outcrop_model::control::Function;

use super::{Finding, Findings, Group, Place, Rule, Severity, Subject, quota};
use crate::action::tool_name::{self, TOOL_NAME_MAX};
use crate::action::{self, Action, ParameterType, SchemaError, Strictness, openapi};
use crate::definition::{ActionGroupKind, Executor};
use crate::plan::actions_of;

const TYPED_ADVICE: &str = "Parse it as text, or have the group's arguments sent as JSON by naming the group in the agent's tag outcrop:typed-arguments";

/// Checks a group and gives its actions, as relaxed limits read them; none where even they refuse.
pub(super) fn check(group: &Group, findings: &mut Findings) -> Vec<Action> {
    let place = Place::group(&group.name);
    let actions = match &group.kind {
        ActionGroupKind::Functions {
            functions,
            executor,
        } => functions_of(&group.name, functions, executor, findings),
        ActionGroupKind::Api { schema, executor } => {
            operations(&group.name, schema, executor, findings)
        }
        ActionGroupKind::UserInput => Vec::new(),
        // What an MCP server offers is its author's to word.
        ActionGroupKind::BuiltIn { .. } | ActionGroupKind::Tools { .. } => {
            built_in(group, findings)
        }
    };
    for action in &actions {
        check_action(action, &place.action(action.target.to_string()), findings);
    }
    actions
}

/// A group whose tools are the vendor's or a server's: only whether they can be read can be wrong, and
/// there is nothing to say of their names and descriptions.
fn built_in(group: &Group, findings: &mut Findings) -> Vec<Action> {
    match actions_of(&group.name, &group.kind, Strictness::Relaxed) {
        Ok(actions) => actions,
        Err(error) => {
            name_finding(&error, &Place::group(&group.name), findings);
            Vec::new()
        }
    }
}

fn functions_of(
    group: &str,
    functions: &[Function],
    executor: &Executor,
    findings: &mut Findings,
) -> Vec<Action> {
    let place = Place::group(group);
    for function in functions {
        check_function(function, &place.action(&function.name), findings);
        let parts = [group, function.name.as_str()];
        if let Err(unfit) = tool_name::checked(&parts) {
            let error = SchemaError::ToolName { name: unfit.whole };
            name_finding(&error, &place.action(&function.name), findings);
        }
    }
    match action::function::actions(group, functions, executor, Strictness::Relaxed) {
        Ok(actions) => actions,
        Err(error) => {
            name_finding(&error, &place, findings);
            Vec::new()
        }
    }
}

fn operations(
    group: &str,
    schema: &str,
    executor: &Executor,
    findings: &mut Findings,
) -> Vec<Action> {
    let reading = openapi::read(group, schema, executor);
    let mut is_refused = false;
    for problem in reading.problems {
        let place = Place {
            action: problem.action,
            ..Place::group(group)
        };
        let (severity, advice) = if let Some(instead) = problem.instead {
            let advice = format!("Correct the schema; AWS refuses it, here {instead}");
            (Severity::Warning, advice)
        } else {
            is_refused = true;
            (Severity::Error, "Correct the schema".to_owned())
        };
        findings.add(Rule::Schema, severity, place, problem.text, advice);
    }
    for error in &reading.names {
        is_refused |= error.is_refused(Strictness::Relaxed);
        name_finding(error, &Place::group(group), findings);
    }
    if is_refused {
        return Vec::new();
    }
    reading.actions
}

/// What is wrong with a tool's name, or with a schema as a whole.
fn name_finding(error: &SchemaError, place: &Place, findings: &mut Findings) {
    let severity = if error.is_refused(Strictness::Relaxed) {
        Severity::Error
    } else {
        Severity::Warning
    };
    let (rule, problem, advice) = match error {
        SchemaError::OpenApi { .. } | SchemaError::Function { .. } => {
            (Rule::Schema, error.to_string(), "Correct the schema")
        }
        SchemaError::BuiltIn { .. } => (
            Rule::Schema,
            error.to_string(),
            "Correct parentActionGroupSignatureParams",
        ),
        SchemaError::DuplicateTool { .. } => (
            Rule::DuplicateTool,
            error.to_string(),
            "Give them different names",
        ),
        SchemaError::ToolName { name } => (
            Rule::ToolName,
            format!(
                "the tool name {name} has {} characters; AWS takes letters, digits, _ and -, up to {TOOL_NAME_MAX} of them",
                name.chars().count()
            ),
            "Shorten the name of the action group or of the function; here the model is given a shortened one",
        ),
        SchemaError::DoubleUnderscore { name } => (
            Rule::ToolName,
            format!("{name} has two underscores in a row, which AWS refuses"),
            "Use one underscore",
        ),
    };
    findings.add(rule, severity, place.clone(), problem, advice);
}

fn check_function(function: &Function, place: &Place, findings: &mut Findings) {
    let described =
        |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    if !described(&function.description) {
        findings.add(
            Rule::Description,
            Severity::Warning,
            place.clone(),
            "the function has no description, so the model must guess from its name",
            "Say what it does and when to use it",
        );
    }
    let parameters = function.parameters.iter().flatten();
    for (name, parameter) in parameters {
        if !described(&parameter.description) {
            findings.add(
                Rule::Description,
                Severity::Note,
                place.parameter(name),
                "the parameter has no description",
                "Say what it is and in what form, with an example",
            );
        }
    }
    let count = function
        .parameters
        .as_ref()
        .map_or(0, std::collections::BTreeMap::len);
    check_quota("parameters", count, quota::PARAMETERS, place, findings);
}

/// What holds for functions and operations alike.
fn check_action(action: &Action, place: &Place, findings: &mut Findings) {
    if !matches!(action.executor, Executor::Lambda(_)) {
        return;
    }
    for parameter in &action.parameters {
        let nested = match parameter.type_ {
            ParameterType::Object => true,
            ParameterType::Array => parameter
                .schema
                .pointer("/items/type")
                .is_some_and(|items| items == "object" || items == "array"),
            ParameterType::String
            | ParameterType::Number
            | ParameterType::Integer
            | ParameterType::Boolean => false,
        };
        if nested {
            findings.add(
                Rule::NestedArgument,
                Severity::Note,
                place.parameter(&parameter.name),
                "the value reaches the handler as {a=1, b=2}, as on AWS, and not as JSON",
                TYPED_ADVICE,
            );
        }
    }
}

/// The quotas of the whole agent.
pub(super) fn check_counts(subject: &Subject, actions: usize, findings: &mut Findings) {
    let place = Place::default();
    let groups = subject.groups.len();
    let enabled = subject.groups.iter().filter(|group| group.enabled).count();
    check_quota(
        "functions and API operations",
        actions,
        quota::ACTIONS,
        &place,
        findings,
    );
    check_quota(
        "action groups",
        groups,
        quota::ACTION_GROUPS,
        &place,
        findings,
    );
    check_quota(
        "enabled action groups",
        enabled,
        quota::ENABLED_ACTION_GROUPS,
        &place,
        findings,
    );
}

fn check_quota(what: &str, count: usize, limit: usize, place: &Place, findings: &mut Findings) {
    if count > limit {
        findings.add(
            Rule::Quota,
            Severity::Warning,
            place.clone(),
            format!("there are {count} {what}; AWS's quota is {limit}"),
            "Ask AWS for a higher quota, or divide the work among several agents",
        );
    }
}

/// Tools of different groups that would have one name.
pub(super) fn check_unique(actions: &[Action], findings: &mut Findings) {
    let mut known = std::collections::HashMap::new();
    for action in actions {
        let place = Place::group(&action.action_group).action(action.target.to_string());
        if let Some(first) = known.insert(action.tool_name.as_str(), place.clone()) {
            let already = findings.0.iter().any(|finding: &Finding| {
                finding.rule == Rule::DuplicateTool
                    && finding.place.action_group == place.action_group
            });
            if !already {
                findings.add(
                    Rule::DuplicateTool,
                    Severity::Error,
                    place,
                    format!("the tool name {} is also that of {first}", action.tool_name),
                    "Give them different names",
                );
            }
        }
    }
}
