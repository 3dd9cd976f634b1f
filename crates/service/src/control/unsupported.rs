//! What AWS has and Outcrop has not yet, refused when it is asked for rather than ignored when it
//! is run.

use outcrop_model::control::{
    ActionGroupSignature, AgentCollaboration, CreateAgentRequest, OrchestrationType,
};
use outcrop_model::exception::Exception;

/// The refusal of `thing`, asked for in the member `field`.
pub(super) fn unsupported(field: &str, thing: &str) -> Exception {
    let message = format!("{thing} is not supported by Outcrop");
    Exception::validation(message.clone()).with_field(field, message)
}

/// Refuses the parts of an agent that nothing serves.
pub(super) fn check_agent(input: &CreateAgentRequest) -> Result<(), Exception> {
    if input
        .orchestration_type
        .is_some_and(|orchestration| orchestration != OrchestrationType::Default)
    {
        return Err(unsupported(
            "orchestrationType",
            "orchestrationType CUSTOM_ORCHESTRATION",
        ));
    }
    if input.custom_orchestration.is_some() {
        return Err(unsupported("customOrchestration", "customOrchestration"));
    }
    if input.guardrail_configuration.is_some() {
        return Err(unsupported(
            "guardrailConfiguration",
            "guardrailConfiguration",
        ));
    }
    match input.agent_collaboration {
        None | Some(AgentCollaboration::Disabled) => Ok(()),
        Some(other) => Err(unsupported(
            "agentCollaboration",
            &format!("agentCollaboration {other}"),
        )),
    }
}

/// Refuses the built-in action groups that nothing serves.
pub(super) fn check_signature(signature: ActionGroupSignature) -> Result<(), Exception> {
    if signature == ActionGroupSignature::AmazonUserInput {
        return Ok(());
    }
    Err(unsupported(
        "parentActionGroupSignature",
        &format!("parentActionGroupSignature {signature}"),
    ))
}
