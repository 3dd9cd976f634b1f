//! Action groups: those of DRAFT are edited, those of versions only read.
//!
//! An edit leaves the agent's status alone; what is served changes with the next `PrepareAgent`.

use outcrop_model::control::{
    ActionGroupState, ActionGroupSummary, AgentActionGroup, CreateAgentActionGroupRequest,
    CreateAgentActionGroupResponse, DeleteAgentActionGroupRequest, DeleteAgentActionGroupResponse,
    GetAgentActionGroupRequest, GetAgentActionGroupResponse, ListAgentActionGroupsRequest,
    ListAgentActionGroupsResponse, UpdateAgentActionGroupRequest, UpdateAgentActionGroupResponse,
    ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Write};

use super::paging::VersionList;
use super::{DRAFT, Refused, gone, guard, name_conflict, version_parent};
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};

impl Handle<op::CreateAgentActionGroup> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateAgentActionGroupRequest,
    ) -> Result<CreateAgentActionGroupResponse, Exception> {
        let attempt = || self.create_group(cx, &input);
        let agent_action_group = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(CreateAgentActionGroupResponse { agent_action_group })
    }
}

impl Handle<op::GetAgentActionGroup> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentActionGroupRequest,
    ) -> Result<GetAgentActionGroupResponse, Exception> {
        let version = input.agent_version.as_str();
        self.check_agent_version(cx, &input.agent_id, version)
            .await?;
        let key = key(&scope(cx), &input.agent_id, version, &input.action_group_id);
        let group = self.load(key).await?.ok_or_else(gone)?;
        Ok(GetAgentActionGroupResponse {
            agent_action_group: group.body,
        })
    }
}

impl Handle<op::UpdateAgentActionGroup> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateAgentActionGroupRequest,
    ) -> Result<UpdateAgentActionGroupResponse, Exception> {
        let group_id = input.action_group_id.clone();
        let input = definition(input);
        let attempt = || self.update_group(cx, &group_id, &input);
        let agent_action_group = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(UpdateAgentActionGroupResponse { agent_action_group })
    }
}

impl Handle<op::DeleteAgentActionGroup> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteAgentActionGroupRequest,
    ) -> Result<DeleteAgentActionGroupResponse, Exception> {
        let attempt = || self.delete_group(cx, &input);
        self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(DeleteAgentActionGroupResponse {})
    }
}

