//! Defines the benchmark's agent over the control plane.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::http::Connection;

/// How long the agent may take to be prepared.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// How often its status is read meanwhile.
const SETTLE_STEP: Duration = Duration::from_millis(5);

/// Creates an agent with the guide's order tools behind `function`, prepares it, and returns its id.
///
/// # Errors
/// Whatever the control plane refuses, with its words.
pub async fn define(endpoint: &str, name: &str, function: &str) -> Result<String> {
    let mut connection = Connection::open(endpoint).await?;
    let created = call(
        &mut connection,
        Method::PUT,
        "/agents/",
        &json!({
            "agentName": name,
            "foundationModel": "anthropic.claude-opus-4-7",
            "instruction": "You are a helpful customer support assistant.",
            "agentResourceRoleArn": "arn:aws:iam::111111111111:role/AgentRole",
        }),
    )
    .await?;
    let agent = created
        .pointer("/agent/agentId")
        .and_then(Value::as_str)
        .context("the created agent has no id")?
        .to_owned();
    settle(&mut connection, &agent, "NOT_PREPARED").await?;
    call(
        &mut connection,
        Method::PUT,
        &format!("/agents/{agent}/agentversions/DRAFT/actiongroups/"),
        &json!({
            "actionGroupName": "OrderTools",
            "actionGroupExecutor": {"lambda": format!("arn:aws:lambda:us-west-2:111111111111:function:{function}")},
            "functionSchema": {"functions": [
                {
                    "name": "get_order_status",
                    "description": "Look up the shipping status of a customer order by ID.",
                    "parameters": {"order_id": {
                        "type": "string",
                        "description": "The customer-facing order ID, e.g. A-482.",
                        "required": true,
                    }},
                },
                {
                    "name": "cancel_order",
                    "description": "Cancel an order if it has not yet shipped.",
                    "parameters": {
                        "order_id": {"type": "string", "required": true},
                        "reason": {"type": "string", "required": false},
                    },
                },
            ]},
        }),
    )
    .await?;
    call(
        &mut connection,
        Method::POST,
        &format!("/agents/{agent}/"),
        &json!({}),
    )
    .await?;
    settle(&mut connection, &agent, "PREPARED").await?;
    Ok(agent)
}

async fn settle(connection: &mut Connection, agent: &str, wanted: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let answer = connection
            .send(Method::GET, &format!("/agents/{agent}/"), Bytes::new())
            .await?;
        let agent: Value = serde_json::from_slice(&answer.body).context("GetAgent")?;
        let status = agent
            .pointer("/agent/agentStatus")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if status == wanted {
            return Ok(());
        }
        ensure!(
            began.elapsed() < SETTLE_LIMIT,
            "the agent is {status}, not {wanted}"
        );
        tokio::time::sleep(SETTLE_STEP).await;
    }
}

async fn call(
    connection: &mut Connection,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Value> {
    let answer = connection
        .send(method, path, body.to_string().into())
        .await?;
    ensure!(
        answer.status.is_success(),
        "{path} answered {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_slice(&answer.body).context("a control-plane answer")
}
