//! `cargo xtask demo`: from a fresh checkout to the guide's support agent answering a question.
//!
//! Real boto3 defines the agent, its Lambda handler runs unmodified, and the embedded model plans; a
//! folder of documents becomes a knowledge base and is searched. No account, no key, no other server.
//! Nothing keeps running afterwards; the last lines say how to go on.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::server::Server;
use crate::setup::{Environment, Profile};
use crate::shell;

/// What the agent is asked.
const QUESTION: &str = "Where is order A-482?";
/// Its configuration, from the checkout.
const CONFIG: &str = "examples/support-agent/outcrop.toml";

/// Documents of the same shop, which become a knowledge base, and what is looked for in them.
const POLICIES: &str = "examples/support-agent/policies";
const SOUGHT: &str = "How long do I have to send something back?";

/// The region that define.py defines the agent in; given by name, since the user's own AWS settings
/// may name another.
const REGION: &str = "us-west-2";

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the agent in this folder; by default in one under cargo's target folder, made afresh.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Ask this instead.
    #[arg(default_value = QUESTION)]
    question: String,
}

/// Runs the demo.
pub(crate) fn run(args: &Args) -> Result<()> {
    step("Setting up");
    let environment = Environment::prepare()?;
    step(
        "Building outcrop (the first time takes some minutes, most of them for the embedded model)",
    );
    shell::run(environment.cargo().args(["build", "--workspace", "--bins"]))?;
    let outcrop = environment.binary(Profile::Dev, "outcrop");

    let data = if let Some(folder) = &args.data_dir {
        std::path::absolute(folder).context("--data-dir")?
    } else {
        let folder = environment.target.join("demo-data");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        folder
    };
    step("Starting the server");
    let mut serve = environment.command(&outcrop);
    serve
        .args(["serve", "--config", CONFIG, "--data-dir"])
        .arg(&data);
    let log = environment.target.join("demo.log");
    let server = Server::start(serve, &log)?;
    println!("{} (log: {})", server.url(), log.display());

    step("Defining the support agent with boto3 (examples/support-agent/define.py)");
    let mut define = environment.command(&environment.python);
    define.args([
        "examples/support-agent/define.py",
        "--endpoint-url",
        &server.url(),
    ]);
    // boto3 wants some credentials; a loopback server without configured ones accepts any.
    define
        .env("AWS_ACCESS_KEY_ID", "demo")
        .env("AWS_SECRET_ACCESS_KEY", "demo")
        .env_remove("AWS_PROFILE");
    shell::run(&mut define)?;

    step(&format!("Asking it: {}", args.question));
    let mut invoke = environment.command(&outcrop);
    invoke.args([
        "invoke",
        "--agent",
        "support-bot",
        "--alias",
        "PROD",
        "--region",
        REGION,
    ]);
    invoke
        .args(["--endpoint", &server.url()])
        .arg(&args.question);
    logged(&server, shell::run(&mut invoke))?;

    step(&format!("Making a knowledge base of {POLICIES}"));
    let kb = |arguments: &[&str]| {
        let mut kb = environment.command(&outcrop);
        kb.arg("kb").args(arguments);
        kb.args(["--region", REGION, "--endpoint", &server.url()]);
        kb
    };
    // Its id is all that it prints on standard output.
    let made = logged(
        &server,
        shell::output(&mut kb(&["create", "policies", POLICIES])),
    )?;
    println!("{}", made.trim());
    step(&format!("Looking in it for: {SOUGHT}"));
    let search = ["search", "policies", SOUGHT, "--number", "2"];
    logged(&server, shell::run(&mut kb(&search)))?;
    server.stop()?;

    let shown = |path: &std::path::Path| path.display().to_string();
    println!(
        "\n\x1b[1mTo go on\x1b[0m\n\n\
         Start the server again, with the agent it has now:\n\n    \
         PATH={bin}:$PATH {outcrop} serve --config {CONFIG} --data-dir {data}\n\n\
         Talk to the agent from a second terminal (without a question it keeps asking for one):\n\n    \
         {outcrop} invoke --agent support-bot --alias PROD --region {REGION}\n\n\
         Ask the knowledge base something else, and let agents search it (docs/knowledge-bases.md):\n\n    \
         {outcrop} kb search policies --region {REGION} \"What if my parcel is lost?\"\n\n\
         Or from your own program, with nothing changed but the endpoint:\n\n    \
         boto3.client(\"bedrock-agent-runtime\", region_name=\"{REGION}\", endpoint_url=\"http://127.0.0.1:8474\")\n\n\
         The embedded model is for a first look. For real work, name another under [[models]] in\n\
         {CONFIG}: Ollama, vLLM, OpenAI, Anthropic or Bedrock.",
        bin = environment.python.parent().map(shown).unwrap_or_default(),
        outcrop = shown(&outcrop),
        data = shown(&data),
    );
    Ok(())
}

/// The outcome of a step, with the server's log where it failed.
fn logged<T>(server: &Server, outcome: Result<T>) -> Result<T> {
    if outcome.is_err() {
        println!("\nThe server's log:\n{}", server.log_text());
    }
    outcome
}

fn step(text: &str) {
    println!("\n\x1b[1m{text}\x1b[0m");
}
