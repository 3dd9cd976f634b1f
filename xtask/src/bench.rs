//! `cargo xtask bench`: what a turn costs over the calls it is made of, and what the control plane does.
//!
//! Three processes on one machine: the shipped server in a release build, the stub that is its models
//! and its tool, and the load generator. The work is one user message, one tool call through
//! `runtime = "http"`, and the final answer; persisted, with the whole trace streamed. Results go to
//! `docs/benchmarks.md`. Linux only: CPU and memory are read from `/proc`.

mod control;
mod measure;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::server::{Server, Stub};
use crate::setup::{Environment, Profile, python_environment};
use crate::shell;
use measure::{Process, folder_bytes, load_average};

/// How many clients the throughput is measured with.
const CLIENTS: [usize; 4] = [1, 8, 32, 128];
/// Starts that the cold start is the middle of.
const STARTS: usize = 15;
/// Long sessions, and how long they are.
const LONG_SESSIONS: usize = 8;
const LONG_TURNS: usize = 200;
/// A machine with a higher load has other things to do; a build just ended leaves about one a core.
const QUIET_LOAD: f64 = 0.5;
/// How long a build's own load may take to fade.
const QUIET_LIMIT: Duration = Duration::from_secs(90);
/// How long the server rests before its idle memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// In the report: what follows is measured by something else.
const KEPT: &str = "<!-- `cargo xtask bench` leaves what follows as it is. -->";

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds of each throughput run; there are fourteen.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Print the report instead of writing docs/benchmarks.md.
    #[arg(long)]
    print: bool,
    /// Measure the embedded index next to others instead, and print it; about ten minutes.
    #[arg(long, conflicts_with_all = ["seconds", "print"])]
    index: bool,
}

/// Percentiles as the load generator prints them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Latency {
    count: usize,
    p50_ms: f64,
    p99_ms: f64,
}

/// A throughput run as the load generator prints it.
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
#[derive(Clone, Copy, Debug, Deserialize)]
struct Turns {
    clients: usize,
    turns_per_second: f64,
    seconds: f64,
    latency: Latency,
}

/// The time of one turn of a long session.
#[derive(Clone, Copy, Debug, Deserialize)]
struct AtTurn {
    turn: usize,
    latency: Latency,
}

/// A throughput run with what it cost.
#[derive(Debug)]
struct Load {
    turns: Turns,
    cpu_ms_per_turn: f64,
}

/// One way of asking the model.
#[derive(Debug)]
struct Mode {
    streamed: bool,
    raw: Latency,
    loads: Vec<Load>,
    long: Vec<AtTurn>,
}

/// Everything that was measured.
#[derive(Debug)]
struct Findings {
    /// Load average when the runs began; what is above [`QUIET_LOAD`] is somebody else's.
    load: f64,
    modes: Vec<Mode>,
    python: Turns,
    control: Vec<control::Calls>,
    cold_start: Vec<Duration>,
    idle_kib: u64,
    defined_kib: u64,
    loaded_kib: u64,
    bytes_per_session: f64,
    sessions: u64,
}

