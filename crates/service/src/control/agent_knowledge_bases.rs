//! Knowledge bases of agents (behaviour.md 7.5): which ones an agent may query, and what for.
//!
//! Those of DRAFT are edited, those of versions only read. The knowledge base itself is another
//! resource; while a draft names it, [`Service::agent_with_knowledge_base`] finds that agent.

use outcrop_model::control::{
    AgentKnowledgeBase, AgentKnowledgeBaseSummary, AssociateAgentKnowledgeBaseRequest,
    AssociateAgentKnowledgeBaseResponse, DisassociateAgentKnowledgeBaseRequest,
    DisassociateAgentKnowledgeBaseResponse, GetAgentKnowledgeBaseRequest,
    GetAgentKnowledgeBaseResponse, KnowledgeBaseState, ListAgentKnowledgeBasesRequest,
    ListAgentKnowledgeBasesResponse, UpdateAgentKnowledgeBaseRequest,
    UpdateAgentKnowledgeBaseResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_store::{Expect, Key, Write};

use super::paging::VersionList;
use super::{DRAFT, Refused, gone, guard, knowledge_bases, quotas, version_parent};
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};

impl Handle<op::AssociateAgentKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: AssociateAgentKnowledgeBaseRequest,
    ) -> Result<AssociateAgentKnowledgeBaseResponse, Exception> {
        let attempt = || self.associate_knowledge_base(cx, &input);
        let agent_knowledge_base = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(AssociateAgentKnowledgeBaseResponse {
            agent_knowledge_base,
        })
    }
}

impl Handle<op::GetAgentKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentKnowledgeBaseRequest,
    ) -> Result<GetAgentKnowledgeBaseResponse, Exception> {
        let version = input.agent_version.as_str();
        self.check_agent_version(cx, &input.agent_id, version)
            .await?;
        let id = &input.knowledge_base_id;
        let association = self.load(key(&scope(cx), &input.agent_id, version, id));
        let association = association.await?.ok_or_else(gone)?;
        Ok(GetAgentKnowledgeBaseResponse {
            agent_knowledge_base: association.body,
        })
    }
}

impl Handle<op::UpdateAgentKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateAgentKnowledgeBaseRequest,
    ) -> Result<UpdateAgentKnowledgeBaseResponse, Exception> {
        let attempt = || self.update_association(cx, &input);
        let agent_knowledge_base = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(UpdateAgentKnowledgeBaseResponse {
            agent_knowledge_base,
        })
    }
}

impl Handle<op::DisassociateAgentKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DisassociateAgentKnowledgeBaseRequest,
    ) -> Result<DisassociateAgentKnowledgeBaseResponse, Exception> {
        let attempt = || self.disassociate_knowledge_base(cx, &input);
        self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(DisassociateAgentKnowledgeBaseResponse {})
    }
}

