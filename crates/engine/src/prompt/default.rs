//! Outcrop's own default prompts: a template for each prompt type and family of models, its
//! parameters, and which steps are on.
//!
//! Written for models that call tools natively: tools travel in the request, not in the text. The
//! tags are those the readers in [`super::answer`] and [`super::steps`] know. All of it works with
//! every model; a family only gets what it follows best.

mod orchestration;
mod steps;

use outcrop_model::control::{InferenceConfiguration, PromptState, PromptType};

use super::family::Family;
pub use super::guideline::{ASK_USER_RULE, CODE_INTERPRETER_RULE};

/// What of an agent decides which templates it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// The family of the model that reads the prompt.
    pub family: Family,
    /// It has collaborators.
    pub supervises: bool,
}

/// The default template of a prompt type for an agent of which nothing else is known.
pub fn template(prompt_type: PromptType) -> &'static str {
    template_for(prompt_type, Kind::default())
}

/// The default template of a prompt type.
pub fn template_for(prompt_type: PromptType, kind: Kind) -> &'static str {
    match prompt_type {
        PromptType::PreProcessing => steps::PRE_PROCESSING,
        PromptType::PostProcessing => steps::POST_PROCESSING,
        PromptType::KnowledgeBaseResponseGeneration => steps::KNOWLEDGE_BASE_RESPONSE_GENERATION,
        PromptType::MemorySummarization => steps::MEMORY_SUMMARIZATION,
        PromptType::RoutingClassifier => steps::ROUTING_CLASSIFIER,
        // The type is open to future AWS values; every one known today is named above but this.
        _ if kind.supervises => orchestration::SUPERVISOR,
        _ => match kind.family {
            Family::Claude | Family::Other => orchestration::COMMON,
            Family::Nova => orchestration::NOVA,
            Family::Llama => orchestration::LLAMA,
        },
    }
}

/// The default sampling parameters of a prompt type for a model of which nothing is known.
pub fn inference(prompt_type: PromptType) -> InferenceConfiguration {
    inference_for(prompt_type, Family::default())
}

/// The default sampling parameters of a prompt type (behaviour.md 4.6).
///
/// Nova's are greedy by a temperature of 0, where AWS has 1 with a `topK` of 1: that is the same for
/// Nova, and stays greedy on a model that takes no `topK`. AWS's stop sequences of Nova's thoughts
/// belong to a prefill that the template here does without.
pub fn inference_for(prompt_type: PromptType, family: Family) -> InferenceConfiguration {
    let (stop_sequence, family) = match prompt_type {
        PromptType::RoutingClassifier => return InferenceConfiguration::default(),
        PromptType::Orchestration => ("</answer>", family),
        _ => ("\n\nHuman:", Family::Other),
    };
    let (maximum_length, top_k) = match family {
        Family::Nova => (1024, 1),
        Family::Claude | Family::Llama | Family::Other => (2048, 250),
    };
    InferenceConfiguration {
        maximum_length: Some(maximum_length),
        stop_sequences: Some(vec![stop_sequence.to_owned()]),
        temperature: Some(0.0),
        top_k: Some(top_k),
        top_p: Some(1.0),
    }
}

/// What of an agent decides which prompt types are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// It has a memory.
    pub remembers: bool,
    /// It routes requests to collaborators (`SUPERVISOR_ROUTER`).
    pub routes: bool,
}

/// Whether a prompt type is on where the user has not said (behaviour.md 4.1).
pub fn state(prompt_type: PromptType, traits: Traits) -> PromptState {
    let enabled = match prompt_type {
        PromptType::Orchestration | PromptType::KnowledgeBaseResponseGeneration => true,
        PromptType::MemorySummarization => traits.remembers,
        PromptType::RoutingClassifier => traits.routes,
        _ => false,
    };
    if enabled {
        PromptState::Enabled
    } else {
        PromptState::Disabled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::syntax::{CallSyntax, of_template};
    use crate::prompt::template::{TABLE, Template, Values, unknown_placeholders};

    const FAMILIES: [Family; 4] = [Family::Claude, Family::Nova, Family::Llama, Family::Other];

    /// Placeholders that differ between the turns of one agent.
    const CHANGING: [&str; 9] = [
        "memory_content",
        "code_interpreter_files",
        "prompt_session_attributes",
        "conversation_history",
        "conversation",
        "responses",
        "latest_response",
        "search_results",
        "past_conversation_summary",
    ];

    fn each() -> impl Iterator<Item = (PromptType, Kind, &'static str)> {
        PromptType::VALUES.iter().flat_map(|prompt_type| {
            FAMILIES.into_iter().flat_map(move |family| {
                [true, false].into_iter().map(move |supervises| {
                    let kind = Kind { family, supervises };
                    (*prompt_type, kind, template_for(*prompt_type, kind))
                })
            })
        })
    }

    #[test]
    fn every_default_template_parses_and_has_only_placeholders_of_its_type() {
        for (prompt_type, kind, text) in each() {
            Template::parse(text).expect("a default template is valid");
            assert_eq!(unknown_placeholders(text), [], "{prompt_type} {kind:?}");
            for placeholder in TABLE {
                if text.contains(&format!("${}$", placeholder.name)) {
                    assert!(
                        placeholder.prompts.contains(&prompt_type),
                        "{prompt_type} {}",
                        placeholder.name
                    );
                }
            }
            assert_eq!(of_template(text), CallSyntax::Native, "{prompt_type}");
        }
    }

    #[test]
    fn an_orchestration_begins_with_the_instruction_and_ends_with_what_changes() {
        for (prompt_type, kind, text) in each() {
            if prompt_type != PromptType::Orchestration {
                continue;
            }
            let filled = Template::parse(text).expect("valid").fill(&Values {
                instruction: "INSTRUCTION",
                question: "Q",
                memory_content: "CHANGES",
                code_interpreter_files: "CHANGES",
                prompt_session_attributes: "CHANGES",
                ..Values::default()
            });
            assert!(filled.system.trim().starts_with("INSTRUCTION"), "{kind:?}");
            let (_, last) = filled.system.split_once("CHANGES").expect("placed");
            assert_eq!(last.replace("CHANGES", "").trim(), "", "{kind:?}");
        }
    }

    #[test]
    fn what_changes_stands_in_no_step_s_system_text() {
        for (prompt_type, _, text) in each() {
            if prompt_type == PromptType::Orchestration {
                continue;
            }
            let system = text.split("\"messages\"").next().expect("a beginning");
            if system.contains("\"system\"") {
                assert!(
                    CHANGING
                        .iter()
                        .all(|name| !system.contains(&format!("${name}$"))),
                    "{prompt_type}"
                );
            }
        }
    }

    #[test]
    fn parameters_are_those_of_the_family() {
        let nova = inference_for(PromptType::Orchestration, Family::Nova);
        assert_eq!((nova.maximum_length, nova.top_k), (Some(1024), Some(1)));
        let pre = inference_for(PromptType::PreProcessing, Family::Nova);
        assert_eq!(pre, inference(PromptType::PostProcessing));
        assert_eq!(
            inference(PromptType::RoutingClassifier),
            InferenceConfiguration::default()
        );
    }
}
