//! Why a function has no worker.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::backoff::Refusal;
use super::fault::Fault;

/// Why a worker did not come to work.
#[derive(Clone, Debug)]
pub(super) enum StartFailure {
    /// It could not even be started; for people.
    Setup(String),
    /// It was started and did not live.
    Died {
        cause: Cause,
        /// The last it printed.
        log_tail: Option<String>,
    },
}

/// How a worker came to its end.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// It reported why it cannot begin, in its runtime client's words.
    Reported(Bytes),
    /// Its process ended.
    Exited(ExitStatus),
    /// It did not ask for work in time.
    TimedOut(Duration),
    /// It was not started, because too many before it came to the same end.
    Held {
        failures: u32,
        wait: Duration,
        last: Box<Cause>,
    },
}

impl StartFailure {
    /// What a call is told for which no worker is started.
    pub(super) fn held(refusal: Refusal<Self>) -> Self {
        let Refusal {
            failures,
            wait,
            failure,
        } = refusal;
        match failure {
            Self::Setup(detail) => Self::Setup(detail),
            Self::Died { cause, log_tail } => Self::Died {
                cause: Cause::Held {
                    failures,
                    wait,
                    last: Box::new(cause),
                },
                log_tail,
            },
        }
    }
}

impl Cause {
    /// The error object for the invocation `request_id`.
    pub(super) fn payload(&self, request_id: &str) -> Bytes {
        match self {
            Self::Reported(error) => error.clone(),
            Self::Exited(status) => Fault::exited(request_id, *status).payload,
            Self::TimedOut(limit) => Fault::timed_out(request_id, *limit).payload,
            Self::Held {
                failures,
                wait,
                last,
            } => {
                let note = format!(
                    " ({failures} workers in a row came to this end; the next is started in {:.1} s, or \
                     when the code changes)",
                    wait.as_secs_f64()
                );
                annotated(last.payload(request_id), &note)
            }
        }
    }
}

/// The error object with `note` behind its message. One that is no object stays as it is.
fn annotated(payload: Bytes, note: &str) -> Bytes {
    let Ok(Value::Object(mut error)) = serde_json::from_slice(&payload) else {
        return payload;
    };
    let message = error.get("errorMessage").and_then(Value::as_str);
    let message = format!("{}{note}", message.unwrap_or_default());
    error.insert("errorMessage".to_owned(), message.into());
    Bytes::from(Value::Object(error).to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::Cause;

    #[test]
    fn a_held_start_tells_the_last_end_and_when_the_next_is() {
        let held = Cause::Held {
            failures: 4,
            wait: Duration::from_millis(480),
            last: Box::new(Cause::Exited(ExitStatus::from_raw(3 << 8))),
        };
        let payload = held.payload("id");
        assert_eq!(
            String::from_utf8_lossy(&payload),
            "{\"errorMessage\":\"RequestId: id Error: Runtime exited with error: exit status 3 (4 workers \
             in a row came to this end; the next is started in 0.5 s, or when the code changes)\",\
             \"errorType\":\"Runtime.ExitError\"}"
        );
    }
}
