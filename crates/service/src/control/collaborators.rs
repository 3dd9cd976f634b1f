//! Collaborators: aliases of other agents that work for a supervisor (behaviour.md 7.6, 11).
//!
//! Those of DRAFT are edited, those of versions only read. An alias that a supervisor needs cannot be
//! deleted; [`uses`] tells who needs it.

mod uses;

use outcrop_engine::action::Strictness;
use outcrop_model::arn::AgentAliasArn;
use outcrop_model::control::{
    Agent, AgentAlias, AgentCollaboration, AgentCollaborator, AgentCollaboratorSummary,
    AgentDescriptor, AssociateAgentCollaboratorRequest, AssociateAgentCollaboratorResponse,
    DisassociateAgentCollaboratorRequest, DisassociateAgentCollaboratorResponse,
    GetAgentCollaboratorRequest, GetAgentCollaboratorResponse, ListAgentCollaboratorsRequest,
    ListAgentCollaboratorsResponse, RelayConversationHistory, UpdateAgentCollaboratorRequest,
    UpdateAgentCollaboratorResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Write};

use super::paging::VersionList;
use super::{
    DRAFT, GONE, Refused, TEST_ALIAS, aliases, gone, guard, name_conflict, quotas, version_parent,
};
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};
pub(super) use uses::{forget, in_use, remember};

/// Why an agent that does not supervise has no collaborators.
pub(super) const NOT_SUPERVISING: &str = "The AgentCollaboration attribute is set to DISABLED. Set it to SUPERVISOR or SUPERVISOR_ROUTER to add agent collaborators.";
/// What a collaborator is shown where nothing is said.
const RELAY_DEFAULT: RelayConversationHistory = RelayConversationHistory::Disabled;

impl Handle<op::AssociateAgentCollaborator> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: AssociateAgentCollaboratorRequest,
    ) -> Result<AssociateAgentCollaboratorResponse, Exception> {
        let attempt = || self.associate_collaborator(cx, &input);
        let agent_collaborator = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(AssociateAgentCollaboratorResponse { agent_collaborator })
    }
}

impl Handle<op::GetAgentCollaborator> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentCollaboratorRequest,
    ) -> Result<GetAgentCollaboratorResponse, Exception> {
        let version = input.agent_version.as_str();
        self.check_agent_version(cx, &input.agent_id, version)
            .await?;
        let key = key(&scope(cx), &input.agent_id, version, &input.collaborator_id);
        let collaborator = self.load(key).await?.ok_or_else(gone)?;
        Ok(GetAgentCollaboratorResponse {
            agent_collaborator: collaborator.body,
        })
    }
}

impl Handle<op::UpdateAgentCollaborator> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateAgentCollaboratorRequest,
    ) -> Result<UpdateAgentCollaboratorResponse, Exception> {
        let attempt = || self.update_collaborator(cx, &input);
        let agent_collaborator = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(UpdateAgentCollaboratorResponse { agent_collaborator })
    }
}

impl Handle<op::DisassociateAgentCollaborator> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DisassociateAgentCollaboratorRequest,
    ) -> Result<DisassociateAgentCollaboratorResponse, Exception> {
        let attempt = || self.disassociate_collaborator(cx, &input);
        self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(DisassociateAgentCollaboratorResponse {})
    }
}

