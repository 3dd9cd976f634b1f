//! Events as the trace parts AWS sends (behaviour.md 6, trace-order.md 3 and 4).
//!
//! The shapes are the generated ones, so that nothing can be sent that the service model lacks; the
//! envelope around a part (agent, alias, caller chain, session) is the driver's.

pub(crate) mod custom;
pub(crate) mod steps;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use outcrop_model::control;
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, ReasoningContentBlock, ToolResultContentBlock,
};
use outcrop_model::runtime::{
    ActionGroupInvocationInput, ActionGroupInvocationOutput, CodeInterpreterInvocationInput,
    CodeInterpreterInvocationOutput, CreationMode, ExecutionType, FailureTrace, FinalResponse,
    InferenceConfiguration, InvocationInput, InvocationType, Metadata, ModelInvocationInput,
    Observation, OrchestrationModelInvocationOutput, OrchestrationTrace, PromptType, Rationale,
    RawResponse, ReasoningContentBlock as ReasoningContent, ReasoningTextBlock as TracedReasoning,
    RepromptResponse, RequestBody, Source, Trace, Type, Usage,
};
use outcrop_model::timestamp::Timestamp;
use serde::Serialize;

use crate::action::arguments::Argument;
use crate::action::lambda::Attributes;
use crate::action::{Action, ActionTarget};
use crate::converse::text_of;
use crate::definition::{Executor, PromptDefinition};
use crate::files::SessionFile;
use crate::history::Utterance;
use crate::java;
use crate::orchestration::{Failure, ModelReplied, TokenCounts};
use crate::plan::AgentPlan;
use crate::port::CodeReply;
use crate::prompt::syntax::CallSyntax;

/// `modelInvocationInput` of an ORCHESTRATION call.
pub(crate) fn model_invocation_input(
    plan: &AgentPlan,
    system: &str,
    conversation: &[Arc<Utterance>],
    trace_id: String,
) -> OrchestrationTrace {
    let prompt = &plan.definition.orchestration;
    OrchestrationTrace::ModelInvocationInput(ModelInvocationInput {
        foundation_model: Some(plan.model().to_owned()),
        inference_configuration: Some(inference(&prompt.inference)),
        override_lambda: prompt
            .parser_overridden
            .then(|| plan.definition.parser_lambda.clone())
            .flatten(),
        parser_mode: parser_mode(prompt),
        prompt_creation_mode: creation_mode(prompt),
        text: Some(prompt_text(system, conversation)),
        trace_id: Some(trace_id),
        type_: Some(PromptType::Orchestration),
    })
}

fn inference(given: &control::InferenceConfiguration) -> InferenceConfiguration {
    InferenceConfiguration {
        maximum_length: given.maximum_length,
        stop_sequences: given.stop_sequences.clone(),
        temperature: given.temperature,
        top_k: given.top_k,
        top_p: given.top_p,
    }
}

/// Said only where something is overridden, as recorded.
fn creation_mode(prompt: &PromptDefinition) -> Option<CreationMode> {
    prompt.overridden.then_some(CreationMode::Overridden)
}

fn parser_mode(prompt: &PromptDefinition) -> Option<CreationMode> {
    prompt.parser_overridden.then_some(CreationMode::Overridden)
}

/// A prompt as one text.
pub(crate) fn prompt_text(system: &str, conversation: &[Arc<Utterance>]) -> String {
    let messages: usize = conversation
        .iter()
        .map(|utterance| utterance.traced().len() + 1)
        .sum();
    let mut text = String::with_capacity(system.len() + messages + 64);
    text.push_str("{\"system\":");
    text.push_str(&json_string(system));
    text.push_str(",\"messages\":[");
    for (index, utterance) in conversation.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(utterance.traced());
    }
    text.push_str("]}");
    text
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// A message as an element of `messages`: its content is one string, written as AWS writes it.
pub(crate) fn render_message(message: &Message) -> String {
    let mut content = String::from("[");
    for (index, block) in message.content.iter().enumerate() {
        if index > 0 {
            content.push_str(", ");
        }
        render_block(&mut content, block);
    }
    content.push(']');
    let role = match message.role {
        ConversationRole::Assistant => "assistant",
        _ => "user",
    };
    format!(
        "{{\"content\":{},\"role\":\"{role}\"}}",
        json_string(&content)
    )
}

