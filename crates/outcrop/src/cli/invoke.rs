//! `outcrop invoke`: one question, or a conversation, with the trace drawn as it happens.
//!
//! The trace goes to standard error and the answer to standard output, so that a script may take the
//! answer alone. Works against Outcrop and against AWS.

mod control;
mod event;
pub(super) mod line;
mod render;
pub(super) mod target;
pub(super) mod terminal;
mod turn;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, anyhow};
use outcrop_model::runtime::{InvokeAgentRequest, SessionState, StreamingConfigurations};

use super::{Failure, block_on, key_value};
use target::{Place, Target};
use terminal::Terminal;
use turn::{Outcome, View};

/// The alias of the working draft.
const DRAFT_ALIAS: &str = "TSTALIASID";
/// AWS takes 25 million characters; standard input beyond that is a mistake.
const INPUT_LIMIT_BYTES: u64 = 25_000_000;

/// Ask an agent something
///
/// The trace goes to standard error, the answer to standard output. Without TEXT on a terminal it
/// becomes a conversation; otherwise the text is read from standard input. Calls that the agent
/// returns to its caller are answered at the prompt.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Args {
    /// The agent's id or name
    #[arg(long, value_name = "ID|NAME")]
    agent: String,
    /// The alias's id or name
    #[arg(long, value_name = "ID|NAME", default_value = DRAFT_ALIAS)]
    alias: String,
    /// Go on with this session [default: a new one]
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "aws",
        help = "Where the agent is served [default: OUTCROP_ENDPOINT, else http://127.0.0.1:8474]"
    )]
    endpoint: Option<String>,
    /// Ask AWS itself, with the credentials of the AWS environment
    #[arg(long)]
    aws: bool,
    /// AWS region [default: the AWS environment's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A session attribute; may be repeated
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = key_value)]
    attributes: Vec<(String, String)>,
    /// Show the answer as the model writes it
    #[arg(long)]
    stream: bool,
    /// Leave the trace out
    #[arg(long)]
    no_trace: bool,
    /// Print the events as JSON, one a line, and nothing else
    #[arg(long, conflicts_with = "interactive")]
    json: bool,
    /// Hold a conversation, beginning with TEXT if it is given
    #[arg(short, long)]
    interactive: bool,
    /// What to say
    text: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let text = args.text.join(" ");
    let on_terminal = std::io::stdin().is_terminal();
    let interactive = args.interactive || (text.is_empty() && on_terminal && !args.json);
    let text = if text.is_empty() && !interactive {
        read_text()?
    } else {
        text
    };
    block_on(converse(args, text, interactive))
}

fn read_text() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(INPUT_LIMIT_BYTES)
        .read_to_string(&mut text)
        .context("standard input cannot be read")?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::Usage(anyhow!(
            "there is nothing to say: give TEXT"
        )));
    }
    Ok(text.to_owned())
}

async fn converse(args: Args, text: String, interactive: bool) -> Result<(), Failure> {
    let place = match (args.aws, args.endpoint) {
        (true, _) => Place::Aws,
        (false, Some(endpoint)) => Place::Outcrop(endpoint),
        (false, None) => Place::default_outcrop(),
    };
    let target = Target::new(place, args.region).await?;
    let (agent_id, agent_alias_id) = target.resolve(&args.agent, &args.alias).await?;
    let session_id = args
        .session
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut terminal = Terminal::new();
    if interactive {
        terminal.note(&format!(
            "session {session_id}; an empty line or Ctrl-D ends it"
        ));
    }
    let conversation = Conversation {
        target: &target,
        view: View {
            trace: !args.no_trace,
            json: args.json,
        },
        request: InvokeAgentRequest {
            agent_id,
            agent_alias_id,
            session_id,
            enable_trace: Some(!args.no_trace),
            streaming_configurations: args.stream.then(|| StreamingConfigurations {
                stream_final_response: Some(true),
                ..StreamingConfigurations::default()
            }),
            ..InvokeAgentRequest::default()
        },
        attributes: args.attributes.into_iter().collect(),
    };

    let mut next = Some(text).filter(|text| !text.is_empty());
    loop {
        let said = match next.take() {
            Some(text) => text,
            None if interactive => match terminal.prompt("you> ")? {
                Some(text) if !text.trim().is_empty() => text,
                _ => return Ok(()),
            },
            None => return Ok(()),
        };
        match conversation.ask(&said, &mut terminal).await {
            // One failed turn does not end a conversation.
            Err(Failure::Refused(error)) if interactive => terminal.error(&format!("{error:#}")),
            Ok(()) => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// A session, ready for its next question.
struct Conversation<'a> {
    target: &'a Target,
    view: View,
    /// What all its requests have in common.
    request: InvokeAgentRequest,
    attributes: BTreeMap<String, String>,
}

impl Conversation<'_> {
    /// One question and, while the agent returns control, the answers to what it asks for.
    async fn ask(&self, text: &str, terminal: &mut Terminal) -> Result<(), Failure> {
        let attributes = Some(self.attributes.clone()).filter(|attributes| !attributes.is_empty());
        let mut request = InvokeAgentRequest {
            input_text: Some(text.to_owned()),
            session_state: attributes.map(|attributes| SessionState {
                session_attributes: Some(attributes),
                ..SessionState::default()
            }),
            ..self.request.clone()
        };
        loop {
            match turn::run(self.target, &request, self.view, terminal).await? {
                Outcome::Answered => return Ok(()),
                // Printed like every other event; whoever reads JSON answers in its own way.
                Outcome::Returned(_) if self.view.json => return Ok(()),
                Outcome::Returned(control) => {
                    let state = control::answer(&control, terminal)?;
                    request = InvokeAgentRequest {
                        session_state: Some(serde_json::from_value(state)?),
                        ..self.request.clone()
                    };
                }
            }
        }
    }
}
