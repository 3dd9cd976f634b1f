//! The command line: what can be said, and what an end of the program means.
//!
//! Exit codes: 0 done; 1 the server, the agent or the machine said no; 2 the command or the
//! configuration makes no sense.

mod contract;
mod deploy;
mod function;
mod invoke;
mod json_text;
mod kb;
mod keep;
mod lint;
#[cfg(feature = "local")]
mod local;
mod mcp;
mod pull;
mod remote;
mod scaffold;
mod serve;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Of `--config`, which several commands take.
const CONFIG_HELP: &str =
    "Configuration file [default: OUTCROP_CONFIG, else ./outcrop.toml if it exists]";

/// Runs agents written for Agents for Amazon Bedrock, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "outcrop", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// [`Cli`] as far as a server needs it. Building what all other commands take costs each start of one
/// milliseconds, and its memory for as long as it runs.
#[derive(Debug, Parser)]
#[command(name = "outcrop", version, disable_help_subcommand = true)]
struct ServerCli {
    #[command(subcommand)]
    command: ServerCommand,
}

#[derive(Debug, Subcommand)]
enum ServerCommand {
    Serve(serve::Args),
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Invoke(invoke::Args),
    Deploy(deploy::DeployArgs),
    Diff(deploy::DiffArgs),
    Delete(deploy::DeleteArgs),
    Pull(pull::Args),
    Lint(lint::Args),
    Scaffold(scaffold::Args),
    Function(function::Args),
    Kb(kb::Args),
    #[cfg(feature = "local")]
    Local(local::Args),
    Mcp(mcp::Args),
    /// Print the version
    Version,
}

/// `KEY=VALUE`, as several flags take it.
fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected KEY=VALUE".to_owned())
}

/// Runs what a command does on the network.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Where a server of ours is.
#[derive(Clone, Debug, clap::Args)]
struct Reach {
    #[arg(
        long,
        value_name = "URL",
        help = "The server [default: OUTCROP_ENDPOINT, else http://127.0.0.1:8474]"
    )]
    endpoint: Option<String>,
    /// AWS region [default: the AWS environment's, else the server's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

impl Reach {
    /// Whether the server is on this machine, so that both see the same files.
    fn is_this_machine(&self) -> bool {
        let endpoint = self.endpoint.clone();
        let endpoint = endpoint.unwrap_or_else(invoke::target::Place::default_endpoint);
        let uri = endpoint.parse::<http::Uri>().ok();
        uri.as_ref().and_then(http::Uri::host).is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let address = host.parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    async fn server(self) -> Result<remote::Remote, Failure> {
        Ok(remote::Remote::ours(self.endpoint, self.region).await?)
    }
}

/// What ended a command badly.
#[derive(Debug)]
enum Failure {
    /// The command or the configuration makes no sense.
    Usage(anyhow::Error),
    /// The outcome is bad, and has been told.
    Told,
    /// Something said no.
    Refused(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Does what the arguments of the process say.
pub(crate) fn run() -> ExitCode {
    let outcome = match command() {
        Command::Serve(args) => serve::run(args),
        Command::Invoke(args) => invoke::run(args),
        Command::Deploy(args) => deploy::run_deploy(args),
        Command::Diff(args) => deploy::run_diff(args),
        Command::Delete(args) => deploy::run_delete(args),
        Command::Pull(args) => pull::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Scaffold(args) => scaffold::run(args),
        Command::Function(args) => function::run(args),
        Command::Kb(args) => kb::run(args),
        #[cfg(feature = "local")]
        Command::Local(args) => local::run(args),
        Command::Mcp(args) => mcp::run(args),
        Command::Version => {
            println!("outcrop {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::from(1),
        Err(Failure::Usage(error)) => report(&error, 2),
        Err(Failure::Refused(error)) => report(&error, 1),
    }
}

/// The command that was given; ends the process where it makes no sense.
fn command() -> Command {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|command| command == "serve")
    {
        let ServerCommand::Serve(args) = ServerCli::parse().command;
        return Command::Serve(args);
    }
    Cli::parse().command
}

fn report(error: &anyhow::Error, code: u8) -> ExitCode {
    // Standard error may be gone; the code still tells.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::from(code)
}

/// Whether to write colours to `stream`: it is a terminal that takes them, and nobody asked not to.
pub(crate) fn colour_wanted(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !set("NO_COLOR") && !dumb
}
