//! The `outcrop` binary: the only place where configuration, adapters, store, service and wire meet.

mod cli;
mod compose;
mod config;
mod server;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
