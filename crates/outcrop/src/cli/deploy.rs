//! `outcrop deploy`, `outcrop diff`, `outcrop delete`: templates on a server, from the command line.
//!
//! Reads the template and asks; what is done and in which order is `outcrop_deploy`'s business.

pub(super) mod environment;
mod lock;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use outcrop_deploy::api::{Api, OwnRequest, segment};
use outcrop_deploy::apply::{self, Event, Keeper, OnFailure, Outcome};
use outcrop_deploy::diff;
use outcrop_deploy::files::Folder;
use outcrop_deploy::intrinsics::Pseudo;
use outcrop_deploy::plan::{self, Plan};
use outcrop_deploy::stack::{Given, Outputs, Stack};
use outcrop_deploy::state::State;

use super::remote::Remote;
use super::{Failure, Reach, block_on, key_value};
use environment::stack_name;

/// The template and what it is read with
#[derive(Debug, clap::Args)]
struct Source {
    /// A CloudFormation or SAM template, YAML or JSON
    template: PathBuf,
    /// The stack's name [default: the template's]
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// A parameter; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = key_value)]
    parameters: Vec<(String, String)>,
    /// An environment: its name is added to the stack's, and `parameters.ENV.toml` beside the
    /// template gives values of parameters
    #[arg(long, value_name = "ENV")]
    env: Option<String>,
    /// Gives an agent, alias or knowledge base this id when it is made; may be repeated
    #[arg(long = "id", value_name = "LOGICAL=ID", value_parser = key_value)]
    ids: Vec<(String, String)>,
    #[command(flatten)]
    reach: Reach,
}

/// Bring a stack to its template
///
/// Shows what will change, asks, and does it, one step after the other. When a step fails, what was
/// done is undone. A run that was cut short is gone on with by running it again, from any machine.
#[derive(Debug, clap::Args)]
pub(super) struct DeployArgs {
    #[command(flatten)]
    source: Source,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Leave what was done when a step fails
    #[arg(long)]
    no_rollback: bool,
}

/// Show what a deployment would change
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    source: Source,
}

/// Remove a stack with everything in it
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// The stack's name
    stack: String,
    /// An environment, whose name is added to the stack's
    #[arg(long, value_name = "ENV")]
    env: Option<String>,
    #[command(flatten)]
    reach: Reach,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run_deploy(args: DeployArgs) -> Result<(), Failure> {
    block_on(deploy(args))
}

pub(super) fn run_diff(args: DiffArgs) -> Result<(), Failure> {
    block_on(show_diff(args))
}

pub(super) fn run_delete(args: DeleteArgs) -> Result<(), Failure> {
    block_on(delete(args))
}

/// A template read from disk, with all that the command line says of it.
struct Loaded {
    text: String,
    folder: Folder,
    name: String,
    parameters: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
}

impl Source {
    fn load(&self) -> Result<Loaded, Failure> {
        let path = &self.template;
        let usage = |error: anyhow::Error| Failure::Usage(error);
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the template {} cannot be read", path.display()))
            .map_err(usage)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut parameters = environment::parameters(folder, self.env.as_deref()).map_err(usage)?;
        parameters.extend(self.parameters.iter().cloned());
        Ok(Loaded {
            text,
            name: stack_name(self.stack.as_deref(), path, self.env.as_deref()),
            folder: Folder(folder.to_owned()),
            parameters,
            ids: self.ids.iter().cloned().collect(),
        })
    }
}

impl Loaded {
    async fn read(&self, api: &dyn Api) -> Result<Stack<'_>, Failure> {
        let identity = api.own(OwnRequest::new("GET", "identity")).await?;
        let answer = api.own(OwnRequest::new("GET", "exports")).await?;
        let exports = answer["exports"].as_object().into_iter().flatten();
        // What this very stack exports is not there for itself.
        let exports = exports
            .filter(|(_, export)| export["stack"].as_str() != Some(&self.name))
            .filter_map(|(name, export)| Some((name.clone(), export["value"].as_str()?.to_owned())))
            .collect();
        let given = Given {
            parameters: &self.parameters,
            ids: &self.ids,
            pseudo: pseudo(&identity, &self.name),
            exports: Some(exports),
            files: &self.folder,
        };
        Stack::read(&self.text, given).map_err(|problems| {
            let lines: Vec<String> = problems
                .iter()
                .map(|problem| format!("  {problem}"))
                .collect();
            Failure::Usage(anyhow!(
                "the template cannot be deployed:\n{}",
                lines.join("\n")
            ))
        })
    }
}

