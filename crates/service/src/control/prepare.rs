//! `PrepareAgent`: freezes a draft into what is served (behaviour.md 7.1).
//!
//! API schemas are read from S3 here and inlined, so that what runs never changes behind the
//! prepared agent's back. The definition is stored under its content hash, beside older ones that
//! sessions may still name.

use outcrop_engine::action::Strictness;
use outcrop_model::control::{
    Agent, AgentActionGroup, AgentCollaborator, AgentKnowledgeBase, AgentStatus,
    PrepareAgentRequest, PrepareAgentResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Write};

use super::definition::{self, Belongings, collaboration};
use super::{DRAFT, Refused, guard, version_parent};
use crate::records::{AgentDoc, PreparedDoc, Scope, Stored, json, kind, put};
use crate::{Service, scope};

/// A draft that has been frozen, to be written together with its agent.
pub(super) struct Frozen {
    pub(super) prepared: PreparedDoc,
    definition: String,
}

/// What belongs to an agent, in order of its making.
pub(super) struct Parts {
    pub(super) action_groups: Vec<AgentActionGroup>,
    pub(super) collaborators: Vec<AgentCollaborator>,
    pub(super) knowledge_bases: Vec<AgentKnowledgeBase>,
}

impl Handle<op::PrepareAgent> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: PrepareAgentRequest,
    ) -> Result<PrepareAgentResponse, Exception> {
        let attempt = || self.prepare(cx, &input.agent_id);
        let prepared_at = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(PrepareAgentResponse {
            agent_id: input.agent_id,
            agent_status: AgentStatus::Preparing,
            agent_version: DRAFT.to_owned(),
            prepared_at,
        })
    }
}

impl Service {
    async fn prepare(&self, cx: &CallContext, agent_id: &str) -> Result<Timestamp, Refused> {
        let scope = scope(cx);
        let mut agent = self.agent(cx, agent_id).await?;
        let frozen = self.freeze(cx, &mut agent).await?;
        let mut writes = vec![guard(&agent)];
        writes.extend(frozen.writes(&scope, &agent));
        self.write(writes).await?;
        let prepared_at = agent.body.agent.prepared_at;
        Ok(prepared_at.unwrap_or(agent.body.agent.updated_at))
    }

    /// Freezes the draft and marks the agent PREPARED; writes nothing.
    ///
    /// # Errors
    /// `ValidationException` naming what the draft lacks or what is wrong with it.
    pub(super) async fn freeze(
        &self,
        cx: &CallContext,
        agent: &mut Stored<AgentDoc>,
    ) -> Result<Frozen, Exception> {
        let scope = scope(cx);
        let agent_id = &agent.body.agent.agent_id;
        let parts = Parts {
            action_groups: self.draft_groups(&scope, agent_id).await?,
            collaborators: self.draft_collaborators(&scope, agent_id).await?,
            knowledge_bases: self.draft_associations(&scope, agent_id).await?,
        };
        let typed = self.typed_groups(cx, &agent.body.agent.agent_arn).await?;
        typed.check(&parts.action_groups)?;
        self.freeze_parts(cx, agent, parts).await
    }

    /// Freezes an agent with the parts it is given; writes nothing.
    ///
    /// # Errors
    /// As [`Self::freeze`].
    pub(super) async fn freeze_parts(
        &self,
        cx: &CallContext,
        agent: &mut Stored<AgentDoc>,
        parts: Parts,
    ) -> Result<Frozen, Exception> {
        let strictness = self.settings.strictness;
        let Parts {
            action_groups,
            collaborators,
            knowledge_bases,
        } = parts;
        definition::needed(&agent.body.agent)?;
        check_role(&agent.body.agent, strictness)?;
        self.check_guardrail(cx, &agent.body.agent).await?;
        let collaboration = collaboration(&agent.body.agent, &collaborators)?;
        if collaboration.is_some() {
            self.check_collaborators(cx, &collaborators).await?;
        }
        let typed = self.typed_groups(cx, &agent.body.agent.agent_arn).await?;
        let belongings = Belongings {
            action_groups: &action_groups,
            typed: &typed,
            knowledge_bases: definition::enabled_bases(&knowledge_bases),
            collaboration,
        };
        let definition = self.define(&agent.body.agent, belongings).await?;
        let text = json(&definition);
        let plan = definition::compile(definition, strictness)?;
        let draft = &mut agent.body.agent;
        draft.agent_status = AgentStatus::Prepared;
        draft.prepared_at = Some(self.now());
        let prepared = PreparedDoc {
            agent: draft.clone(),
            action_groups,
            collaborators,
            knowledge_bases,
            plan: plan.hash,
        };
        definition::check_size(text.len().max(json(&prepared).len()))?;
        Ok(Frozen {
            prepared,
            definition: text,
        })
    }

    /// The action groups of the draft, in order of their making.
    pub(super) async fn draft_groups(
        &self,
        scope: &Scope,
        agent_id: &str,
    ) -> Result<Vec<AgentActionGroup>, Exception> {
        let parent = version_parent(agent_id, DRAFT);
        let mut groups: Vec<AgentActionGroup> = self
            .children(scope, kind::ACTION_GROUP, &parent)
            .await?
            .into_iter()
            .map(|group: Stored<AgentActionGroup>| group.body)
            .collect();
        // The store orders by milliseconds; groups may be made faster.
        groups.sort_by_key(|group| group.created_at);
        Ok(groups)
    }
}

impl Frozen {
    /// What is written besides the agent.
    pub(super) fn writes(&self, scope: &Scope, agent: &Stored<AgentDoc>) -> Vec<Write> {
        let agent_id = &agent.body.agent.agent_id;
        vec![
            put(
                scope.key(kind::PREPARED, "", agent_id),
                &self.prepared,
                Expect::Any,
                None,
            ),
            self.plan_write(scope),
        ]
    }

    /// What is written of the frozen definition alone.
    pub(super) fn plan_write(&self, scope: &Scope) -> Write {
        Write::Put {
            key: scope.key(kind::PLAN, "", &self.prepared.plan),
            body: self.definition.as_str().into(),
            expect: Expect::Any,
            name: None,
            expires_at_ms: None,
        }
    }
}

/// Nothing here assumes a role, so only who asks for AWS's rules must name one.
fn check_role(agent: &Agent, strictness: Strictness) -> Result<(), Exception> {
    if strictness == Strictness::Strict && agent.agent_resource_role_arn.is_empty() {
        return Err(Exception::validation(
            "Agent resource role ARN cannot be null",
        ));
    }
    Ok(())
}
