//! The rules over one agent, wherever it comes from, and over the functions behind it.

use std::path::PathBuf;

use outcrop_engine::lint::{self, Place, Severity};
use serde_json::Value;

use super::place::Spot;
use super::prompts;
use super::report::Told;
use super::subject::{Agent, Why, text};
use crate::config;
use crate::functions::{self, Fit, handler, handler::Missing};

/// Knows where an agent's parts stand.
pub(super) trait Located {
    /// The place of a part. `api` is the text of the group's API schema, where it has one.
    fn of(&self, place: &Place, api: Option<&str>) -> Spot;
    /// A line of a prompt's template.
    fn prompt(&self, prompt: &str, line: usize) -> Spot;
}

/// Places of an agent that stands in no file.
pub(super) struct Nowhere;

impl Located for Nowhere {
    fn of(&self, _place: &Place, _api: Option<&str>) -> Spot {
        Spot::default()
    }

    fn prompt(&self, _prompt: &str, _line: usize) -> Spot {
        Spot::default()
    }
}

/// A finding at a place.
pub(super) fn told(
    spot: Spot,
    place: String,
    rule: &'static str,
    severity: Severity,
    problem: String,
    advice: String,
) -> Told {
    Told {
        file: spot.file,
        line: spot.line,
        column: spot.column,
        place,
        rule,
        severity,
        problem,
        advice,
    }
}

/// Everything about an agent that its definition tells.
pub(super) fn agent(agent: &Agent, located: &dyn Located) -> Vec<Told> {
    let (subject, unread) = agent.subject();
    let schema_of = |place: &Place| {
        let name = place.action_group.as_deref()?;
        let mut groups = agent.groups.iter();
        let group = groups.find(|group| text(group, "actionGroupName") == name)?;
        group["apiSchema"]["payload"].as_str()
    };
    let named = |place: String| format!("{}: {place}", agent.name);
    let mut findings = Vec::new();
    for finding in lint::agent(&subject) {
        let spot = located.of(&finding.place, schema_of(&finding.place));
        findings.push(told(
            spot,
            named(finding.place.to_string()),
            finding.rule.as_str(),
            finding.severity,
            finding.problem,
            finding.advice,
        ));
    }
    for unread in unread {
        let place = Place {
            action_group: Some(unread.group),
            ..Place::default()
        };
        let (severity, problem, advice) = match unread.why {
            Why::InS3(object) => (
                Severity::Note,
                format!("the schema {object} was not looked at, since it lies in S3"),
                "Take it into the template with !File to have it looked at".to_owned(),
            ),
            Why::NoSchema(why) => (
                Severity::Error,
                format!("the group's schema cannot be read: {why}"),
                "Give it a functionSchema or an apiSchema".to_owned(),
            ),
            Why::OfItsServer => (
                Severity::Note,
                "the group has no schema, so that only an MCP server can serve it".to_owned(),
                "Give it a functionSchema or an apiSchema, unless that is meant".to_owned(),
            ),
            Why::Later => continue,
        };
        let spot = located.of(&place, None);
        findings.push(told(
            spot,
            named(place.to_string()),
            "schema",
            severity,
            problem,
            advice,
        ));
    }
    for finding in prompts::check(&agent.own) {
        findings.push(told(
            located.prompt(&finding.prompt, finding.line),
            named(format!("prompt {}, line {}", finding.prompt, finding.line)),
            "prompt",
            finding.severity,
            finding.problem,
            finding.advice,
        ));
    }
    findings
}

/// A function whose code lies on this machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Function {
    pub(super) name: String,
    /// As a configuration or Lambda writes it.
    pub(super) runtime: String,
    pub(super) code: PathBuf,
    pub(super) handler: String,
    pub(super) timeout_s: u64,
    pub(super) environment: Vec<(String, String)>,
}

impl Function {
    /// Why its handler will not be found.
    pub(super) fn missing(&self) -> Option<Missing> {
        handler::check(&self.runtime, &self.code, &self.handler)
    }
}

/// A function that a template declares.
pub(super) fn declared(definition: &Value) -> Option<Function> {
    let environment = definition["environment"].as_object().into_iter().flatten();
    let environment = environment
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    Some(Function {
        name: definition["functionName"].as_str()?.to_owned(),
        runtime: definition["runtime"].as_str()?.to_owned(),
        code: PathBuf::from(definition["folder"].as_str()?),
        handler: definition["handler"].as_str()?.to_owned(),
        timeout_s: definition["timeout"].as_u64().unwrap_or(3),
        environment,
    })
}

/// A function that nothing runs.
pub(super) struct Unknown {
    reference: String,
}

impl Unknown {
    /// As a finding about the group that calls it.
    pub(super) fn at(self, spot: Spot, group: &str) -> Told {
        let name = functions::name_of(&self.reference).to_owned();
        told(
            spot,
            format!("action group {group}"),
            "function",
            Severity::Error,
            format!(
                "no [[functions]] entry fits {}, and no function of that name is registered",
                self.reference
            ),
            format!("Add an entry with match = \"{name}\" to the server's configuration"),
        )
    }
}

/// What the configuration runs a function with: `None` where its code lies elsewhere.
pub(super) fn configured(
    all: &[config::Function],
    reference: &str,
) -> Result<Option<Function>, Unknown> {
    let found = functions::entry(all, reference, Fit::Glob).ok_or_else(|| Unknown {
        reference: reference.to_owned(),
    })?;
    let config::Runtime::Local(local) = &found.runtime else {
        return Ok(None);
    };
    Ok(Some(Function {
        name: functions::name_of(reference).to_owned(),
        runtime: text(&functions::shown(found), "runtime").to_owned(),
        code: local.code.clone(),
        handler: local.handler.clone(),
        timeout_s: found.timeout.as_secs(),
        environment: local.environment.clone().into_iter().collect(),
    }))
}

/// A function that a server was asked about and does not know.
pub(super) fn unknown(reference: &str) -> Unknown {
    Unknown {
        reference: reference.to_owned(),
    }
}
