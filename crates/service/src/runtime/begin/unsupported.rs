//! What agents may have and no turn can run yet.
//!
//! The control plane keeps all of it. A turn on an agent that uses such a thing is refused by name
//! before it begins, rather than run without it. Judged anew from the frozen definition with each
//! turn, so that what a later release can run needs no new `PrepareAgent`.

use outcrop_engine::definition::AgentDefinition;
use outcrop_model::control::PromptType;
use outcrop_model::exception::Exception;

/// Refuses a definition that uses what cannot be run.
///
/// # Errors
/// `ValidationException` that names everything in question.
pub(super) fn check(definition: &AgentDefinition) -> Result<(), Exception> {
    let message = unsupported(definition)
        .into_iter()
        .map(|thing| format!("{thing} is not supported by Outcrop"))
        .collect::<Vec<_>>()
        .join("; ");
    if message.is_empty() {
        Ok(())
    } else {
        Err(Exception::validation(message))
    }
}

/// The names of all that a definition uses and no turn can run.
fn unsupported(definition: &AgentDefinition) -> Vec<String> {
    let mut things = Vec::new();
    if definition.orchestrator_lambda.is_some() {
        things.push("orchestrationType CUSTOM_ORCHESTRATION".to_owned());
    }
    if let Some(collaboration) = &definition.collaboration {
        things.push(format!("agentCollaboration {}", collaboration.mode));
    }
    if definition.guardrail.is_some() {
        things.push("guardrailConfiguration".to_owned());
    }
    for step in &definition.steps {
        // The others belong to what is named by itself here, or to memory.
        if matches!(
            step.prompt_type,
            PromptType::PreProcessing | PromptType::PostProcessing
        ) {
            things.push(format!(
                "promptState ENABLED of the {} prompt type",
                step.prompt_type
            ));
        }
    }
    let orchestration = (PromptType::Orchestration, &definition.orchestration);
    let steps = definition.steps.iter();
    let prompts = steps.map(|step| (step.prompt_type, &step.prompt));
    for (prompt_type, prompt) in std::iter::once(orchestration).chain(prompts) {
        // A session is summarised outside of any turn, where the parser function is asked.
        if prompt.enabled
            && prompt.parser_overridden
            && prompt_type != PromptType::MemorySummarization
        {
            things.push(format!(
                "parserMode OVERRIDDEN of the {prompt_type} prompt type"
            ));
        }
    }
    for knowledge_base in &definition.knowledge_bases {
        things.push(format!(
            "Querying the knowledge base {} in a turn",
            knowledge_base.id
        ));
    }
    things
}
