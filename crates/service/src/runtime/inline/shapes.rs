//! The shapes of the runtime's service model as those of the control plane's, which say the same things
//! in types of their own. Nothing is checked or chosen here.

use std::fmt::Debug;
use std::str::FromStr;

use outcrop_model::control;
use outcrop_model::exception::Exception;
use outcrop_model::runtime;

/// A value of an enum that both models have. The runtime's enums have no value that the control plane's
/// lack, which a test below shows.
fn same<T>(value: &'static str) -> T
where
    T: FromStr,
    T::Err: Debug,
{
    value
        .parse()
        .expect("the control plane's enums have all values of the runtime's")
}

/// A union member that is newer than this program.
fn unknown(member: &str) -> Exception {
    Exception::validation(format!("{member} has a member that is not known here"))
}

/// An action group, as the request that would create it.
pub(super) fn action_group(
    group: runtime::AgentActionGroup,
) -> Result<control::CreateAgentActionGroupRequest, Exception> {
    Ok(control::CreateAgentActionGroupRequest {
        action_group_executor: group.action_group_executor.map(executor).transpose()?,
        action_group_name: group.action_group_name,
        api_schema: group.api_schema.map(api_schema).transpose()?,
        description: group.description,
        function_schema: group.function_schema.map(function_schema).transpose()?,
        parent_action_group_signature: group
            .parent_action_group_signature
            .map(|signature| same(signature.as_str())),
        parent_action_group_signature_params: group.parent_action_group_signature_params,
        ..control::CreateAgentActionGroupRequest::default()
    })
}

fn executor(
    executor: runtime::ActionGroupExecutor,
) -> Result<control::ActionGroupExecutor, Exception> {
    match executor {
        runtime::ActionGroupExecutor::Lambda(function) => {
            Ok(control::ActionGroupExecutor::Lambda(function))
        }
        runtime::ActionGroupExecutor::CustomControl(method) => Ok(
            control::ActionGroupExecutor::CustomControl(same(method.as_str())),
        ),
        _ => Err(unknown("actionGroupExecutor")),
    }
}

fn api_schema(schema: runtime::APISchema) -> Result<control::APISchema, Exception> {
    match schema {
        runtime::APISchema::Payload(text) => Ok(control::APISchema::Payload(text)),
        runtime::APISchema::S3(place) => Ok(control::APISchema::S3(control::S3Identifier {
            s3_bucket_name: place.s3_bucket_name,
            s3_object_key: place.s3_object_key,
        })),
        _ => Err(unknown("apiSchema")),
    }
}

fn function_schema(schema: runtime::FunctionSchema) -> Result<control::FunctionSchema, Exception> {
    match schema {
        runtime::FunctionSchema::Functions(functions) => {
            let functions = functions.into_iter().map(function).collect();
            Ok(control::FunctionSchema::Functions(functions))
        }
        _ => Err(unknown("functionSchema")),
    }
}

fn function(function: runtime::FunctionDefinition) -> control::Function {
    let parameters = function.parameters.map(|parameters| {
        parameters
            .into_iter()
            .map(|(name, detail)| (name, parameter(detail)))
            .collect()
    });
    control::Function {
        description: function.description,
        name: function.name,
        parameters,
        require_confirmation: function
            .require_confirmation
            .map(|required| same(required.as_str())),
    }
}

fn parameter(detail: runtime::ParameterDetail) -> control::ParameterDetail {
    control::ParameterDetail {
        description: detail.description,
        required: detail.required,
        type_: same(detail.type_.as_str()),
    }
}

/// `promptOverrideConfiguration`.
pub(super) fn prompts(
    given: runtime::PromptOverrideConfiguration,
) -> control::PromptOverrideConfiguration {
    control::PromptOverrideConfiguration {
        override_lambda: given.override_lambda,
        prompt_configurations: given
            .prompt_configurations
            .into_iter()
            .map(prompt)
            .collect(),
    }
}

fn prompt(prompt: runtime::PromptConfiguration) -> control::PromptConfiguration {
    control::PromptConfiguration {
        additional_model_request_fields: prompt.additional_model_request_fields,
        base_prompt_template: prompt.base_prompt_template,
        foundation_model: prompt.foundation_model,
        inference_configuration: prompt.inference_configuration.map(inference),
        parser_mode: prompt.parser_mode.map(|mode| same(mode.as_str())),
        prompt_creation_mode: prompt.prompt_creation_mode.map(|mode| same(mode.as_str())),
        prompt_state: prompt.prompt_state.map(|state| same(state.as_str())),
        prompt_type: prompt.prompt_type.map(|type_| same(type_.as_str())),
    }
}

fn inference(given: runtime::InferenceConfiguration) -> control::InferenceConfiguration {
    control::InferenceConfiguration {
        maximum_length: given.maximum_length,
        stop_sequences: given.stop_sequences,
        temperature: given.temperature,
        top_k: given.top_k,
        top_p: given.top_p,
    }
}

/// `guardrailConfiguration`.
pub(super) fn guardrail(
    given: runtime::GuardrailConfigurationWithArn,
) -> control::GuardrailConfiguration {
    control::GuardrailConfiguration {
        guardrail_identifier: Some(given.guardrail_identifier),
        guardrail_version: Some(given.guardrail_version),
    }
}

/// `agentCollaboration`.
pub(super) fn collaboration(given: runtime::AgentCollaboration) -> control::AgentCollaboration {
    same(given.as_str())
}

/// `orchestrationType`.
pub(super) fn orchestration_type(given: runtime::OrchestrationType) -> control::OrchestrationType {
    same(given.as_str())
}

/// `customOrchestration`.
pub(super) fn custom_orchestration(
    given: runtime::CustomOrchestration,
) -> Result<control::CustomOrchestration, Exception> {
    let executor = match given.executor {
        None => None,
        Some(runtime::OrchestrationExecutor::Lambda(function)) => {
            Some(control::OrchestrationExecutor::Lambda(function))
        }
        Some(_) => return Err(unknown("customOrchestration.executor")),
    };
    Ok(control::CustomOrchestration { executor })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::str::FromStr;

    use outcrop_model::{control, runtime};

    fn has_all<T>(values: impl IntoIterator<Item = &'static str>)
    where
        T: FromStr,
        T::Err: Debug,
    {
        for value in values {
            assert!(value.parse::<T>().is_ok(), "{value}");
        }
    }

    macro_rules! same_values {
        ($($theirs:ident => $ours:ident),* $(,)?) => {
            $(has_all::<control::$ours>(runtime::$theirs::VALUES.iter().map(|value| value.as_str()));)*
        };
    }

    #[test]
    fn the_control_plane_has_all_values_of_the_runtime() {
        same_values! {
            ActionGroupSignature => ActionGroupSignature,
            AgentCollaboration => AgentCollaboration,
            CreationMode => CreationMode,
            CustomControlMethod => CustomControlMethod,
            OrchestrationType => OrchestrationType,
            ParameterType => Type,
            PromptState => PromptState,
            PromptType => PromptType,
            RequireConfirmation => RequireConfirmation,
        }
    }
}
