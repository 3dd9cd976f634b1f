//! The control plane's part of the benchmark: its calls against a server of its own, and its section of
//! the document.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Deserialize;

use super::{Bench, Latency};

/// Clients at the same time.
const CLIENTS: usize = 8;

/// What `moto_server` does of such calls on the same cores with the same client, in a second: the worst
/// and the best.
const MOTO_PER_SECOND: (f64, f64) = (281.0, 385.0);

/// How many times moto's best is the goal.
const READS_GOAL: f64 = 20.0;
const WRITES_GOAL: f64 = 10.0;

/// One kind of call as the load generator prints it.
#[derive(Debug, Deserialize)]
pub(super) struct Calls {
    operation: String,
    writes: bool,
    per_second: f64,
    latency: Latency,
}

impl Bench<'_> {
    /// Each kind of call for so long, on an empty store.
    pub(super) fn control(&self, seconds: f64) -> Result<Vec<Calls>> {
        println!("calls of the control plane, {CLIENTS} clients");
        let stub = self.stub("bench")?;
        self.configure(&stub)?;
        let server = self.server_in("control")?;
        let calls = self.load(&[
            "control",
            "--endpoint",
            &server.url(),
            "--clients",
            &CLIENTS.to_string(),
            "--seconds",
            &seconds.to_string(),
        ])?;
        server.stop()?;
        Ok(calls)
    }
}

/// The section.
pub(super) fn section(text: &mut String, calls: &[Calls]) -> Result<()> {
    let (worst, best) = MOTO_PER_SECOND;
    write!(
        text,
        "## The control plane\n\n\
         Calls over {CLIENTS} kept-alive connections, unsigned, on SQLite as above. Reads meet all the agents that\n\
         the first row made; a page of ListAgents holds 10. An agent gets three action groups. `moto_server` does\n\
         {worst:.0} to {best:.0} such calls a second, in memory; the goals are {READS_GOAL:.0} times its best for reads and {WRITES_GOAL:.0} times\n\
         for writes.\n\n\
         | operation | calls | p50 | p99 | a second | goal | |\n|---|---:|---:|---:|---:|---:|---|\n"
    )?;
    for kind in calls {
        let goal = best * if kind.writes { WRITES_GOAL } else { READS_GOAL };
        let verdict = if kind.per_second >= goal {
            "met"
        } else {
            "missed"
        };
        writeln!(
            text,
            "| {} | {} | {:.2} ms | {:.2} ms | {:.0} | at least {goal:.0} | {verdict} |",
            kind.operation,
            kind.latency.count,
            kind.latency.p50_ms,
            kind.latency.p99_ms,
            kind.per_second
        )?;
    }
    text.push('\n');
    Ok(())
}
