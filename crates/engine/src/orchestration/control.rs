//! Return of control: what the caller is asked, and what it may answer (behaviour.md 2).

use std::collections::BTreeMap;

use outcrop_model::converse::ImageBlock;
use outcrop_model::runtime::{
    ActionInvocationType, ApiInvocationInput, ApiParameter, ApiRequestBody,
    FunctionInvocationInput, FunctionParameter, InvocationInputMember, Parameter,
    PropertyParameters,
};
use serde::{Deserialize, Serialize};

use super::acting::{Acting, CallSlot, Delegate};
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

/// One input that the caller has to answer: of a call of the agent's own, or of a collaborator.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenInput<'a> {
    /// The call it belongs to.
    pub(super) slot: usize,
    of: InputOf<'a>,
}

#[derive(Clone, Copy, Debug)]
enum InputOf<'a> {
    Own(&'a Action),
    Collaborator(&'a InvocationInputMember),
}

/// The inputs that the caller is asked for at once.
pub(super) fn open_inputs(acting: &Acting) -> Vec<OpenInput<'_>> {
    let mut open = Vec::new();
    for (slot, call) in acting.awaiting() {
        if let Some(action) = call.action.as_deref() {
            open.push(OpenInput {
                slot,
                of: InputOf::Own(action),
            });
        }
        for member in returned_inputs(call) {
            open.push(OpenInput {
                slot,
                of: InputOf::Collaborator(member),
            });
        }
    }
    open
}

/// Which of the inputs a result answers. Two agents may have functions of one name: an input of the
/// agent that the result names comes before all others.
pub(super) fn position(open: &[OpenInput<'_>], result: &ReturnedResult) -> Option<usize> {
    let named = result.agent_id.as_deref();
    open.iter()
        .position(|input| {
            named.is_some() && input.agent_id() == named && input.is_answered_by(result)
        })
        .or_else(|| open.iter().position(|input| input.is_answered_by(result)))
}

fn returned_inputs(call: &CallSlot) -> &[InvocationInputMember] {
    match &call.delegate {
        Some(Delegate::Collaborator {
            waits: Some(payload),
            ..
        }) => payload.invocation_inputs.as_deref().unwrap_or_default(),
        _ => &[],
    }
}

impl OpenInput<'_> {
    /// Whether it is of a call of the agent's own.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.of, InputOf::Own(_))
    }

    /// Why control is returned for it.
    pub(super) fn kind(&self) -> ActionInvocationType {
        match self.of {
            InputOf::Own(action) => invocation_type(action),
            InputOf::Collaborator(member) => member_kind(member),
        }
    }

    /// Whether the user's decision is asked.
    pub(super) fn confirms(&self) -> bool {
        self.kind() != ActionInvocationType::Result
    }

    /// Whether its result may be an image.
    pub(super) fn takes_image(&self) -> bool {
        match self.of {
            InputOf::Own(action) => action.computer_use,
            // The collaborator's own turn judges.
            InputOf::Collaborator(_) => true,
        }
    }

    /// The agent below that asks; `None` for the agent itself.
    pub(super) fn agent_id(&self) -> Option<&str> {
        match self.of {
            InputOf::Collaborator(InvocationInputMember::FunctionInvocationInput(input)) => {
                input.agent_id.as_deref()
            }
            InputOf::Collaborator(InvocationInputMember::ApiInvocationInput(input)) => {
                input.agent_id.as_deref()
            }
            InputOf::Own(_) | InputOf::Collaborator(_) => None,
        }
    }

    /// Whether a result names it.
    fn is_answered_by(&self, result: &ReturnedResult) -> bool {
        match self.of {
            InputOf::Own(action) => result.answers(action),
            InputOf::Collaborator(member) => {
                let agents = (self.agent_id(), result.agent_id.as_deref());
                let same_agent = !matches!(agents, (Some(own), Some(given)) if own != given);
                same_agent && answers_member(result, member)
            }
        }
    }

    /// As the caller has to name it.
    fn label(&self) -> String {
        match self.of {
            InputOf::Own(action) => match &action.target {
                ActionTarget::Function { name } => {
                    format!("actionGroup {} and function {name}", action.action_group)
                }
                ActionTarget::Api { path, method, .. } => format!(
                    "actionGroup {} and apiPath {path} with httpMethod {method}",
                    action.action_group
                ),
            },
            InputOf::Collaborator(InvocationInputMember::FunctionInvocationInput(input)) => {
                format!(
                    "actionGroup {} and function {} of agentId {}",
                    input.action_group,
                    input.function.as_deref().unwrap_or_default(),
                    input.agent_id.as_deref().unwrap_or_default()
                )
            }
            InputOf::Collaborator(InvocationInputMember::ApiInvocationInput(input)) => format!(
                "actionGroup {} and apiPath {} with httpMethod {} of agentId {}",
                input.action_group,
                input.api_path.as_deref().unwrap_or_default(),
                input.http_method.as_deref().unwrap_or_default(),
                input.agent_id.as_deref().unwrap_or_default()
            ),
            InputOf::Collaborator(_) => String::new(),
        }
    }
}

fn member_kind(member: &InvocationInputMember) -> ActionInvocationType {
    let kind = match member {
        InvocationInputMember::FunctionInvocationInput(input) => input.action_invocation_type,
        InvocationInputMember::ApiInvocationInput(input) => input.action_invocation_type,
        _ => None,
    };
    kind.unwrap_or(ActionInvocationType::Result)
}

fn answers_member(result: &ReturnedResult, member: &InvocationInputMember) -> bool {
    match (&result.target, member) {
        (
            ReturnedTarget::Function(given),
            InvocationInputMember::FunctionInvocationInput(input),
        ) => result.action_group == input.action_group && input.function.as_ref() == Some(given),
        (
            ReturnedTarget::Api { path, method },
            InvocationInputMember::ApiInvocationInput(input),
        ) => {
            let asked = input.http_method.as_deref().unwrap_or_default();
            result.action_group == input.action_group
                && input.api_path.as_ref() == Some(path)
                && method.eq_ignore_ascii_case(asked)
        }
        _ => false,
    }
}

/// What is waited for, for messages: each call as the caller has to name it.
pub(super) fn expected(open: &[OpenInput<'_>]) -> String {
    let calls: Vec<String> = open.iter().map(OpenInput::label).collect();
    if calls.is_empty() {
        "no further result".to_owned()
    } else {
        calls.join("; ")
    }
}

/// The elements of `invocationInputs` for one call. A collaborator's carry its name, unless one below
/// it gave its own.
pub(super) fn invocation_inputs(slot: &CallSlot, agent_id: &str) -> Vec<InvocationInputMember> {
    let Some(Delegate::Collaborator { collaborator, .. }) = &slot.delegate else {
        return invocation_input(slot, agent_id).into_iter().collect();
    };
    let mut inputs = returned_inputs(slot).to_vec();
    for input in &mut inputs {
        let name = match input {
            InvocationInputMember::FunctionInvocationInput(input) => &mut input.collaborator_name,
            InvocationInputMember::ApiInvocationInput(input) => &mut input.collaborator_name,
            _ => continue,
        };
        name.get_or_insert_with(|| collaborator.name.clone());
    }
    inputs
}

/// One element of `invocationInputs`.
fn invocation_input(slot: &CallSlot, agent_id: &str) -> Option<InvocationInputMember> {
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