fn pseudo(identity: &serde_json::Value, name: &str) -> Pseudo {
    let text = |member: &str| identity[member].as_str().unwrap_or_default().to_owned();
    Pseudo {
        account_id: text("accountId"),
        region: text("region"),
        stack_name: name.to_owned(),
    }
}

fn planned(stack: &Stack<'_>, state: &State) -> Result<Plan, Failure> {
    plan::plan(stack, state).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::Usage(anyhow!("{}", lines.join("\n")))
    })
}

async fn show_diff(args: DiffArgs) -> Result<(), Failure> {
    let loaded = args.source.load()?;
    let server = args.source.reach.server().await?;
    let stack = loaded.read(&server).await?;
    let kept = apply::read_stack(&server, &loaded.name).await?;
    let state = kept.map(|kept| kept.state).unwrap_or_default();
    let plan = planned(&stack, &state)?;
    if plan.changes_anything() {
        print!("{}", diff::details(&plan));
    } else {
        println!("stack {}: nothing would change", loaded.name);
    }
    Ok(())
}

async fn deploy(args: DeployArgs) -> Result<(), Failure> {
    let loaded = args.source.load()?;
    let server = args.source.reach.server().await?;
    deploy_loaded(&server, &loaded, args.yes, args.no_rollback).await
}

/// Brings the stack `name` of the server at `endpoint` to a template that lies on no disk, unasked.
pub(super) async fn deploy_text(
    endpoint: String,
    region: Option<String>,
    name: String,
    text: String,
) -> Result<(), Failure> {
    let loaded = Loaded {
        text,
        folder: Folder(PathBuf::new()),
        name,
        parameters: BTreeMap::new(),
        ids: BTreeMap::new(),
    };
    let endpoint = Some(endpoint);
    let server = Reach { endpoint, region }.server().await?;
    deploy_loaded(&server, &loaded, true, false).await
}

async fn deploy_loaded(
    server: &Remote,
    loaded: &Loaded,
    yes: bool,
    no_rollback: bool,
) -> Result<(), Failure> {
    let stack = loaded.read(server).await?;
    let mut keeper = open(server, &loaded.name).await?;
    let outcome = deploy_locked(server, &stack, &mut keeper, yes, no_rollback).await;
    // A lock that cannot be given back lapses.
    let _ = keeper.close().await;
    outcome
}

async fn deploy_locked(
    server: &Remote,
    stack: &Stack<'_>,
    keeper: &mut Keeper<'_>,
    yes: bool,
    no_rollback: bool,
) -> Result<(), Failure> {
    let plan = planned(stack, &keeper.state)?;
    let name = &stack.pseudo().stack_name;
    println!("stack {name} ({})", keeper.state.status.as_str());
    for step in &plan.steps {
        println!("  {}", diff::line(step));
    }
    let is_complete = keeper.state.status == outcrop_deploy::state::Status::Complete;
    if !plan.changes_anything() && is_complete && keeper.state.undo.is_empty() {
        let outputs = refreshed(stack, keeper)?;
        if outputs.values == keeper.state.outputs && outputs.exports == keeper.exports {
            println!("nothing changes");
            show_outputs(&outputs.values);
            return Ok(());
        }
        println!("only outputs change");
    } else if !yes {
        confirm("deploy?")?;
    }
    let on_failure = if no_rollback {
        OnFailure::Leave
    } else {
        OnFailure::RollBack
    };
    let outcome = apply::deploy(server, stack, keeper, on_failure, &tell).await;
    let outcome = outcome.map_err(|error| {
        let after = match on_failure {
            OnFailure::RollBack => "the deployment failed",
            OnFailure::Leave => "the deployment failed, what was done was left",
        };
        Failure::Refused(anyhow::Error::new(error).context(after))
    })?;
    show_outputs(&outcome.outputs);
    finished(&outcome)
}