fn render_block(out: &mut String, block: &ContentBlock) {
    match block {
        ContentBlock::Text(text) => {
            let _ = write!(out, "{{text={text}, type=text}}");
        }
        ContentBlock::ToolUse(tool_use) => {
            out.push_str("{input=");
            java::write_value(out, &tool_use.input);
            let _ = write!(
                out,
                ", name={}, id={}, type=tool_use}}",
                tool_use.name, tool_use.tool_use_id
            );
        }
        ContentBlock::ToolResult(result) => {
            let _ = write!(
                out,
                "{{tool_use_id={}, type=tool_result, content=[",
                result.tool_use_id
            );
            for (index, part) in result.content.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                match part {
                    ToolResultContentBlock::Text(text) => {
                        let _ = write!(out, "Content{{type=text, text={text}}}");
                    }
                    ToolResultContentBlock::Json(value) => {
                        let _ = write!(out, "Content{{type=json, json={value}}}");
                    }
                    ToolResultContentBlock::Image(_) => out.push_str("Content{type=image}"),
                    _ => out.push_str("Content{type=binary}"),
                }
            }
            out.push_str("]}");
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => {
            let _ = write!(out, "{{reasoningText={}, type=reasoning}}", reasoning.text);
        }
        ContentBlock::Image(image) => {
            let _ = write!(out, "{{format={}, type=image}}", image.format);
        }
        ContentBlock::Document(document) => {
            let _ = write!(out, "{{name={}, type=document}}", document.name);
        }
        _ => out.push_str("{type=binary}"),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawReply<'a> {
    output: ConverseOutputRef<'a>,
    stop_reason: &'a outcrop_model::converse::StopReason,
    usage: RawUsage,
    /// Which model answered, where it is another than the one asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<RawTrace<'a>>,
}

/// Converse's `trace`, where a router has chosen the model.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawTrace<'a> {
    prompt_router: RawRouter<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawRouter<'a> {
    invoked_model_id: &'a str,
}

/// Converse's `output`, by reference.
#[derive(Serialize)]
struct ConverseOutputRef<'a> {
    message: &'a Message,
}

#[expect(clippy::struct_field_names, reason = "the names are Converse's")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_input_tokens: Option<u32>,
    input_tokens: u32,
    output_tokens: u32,
    total_tokens: u32,
}

/// `modelInvocationOutput`; the raw response is the Converse reply as JSON text.
pub(crate) fn model_invocation_output(
    reply: &ModelReplied,
    syntax: CallSyntax,
    ended_at: Timestamp,
    trace_id: String,
) -> OrchestrationTrace {
    // A model that writes its calls into its text is shown by that text (behaviour.md 6.3).
    let content = if syntax.is_text() {
        text_of(&reply.message)
    } else {
        raw_response(reply)
    };
    OrchestrationTrace::ModelInvocationOutput(OrchestrationModelInvocationOutput {
        metadata: Some(reply_metadata(reply, ended_at)),
        raw_response: Some(RawResponse {
            content: Some(content),
        }),
        reasoning_content: reasoning(&reply.message),
        trace_id: Some(trace_id),
    })
}

/// The reply as a provider would have sent it: a Converse response as JSON text.
pub(crate) fn raw_response(reply: &ModelReplied) -> String {
    let TokenCounts {
        input,
        output,
        cache_read,
        cache_write,
    } = reply.usage;
    let raw = RawReply {
        output: ConverseOutputRef {
            message: &reply.message,
        },
        stop_reason: &reply.stop_reason,
        usage: RawUsage {
            cache_read_input_tokens: (cache_read > 0).then_some(cache_read),
            cache_write_input_tokens: (cache_write > 0).then_some(cache_write),
            input_tokens: input,
            output_tokens: output,
            total_tokens: [output, cache_read, cache_write]
                .into_iter()
                .fold(input, u32::saturating_add),
        },
        trace: reply.answered_by.as_deref().map(|model| RawTrace {
            prompt_router: RawRouter {
                invoked_model_id: model,
            },
        }),
    };
    serde_json::to_string(&raw).expect("a message holds only string-keyed data")
}

