//! Failures of a turn in AWS's words (behaviour.md 1.6, 13.3), each followed by its cause.

use outcrop_model::control::ActionGroupSignature;
use outcrop_model::exception::ExceptionKind;

use crate::action::lambda::ReplyFault;
use crate::port::{ActionError, CodeError, GuardrailError, ModelError, RetrieveError};

/// Longest excerpt of a handler's log or error that an exception carries.
const EXCERPT_CHARS_MAX: usize = 2_000;

/// Why a turn failed, as the client will see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exception.
    pub kind: ExceptionKind,
    /// Its message.
    pub message: String,
    /// The dependency that failed.
    pub resource_name: Option<String>,
    /// The dependency's own id of the request that failed.
    pub request_id: Option<String>,
}

/// What a function leaves behind that helps to find out why it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// The end of its log.
    pub log_tail: Option<&'a str>,
    /// Lambda's id of the invocation.
    pub request_id: Option<&'a str>,
}

impl Failure {
    /// A budget of the turn is used up.
    pub fn budget(what: &str, limit: u64, setting: &str) -> Self {
        Self {
            kind: ExceptionKind::ServiceQuotaExceeded,
            message: format!(
                "The agent used up its budget of {what} for one turn ({limit}). Simplify the request, or raise {setting} in the server's configuration."
            ),
            resource_name: None,
            request_id: None,
        }
    }

    /// A model call failed.
    pub fn model(error: &ModelError, model: &str) -> Self {
        let (kind, sentence) = match error {
            ModelError::Unmapped { .. } => (
                ExceptionKind::Validation,
                "The foundation model of the agent is not available.",
            ),
            ModelError::Auth { .. } => (
                ExceptionKind::AccessDenied,
                "Access denied when calling Bedrock. Check your request permissions and retry the request.",
            ),
            ModelError::Throttled { .. } | ModelError::Queued { .. } => (
                ExceptionKind::Throttling,
                "Your request rate is too high. Reduce the frequency of requests. Check your Bedrock model invocation quotas to find the acceptable frequency.",
            ),
            ModelError::Rejected { .. }
            | ModelError::NotServed { .. }
            | ModelError::Timeout { .. }
            | ModelError::Malformed { .. } => (
                ExceptionKind::DependencyFailed,
                "Dependency resource: received model timeout/error exception from Bedrock. Try the request again.",
            ),
            ModelError::Loading { .. } => (
                ExceptionKind::ModelNotReady,
                "The model is not ready to serve this request. Try the request again.",
            ),
            ModelError::Unavailable { .. } => (
                ExceptionKind::InternalServer,
                "A service unavailable exception was thrown from Bedrock when invoking the model. Retry the request.",
            ),
            ModelError::Unreachable { .. } => (
                ExceptionKind::BadGateway,
                "There was an issue with a dependency due to a server issue. Retry your request.",
            ),
        };
        Self {
            kind,
            message: format!("{sentence} Cause: {error}"),
            resource_name: Some(model.to_owned()),
            request_id: None,
        }
    }

    /// The model gave no text and no call, again and again.
    pub fn empty_reply(model: &str) -> Self {
        Self {
            kind: ExceptionKind::DependencyFailed,
            message: "Dependency resource: received model timeout/error exception from Bedrock. Try the request again. Cause: the model answered with an empty message.".to_owned(),
            resource_name: Some(model.to_owned()),
            request_id: None,
        }
    }

    /// A handler raised, exited or timed out.
    pub fn unhandled(function: &str, error: &str, payload: &str, evidence: Evidence<'_>) -> Self {
        let message = format!(
            "Your request couldn't be completed. Lambda function {function} encountered a problem while processing request.The error message from the Lambda function is {error}. Check the Lambda function log for error details, then try your request again after fixing the error. Cause: {}",
            raised(payload)
        );
        Self::of_function(message, function, evidence)
    }

    /// A handler's reply broke the contract.
    pub fn reply(function: &str, fault: &ReplyFault, evidence: Evidence<'_>) -> Self {
        let mut message = fault.message.clone();
        if let Some(detail) = &fault.detail {
            message.push_str(" Cause: ");
            message.push_str(detail);
        }
        Self::of_function(message, function, evidence)
    }

    /// An action could not be invoked.
    pub fn action(function: &str, error: &ActionError) -> Self {
        let sentence = match error {
            ActionError::AccessDenied { .. } => format!(
                "Access denied while invoking Lambda function {function}. Check the permissions on the Lambda function and retry the request."
            ),
            ActionError::NotFound { .. }
            | ActionError::Failed { .. }
            | ActionError::RespondToModel(_) => format!(
                "Your request couldn't be completed. Lambda function {function} could not be invoked."
            ),
        };
        Self::dependency(format!("{sentence} Cause: {error}"), function)
    }

    /// Code could not be run.
    pub fn code_interpreter(error: &CodeError) -> Self {
        Self::dependency(
            format!(
                "The code interpreter encountered a problem while processing the request. Retry the request later. Cause: {error}"
            ),
            ActionGroupSignature::AmazonCodeInterpreter.as_str(),
        )
    }

