//! From what an agent is made of to the definition that runs.
//!
//! The one way there: `PrepareAgent`, versions that are brought in whole, and agents that a request
//! defines for itself ([`super::inline`]) all come through here, so that they run alike. Nothing is
//! written.

use outcrop_engine::action::Strictness;
use outcrop_engine::definition::{
    ActionGroupDefinition, AgentDefinition, CollaborationDefinition, CollaboratorDefinition,
    KnowledgeBaseDefinition,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_model::control::{
    ActionGroupState, Agent, AgentActionGroup, AgentCollaboration, AgentCollaborator,
    AgentKnowledgeBase, GuardrailConfiguration, KnowledgeBaseState, OrchestrationExecutor,
    RelayConversationHistory,
};
use outcrop_model::exception::Exception;

use super::collaborators::supervises;
use super::typed_arguments::TypedGroups;
use super::{prompts, quotas};
use crate::{Service, error};

/// Most bytes of a frozen definition, and of what is prepared besides. Both of them, and a version's
/// copies, must fit one store batch.
const DEFINITION_BYTES_MAX: usize = 16 << 20;

/// What belongs to an agent.
pub(super) struct Belongings<'a> {
    /// Enabled or not.
    pub(super) action_groups: &'a [AgentActionGroup],
    /// Which of the groups want arguments as JSON.
    pub(super) typed: &'a TypedGroups,
    /// The enabled ones.
    pub(super) knowledge_bases: Vec<KnowledgeBaseDefinition>,
    /// Who works for it, if it supervises.
    pub(super) collaboration: Option<CollaborationDefinition>,
}

impl Service {
    /// The definition of `agent` with what belongs to it; schemas are read from where they lie.
    ///
    /// # Errors
    /// `ValidationException` naming what the agent lacks or what is wrong with it.
    pub(super) async fn define(
        &self,
        agent: &Agent,
        belongings: Belongings<'_>,
    ) -> Result<AgentDefinition, Exception> {
        let (foundation_model, instruction) = needed(agent)?;
        let Belongings {
            action_groups,
            typed,
            knowledge_bases,
            collaboration,
        } = belongings;
        Ok(AgentDefinition {
            instruction: instruction.to_owned(),
            foundation_model: foundation_model.to_owned(),
            idle_session_ttl_s: agent.idle_session_ttl_in_seconds.unsigned_abs(),
            orchestration: prompts::orchestration(agent),
            action_groups: self.enabled_groups(action_groups, typed).await?,
            steps: prompts::steps(agent, !knowledge_bases.is_empty()),
            parser_lambda: parser_lambda(agent),
            guardrail: guardrail(agent),
            memory: agent.memory_configuration.clone(),
            orchestrator_lambda: orchestrator_lambda(agent)?,
            collaboration,
            knowledge_bases,
        })
    }

    async fn enabled_groups(
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

/// The plan of a definition that has not run before.
///
/// # Errors
/// `ValidationException` for a schema or template that cannot be used, `ServiceQuotaExceeded` for more
/// actions than an agent may have.
pub(crate) fn compile(
    definition: AgentDefinition,
    strictness: Strictness,
) -> Result<AgentPlan, Exception> {
    let plan = AgentPlan::compile(definition, strictness).map_err(|cause| error::plan(&cause))?;
    // Only here are the operations of schemas in S3 counted with the others. What asks the user, searches
    // or speaks with collaborators is no action.
    let besides = usize::from(plan.asks_user)
        + plan.knowledge_bases().len()
        + usize::from(!plan.collaborators().is_empty());
    let actions = plan.tools.len().saturating_sub(besides);
    quotas::ACTIONS.check(actions, strictness)?;
    Ok(plan)
}

/// Refuses what would not fit a store batch.
pub(crate) fn check_size(bytes: usize) -> Result<(), Exception> {
    if bytes <= DEFINITION_BYTES_MAX {
        return Ok(());
    }
    Err(Exception::validation(format!(
        "The agent with the API schemas of its action groups is larger than {DEFINITION_BYTES_MAX} bytes"
    )))
}

/// Who works for a supervisor. One that has nobody cannot run.
pub(super) fn collaboration(
    agent: &Agent,
    collaborators: &[AgentCollaborator],
) -> Result<Option<CollaborationDefinition>, Exception> {
    let Some(mode) = supervises(agent) else {
        return Ok(None);
    };
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
    supervision(mode, collaborators.collect()).map(Some)
}

/// A supervisor's collaborators, of which there must be one.
pub(super) fn supervision(
    mode: AgentCollaboration,
    collaborators: Vec<CollaboratorDefinition>,
) -> Result<CollaborationDefinition, Exception> {
    if collaborators.is_empty() {
        return Err(Exception::validation(format!(
            "The AgentCollaboration attribute is set to {mode} but no agent collaborators are added."
        )));
    }
    Ok(CollaborationDefinition {
        mode,
        collaborators,
    })
}

/// The model and the instruction, which a draft may lack but what runs may not.
pub(super) fn needed(agent: &Agent) -> Result<(&str, &str), Exception> {
    let model = agent.foundation_model.as_deref();
    let model =
        model.ok_or_else(|| Exception::validation("Agent foundation model cannot be null"))?;
    let instruction = agent.instruction.as_deref();
    let instruction =
        instruction.ok_or_else(|| Exception::validation("Agent Instruction cannot be null"))?;
    Ok((model, instruction))
}

/// The knowledge bases that the agent may query.
pub(super) fn enabled_bases(
    knowledge_bases: &[AgentKnowledgeBase],
) -> Vec<KnowledgeBaseDefinition> {
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