fn reply_metadata(reply: &ModelReplied, ended_at: Timestamp) -> Metadata {
    Metadata {
        usage: Some(Usage {
            input_tokens: Some(clamp(reply.usage.input)),
            output_tokens: Some(clamp(reply.usage.output)),
        }),
        ..metadata(&reply.client_request_id, reply.started_at, ended_at)
    }
}

/// What the model thought apart from its answer; `None` for models that do not.
fn reasoning(message: &Message) -> Option<ReasoningContent> {
    message.content.iter().find_map(|block| match block {
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(text)) => {
            Some(ReasoningContent::ReasoningText(TracedReasoning {
                signature: text.signature.clone(),
                text: text.text.clone(),
            }))
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(blob)) => {
            Some(ReasoningContent::RedactedContent(blob.clone()))
        }
        _ => None,
    })
}

fn clamp(tokens: u32) -> i32 {
    i32::try_from(tokens).unwrap_or(i32::MAX)
}

pub(crate) fn metadata(
    client_request_id: &str,
    started_at: Timestamp,
    ended_at: Timestamp,
) -> Metadata {
    Metadata {
        client_request_id: Some(client_request_id.to_owned()),
        end_time: Some(ended_at),
        start_time: Some(started_at),
        total_time_ms: Some(elapsed_ms(started_at, ended_at)),
        ..Metadata::default()
    }
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_nanos().saturating_sub(from.as_nanos()).max(0) / 1_000_000
}

/// `rationale`.
pub(crate) fn rationale(text: String, trace_id: String) -> OrchestrationTrace {
    OrchestrationTrace::Rationale(Rationale {
        text: Some(text),
        trace_id: Some(trace_id),
    })
}

/// `invocationInput` of an action; `invocation_id` for a return of control.
pub(crate) fn invocation_input(
    action: &Action,
    arguments: &[Argument],
    invocation_id: Option<&str>,
    trace_id: String,
) -> OrchestrationTrace {
    let returns = invocation_id.is_some() || action.executor == Executor::ReturnControl;
    let mut input = ActionGroupInvocationInput {
        action_group_name: Some(action.action_group.clone()),
        execution_type: Some(if returns {
            ExecutionType::ReturnControl
        } else {
            ExecutionType::Lambda
        }),
        invocation_id: invocation_id.map(ToOwned::to_owned),
        parameters: parameters(arguments, false),
        ..ActionGroupInvocationInput::default()
    };
    match &action.target {
        ActionTarget::Function { name } => input.function = Some(name.clone()),
        ActionTarget::Api {
            path,
            method,
            body_media_type,
        } => {
            input.api_path = Some(path.clone());
            input.verb = Some(method.to_ascii_lowercase());
            input.request_body = body_media_type.as_ref().and_then(|media_type| {
                let properties = parameters(arguments, true)?;
                Some(RequestBody {
                    content: Some(BTreeMap::from([(media_type.clone(), properties)])),
                })
            });
        }
    }
    OrchestrationTrace::InvocationInput(InvocationInput {
        action_group_invocation_input: Some(input),
        invocation_type: Some(InvocationType::ActionGroup),
        trace_id: Some(trace_id),
        ..InvocationInput::default()
    })
}

fn parameters(
    arguments: &[Argument],
    in_body: bool,
) -> Option<Vec<outcrop_model::runtime::Parameter>> {
    let parameters: Vec<_> = arguments
        .iter()
        .filter(|argument| argument.in_body == in_body)
        .map(crate::orchestration::trace_parameter)
        .collect();
    (!parameters.is_empty()).then_some(parameters)
}

