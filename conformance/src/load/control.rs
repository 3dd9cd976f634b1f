//! Calls of the control plane: how many of each kind there are in a second.
//!
//! Every answer must be a success. What a phase works on is made by the phase before it, so the calls
//! meet a server with thousands of agents.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::http::Connection;
use super::stats::{Summary, summary};

/// Action groups that each agent is given: what an agent of some size has.
const GROUPS_PER_AGENT: usize = 3;

/// Agents on a listed page.
const PAGE: usize = 10;

/// What a run of one kind of call found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Report {
    /// The operation.
    pub operation: &'static str,
    /// Whether each call is on disk before it is answered.
    pub writes: bool,
    /// Clients at the same time.
    pub clients: usize,
    /// Calls a second.
    pub per_second: f64,
    /// How long a call took.
    pub latency: Summary,
}

/// One call.
struct Call {
    method: Method,
    path: String,
    body: Value,
}

/// The calls of a phase by their number; none ends it early.
type Calls = Arc<dyn Fn(usize) -> Option<Call> + Send + Sync>;

/// Connections that take turns with one kind of call after another.
struct Clients {
    connections: Vec<Connection>,
    duration: Duration,
}

/// Runs each kind of call with `clients` at the same time for `duration`.
///
/// # Errors
/// The first call that fails ends the run.
pub async fn run(endpoint: &str, clients: usize, duration: Duration) -> Result<Vec<Report>> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(Connection::open(endpoint).await?);
    }
    let mut clients = Clients {
        connections,
        duration,
    };
    let (created, bodies) = clients
        .phase("CreateAgent", true, Arc::new(|number| Some(create(number))))
        .await?;
    let agents: Arc<[String]> = bodies.iter().map(agent_id).collect::<Result<_>>()?;
    let mut reports = vec![created];
    let of = |call: fn(&str, usize) -> Call| -> Calls {
        let agents = Arc::clone(&agents);
        Arc::new(move |number| {
            let agent = agents.get(number % agents.len())?;
            Some(call(agent, number))
        })
    };
    reports.push(clients.phase("GetAgent", false, of(get)).await?.0);
    reports.push(clients.phase("ListAgents", false, of(list)).await?.0);
    reports.push(clients.phase("UpdateAgent", true, of(update)).await?.0);
    let agents = Arc::clone(&agents);
    let groups: Calls = Arc::new(move |number| {
        let agent = agents.get(number % agents.len())?;
        let round = number / agents.len();
        (round < GROUPS_PER_AGENT).then(|| group(agent, round))
    });
    let created = clients
        .phase("CreateAgentActionGroup", true, groups)
        .await?;
    reports.push(created.0);
    Ok(reports)
}

impl Clients {
    /// One kind of call: what was measured, and the answers of calls that write.
    async fn phase(
        &mut self,
        operation: &'static str,
        writes: bool,
        calls: Calls,
    ) -> Result<(Report, Vec<Bytes>)> {
        let clients = self.connections.len();
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let ends = began + self.duration;
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (next, calls) = (Arc::clone(&next), Arc::clone(&calls));
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                let mut bodies = Vec::new();
                while Instant::now() < ends {
                    let Some(call) = calls(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    let sent = Instant::now();
                    let body = perform(&mut connection, call).await?;
                    latencies.push(sent.elapsed());
                    if writes {
                        bodies.push(body);
                    }
                }
                anyhow::Ok((connection, latencies, bodies))
            });
        }
        let mut latencies = Vec::new();
        let mut bodies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (connection, taken, answers) = done.context("a client")?.context(operation)?;
            self.connections.push(connection);
            latencies.extend(taken);
            bodies.extend(answers);
        }
        let seconds = began.elapsed().as_secs_f64();
        ensure!(!latencies.is_empty(), "no {operation} within the time");
        let latency = summary(latencies);
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        let per_second = latency.count as f64 / seconds;
        let report = Report {
            operation,
            writes,
            clients,
            per_second,
            latency,
        };
        Ok((report, bodies))
    }
}

async fn perform(connection: &mut Connection, call: Call) -> Result<Bytes> {
    let Call { method, path, body } = call;
    let body = if body.is_null() {
        Bytes::new()
    } else {
        body.to_string().into()
    };
    let answer = connection.send(method, &path, body).await?;
    if !answer.status.is_success() {
        bail!(
            "{path} answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(answer.body)
}

fn agent_id(body: &Bytes) -> Result<String> {
    let created: Value = serde_json::from_slice(body).context("CreateAgent")?;
    let id = created.pointer("/agent/agentId").and_then(Value::as_str);
    Ok(id.context("the created agent has no id")?.to_owned())
}

fn definition(name: &str, description: &str) -> Value {
    json!({
        "agentName": name,
        "agentResourceRoleArn": "arn:aws:iam::111111111111:role/AgentRole",
        "description": description,
        "foundationModel": "anthropic.claude-opus-4-7",
        "instruction": "You are a helpful customer support assistant.",
    })
}

fn create(number: usize) -> Call {
    Call {
        method: Method::PUT,
        path: "/agents/".to_owned(),
        body: definition(&format!("control-{number}"), "as it was made"),
    }
}

fn get(agent: &str, _number: usize) -> Call {
    Call {
        method: Method::GET,
        path: format!("/agents/{agent}/"),
        body: Value::Null,
    }
}

fn list(_agent: &str, _number: usize) -> Call {
    Call {
        method: Method::POST,
        path: "/agents/".to_owned(),
        body: json!({"maxResults": PAGE}),
    }
}

fn update(agent: &str, number: usize) -> Call {
    Call {
        method: Method::PUT,
        path: format!("/agents/{agent}/"),
        body: definition(&format!("updated-{agent}"), &format!("update {number}")),
    }
}

fn group(agent: &str, round: usize) -> Call {
    Call {
        method: Method::PUT,
        path: format!("/agents/{agent}/agentversions/DRAFT/actiongroups/"),
        body: json!({
            "actionGroupName": format!("Tools{round}"),
            "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
            "functionSchema": {"functions": [{
                "name": format!("look_up_{round}"),
                "description": "Looks something up.",
                "parameters": {"key": {
                    "type": "string", "description": "What to look for.", "required": true,
                }},
            }]},
        }),
    }
}
