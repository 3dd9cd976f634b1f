//! Trace parts of the steps around the loop: pre- and post-processing, routing, guardrails,
//! collaborators, knowledge bases.

use outcrop_model::control;
use outcrop_model::runtime::{
    AgentCollaboratorInputPayload, AgentCollaboratorInvocationInput,
    AgentCollaboratorInvocationOutput, AgentCollaboratorOutputPayload, GuardrailAction,
    GuardrailTrace, InvocationInput, InvocationType, KnowledgeBaseLookupInput,
    KnowledgeBaseLookupOutput, Metadata, ModelInvocationInput, Observation, OrchestrationTrace,
    PayloadType, PostProcessingModelInvocationOutput, PostProcessingParsedResponse,
    PostProcessingTrace, PreProcessingModelInvocationOutput, PreProcessingParsedResponse,
    PreProcessingTrace, PromptType, RawResponse, RetrievedReference, ReturnControlPayload,
    RoutingClassifierModelInvocationOutput, RoutingClassifierTrace, Trace, Type,
};
use outcrop_model::timestamp::Timestamp;

use super::{creation_mode, inference, metadata, parser_mode, raw_response, reply_metadata};
use crate::definition::{AgentDefinition, CollaboratorDefinition, PromptDefinition};
use crate::orchestration::{CollaboratorResult, GuardrailAssessed, ModelReplied};
use crate::port::{GuardrailError, GuardrailSource};

/// `modelInvocationInput` of a step besides ORCHESTRATION.
pub(crate) fn step_input(
    definition: &AgentDefinition,
    prompt_type: control::PromptType,
    prompt: &PromptDefinition,
    text: String,
    trace_id: String,
) -> Trace {
    let type_ = match prompt_type {
        control::PromptType::PreProcessing => PromptType::PreProcessing,
        control::PromptType::PostProcessing => PromptType::PostProcessing,
        control::PromptType::RoutingClassifier => PromptType::RoutingClassifier,
        control::PromptType::KnowledgeBaseResponseGeneration => {
            PromptType::KnowledgeBaseResponseGeneration
        }
        _ => PromptType::Orchestration,
    };
    // Recorded streams name no model for response generation (trace-order.md 3).
    let names_model = type_ != PromptType::KnowledgeBaseResponseGeneration;
    let model = prompt.foundation_model.as_ref();
    let model = model.unwrap_or(&definition.foundation_model);
    let input = ModelInvocationInput {
        foundation_model: names_model.then(|| model.clone()),
        inference_configuration: Some(inference(&prompt.inference)),
        override_lambda: prompt
            .parser_overridden
            .then(|| definition.parser_lambda.clone())
            .flatten(),
        parser_mode: parser_mode(prompt),
        prompt_creation_mode: creation_mode(prompt),
        text: Some(text),
        trace_id: Some(trace_id),
        type_: Some(type_),
    };
    match prompt_type {
        control::PromptType::PreProcessing => {
            Trace::PreProcessingTrace(PreProcessingTrace::ModelInvocationInput(input))
        }
        control::PromptType::PostProcessing => {
            Trace::PostProcessingTrace(PostProcessingTrace::ModelInvocationInput(input))
        }
        control::PromptType::RoutingClassifier => {
            Trace::RoutingClassifierTrace(RoutingClassifierTrace::ModelInvocationInput(input))
        }
        _ => Trace::OrchestrationTrace(OrchestrationTrace::ModelInvocationInput(input)),
    }
}

/// `modelInvocationOutput` of `PRE_PROCESSING`.
pub(crate) fn pre_processed(
    reply: &ModelReplied,
    ended_at: Timestamp,
    is_valid: bool,
    rationale: Option<String>,
    trace_id: String,
) -> Trace {
    Trace::PreProcessingTrace(PreProcessingTrace::ModelInvocationOutput(
        PreProcessingModelInvocationOutput {
            metadata: Some(reply_metadata(reply, ended_at)),
            parsed_response: Some(PreProcessingParsedResponse {
                is_valid: Some(is_valid),
                rationale,
            }),
            raw_response: Some(raw(reply)),
            reasoning_content: super::reasoning(&reply.message),
            trace_id: Some(trace_id),
        },
    ))
}

/// `modelInvocationOutput` of `POST_PROCESSING`.
pub(crate) fn post_processed(
    reply: &ModelReplied,
    ended_at: Timestamp,
    text: &str,
    trace_id: String,
) -> Trace {
    Trace::PostProcessingTrace(PostProcessingTrace::ModelInvocationOutput(
        PostProcessingModelInvocationOutput {
            metadata: Some(reply_metadata(reply, ended_at)),
            parsed_response: Some(PostProcessingParsedResponse {
                text: Some(text.to_owned()),
            }),
            raw_response: Some(raw(reply)),
            reasoning_content: super::reasoning(&reply.message),
            trace_id: Some(trace_id),
        },
    ))
}

/// `modelInvocationOutput` of `ROUTING_CLASSIFIER`.
pub(crate) fn routed(reply: &ModelReplied, ended_at: Timestamp, trace_id: String) -> Trace {
    Trace::RoutingClassifierTrace(RoutingClassifierTrace::ModelInvocationOutput(
        RoutingClassifierModelInvocationOutput {
            metadata: Some(reply_metadata(reply, ended_at)),
            raw_response: Some(raw(reply)),
            trace_id: Some(trace_id),
        },
    ))
}

