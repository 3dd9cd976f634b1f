//! The bare calls of a turn: two model calls and one tool call, straight to where the server sends them.
//!
//! The bodies are the server's own, recorded by the stub, so that the difference to a turn is exactly
//! what the server adds.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use serde_json::Value;

use super::http::Connection;
use super::stats::{Summary, summary};

/// Rounds that are not counted.
const WARM_UP_ROUNDS: usize = 50;

/// One recorded call.
struct Call {
    path: String,
    body: Bytes,
}

/// Repeats the calls of `records` (the stub's `/_stub/requests` of one turn) for `duration`.
///
/// # Errors
/// Records that are not one turn's, or a call that fails.
pub async fn run(
    model_url: &str,
    tool_url: &str,
    records: &[u8],
    duration: Duration,
) -> Result<Summary> {
    let records: Vec<Value> = serde_json::from_slice(records).context("the recorded calls")?;
    ensure!(
        records.len() == 3,
        "a turn with one tool makes 3 calls, these are {}",
        records.len()
    );
    let mut model = Connection::open(model_url).await?;
    let mut tool = Connection::open(tool_url).await?;
    let calls: Vec<(bool, Call)> = records
        .iter()
        .map(|record| {
            let path = record
                .get("path")
                .and_then(Value::as_str)
                .context("a record without path")?;
            let body = record
                .get("raw")
                .context("a record without body")?
                .to_string();
            let is_tool = record.get("kind").and_then(Value::as_str) == Some("tool");
            Ok((
                is_tool,
                Call {
                    path: path.to_owned(),
                    body: body.into(),
                },
            ))
        })
        .collect::<Result<_>>()?;
    let mut rounds = Vec::new();
    let began = Instant::now();
    let mut warm_up = WARM_UP_ROUNDS;
    while began.elapsed() < duration {
        let round = Instant::now();
        for (is_tool, call) in &calls {
            let connection = if *is_tool { &mut tool } else { &mut model };
            connection.post(&call.path, call.body.clone()).await?;
        }
        if warm_up > 0 {
            warm_up -= 1;
        } else {
            rounds.push(round.elapsed());
        }
    }
    Ok(summary(rounds))
}
