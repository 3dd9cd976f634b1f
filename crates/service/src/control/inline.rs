//! Agents that a request defines for itself and that are never stored (behaviour.md 12.1).
//!
//! They are checked by the rules by which an agent is made piece by piece, all pieces at once, and
//! become a definition on the way that `PrepareAgent` takes. What several of them are to each other is
//! the business of [`crate::runtime`].

use std::collections::BTreeSet;

use outcrop_engine::action::Strictness;
use outcrop_engine::definition::{
    AgentDefinition, CollaborationDefinition, CollaboratorDefinition, KnowledgeBaseDefinition,
};
use outcrop_model::control::{
    Agent, AgentActionGroup, AgentDescriptor, CreateAgentActionGroupRequest, CreateAgentRequest,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;

use super::action_group_rules::check_alone;
use super::collaborators::{NOT_SUPERVISING, supervises};
use super::definition::{Belongings, supervision};
use super::typed_arguments::TypedGroups;
use super::{action_groups, agent_rules, agents, quotas};
use crate::Service;

/// What stands for the id of an agent that has none.
pub(crate) const INLINE_AGENT: &str = "INLINE_AGENT";

/// An agent as a request gives it.
pub(crate) struct Given {
    /// The agent alone.
    pub(crate) agent: CreateAgentRequest,
    /// All enabled.
    pub(crate) action_groups: Vec<CreateAgentActionGroupRequest>,
    /// All enabled.
    pub(crate) knowledge_bases: Vec<KnowledgeBaseDefinition>,
    /// In the order of their configurations.
    pub(crate) collaborators: Vec<CollaboratorDefinition>,
}

impl Service {
    /// The definition of an agent that is given whole.
    ///
    /// # Errors
    /// As the operations that would make the agent: mostly `ValidationException`.
    pub(crate) async fn define_given(
        &self,
        cx: &CallContext,
        given: Given,
    ) -> Result<AgentDefinition, Exception> {
        agent_rules::check(&given.agent)?;
        let now = self.now();
        let agent = agents::new_agent(cx, INLINE_AGENT, &given.agent, now);
        let groups: Vec<AgentActionGroup> = given
            .action_groups
            .iter()
            .map(|group| action_groups::new_group("", group, now))
            .collect();
        check_groups(&groups, self.settings.strictness)?;
        self.check_bases(cx, &given.knowledge_bases).await?;
        let belongings = Belongings {
            action_groups: &groups,
            // Named by a tag, which only what is stored can have.
            typed: &TypedGroups::default(),
            knowledge_bases: given.knowledge_bases,
            collaboration: self
                .given_collaboration(cx, &agent, given.collaborators)
                .await?,
        };
        self.define(&agent, belongings).await
    }

    async fn check_bases(
        &self,
        cx: &CallContext,
        bases: &[KnowledgeBaseDefinition],
    ) -> Result<(), Exception> {
        quotas::KNOWLEDGE_BASES_OF_AGENT.check(bases.len(), self.settings.strictness)?;
        let mut seen = BTreeSet::new();
        for base in bases {
            if !seen.insert(base.id.as_str()) {
                return Err(repeated("knowledgeBases", "knowledge base", &base.id));
            }
            self.knowledge_base(cx, &base.id).await?;
        }
        Ok(())
    }

    async fn given_collaboration(
        &self,
        cx: &CallContext,
        agent: &Agent,
        collaborators: Vec<CollaboratorDefinition>,
    ) -> Result<Option<CollaborationDefinition>, Exception> {
        let Some(mode) = supervises(agent) else {
            return if collaborators.is_empty() {
                Ok(None)
            } else {
                Err(Exception::validation(NOT_SUPERVISING))
            };
        };
        quotas::COLLABORATORS.check(collaborators.len(), self.settings.strictness)?;
        let mut seen = BTreeSet::new();
        for collaborator in &collaborators {
            let name = collaborator.name.as_str();
            if !seen.insert(name) {
                return Err(repeated("collaboratorConfigurations", "collaborator", name));
            }
            // One with a plan came with the request, and has no alias.
            if collaborator.plan.is_none() {
                let descriptor = AgentDescriptor {
                    alias_arn: Some(collaborator.alias_arn.clone()),
                };
                self.usable_alias(cx, INLINE_AGENT, name, &descriptor)
                    .await?;
            }
        }
        supervision(mode, collaborators).map(Some)
    }
}

/// Names are unique, and a built-in action group can be there once.
fn check_groups(groups: &[AgentActionGroup], strictness: Strictness) -> Result<(), Exception> {
    quotas::ACTION_GROUPS.check(groups.len(), strictness)?;
    quotas::ENABLED_ACTION_GROUPS.check(groups.len(), strictness)?;
    let mut names = BTreeSet::new();
    let mut signatures = BTreeSet::new();
    for group in groups {
        check_alone(group, strictness)?;
        if !names.insert(&group.action_group_name) {
            let name = &group.action_group_name;
            return Err(repeated("actionGroups", "action group", name));
        }
        if let Some(signature) = group.parent_action_signature
            && !signatures.insert(signature)
        {
            let what = "parentActionGroupSignature";
            return Err(repeated("actionGroups", what, signature.as_str()));
        }
    }
    Ok(())
}

fn repeated(field: &str, what: &str, name: &str) -> Exception {
    let message = format!("The {what} {name} is given more than once in {field}");
    Exception::validation(message.clone()).with_field(field, message)
}
