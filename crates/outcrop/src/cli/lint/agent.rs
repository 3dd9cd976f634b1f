//! An agent on a server: its draft, read over the API, and what the server knows of its functions.

use std::collections::BTreeMap;

use anyhow::anyhow;
use outcrop_deploy::api::{Api, OwnRequest, segment};
use outcrop_engine::lint::Severity;
use serde_json::{Value, json};

use super::place::Spot;
use super::report::Told;
use super::rules::{self, Nowhere, told};
use super::subject::{Agent, Runner, runner, text};
use crate::cli::Failure;
use crate::cli::remote::Remote;

/// Pages of a list; more agents or groups than that are no list to look through.
const PAGES: usize = 50;

/// The draft of an agent, by id or name.
pub(in crate::cli) async fn read(server: &Remote, wanted: &str) -> Result<Agent, Failure> {
    let id = find(server, wanted).await?;
    let answer = server.call("GetAgent", json!({"agentId": id})).await?;
    let own = answer["agent"].clone();
    let schemas = schemas(server, &id).await?;
    let mut groups = Vec::new();
    let input = json!({"agentId": id, "agentVersion": "DRAFT"});
    for summary in list(
        server,
        "ListAgentActionGroups",
        input,
        "actionGroupSummaries",
    )
    .await?
    {
        let group_id = text(&summary, "actionGroupId");
        let input = json!({"agentId": id, "agentVersion": "DRAFT", "actionGroupId": group_id});
        let answer = server.call("GetAgentActionGroup", input).await?;
        let mut group = answer["agentActionGroup"].clone();
        let name = text(&group, "actionGroupName").to_owned();
        if let Some(schema) = schemas.get(&name) {
            group["apiSchema"] = json!({"payload": schema});
        }
        groups.push(group);
    }
    Ok(Agent {
        name: text(&own, "agentName").to_owned(),
        id,
        own,
        groups,
    })
}

async fn find(server: &Remote, wanted: &str) -> Result<String, Failure> {
    for agent in list(server, "ListAgents", json!({}), "agentSummaries").await? {
        if [text(&agent, "agentId"), text(&agent, "agentName")].contains(&wanted) {
            return Ok(text(&agent, "agentId").to_owned());
        }
    }
    Err(Failure::Refused(anyhow!(
        "there is no agent with the id or name {wanted}"
    )))
}

async fn list(
    server: &Remote,
    operation: &'static str,
    mut input: Value,
    member: &str,
) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let mut page = server.call(operation, input.clone()).await?;
        if let Some(items) = page[member].as_array_mut() {
            all.append(items);
        }
        match page["nextToken"].take() {
            Value::Null => return Ok(all),
            token => input["nextToken"] = token,
        }
    }
    Err(Failure::Refused(anyhow!(
        "{operation} gave more than {PAGES} pages"
    )))
}

/// The texts of the schemas that lie in the server's buckets, by group.
async fn schemas(server: &Remote, id: &str) -> Result<BTreeMap<String, String>, Failure> {
    let path = format!("agents/{}/schemas", segment(id));
    let answer = server.own(OwnRequest::new("GET", path)).await?;
    let schemas = answer["schemas"].as_object().into_iter().flatten();
    Ok(schemas
        .filter_map(|(name, schema)| Some((name.clone(), schema.as_str()?.to_owned())))
        .collect())
}

/// Everything to find about an agent without calling its functions.
pub(super) async fn look(server: &Remote, agent: &Agent) -> Result<Vec<Told>, Failure> {
    let mut findings = rules::agent(agent, &Nowhere);
    for group in &agent.groups {
        let Runner::Named(reference) = runner(group) else {
            continue;
        };
        let name = text(group, "actionGroupName");
        let path = format!("functions/{}/runner", segment(reference));
        let answer = server.own(OwnRequest::new("GET", path)).await?;
        if answer["known"] == false {
            findings.push(rules::unknown(reference).at(Spot::default(), name));
        }
        let missing = &answer["missing"];
        if missing.is_object() {
            let severity = if missing["isCertain"] == true {
                Severity::Error
            } else {
                Severity::Warning
            };
            findings.push(told(
                Spot::default(),
                format!("{}: action group {name}", agent.name),
                "handler",
                severity,
                text(missing, "problem").to_owned(),
                text(missing, "advice").to_owned(),
            ));
        }
    }
    Ok(findings)
}
