//! Versions: what was prepared, under a number, for ever.
//!
//! There is no operation that makes one; [`super::aliases`] cuts them. DRAFT is listed among them,
//! as clients expect that pick the numbered ones out.

mod restore;

use outcrop_model::control::{
    Agent, AgentAlias, AgentAliasStatus, AgentStatus, AgentVersion, AgentVersionSummary,
    DeleteAgentVersionRequest, DeleteAgentVersionResponse, GetAgentVersionRequest,
    GetAgentVersionResponse, ListAgentVersionsRequest, ListAgentVersionsResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Order, Write};

use super::paging::List;
use super::{
    DRAFT, GONE, OF_VERSION, Refused, aliases, gone, guard, prompts, quotas, version_parent,
};
use crate::records::{AgentDoc, PreparedDoc, Scope, Stored, VersionDoc, kind, put};
use crate::{Service, scope};

pub use restore::{NUMBER_MAX, Restored};

impl Handle<op::GetAgentVersion> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentVersionRequest,
    ) -> Result<GetAgentVersionResponse, Exception> {
        let key = key(&scope(cx), &input.agent_id, &input.agent_version);
        match self.load::<VersionDoc>(key).await? {
            Some(version) => Ok(GetAgentVersionResponse {
                agent_version: version.body.version,
            }),
            None => Err(self.missing(cx, &input.agent_id, GONE.to_owned()).await),
        }
    }
}

impl Handle<op::ListAgentVersions> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAgentVersionsRequest,
    ) -> Result<ListAgentVersionsResponse, Exception> {
        let agent = self.agent(cx, &input.agent_id).await?;
        let list = List {
            operation: op::ListAgentVersions::SPEC.name,
            scope: &scope(cx),
            kind: kind::VERSION,
            parent: &input.agent_id,
            order: Order::Created,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let (with_draft, versions, next_token) = self.list_versions(&list, page).await?;
        let draft = with_draft.then(|| draft_summary(agent.body.agent));
        let agent_version_summaries = draft
            .into_iter()
            .chain(versions.into_iter().map(summary))
            .collect();
        Ok(ListAgentVersionsResponse {
            agent_version_summaries,
            next_token,
        })
    }
}

impl Handle<op::DeleteAgentVersion> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteAgentVersionRequest,
    ) -> Result<DeleteAgentVersionResponse, Exception> {
        let attempt = || self.delete_version(cx, &input);
        self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(DeleteAgentVersionResponse {
            agent_id: input.agent_id,
            agent_status: AgentStatus::Deleting,
            agent_version: input.agent_version,
        })
    }
}

impl Service {
    async fn delete_version(
        &self,
        cx: &CallContext,
        input: &DeleteAgentVersionRequest,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let (agent_id, number) = (input.agent_id.as_str(), input.agent_version.as_str());
        let agent = self.agent(cx, agent_id).await?;
        let version_key = key(&scope, agent_id, number);
        let version = self.load::<VersionDoc>(version_key).await?;
        let version = version.ok_or_else(gone)?;
        let aliases = self
            .children::<AgentAlias>(&scope, kind::ALIAS, agent_id)
            .await?;
        let mut routed: Vec<_> = aliases
            .into_iter()
            .filter(|alias| aliases::routes_to(&alias.body, number))
            .collect();
        if input.skip_resource_in_use_check != Some(true)
            && let Some(alias) = routed.first()
        {
            return Err(Exception::conflict(format!(
                "Could not perform Delete operation, since the agent version {agent_id}/{number} is in use by the alias {} (id: {})",
                alias.body.agent_alias_name, alias.key.id
            ))
            .into());
        }
        let mut writes = vec![
            guard(&agent),
            Write::Delete {
                key: version.key,
                expect: Expect::Revision(version.revision),
            },
        ];
        writes.extend(OF_VERSION.map(|kind| Write::DeleteChildren {
            scope: scope.0.clone(),
            kind,
            parent: version_parent(agent_id, number).into(),
        }));
        for alias in &mut routed {
            alias.body.agent_alias_status = AgentAliasStatus::Dissociated;
            alias.body.updated_at = self.now();
            writes.push(alias.put(Some(&alias.body.agent_alias_name)));
        }
        self.write(writes).await?;
        Ok(())
    }

