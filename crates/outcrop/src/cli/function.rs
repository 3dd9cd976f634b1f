//! `outcrop function`: the functions behind action groups, called one at a time.
//!
//! The call is made by the server, so that it runs where a turn's would, in the same workers and with
//! the same limits.

mod show;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use outcrop_deploy::api::{Api as _, OwnRequest, segment};
use serde_json::{Map, Value, json};

use super::{Failure, Reach, block_on, key_value};

/// An event larger than what Lambda takes is a mistake.
const EVENT_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// Call and list the functions behind action groups
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
enum Command {
    Invoke(InvokeArgs),
    List(ListArgs),
}

/// Call one function with the event that a turn would send
///
/// The server makes the call, in the same workers as a turn's. With --agent, the event has the
/// agent's names and the argument types of its schema; without, types are guessed from the values.
/// The reply goes to standard output, everything else to standard error: whether the reply keeps the
/// contract, and what the function logged. Exit code 1 when it does not, or the function failed.
#[derive(Debug, clap::Args)]
struct InvokeArgs {
    /// The function's name or ARN
    name: String,
    /// What to call: a function of a function schema, an operationId, or "POST /path"
    #[arg(long, value_name = "ACTION", required_unless_present = "event")]
    action: Option<String>,
    /// An argument, its value text or JSON; may be repeated
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = key_value)]
    params: Vec<(String, String)>,
    /// The agent whose action it is, by id or name [default: a made-up one]
    #[arg(long, value_name = "ID|NAME")]
    agent: Option<String>,
    /// The alias that serves the agent [default: TSTALIASID, the draft as it was last prepared]
    #[arg(long, value_name = "ID|NAME", requires = "agent")]
    alias: Option<String>,
    /// The action group, where several have the action
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// A session attribute of the event; may be repeated
    #[arg(long = "session-attribute", value_name = "KEY=VALUE", value_parser = key_value)]
    session_attributes: Vec<(String, String)>,
    /// A prompt session attribute of the event; may be repeated
    #[arg(long = "prompt-attribute", value_name = "KEY=VALUE", value_parser = key_value)]
    prompt_attributes: Vec<(String, String)>,
    /// What the user said, for handlers that read it
    #[arg(long, value_name = "TEXT", default_value = "")]
    input_text: String,
    /// Send this file's JSON instead of an event made from the flags
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["action", "params", "agent", "group", "session_attributes", "prompt_attributes", "input_text"]
    )]
    event: Option<PathBuf>,
    /// Show the event too
    #[arg(long)]
    show_event: bool,
    /// Only print the event, and call nobody
    #[arg(long, conflicts_with = "show_event")]
    dry_run: bool,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// List the functions that the server runs
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Invoke(args) => block_on(invoke(args)),
        Command::List(args) => block_on(list(args)),
    }
}

async fn invoke(args: InvokeArgs) -> Result<(), Failure> {
    let request = request(&args)?;
    let server = args.reach.server().await?;
    let path = format!("functions/{}/invoke", segment(&args.name));
    let outcome = server
        .own(OwnRequest::new("POST", path).with_body(request))
        .await?;
    if args.json {
        println!("{outcome:#}");
    } else if args.dry_run {
        println!("{}", show::pretty(show::text(&outcome["event"])));
    } else {
        if args.show_event {
            eprintln!("event:\n{}", show::pretty(show::text(&outcome["event"])));
        }
        show::reply(&outcome["reply"]);
    }
    if show::is_refused(&outcome["reply"]) {
        return Err(Failure::Told);
    }
    Ok(())
}

fn request(args: &InvokeArgs) -> Result<Value, Failure> {
    let texts = |pairs: &[(String, String)]| -> Map<String, Value> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, text)| (name.clone(), json!(text)))
            .collect()
    };
    let event = args.event.as_ref().map(read_event).transpose()?;
    let mut request = json!({
        "arguments": args.params.iter().map(argument).collect::<Map<_, _>>(),
        "sessionAttributes": texts(&args.session_attributes),
        "promptSessionAttributes": texts(&args.prompt_attributes),
        "inputText": args.input_text,
        "onlyEvent": args.dry_run,
    });
    let given = [
        ("agent", args.agent.as_ref().map(|text| json!(text))),
        ("alias", args.alias.as_ref().map(|text| json!(text))),
        ("actionGroup", args.group.as_ref().map(|text| json!(text))),
        ("action", args.action.as_ref().map(|text| json!(text))),
        ("event", event),
    ];
    for (member, value) in given {
        if let Some(value) = value {
            request[member] = value;
        }
    }
    Ok(request)
}

/// Lists and objects are written as JSON; everything else is text, which the schema's types are made
/// of.
fn argument((name, text): &(String, String)) -> (String, Value) {
    let structured = text.trim_start().starts_with(['[', '{']);
    let value = structured
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    (name.clone(), value.unwrap_or_else(|| json!(text)))
}

fn read_event(path: &PathBuf) -> Result<Value, Failure> {
    let read = || {
        let size = std::fs::metadata(path)?.len();
        if size > EVENT_BYTES_MAX {
            return Err(anyhow!("it is larger than {EVENT_BYTES_MAX} bytes"));
        }
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    };
    read()
        .with_context(|| format!("the event {} cannot be read", path.display()))
        .map_err(Failure::Usage)
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let server = args.reach.server().await?;
    let answer = server.own(OwnRequest::new("GET", "functions")).await?;
    if args.json {
        println!("{answer:#}");
    } else {
        print!("{}", show::functions(&answer));
    }
    Ok(())
}
