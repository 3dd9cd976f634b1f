//! `AWS::Bedrock::Agent`: an agent's draft with its action groups, knowledge bases, collaborators.
//!
//! The parts are known by name, so that a run that finds half of them there goes on from there. What
//! a template never named is left alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Change, Created, Made, attributes_of, fit, list, list_all, tags, with_token};
use crate::api::{Api, ApiError};

/// What `Fn::GetAtt` gives.
pub(super) const ATTRIBUTES: [&str; 9] = [
    "AgentArn",
    "AgentId",
    "AgentStatus",
    "AgentVersion",
    "CreatedAt",
    "FailureReasons",
    "PreparedAt",
    "RecommendedActions",
    "UpdatedAt",
];

/// Members of a definition that `CreateAgent` does not take.
const PARTS: [&str; 6] = [
    "actionGroups",
    "knowledgeBases",
    "agentCollaborators",
    "autoPrepare",
    "skipResourceInUseCheckOnDelete",
    "testAliasTags",
];

/// One list of an agent's parts, and the operations over it.
struct Part {
    member: &'static str,
    /// The member of an element that names it.
    name: &'static str,
    list: &'static str,
    summaries: &'static str,
    /// The member of a summary by which the API knows it.
    id: &'static str,
    create: (&'static str, &'static str),
    update: (&'static str, &'static str),
    delete: (&'static str, &'static str),
}

const LISTS: [Part; 3] = [
    Part {
        member: "actionGroups",
        name: "actionGroupName",
        list: "ListAgentActionGroups",
        summaries: "actionGroupSummaries",
        id: "actionGroupId",
        create: ("CreateAgentActionGroup", "CreateAgentActionGroupRequest"),
        update: ("UpdateAgentActionGroup", "UpdateAgentActionGroupRequest"),
        delete: ("DeleteAgentActionGroup", "DeleteAgentActionGroupRequest"),
    },
    Part {
        member: "knowledgeBases",
        name: "knowledgeBaseId",
        list: "ListAgentKnowledgeBases",
        summaries: "agentKnowledgeBaseSummaries",
        id: "knowledgeBaseId",
        create: (
            "AssociateAgentKnowledgeBase",
            "AssociateAgentKnowledgeBaseRequest",
        ),
        update: (
            "UpdateAgentKnowledgeBase",
            "UpdateAgentKnowledgeBaseRequest",
        ),
        delete: (
            "DisassociateAgentKnowledgeBase",
            "DisassociateAgentKnowledgeBaseRequest",
        ),
    },
    Part {
        member: "agentCollaborators",
        name: "collaboratorName",
        list: "ListAgentCollaborators",
        summaries: "agentCollaboratorSummaries",
        id: "collaboratorId",
        create: (
            "AssociateAgentCollaborator",
            "AssociateAgentCollaboratorRequest",
        ),
        update: ("UpdateAgentCollaborator", "UpdateAgentCollaboratorRequest"),
        delete: (
            "DisassociateAgentCollaborator",
            "DisassociateAgentCollaboratorRequest",
        ),
    },
];

pub(super) async fn create(
    api: &dyn Api,
    definition: &Value,
    token: &str,
) -> Result<Created, ApiError> {
    let input = with_token(fit("CreateAgentRequest", definition), token);
    let answer = api.call("CreateAgent", input).await?;
    let mut stands = definition.clone();
    if let Value::Object(members) = &mut stands {
        members.retain(|name, _| !PARTS.contains(&name.as_str()));
    }
    Ok(Created {
        made: made(&answer["agent"]),
        stands,
    })
}

fn made(agent: &Value) -> Made {
    Made {
        physical: agent["agentId"].as_str().unwrap_or_default().to_owned(),
        attributes: attributes_of(agent, &ATTRIBUTES),
        version: None,
    }
}

