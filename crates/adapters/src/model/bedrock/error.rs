//! Bedrock's errors by variant, to [`ModelError`].

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseError;
use aws_sdk_bedrockruntime::operation::converse_stream::ConverseStreamError;
use aws_sdk_bedrockruntime::operation::invoke_model::InvokeModelError;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use outcrop_engine::port::ModelError;

use crate::model::fault::Fault;

/// What the variants of an operation's error mean.
pub(super) trait Meaning: ProvideErrorMetadata + Error + 'static {
    /// The HTTP status the variant stands for; none for an error the service model does not name.
    fn status(&self) -> Option<u16>;
}

/// The statuses by which [`Fault`] knows what an error means. They differ from AWS's own where those
/// say less: a model that is not ready answers 429 there, a model that timed out 408.
mod status {
    pub(super) const ACCESS_DENIED: u16 = 403;
    pub(super) const FAILED: u16 = 500;
    pub(super) const NOT_SERVED: u16 = 404;
    pub(super) const REJECTED: u16 = 400;
    pub(super) const THROTTLED: u16 = 429;
    pub(super) const TIMED_OUT: u16 = 408;
}

macro_rules! meaning {
    ($error:ident) => {
        impl Meaning for $error {
            fn status(&self) -> Option<u16> {
                match self {
                    Self::AccessDeniedException(_) => Some(status::ACCESS_DENIED),
                    Self::InternalServerException(_)
                    | Self::ModelErrorException(_)
                    | Self::ServiceUnavailableException(_) => Some(status::FAILED),
                    Self::ModelTimeoutException(_) => Some(status::TIMED_OUT),
                    Self::ResourceNotFoundException(_) => Some(status::NOT_SERVED),
                    Self::ValidationException(_) => Some(status::REJECTED),
                    Self::ThrottlingException(_) => Some(status::THROTTLED),
                    _ => None,
                }
            }
        }
    };
}

meaning!(ConverseError);
meaning!(ConverseStreamError);
meaning!(InvokeModelError);

/// A call that was not answered with success.
pub(super) fn of_call<E: Meaning>(error: &SdkError<E, HttpResponse>, host: &str) -> ModelError {
    let detail = || format!("{host}: {}", DisplayErrorContext(error));
    if has_cause::<CredentialsError>(error) {
        return ModelError::Auth {
            detail: format!("no AWS credentials could be had: {}", detail()),
        };
    }
    match error {
        SdkError::ServiceError(context) => {
            let raw = context.raw();
            of_service(context.err(), raw, host)
        }
        SdkError::TimeoutError(_) => ModelError::Timeout { detail: detail() },
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            ModelError::Rejected { detail: detail() }
        }
        SdkError::DispatchFailure(_) => ModelError::Unreachable { detail: detail() },
        SdkError::ResponseError(context) => {
            let status = context.raw().status();
            let fault = Fault {
                message: DisplayErrorContext(error).to_string(),
                ..Fault::default()
            };
            if status.is_success() {
                ModelError::Malformed { detail: detail() }
            } else {
                fault.into_error(status.as_u16(), None, host)
            }
        }
        SdkError::ConstructionFailure(_) => ModelError::Rejected { detail: detail() },
        _ => ModelError::Unavailable { detail: detail() },
    }
}

fn of_service<E: Meaning>(error: &E, raw: &HttpResponse, host: &str) -> ModelError {
    let fault = Fault {
        message: error.message().unwrap_or_default().to_owned(),
        kind: error.code().map(str::to_owned),
        status: None,
    };
    if fault.kind.as_deref() == Some("ModelNotReadyException") {
        return ModelError::Loading {
            detail: format!("{host}: {}", fault.message),
        };
    }
    let answered = raw.status().as_u16();
    let retry_after = raw
        .headers()
        .get("retry-after")
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs);
    let retry_after_ms = retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
    fault.into_error(error.status().unwrap_or(answered), retry_after_ms, host)
}

/// A failure Bedrock reports inside an answer that began well.
pub(super) fn of_stream(error: &ConverseStreamOutputError, host: &str) -> ModelError {
    let status = match error {
        ConverseStreamOutputError::ThrottlingException(_) => status::THROTTLED,
        ConverseStreamOutputError::ValidationException(_) => status::REJECTED,
        _ => status::FAILED,
    };
    let fault = Fault {
        message: error.message().unwrap_or_default().to_owned(),
        kind: error.code().map(str::to_owned),
        status: None,
    };
    fault.into_error(status, None, host)
}

/// The framing of an answer broke, or the connection under it.
pub(super) fn of_broken_stream(error: &(dyn Error + 'static), host: &str) -> ModelError {
    ModelError::Unreachable {
        detail: format!(
            "{host}: the answer broke off: {}",
            DisplayErrorContext(error)
        ),
    }
}

fn has_cause<C: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<C>() {
            return true;
        }
        cause = error.source();
    }
    false
}
