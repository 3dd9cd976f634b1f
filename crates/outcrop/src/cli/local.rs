//! `outcrop local`: the embedded model, made ready before it is needed.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use outcrop_adapters::model::local::LocalModel;

use super::Failure;
use crate::compose::local_settings;
use crate::config::{self, Environment, Flags};

/// Look after the embedded model
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the model's weights, so that the first turn does not wait for them
    Prepare {
        #[arg(long, value_name = "FILE", help = super::CONFIG_HELP)]
        config: Option<PathBuf>,
    },
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Command::Prepare { config } = args.command;
    let flags = Flags {
        config,
        ..Flags::default()
    };
    let directory = std::env::current_dir().context("the current folder cannot be read")?;
    let config = config::load(&flags, &Environment::of_process(), &directory)
        .map_err(|error| Failure::Usage(error.into()))?;
    let model = LocalModel::new(local_settings(&config.local, &config.python)?);
    let weights = model.prepare(&mut |what| eprintln!("{what}"))?;
    println!("{}", weights.display());
    Ok(())
}
