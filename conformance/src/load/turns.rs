//! Agent turns: how long each takes, and how many there are in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use memchr::memmem;
use serde::Serialize;
use serde_json::json;

use super::http::Connection;
use super::stats::{Summary, summary};
use crate::eventstream::{Reader, header};

/// Turns that are not counted, so that caches and connections are warm.
const WARM_UP_TURNS: u32 = 20;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's URL.
    pub endpoint: String,
    /// The agent's id.
    pub agent: String,
    /// Whether the final answer is streamed (`streamFinalResponse`).
    pub streamed: bool,
}

/// What a run found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Report {
    /// Clients at the same time.
    pub clients: usize,
    /// Turns a second over the whole run.
    pub turns_per_second: f64,
    /// How long the run took.
    pub seconds: f64,
    /// How long a turn took.
    pub latency: Summary,
}

/// Turns of one session, by their number.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AtTurn {
    /// The turn's number in its session, from 1.
    pub turn: usize,
    /// How long it took, over all sessions.
    pub latency: Summary,
}

impl Target {
    fn path(&self, session: &str) -> String {
        format!(
            "/agents/{}/agentAliases/TSTALIASID/sessions/{session}/text",
            self.agent
        )
    }

    fn body(&self) -> Bytes {
        let mut body = json!({"enableTrace": true, "inputText": "Where is order A-482?"});
        if self.streamed {
            body["streamingConfigurations"] = json!({"streamFinalResponse": true});
        }
        body.to_string().into()
    }
}

/// Runs `clients` at the same time for `duration`, each turn in a session of its own.
///
/// # Errors
/// The first turn that fails ends the run.
pub async fn throughput(target: Target, clients: usize, duration: Duration) -> Result<Report> {
    let target = Arc::new(target);
    let names = Arc::new(Names::new());
    let mut connection = Connection::open(&target.endpoint).await?;
    verify(&mut connection, &target, &names.next()).await?;
    for _ in 0..WARM_UP_TURNS {
        turn(&mut connection, &target.path(&names.next()), target.body()).await?;
    }
    let began = Instant::now();
    let workers: Vec<_> = (0..clients)
        .map(|_| {
            let (target, names) = (Arc::clone(&target), Arc::clone(&names));
            tokio::spawn(async move {
                let mut connection = Connection::open(&target.endpoint).await?;
                let body = target.body();
                let mut latencies = Vec::new();
                while began.elapsed() < duration {
                    let path = target.path(&names.next());
                    latencies.push(turn(&mut connection, &path, body.clone()).await?);
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(worker.await.context("a client")??);
    }
    let seconds = began.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of turns is far below 2^52"
    )]
    let turns_per_second = latencies.len() as f64 / seconds;
    Ok(Report {
        clients,
        turns_per_second,
        seconds,
        latency: summary(latencies),
    })
}

/// Runs `sessions` one after the other, each of `turns` turns, and reports the turns in `at`.
///
/// # Errors
/// The first turn that fails ends the run.
pub async fn long_sessions(
    target: Target,
    sessions: usize,
    turns: usize,
    at: &[usize],
) -> Result<Vec<AtTurn>> {
    let names = Names::new();
    let mut connection = Connection::open(&target.endpoint).await?;
    for _ in 0..WARM_UP_TURNS {
        turn(&mut connection, &target.path(&names.next()), target.body()).await?;
    }
    let mut by_turn: Vec<Vec<Duration>> = vec![Vec::new(); at.len()];
    for _ in 0..sessions {
        let path = target.path(&names.next());
        for number in 1..=turns {
            let took = turn(&mut connection, &path, target.body()).await?;
            for (wanted, found) in at.iter().zip(&mut by_turn) {
                if *wanted == number {
                    found.push(took);
                }
            }
        }
    }
    Ok(at
        .iter()
        .zip(by_turn)
        .map(|(turn, found)| AtTurn {
            turn: *turn,
            latency: summary(found),
        })
        .collect())
}

/// One turn, read to its end.
async fn turn(connection: &mut Connection, path: &str, body: Bytes) -> Result<Duration> {
    let began = Instant::now();
    let stream = connection.post(path, body).await?;
    let took = began.elapsed();
    ensure!(
        memmem::find(&stream, b":exception-type").is_none(),
        "a turn failed: {}",
        String::from_utf8_lossy(&stream)
    );
    ensure!(
        memmem::find(&stream, b"chunk").is_some(),
        "a turn gave no answer"
    );
    Ok(took)
}

/// One turn whose stream is decoded, so that the run measures real work.
async fn verify(connection: &mut Connection, target: &Target, session: &str) -> Result<()> {
    let stream = connection
        .post(&target.path(session), target.body())
        .await?;
    let mut reader = Reader::default();
    reader.push(&stream);
    let mut traces = 0;
    let mut chunks = 0;
    while let Some(frame) = reader.next_frame()? {
        match header(&frame, ":event-type") {
            Some("trace") => traces += 1,
            Some("chunk") => chunks += 1,
            other => bail!(
                "the stream holds {other:?}: {}",
                String::from_utf8_lossy(frame.payload())
            ),
        }
    }
    ensure!(
        !reader.is_mid_frame(),
        "the stream ends in the middle of a frame"
    );
    ensure!(
        traces == 9,
        "a turn with one tool has 9 traces, this one {traces}"
    );
    // Pieces that come together may be sent together, so a streamed answer can be one chunk here.
    ensure!(
        chunks == 1 || target.streamed && chunks > 1,
        "the answer came in {chunks} chunks"
    );
    Ok(())
}

/// Session names that no other run uses.
struct Names {
    prefix: String,
    next: AtomicU64,
}

impl Names {
    fn new() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        Self {
            prefix: format!("bench-{now}"),
            next: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        format!(
            "{}-{}",
            self.prefix,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}
