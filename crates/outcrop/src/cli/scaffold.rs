//! `outcrop scaffold`: a Python handler for an action group, typed from its schema, with tests.
//!
//! The files are `outcrop_deploy::scaffold`'s, the example events the engine's; here the schema is
//! found and the files are written, except over what somebody has edited.

#![expect(clippy::doc_markdown, reason = "help is read in a terminal")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use outcrop_deploy::node::Node;
use outcrop_deploy::scaffold::{self, ActionGroupUse, Events as _, HANDLER_NAME, Uses};
use outcrop_deploy::template::{TEXT_BYTES_MAX, parse};
use serde_json::{Value, json};

use super::contract::Contract;
use super::lint::subject::{Agent, Runner, runner, text};
use super::lint::{agent, template};
use super::{Failure, Reach, block_on, keep, key_value};
use crate::functions::name_of;

/// Write a Python handler for an action group
///
/// The folder gets handler.py with one function for each operation, actions.py with the types of its
/// arguments and what reads them, an example event for each operation, and test_handler.py, whose
/// tests pass as they are written. Run again after a schema has changed, it brings everything up to
/// date but the files that have been edited.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An OpenAPI schema, a function schema, or a template with agents; JSON or YAML
    #[arg(
        value_name = "SCHEMA|TEMPLATE",
        required_unless_present = "agent",
        conflicts_with = "agent"
    )]
    source: Option<PathBuf>,
    /// Take the action group from this agent's draft on the server, by id or name
    #[arg(long, value_name = "ID|NAME")]
    agent: Option<String>,
    /// The action group [default: all that one function runs; for a schema, the file's name]
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// What the handler is built on
    #[arg(long, value_name = "STYLE", value_enum, default_value_t = Style::Plain)]
    style: Style,
    /// A parameter of the template; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "agent")]
    parameters: Vec<(String, String)>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Style {
    /// Python's own library alone
    Plain,
    /// Powertools for AWS Lambda
    Powertools,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    block_on(scaffold(args))
}

/// Action groups that one function runs.
struct Chosen {
    /// The function's name.
    function: String,
    agent_id: String,
    agent_name: String,
    groups: Vec<Value>,
}

async fn scaffold(args: Args) -> Result<(), Failure> {
    let group = args.group.as_deref();
    let chosen = match (&args.source, &args.agent) {
        (Some(path), _) => from_file(path, group, &args.parameters)?,
        (None, Some(wanted)) => {
            let server = args.reach.server().await?;
            choose(&[agent::read(&server, wanted).await?], group)?
        }
        (None, None) => {
            return Err(Failure::Usage(anyhow!(
                "a schema, a template or --agent is needed"
            )));
        }
    };
    let mut uses = Uses::default();
    for group in &chosen.groups {
        let name = text(group, "actionGroupName");
        let given = ActionGroupUse {
            agent_id: &chosen.agent_id,
            agent_name: &chosen.agent_name,
            group,
        };
        let operations = Contract.operations(&given);
        let operations =
            operations.map_err(|why| Failure::Usage(anyhow!("action group {name}: {why}")))?;
        for operation in operations {
            uses.add(name, operation);
        }
    }
    if uses.operations.is_empty() {
        return Err(Failure::Usage(anyhow!("the schema has no operation")));
    }
    let style = match args.style {
        Style::Plain => scaffold::Style::Plain,
        Style::Powertools => scaffold::Style::Powertools,
    };
    let files = scaffold::files(&chosen.function, &uses, style)
        .map_err(|error| Failure::Usage(error.into()))?;
    let kept = keep::write(&args.into, &files)
        .with_context(|| format!("{} cannot be written", args.into.display()))?;
    for path in &kept.edited {
        eprintln!("kept {path}, which has been edited");
    }
    eprintln!(
        "{} operations, {} files written. To run it:\n\n[[functions]]\nmatch = {:?}\nruntime = \"python\"\nhandler = \"{HANDLER_NAME}\"\ncode = {:?}\n",
        uses.operations.len(),
        kept.written.len(),
        chosen.function,
        args.into.display().to_string(),
    );
    println!("{}", args.into.display());
    Ok(())
}

