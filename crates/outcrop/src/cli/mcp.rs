//! `outcrop mcp tools`: the tools of a configured MCP server as the schema of an action group.
//!
//! Reads the configuration and talks to the server itself, so that no `outcrop serve` has to run.

#![expect(clippy::doc_markdown, reason = "help is read in a terminal")]

mod schema;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Subcommand, ValueEnum};

use super::Failure;
use crate::compose;
use crate::config::{self, Environment, Flags};

/// Look at MCP servers that serve action groups
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a server's tools as the schema of an action group
    ///
    /// What AWS's form cannot hold is told on standard error.
    Tools {
        /// The function that the server serves: `match` of its [[functions]] entry, or a name it fits
        name: String,
        /// What to print
        #[arg(long, value_enum, default_value_t = Form::Functions)]
        form: Form,
        #[arg(long, value_name = "FILE", help = super::CONFIG_HELP)]
        config: Option<PathBuf>,
    },
}

/// What a server's tools are printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// `functionSchema` of CreateAgentActionGroup, JSON
    Functions,
    /// `FunctionSchema` of a CloudFormation template, JSON
    Cloudformation,
    /// An OpenAPI document for `apiSchema`: keeps nested arguments
    Openapi,
    /// The server's own names and schemas, JSON
    Raw,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Command::Tools { name, form, config } = args.command;
    let flags = Flags {
        config,
        ..Flags::default()
    };
    let directory = std::env::current_dir().context("the current folder cannot be read")?;
    let config = config::load(&flags, &Environment::of_process(), &directory)
        .map_err(|error| Failure::Usage(error.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(async {
        let mappings = compose::mappings(&config);
        let functions = compose::function_registry(&config, mappings).await?;
        let found = functions.tools(&name).await;
        functions.shutdown().await;
        anyhow::Ok(found)
    });
    let tools = found?
        .map_err(|detail| anyhow!(detail))?
        .ok_or_else(|| anyhow!("no [[functions]] entry with runtime = \"mcp\" fits {name}"))?;
    let (text, notes) = match form {
        Form::Functions => schema::functions(&tools, schema::Case::Api),
        Form::Cloudformation => schema::functions(&tools, schema::Case::CloudFormation),
        Form::Openapi => schema::openapi(&name, &tools),
        Form::Raw => schema::raw(&tools),
    };
    println!("{}", serde_json::to_string_pretty(&text)?);
    for note in notes {
        eprintln!("note: {note}");
    }
    Ok(())
}
