//! `PrepareAgent`: freezes a draft into what is served (behaviour.md 7.1).
//!
//! API schemas are read from S3 here and inlined, so that what runs never changes behind the
//! prepared agent's back. The definition is stored under its content hash, beside older ones that
//! sessions may still name.

use outcrop_engine::action::Strictness;
use outcrop_engine::definition::{
    ActionGroupDefinition, AgentDefinition, CollaborationDefinition, CollaboratorDefinition,
    KnowledgeBaseDefinition,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_model::control::{
    ActionGroupState, Agent, AgentActionGroup, AgentCollaborator, AgentKnowledgeBase, AgentStatus,
    GuardrailConfiguration, KnowledgeBaseState, OrchestrationExecutor, PrepareAgentRequest,
    PrepareAgentResponse, RelayConversationHistory, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Write};

use super::collaborators::supervises;
use super::typed_arguments::TypedGroups;
use super::{DRAFT, Refused, guard, prompts, quotas, version_parent};
use crate::records::{AgentDoc, PreparedDoc, Scope, Stored, json, kind, put};
use crate::{Service, error, scope};

/// Most bytes of a frozen definition, and of what is prepared besides. Both of them, and a version's
/// copies, must fit one store batch.
const DEFINITION_BYTES_MAX: usize = 16 << 20;

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
        let (foundation_model, instruction) = needed(&agent.body.agent, strictness)?;
        let collaboration = collaboration(&agent.body.agent, &collaborators)?;
        if collaboration.is_some() {
            self.check_collaborators(cx, &collaborators).await?;
        }
        let enabled_bases = enabled_bases(&knowledge_bases);
        let typed = self.typed_groups(cx, &agent.body.agent.agent_arn).await?;
        let definition = AgentDefinition {
            instruction,
            foundation_model,
            idle_session_ttl_s: agent.body.agent.idle_session_ttl_in_seconds.unsigned_abs(),
            orchestration: prompts::orchestration(&agent.body.agent),
            action_groups: self.enabled(&action_groups, &typed).await?,
            steps: prompts::steps(&agent.body.agent, !enabled_bases.is_empty()),
            parser_lambda: parser_lambda(&agent.body.agent),
            guardrail: guardrail(&agent.body.agent),
            memory: agent.body.agent.memory_configuration.clone(),
            orchestrator_lambda: orchestrator_lambda(&agent.body.agent)?,
            collaboration,
            knowledge_bases: enabled_bases,
        };
        let text = json(&definition);
        let plan =
            AgentPlan::compile(definition, strictness).map_err(|cause| error::plan(&cause))?;
        // Only here are the operations of schemas in S3 counted with the others.
        let actions = plan.tools.len().saturating_sub(plan.asks_user.into());
        quotas::ACTIONS.check(actions, strictness)?;
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
        if text.len().max(json(&prepared).len()) > DEFINITION_BYTES_MAX {
            return Err(Exception::validation(format!(
                "The agent with the API schemas of its action groups is larger than {DEFINITION_BYTES_MAX} bytes"
            )));
        }
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

    async fn enabled(
        &self,
        groups: &[AgentActionGroup],
        typed: &TypedGroups,
    ) -> Result<Vec<ActionGroupDefinition>, Exception> {
        let mut definitions = Vec::new();
        for group in groups {
            if group.action_group_state == ActionGroupState::Enabled {
                definitions.push(ActionGroupDefinition {
                    name: group.action_group_name.clone(),
                    description: group.description.clone(),
                    kind: self.action_group_kind(group).await?,
                    typed_arguments: typed.has(&group.action_group_name),
                });
            }
        }
        Ok(definitions)
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

/// The model and the instruction, which a draft may lack but what runs may not.
fn needed(agent: &Agent, strictness: Strictness) -> Result<(String, String), Exception> {
    let model = agent.foundation_model.clone();
    let model =
        model.ok_or_else(|| Exception::validation("Agent foundation model cannot be null"))?;
    let instruction = agent.instruction.clone();
    let instruction =
        instruction.ok_or_else(|| Exception::validation("Agent Instruction cannot be null"))?;
    // Nothing here assumes a role, so only who asks for AWS's rules must name one.
    if strictness == Strictness::Strict && agent.agent_resource_role_arn.is_empty() {
        return Err(Exception::validation(
            "Agent resource role ARN cannot be null",
        ));
    }
    Ok((model, instruction))
}

/// Who works for a supervisor. One that has nobody cannot be prepared.
fn collaboration(
    agent: &Agent,
    collaborators: &[AgentCollaborator],
) -> Result<Option<CollaborationDefinition>, Exception> {
    let Some(mode) = supervises(agent) else {
        return Ok(None);
    };
    if collaborators.is_empty() {
        return Err(Exception::validation(format!(
            "The AgentCollaboration attribute is set to {mode} but no agent collaborators are added."
        )));
    }
    let collaborators = collaborators.iter().cloned().map(|collaborator| {
        let relay = collaborator.relay_conversation_history;
        CollaboratorDefinition {
            name: collaborator.collaborator_name,
            alias_arn: collaborator.agent_descriptor.alias_arn.unwrap_or_default(),
            plan: None,
            instruction: collaborator.collaboration_instruction,
            relays_history: relay == Some(RelayConversationHistory::ToCollaborator),
        }
    });
    Ok(Some(CollaborationDefinition {
        mode,
        collaborators: collaborators.collect(),
    }))
}

fn enabled_bases(knowledge_bases: &[AgentKnowledgeBase]) -> Vec<KnowledgeBaseDefinition> {
    knowledge_bases
        .iter()
        .filter(|base| base.knowledge_base_state == KnowledgeBaseState::Enabled)
        .map(|base| KnowledgeBaseDefinition {
            id: base.knowledge_base_id.clone(),
            description: base.description.clone(),
            retrieval: None,
        })
        .collect()
}

fn parser_lambda(agent: &Agent) -> Option<String> {
    let overrides = agent.prompt_override_configuration.as_ref()?;
    overrides.override_lambda.clone()
}

/// The guardrail, unless the configuration is an empty one.
fn guardrail(agent: &Agent) -> Option<GuardrailConfiguration> {
    let guardrail = agent.guardrail_configuration.clone();
    guardrail.filter(|guardrail| guardrail.guardrail_identifier.is_some())
}

fn orchestrator_lambda(agent: &Agent) -> Result<Option<String>, Exception> {
    let custom = agent.custom_orchestration.as_ref();
    match custom.and_then(|custom| custom.executor.clone()) {
        None => Ok(None),
        Some(OrchestrationExecutor::Lambda(function)) => Ok(Some(function)),
        Some(_) => Err(Exception::validation(
            "customOrchestration.executor must name a Lambda function",
        )),
    }
}