    /// Gives what is prepared the next number. The agent counts it; writing the agent is left to the
    /// caller, whose guard it is.
    pub(super) fn cut_version(
        &self,
        scope: &Scope,
        agent: &mut Stored<AgentDoc>,
        prepared: PreparedDoc,
    ) -> Result<(String, Vec<Write>), Exception> {
        let last = agent.body.last_version.saturating_add(1);
        quotas::VERSIONS.check(last as usize, self.settings.strictness)?;
        agent.body.last_version = last;
        let number = last.to_string();
        let agent_id = agent.body.agent.agent_id.as_str();
        let writes = numbered(
            scope,
            agent_id,
            &number,
            prepared,
            Expect::Absent,
            self.now(),
        );
        Ok((number, writes))
    }
}

/// What is written of a version.
fn numbered(
    scope: &Scope,
    agent_id: &str,
    number: &str,
    prepared: PreparedDoc,
    expect: Expect,
    now: Timestamp,
) -> Vec<Write> {
    let document = VersionDoc {
        version: version(prepared.agent, number, now),
        plan: prepared.plan,
    };
    let mut writes = vec![put(key(scope, agent_id, number), &document, expect, None)];
    let parent = version_parent(agent_id, number);
    for mut group in prepared.action_groups {
        number.clone_into(&mut group.agent_version);
        let key = scope.key(kind::ACTION_GROUP, &parent, &group.action_group_id);
        writes.push(put(
            key,
            &group,
            Expect::Absent,
            Some(&group.action_group_name),
        ));
    }
    for mut collaborator in prepared.collaborators {
        number.clone_into(&mut collaborator.agent_version);
        let key = scope.key(kind::COLLABORATOR, &parent, &collaborator.collaborator_id);
        let name = Some(collaborator.collaborator_name.as_str());
        writes.push(put(key, &collaborator, Expect::Absent, name));
    }
    for mut base in prepared.knowledge_bases {
        number.clone_into(&mut base.agent_version);
        let key = scope.key(kind::AGENT_KNOWLEDGE_BASE, &parent, &base.knowledge_base_id);
        writes.push(put(key, &base, Expect::Absent, None));
    }
    writes
}

pub(super) fn key(scope: &Scope, agent_id: &str, number: &str) -> Key {
    scope.key(kind::VERSION, agent_id, number)
}

fn version(agent: Agent, number: &str, now: Timestamp) -> AgentVersion {
    let shown = prompts::shown(&agent);
    AgentVersion {
        agent_arn: agent.agent_arn,
        agent_collaboration: agent.agent_collaboration,
        agent_id: agent.agent_id,
        agent_name: agent.agent_name,
        agent_resource_role_arn: agent.agent_resource_role_arn,
        agent_status: AgentStatus::Prepared,
        created_at: now,
        customer_encryption_key_arn: agent.customer_encryption_key_arn,
        description: agent.description,
        failure_reasons: None,
        foundation_model: agent.foundation_model,
        guardrail_configuration: agent.guardrail_configuration,
        idle_session_ttl_in_seconds: agent.idle_session_ttl_in_seconds,
        instruction: agent.instruction,
        memory_configuration: agent.memory_configuration,
        prompt_override_configuration: Some(shown),
        recommended_actions: None,
        updated_at: now,
        version: number.to_owned(),
    }
}

fn summary(document: VersionDoc) -> AgentVersionSummary {
    let version = document.version;
    AgentVersionSummary {
        agent_name: version.agent_name,
        agent_status: version.agent_status,
        agent_version: version.version,
        created_at: version.created_at,
        description: version.description,
        guardrail_configuration: version.guardrail_configuration,
        updated_at: version.updated_at,
    }
}

fn draft_summary(agent: Agent) -> AgentVersionSummary {
    AgentVersionSummary {
        agent_name: agent.agent_name,
        agent_status: agent.agent_status,
        agent_version: DRAFT.to_owned(),
        created_at: agent.created_at,
        description: agent.description,
        guardrail_configuration: agent.guardrail_configuration,
        updated_at: agent.updated_at,
    }
}
