//! The one entry point for everything a contributor does: `cargo xtask COMMAND`.
//!
//! This file only parses the command line; each command is a module of its own. Those that
//! tests run on other input (`codegen`, `models`) are in the library of this package.

use clap::{Parser, Subcommand};
use xtask::{codegen, models};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Outcrop repository")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Regenerate the model crate and the route lists from `models/`.
    Codegen(codegen::Args),
    /// Maintain the vendored service models.
    Models(models::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Codegen(args) => codegen::run(&args),
        Command::Models(args) => models::run(&args),
    }
}