pub(super) async fn converge(api: &dyn Api, change: &Change<'_>) -> Result<Made, ApiError> {
    let agent_id = change.made.physical.as_str();
    let mut live = Vec::new();
    for part in &LISTS {
        live.push(if change.is_same(part.member) {
            None
        } else {
            Some(remove(api, part, agent_id, change).await?)
        });
    }
    let mut own = std::iter::once(change.target)
        .chain(change.before)
        .flat_map(own_members);
    if !own.all(|name| change.is_same(name)) {
        let mut input = fit("UpdateAgentRequest", change.target);
        input.insert("agentId".to_owned(), json!(agent_id));
        api.call("UpdateAgent", Value::Object(input)).await?;
    }
    for (part, live) in LISTS.iter().zip(&live) {
        if let Some(live) = live {
            bring(api, part, agent_id, change, live).await?;
        }
    }
    let arn = change.made.text("AgentArn");
    tags::converge(api, change, "tags", arn).await?;
    let test_alias = arn.replacen(":agent/", ":agent-alias/", 1) + "/TSTALIASID";
    tags::converge(api, change, "testAliasTags", &test_alias).await?;
    if change.target.get("autoPrepare") == Some(&Value::Bool(true)) && !change.is_settled() {
        api.call("PrepareAgent", json!({"agentId": agent_id}))
            .await?;
    }
    let answer = api.call("GetAgent", json!({"agentId": agent_id})).await?;
    Ok(made(&answer["agent"]))
}

/// The members that are the agent's own; tags have operations of their own.
fn own_members(definition: &Value) -> impl Iterator<Item = &str> {
    let members = definition.as_object().into_iter().flatten();
    members
        .map(|(name, _)| name.as_str())
        .filter(|name| !PARTS.contains(name) && *name != "tags")
}

/// Ids of the parts there are, by name.
type Live = BTreeMap<String, String>;

/// Removes the parts that were named and are named no longer.
async fn remove(
    api: &dyn Api,
    part: &Part,
    agent_id: &str,
    change: &Change<'_>,
) -> Result<Live, ApiError> {
    let input = Value::Object(on_draft(agent_id));
    let summaries = list_all(api, part.list, &input, part.summaries).await?;
    let text = |value: &Value, member: &str| value[member].as_str().map(str::to_owned);
    let mut live: Live = summaries
        .iter()
        .filter_map(|summary| Some((text(summary, part.name)?, text(summary, part.id)?)))
        .collect();
    let wanted: Vec<&str> = list(change.target, part.member)
        .iter()
        .filter_map(|element| element[part.name].as_str())
        .collect();
    for element in change.elements_before(part.member) {
        let name = element[part.name].as_str().unwrap_or_default();
        if wanted.contains(&name) {
            continue;
        }
        if let Some(id) = live.remove(name) {
            let (operation, shape) = part.delete;
            let mut input = on_draft(agent_id);
            input.insert(part.id.to_owned(), json!(id));
            // What the template dropped is no longer in use by what it describes.
            input.insert("skipResourceInUseCheck".to_owned(), json!(true));
            let input = fit(shape, &Value::Object(input));
            match api.call(operation, Value::Object(input)).await {
                Err(error) if error.is_not_found() => {}
                other => drop(other?),
            }
        }
    }
    Ok(live)
}

/// Makes and changes parts as the definition has them.
async fn bring(
    api: &dyn Api,
    part: &Part,
    agent_id: &str,
    change: &Change<'_>,
    live: &Live,
) -> Result<(), ApiError> {
    for element in list(change.target, part.member) {
        let name = element[part.name].as_str().unwrap_or_default();
        let id = live.get(name);
        let is_same = change
            .before
            .iter()
            .all(|before| list(before, part.member).contains(element));
        let (operation, shape) = match id {
            Some(_) if is_same => continue,
            Some(_) => part.update,
            None => part.create,
        };
        let mut input = fit(shape, element);
        input.extend(on_draft(agent_id));
        if let Some(id) = id {
            input.insert(part.id.to_owned(), json!(id));
        }
        api.call(operation, Value::Object(input)).await?;
    }
    Ok(())
}

fn on_draft(agent_id: &str) -> Map<String, Value> {
    let draft = [("agentId", agent_id), ("agentVersion", "DRAFT")];
    draft
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

pub(super) async fn delete(api: &dyn Api, made: &Made, definition: &Value) -> Result<(), ApiError> {
    let skip = definition.get("skipResourceInUseCheckOnDelete");
    let skip = skip.cloned().unwrap_or(Value::Bool(false));
    let input = json!({"agentId": made.physical, "skipResourceInUseCheck": skip});
    api.call("DeleteAgent", input).await.map(drop)
}
