//! Return of control: what the caller is asked, and what it may answer (behaviour.md 2).

use std::collections::BTreeMap;

use outcrop_model::converse::ImageBlock;
use outcrop_model::runtime::{
    ActionInvocationType, ApiInvocationInput, ApiParameter, ApiRequestBody,
    FunctionInvocationInput, FunctionParameter, InvocationInputMember, Parameter,
    PropertyParameters,
};
use serde::{Deserialize, Serialize};

use super::acting::CallSlot;
use crate::action::arguments::Argument;
use crate::action::{Action, ActionTarget};
use crate::definition::Executor;

/// One result posted by the caller, already checked for shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReturnedResult {
    /// The action group it answers for.
    pub action_group: String,
    /// The function or operation it answers for.
    pub target: ReturnedTarget,
    /// The agent it answers for, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The user's decision, where one was asked.
    pub confirmation: Option<Confirmation>,
    /// The result's body; absent with a bare confirmation.
    pub body: Option<String>,
    /// The result as an image, for computer use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageBlock>,
    /// `responseState` FAILURE.
    pub failed: bool,
    /// `responseState` REPROMPT, or an HTTP status from 400 up.
    pub reprompt: bool,
}

/// What a returned result names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReturnedTarget {
    /// A function.
    Function(String),
    /// An operation.
    Api {
        /// Path template.
        path: String,
        /// Any case.
        method: String,
    },
}

/// The user's decision on an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confirmation {
    /// Go ahead.
    Confirm,
    /// Do not.
    Deny,
}

impl ReturnedResult {
    /// Whether this result names that action.
    pub(super) fn answers(&self, action: &Action) -> bool {
        self.action_group == action.action_group
            && match (&self.target, &action.target) {
                (ReturnedTarget::Function(given), ActionTarget::Function { name }) => given == name,
                (
                    ReturnedTarget::Api { path, method },
                    ActionTarget::Api {
                        path: expected_path,
                        method: expected_method,
                        ..
                    },
                ) => path == expected_path && method.eq_ignore_ascii_case(expected_method),
                _ => false,
            }
    }

    /// What it names, for messages.
    pub(super) fn target_label(&self) -> String {
        match &self.target {
            ReturnedTarget::Function(name) => name.clone(),
            ReturnedTarget::Api { path, method } => format!("{method} {path}"),
        }
    }

    /// Whether it fails the turn. A denied action has no result that could have failed.
    pub(super) fn fails(&self) -> bool {
        self.failed && self.confirmation != Some(Confirmation::Deny)
    }
}

/// Why control is returned for an action: `actionInvocationType` of behaviour.md 2.2.
pub(super) fn invocation_type(action: &Action) -> ActionInvocationType {
    match (&action.executor, action.requires_confirmation) {
        (Executor::ReturnControl, true) => ActionInvocationType::UserConfirmationAndResult,
        (Executor::Lambda(_), _) => ActionInvocationType::UserConfirmation,
        (Executor::ReturnControl | Executor::CodeInterpreter, _) => ActionInvocationType::Result,
    }
}

/// `invocationId` with the suffix that tells what is asked.
pub(super) fn invocation_id(uuid: &str, types: &[ActionInvocationType]) -> String {
    if types.contains(&ActionInvocationType::UserConfirmationAndResult) {
        format!("{uuid}-uc-result")
    } else if types.contains(&ActionInvocationType::UserConfirmation) {
        format!("{uuid}-uc")
    } else {
        uuid.to_owned()
    }
}

/// What is waited for, for messages: each call as the caller has to name it.
pub(super) fn expected<'a>(open: impl IntoIterator<Item = &'a CallSlot>) -> String {
    let calls: Vec<String> = open
        .into_iter()
        .filter_map(|slot| slot.action.as_deref())
        .map(|action| {
            let target = match &action.target {
                ActionTarget::Function { name } => format!("function {name}"),
                ActionTarget::Api { path, method, .. } => {
                    format!("apiPath {path} with httpMethod {method}")
                }
            };
            format!("actionGroup {} and {target}", action.action_group)
        })
        .collect();
    if calls.is_empty() {
        "no further result".to_owned()
    } else {
        calls.join("; ")
    }
}

/// One element of `invocationInputs`.
pub(super) fn invocation_input(slot: &CallSlot, agent_id: &str) -> Option<InvocationInputMember> {
    let action = slot.action.as_ref()?;
    let kind = invocation_type(action);
    Some(match &action.target {
        ActionTarget::Function { name } => {
            InvocationInputMember::FunctionInvocationInput(FunctionInvocationInput {
                action_group: action.action_group.clone(),
                action_invocation_type: Some(kind),
                agent_id: Some(agent_id.to_owned()),
                collaborator_name: None,
                function: Some(name.clone()),
                parameters: Some(slot.arguments.iter().map(function_parameter).collect()),
            })
        }
        ActionTarget::Api {
            path,
            method,
            body_media_type,
        } => InvocationInputMember::ApiInvocationInput(ApiInvocationInput {
            action_group: action.action_group.clone(),
            action_invocation_type: Some(kind),
            agent_id: Some(agent_id.to_owned()),
            api_path: Some(path.clone()),
            collaborator_name: None,
            http_method: Some(method.clone()),
            parameters: Some(
                slot.arguments
                    .iter()
                    .filter(|argument| !argument.in_body)
                    .map(api_parameter)
                    .collect(),
            ),
            request_body: body_media_type
                .as_ref()
                .map(|media_type| request_body(media_type, &slot.arguments)),
        }),
    })
}

fn request_body(media_type: &str, arguments: &[Argument]) -> ApiRequestBody {
    let properties = arguments
        .iter()
        .filter(|argument| argument.in_body)
        .map(property)
        .collect();
    ApiRequestBody {
        content: Some(BTreeMap::from([(
            media_type.to_owned(),
            PropertyParameters {
                properties: Some(properties),
            },
        )])),
    }
}

fn function_parameter(argument: &Argument) -> FunctionParameter {
    FunctionParameter {
        name: Some(argument.name.clone()),
        type_: Some(argument.type_.clone()),
        value: Some(argument.value.clone()),
    }
}

fn api_parameter(argument: &Argument) -> ApiParameter {
    ApiParameter {
        name: Some(argument.name.clone()),
        type_: Some(argument.type_.clone()),
        value: Some(argument.value.clone()),
    }
}

/// An argument as body property or trace parameter.
pub(crate) fn property(argument: &Argument) -> Parameter {
    Parameter {
        name: Some(argument.name.clone()),
        type_: Some(argument.type_.clone()),
        value: Some(argument.value.clone()),
    }
}