impl Handle<op::ListAgentKnowledgeBases> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAgentKnowledgeBasesRequest,
    ) -> Result<ListAgentKnowledgeBasesResponse, Exception> {
        self.check_agent_version(cx, &input.agent_id, &input.agent_version)
            .await?;
        let list = VersionList {
            operation: op::ListAgentKnowledgeBases::SPEC.name,
            kind: kind::AGENT_KNOWLEDGE_BASE,
            agent_id: &input.agent_id,
            version: &input.agent_version,
            made_at: |association: &AgentKnowledgeBase| association.created_at,
        };
        let (associations, next_token) = self
            .list_of_version(
                &scope(cx),
                &list,
                input.max_results,
                input.next_token.as_deref(),
            )
            .await?;
        Ok(ListAgentKnowledgeBasesResponse {
            agent_knowledge_base_summaries: associations.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    async fn associate_knowledge_base(
        &self,
        cx: &CallContext,
        input: &AssociateAgentKnowledgeBaseRequest,
    ) -> Result<AgentKnowledgeBase, Refused> {
        let scope = scope(cx);
        let (agent_id, id) = (input.agent_id.as_str(), input.knowledge_base_id.as_str());
        let agent = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let knowledge_base = self.knowledge_base(cx, id).await?;
        let others = self.draft_associations(&scope, agent_id).await?;
        if others.iter().any(|other| other.knowledge_base_id == id) {
            return Err(Exception::conflict(format!(
                "Could not perform Create operation, since the association of the knowledge base {id} with the agent {agent_id} already exists"
            ))
            .into());
        }
        quotas::KNOWLEDGE_BASES_OF_AGENT
            .check(others.len().saturating_add(1), self.settings.strictness)?;
        let now = self.now();
        let association = AgentKnowledgeBase {
            agent_id: agent_id.to_owned(),
            agent_version: DRAFT.to_owned(),
            created_at: now,
            description: input.description.clone(),
            knowledge_base_id: id.to_owned(),
            knowledge_base_state: input
                .knowledge_base_state
                .unwrap_or(KnowledgeBaseState::Enabled),
            updated_at: now,
        };
        self.write(vec![
            guard(&agent),
            // As it was read, so that it cannot be deleted at the same moment.
            knowledge_bases::guard(&knowledge_base),
            put(use_key(&scope, id, agent_id), &(), Expect::Any, None),
            put(
                key(&scope, agent_id, DRAFT, id),
                &association,
                Expect::Absent,
                None,
            ),
        ])
        .await?;
        Ok(association)
    }

    async fn update_association(
        &self,
        cx: &CallContext,
        input: &UpdateAgentKnowledgeBaseRequest,
    ) -> Result<AgentKnowledgeBase, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let agent = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let key = key(&scope, agent_id, DRAFT, &input.knowledge_base_id);
        let mut stored = self
            .load::<AgentKnowledgeBase>(key)
            .await?
            .ok_or_else(gone)?;
        let body = &mut stored.body;
        // An association must have both, so what is left out here stays as it is.
        if let Some(description) = &input.description {
            body.description.clone_from(description);
        }
        if let Some(state) = input.knowledge_base_state {
            body.knowledge_base_state = state;
        }
        body.updated_at = self.now();
        self.write(vec![guard(&agent), stored.put(None)]).await?;
        Ok(stored.body)
    }

    async fn disassociate_knowledge_base(
        &self,
        cx: &CallContext,
        input: &DisassociateAgentKnowledgeBaseRequest,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let (agent_id, id) = (input.agent_id.as_str(), input.knowledge_base_id.as_str());
        let agent = self.agent_of_version(cx, agent_id, DRAFT).await?;
        let association = self
            .load::<AgentKnowledgeBase>(key(&scope, agent_id, DRAFT, id))
            .await?
            .ok_or_else(gone)?;
        self.write(vec![
            guard(&agent),
            Write::Delete {
                key: association.key,
                expect: Expect::Revision(association.revision),
            },
            release(&scope, id, agent_id),
        ])
        .await?;
        Ok(())
    }

    /// The associations of the draft, in order of their making.
    pub(super) async fn draft_associations(
        &self,
        scope: &Scope,
        agent_id: &str,
    ) -> Result<Vec<AgentKnowledgeBase>, Exception> {
        let parent = version_parent(agent_id, DRAFT);
        let mut associations: Vec<AgentKnowledgeBase> = self
            .children(scope, kind::AGENT_KNOWLEDGE_BASE, &parent)
            .await?
            .into_iter()
            .map(|stored: Stored<AgentKnowledgeBase>| stored.body)
            .collect();
        // The store orders by milliseconds; associations may be made faster.
        associations.sort_by_key(|association| association.created_at);
        Ok(associations)
    }

    /// Id of an agent whose draft names this knowledge base, if there is one.
    ///
    /// Who deletes the knowledge base must do so at the revision it had before this was asked:
    /// associating writes it.
    pub(super) async fn agent_with_knowledge_base(
        &self,
        scope: &Scope,
        knowledge_base_id: &str,
    ) -> Result<Option<String>, Exception> {
        let uses = self
            .children::<()>(scope, kind::KNOWLEDGE_BASE_USE, knowledge_base_id)
            .await?;
        Ok(uses.first().map(|found| found.key.id.to_string()))
    }
}

/// Takes back that an agent's draft names a knowledge base.
pub(super) fn release(scope: &Scope, knowledge_base_id: &str, agent_id: &str) -> Write {
    Write::Delete {
        key: use_key(scope, knowledge_base_id, agent_id),
        expect: Expect::Any,
    }
}

fn use_key(scope: &Scope, knowledge_base_id: &str, agent_id: &str) -> Key {
    scope.key(kind::KNOWLEDGE_BASE_USE, knowledge_base_id, agent_id)
}

fn key(scope: &Scope, agent_id: &str, version: &str, knowledge_base_id: &str) -> Key {
    let parent = version_parent(agent_id, version);
    scope.key(kind::AGENT_KNOWLEDGE_BASE, &parent, knowledge_base_id)
}

fn summary(association: AgentKnowledgeBase) -> AgentKnowledgeBaseSummary {
    AgentKnowledgeBaseSummary {
        description: Some(association.description),
        knowledge_base_id: association.knowledge_base_id,
        knowledge_base_state: association.knowledge_base_state,
        updated_at: association.updated_at,
    }
}
