//! A request in, an answer out: routing, binding, the handler, rendering.
//!
//! Nothing here fails: whatever goes wrong becomes an answer. Authentication is the caller's
//! business ([`crate::sigv4`]) and precedes this, since the context it yields comes in.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::CallContext;
use outcrop_model::operation::{EventStreamSpec, ServiceSpec};

use crate::body::Body;
use crate::codec::Codec;
use crate::decoder::{self, Decoder};
use crate::event_stream::{EncodedEvent, exception_frame};
use crate::render;
use crate::route::{Reply, Route};
use crate::routes::{
    BedrockService, ControlService, ConverseService, LambdaService, RuntimeService, bedrock_routes,
    control_routes, converse_routes, lambda_routes, runtime_routes,
};

/// What a type must handle to be served: every operation of every service that has a handler.
pub trait AllServices:
    ControlService + RuntimeService + ConverseService + BedrockService + LambdaService
{
}

impl<S: ControlService + RuntimeService + ConverseService + BedrockService + LambdaService>
    AllServices for S
{
}

/// The operations of all services, served by one type.
pub struct Router<S> {
    decoder: Decoder,
    /// In the order of the decoder's operations.
    routes: Vec<Route<S>>,
}

/// What was answered, for the log of the HTTP edge; an extension of every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The operation, if the request got that far.
    pub operation: Option<&'static str>,
    /// The kind of exception, if it was one.
    pub exception: Option<ExceptionKind>,
}

impl<S: AllServices> Router<S> {
    /// A router over every modelled operation.
    ///
    /// # Panics
    /// When a modelled operation has no route, which the generator refuses to emit.
    pub fn new() -> Self {
        let decoder = Decoder::new();
        let mut routes = control_routes();
        routes.extend(runtime_routes());
        routes.extend(converse_routes());
        routes.extend(bedrock_routes());
        routes.extend(lambda_routes());
        let routes = decoder.operations().map(|spec| {
            let same = |route: &Route<S>| std::ptr::eq(route.spec(), spec);
            let index = routes.iter().position(same);
            routes.swap_remove(index.expect("the generator routes every operation"))
        });
        let routes = routes.collect();
        Self { decoder, routes }
    }
}

impl<S: AllServices> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Send + Sync + 'static> Router<S> {
    /// Answers a request.
    pub async fn dispatch(
        &self,
        service: Arc<S>,
        cx: CallContext,
        request: Request<Bytes>,
    ) -> Response<Body> {
        let request_id = cx.request_id.clone();
        let (codec, found) = match self.decoder.find(&request) {
            Ok(found) => found,
            Err(rejection) => return refuse(&rejection.into_exception(), &request_id),
        };
        let call = self.routes[found.index].call();
        let read = call.and_then(|call| Ok((call, decoder::read(codec, &found, &request)?)));
        drop(request);
        let reply = match read {
            Ok((call, input)) => call(service, cx, input).await,
            Err(rejection) => Err(rejection.into_exception()),
        };
        match reply.and_then(|reply| codec.respond(reply, &request_id)) {
            Ok(mut response) => {
                response.extensions_mut().insert(Answered {
                    operation: Some(codec.spec.name),
                    exception: None,
                });
                response
            }
            Err(exception) => failed(codec, &exception, &request_id),
        }
    }
}

/// Answers a request that has no operation: unroutable, unsigned, too large.
pub fn refuse(exception: &Exception, request_id: &str) -> Response<Body> {
    let service = &outcrop_model::control::tables::SERVICE;
    let kinds = &[exception.kind()];
    let mut response = render::exception(service, kinds, exception, request_id);
    response.extensions_mut().insert(Answered {
        operation: None,
        exception: Some(exception.kind()),
    });
    response
}

fn failed(codec: &Codec, exception: &Exception, request_id: &str) -> Response<Body> {
    log(codec.spec.name, exception, request_id);
    let mut response = render::exception(codec.service(), codec.spec.errors, exception, request_id);
    response.extensions_mut().insert(Answered {
        operation: Some(codec.spec.name),
        exception: Some(exception.kind()),
    });
    response
}

/// Faults of the server are errors; the rest is the client's business. Texts for the client may
/// repeat its input, so they are for debugging only.
fn log(operation: &str, exception: &Exception, request_id: &str) {
    let kind = exception.kind();
    if kind == ExceptionKind::InternalServer {
        let source = std::error::Error::source(exception).map(ToString::to_string);
        let detail = exception.internal_message();
        tracing::error!(operation, request_id, detail, source, "operation failed");
    } else {
        let message = exception.message();
        tracing::debug!(operation, request_id, ?kind, message, "operation refused");
    }
}

impl Codec {
    fn respond(&self, reply: Reply, request_id: &str) -> Result<Response<Body>, Exception> {
        match reply {
            Reply::Json(output) => {
                let bound = self.output.is_some_and(|layout| layout.has_bound);
                let encoded = if bound {
                    let output = serde_json::from_slice(&output).map_err(|error| {
                        Exception::internal("an output is no JSON").with_source(error)
                    })?;
                    self.encode_response(output)?
                } else {
                    self.encode_plain(output)
                };
                let body = Body::Full(encoded.body.clone());
                Ok(render::response(encoded, body, request_id))
            }
            Reply::Stream { output, events } => {
                let head = self.encode_stream_head(output)?;
                let stream = self.spec.event_stream.ok_or_else(|| {
                    Exception::internal("an operation without an event stream gave events")
                })?;
                let origin = StreamOrigin {
                    service: self.service(),
                    stream,
                    operation: self.spec.name,
                    request_id: request_id.to_owned(),
                };
                let body = Body::Stream(frames(events, origin));
                Ok(render::response(head, body, request_id))
            }
        }
    }
}

/// What the frames of one answer need to know.
struct StreamOrigin {
    service: &'static ServiceSpec,
    stream: EventStreamSpec,
    operation: &'static str,
    request_id: String,
}

type Events = BoxStream<'static, Result<EncodedEvent, Exception>>;

/// Frames the events; an exception is framed too and ends the stream.
fn frames(events: Events, origin: StreamOrigin) -> BoxStream<'static, Bytes> {
    let frames = stream::unfold(Some((events, origin)), |state| async move {
        let (mut events, origin) = state?;
        let framed = events.next().await?.and_then(|event| event.to_frame());
        match framed {
            Ok(frame) => Some((frame, Some((events, origin)))),
            Err(exception) => {
                log(origin.operation, &exception, &origin.request_id);
                let frame = exception_frame(origin.service, &origin.stream, &exception);
                Some((frame, None))
            }
        }
    });
    frames.boxed()
}
