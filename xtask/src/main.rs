//! The one entry point for everything a contributor does: `cargo xtask COMMAND`.
//!
//! This file only parses the command line; each command is a module of its own. Those that
//! tests run on other input (`codegen`, `models`) are in the library of this package.

mod bench;
mod demo;
mod postgres;
mod server;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

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
    /// Set up, build, and let the guide's support agent answer a question.
    Demo(demo::Args),
    /// Run everything that must hold, real boto3 included.
    Test(test::Args),
    /// Measure the release build and write docs/benchmarks.md.
    Bench(bench::Args),
    /// Regenerate the model crate and the route lists from `models/`.
    Codegen(codegen::Args),
    /// Maintain the vendored service models.
    Models(models::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Codegen(args) => codegen::run(&args),
        Command::Models(args) => models::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes says what to do; a backtrace of this program would not.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
