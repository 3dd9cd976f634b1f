//! Asks foundation models: another model where one fails, another time where that may help, and never
//! once an answer has begun.
//!
//! What lets another model be asked is [`ModelError::may_fall_back`]. A request that the asked model
//! itself refuses is refused for good; what a fallback refuses counts only for that fallback, since it
//! is another model's judgement. A model with another one behind it is not waited for: all of the chain
//! are asked in turn, and only then comes a wait and another round of those that a repetition may help.
//!
//! Invariant: output of one model is never followed by output of another.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use outcrop_engine::fit::fit;
use outcrop_engine::port::{ModelError, ModelRequest, ModelStream};
use outcrop_model::converse::ConverseStreamOutput;
use tracing::warn;

use crate::ports::Ports;

/// Rounds over the chain, the first included.
const ROUNDS_MAX: u32 = 4;
/// Bounds of the first wait before another round; each later one doubles it.
const BACKOFF_MS: u64 = 200;
/// Longest wait. A provider that asks for more is believed: the call fails at once, and its client may
/// come back then.
const BACKOFF_MS_MAX: u64 = 20_000;

/// On whose behalf a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behalf {
    /// A turn's: its request is fitted to the model, and it waits for one that is busy.
    Turn,
    /// A caller's of Converse, which has its own say in both: the asked model gets the request as it
    /// came, and there is one round.
    Caller,
}

/// An answer that has begun.
pub(crate) struct Answer {
    /// The model that gives it.
    pub(crate) model: String,
    head: Vec<ConverseStreamOutput>,
    rest: ModelStream,
}

impl Answer {
    /// Its events, from the first.
    pub(crate) fn events(
        self,
    ) -> impl Stream<Item = Result<ConverseStreamOutput, ModelError>> + Send + Unpin + 'static {
        stream::iter(self.head.into_iter().map(Ok)).chain(self.rest)
    }
}

/// Asks the model of `request`, and those behind it, until one begins to answer.
///
/// # Errors
/// Of the last round the first model's; all are logged.
pub(crate) async fn ask(
    ports: &Ports,
    request: &ModelRequest,
    behalf: Behalf,
) -> Result<Answer, ModelError> {
    let others = ports.models.fallbacks(&request.model).iter();
    let others = others.filter(|other| **other != request.model);
    let mut candidates: Vec<&str> = std::iter::once(request.model.as_str())
        .chain(others.map(String::as_str))
        .collect();
    let mut round = 1;
    loop {
        let mut failed: Vec<(&str, ModelError)> = Vec::new();
        for &model in &candidates {
            match begin(ports, request, model, behalf).await {
                Ok(answer) => {
                    if model != request.model {
                        warn!(asked = request.model, model, "another model answers");
                    }
                    return Ok(answer);
                }
                Err(error) => {
                    warn!(asked = request.model, model, round, %error, "model call failed");
                    if model == request.model && !error.may_fall_back() {
                        return Err(error);
                    }
                    failed.push((model, error));
                }
            }
        }
        let fraction = ports.ids.fraction();
        let wait = |(_, error): &(&str, ModelError)| backoff_ms(error, round, fraction);
        let wait_ms = failed.iter().filter_map(wait).min();
        let again = behalf == Behalf::Turn && round < ROUNDS_MAX;
        let Some(wait_ms) = wait_ms.filter(|_| again) else {
            let first = failed.into_iter().next();
            let (_, error) = first.expect("the asked model is always among the candidates");
            return Err(error);
        };
        candidates = failed
            .iter()
            .filter(|failure| wait(failure).is_some())
            .map(|(model, _)| *model)
            .collect();
        warn!(
            asked = request.model,
            wait_ms, "the model will be asked again"
        );
        ports.clock.sleep(Duration::from_millis(wait_ms)).await;
        round += 1;
    }
}

/// Asks one model and waits for the beginning of its answer.
async fn begin(
    ports: &Ports,
    request: &ModelRequest,
    model: &str,
    behalf: Behalf,
) -> Result<Answer, ModelError> {
    let mut call = request.clone();
    if model != request.model {
        model.clone_into(&mut call.model);
    }
    let capabilities = ports.models.capabilities(model)?;
    if behalf == Behalf::Turn || model != request.model {
        fit(&mut call, capabilities)?;
    }
    let mut rest = ports.models.converse(call).await?;
    let mut head = Vec::with_capacity(2);
    while let Some(event) = rest.next().await {
        let event = event?;
        // The start of a message commits nobody to anything.
        let begun = !matches!(event, ConverseStreamOutput::MessageStart(_));
        head.push(event);
        if begun {
            return Ok(Answer {
                model: model.to_owned(),
                head,
                rest,
            });
        }
    }
    Err(ModelError::Malformed {
        detail: "the stream ended before the message was complete".to_owned(),
    })
}

/// How long to wait before the next round; `None` where another one makes no sense.
fn backoff_ms(error: &ModelError, round: u32, fraction: f64) -> Option<u64> {
    if !error.is_retryable() {
        return None;
    }
    let ceiling = BACKOFF_MS
        .saturating_mul(1 << round.min(8))
        .min(BACKOFF_MS_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a fraction of a small positive number"
    )]
    let jittered = BACKOFF_MS / 2 + (fraction * ceiling as f64) as u64;
    match error {
        ModelError::Throttled {
            retry_after_ms: Some(asked),
            ..
        } if *asked > BACKOFF_MS_MAX => None,
        ModelError::Throttled {
            retry_after_ms: Some(asked),
            ..
        } => Some(jittered.max(*asked)),
        _ => Some(jittered),
    }
}
