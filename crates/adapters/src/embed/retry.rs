//! Trying a request again where that may help.
//!
//! An ingestion makes thousands of requests, and one of them that is throttled must not fail a
//! document. Only what may pass by itself is tried again.

use std::time::Duration;

use outcrop_engine::port::{EmbeddingPurpose, ModelError};
use tracing::debug;
use uuid::Uuid;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE_MS: u64 = 500;
/// The longest pause, whatever the other side advises: a longer one is better spent by whoever asked.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// How often a request is made in all. Somebody waits for the answer to a question; documents have
/// time, and with these pauses half a minute of it.
fn attempts(purpose: EmbeddingPurpose) -> u32 {
    match purpose {
        EmbeddingPurpose::Query => 3,
        EmbeddingPurpose::Document => 7,
    }
}

/// Makes a request until it succeeds, cannot, or has been made often enough.
pub(super) async fn retried<T, F>(
    purpose: EmbeddingPurpose,
    mut request: impl FnMut() -> F,
) -> Result<T, ModelError>
where
    F: Future<Output = Result<T, ModelError>>,
{
    let mut attempt = 1;
    loop {
        let error = match request().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(pause_ms) = pause_ms(&error, attempt, Uuid::new_v4().as_u128()) else {
            return Err(error);
        };
        if attempt >= attempts(purpose) {
            return Err(error);
        }
        debug!(%error, attempt, pause_ms, "embedding request failed, trying again");
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        attempt += 1;
    }
}

/// How long to wait before another attempt; `None`: it would fail the same way. Between half and all of
/// the nominal pause, so that requests refused together do not come back together.
fn pause_ms(error: &ModelError, attempt: u32, random: u128) -> Option<u64> {
    let advised = match error {
        ModelError::Throttled { retry_after_ms, .. } => *retry_after_ms,
        ModelError::Timeout { .. }
        | ModelError::Loading { .. }
        | ModelError::Queued { .. }
        | ModelError::Unavailable { .. }
        | ModelError::Unreachable { .. } => None,
        ModelError::Unmapped { .. }
        | ModelError::Auth { .. }
        | ModelError::NotServed { .. }
        | ModelError::Rejected { .. }
        | ModelError::Malformed { .. } => return None,
    };
    let doubled = FIRST_PAUSE_MS.saturating_mul(1 << (attempt - 1).min(16));
    let nominal = advised.unwrap_or(0).max(doubled).min(LONGEST_PAUSE_MS);
    let half = nominal / 2;
    let spread = u64::try_from(random % u128::from(half + 1)).unwrap_or(0);
    Some(
        advised
            .unwrap_or(0)
            .min(LONGEST_PAUSE_MS)
            .max(half + spread),
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn throttled(retry_after_ms: Option<u64>) -> ModelError {
        ModelError::Throttled {
            detail: String::new(),
            retry_after_ms,
        }
    }

    #[test]
    fn pauses_double_within_bounds_and_heed_advice() {
        assert_eq!(pause_ms(&throttled(None), 1, 0), Some(250));
        assert_eq!(pause_ms(&throttled(None), 1, 250), Some(500));
        assert_eq!(pause_ms(&throttled(None), 3, 0), Some(1_000));
        assert_eq!(pause_ms(&throttled(None), 30, 0), Some(30_000));
        assert_eq!(pause_ms(&throttled(Some(9_000)), 1, 0), Some(9_000));
        assert_eq!(pause_ms(&throttled(Some(900_000)), 1, 0), Some(60_000));
        let refused = ModelError::Rejected {
            detail: String::new(),
        };
        assert_eq!(pause_ms(&refused, 1, 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_give_up_sooner_than_documents() {
        for (purpose, expected) in [
            (EmbeddingPurpose::Query, 3),
            (EmbeddingPurpose::Document, 7),
        ] {
            let made = Cell::new(0);
            let outcome: Result<(), _> = retried(purpose, || {
                made.set(made.get() + 1);
                async { Err(throttled(None)) }
            })
            .await;
            assert!(outcome.is_err());
            assert_eq!(made.get(), expected);
        }
    }
}