fn from_file(
    path: &Path,
    group: Option<&str>,
    parameters: &[(String, String)],
) -> Result<Chosen, Failure> {
    let file = path.display();
    let usage = |error: anyhow::Error| Failure::Usage(error);
    let size = std::fs::metadata(path)
        .with_context(|| format!("{file} cannot be read"))
        .map_err(usage)?
        .len();
    if size > TEXT_BYTES_MAX as u64 {
        return Err(usage(anyhow!(
            "{file} is larger than {TEXT_BYTES_MAX} bytes"
        )));
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{file} cannot be read"))
        .map_err(usage)?;
    let root = parse(&text).map_err(|problem| usage(anyhow!("{file}: {problem}")))?;
    if root.get("Resources").is_some() {
        let looked = template::look(&template::Source {
            path,
            parameters: parameters.iter().cloned().collect(),
            functions: None,
        })?;
        if looked.agents.is_empty() {
            return Err(usage(anyhow!(
                "{file} declares no agent that can be read; `outcrop lint {file}` says more"
            )));
        }
        let agents = looked.agents.into_iter().map(|found| found.agent);
        return choose(&agents.collect::<Vec<_>>(), group);
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let name = group.or(stem).unwrap_or("Actions");
    let schema = schema(&root, &text)
        .ok_or_else(|| usage(anyhow!("{file} is no OpenAPI schema (`openapi:`), function schema (`functions:`) or template (`Resources:`)")))?;
    let mut definition = schema;
    definition["actionGroupName"] = json!(name);
    Ok(Chosen {
        function: name.to_owned(),
        agent_id: "A1B2C3D4E5".to_owned(),
        agent_name: "example-agent".to_owned(),
        groups: vec![definition],
    })
}

/// A schema as a member of an action group.
fn schema(root: &Node, text: &str) -> Option<Value> {
    if root.get("openapi").is_some() {
        return Some(json!({"apiSchema": {"payload": text}}));
    }
    let root = root.get("functionSchema").unwrap_or(root);
    let functions = match root.get("functions") {
        Some(functions) => functions,
        None => root.items().map(|_| root)?,
    };
    Some(json!({"functionSchema": {"functions": functions.to_json()}}))
}

/// The groups that are meant: the named one, else all that one function runs.
fn choose(agents: &[Agent], wanted: Option<&str>) -> Result<Chosen, Failure> {
    let mut found: Vec<(String, &Agent, &Value)> = Vec::new();
    for agent in agents {
        for group in &agent.groups {
            let name = text(group, "actionGroupName");
            let function = match runner(group) {
                Runner::Named(reference) => name_of(reference),
                Runner::Declared(logical) => logical,
                // A schema is a schema, whoever runs it now.
                Runner::Other if wanted == Some(name) => name,
                Runner::Other => continue,
            };
            if wanted.is_none_or(|wanted| wanted == name) {
                found.push((function.to_owned(), agent, group));
            }
        }
    }
    let functions: BTreeSet<&str> = found
        .iter()
        .map(|(function, ..)| function.as_str())
        .collect();
    let mut functions = functions.into_iter();
    match (functions.next(), functions.next()) {
        (Some(function), None) => {
            let first = found.first().map(|(_, agent, _)| *agent);
            Ok(Chosen {
                function: function.to_owned(),
                agent_id: first.map_or_else(String::new, |agent| agent.id.clone()),
                agent_name: first.map_or_else(String::new, |agent| agent.name.clone()),
                groups: found.iter().map(|(_, _, group)| (*group).clone()).collect(),
            })
        }
        (None, _) => Err(Failure::Usage(anyhow!(
            "there is no action group {}that a function runs",
            wanted.map_or_else(String::new, |name| format!("{name} "))
        ))),
        (Some(_), Some(_)) => {
            let names: Vec<&str> = found
                .iter()
                .map(|(_, _, group)| text(group, "actionGroupName"))
                .collect();
            Err(Failure::Usage(anyhow!(
                "several functions run these action groups; choose one with --group: {}",
                names.join(", ")
            )))
        }
    }
}
