//! An answer that holds its call's pass until it ends or is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::StreamExt;
use outcrop_engine::port::{ModelError, ModelStream};
use outcrop_model::converse::{ConverseStreamOutput, TokenUsage};

use super::Pass;

/// `answer`, with `pass` in it. The usage it tells replaces the estimate.
pub(super) fn holding(answer: ModelStream, pass: Pass) -> ModelStream {
    Holding {
        answer,
        pass: Some(pass),
        begun: false,
    }
    .boxed()
}

struct Holding {
    answer: ModelStream,
    /// Gone when the answer is over.
    pass: Option<Pass>,
    begun: bool,
}

impl Stream for Holding {
    type Item = Result<ConverseStreamOutput, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.answer.poll_next_unpin(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(ConverseStreamOutput::Metadata(metadata)))) => {
                // A server that counts nothing leaves the estimate as the best there is.
                if let (Some(pass), used @ 1..) = (&mut self.pass, used(&metadata.usage)) {
                    pass.settle(used);
                }
            }
            Poll::Ready(Some(Ok(_))) => self.begun = true,
            Poll::Ready(Some(Err(_))) => {
                // An answer that breaks off has used nobody knows how much.
                let begun = self.begun;
                if let Some(mut pass) = self.pass.take().filter(|_| !begun) {
                    pass.settle(0);
                }
            }
            Poll::Ready(None) => self.pass = None,
        }
        polled
    }
}

/// What counts towards a limit: what the cache served is not read again.
fn used(usage: &TokenUsage) -> u32 {
    let count = |tokens: i32| u32::try_from(tokens).unwrap_or(0);
    count(usage.input_tokens)
        .saturating_add(count(usage.output_tokens))
        .saturating_add(count(usage.cache_write_input_tokens.unwrap_or(0)))
}
