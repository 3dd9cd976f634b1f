//! An example of each call through the real handler: whether its replies keep the contract.
//!
//! Runs the handlers' code, with all that it does, and so only on request.

use std::time::Duration;

use outcrop_adapters::action::{
    FunctionMapping, FunctionRegistry, FunctionRuntime, LocalFunction, LocalRuntime,
};
use outcrop_deploy::api::{Api as _, OwnRequest, segment};
use outcrop_deploy::scaffold::{ActionGroupUse, Events as _, Operation, OperationKind};
use outcrop_engine::action::{ActionTarget, Strictness, lambda};
use outcrop_engine::lint::Severity;
use outcrop_engine::port::{ActionCall, ActionExecutor};
use serde_json::{Value, json};

use super::place::Spot;
use super::report::Told;
use super::rules::{Function, told};
use super::subject::{Agent, Runner, runner, text};
use super::template::Found;
use crate::cli::Failure;
use crate::cli::contract::Contract;
use crate::cli::remote::Remote;
use crate::compose;
use crate::config::Config;

/// What is wrong with a reply.
struct Broken {
    problem: String,
    advice: String,
}

/// Calls the functions of a server's agent, by the server.
pub(super) async fn on_server(server: &Remote, agent: &Agent) -> Result<Vec<Told>, Failure> {
    let mut findings = Vec::new();
    for group in &agent.groups {
        let Runner::Named(function) = runner(group) else {
            continue;
        };
        // An API or an MCP server is no handler: what it does is done for real, and it has no contract.
        let path = format!("functions/{}/runner", segment(function));
        let answer = server.own(OwnRequest::new("GET", path)).await?;
        if ["openapi", "mcp"].contains(&text(&answer["configured"], "runtime")) {
            continue;
        }
        for operation in operations(agent, group) {
            let event: Value = serde_json::from_str(&operation.event)?;
            let path = format!("functions/{}/invoke", segment(function));
            let request = OwnRequest::new("POST", path).with_body(json!({ "event": event }));
            let broken = match server.own(request).await {
                Ok(outcome) => of_verdict(&outcome["reply"]["verdict"]),
                // That nobody knows the function is a finding of its own.
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            findings.extend(
                broken.map(|broken| finding(broken, Spot::default(), agent, group, &operation)),
            );
        }
    }
    Ok(findings)
}

/// Calls the functions of a template's agent, in workers of this process.
pub(super) async fn here(found: &Found, config: &Config) -> Result<Vec<Told>, Failure> {
    let mut mappings: Vec<FunctionMapping> = Vec::new();
    for function in found.functions.values() {
        let runtime = local(function).map(FunctionRuntime::Local);
        if let Some(runtime) = runtime
            && mappings.iter().all(|known| known.pattern != function.name)
        {
            mappings.push(FunctionMapping {
                pattern: function.name.clone(),
                runtime,
            });
        }
    }
    let registry = compose::function_registry(config, mappings).await?;
    let mut findings = Vec::new();
    for group in &found.agent.groups {
        let name = text(group, "actionGroupName");
        let Some(function) = found.functions.get(name) else {
            continue;
        };
        for operation in operations(&found.agent, group) {
            let broken = call(&registry, function, name, &operation).await;
            let spot = found.spots.get(name).cloned().unwrap_or_default();
            findings.extend(
                broken.map(|broken| finding(broken, spot, &found.agent, group, &operation)),
            );
        }
    }
    registry.shutdown().await;
    Ok(findings)
}

/// The operations of a group; none where its schema cannot be read, which other rules tell.
fn operations(agent: &Agent, group: &Value) -> Vec<Operation> {
    let given = ActionGroupUse {
        agent_id: &agent.id,
        agent_name: &agent.name,
        group,
    };
    Contract.operations(&given).unwrap_or_default()
}

fn local(function: &Function) -> Option<LocalFunction> {
    let runtime = match function.runtime.as_str() {
        name if name.starts_with("python") => LocalRuntime::Python,
        name if name.starts_with("node") => LocalRuntime::Node,
        name if name.starts_with("provided") => LocalRuntime::Provided {
            command: Vec::new(),
        },
        _ => return None,
    };
    let mut local = LocalFunction::new(runtime, &function.code, &function.handler);
    local.timeout = Duration::from_secs(function.timeout_s);
    local.environment = function.environment.iter().cloned().collect();
    Some(local)
}

async fn call(
    registry: &FunctionRegistry,
    function: &Function,
    group: &str,
    operation: &Operation,
) -> Option<Broken> {
    let id = uuid::Uuid::new_v4().to_string();
    let call = ActionCall {
        function: function.name.clone(),
        event: operation.event.clone().into(),
        idempotency_key: format!("lint/{id}"),
        client_context: None,
        request_id: id,
        action: None,
    };
    let invoked = ActionExecutor::invoke(registry, call).await;
    let reply = match invoked {
        Ok(reply) => reply,
        Err(error) => {
            return Some(Broken {
                problem: format!("the call failed: {error}"),
                advice: "Correct what the handler needs to start".to_owned(),
            });
        }
    };
    let payload = String::from_utf8_lossy(&reply.payload);
    if reply.function_error.is_some() {
        return Some(failed(&payload));
    }
    let target = match &operation.kind {
        OperationKind::Function { name } => ActionTarget::Function { name: name.clone() },
        OperationKind::Api { path, method } => ActionTarget::Api {
            path: path.clone(),
            method: method.clone(),
            body_media_type: None,
        },
    };
    let read = lambda::read_reply(&reply.payload, group, &target, Strictness::Relaxed);
    read.err().map(|fault| broken(fault.message, fault.detail))
}

/// A handler that raised.
fn failed(payload: &str) -> Broken {
    let error: Value = serde_json::from_str(payload).unwrap_or_default();
    let what = match (text(&error, "errorType"), text(&error, "errorMessage")) {
        ("", "") => payload.to_owned(),
        ("", message) => message.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    };
    Broken {
        problem: format!("the handler failed on an example call: {what}"),
        advice: "Correct the handler, or catch what it may raise and tell the model".to_owned(),
    }
}

fn broken(message: String, detail: Option<String>) -> Broken {
    Broken {
        problem: format!(
            "the reply to an example call breaks the contract: {}",
            detail.unwrap_or(message)
        ),
        advice: "Correct the reply; `outcrop function invoke` shows it whole".to_owned(),
    }
}

fn of_verdict(verdict: &Value) -> Option<Broken> {
    if verdict["kind"] != "refused" {
        return None;
    }
    let message = text(verdict, "message").to_owned();
    Some(broken(
        message,
        verdict["detail"].as_str().map(str::to_owned),
    ))
}

fn finding(
    broken: Broken,
    spot: Spot,
    agent: &Agent,
    group: &Value,
    operation: &Operation,
) -> Told {
    let action = match &operation.kind {
        OperationKind::Function { name } => name.clone(),
        OperationKind::Api { path, method } => format!("{method} {path}"),
    };
    let name = text(group, "actionGroupName");
    told(
        spot,
        format!("{}: action group {name}, {action}", agent.name),
        "reply",
        Severity::Error,
        broken.problem,
        broken.advice,
    )
}
