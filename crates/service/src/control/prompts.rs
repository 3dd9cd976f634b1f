//! `promptOverrideConfiguration`: what may be given, what is shown, what runs (behaviour.md 4.1, 4.2).
//!
//! The prompts of Prompt management, resources of their own, are in [`super::prompt_library`].

use outcrop_engine::definition::{PromptDefinition, StepDefinition};
use outcrop_engine::prompt::default::{self, Kind, Traits};
use outcrop_engine::prompt::family::Family;
use outcrop_engine::prompt::template::Template;
use outcrop_model::control::{
    Agent, AgentCollaboration, CreationMode, PromptConfiguration, PromptOverrideConfiguration,
    PromptState, PromptType,
};
use outcrop_model::exception::Exception;

const FIELD: &str = "promptOverrideConfiguration";

/// The types every prepared agent shows, in this order. `ROUTING_CLASSIFIER` belongs to agents that
/// route, and to those that override it.
const SHOWN: [PromptType; 5] = [
    PromptType::PreProcessing,
    PromptType::Orchestration,
    PromptType::KnowledgeBaseResponseGeneration,
    PromptType::PostProcessing,
    PromptType::MemorySummarization,
];

/// Refuses overrides that break a rule.
pub(super) fn check(given: &PromptOverrideConfiguration) -> Result<(), Exception> {
    check_parser(given)?;
    let mut seen = Vec::new();
    let mut broken = Vec::new();
    for prompt in &given.prompt_configurations {
        let Some(prompt_type) = prompt.prompt_type else {
            return Err(refuse(
                "The promptType of a prompt configuration cannot be null".to_owned(),
            ));
        };
        if seen.contains(&prompt_type) {
            return Err(refuse(format!(
                "The prompt type {prompt_type} is configured more than once"
            )));
        }
        seen.push(prompt_type);
        check_one(prompt_type, prompt)?;
        if let Some(Err(error)) = prompt.base_prompt_template.as_deref().map(Template::parse) {
            broken.push(format!(
                "The provided BasePromptTemplate for the {prompt_type} prompt type has failed validation with  the following message: Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. ({error})"
            ));
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(refuse(broken.join(";")))
    }
}

/// The parser function and the prompts that use it need each other (API reference).
fn check_parser(given: &PromptOverrideConfiguration) -> Result<(), Exception> {
    let parsed = given
        .prompt_configurations
        .iter()
        .find(|prompt| parser_overridden(prompt));
    match (&given.override_lambda, parsed) {
        (Some(_), None) => Err(refuse(
            "At least one prompt configuration must have the parserMode OVERRIDDEN when overrideLambda is given".to_owned(),
        )),
        (None, Some(prompt)) => Err(refuse(format!(
            "The overrideLambda cannot be null while the parserMode of the {} prompt type is OVERRIDDEN",
            prompt.prompt_type.map_or("unnamed", PromptType::as_str)
        ))),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

fn check_one(prompt_type: PromptType, prompt: &PromptConfiguration) -> Result<(), Exception> {
    // Memory and routing decide the defaults of steps that may be enabled either way.
    let state = prompt
        .prompt_state
        .unwrap_or_else(|| default::state(prompt_type, Traits::default()));
    let runs = state == PromptState::Enabled;
    let has_template = prompt.base_prompt_template.is_some();
    if !is_overridden(prompt) {
        if has_template || prompt.inference_configuration.is_some() {
            return Err(refuse(format!(
                "basePromptTemplate and inferenceConfiguration of the {prompt_type} prompt type must be absent while its promptCreationMode is DEFAULT. Set promptCreationMode to OVERRIDDEN to use them."
            )));
        }
    } else if runs && !has_template {
        return Err(refuse(format!(
            "The basePromptTemplate of the {prompt_type} prompt type cannot be null while its promptCreationMode is OVERRIDDEN"
        )));
    }
    Ok(())
}

fn refuse(message: String) -> Exception {
    Exception::validation(message.clone()).with_field(FIELD, message)
}

/// What `GetAgent` and `GetAgentVersion` show: nothing for an agent that neither was prepared nor
/// overrides anything, else every type, the overridden ones as they were given.
pub(super) fn shown(agent: &Agent) -> PromptOverrideConfiguration {
    let given = given(agent);
    let override_lambda = agent
        .prompt_override_configuration
        .as_ref()
        .and_then(|given| given.override_lambda.clone());
    if agent.prepared_at.is_none() && given.is_empty() {
        return PromptOverrideConfiguration {
            override_lambda,
            prompt_configurations: Vec::new(),
        };
    }
    let mut prompts: Vec<PromptConfiguration> = SHOWN
        .into_iter()
        .map(|prompt_type| complete(agent, prompt_type))
        .collect();
    let overrides_router = find(given, PromptType::RoutingClassifier).is_some();
    if overrides_router || traits(agent).routes {
        prompts.push(complete(agent, PromptType::RoutingClassifier));
    }
    PromptOverrideConfiguration {
        override_lambda,
        prompt_configurations: prompts,
    }
}

/// The ORCHESTRATION step with its defaults resolved.
pub(super) fn orchestration(agent: &Agent) -> PromptDefinition {
    resolved(agent, PromptType::Orchestration)
}

/// The other enabled steps that the agent can come to, defaults resolved.
pub(super) fn steps(agent: &Agent, has_knowledge_bases: bool) -> Vec<StepDefinition> {
    let traits = traits(agent);
    let reachable = [
        (PromptType::PreProcessing, true),
        (PromptType::RoutingClassifier, traits.routes),
        (
            PromptType::KnowledgeBaseResponseGeneration,
            has_knowledge_bases,
        ),
        (PromptType::PostProcessing, true),
        (PromptType::MemorySummarization, traits.remembers),
    ];
    reachable
        .into_iter()
        .filter_map(|(prompt_type, reachable)| {
            let prompt = reachable.then(|| resolved(agent, prompt_type))?;
            prompt.enabled.then_some(StepDefinition {
                prompt_type,
                prompt,
            })
        })
        .collect()
}

fn resolved(agent: &Agent, prompt_type: PromptType) -> PromptDefinition {
    let prompt = complete(agent, prompt_type);
    let kind = kind(agent, prompt.foundation_model.as_deref());
    let state = prompt.prompt_state;
    let state = state.unwrap_or_else(|| default::state(prompt_type, traits(agent)));
    PromptDefinition {
        enabled: state == PromptState::Enabled,
        overridden: is_overridden(&prompt),
        parser_overridden: parser_overridden(&prompt),
        // An overridden step that is switched off may lack them.
        template: prompt
            .base_prompt_template
            .unwrap_or_else(|| default::template_for(prompt_type, kind).to_owned()),
        inference: prompt
            .inference_configuration
            .unwrap_or_else(|| default::inference_for(prompt_type, kind.family)),
        foundation_model: prompt.foundation_model,
        additional_fields: prompt.additional_model_request_fields,
    }
}

/// A configuration as it is shown: an overridden one as it is, else the defaults with what the user
/// chose besides template and parameters.
fn complete(agent: &Agent, prompt_type: PromptType) -> PromptConfiguration {
    let given = find(given(agent), prompt_type);
    if let Some(overridden) = given.filter(|prompt| is_overridden(prompt)) {
        return overridden.clone();
    }
    let chosen = given.cloned().unwrap_or_default();
    let kind = kind(agent, chosen.foundation_model.as_deref());
    PromptConfiguration {
        additional_model_request_fields: chosen.additional_model_request_fields,
        base_prompt_template: Some(default::template_for(prompt_type, kind).to_owned()),
        foundation_model: chosen.foundation_model,
        inference_configuration: Some(default::inference_for(prompt_type, kind.family)),
        parser_mode: Some(chosen.parser_mode.unwrap_or(CreationMode::Default)),
        prompt_creation_mode: Some(CreationMode::Default),
        prompt_state: Some(
            chosen
                .prompt_state
                .unwrap_or_else(|| default::state(prompt_type, traits(agent))),
        ),
        prompt_type: Some(prompt_type),
    }
}

fn given(agent: &Agent) -> &[PromptConfiguration] {
    agent
        .prompt_override_configuration
        .as_ref()
        .map_or(&[], |given| &given.prompt_configurations)
}

fn find(given: &[PromptConfiguration], prompt_type: PromptType) -> Option<&PromptConfiguration> {
    given
        .iter()
        .find(|prompt| prompt.prompt_type == Some(prompt_type))
}

fn is_overridden(prompt: &PromptConfiguration) -> bool {
    prompt.prompt_creation_mode == Some(CreationMode::Overridden)
}

fn parser_overridden(prompt: &PromptConfiguration) -> bool {
    prompt.parser_mode == Some(CreationMode::Overridden)
}

/// Which default templates the agent gets, in a step that may have a model of its own.
fn kind(agent: &Agent, step_model: Option<&str>) -> Kind {
    let model = step_model.or(agent.foundation_model.as_deref());
    Kind {
        family: model.map(Family::of).unwrap_or_default(),
        supervises: matches!(
            agent.agent_collaboration,
            Some(AgentCollaboration::Supervisor | AgentCollaboration::SupervisorRouter)
        ),
    }
}

fn traits(agent: &Agent) -> Traits {
    Traits {
        remembers: agent
            .memory_configuration
            .as_ref()
            .is_some_and(|memory| !memory.enabled_memory_types.is_empty()),
        routes: agent.agent_collaboration == Some(AgentCollaboration::SupervisorRouter),
    }
}