/// `observation` of a finished action.
pub(crate) fn action_observation(
    text: &str,
    client_request_id: &str,
    (started_at, ended_at): (Timestamp, Timestamp),
    reprompt: bool,
    trace_id: String,
) -> OrchestrationTrace {
    let observation = if reprompt {
        Observation {
            reprompt_response: Some(RepromptResponse {
                source: Some(Source::ActionGroup),
                text: Some(text.to_owned()),
            }),
            type_: Some(Type::Reprompt),
            ..Observation::default()
        }
    } else {
        Observation {
            action_group_invocation_output: Some(ActionGroupInvocationOutput {
                metadata: Some(metadata(client_request_id, started_at, ended_at)),
                text: Some(text.to_owned()),
            }),
            type_: Some(Type::ActionGroup),
            ..Observation::default()
        }
    };
    OrchestrationTrace::Observation(Observation {
        trace_id: Some(trace_id),
        ..observation
    })
}

/// `invocationInput` of a run of code.
pub(crate) fn code_input(
    code: &str,
    files: &[Arc<SessionFile>],
    trace_id: String,
) -> OrchestrationTrace {
    let files: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    OrchestrationTrace::InvocationInput(InvocationInput {
        code_interpreter_invocation_input: Some(CodeInterpreterInvocationInput {
            code: Some(code.to_owned()),
            files: (!files.is_empty()).then_some(files),
        }),
        invocation_type: Some(InvocationType::ActionGroupCodeInterpreter),
        trace_id: Some(trace_id),
        ..InvocationInput::default()
    })
}

/// `observation` of a run of code. One that failed shows its error alone, as recorded on AWS.
pub(crate) fn code_observation(
    reply: &CodeReply,
    (started_at, ended_at): (Timestamp, Timestamp),
    trace_id: String,
) -> OrchestrationTrace {
    let files: Vec<String> = reply.files.iter().map(|file| file.name.clone()).collect();
    let failed = reply.error.is_some();
    OrchestrationTrace::Observation(Observation {
        code_interpreter_invocation_output: Some(CodeInterpreterInvocationOutput {
            execution_error: reply.error.clone(),
            execution_output: (!failed).then(|| reply.output.trim().to_owned()),
            execution_timeout: reply.timed_out.then_some(true),
            files: (!files.is_empty()).then_some(files),
            metadata: Some(Metadata {
                end_time: Some(ended_at),
                start_time: Some(started_at),
                total_time_ms: Some(elapsed_ms(started_at, ended_at)),
                ..Metadata::default()
            }),
        }),
        trace_id: Some(trace_id),
        type_: Some(Type::ActionGroupCodeInterpreter),
        ..Observation::default()
    })
}

/// `observation` that ends the turn: FINISH, or `ASK_USER`.
pub(crate) fn final_response(
    text: &str,
    asks: bool,
    started_at: Timestamp,
    ended_at: Timestamp,
    trace_id: String,
) -> Observation {
    Observation {
        final_response: Some(FinalResponse {
            metadata: Some(operation_metadata(started_at, ended_at)),
            text: Some(text.to_owned()),
        }),
        trace_id: Some(trace_id),
        type_: Some(if asks { Type::AskUser } else { Type::Finish }),
        ..Observation::default()
    }
}

fn operation_metadata(started_at: Timestamp, ended_at: Timestamp) -> Metadata {
    Metadata {
        end_time: Some(ended_at),
        operation_total_time_ms: Some(elapsed_ms(started_at, ended_at)),
        start_time: Some(started_at),
        ..Metadata::default()
    }
}

/// `failureTrace`.
pub(crate) fn failure(
    failure: &Failure,
    started_at: Timestamp,
    ended_at: Timestamp,
    trace_id: String,
) -> Trace {
    Trace::FailureTrace(FailureTrace {
        failure_code: Some(failure.code()),
        failure_reason: Some(failure.message.clone()),
        metadata: Some(Metadata {
            client_request_id: failure.request_id.clone(),
            ..operation_metadata(started_at, ended_at)
        }),
        trace_id: Some(trace_id),
    })
}

/// `$prompt_session_attributes$`: one line an attribute, nothing where there are none.
pub(crate) fn prompt_attributes(attributes: &Attributes) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let mut text = String::from("<prompt_session_attributes>\n");
    for (name, value) in attributes {
        let _ = writeln!(text, "{name}: {value}");
    }
    text.push_str("</prompt_session_attributes>");
    text
}