fn raw(reply: &ModelReplied) -> RawResponse {
    RawResponse {
        content: Some(raw_response(reply)),
    }
}

/// `guardrailTrace`. A guardrail that could not judge is shown as one that stepped in.
pub(crate) fn guardrail(
    source: GuardrailSource,
    assessed: &GuardrailAssessed,
    trace_id: String,
) -> Trace {
    let (intervened, mut assessments) = match &assessed.result {
        Ok(assessment) => (assessment.intervened, assessment.assessments.clone()),
        Err(
            GuardrailError::NotFound { .. }
            | GuardrailError::Unsupported { .. }
            | GuardrailError::Failed { .. },
        ) => (true, Vec::new()),
    };
    if assessments.is_empty() {
        assessments.push(outcrop_model::runtime::GuardrailAssessment::default());
    }
    let (input, output) = match source {
        GuardrailSource::Input => (Some(assessments), None),
        GuardrailSource::Output => (None, Some(assessments)),
    };
    Trace::GuardrailTrace(GuardrailTrace {
        action: Some(if intervened {
            GuardrailAction::Intervened
        } else {
            GuardrailAction::None
        }),
        input_assessments: input,
        metadata: Some(metadata(
            &assessed.client_request_id,
            assessed.started_at,
            assessed.ended_at,
        )),
        output_assessments: output,
        trace_id: Some(trace_id),
    })
}

/// `invocationInput` of a collaborator.
pub(crate) fn collaborator_input(
    collaborator: &CollaboratorDefinition,
    input: AgentCollaboratorInputPayload,
    trace_id: String,
) -> InvocationInput {
    InvocationInput {
        agent_collaborator_invocation_input: Some(AgentCollaboratorInvocationInput {
            agent_collaborator_alias_arn: alias_arn(collaborator),
            agent_collaborator_name: Some(collaborator.name.clone()),
            input: Some(input),
        }),
        invocation_type: Some(InvocationType::AgentCollaborator),
        trace_id: Some(trace_id),
        ..InvocationInput::default()
    }
}

fn alias_arn(collaborator: &CollaboratorDefinition) -> Option<String> {
    (!collaborator.alias_arn.is_empty()).then(|| collaborator.alias_arn.clone())
}

/// A message to a collaborator.
pub(crate) fn message(text: &str) -> AgentCollaboratorInputPayload {
    AgentCollaboratorInputPayload {
        text: Some(text.to_owned()),
        type_: Some(PayloadType::Text),
        ..AgentCollaboratorInputPayload::default()
    }
}

/// `observation` of a collaborator.
pub(crate) fn collaborator_output(
    collaborator: &CollaboratorDefinition,
    result: &CollaboratorResult,
    metadata: Metadata,
    trace_id: String,
) -> Observation {
    let text = |text: &str| AgentCollaboratorOutputPayload {
        text: Some(text.to_owned()),
        type_: Some(PayloadType::Text),
        ..AgentCollaboratorOutputPayload::default()
    };
    let output = match result {
        CollaboratorResult::Answered(answer) => text(answer),
        CollaboratorResult::Failed { message, .. } => text(message),
        CollaboratorResult::ReturnedControl(payload) => returned(payload),
    };
    Observation {
        agent_collaborator_invocation_output: Some(AgentCollaboratorInvocationOutput {
            agent_collaborator_alias_arn: alias_arn(collaborator),
            agent_collaborator_name: Some(collaborator.name.clone()),
            metadata: Some(metadata),
            output: Some(output),
        }),
        trace_id: Some(trace_id),
        type_: Some(Type::AgentCollaborator),
        ..Observation::default()
    }
}

fn returned(payload: &ReturnControlPayload) -> AgentCollaboratorOutputPayload {
    AgentCollaboratorOutputPayload {
        return_control_payload: Some(payload.clone()),
        type_: Some(PayloadType::ReturnControl),
        ..AgentCollaboratorOutputPayload::default()
    }
}

/// `invocationInput` of a search.
pub(crate) fn lookup_input(
    knowledge_base_id: &str,
    query: &str,
    trace_id: String,
) -> OrchestrationTrace {
    OrchestrationTrace::InvocationInput(InvocationInput {
        invocation_type: Some(InvocationType::KnowledgeBase),
        knowledge_base_lookup_input: Some(KnowledgeBaseLookupInput {
            knowledge_base_id: Some(knowledge_base_id.to_owned()),
            text: Some(query.to_owned()),
        }),
        trace_id: Some(trace_id),
        ..InvocationInput::default()
    })
}

/// `observation` of a search.
pub(crate) fn lookup_output(
    references: &[RetrievedReference],
    metadata: Metadata,
    trace_id: String,
) -> OrchestrationTrace {
    OrchestrationTrace::Observation(Observation {
        knowledge_base_lookup_output: Some(KnowledgeBaseLookupOutput {
            metadata: Some(metadata),
            retrieved_references: Some(references.to_vec()),
        }),
        trace_id: Some(trace_id),
        type_: Some(Type::KnowledgeBase),
        ..Observation::default()
    })
}
