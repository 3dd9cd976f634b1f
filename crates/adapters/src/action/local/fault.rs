//! The error objects Lambda itself writes when a function did not answer: a timeout, a dead process,
//! a reply that is too large. A function's own exceptions come from the runtime client instead.
//!
//! Texts as the Lambda service words them, because tools match on them.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::FUNCTION_ERROR_UNHANDLED;
use super::MAX_REPLY_BYTES;

/// A function error: what goes into the payload of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) payload: Bytes,
}

impl Fault {
    /// The value of `X-Amz-Function-Error` that goes with every fault.
    pub(super) const KIND: &'static str = FUNCTION_ERROR_UNHANDLED;

    fn new(body: &Value) -> Self {
        Self {
            payload: Bytes::from(body.to_string()),
        }
    }

    /// The handler, or its import, ran longer than it may.
    pub(super) fn timed_out(request_id: &str, after: Duration) -> Self {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        Self::new(&json!({
            "errorMessage":
                format!("{now} {request_id} Task timed out after {:.2} seconds", after.as_secs_f64()),
        }))
    }

    /// The process ended during the call.
    pub(super) fn exited(request_id: &str, status: ExitStatus) -> Self {
        let reason = match (status.code(), signal(status)) {
            (Some(0), _) | (None, None) => "Runtime exited without providing a reason".to_owned(),
            (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
            (None, Some(signal)) => format!("Runtime exited with error: signal: {signal}"),
        };
        Self::new(&json!({
            "errorType": "Runtime.ExitError",
            "errorMessage": format!("RequestId: {request_id} Error: {reason}"),
        }))
    }

    /// The worker held more memory than it may.
    pub(super) fn out_of_memory(request_id: &str, used: u64, limit: u64) -> Self {
        let megabytes = |bytes: u64| bytes.div_ceil(1024 * 1024);
        Self::new(&json!({
            "errorType": "Runtime.OutOfMemory",
            "errorMessage": format!(
                "RequestId: {request_id} Error: Runtime exited with error: signal: killed (it used {} MB; \
                 its memory is {} MB)",
                megabytes(used),
                megabytes(limit)
            ),
        }))
    }

    /// The reply is larger than Lambda passes on.
    pub(super) fn reply_too_large() -> Self {
        Self::new(&json!({
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": format!(
                "Response payload size exceeded maximum allowed payload size ({MAX_REPLY_BYTES} bytes)."
            ),
        }))
    }
}

/// The signal that ended the process, named as Lambda names it.
fn signal(status: ExitStatus) -> Option<String> {
    let number = std::os::unix::process::ExitStatusExt::signal(&status)?;
    Some(match number {
        6 => "aborted".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        other => format!("signal {other}"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::Fault;

    #[test]
    fn an_exit_is_worded_by_its_cause() {
        let text = |raw: i32| {
            let fault = Fault::exited("id", ExitStatus::from_raw(raw));
            String::from_utf8(fault.payload.to_vec()).expect("JSON is UTF-8")
        };
        assert_eq!(
            text(0),
            r#"{"errorMessage":"RequestId: id Error: Runtime exited without providing a reason","errorType":"Runtime.ExitError"}"#
        );
        assert_eq!(
            text(3 << 8),
            r#"{"errorMessage":"RequestId: id Error: Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"}"#
        );
        assert_eq!(
            text(9),
            r#"{"errorMessage":"RequestId: id Error: Runtime exited with error: signal: killed","errorType":"Runtime.ExitError"}"#
        );
    }
}
