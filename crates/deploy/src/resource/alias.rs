//! `AWS::Bedrock::AgentAlias`. Without a routing of its own it serves what the template describes:
//! when the agent changes, a version is cut and the alias moves to it.
//!
//! The definition carries a hash of the agent it stands for ([`CONTENT`]); a difference there is what
//! moves the alias, also when the run that changed the agent was cut short.

use serde_json::{Map, Value, json};

use super::{Change, Created, Made, attributes_of, fit, tags, with_token};
use crate::api::{Api, ApiError};

/// The member of a definition that holds the hash of the agent's content.
pub const CONTENT: &str = "agentContent";

/// What `Fn::GetAtt` gives.
pub(super) const ATTRIBUTES: [&str; 6] = [
    "AgentAliasArn",
    "AgentAliasId",
    "AgentAliasStatus",
    "AgentAliasHistoryEvents",
    "CreatedAt",
    "UpdatedAt",
];

pub(super) async fn create(
    api: &dyn Api,
    definition: &Value,
    token: &str,
) -> Result<Created, ApiError> {
    let agent_id = &definition["agentId"];
    if is_unrouted(definition) {
        prepare(api, agent_id).await?;
    }
    let input = with_token(fit("CreateAgentAliasRequest", definition), token);
    let answer = api.call("CreateAgentAlias", input).await?;
    let alias_id = &answer["agentAlias"]["agentAliasId"];
    let mut made = read(api, agent_id, alias_id).await?;
    // A new alias takes invocations; only a change makes it refuse them.
    if definition.get("aliasInvocationState").is_some() {
        let mut input = fit("UpdateAgentAliasRequest", definition);
        input.extend(keys(agent_id, alias_id));
        input.insert("routingConfiguration".to_owned(), routing(&made));
        api.call("UpdateAgentAlias", Value::Object(input)).await?;
        made = read(api, agent_id, alias_id).await?;
    }
    Ok(Created {
        made,
        stands: definition.clone(),
    })
}

fn is_unrouted(definition: &Value) -> bool {
    definition.get("routingConfiguration").is_none()
}

async fn prepare(api: &dyn Api, agent_id: &Value) -> Result<(), ApiError> {
    let input = json!({ "agentId": agent_id });
    api.call("PrepareAgent", input).await.map(drop)
}

/// The alias as it is now.
async fn read(api: &dyn Api, agent_id: &Value, alias_id: &Value) -> Result<Made, ApiError> {
    let input = json!({"agentId": agent_id, "agentAliasId": alias_id});
    let answer = api.call("GetAgentAlias", input).await?;
    let alias = &answer["agentAlias"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Made {
        physical: format!("{}|{}", text(agent_id), text(alias_id)),
        attributes: attributes_of(alias, &ATTRIBUTES),
        version: alias["routingConfiguration"][0]["agentVersion"]
            .as_str()
            .map(str::to_owned),
    })
}

pub(super) async fn converge(api: &dyn Api, change: &Change<'_>) -> Result<Made, ApiError> {
    let (agent_id, alias_id) = ids(change.made);
    let live = read(api, &agent_id, &alias_id).await?;
    if change.is_settled() {
        return Ok(live);
    }
    let mut input = fit("UpdateAgentAliasRequest", change.target);
    input.extend(keys(&agent_id, &alias_id));
    if is_unrouted(change.target) {
        let is_content_same = change.is_same(CONTENT) && change.is_same("routingConfiguration");
        let is_moved = change
            .version_before
            .is_some_and(|version| live.version.as_deref() != Some(version));
        if is_content_same || is_moved {
            // Saying nothing would cut a version of what has not changed, or has been cut already.
            input.insert("routingConfiguration".to_owned(), routing(&live));
        } else {
            prepare(api, &agent_id).await?;
        }
    }
    api.call("UpdateAgentAlias", Value::Object(input)).await?;
    tags::converge(api, change, "tags", live.text("AgentAliasArn")).await?;
    read(api, &agent_id, &alias_id).await
}

fn routing(made: &Made) -> Value {
    json!([{"agentVersion": made.version}])
}

/// Puts an alias back to its definition and the version it had; the version cut meanwhile goes.
pub(crate) async fn put_back(api: &dyn Api, change: &Change<'_>) -> Result<Made, ApiError> {
    let (agent_id, alias_id) = ids(change.made);
    let live = read(api, &agent_id, &alias_id).await?;
    let mut input = fit("UpdateAgentAliasRequest", change.target);
    input.extend(keys(&agent_id, &alias_id));
    if change.made.version.is_some() {
        input.insert("routingConfiguration".to_owned(), routing(change.made));
    }
    api.call("UpdateAgentAlias", Value::Object(input)).await?;
    tags::converge(api, change, "tags", live.text("AgentAliasArn")).await?;
    if live.version != change.made.version
        && let Some(cut) = live.version
    {
        delete_version(api, &agent_id, &cut).await?;
    }
    read(api, &agent_id, &alias_id).await
}

/// Removes a version cut for an alias. One that another alias has been pointed to since is theirs.
async fn delete_version(api: &dyn Api, agent_id: &Value, version: &str) -> Result<(), ApiError> {
    let input = json!({"agentId": agent_id, "agentVersion": version});
    match api.call("DeleteAgentVersion", input).await {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        other => other.map(drop),
    }
}

fn ids(made: &Made) -> (Value, Value) {
    let (agent_id, alias_id) = made.physical.split_once('|').unwrap_or_default();
    (json!(agent_id), json!(alias_id))
}

fn keys(agent_id: &Value, alias_id: &Value) -> Map<String, Value> {
    [("agentId", agent_id), ("agentAliasId", alias_id)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

pub(super) async fn delete(api: &dyn Api, made: &Made, definition: &Value) -> Result<(), ApiError> {
    let (agent_id, alias_id) = ids(made);
    let live = read(api, &agent_id, &alias_id).await?;
    let input = Value::Object(keys(&agent_id, &alias_id));
    api.call("DeleteAgentAlias", input).await?;
    if let Some(version) = live.version.filter(|_| is_unrouted(definition)) {
        delete_version(api, &agent_id, &version).await?;
    }
    Ok(())
}
