//! What is wrong or weak about an agent's tools, found without running it.
//!
//! A pure function from a definition to [`Finding`]s: what this server refuses, what only AWS
//! refuses, and what makes a model choose badly. It calls no handler and no model, and says nothing
//! of prompts and permissions.
//!
//! Invariant: an agent that this server would not prepare for a reason of its tools has at least one
//! finding of [`Severity::Error`]; one that `aws_limits = "strict"` would not, one of
//! [`Severity::Warning`] or above.

mod groups;
pub mod quota;
mod similar;

use std::fmt;

use serde::Serialize;

use crate::definition::ActionGroupKind;

/// Shortest instruction AWS takes, characters (the service model).
const INSTRUCTION_CHARS_MIN: usize = 40;
/// Longest instruction, characters (the published quota).
const INSTRUCTION_CHARS_MAX: usize = 20_000;

/// An agent as it is looked at: a stored one, or one that a template describes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The agent's instruction.
    pub instruction: Option<String>,
    /// `foundationModel`.
    pub foundation_model: Option<String>,
    /// Its action groups, enabled or not.
    pub groups: Vec<Group>,
}

/// An action group as it is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// `actionGroupName`.
    pub name: String,
    /// `description`, if any.
    pub description: Option<String>,
    /// Whether it is enabled; a disabled one is checked, but counts for no quota and no comparison.
    pub enabled: bool,
    /// What it offers; the text of an API schema read already.
    pub kind: ActionGroupKind,
}

/// Something to know about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is so, in one sentence without a full stop.
    pub problem: String,
    /// What to do about it, in one sentence without a full stop.
    pub advice: String,
}

/// How bad a finding is; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, and could work better.
    Note,
    /// It works here, and AWS (or `aws_limits = "strict"`) refuses it, or the model is likely to
    /// choose badly.
    Warning,
    /// This server refuses it.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The rules. Their names are for suppressing findings, so they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The agent has no instruction or model, or the instruction has a length AWS refuses.
    Agent,
    /// A schema that is refused.
    Schema,
    /// A tool name over 64 characters, with other characters than models take, or with `__` within
    /// one of its parts.
    ToolName,
    /// Two tools of one name.
    DuplicateTool,
    /// More of something than AWS's quota.
    Quota,
    /// No description; where something else serves instead, the finding says what.
    Description,
    /// Two tools that a model can hardly tell apart.
    SimilarTools,
    /// A nested value, which a handler is given as Java's `toString` rather than JSON.
    NestedArgument,
}

impl Rule {
    /// The name, as in `tool-name`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Schema => "schema",
            Self::ToolName => "tool-name",
            Self::DuplicateTool => "duplicate-tool",
            Self::Quota => "quota",
            Self::Description => "description",
            Self::SimilarTools => "similar-tools",
            Self::NestedArgument => "nested-argument",
        }
    }
}

/// Where a finding is; each member narrows the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// `actionGroupName`; none for the agent itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_group: Option<String>,
    /// The function's name, or an operation as `GET /orders/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The parameter's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl Place {
    fn group(name: &str) -> Self {
        Self {
            action_group: Some(name.to_owned()),
            ..Self::default()
        }
    }

    fn action(&self, name: impl Into<String>) -> Self {
        Self {
            action: Some(name.into()),
            ..self.clone()
        }
    }

    fn parameter(&self, name: &str) -> Self {
        Self {
            parameter: Some(name.to_owned()),
            ..self.clone()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(group) = &self.action_group else {
            return f.write_str("the agent");
        };
        write!(f, "action group {group}")?;
        if let Some(action) = &self.action {
            write!(f, ", {action}")?;
        }
        if let Some(parameter) = &self.parameter {
            write!(f, ", parameter {parameter}")?;
        }
        Ok(())
    }
}

/// Everything to know about an agent: by group in the order given, worst first within one.
pub fn agent(subject: &Subject) -> Vec<Finding> {
    let mut findings = Findings::default();
    check_agent(subject, &mut findings);
    let mut actions = Vec::new();
    for group in &subject.groups {
        let offered = groups::check(group, &mut findings);
        if group.enabled {
            actions.extend(offered);
        }
    }
    groups::check_counts(subject, actions.len(), &mut findings);
    groups::check_unique(&actions, &mut findings);
    similar::check(&actions, &mut findings);
    findings.sorted(subject)
}

fn check_agent(subject: &Subject, findings: &mut Findings) {
    let place = Place::default();
    let mut agent = |severity, problem: String, advice: &str| {
        findings.add(Rule::Agent, severity, place.clone(), problem, advice);
    };
    let instruction = subject.instruction.as_deref().unwrap_or_default();
    match instruction.chars().count() {
        0 => agent(
            Severity::Error,
            "the agent has no instruction".to_owned(),
            "Say in the instruction what the agent is for and when to use its tools",
        ),
        length if length < INSTRUCTION_CHARS_MIN => agent(
            Severity::Error,
            format!(
                "the instruction has {length} characters, fewer than the {INSTRUCTION_CHARS_MIN} it must have"
            ),
            "Say more of what the agent is for and when to use its tools",
        ),
        length if length > INSTRUCTION_CHARS_MAX => agent(
            Severity::Error,
            format!(
                "the instruction has {length} characters, more than the {INSTRUCTION_CHARS_MAX} it may have"
            ),
            "Move what is only needed now and then into a knowledge base or a function",
        ),
        _ => {}
    }
    if subject
        .foundation_model
        .as_deref()
        .unwrap_or_default()
        .is_empty()
    {
        agent(
            Severity::Error,
            "the agent has no foundation model".to_owned(),
            "Name a model as foundationModel",
        );
    }
}

/// Findings as they are collected.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        rule: Rule,
        severity: Severity,
        place: Place,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding {
            rule,
            severity,
            place,
            problem: problem.into(),
            advice: advice.into(),
        });
    }

    fn sorted(mut self, subject: &Subject) -> Vec<Finding> {
        let position = |finding: &Finding| {
            let group = finding.place.action_group.as_ref()?;
            subject.groups.iter().position(|known| known.name == *group)
        };
        self.0
            .sort_by_key(|finding| (position(finding), std::cmp::Reverse(finding.severity)));
        self.0
    }
}

#[cfg(test)]
mod tests;
