//! Logs: lines on standard error, for people or as JSON.
//!
//! What may be logged where is each crate's care: no secret at any level, no text of a prompt, a
//! model or a tool above `debug`. What a function prints is a log of its own: it is passed on at `info`,
//! under the target `function`. A panic is logged like any other error, so that JSON logs stay JSON.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The filter is none.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something has set a subscriber before.
    #[error("logging has been set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins logging for the whole process.
pub(crate) fn start(log: &Log) -> Result<(), TelemetryError> {
    let registry = tracing_subscriber::registry().with(log.filter.parse::<Targets>()?);
    match log.format {
        LogFormat::Human => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(use_colour()),
            )
            .try_init()?,
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init()?,
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "a task panicked");
    }));
    Ok(())
}

fn use_colour() -> bool {
    crate::cli::colour_wanted(&std::io::stderr())
}