impl Handle<op::ListAgentCollaborators> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAgentCollaboratorsRequest,
    ) -> Result<ListAgentCollaboratorsResponse, Exception> {
        self.check_agent_version(cx, &input.agent_id, &input.agent_version)
            .await?;
        let list = VersionList {
            operation: op::ListAgentCollaborators::SPEC.name,
            kind: kind::COLLABORATOR,
            agent_id: &input.agent_id,
            version: &input.agent_version,
            made_at: |collaborator: &AgentCollaborator| collaborator.created_at,
        };
        let (collaborators, next_token) = self
            .list_of_version(
                &scope(cx),
                &list,
                input.max_results,
                input.next_token.as_deref(),
            )
            .await?;
        Ok(ListAgentCollaboratorsResponse {
            agent_collaborator_summaries: collaborators.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    async fn associate_collaborator(
        &self,
        cx: &CallContext,
        input: &AssociateAgentCollaboratorRequest,
    ) -> Result<AgentCollaborator, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::AssociateAgentCollaborator>(cx, client_token, input)
            .await?;
        let supervisor = self.agent_of_version(cx, agent_id, DRAFT).await?;
        if let Some(made) = &token.made
            && let Some(known) = self.load(key(&scope, agent_id, DRAFT, made)).await?
        {
            return Ok(known.body);
        }
        check_supervises(&supervisor.body.agent)?;
        let alias = self
            .collaborator_alias(cx, agent_id, &input.agent_descriptor)
            .await?;
        let others = self.draft_collaborators(&scope, agent_id).await?;
        quotas::COLLABORATORS.check(others.len().saturating_add(1), self.settings.strictness)?;
        let now = self.now();
        let collaborator = new_collaborator(agent_id, self.ports.ids.resource_id(), input, now);
        let id = collaborator.collaborator_id.as_str();
        let mut writes: Vec<Write> = token.remember(id, now).into_iter().collect();
        writes.push(guard(&supervisor));
        writes.extend(remember(&scope, agent_id, &alias));
        writes.push(put(
            key(&scope, agent_id, DRAFT, id),
            &collaborator,
            Expect::Absent,
            Some(&collaborator.collaborator_name),
        ));
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Create", &input.collaborator_name))?;
        Ok(collaborator)
    }

    async fn update_collaborator(
        &self,
        cx: &CallContext,
        input: &UpdateAgentCollaboratorRequest,
    ) -> Result<AgentCollaborator, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let supervisor = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let key = key(&scope, agent_id, DRAFT, &input.collaborator_id);
        let mut stored = self
            .load::<AgentCollaborator>(key)
            .await?
            .ok_or_else(gone)?;
        let alias = self
            .collaborator_alias(cx, agent_id, &input.agent_descriptor)
            .await?;
        stored.body = AgentCollaborator {
            agent_descriptor: input.agent_descriptor.clone(),
            collaboration_instruction: input.collaboration_instruction.clone(),
            collaborator_name: input.collaborator_name.clone(),
            last_updated_at: self.now(),
            relay_conversation_history: input.relay_conversation_history.or(Some(RELAY_DEFAULT)),
            ..stored.body
        };
        let mut writes = vec![guard(&supervisor)];
        writes.extend(remember(&scope, agent_id, &alias));
        writes.push(stored.put(Some(&stored.body.collaborator_name)));
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Update", &input.collaborator_name))?;
        Ok(stored.body)
    }

    async fn disassociate_collaborator(
        &self,
        cx: &CallContext,
        input: &DisassociateAgentCollaboratorRequest,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let supervisor = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let key = key(&scope, agent_id, DRAFT, &input.collaborator_id);
        let stored = self
            .load::<AgentCollaborator>(key)
            .await?
            .ok_or_else(gone)?;
        let removal = Write::Delete {
            key: stored.key,
            expect: Expect::Revision(stored.revision),
        };
        self.write(vec![guard(&supervisor), removal]).await?;
        Ok(())
    }

    /// The collaborators of the draft, in order of association.
    pub(super) async fn draft_collaborators(
        &self,
        scope: &Scope,
        agent_id: &str,
    ) -> Result<Vec<AgentCollaborator>, Exception> {
        let parent = version_parent(agent_id, DRAFT);
        let mut collaborators: Vec<AgentCollaborator> = self
            .children(scope, kind::COLLABORATOR, &parent)
            .await?
            .into_iter()
            .map(|stored: Stored<AgentCollaborator>| stored.body)
            .collect();
        // The store orders by milliseconds; collaborators may be made faster.
        collaborators.sort_by_key(|collaborator| collaborator.created_at);
        Ok(collaborators)
    }

    /// The alias that a descriptor names, which must be another agent's of this account and region.
    async fn collaborator_alias(
        &self,
        cx: &CallContext,
        agent_id: &str,
        descriptor: &AgentDescriptor,
    ) -> Result<Stored<AgentAlias>, Exception> {
        let Some(text) = &descriptor.alias_arn else {
            return Err(refuse("agentDescriptor.aliasArn cannot be null".to_owned()));
        };
        let arn: AgentAliasArn = text
            .parse()
            .map_err(|_| refuse(format!("{text} is not the ARN of an agent alias")))?;
        if arn.account_id != cx.account_id || arn.region != cx.region {
            return Err(refuse(format!(
                "The agent alias {text} is not in the account {} and the region {} of the supervisor. A collaborator must be.",
                cx.account_id, cx.region
            )));
        }
        if arn.agent_id == agent_id {
            return Err(refuse(format!(
                "The agent {agent_id} cannot be a collaborator of itself"
            )));
        }
        // In AWS's words, as a user of it was told.
        if self.settings.strictness == Strictness::Strict && arn.alias_id == TEST_ALIAS {
            return Err(refuse(format!(
                "Agent {agent_id} cannot collaborate with {TEST_ALIAS} alias of another agent. Use a different alias to collaborate with."
            )));
        }
        let key = aliases::key(&scope(cx), &arn.agent_id, &arn.alias_id);
        let alias = self.load(key).await?;
        alias.ok_or_else(|| Exception::not_found(format!("{GONE} (There is no {text}.)")))
    }

    /// Refuses a collaborator whose alias was taken away with its agent.
    pub(super) async fn check_collaborators(
        &self,
        cx: &CallContext,
        collaborators: &[AgentCollaborator],
    ) -> Result<(), Exception> {
        self.aliases_of(cx, collaborators).await.map(drop)
    }

    /// The aliases that collaborators are.
    ///
    /// # Errors
    /// `ValidationException` naming the first collaborator that is none.
    pub(super) async fn aliases_of(
        &self,
        cx: &CallContext,
        collaborators: &[AgentCollaborator],
    ) -> Result<Vec<Stored<AgentAlias>>, Exception> {
        let mut aliases = Vec::with_capacity(collaborators.len());
        for collaborator in collaborators {
            let (agent_id, name) = (&collaborator.agent_id, &collaborator.collaborator_name);
            let alias = self
                .usable_alias(cx, agent_id, name, &collaborator.agent_descriptor)
                .await?;
            aliases.push(alias);
        }
        Ok(aliases)
    }

    /// The alias that the collaborator `name` of an agent is.
    ///
    /// # Errors
    /// `ValidationException` naming the collaborator, where it is none.
    pub(super) async fn usable_alias(
        &self,
        cx: &CallContext,
        agent_id: &str,
        name: &str,
        descriptor: &AgentDescriptor,
    ) -> Result<Stored<AgentAlias>, Exception> {
        let alias = self.collaborator_alias(cx, agent_id, descriptor).await;
        alias.map_err(|exception| {
            let problem = exception.message();
            Exception::validation(format!("The collaborator {name} cannot be used: {problem}"))
        })
    }
}

