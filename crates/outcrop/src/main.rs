//! The `outcrop` binary: the only place where configuration, adapters, store, service and wire meet.

mod cli;
mod compose;
mod config;
mod extract;
mod functions;
mod server;
mod telemetry;

use std::process::ExitCode;

/// A turn makes many small, short-lived values on several threads, which the system's allocator takes
/// a tenth of its time for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Children are started through this binary, before it is anything else.
    #[cfg(target_os = "linux")]
    if let Some(code) = outcrop_adapters::sandbox::launcher::run_if_asked() {
        return code;
    }
    if let Some(code) = outcrop_adapters::extract::child::run_if_asked(extract::parse) {
        return code;
    }
    cli::run()
}
