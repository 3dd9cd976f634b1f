//! A launcher for tests: what the server's binary is to the server.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcrop_adapters::sandbox::launcher::run_if_asked().unwrap_or(ExitCode::FAILURE)
}
