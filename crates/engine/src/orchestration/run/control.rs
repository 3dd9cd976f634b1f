//! Handing control to the caller and taking it back, for the agent's own calls and for those of its
//! collaborators (behaviour.md 2).

use std::collections::BTreeMap;

use outcrop_model::converse::ImageSource;
use outcrop_model::runtime::{
    AgentCollaboratorInputPayload, ApiResult, ConfirmationState, ContentBody, FunctionResult,
    ImageInput, ImageInputFormat, ImageInputSource, InvocationResultMember, PayloadType,
    ResponseState, ReturnControlPayload, ReturnControlResults,
};
use outcrop_model::timestamp::Timestamp;

use super::messages::{answered, invocation_id};
use super::{Phase, Run, emit_trace};
use crate::action::Strictness;
use crate::orchestration::acting::{Acting, CallSlot, Delegate, NOT_MADE, SlotState};
use crate::orchestration::control::{
    self, Confirmation, OpenInput, ReturnedResult, ReturnedTarget,
};
use crate::orchestration::effect::{CollaboratorAsk, Effect, Effects};
use crate::orchestration::event::ControlReturned;
use crate::orchestration::failure::Failure;
use crate::trace;

impl Run {
    /// Whether `results` answer exactly what was returned to the caller.
    ///
    /// # Errors
    /// The message of a `ValidationException`, in AWS's style (behaviour.md 2.3).
    pub fn check_results(&self, id: &str, results: &[ReturnedResult]) -> Result<(), String> {
        let (Some(acting), Phase::AwaitingControl) = (&self.acting, self.phase) else {
            return Err(format!(
                "Validation failed: No invocation is waiting for results in this session, but results for invocationId: {id} were given."
            ));
        };
        let expected = invocation_id(acting);
        let mut open = control::open_inputs(acting);
        if expected != id {
            return Err(format!(
                "Validation failed: Unexpected invocationId: {id}. The session waits for results for invocationId: {expected}, which are {}",
                control::expected(&open)
            ));
        }
        for result in results {
            let Some(position) = control::position(&open, result) else {
                return Err(format!(
                    "Validation failed: Unexpected actionGroup: {} or function : {} encountered for invocationId: {id}. Expected: {}",
                    result.action_group,
                    result.target_label(),
                    control::expected(&open)
                ));
            };
            let input = open.remove(position);
            self.check_result(&input, result)?;
        }
        if open.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "Validation failed: {} of {} results are missing for invocationId: {id}. Give one for each of its invocationInputs. Missing: {}",
                open.len(),
                open.len() + results.len(),
                control::expected(&open)
            ))
        }
    }

    fn check_result(&self, input: &OpenInput<'_>, result: &ReturnedResult) -> Result<(), String> {
        let own = self.started.as_ref().map(|started| &started.agent.agent_id);
        let agent = input.agent_id().or(own.map(String::as_str));
        if let (Some(given), Some(expected)) = (&result.agent_id, agent)
            && given != expected
        {
            return Err(format!(
                "Validation failed: Unexpected agentId: {given} encountered for actionGroup: {} and function : {}. Expected: {expected}",
                result.action_group,
                result.target_label()
            ));
        }
        if result.image.is_some()
            && self.plan.strictness == Strictness::Strict
            && !input.takes_image()
        {
            return Err(format!(
                "Validation failed: IMAGES can be given for a computer use action only, not for actionGroup: {} and function : {}",
                result.action_group,
                result.target_label()
            ));
        }
        if input.confirms() && result.confirmation.is_none() {
            return Err(format!(
                "Validation failed: confirmationState is required for actionGroup: {} and function : {}, expected CONFIRM or DENY",
                result.action_group,
                result.target_label()
            ));
        }
        Ok(())
    }

    pub(super) fn control_returned(
        &mut self,
        at: Timestamp,
        returned: &ControlReturned,
        effects: &mut Effects,
    ) {
        if let Some(started) = &mut self.started {
            started.request = returned.request.clone();
            let session = returned.session_attributes.clone();
            started.session_attributes.extend(session);
            let prompt = returned.prompt_session_attributes.clone();
            started.prompt_session_attributes.extend(prompt);
        }
        self.fill_template(false);
        self.request_started_at = at;
        self.iteration = 0;
        self.phase = Phase::Acting;
        let Some(acting) = &mut self.acting else {
            return;
        };
        let handed = hand_out(acting, &returned.results);
        acting.traced = 0;
        acting.resumed_without_calls = handed.confirmed.is_empty() && handed.delegated == 0;
        if !returned.invocation_id.is_empty() {
            acting.invocation_uuid.clone_from(&returned.invocation_id);
        }
        if let Some(failed) = handed.failed {
            for slot in &mut acting.slots {
                if slot.state == SlotState::Running {
                    slot.refuse(NOT_MADE.to_owned());
                }
            }
            let target = failed.target_label();
            let failure = Failure::returned(&failed.action_group, &target, failed.body.as_deref());
            return self.fail(at, failure, effects);
        }
        let confirmed = handed.confirmed;
        let mut invoked = self.call_running(|index| confirmed.contains(&index), effects);
        self.begin_code(effects);
        invoked += self.begin_collaborators(effects);
        self.spend_actions(at, invoked, effects);
        self.advance(at, effects);
    }

    pub(super) fn return_control(&mut self, at: Timestamp, acting: Acting, effects: &mut Effects) {
        let id = invocation_id(&acting);
        let agent_id = self
            .started
            .as_ref()
            .map(|started| started.agent.agent_id.clone())
            .unwrap_or_default();
        if self.traces() {
            for (_, slot) in acting.awaiting() {
                if let Some(action) = &slot.action {
                    let arguments = &slot.arguments;
                    let trace_id = self.trace_id();
                    let part = trace::invocation_input(action, arguments, Some(&id), trace_id);
                    emit_trace(at, part, effects);
                }
            }
        }
        let inputs = acting
            .awaiting()
            .flat_map(|(_, slot)| control::invocation_inputs(slot, &agent_id))
            .collect();
        effects.push(Effect::ReturnControl(Box::new(ReturnControlPayload {
            invocation_id: Some(id),
            invocation_inputs: Some(inputs),
        })));
        self.acting = Some(acting);
        self.phase = Phase::AwaitingControl;
    }
}

