//! What a failed model call is in `bedrock-runtime`'s own exceptions, in AWS's words, each followed by
//! its cause.

use outcrop_engine::port::ModelError;
use outcrop_model::exception::{Exception, ExceptionKind};

/// A call that did not begin to be answered, or whose answer nobody has seen a part of.
pub(super) fn of_call(error: &ModelError) -> Exception {
    let (kind, sentence) = match error {
        ModelError::Unmapped { .. } => (
            ExceptionKind::Validation,
            "The provided model identifier is invalid.",
        ),
        ModelError::Auth { .. } => (
            ExceptionKind::AccessDenied,
            "You don't have access to the model with the specified model ID.",
        ),
        ModelError::Throttled { .. } | ModelError::Queued { .. } => (
            ExceptionKind::Throttling,
            "Too many requests, please wait before trying again.",
        ),
        ModelError::NotServed { .. } => (
            ExceptionKind::ResourceNotFound,
            "Could not resolve the foundation model from the provided model identifier.",
        ),
        ModelError::Rejected { .. } => (
            ExceptionKind::Validation,
            "The model returned the following errors:",
        ),
        ModelError::Timeout { .. } => (
            ExceptionKind::ModelTimeout,
            "The request took too long to process. Processing time exceeded the model timeout length.",
        ),
        ModelError::Loading { .. } => (
            ExceptionKind::ModelNotReady,
            "The model is not ready to serve this request. Try the request again.",
        ),
        ModelError::Unavailable { .. } | ModelError::Unreachable { .. } => (
            ExceptionKind::ServiceUnavailable,
            "Bedrock is unable to process your request.",
        ),
        ModelError::Malformed { .. } => (
            ExceptionKind::ModelError,
            "The request failed due to an error while processing the model.",
        ),
    };
    let message = match error {
        ModelError::Rejected { detail } => format!("{sentence} {detail}"),
        _ => format!("{sentence} Cause: {error}"),
    };
    let exception = Exception::new(kind, message);
    match error {
        ModelError::Throttled {
            retry_after_ms: Some(wait_ms),
            ..
        } => {
            exception.with_retry_after_s(u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX))
        }
        _ => exception,
    }
}

/// An answer that broke off. The stream has fewer exceptions than the call.
pub(super) fn in_stream(error: &ModelError) -> Exception {
    match error {
        ModelError::Throttled { .. }
        | ModelError::Queued { .. }
        | ModelError::Rejected { .. }
        | ModelError::Unavailable { .. } => of_call(error),
        ModelError::Unmapped { .. }
        | ModelError::Auth { .. }
        | ModelError::NotServed { .. }
        | ModelError::Timeout { .. }
        | ModelError::Loading { .. }
        | ModelError::Unreachable { .. }
        | ModelError::Malformed { .. } => Exception::new(
            ExceptionKind::ModelStreamError,
            format!(
                "An error occurred while streaming the response. Retry your request. Cause: {error}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let detail = || "host answered".to_owned();
        for (error, called, streamed) in [
            (
                ModelError::Throttled {
                    detail: detail(),
                    retry_after_ms: Some(1_200),
                },
                ExceptionKind::Throttling,
                ExceptionKind::Throttling,
            ),
            (
                ModelError::Timeout { detail: detail() },
                ExceptionKind::ModelTimeout,
                ExceptionKind::ModelStreamError,
            ),
            (
                ModelError::Loading { detail: detail() },
                ExceptionKind::ModelNotReady,
                ExceptionKind::ModelStreamError,
            ),
            (
                ModelError::Malformed { detail: detail() },
                ExceptionKind::ModelError,
                ExceptionKind::ModelStreamError,
            ),
            (
                ModelError::Unavailable { detail: detail() },
                ExceptionKind::ServiceUnavailable,
                ExceptionKind::ServiceUnavailable,
            ),
            (
                ModelError::Rejected { detail: detail() },
                ExceptionKind::Validation,
                ExceptionKind::Validation,
            ),
            (
                ModelError::Auth { detail: detail() },
                ExceptionKind::AccessDenied,
                ExceptionKind::ModelStreamError,
            ),
            (
                ModelError::NotServed { detail: detail() },
                ExceptionKind::ResourceNotFound,
                ExceptionKind::ModelStreamError,
            ),
        ] {
            let exception = of_call(&error);
            assert_eq!(exception.kind(), called);
            assert!(exception.message().ends_with("host answered"));
            assert_eq!(in_stream(&error).kind(), streamed);
        }
        let wait = of_call(&ModelError::Throttled {
            detail: detail(),
            retry_after_ms: Some(1_200),
        });
        assert_eq!(wait.retry_after_s(), Some(2));
    }
}
