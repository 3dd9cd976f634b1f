//! The agents of a template, and what is to be found about them without a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use outcrop_deploy::files::Folder;
use outcrop_deploy::intrinsics::Pseudo;
use outcrop_deploy::node::Node;
use outcrop_deploy::resource::Kind;
use outcrop_deploy::stack::{Given, Known, Stack, Wanted};
use outcrop_engine::lint::{Place, Severity};
use serde_json::Value;

use super::place::{InTemplate, Spot, entry, named};
use super::report::Told;
use super::rules::{self, Function, Located};
use super::subject::{Agent, Runner, runner, text};
use crate::cli::Failure;
use crate::config;

/// Of a template that no server has been asked about.
const REGION: &str = "us-west-2";
const ACCOUNT: &str = "111111111111";

/// What a template is read with.
pub(in crate::cli) struct Source<'a> {
    pub(in crate::cli) path: &'a Path,
    pub(in crate::cli) parameters: BTreeMap<String, String>,
    /// The `[[functions]]` that will run what the template does not declare, where they are known.
    pub(in crate::cli) functions: Option<&'a [config::Function]>,
}

/// A template's agents and findings.
pub(in crate::cli) struct Looked {
    pub(super) findings: Vec<Told>,
    pub(in crate::cli) agents: Vec<Found>,
}

/// An agent of a template, and the functions that its groups call.
pub(in crate::cli) struct Found {
    pub(in crate::cli) agent: Agent,
    /// By the group's name.
    pub(super) functions: BTreeMap<String, Function>,
    /// Where each group begins.
    pub(super) spots: BTreeMap<String, Spot>,
}

/// Reads a template and looks at its agents. A template that is wrong as a template is not looked into.
pub(in crate::cli) fn look(source: &Source<'_>) -> Result<Looked, Failure> {
    let path = source.path;
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the template {file} cannot be read"))
        .map_err(Failure::Usage)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let files = Folder(parent.map_or_else(|| PathBuf::from("."), Path::to_owned));
    let given = Given {
        parameters: &source.parameters,
        ids: &BTreeMap::new(),
        pseudo: Pseudo {
            account_id: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            stack_name: "lint".to_owned(),
        },
        exports: None,
        files: &files,
    };
    let stack = match Stack::read(&text, given) {
        Ok(stack) => stack,
        Err(problems) => {
            let findings = problems.into_iter().map(|problem| Told {
                file: Some(file.clone()),
                line: problem.mark.line,
                column: problem.mark.column,
                place: String::new(),
                rule: "template",
                severity: Severity::Error,
                problem: problem.text,
                advice: String::new(),
            });
            return Ok(Looked {
                findings: findings.collect(),
                agents: Vec::new(),
            });
        }
    };
    let folder = parent.map(|parent| format!("{}/", parent.display()));
    let template = Template {
        file: &file,
        folder: folder.as_deref().unwrap_or_default(),
        stack: &stack,
        functions: source.functions,
    };
    Ok(template.look())
}

struct Template<'a> {
    file: &'a str,
    folder: &'a str,
    stack: &'a Stack<'a>,
    functions: Option<&'a [config::Function]>,
}

impl Template<'_> {
    fn look(&self) -> Looked {
        let mut looked = Looked {
            findings: Vec::new(),
            agents: Vec::new(),
        };
        let known: Known = self
            .stack
            .resources()
            .iter()
            .map(|wanted| (wanted.logical().to_owned(), None))
            .collect();
        let definitions: BTreeMap<&str, (&Wanted, Value)> = self
            .stack
            .resources()
            .iter()
            .filter_map(|wanted| {
                // What could be wrong with it was found when the stack was read.
                let definition = self.stack.definition(wanted, &known, &BTreeMap::new());
                Some((wanted.logical(), (wanted, definition.ok()?)))
            })
            .collect();
        for (logical, (wanted, definition)) in &definitions {
            match wanted.kind {
                Kind::Agent => {
                    let found = self.agent(logical, wanted, definition, &definitions);
                    looked.findings.extend(found.0);
                    looked.agents.push(found.1);
                }
                Kind::Function => looked.findings.extend(self.function(wanted, definition)),
                _ => {}
            }
        }
        looked
    }

    fn agent(
        &self,
        logical: &str,
        wanted: &Wanted,
        definition: &Value,
        definitions: &BTreeMap<&str, (&Wanted, Value)>,
    ) -> (Vec<Told>, Found) {
        let groups = definition["actionGroups"].as_array();
        let agent = Agent {
            name: text(definition, "agentName").to_owned(),
            id: logical.to_owned(),
            own: definition.clone(),
            groups: groups.cloned().unwrap_or_default(),
        };
        let place = InTemplate {
            file: self.file,
            properties: &wanted.declared.properties,
            logical: wanted.declared.logical.mark,
            folder: self.folder,
        };
        let located = AgentInTemplate { place };
        let mut findings = rules::agent(&agent, &located);
        let mut functions = BTreeMap::new();
        let mut spots = BTreeMap::new();
        for group in &agent.groups {
            let name = text(group, "actionGroupName");
            let spot = located.of(
                &Place {
                    action_group: Some(name.to_owned()),
                    ..Place::default()
                },
                None,
            );
            let function = match runner(group) {
                Runner::Declared(logical) => definitions
                    .get(logical)
                    .filter(|(wanted, _)| wanted.kind == Kind::Function)
                    .and_then(|(_, definition)| rules::declared(definition)),
                Runner::Named(reference) => {
                    let looked = self.functions.map(|all| rules::configured(all, reference));
                    match looked {
                        Some(Ok(function)) => function,
                        Some(Err(unknown)) => {
                            findings.push(unknown.at(spot.clone(), name));
                            None
                        }
                        None => None,
                    }
                }
                Runner::Other => None,
            };
            if let Some(function) = function {
                functions.insert(name.to_owned(), function);
            }
            spots.insert(name.to_owned(), spot);
        }
        (
            findings,
            Found {
                agent,
                functions,
                spots,
            },
        )
    }

    /// A function that the template declares.
    fn function(&self, wanted: &Wanted, definition: &Value) -> Option<Told> {
        let function = rules::declared(definition)?;
        let missing = function.missing()?;
        let mark = entry(&wanted.declared.properties, "Handler")
            .map_or(wanted.declared.logical.mark, |(mark, _)| mark);
        Some(Told {
            file: Some(self.file.to_owned()),
            line: mark.line,
            column: mark.column,
            place: format!("function {}", wanted.logical()),
            rule: "handler",
            severity: if missing.is_certain {
                Severity::Error
            } else {
                Severity::Warning
            },
            problem: missing.problem,
            advice: missing.advice,
        })
    }
}

/// Places of an agent's parts in its template.
struct AgentInTemplate<'a> {
    place: InTemplate<'a>,
}

impl Located for AgentInTemplate<'_> {
    fn of(&self, place: &Place, api: Option<&str>) -> Spot {
        self.place.of(place, api)
    }

    fn prompt(&self, prompt: &str, line: usize) -> Spot {
        let overrides = self.place.properties.get("PromptOverrideConfiguration");
        let prompts = overrides
            .and_then(|overrides| overrides.get("PromptConfigurations"))
            .and_then(Node::items);
        let found = named(prompts.unwrap_or_default(), "PromptType", prompt);
        match found.and_then(|found| found.get("BasePromptTemplate")) {
            Some(template) => self.place.line_of(template, line),
            None => self.place.property("PromptOverrideConfiguration"),
        }
    }
}
