//! Versions that come from elsewhere: an agent is copied with its history, not with its draft alone.
//!
//! No operation of AWS's makes a version of anything but the draft, so this is an endpoint of
//! Outcrop's own. A version is brought to what is given, whether it is there or not, and the draft is
//! left as it is; the rules are those of making the same agent through the API.

use std::time::Duration;

use outcrop_model::control::{
    AgentActionGroup, AgentCollaborator, AgentKnowledgeBase, AssociateAgentCollaboratorRequest,
    AssociateAgentKnowledgeBaseRequest, CreateAgentActionGroupRequest, CreateAgentRequest,
    KnowledgeBaseState,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Write};
use serde_json::Value;

use super::numbered;
use crate::control::prepare::Parts;
use crate::control::{
    DRAFT, OF_VERSION, Refused, action_groups, agent_rules, agents, collaborators, guard, quotas,
    version_parent,
};
use crate::records::{AgentDoc, Scope, Stored, kind};
use crate::{Service, scope};

/// Version numbers have at most five digits.
pub const NUMBER_MAX: u32 = 99_999;

/// A version as it is to be. Each part has passed the constraints of its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// From 1 to [`NUMBER_MAX`].
    pub number: u32,
    /// The agent's own members.
    pub agent: CreateAgentRequest,
    /// In the order in which the model is shown them.
    pub action_groups: Vec<CreateAgentActionGroupRequest>,
    /// In order.
    pub collaborators: Vec<AssociateAgentCollaboratorRequest>,
    /// In order.
    pub knowledge_bases: Vec<AssociateAgentKnowledgeBaseRequest>,
}

impl Service {
    /// Brings a version of an agent to what is given. Its number counts as used from then on.
    ///
    /// # Errors
    /// `ResourceNotFoundException` where the agent, an alias or a knowledge base is not there;
    /// `ValidationException` where the version breaks a rule that the API has for agents.
    pub async fn restore_version(
        &self,
        cx: &CallContext,
        agent_id: &str,
        restored: &Restored,
    ) -> Result<(), Exception> {
        agent_rules::check(&restored.agent)?;
        let attempt = || self.try_restore(cx, agent_id, restored);
        self.in_turn(&scope(cx), agent_id, attempt).await
    }

    async fn try_restore(
        &self,
        cx: &CallContext,
        agent_id: &str,
        restored: &Restored,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let mut agent = self.agent(cx, agent_id).await?;
        let now = self.now();
        let mut alone = Stored {
            key: agent.key.clone(),
            revision: agent.revision,
            body: AgentDoc {
                agent: agents::new_agent(cx, agent_id, &restored.agent, now),
                last_version: 0,
            },
        };
        let mut writes = Vec::new();
        let parts = Parts {
            action_groups: self
                .restored_groups(&scope, agent_id, restored, now)
                .await?,
            collaborators: self.restored_collaborators(agent_id, restored, now),
            knowledge_bases: self.restored_bases(&scope, agent_id, restored, now).await?,
        };
        let aliases = self.aliases_of(cx, &parts.collaborators).await?;
        for alias in &aliases {
            writes.extend(collaborators::remember(&scope, agent_id, alias));
        }
        let frozen = self.freeze_parts(cx, &mut alone, parts).await?;
        let last = agent.body.last_version.max(restored.number);
        quotas::VERSIONS.check(last as usize, self.settings.strictness)?;
        agent.body.last_version = last;
        writes.push(guard(&agent));
        let number = restored.number.to_string();
        writes.extend(OF_VERSION.map(|kind| Write::DeleteChildren {
            scope: scope.0.clone(),
            kind,
            parent: version_parent(agent_id, &number).into(),
        }));
        writes.push(frozen.plan_write(&scope));
        let prepared = frozen.prepared;
        let versions = numbered(&scope, agent_id, &number, prepared, Expect::Any, now);
        writes.extend(versions);
        self.write(writes).await?;
        Ok(())
    }

    async fn restored_groups(
        &self,
        scope: &Scope,
        agent_id: &str,
        restored: &Restored,
        now: Timestamp,
    ) -> Result<Vec<AgentActionGroup>, Exception> {
        let mut groups: Vec<Stored<AgentActionGroup>> = Vec::new();
        for (index, given) in restored.action_groups.iter().enumerate() {
            let id = self.ports.ids.resource_id();
            let given = CreateAgentActionGroupRequest {
                agent_id: agent_id.to_owned(),
                ..given.clone()
            };
            let group = action_groups::new_group(&id, &given, in_sequence(now, index));
            self.check_action_group(&group, &groups, "Create").await?;
            let parent = version_parent(agent_id, DRAFT);
            groups.push(Stored {
                key: scope.key(kind::ACTION_GROUP, &parent, &id),
                revision: 0,
                body: group,
            });
        }
        Ok(groups.into_iter().map(|group| group.body).collect())
    }

    fn restored_collaborators(
        &self,
        agent_id: &str,
        restored: &Restored,
        now: Timestamp,
    ) -> Vec<AgentCollaborator> {
        let given = restored.collaborators.iter().enumerate();
        given
            .map(|(index, given)| {
                let id = self.ports.ids.resource_id();
                let now = in_sequence(now, index);
                collaborators::new_collaborator(agent_id, id, given, now)
            })
            .collect()
    }

    async fn restored_bases(
        &self,
        scope: &Scope,
        agent_id: &str,
        restored: &Restored,
        now: Timestamp,
    ) -> Result<Vec<AgentKnowledgeBase>, Exception> {
        let mut bases = Vec::new();
        for (index, given) in restored.knowledge_bases.iter().enumerate() {
            let id = &given.knowledge_base_id;
            let key = scope.key(kind::KNOWLEDGE_BASE, "", id);
            if self.load::<Value>(key).await?.is_none() {
                let message = format!("KnowledgeBase with id {id} is not found.");
                return Err(Exception::not_found(message));
            }
            let now = in_sequence(now, index);
            bases.push(AgentKnowledgeBase {
                agent_id: agent_id.to_owned(),
                agent_version: DRAFT.to_owned(),
                created_at: now,
                description: given.description.clone(),
                knowledge_base_id: id.clone(),
                knowledge_base_state: given
                    .knowledge_base_state
                    .unwrap_or(KnowledgeBaseState::Enabled),
                updated_at: now,
            });
        }
        Ok(bases)
    }
}

/// Times that keep an order: lists are sorted by them, to the microsecond that the API shows.
fn in_sequence(now: Timestamp, index: usize) -> Timestamp {
    now.saturating_add(Duration::from_micros(index as u64))
}