/// What results led to.
struct Handed<'a> {
    /// The agent's own calls that run now.
    confirmed: Vec<usize>,
    /// How many collaborators go on.
    delegated: usize,
    /// A result of the agent's own calls that fails the turn.
    failed: Option<&'a ReturnedResult>,
}

/// Gives each result to the call it answers; those of a collaborator go to it together.
fn hand_out<'a>(acting: &mut Acting, results: &'a [ReturnedResult]) -> Handed<'a> {
    let mut handed = Handed {
        confirmed: Vec::new(),
        delegated: 0,
        failed: None,
    };
    let mut below: BTreeMap<usize, Vec<ReturnedResult>> = BTreeMap::new();
    let mut own = Vec::new();
    {
        let mut open = control::open_inputs(acting);
        for result in results {
            let Some(position) = control::position(&open, result) else {
                continue;
            };
            let input = open.remove(position);
            if input.is_own() {
                own.push((input.slot, result));
            } else {
                below.entry(input.slot).or_default().push(result.clone());
            }
        }
    }
    for (index, result) in own {
        let Some(slot) = acting.slots.get_mut(index) else {
            continue;
        };
        if result.fails() && handed.failed.is_none() {
            handed.failed = Some(result);
        }
        slot.state = answered(slot, result);
        if slot.state == SlotState::Running {
            handed.confirmed.push(index);
        }
    }
    for (index, results) in below {
        if let Some(slot) = acting.slots.get_mut(index) {
            handed.delegated += usize::from(go_on(slot, results));
        }
    }
    handed
}

/// Lets a collaborator go on with results.
fn go_on(slot: &mut CallSlot, given: Vec<ReturnedResult>) -> bool {
    let Some(Delegate::Collaborator {
        ask,
        begun,
        shown,
        waits,
        ..
    }) = &mut slot.delegate
    else {
        return false;
    };
    let payload = waits.take();
    *ask = CollaboratorAsk::Results {
        invocation_id: payload
            .and_then(|payload| payload.invocation_id)
            .unwrap_or_default(),
        results: given,
    };
    *begun = false;
    *shown = false;
    slot.state = SlotState::Running;
    true
}

/// Results for a collaborator as the trace shows them.
pub(super) fn shown_results(
    invocation_id: &str,
    results: &[ReturnedResult],
) -> AgentCollaboratorInputPayload {
    AgentCollaboratorInputPayload {
        return_control_results: Some(ReturnControlResults {
            invocation_id: Some(invocation_id.to_owned()),
            return_control_invocation_results: Some(results.iter().map(member).collect()),
        }),
        type_: Some(PayloadType::ReturnControl),
        ..AgentCollaboratorInputPayload::default()
    }
}

/// A result as the caller gave it.
fn member(result: &ReturnedResult) -> InvocationResultMember {
    let confirmation_state = result.confirmation.map(|decision| match decision {
        Confirmation::Confirm => ConfirmationState::Confirm,
        Confirmation::Deny => ConfirmationState::Deny,
    });
    let response_state = match (result.failed, result.reprompt) {
        (true, _) => Some(ResponseState::Failure),
        (false, true) => Some(ResponseState::Reprompt),
        (false, false) => None,
    };
    let images = result.image.as_ref().and_then(|image| match &image.source {
        ImageSource::Bytes(bytes) => Some(vec![ImageInput {
            format: match image.format {
                outcrop_model::converse::ImageFormat::Jpeg => ImageInputFormat::Jpeg,
                outcrop_model::converse::ImageFormat::Gif => ImageInputFormat::Gif,
                outcrop_model::converse::ImageFormat::Webp => ImageInputFormat::Webp,
                _ => ImageInputFormat::Png,
            },
            source: ImageInputSource::Bytes(bytes.clone()),
        }]),
        _ => None,
    });
    let body = |key: &str| {
        let key = if images.is_some() { "IMAGES" } else { key };
        let content = ContentBody {
            body: result.body.clone(),
            images: images.clone(),
        };
        let given = result.body.is_some() || images.is_some();
        given.then(|| BTreeMap::from([(key.to_owned(), content)]))
    };
    match &result.target {
        ReturnedTarget::Function(function) => {
            InvocationResultMember::FunctionResult(FunctionResult {
                action_group: result.action_group.clone(),
                agent_id: result.agent_id.clone(),
                confirmation_state,
                function: Some(function.clone()),
                response_body: body("TEXT"),
                response_state,
            })
        }
        ReturnedTarget::Api { path, method } => InvocationResultMember::ApiResult(ApiResult {
            action_group: result.action_group.clone(),
            agent_id: result.agent_id.clone(),
            api_path: Some(path.clone()),
            confirmation_state,
            http_method: Some(method.clone()),
            http_status_code: None,
            response_body: body("application/json"),
            response_state,
        }),
    }
}