/// The outputs as the template has them now; only they may differ when no resource does.
fn refreshed(stack: &Stack<'_>, keeper: &Keeper<'_>) -> Result<Outputs, Failure> {
    let known = plan::known(stack, &keeper.state);
    stack.outputs(&known).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::Usage(anyhow!("{}", lines.join("\n")))
    })
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let name = environment::with_suffix(&args.stack, args.env.as_deref());
    let server = args.reach.server().await?;
    let identity = server.own(OwnRequest::new("GET", "identity")).await?;
    let mut keeper = open(&server, &name).await?;
    let outcome = if keeper.exists() {
        delete_locked(&server, &pseudo(&identity, &name), &mut keeper, args.yes).await
    } else {
        Err(Failure::Refused(anyhow!("there is no stack {name} here")))
    };
    let _ = keeper.close().await;
    outcome
}

async fn delete_locked(
    server: &Remote,
    pseudo: &Pseudo,
    keeper: &mut Keeper<'_>,
    yes: bool,
) -> Result<(), Failure> {
    println!(
        "stack {} ({})",
        pseudo.stack_name,
        keeper.state.status.as_str()
    );
    for step in &plan::removal(&keeper.state).steps {
        println!("  {}", diff::line(step));
    }
    if !yes {
        confirm("delete?")?;
    }
    let outcome = apply::delete_stack(server, pseudo, keeper, &tell).await;
    let outcome = outcome.context("the stack was not deleted")?;
    finished(&outcome)
}

async fn open<'a>(server: &'a Remote, name: &str) -> Result<Keeper<'a>, Failure> {
    let owner = lock::owner();
    // Numbers creations: a stack made anew after it was deleted shares no token with the old one.
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(0));
    let held = match Keeper::open(server, name, &owner, None, seed).await {
        Ok(keeper) => return Ok(keeper),
        Err(error) => error,
    };
    let path = format!("stacks/{}/lock", segment(name));
    let lock = server.own(OwnRequest::new("GET", path)).await;
    let holder = lock
        .ok()
        .and_then(|lock| Some(lock["owner"].as_str()?.to_owned()));
    match holder.filter(|holder| lock::is_dead(holder)) {
        Some(dead) => {
            eprintln!("taking over from {dead}, which has ended");
            Ok(Keeper::open(server, name, &owner, Some(&dead), seed).await?)
        }
        None => Err(held.into()),
    }
}

pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(anyhow!(
            "nobody is there to ask: give --yes"
        )));
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Refused(anyhow!("nothing was done")))
    }
}

/// Progress, a line an event.
fn tell(event: Event<'_>) {
    match event {
        Event::Begun(verb, who) => println!("  {verb} {} ...", who.logical),
        Event::Done(verb, who, note) if note.is_empty() => {
            println!("  {verb} {}: done", who.logical);
        }
        Event::Done(verb, who, note) => println!("  {verb} {}: {note}", who.logical),
        Event::Failed(verb, who, error) => println!("  {verb} {}: FAILED: {error}", who.logical),
        Event::RollingBack => println!("  rolling back"),
    }
}

fn show_outputs(outputs: &BTreeMap<String, serde_json::Value>) {
    if outputs.is_empty() {
        return;
    }
    println!("outputs:");
    for (name, value) in outputs {
        println!("  {name} = {}", value.as_str().unwrap_or_default());
    }
}

fn finished(outcome: &Outcome) -> Result<(), Failure> {
    if outcome.left.is_empty() {
        println!("done");
        return Ok(());
    }
    let lines: Vec<String> = outcome
        .left
        .iter()
        .map(|(logical, error)| format!("  {logical}: {error}"))
        .collect();
    Err(Failure::Refused(anyhow!(
        "some resources could not be removed; run the command again to try anew:\n{}",
        lines.join("\n")
    )))
}