/// The collaborator a request defines.
pub(super) fn new_collaborator(
    agent_id: &str,
    collaborator_id: String,
    input: &AssociateAgentCollaboratorRequest,
    now: Timestamp,
) -> AgentCollaborator {
    AgentCollaborator {
        agent_descriptor: input.agent_descriptor.clone(),
        agent_id: agent_id.to_owned(),
        agent_version: DRAFT.to_owned(),
        client_token: input.client_token.clone(),
        collaboration_instruction: input.collaboration_instruction.clone(),
        collaborator_id,
        collaborator_name: input.collaborator_name.clone(),
        created_at: now,
        last_updated_at: now,
        relay_conversation_history: input.relay_conversation_history.or(Some(RELAY_DEFAULT)),
    }
}

/// Whether the agent's collaborators are of any use to it.
pub(super) fn supervises(agent: &Agent) -> Option<AgentCollaboration> {
    agent
        .agent_collaboration
        .filter(|collaboration| *collaboration != AgentCollaboration::Disabled)
}

fn check_supervises(agent: &Agent) -> Result<(), Exception> {
    if supervises(agent).is_some() {
        return Ok(());
    }
    Err(Exception::validation(NOT_SUPERVISING))
}

fn refuse(message: String) -> Exception {
    Exception::validation(message.clone()).with_field("agentDescriptor.aliasArn", message)
}

fn key(scope: &Scope, agent_id: &str, version: &str, collaborator_id: &str) -> Key {
    let parent = version_parent(agent_id, version);
    scope.key(kind::COLLABORATOR, &parent, collaborator_id)
}

fn summary(collaborator: AgentCollaborator) -> AgentCollaboratorSummary {
    AgentCollaboratorSummary {
        agent_descriptor: collaborator.agent_descriptor,
        agent_id: collaborator.agent_id,
        agent_version: collaborator.agent_version,
        collaboration_instruction: collaborator.collaboration_instruction,
        collaborator_id: collaborator.collaborator_id,
        collaborator_name: collaborator.collaborator_name,
        created_at: collaborator.created_at,
        last_updated_at: collaborator.last_updated_at,
        relay_conversation_history: collaborator
            .relay_conversation_history
            .unwrap_or(RELAY_DEFAULT),
    }
}
