//! `PUT /_outcrop/v1/agents/{id}/versions/{number}`: a version as it was where its agent was copied
//! from.
//!
//! Answers `null`. The body has the members of `CreateAgent`, and lists of what
//! `CreateAgentActionGroup`, `AssociateAgentCollaborator` and `AssociateAgentKnowledgeBase` take,
//! without the agent's id.

use outcrop_model::control;
use outcrop_model::control::{
    AssociateAgentCollaboratorRequest, AssociateAgentKnowledgeBaseRequest,
    CreateAgentActionGroupRequest,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_service::Service;
use outcrop_service::control::{NUMBER_MAX, Restored};
use outcrop_wire::schema::Schema;
use outcrop_wire::shape;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Brings the version to what the body says.
///
/// # Errors
/// See [`Service::restore_version`]; a body that is none is a `ValidationException`.
pub(crate) async fn put(
    service: &Service,
    cx: &CallContext,
    agent_id: &str,
    number: &str,
    body: &[u8],
) -> Result<(), Exception> {
    // A version is restored once in its life; keeping a schema for that would cost more.
    let schema = Schema::new(&control::tables::SERVICE);
    let restored = read(&schema, agent_id, number, body)?;
    service.restore_version(cx, agent_id, &restored).await
}

fn read(schema: &Schema, agent_id: &str, number: &str, body: &[u8]) -> Result<Restored, Exception> {
    let number = number
        .parse()
        .ok()
        .filter(|number| (1..=NUMBER_MAX).contains(number))
        .ok_or_else(|| {
            Exception::validation(format!(
                "{number} is no version number; it is a whole number from 1 to {NUMBER_MAX}"
            ))
        })?;
    let body = serde_json::from_slice(body)
        .map_err(|error| Exception::validation(format!("The body is no JSON object: {error}")))?;
    let mut members: Map<String, Value> = body;
    let mut list = |member: &str| match members.remove(member) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Exception::validation(format!("{member} must be a list"))),
    };
    let groups = list("actionGroups")?;
    let collaborators = list("agentCollaborators")?;
    let bases = list("knowledgeBases")?;
    Ok(Restored {
        number,
        agent: shape::read(schema, "CreateAgentRequest", Value::Object(members))?,
        action_groups: parts::<CreateAgentActionGroupRequest>(
            schema,
            "CreateAgentActionGroupRequest",
            agent_id,
            groups,
        )?,
        collaborators: parts::<AssociateAgentCollaboratorRequest>(
            schema,
            "AssociateAgentCollaboratorRequest",
            agent_id,
            collaborators,
        )?,
        knowledge_bases: parts::<AssociateAgentKnowledgeBaseRequest>(
            schema,
            "AssociateAgentKnowledgeBaseRequest",
            agent_id,
            bases,
        )?,
    })
}

/// Parts of an agent, as the requests that would make them of a draft.
fn parts<T: DeserializeOwned>(
    schema: &Schema,
    name: &str,
    agent_id: &str,
    items: Vec<Value>,
) -> Result<Vec<T>, Exception> {
    let read = |mut item: Value| {
        if let Value::Object(members) = &mut item {
            members.insert("agentId".to_owned(), json!(agent_id));
            members.insert("agentVersion".to_owned(), json!("DRAFT"));
        }
        shape::read(schema, name, item)
    };
    items.into_iter().map(read).collect()
}
