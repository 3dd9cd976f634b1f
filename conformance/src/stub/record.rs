//! What the stub received, what it shall do next, and who waits for whom.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Query;
use crate::script::Step;
use crate::transcript::Transcript;

/// How long `/_stub/wait` waits when the test names no limit.
const WAIT_MS: usize = 5_000;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A model call.
    Model,
    /// A tool invocation.
    Tool,
}

/// How a request ended, or where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not answered yet.
    Running,
    /// Waiting for this name to be released.
    Held(String),
    /// Answered whole.
    Finished,
    /// Answered with an error, or broken off on purpose.
    Failed,
    /// The caller went away first.
    Cancelled,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Counts from 1 since the last reset.
    pub serial: u64,
    /// What it was for.
    pub kind: Kind,
    /// The protocol, or `lambda` or `http`.
    pub protocol: Value,
    /// The path as received.
    pub path: String,
    /// All headers, names in lower case.
    pub headers: Value,
    /// The body as received.
    pub raw: Value,
    /// A model call's conversation.
    pub transcript: Option<Transcript>,
    /// What a careful provider would refuse in it.
    pub violations: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Steps to add, by kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    model: Vec<Step>,
    tool: Vec<Step>,
}

#[derive(Default)]
struct Inner {
    records: Vec<Record>,
    model: VecDeque<Step>,
    tool: VecDeque<Step>,
    released: BTreeSet<String>,
    generation: u64,
    last_serial: u64,
}

/// All state of one stub.
pub struct State {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Forgets everything and lets go whoever is held.
    pub fn reset(&self) {
        let mut inner = self.lock();
        let (generation, last_serial) = (inner.generation + 1, inner.last_serial);
        *inner = Inner {
            generation,
            last_serial,
            ..Inner::default()
        };
        drop(inner);
        self.changed();
    }

    /// Adds steps behind those not yet taken.
    pub fn add_script(&self, script: Script) {
        let mut inner = self.lock();
        inner.model.extend(script.model);
        inner.tool.extend(script.tool);
    }

    /// Lets go whoever is, or will be, held under this name.
    pub fn release(&self, name: &str) {
        self.lock().released.insert(name.to_owned());
        self.changed();
    }

    /// The records so far, of one kind or of all, oldest first.
    pub fn records(&self, kind: Option<&str>) -> Value {
        let inner = self.lock();
        let wanted: Vec<Value> = inner
            .records
            .iter()
            .map(|record| json!(record))
            .filter(|record| {
                kind.is_none_or(|kind| record.get("kind").and_then(Value::as_str) == Some(kind))
            })
            .collect();
        Value::Array(wanted)
    }

    /// Records a request and takes the step it shall follow.
    pub fn begin(
        self: &Arc<Self>,
        kind: Kind,
        build: impl FnOnce(u64) -> Record,
    ) -> (Step, Ticket) {
        let mut inner = self.lock();
        inner.last_serial += 1;
        let serial = inner.last_serial;
        let record = build(serial);
        let transcript = record.transcript.as_ref();
        let model = transcript.map(|transcript| transcript.model.clone());
        inner.records.push(record);
        let queue = match kind {
            Kind::Model => &mut inner.model,
            Kind::Tool => &mut inner.tool,
        };
        let next = queue.iter().position(|step| step.is_for(model.as_deref()));
        let step = next.and_then(|next| queue.remove(next)).unwrap_or_default();
        let generation = inner.generation;
        drop(inner);
        self.changed();
        (
            step,
            Ticket {
                state: Arc::clone(self),
                serial,
                generation,
                ended: false,
            },
        )
    }

    /// Waits until the query's conditions hold, or its `timeout_ms` has passed (then false).
    pub async fn wait(&self, query: &Query) -> bool {
        let limit = query.number("timeout_ms").unwrap_or(WAIT_MS);
        let mut changes = self.changes.subscribe();
        let holds = async {
            while !self.holds(query) {
                // The sender lives as long as `self`, so this cannot fail.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_millis(limit as u64), holds)
            .await
            .is_ok()
    }

    fn holds(&self, query: &Query) -> bool {
        let inner = self.lock();
        let count =
            |wanted: &dyn Fn(&Record) -> bool| inner.records.iter().filter(|r| wanted(r)).count();
        let at_least = |name: &str, wanted: &dyn Fn(&Record) -> bool| {
            query
                .number(name)
                .is_none_or(|number| count(wanted) >= number)
        };
        at_least("model", &|record| record.kind == Kind::Model)
            && at_least("tool", &|record| record.kind == Kind::Tool)
            && at_least("cancelled", &|record| record.outcome == Outcome::Cancelled)
            && at_least("finished", &|record| record.outcome == Outcome::Finished)
            && query.get("held").is_none_or(|name| {
                count(&|record| matches!(&record.outcome, Outcome::Held(held) if held == name)) > 0
            })
    }
}

/// The right to say how a request ended; dropped without a word, the caller went away.
pub struct Ticket {
    state: Arc<State>,
    serial: u64,
    generation: u64,
    ended: bool,
}

impl Ticket {
    /// The request's number.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Waits until `name` is released, or until everything is reset.
    pub async fn hold(&self, name: &str) {
        self.set(Outcome::Held(name.to_owned()));
        let mut changes = self.state.changes.subscribe();
        loop {
            let free = {
                let inner = self.state.lock();
                inner.generation != self.generation || inner.released.contains(name)
            };
            if free {
                break;
            }
            // The sender lives in the state this ticket holds, so this cannot fail.
            let _ = changes.changed().await;
        }
        self.set(Outcome::Running);
    }

    /// Ends the record.
    pub fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        self.set(outcome);
    }

    fn set(&self, outcome: Outcome) {
        let mut inner = self.state.lock();
        if let Some(record) = inner
            .records
            .iter_mut()
            .find(|record| record.serial == self.serial)
        {
            record.outcome = outcome;
        }
        drop(inner);
        self.state.changed();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            self.set(Outcome::Cancelled);
        }
    }
}

/// The record of a request as it comes in.
pub(super) fn record(
    serial: u64,
    kind: Kind,
    protocol: Value,
    parts: &http::request::Parts,
    raw: Value,
) -> Record {
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned()),
            )
        })
        .collect();
    Record {
        serial,
        kind,
        protocol,
        path: parts.uri.path().to_owned(),
        headers: Value::Object(headers),
        raw,
        transcript: None,
        violations: Vec::new(),
        outcome: Outcome::Running,
    }
}
