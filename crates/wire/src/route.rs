//! One route: an operation and the function that serves it with a given service type.
//!
//! The function pointer hides the operation's types, so that routes of all operations fit one list.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle, HandleStream};
use outcrop_model::operation::{Operation, OperationSpec, StreamingOperation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::event_stream::EncodedEvent;
use crate::rejection::Rejection;

/// What a handler's output has become.
pub(crate) enum Reply {
    /// The output as JSON with sorted keys.
    Json(Bytes),
    /// The output's other members and the events.
    Stream {
        output: Value,
        events: BoxStream<'static, Result<EncodedEvent, Exception>>,
    },
}

type Call<S> = fn(Arc<S>, CallContext, Value) -> BoxFuture<'static, Result<Reply, Exception>>;

/// An operation and what serves it.
pub struct Route<S> {
    spec: &'static OperationSpec,
    call: Option<Call<S>>,
}

impl<S: Send + Sync + 'static> Route<S> {
    /// An operation with a JSON answer.
    pub fn new<Op: Operation>() -> Self
    where
        S: Handle<Op>,
    {
        Self {
            spec: Op::SPEC,
            call: Some(|service, cx, input| {
                Box::pin(async move {
                    let input = read::<Op::Input>(input)?;
                    let output = service.handle(&cx, input).await?;
                    Ok(Reply::Json(write(&output)?))
                })
            }),
        }
    }

    /// An operation whose answer is an event stream.
    pub fn streaming<Op: StreamingOperation>() -> Self
    where
        S: HandleStream<Op>,
    {
        Self {
            spec: Op::SPEC,
            call: Some(|service, cx, input| {
                Box::pin(async move {
                    let input = read::<Op::Input>(input)?;
                    let (output, events) = service.handle_stream(&cx, input).await?;
                    let output = serde_json::from_slice(&write(&output)?).map_err(unwritable)?;
                    let events = events.map(|event| EncodedEvent::new(&event?));
                    Ok(Reply::Stream {
                        output,
                        events: events.boxed(),
                    })
                })
            }),
        }
    }

    /// An operation that is modelled but has no handler.
    pub fn not_implemented(spec: &'static OperationSpec) -> Self {
        Self { spec, call: None }
    }

    /// The operation.
    pub fn spec(&self) -> &'static OperationSpec {
        self.spec
    }

    /// Whether anything serves it.
    pub fn is_implemented(&self) -> bool {
        self.call.is_some()
    }

    pub(crate) fn call(&self) -> Result<Call<S>, Rejection> {
        self.call.ok_or(Rejection::NotImplemented {
            operation: self.spec.name,
        })
    }
}

fn read<T: DeserializeOwned>(input: Value) -> Result<T, Exception> {
    let input = if input.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        input
    };
    serde_json::from_value(input).map_err(|error| {
        let detail = error.to_string();
        Rejection::Body { detail }.into_exception()
    })
}

fn write<T: Serialize>(output: &T) -> Result<Bytes, Exception> {
    serde_json::to_vec(output)
        .map(Bytes::from)
        .map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> Exception {
    Exception::internal("an output cannot be written as JSON").with_source(error)
}