    /// The caller posted a result with `responseState` FAILURE.
    pub fn returned(action_group: &str, target: &str, body: Option<&str>) -> Self {
        let mut message = format!(
            "Received failed response from API execution. Retry the request later. Cause: responseState of the result for actionGroup {action_group} and function {target} is FAILURE"
        );
        if let Some(body) = body.filter(|body| !body.trim().is_empty()) {
            message.push_str(": ");
            message.push_str(&excerpt(body));
        }
        Self::dependency(message, action_group)
    }

    /// A guardrail could not judge; nothing passes without its judgement.
    pub fn guardrail(error: &GuardrailError) -> Self {
        let kind = match error {
            GuardrailError::NotFound { .. } => ExceptionKind::ResourceNotFound,
            GuardrailError::Unsupported { .. } => ExceptionKind::Validation,
            GuardrailError::Failed { .. } => ExceptionKind::DependencyFailed,
        };
        Self {
            kind,
            message: format!(
                "The guardrail of the agent could not be applied, so the request was stopped. Cause: {error}"
            ),
            resource_name: None,
            request_id: None,
        }
    }

    /// A prompt that its placeholders have spoilt (behaviour.md 4.2).
    pub fn unusable_prompt(sentence: &str) -> Self {
        Self {
            kind: ExceptionKind::Validation,
            message: sentence.to_owned(),
            resource_name: None,
            request_id: None,
        }
    }

    /// A knowledge base could not be searched.
    pub fn retrieval(error: &RetrieveError) -> Self {
        let (kind, id) = match error {
            RetrieveError::NotFound { knowledge_base_id } => {
                (ExceptionKind::ResourceNotFound, knowledge_base_id)
            }
            RetrieveError::Failed {
                knowledge_base_id, ..
            } => (ExceptionKind::DependencyFailed, knowledge_base_id),
        };
        Self {
            kind,
            message: format!(
                "Your request couldn't be completed. A knowledge base of the agent could not be searched. Cause: {error}"
            ),
            resource_name: Some(id.clone()),
            request_id: None,
        }
    }

    /// A collaborator that answers for the agent failed.
    pub fn collaborator(kind: ExceptionKind, message: &str) -> Self {
        Self {
            kind,
            message: message.to_owned(),
            resource_name: None,
            request_id: None,
        }
    }

    /// `failureTrace.failureCode`: the status the exception would have in the runtime service.
    pub fn code(&self) -> i32 {
        match self.kind {
            ExceptionKind::AccessDenied
            | ExceptionKind::UnrecognizedClient
            | ExceptionKind::InvalidSignature
            | ExceptionKind::MissingAuthenticationToken
            | ExceptionKind::UnknownOperation => 403,
            ExceptionKind::BadGateway => 502,
            ExceptionKind::Conflict => 409,
            ExceptionKind::DependencyFailed
            | ExceptionKind::ModelError
            | ExceptionKind::ModelNotReady
            | ExceptionKind::ModelStreamError => 424,
            ExceptionKind::ModelTimeout => 408,
            ExceptionKind::ServiceUnavailable => 503,
            ExceptionKind::InternalServer => 500,
            ExceptionKind::ResourceNotFound => 404,
            ExceptionKind::Throttling => 429,
            ExceptionKind::PreconditionFailed => 412,
            ExceptionKind::RequestTooLarge => 413,
            ExceptionKind::InvalidParameterValue
            | ExceptionKind::InvalidRequestContent
            | ExceptionKind::PolicyLengthExceeded
            | ExceptionKind::ResourceInUse
            | ExceptionKind::ServiceQuotaExceeded
            | ExceptionKind::TooManyTags
            | ExceptionKind::Validation
            | ExceptionKind::Serialization => 400,
        }
    }

    fn dependency(message: String, resource: &str) -> Self {
        Self {
            kind: ExceptionKind::DependencyFailed,
            message,
            resource_name: Some(resource.to_owned()),
            request_id: None,
        }
    }

    /// A function that was invoked, with what it left behind.
    fn of_function(mut message: String, function: &str, evidence: Evidence<'_>) -> Self {
        if let Some(request_id) = evidence.request_id {
            message.push_str(" Request id: ");
            message.push_str(request_id);
        }
        append_log(&mut message, evidence.log_tail);
        Self {
            request_id: evidence.request_id.map(ToOwned::to_owned),
            ..Self::dependency(message, function)
        }
    }
}

/// What was raised, as people say it: Lambda's error object names type and message; the stack trace
/// is in the log. Anything else is quoted.
fn raised(payload: &str) -> String {
    let error: Option<serde_json::Value> = serde_json::from_str(payload).ok();
    let text = |member: &str| error.as_ref()?.get(member)?.as_str();
    match (text("errorType"), text("errorMessage")) {
        (Some(type_), Some(message)) => excerpt(&format!("{type_}: {message}")),
        (None, Some(message)) => excerpt(message),
        _ => excerpt(payload),
    }
}

fn append_log(message: &mut String, log_tail: Option<&str>) {
    if let Some(log) = log_tail.map(str::trim).filter(|log| !log.is_empty()) {
        message.push_str(" Log tail: ");
        message.push_str(&last_chars(log));
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

fn last_chars(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(EXCERPT_CHARS_MAX);
    text.chars().skip(skip).collect()
}