impl Handle<op::ListAgentActionGroups> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAgentActionGroupsRequest,
    ) -> Result<ListAgentActionGroupsResponse, Exception> {
        self.check_agent_version(cx, &input.agent_id, &input.agent_version)
            .await?;
        let list = VersionList {
            operation: op::ListAgentActionGroups::SPEC.name,
            kind: kind::ACTION_GROUP,
            agent_id: &input.agent_id,
            version: &input.agent_version,
            made_at: |group: &AgentActionGroup| group.created_at,
        };
        let (groups, next_token) = self
            .list_of_version(
                &scope(cx),
                &list,
                input.max_results,
                input.next_token.as_deref(),
            )
            .await?;
        Ok(ListAgentActionGroupsResponse {
            action_group_summaries: groups.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    /// The other groups of the draft.
    async fn other_groups(
        &self,
        scope: &Scope,
        agent_id: &str,
        group_id: &str,
    ) -> Result<Vec<Stored<AgentActionGroup>>, Exception> {
        let parent = version_parent(agent_id, DRAFT);
        let mut groups = self.children(scope, kind::ACTION_GROUP, &parent).await?;
        groups.retain(|group: &Stored<AgentActionGroup>| &*group.key.id != group_id);
        Ok(groups)
    }

    async fn create_group(
        &self,
        cx: &CallContext,
        input: &CreateAgentActionGroupRequest,
    ) -> Result<AgentActionGroup, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreateAgentActionGroup>(cx, client_token, input)
            .await?;
        let agent = self.agent_of_version(cx, agent_id, DRAFT).await?;
        if let Some(made) = &token.made
            && let Some(group) = self.load(key(&scope, agent_id, DRAFT, made)).await?
        {
            return Ok(group.body);
        }
        let now = self.now();
        let group_id = self.ports.ids.resource_id();
        let group = new_group(&group_id, input, now);
        let others = self.other_groups(&scope, agent_id, &group_id).await?;
        self.check_action_group(&group, &others, "Create").await?;
        let mut writes: Vec<Write> = token.remember(&group_id, now).into_iter().collect();
        writes.push(guard(&agent));
        writes.push(put(
            key(&scope, agent_id, DRAFT, &group_id),
            &group,
            Expect::Absent,
            Some(&group.action_group_name),
        ));
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Create", &input.action_group_name))?;
        Ok(group)
    }

    async fn update_group(
        &self,
        cx: &CallContext,
        group_id: &str,
        input: &CreateAgentActionGroupRequest,
    ) -> Result<AgentActionGroup, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let agent = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let mut stored = self.draft_group(&scope, agent_id, group_id).await?;
        stored.body = AgentActionGroup {
            client_token: stored.body.client_token,
            created_at: stored.body.created_at,
            ..new_group(group_id, input, self.now())
        };
        let others = self.other_groups(&scope, agent_id, group_id).await?;
        self.check_action_group(&stored.body, &others, "Update")
            .await?;
        let name = Some(stored.body.action_group_name.as_str());
        self.write(vec![guard(&agent), stored.put(name)])
            .await
            .map_err(|cause| name_conflict(cause, "Update", &input.action_group_name))?;
        Ok(stored.body)
    }

    async fn delete_group(
        &self,
        cx: &CallContext,
        input: &DeleteAgentActionGroupRequest,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let agent = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let group = self
            .draft_group(&scope, agent_id, &input.action_group_id)
            .await?;
        let is_enabled = group.body.action_group_state == ActionGroupState::Enabled;
        if is_enabled && input.skip_resource_in_use_check != Some(true) {
            return Err(Exception::conflict(format!(
                "ActionGroup with name {} cannot be deleted when it is Enabled. Either use SkipResourceInUseCheckOnDelete flag or mark it as Disabled.",
                group.body.action_group_name
            ))
            .into());
        }
        let removal = Write::Delete {
            key: group.key,
            expect: Expect::Revision(group.revision),
        };
        self.write(vec![guard(&agent), removal]).await?;
        Ok(())
    }

    async fn draft_group(
        &self,
        scope: &Scope,
        agent_id: &str,
        group_id: &str,
    ) -> Result<Stored<AgentActionGroup>, Exception> {
        let group = self.load(key(scope, agent_id, DRAFT, group_id)).await?;
        group.ok_or_else(gone)
    }
}

/// `UpdateAgentActionGroup` replaces the whole group, so it is read as a creation.
fn definition(input: UpdateAgentActionGroupRequest) -> CreateAgentActionGroupRequest {
    CreateAgentActionGroupRequest {
        action_group_executor: input.action_group_executor,
        action_group_name: input.action_group_name,
        action_group_state: input.action_group_state,
        agent_id: input.agent_id,
        agent_version: input.agent_version,
        api_schema: input.api_schema,
        client_token: None,
        description: input.description,
        function_schema: input.function_schema,
        parent_action_group_signature: input.parent_action_group_signature,
        parent_action_group_signature_params: input.parent_action_group_signature_params,
    }
}

/// The group a request defines.
pub(super) fn new_group(
    group_id: &str,
    input: &CreateAgentActionGroupRequest,
    now: Timestamp,
) -> AgentActionGroup {
    let input = input.clone();
    AgentActionGroup {
        action_group_executor: input.action_group_executor,
        action_group_id: group_id.to_owned(),
        action_group_name: input.action_group_name,
        action_group_state: input
            .action_group_state
            .unwrap_or(ActionGroupState::Enabled),
        agent_id: input.agent_id,
        agent_version: DRAFT.to_owned(),
        api_schema: input.api_schema,
        client_token: input.client_token,
        created_at: now,
        description: input.description,
        function_schema: input.function_schema,
        parent_action_group_signature_params: input.parent_action_group_signature_params,
        parent_action_signature: input.parent_action_group_signature,
        updated_at: now,
    }
}

fn key(scope: &Scope, agent_id: &str, version: &str, group_id: &str) -> Key {
    let parent = version_parent(agent_id, version);
    scope.key(kind::ACTION_GROUP, &parent, group_id)
}

fn summary(group: AgentActionGroup) -> ActionGroupSummary {
    ActionGroupSummary {
        action_group_id: group.action_group_id,
        action_group_name: group.action_group_name,
        action_group_state: group.action_group_state,
        description: group.description,
        updated_at: group.updated_at,
    }
}
