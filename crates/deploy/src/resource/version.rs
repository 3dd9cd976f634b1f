//! `Outcrop::Bedrock::AgentVersion`: a version of an agent as it was where it was pulled from, number
//! and content, without touching the draft.
//!
//! AWS cuts versions of the draft only, so no resource type of CloudFormation says this. The server's
//! own endpoint brings a version to what it is told, whether it is there or not; so every step may be
//! repeated.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Created, Made};
use crate::api::{Api, ApiError, OwnRequest, segment};

/// What `Fn::GetAtt` gives.
pub(super) const ATTRIBUTES: [&str; 2] = ["AgentId", "Version"];

/// Brings the version to the definition.
pub(super) async fn put(api: &dyn Api, definition: &Value) -> Result<Created, ApiError> {
    let text = |member: &str| definition[member].as_str().unwrap_or_default();
    let (agent_id, number) = (text("agentId"), text("version"));
    let mut body = definition.clone();
    if let Value::Object(members) = &mut body {
        members.remove("agentId");
        members.remove("version");
    }
    let path = format!("agents/{}/versions/{}", segment(agent_id), segment(number));
    api.own(OwnRequest::new("PUT", path).with_body(body))
        .await?;
    Ok(Created {
        made: Made {
            physical: format!("{agent_id}|{number}"),
            attributes: BTreeMap::from([
                ("AgentId".to_owned(), json!(agent_id)),
                ("Version".to_owned(), json!(number)),
            ]),
            version: None,
        },
        stands: definition.clone(),
    })
}

pub(super) async fn delete(api: &dyn Api, made: &Made) -> Result<(), ApiError> {
    let input = json!({"agentId": made.text("AgentId"), "agentVersion": made.text("Version")});
    api.call("DeleteAgentVersion", input).await.map(drop)
}
