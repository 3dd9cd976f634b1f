//! `outcrop lint`: what would fail or confuse a model, found before a call does.
//!
//! The rules over tools are the engine's; here an agent is brought before them, from a template or
//! from a server, and its prompts, functions and handlers are looked at. Nothing is run unless
//! --dry-run-handlers says so, and nothing is ever changed.

#![expect(clippy::doc_markdown, reason = "help is read in a terminal")]

pub(super) mod agent;
mod dry_run;
mod place;
mod prompts;
mod report;
mod rules;
pub(super) mod subject;
pub(super) mod template;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use outcrop_engine::lint::Severity;

use super::deploy::environment;
use super::{Failure, Reach, block_on, key_value};
use crate::config::{self, Config, Environment, Flags};
use report::Told;

/// Look for what would fail before a call does
///
/// Checks the agents of a template, or one agent of a server: schemas, the names and number of tools,
/// descriptions, tools that a model can hardly tell apart, prompts, functions that nothing runs,
/// handlers that are not there. An error is what fails here; a warning what AWS (or aws_limits =
/// "strict") refuses, or what is likely to go wrong; a note what could be better.
///
/// Exit code 0: no errors; 1: errors; 2: the command makes no sense.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A CloudFormation or SAM template, YAML or JSON
    #[arg(required_unless_present = "agent", conflicts_with = "agent")]
    template: Option<PathBuf>,
    /// The draft of this agent on the server, by id or name, instead of a template
    #[arg(long, value_name = "ID|NAME")]
    agent: Option<String>,
    /// Send every handler an example of each call, and check the replies. Runs the handlers' code
    #[arg(long)]
    dry_run_handlers: bool,
    /// How to tell it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// A parameter of the template; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "agent")]
    parameters: Vec<(String, String)>,
    /// An environment: `parameters.ENV.toml` beside the template gives values of parameters
    #[arg(long, value_name = "ENV", conflicts_with = "agent")]
    env: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "agent",
        help = "Configuration whose [[functions]] run what the template does not declare [default: OUTCROP_CONFIG, else ./outcrop.toml if it exists]"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    block_on(lint(args))
}

async fn lint(args: Args) -> Result<(), Failure> {
    let mut findings = match (&args.template, &args.agent) {
        (Some(path), _) => in_template(&args, path).await?,
        (None, Some(wanted)) => {
            let server = args.reach.server().await?;
            let agent = agent::read(&server, wanted).await?;
            let mut findings = agent::look(&server, &agent).await?;
            if args.dry_run_handlers {
                findings.extend(dry_run::on_server(&server, &agent).await?);
            }
            findings
        }
        (None, None) => {
            return Err(Failure::Usage(anyhow!("a template or --agent is needed")));
        }
    };
    findings.sort_by(|one, other| {
        let order = |told: &Told| (told.file.clone(), told.line, told.column);
        (order(one), other.severity).cmp(&(order(other), one.severity))
    });
    findings.dedup();
    let told = match args.format {
        Format::Text => report::text(&findings),
        Format::Json => report::json(&findings),
    };
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(told.as_bytes());
    let fails = |told: &Told| match told.severity {
        Severity::Error => true,
        Severity::Warning => args.strict,
        Severity::Note => false,
    };
    if findings.iter().any(fails) {
        return Err(Failure::Told);
    }
    Ok(())
}

async fn in_template(args: &Args, path: &Path) -> Result<Vec<Told>, Failure> {
    let config = configuration(args.config.clone())?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut parameters =
        environment::parameters(folder, args.env.as_deref()).map_err(Failure::Usage)?;
    parameters.extend(args.parameters.iter().cloned());
    // Without a file nobody has said what runs functions.
    let named = config.as_ref().filter(|config| config.file.is_some());
    let looked = template::look(&template::Source {
        path,
        parameters,
        functions: named.map(|config| config.functions.as_slice()),
    })?;
    let mut findings = looked.findings;
    if args.dry_run_handlers {
        let config = config.context("handlers are run as the configuration says")?;
        for found in &looked.agents {
            findings.extend(dry_run::here(found, &config).await?);
        }
    }
    Ok(findings)
}

/// The configuration. One that is not named and cannot be used is passed over, with a word.
fn configuration(file: Option<PathBuf>) -> Result<Option<Config>, Failure> {
    let is_named = file.is_some();
    let flags = Flags {
        config: file,
        ..Flags::default()
    };
    let directory = std::env::current_dir().context("the current folder cannot be read")?;
    match config::load(&flags, &Environment::of_process(), &directory) {
        Ok(config) => Ok(Some(config)),
        Err(error) if is_named => Err(Failure::Usage(error.into())),
        Err(error) => {
            eprintln!("note: the configuration cannot be used, and is left out: {error:#}");
            Ok(None)
        }
    }
}
