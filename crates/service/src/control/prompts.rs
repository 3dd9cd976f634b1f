//! `promptOverrideConfiguration`: what may be given, what is shown, what runs (behaviour.md 4.1, 4.2).
//!
//! The prompts of Prompt management, resources of their own, are in [`super::prompt_library`].

use outcrop_engine::definition::PromptDefinition;
use outcrop_engine::prompt::default;
use outcrop_engine::prompt::template::Template;
use outcrop_model::control::{
    Agent, CreationMode, PromptConfiguration, PromptOverrideConfiguration, PromptState, PromptType,
};
use outcrop_model::exception::Exception;

use super::unsupported::unsupported;

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

/// Refuses overrides that break a rule or that nothing serves.
pub(super) fn check(given: &PromptOverrideConfiguration) -> Result<(), Exception> {
    if given.override_lambda.is_some() {
        let field = "promptOverrideConfiguration.overrideLambda";
        return Err(unsupported(field, field));
    }
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

fn check_one(prompt_type: PromptType, prompt: &PromptConfiguration) -> Result<(), Exception> {
    if prompt.parser_mode == Some(CreationMode::Overridden) {
        return Err(unsupported(
            FIELD,
            &format!("parserMode OVERRIDDEN of the {prompt_type} prompt type"),
        ));
    }
    // Memory decides the default of MEMORY_SUMMARIZATION alone, which may be enabled either way.
    let state = prompt
        .prompt_state
        .unwrap_or_else(|| default::state(prompt_type, false));
    let runs = state == PromptState::Enabled;
    let unserved = matches!(
        prompt_type,
        PromptType::PreProcessing | PromptType::PostProcessing
    );
    if runs && unserved {
        return Err(unsupported(
            FIELD,
            &format!("promptState ENABLED of the {prompt_type} prompt type"),
        ));
    }
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
    if agent.prepared_at.is_none() && given.is_empty() {
        return PromptOverrideConfiguration {
            override_lambda: None,
            prompt_configurations: Vec::new(),
        };
    }
    let remembers = remembers(agent);
    let find = |prompt_type| {
        given
            .iter()
            .find(|prompt| prompt.prompt_type == Some(prompt_type))
    };
    let mut prompts: Vec<PromptConfiguration> = SHOWN
        .into_iter()
        .map(|prompt_type| complete(prompt_type, find(prompt_type), remembers))
        .collect();
    if let Some(router) = find(PromptType::RoutingClassifier) {
        prompts.push(complete(
            PromptType::RoutingClassifier,
            Some(router),
            remembers,
        ));
    }
    PromptOverrideConfiguration {
        override_lambda: None,
        prompt_configurations: prompts,
    }
}

/// The ORCHESTRATION step with its defaults resolved.
pub(super) fn orchestration(agent: &Agent) -> PromptDefinition {
    let prompt_type = PromptType::Orchestration;
    let given = given(agent)
        .iter()
        .find(|prompt| prompt.prompt_type == Some(prompt_type));
    let prompt = complete(prompt_type, given, remembers(agent));
    PromptDefinition {
        enabled: prompt.prompt_state != Some(PromptState::Disabled),
        overridden: is_overridden(&prompt),
        // An overridden step that is switched off may lack them.
        template: prompt
            .base_prompt_template
            .unwrap_or_else(|| default::template(prompt_type).to_owned()),
        inference: prompt
            .inference_configuration
            .unwrap_or_else(|| default::inference(prompt_type)),
        foundation_model: prompt.foundation_model,
        additional_fields: prompt.additional_model_request_fields,
    }
}

/// A configuration as it is shown: an overridden one as it is, else the defaults with what the user
/// chose besides template and parameters.
fn complete(
    prompt_type: PromptType,
    given: Option<&PromptConfiguration>,
    remembers: bool,
) -> PromptConfiguration {
    if let Some(overridden) = given.filter(|prompt| is_overridden(prompt)) {
        return overridden.clone();
    }
    let chosen = given.cloned().unwrap_or_default();
    PromptConfiguration {
        additional_model_request_fields: chosen.additional_model_request_fields,
        base_prompt_template: Some(default::template(prompt_type).to_owned()),
        foundation_model: chosen.foundation_model,
        inference_configuration: Some(default::inference(prompt_type)),
        parser_mode: Some(CreationMode::Default),
        prompt_creation_mode: Some(CreationMode::Default),
        prompt_state: Some(
            chosen
                .prompt_state
                .unwrap_or_else(|| default::state(prompt_type, remembers)),
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

fn is_overridden(prompt: &PromptConfiguration) -> bool {
    prompt.prompt_creation_mode == Some(CreationMode::Overridden)
}

fn remembers(agent: &Agent) -> bool {
    agent
        .memory_configuration
        .as_ref()
        .is_some_and(|memory| !memory.enabled_memory_types.is_empty())
}
