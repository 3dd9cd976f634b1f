//! How a use case is attached to an operation: one small trait per operation type.
//!
//! `impl Handle<op::CreateAgent> for Service` may sit in any file, so no trait has 86 methods, and
//! a route list that demands them all makes a missing one a compile error (ADR 0002).

use std::future::Future;
use std::pin::Pin;

use futures_core::Stream;

use crate::exception::Exception;
use crate::operation::{Operation, StreamingOperation};

/// Who calls, and under which request id. Made once per request by the HTTP edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallContext {
    /// `x-amzn-requestid` of this request, a lower-case UUID; trace ids begin with it.
    pub request_id: String,
    /// Twelve digits: the account of the access key, else the configured one.
    pub account_id: String,
    /// Region of the signature's scope, else the configured one. Partitions all data.
    pub region: String,
    /// Host and port by which the client reached this server, where it named them: what links in
    /// answers begin with.
    pub host: Option<String>,
}

/// Serves one operation with a JSON answer.
pub trait Handle<Op: Operation>: Send + Sync {
    /// Performs the operation. `input` has passed every constraint of the service model.
    fn handle(
        &self,
        cx: &CallContext,
        input: Op::Input,
    ) -> impl Future<Output = Result<Op::Output, Exception>> + Send;
}

/// The events of a streaming answer, in order. An `Err` is sent as an in-stream exception and ends it.
pub type EventSource<E> = Pin<Box<dyn Stream<Item = Result<E, Exception>> + Send>>;

/// Serves one operation whose answer is an event stream.
pub trait HandleStream<Op: StreamingOperation>: Send + Sync {
    /// Starts the operation: an `Err` here is an HTTP error, one inside the stream an in-stream
    /// exception (behaviour.md 13.3). Dropping the stream cancels all it started.
    fn handle_stream(
        &self,
        cx: &CallContext,
        input: Op::Input,
    ) -> impl Future<Output = Result<(Op::Output, EventSource<Op::Event>), Exception>> + Send;
}
