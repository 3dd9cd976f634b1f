//! The benchmark's load generator: one measurement a call, its result as one line of JSON.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use outcrop_conformance::load::turns::Target;
use outcrop_conformance::load::{agent, control, raw, turns};
use serde_json::{Value, json};

/// Measures agent turns and control-plane calls over HTTP.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Defines the benchmark's agent and prints its id.
    Define {
        /// The server.
        #[arg(long)]
        endpoint: String,
        /// The agent's name.
        #[arg(long)]
        name: String,
        /// The function behind its tools.
        #[arg(long)]
        function: String,
    },
    /// Turns in sessions of their own, as many as fit in the time.
    Turns {
        #[command(flatten)]
        target: TargetArgs,
        /// Clients at the same time.
        #[arg(long, default_value_t = 1)]
        clients: usize,
        /// How long.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Long sessions: how the time of a turn grows with what came before.
    Session {
        #[command(flatten)]
        target: TargetArgs,
        /// How many sessions.
        #[arg(long, default_value_t = 10)]
        sessions: usize,
        /// Turns of each.
        #[arg(long, default_value_t = 200)]
        turns: usize,
        /// The turns to report.
        #[arg(long, value_delimiter = ',', default_value = "1,50,200")]
        at: Vec<usize>,
    },
    /// Calls of the control plane, each kind for as long.
    Control {
        /// The server.
        #[arg(long)]
        endpoint: String,
        /// Clients at the same time.
        #[arg(long, default_value_t = 8)]
        clients: usize,
        /// How long.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// The bare model and tool calls of a turn.
    Raw {
        /// Where the model calls go.
        #[arg(long)]
        model_url: String,
        /// Where the tool call goes.
        #[arg(long)]
        tool_url: String,
        /// The stub's records of one turn.
        #[arg(long)]
        records: PathBuf,
        /// How long.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
}

#[derive(Args)]
struct TargetArgs {
    /// The server.
    #[arg(long)]
    endpoint: String,
    /// The agent's id.
    #[arg(long)]
    agent: String,
    /// Streams the final answer.
    #[arg(long)]
    streamed: bool,
}

impl From<TargetArgs> for Target {
    fn from(args: TargetArgs) -> Self {
        Self {
            endpoint: args.endpoint,
            agent: args.agent,
            streamed: args.streamed,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let result: Value = match Cli::parse().command {
        Command::Define {
            endpoint,
            name,
            function,
        } => {
            json!({"agentId": agent::define(&endpoint, &name, &function).await?})
        }
        Command::Turns {
            target,
            clients,
            seconds,
        } => {
            json!(
                turns::throughput(target.into(), clients, Duration::from_secs_f64(seconds)).await?
            )
        }
        Command::Session {
            target,
            sessions,
            turns,
            at,
        } => {
            json!(turns::long_sessions(target.into(), sessions, turns, &at).await?)
        }
        Command::Control {
            endpoint,
            clients,
            seconds,
        } => {
            json!(control::run(&endpoint, clients, Duration::from_secs_f64(seconds)).await?)
        }
        Command::Raw {
            model_url,
            tool_url,
            records,
            seconds,
        } => {
            let records = std::fs::read(&records).with_context(|| records.display().to_string())?;
            json!(
                raw::run(
                    &model_url,
                    &tool_url,
                    &records,
                    Duration::from_secs_f64(seconds)
                )
                .await?
            )
        }
    };
    println!("{result}");
    Ok(())
}
