//! `docs/benchmarks.md` from what was measured.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::measure::machine;
use super::{Findings, LONG_SESSIONS, LONG_TURNS, Mode, QUIET_LOAD, STARTS};
use crate::setup::Environment;
use crate::shell;

/// A peer, measured on the same work on two cores.
struct Peer {
    name: &'static str,
    added_ms: f64,
    turns_per_second: f64,
}

/// Unstreamed upstream; rig with its database in WAL mode and `synchronous=NORMAL`.
const PEERS: [Peer; 4] = [
    Peer {
        name: "LangGraph, SQLite saver, behind HTTP",
        added_ms: 18.3,
        turns_per_second: 51.0,
    },
    Peer {
        name: "Strands",
        added_ms: 16.8,
        turns_per_second: 49.0,
    },
    Peer {
        name: "OpenAI Agents",
        added_ms: 23.5,
        turns_per_second: 48.0,
    },
    Peer {
        name: "rig-core with SQLite",
        added_ms: 1.0,
        turns_per_second: 1415.0,
    },
];

/// The same with the model streamed and every token forwarded.
const STREAMED_PEERS: [Peer; 1] = [Peer {
    name: "rig-core with SQLite",
    added_ms: 2.1,
    turns_per_second: 515.0,
}];

/// The goals of one mode.
struct Goals {
    added_ms: f64,
    turns_per_second: f64,
    cpu_ms: Option<f64>,
}

const WHOLE_GOALS: Goals = Goals {
    added_ms: 1.0,
    turns_per_second: 2000.0,
    cpu_ms: Some(0.8),
};
const STREAMED_GOALS: Goals = Goals {
    added_ms: 1.5,
    turns_per_second: 1000.0,
    cpu_ms: None,
};
const IDLE_GOAL_MIB: f64 = 30.0;
const START_GOAL_MS: f64 = 50.0;
const GROWTH_GOAL: f64 = 3.0;

