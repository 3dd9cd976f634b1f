//! What an agent's definition must be like before it is stored (behaviour.md 4.2, 5.1, 10.1).
//!
//! Only what AWS itself would refuse is refused here. What Outcrop cannot run is kept and shown like
//! everything else; invoking says so ([`crate::runtime`]).

use outcrop_model::control::{
    CreateAgentRequest, GuardrailConfiguration, MemoryConfiguration, OrchestrationType,
};
use outcrop_model::exception::Exception;

use super::prompts;

/// `storageDays` where none is given: a default of AWS's own model that botocore leaves out.
const STORAGE_DAYS_DEFAULT: i32 = 30;

/// Refuses a definition that breaks a rule.
pub(super) fn check(input: &CreateAgentRequest) -> Result<(), Exception> {
    check_orchestration(input)?;
    check_guardrail(input.guardrail_configuration.as_ref())?;
    input
        .prompt_override_configuration
        .as_ref()
        .map_or(Ok(()), prompts::check)
}

/// An orchestration of one's own needs its function, and the function is of no use without it.
fn check_orchestration(input: &CreateAgentRequest) -> Result<(), Exception> {
    let is_custom = input.orchestration_type == Some(OrchestrationType::CustomOrchestration);
    let has_executor = input
        .custom_orchestration
        .as_ref()
        .is_some_and(|custom| custom.executor.is_some());
    match (is_custom, has_executor) {
        (true, false) => Err(refuse(
            "customOrchestration",
            "customOrchestration.executor cannot be null when orchestrationType is CUSTOM_ORCHESTRATION",
        )),
        (false, true) => Err(refuse(
            "orchestrationType",
            "orchestrationType must be CUSTOM_ORCHESTRATION when customOrchestration is given",
        )),
        (true, true) | (false, false) => Ok(()),
    }
}

/// A guardrail is named by identifier and version; an empty configuration names none.
fn check_guardrail(given: Option<&GuardrailConfiguration>) -> Result<(), Exception> {
    let Some(given) = given else {
        return Ok(());
    };
    let missing = match (&given.guardrail_identifier, &given.guardrail_version) {
        (Some(_), None) => "guardrailVersion",
        (None, Some(_)) => "guardrailIdentifier",
        (Some(_), Some(_)) | (None, None) => return Ok(()),
    };
    Err(refuse(
        &format!("guardrailConfiguration.{missing}"),
        &format!("guardrailConfiguration.{missing} cannot be null"),
    ))
}

/// A memory as it is kept.
pub(super) fn memory(given: MemoryConfiguration) -> MemoryConfiguration {
    MemoryConfiguration {
        storage_days: given.storage_days.or(Some(STORAGE_DAYS_DEFAULT)),
        ..given
    }
}

fn refuse(field: &str, message: &str) -> Exception {
    Exception::validation(message).with_field(field, message)
}