/// Runs the benchmark.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "the benchmark reads /proc, which only Linux has"
    );
    let environment = Environment::prepare()?;
    if args.index {
        return index(&environment);
    }
    println!("building in release (the first time takes some minutes)");
    shell::run(environment.cargo().args([
        "build",
        "--release",
        "--package",
        "outcrop",
        "--package",
        "outcrop-conformance",
        "--bins",
    ]))?;
    let bench = Bench::new(&environment)?;
    let findings = bench.measure(args.seconds)?;
    let text = report::markdown(&environment, &findings)?;
    if args.print {
        println!("{text}");
    } else {
        let path = environment.root.join("docs/benchmarks.md");
        let text = text + &kept(&path)?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// The embedded index next to FAISS and `LanceDB` on the same vectors.
fn index(environment: &Environment) -> Result<()> {
    let requirements = environment
        .root
        .join("conformance/python/requirements-index-speed.txt");
    let requirements =
        fs::read_to_string(&requirements).with_context(|| requirements.display().to_string())?;
    let python = python_environment("index-speed", &requirements)?;
    shell::run(environment.cargo().args([
        "build",
        "--release",
        "--package",
        "outcrop-index",
        "--example",
        "measure",
    ]))?;
    quiet()?;
    shell::run(
        environment
            .command(python)
            .args(["-m", "outcrop_e2e.index_speed", "--measure"])
            .arg(environment.binary(Profile::Release, "examples/measure"))
            .current_dir(environment.root.join("conformance/python")),
    )
}

/// What other measurements have written below the line that says so; with that line.
fn kept(path: &Path) -> Result<String> {
    let before = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let kept = before.find(KEPT).and_then(|at| before.get(at..));
    Ok(kept.map_or_else(String::new, |kept| format!("\n{kept}")))
}

/// The processes' programs and folder.
struct Bench<'a> {
    environment: &'a Environment,
    folder: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(environment: &'a Environment) -> Result<Self> {
        let folder = environment.target.join("bench");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self {
            environment,
            folder,
        })
    }

    fn measure(&self, seconds: f64) -> Result<Findings> {
        let load = quiet()?;
        println!("cold start");
        let stub = self.stub("bench")?;
        self.configure(&stub)?;
        let cold_start = self.cold_starts()?;

        println!("the bare calls of a turn");
        let raws = [self.raw(&stub, false)?, self.raw(&stub, true)?];

        self.configure(&stub)?;
        let server = self.server()?;
        std::thread::sleep(SETTLE);
        let process = Process::new(server.id());
        let idle_kib = process.resident_kib()?;
        let agent = self.define(&server, "bench", "order-tools")?;
        std::thread::sleep(SETTLE);
        let defined_kib = process.resident_kib()?;
        let mut modes = Vec::new();
        for (streamed, raw) in [false, true].into_iter().zip(raws) {
            let name = if streamed { "streamed" } else { "unstreamed" };
            let mut loads = Vec::new();
            for clients in CLIENTS {
                println!("{name}, {clients} clients");
                let before = process.cpu()?;
                let turns = self.turns(&server, &agent, streamed, clients, seconds)?;
                let spent = process.cpu()?.saturating_sub(before);
                loads.push(Load {
                    turns,
                    cpu_ms_per_turn: spent.as_secs_f64() * 1e3 / turns.total(),
                });
            }
            println!("{name}, {LONG_SESSIONS} sessions of {LONG_TURNS} turns");
            let long = self.long(&server, &agent, streamed)?;
            modes.push(Mode {
                streamed,
                raw,
                loads,
                long,
            });
        }
        let loaded_kib = process.resident_kib()?;

        println!("the tool as a Python Lambda");
        let python_agent = self.define(&server, "bench-python", "python-order-tools")?;
        let python = self.turns(&server, &python_agent, false, 1, seconds)?;
        server.stop()?;
        let (bytes_per_session, sessions) = self.disk(seconds)?;
        let control = self.control(seconds)?;
        Ok(Findings {
            load,
            modes,
            python,
            control,
            cold_start,
            idle_kib,
            defined_kib,
            loaded_kib,
            bytes_per_session,
            sessions,
        })
    }

    fn stub(&self, brain: &str) -> Result<Stub> {
        let mut command = self
            .environment
            .command(self.environment.binary(Profile::Release, "stub-model"));
        command.args(["--brain", brain]);
        Stub::start(command)
    }

    fn configure(&self, stub: &Stub) -> Result<()> {
        let url = &stub.url;
        let code = self
            .environment
            .root
            .join("examples/support-agent/functions/order-tools");
        let text = format!(
            "[[models]]\nmatch = \"*\"\nprovider = \"openai\"\nbase_url = \"{url}/v1\"\n\n\
             [[functions]]\nmatch = \"order-tools\"\nruntime = \"http\"\nurl = \"{url}\"\n\n\
             [[functions]]\nmatch = \"python-order-tools\"\nruntime = \"python\"\nhandler = \"app.lambda_handler\"\n\
             code = \"{}\"\n",
            code.display()
        );
        let path = self.folder.join("outcrop.toml");
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    fn server(&self) -> Result<Server> {
        self.server_in("data")
    }

    fn server_in(&self, data: &str) -> Result<Server> {
        let mut command = self
            .environment
            .command(self.environment.binary(Profile::Release, "outcrop"));
        command
            .current_dir(&self.folder)
            .args(["serve", "--config", "outcrop.toml", "--data-dir", data])
            .env("OUTCROP_LOG", "warn");
        Server::start(command, &self.folder.join("outcrop.log"))
    }

    /// From the start of the process to its first answered health check, on a folder that is there.
    fn cold_starts(&self) -> Result<Vec<Duration>> {
        self.server_in("cold")?.stop()?;
        let mut found = Vec::new();
        for _ in 0..STARTS {
            let server = self.server_in("cold")?;
            found.push(server.cold_start);
            server.stop()?;
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The bare calls, with the bodies that the server sends in such a turn.
    fn raw(&self, stub: &Stub, streamed: bool) -> Result<Latency> {
        let recorder = self.stub("full")?;
        self.configure(&recorder)?;
        let server = self.server_in("recorded")?;
        let agent = self.define(
            &server,
            if streamed { "streamed" } else { "whole" },
            "order-tools",
        )?;
        // Its own check turn is the one that is recorded, before the turns that warm it up.
        self.turns(&server, &agent, streamed, 1, 0.01)?;
        server.stop()?;
        let mut records: Vec<serde_json::Value> =
            serde_json::from_str(&recorder.get("/_stub/requests")?)
                .context("the stub's records")?;
        records.truncate(3);
        let path = self.folder.join("records.json");
        fs::write(&path, serde_json::to_string(&records)?)
            .with_context(|| path.display().to_string())?;
        self.load(&[
            "raw",
            "--model-url",
            &stub.url,
            "--tool-url",
            &stub.url,
            "--seconds",
            "4",
            "--records",
            path_text(&path)?,
        ])
    }

    fn define(&self, server: &Server, name: &str, function: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Defined {
            #[serde(rename = "agentId")]
            agent_id: String,
        }
        let defined: Defined = self.load(&[
            "define",
            "--endpoint",
            &server.url(),
            "--name",
            name,
            "--function",
            function,
        ])?;
        Ok(defined.agent_id)
    }

    fn turns(
        &self,
        server: &Server,
        agent: &str,
        streamed: bool,
        clients: usize,
        seconds: f64,
    ) -> Result<Turns> {
        let (url, clients, seconds) = (server.url(), clients.to_string(), seconds.to_string());
        let mut arguments = vec![
            "turns",
            "--endpoint",
            &url,
            "--agent",
            agent,
            "--clients",
            &clients,
            "--seconds",
            &seconds,
        ];
        if streamed {
            arguments.push("--streamed");
        }
        self.load(&arguments)
    }

    fn long(&self, server: &Server, agent: &str, streamed: bool) -> Result<Vec<AtTurn>> {
        let (url, sessions, turns) = (
            server.url(),
            LONG_SESSIONS.to_string(),
            LONG_TURNS.to_string(),
        );
        let mut arguments = vec![
            "session",
            "--endpoint",
            &url,
            "--agent",
            agent,
            "--sessions",
            &sessions,
            "--turns",
            &turns,
        ];
        if streamed {
            arguments.push("--streamed");
        }
        self.load(&arguments)
    }

    /// What one session of one turn leaves on disk, once the server has ended.
    fn disk(&self, seconds: f64) -> Result<(f64, u64)> {
        let stub = self.stub("bench")?;
        self.configure(&stub)?;
        let server = self.server_in("disk")?;
        let agent = self.define(&server, "disk", "order-tools")?;
        server.stop()?;
        let folder = self.folder.join("disk");
        let before = folder_bytes(&folder)?;
        let server = self.server_in("disk")?;
        let turns = self.turns(&server, &agent, false, 8, seconds)?;
        server.stop()?;
        let grown = folder_bytes(&folder)?.saturating_sub(before);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a benchmark's data is far below 2^52 bytes"
        )]
        let per_session = grown as f64 / turns.total();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of turns"
        )]
        Ok((per_session, turns.total() as u64))
    }

    fn load<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let mut command = self
            .environment
            .command(self.environment.binary(Profile::Release, "bench-load"));
        let text = shell::output(command.args(arguments))?;
        serde_json::from_str(&text).with_context(|| format!("bench-load printed {text}"))
    }
}

impl Turns {
    fn total(&self) -> f64 {
        self.turns_per_second * self.seconds
    }
}

/// Waits for the machine to be quiet; returns the load it then has.
fn quiet() -> Result<f64> {
    let began = std::time::Instant::now();
    loop {
        let load = load_average()?;
        if load <= QUIET_LOAD {
            return Ok(load);
        }
        if began.elapsed() > QUIET_LIMIT {
            println!("warning: the load average is {load:.1}; other work will show in the results");
            return Ok(load);
        }
        std::thread::sleep(SETTLE);
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