/// The whole document.
pub(super) fn markdown(environment: &Environment, findings: &Findings) -> Result<String> {
    let commit =
        shell::output(
            environment
                .command("git")
                .args(["rev-parse", "--short=12", "HEAD"]),
        )
        .unwrap_or_else(|_| "unknown".to_owned());
    let date =
        shell::output(environment.command("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default();
    let mut text = String::new();
    writeln!(
        text,
        "# Benchmarks\n\n\
         Made by `cargo xtask bench` on {}, commit {}, release build with default features, on\n{}.\n\
         Server, stub and load generator share the machine{}. Run it again with that command; it takes about\n\
         three minutes after the build and rewrites this file.\n",
        date.trim(),
        commit.trim(),
        machine(),
        if findings.load > QUIET_LOAD {
            format!(
                ", which was **not quiet** (load average {:.1} before the runs, so times are too high and rates too low)",
                findings.load
            )
        } else {
            String::new()
        }
    )?;
    text.push_str(
        "## The work\n\n\
         One turn: a user message, a model call that asks for a tool, the tool over `runtime = \"http\"`, a second\n\
         model call with the final answer. `enableTrace` is on and the whole event stream is read and checked. The\n\
         stub is a process of its own that answers at once over kept-alive connections (OpenAI chat completions).\n\n\
         *Added* is the time of a turn at one client less the time of the same three calls, with the bodies the\n\
         server sends, made directly over kept-alive connections. *Unstreamed*: nobody consumes deltas, so the\n\
         model is asked for whole messages. *Streamed*: `streamFinalResponse` is on; the model streams pieces of six\n\
         characters, each a write of its own but without a pause, and the answer is forwarded as it comes; pieces that\n\
         are there at the same time go on together.\n\n\
         **Durability**, the same in both modes: each event of a turn is in SQLite (WAL, `synchronous=NORMAL`) before\n\
         it is acted on. What a client has read survives the death of the process at any moment; a loss of power may\n\
         cost the last moments. This is also how the peers were measured.\n\n",
    );
    for mode in &findings.modes {
        mode_section(&mut text, mode)?;
    }
    super::control::section(&mut text, &findings.control)?;
    rest(&mut text, findings)?;
    Ok(text)
}

fn mode_section(text: &mut String, mode: &Mode) -> Result<()> {
    let (title, goals, peers): (_, _, &[Peer]) = if mode.streamed {
        ("Streamed", STREAMED_GOALS, &STREAMED_PEERS)
    } else {
        ("Unstreamed", WHOLE_GOALS, &PEERS)
    };
    let single = mode.loads.first().context("no run with one client")?;
    let busy = mode
        .loads
        .iter()
        .find(|load| load.turns.clients == 32)
        .context("no run with 32 clients")?;
    let added_p50 = single.turns.latency.p50_ms - mode.raw.p50_ms;
    let added_p99 = single.turns.latency.p99_ms - mode.raw.p99_ms;
    writeln!(
        text,
        "## {title}\n\n| | measured | goal | |\n|---|---:|---:|---|"
    )?;
    row(
        text,
        "added, p50",
        added_p50,
        "ms",
        goals.added_ms,
        Direction::Down,
    )?;
    writeln!(text, "| added, p99 | {added_p99:.2} ms | | |")?;
    row(
        text,
        "turns a second, 32 clients",
        busy.turns.turns_per_second,
        "",
        goals.turns_per_second,
        Direction::Up,
    )?;
    match goals.cpu_ms {
        Some(goal) => row(
            text,
            "CPU a turn, 32 clients",
            busy.cpu_ms_per_turn,
            "ms",
            goal,
            Direction::Down,
        )?,
        None => writeln!(
            text,
            "| CPU a turn, 32 clients | {:.2} ms | | |",
            busy.cpu_ms_per_turn
        )?,
    }
    let at = |turn: usize| {
        mode.long
            .iter()
            .find(|found| found.turn == turn)
            .map(|found| found.latency.p50_ms)
    };
    if let (Some(first), Some(last)) = (at(1), at(LONG_TURNS)) {
        row(
            text,
            &format!("turn {LONG_TURNS} over turn 1"),
            last / first,
            "×",
            GROWTH_GOAL,
            Direction::Down,
        )?;
    }
    runs(text, mode)?;
    compare(text, peers, added_p50, busy.turns.turns_per_second)
}

/// Every run of one mode.
fn runs(text: &mut String, mode: &Mode) -> Result<()> {
    writeln!(
        text,
        "\nThe bare calls: p50 {:.2} ms, p99 {:.2} ms over {} rounds.\n",
        mode.raw.p50_ms, mode.raw.p99_ms, mode.raw.count
    )?;
    writeln!(
        text,
        "| clients | turns a second | p50 | p99 | CPU a turn |\n|---:|---:|---:|---:|---:|"
    )?;
    for load in &mode.loads {
        let turns = load.turns;
        writeln!(
            text,
            "| {} | {:.0} | {:.2} ms | {:.2} ms | {:.2} ms |",
            turns.clients,
            turns.turns_per_second,
            turns.latency.p50_ms,
            turns.latency.p99_ms,
            load.cpu_ms_per_turn
        )?;
    }
    writeln!(
        text,
        "\n| turn of one session | p50 of {LONG_SESSIONS} sessions |\n|---:|---:|"
    )?;
    for found in &mode.long {
        writeln!(text, "| {} | {:.2} ms |", found.turn, found.latency.p50_ms)?;
    }
    Ok(())
}

/// The peers beside it.
fn compare(text: &mut String, peers: &[Peer], added_ms: f64, turns_per_second: f64) -> Result<()> {
    writeln!(
        text,
        "\n| peer, on the same work | added, p50 | Outcrop adds | turns a second | Outcrop does |\n|---|---:|---:|---:|---:|"
    )?;
    for peer in peers {
        writeln!(
            text,
            "| {} | {:.1} ms | {:.2}× as much | {:.0} | {:.1}× as many |",
            peer.name,
            peer.added_ms,
            added_ms / peer.added_ms,
            peer.turns_per_second,
            turns_per_second / peer.turns_per_second
        )?;
    }
    text.push('\n');
    Ok(())
}

fn rest(text: &mut String, findings: &Findings) -> Result<()> {
    let start = findings
        .cold_start
        .get(STARTS / 2)
        .context("no cold start")?
        .as_secs_f64()
        * 1e3;
    #[expect(
        clippy::cast_precision_loss,
        reason = "memory in KiB is far below 2^52"
    )]
    let mib = |kib: u64| kib as f64 / 1024.0;
    writeln!(
        text,
        "## At rest\n\n| | measured | goal | |\n|---|---:|---:|---|"
    )?;
    row(
        text,
        "cold start to the first answered health check",
        start,
        "ms",
        START_GOAL_MS,
        Direction::Down,
    )?;
    row(
        text,
        "resident memory, idle since the start",
        mib(findings.idle_kib),
        "MiB",
        IDLE_GOAL_MIB,
        Direction::Down,
    )?;
    writeln!(
        text,
        "| resident memory, idle after one agent was defined | {:.1} MiB | | |\n\
         | resident memory after all runs | {:.1} MiB | | |",
        mib(findings.defined_kib),
        mib(findings.loaded_kib)
    )?;
    writeln!(
        text,
        "| on disk, a session of one turn ({} of them) | {:.1} KiB | | |\n",
        findings.sessions,
        findings.bytes_per_session / 1024.0
    )?;
    writeln!(
        text,
        "## The tool as a Python Lambda\n\n\
         The same turn with the guide's handler in a warm worker that speaks the Lambda Runtime API, one client,\n\
         unstreamed: p50 {:.2} ms, p99 {:.2} ms, {:.0} turns a second. Most of it is Python's.",
        findings.python.latency.p50_ms,
        findings.python.latency.p99_ms,
        findings.python.turns_per_second
    )?;
    Ok(())
}

/// Which way is better.
#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

fn row(
    text: &mut String,
    name: &str,
    value: f64,
    unit: &str,
    goal: f64,
    better: Direction,
) -> Result<()> {
    let (bound, met) = match better {
        Direction::Up => ("at least", value >= goal),
        Direction::Down => ("at most", value <= goal),
    };
    let verdict = if met { "met" } else { "missed" };
    let shown = |value: f64| {
        if value >= 100.0 {
            format!("{value:.0} {unit}")
        } else {
            format!("{value:.2} {unit}")
        }
    };
    writeln!(
        text,
        "| {name} | {} | {bound} {} | {verdict} |",
        shown(value).trim(),
        shown(goal).trim()
    )?;
    Ok(())
}
