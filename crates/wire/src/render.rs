//! Answers: outputs, headers, statuses, and exceptions with AWS's names.
//!
//! Which status and shape an exception has is looked up per service; a kind that an operation does
//! not model falls back to its fault, `InternalServerException` or `ValidationException`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::operation::{Binding, ExceptionSpec, Service, ServiceSpec};
use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::codec::{Codec, into_object};
use crate::header as header_text;

/// The header with the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The header with the name of an exception.
pub const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");

/// Exceptions of the front end, which no service models but every one answers.
const FRONT_END: [ExceptionSpec; 5] = [
    front_end(ExceptionKind::Serialization, "SerializationException", 400),
    front_end(
        ExceptionKind::UnknownOperation,
        "AccessDeniedException",
        403,
    ),
    front_end(
        ExceptionKind::UnrecognizedClient,
        "UnrecognizedClientException",
        403,
    ),
    front_end(
        ExceptionKind::InvalidSignature,
        "InvalidSignatureException",
        403,
    ),
    front_end(
        ExceptionKind::MissingAuthenticationToken,
        "MissingAuthenticationTokenException",
        403,
    ),
];

const fn front_end(kind: ExceptionKind, shape: &'static str, status: u16) -> ExceptionSpec {
    ExceptionSpec {
        kind,
        shape,
        event: shape,
        status,
        members: &["message"],
    }
}

/// What every service answers, also one that does not model it.
const UNMODELLED: [ExceptionSpec; 2] = [
    front_end(ExceptionKind::Validation, "ValidationException", 400),
    front_end(ExceptionKind::AccessDenied, "AccessDeniedException", 403),
];

/// A response in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedResponse {
    /// The status.
    pub status: u16,
    /// Headers bound to output members, and the content type.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Codec {
    /// Writes an output that is JSON already and has no bound members.
    pub(crate) fn encode_plain(&self, output: Bytes) -> EncodedResponse {
        let mut headers = HeaderMap::new();
        let body = if self.spec.success_status == 204 {
            Bytes::new()
        } else {
            headers.insert(header::CONTENT_TYPE, JSON);
            output
        };
        EncodedResponse {
            status: self.spec.success_status,
            headers,
            body,
        }
    }

    /// Writes an output, members in headers and status included.
    ///
    /// # Errors
    /// When a member cannot stand where the model puts it.
    pub fn encode_response(&self, output: Value) -> Result<EncodedResponse, Exception> {
        let Some(layout) = self.output else {
            return Ok(self.encode_plain(Bytes::from_static(b"{}")));
        };
        let mut output = into_object(output);
        output.retain(|_, value| !value.is_null());
        if !layout.has_bound {
            return Ok(self.encode_plain(Value::Object(output).to_string().into()));
        }
        let mut response = EncodedResponse {
            status: self.spec.success_status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let mut payload = None;
        for member in self.members(layout) {
            match member.binding {
                // An output that shares its shape with an input has these in its body.
                Binding::Body | Binding::Label | Binding::Query(_) | Binding::QueryMap => {}
                Binding::Payload => payload = Some((member, output.remove(member.name))),
                Binding::StatusCode => {
                    let status = output.remove(member.name);
                    let status = status.as_ref().and_then(Value::as_u64);
                    response.status = status
                        .and_then(|status| u16::try_from(status).ok())
                        .unwrap_or(response.status);
                }
                Binding::Header(name) => {
                    if let Some(value) = output.remove(member.name) {
                        let text = header_text::write(&self.schema, member.target, &value)
                            .map_err(|detail| unwritable(member.name, &detail))?;
                        insert(&mut response.headers, name, &text)?;
                    }
                }
                Binding::PrefixHeaders(prefix) => {
                    let entries = output.remove(member.name).map(into_object);
                    for (key, value) in entries.into_iter().flatten() {
                        let text = value.as_str().unwrap_or_default();
                        insert(&mut response.headers, &format!("{prefix}{key}"), text)?;
                    }
                }
            }
        }
        let body = match payload {
            Some((member, value)) => self
                .write_payload(member, value)
                .map_err(|rejection| unwritable(member.name, &rejection.to_string()))?,
            None if response.status == 204 => None,
            None => Some((Value::Object(output).to_string().into(), "application/json")),
        };
        if let Some((body, content_type)) = body {
            response.body = body;
            // A function's answer is JSON, which the model calls a blob.
            let content_type = match self.spec.service {
                Service::Lambda => "application/json",
                Service::Control | Service::Runtime | Service::Converse | Service::Bedrock => {
                    content_type
                }
            };
            let content_type = HeaderValue::from_static(content_type);
            response
                .headers
                .entry(header::CONTENT_TYPE)
                .or_insert(content_type);
        }
        Ok(response)
    }

    /// The status and headers of an event stream, without a body.
    pub(crate) fn encode_stream_head(&self, output: Value) -> Result<EncodedResponse, Exception> {
        let mut head = self.encode_response(output)?;
        head.headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
        head.body = Bytes::new();
        Ok(head)
    }
}

fn unwritable(member: &str, detail: &str) -> Exception {
    Exception::internal(format!(
        "output member {member} cannot be written: {detail}"
    ))
}

fn insert(headers: &mut HeaderMap, name: &str, text: &str) -> Result<(), Exception> {
    let name = HeaderName::try_from(name).map_err(|error| unwritable(name, &error.to_string()))?;
    let value = HeaderValue::try_from(text)
        .map_err(|error| unwritable(name.as_str(), &error.to_string()))?;
    headers.insert(name, value);
    Ok(())
}

/// Puts a response together.
pub(crate) fn response(encoded: EncodedResponse, body: Body, request_id: &str) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(encoded.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = encoded.headers;
    add_request_id(response.headers_mut(), request_id);
    response
}

fn add_request_id(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// The answer to an exception. `modelled` are the kinds the operation may answer.
pub fn exception(
    service: &'static ServiceSpec,
    modelled: &[ExceptionKind],
    exception: &Exception,
    request_id: &str,
) -> Response<Body> {
    let row = exception_row(service, modelled, exception.kind());
    let mut response = Response::new(Body::Full(exception_body(row, exception)));
    *response.status_mut() =
        StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(ERROR_TYPE, HeaderValue::from_static(row.shape));
    if let Some(seconds) = exception.retry_after_s() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    add_request_id(headers, request_id);
    response
}

/// How an exception of this kind looks where only `modelled` kinds may be answered.
pub(crate) fn exception_row(
    service: &'static ServiceSpec,
    modelled: &[ExceptionKind],
    kind: ExceptionKind,
) -> &'static ExceptionSpec {
    if let Some(row) = FRONT_END.iter().find(|row| row.kind == kind) {
        return row;
    }
    let find = |kind| service.exceptions.iter().find(|row| row.kind == kind);
    let unmodelled = |kind| UNMODELLED.iter().find(|row| row.kind == kind);
    let own = find(kind);
    let found = if own.is_some() {
        own.filter(|_| modelled.contains(&kind))
    } else {
        unmodelled(kind)
    };
    let last = fallback(kind);
    found
        .or_else(|| find(last))
        .or_else(|| unmodelled(last))
        .expect("every service has the two exceptions of last resort")
}

/// What to answer for a kind that the operation does not model.
fn fallback(kind: ExceptionKind) -> ExceptionKind {
    match kind {
        ExceptionKind::BadGateway
        | ExceptionKind::DependencyFailed
        | ExceptionKind::InternalServer
        | ExceptionKind::ModelError
        | ExceptionKind::ModelNotReady
        | ExceptionKind::ModelStreamError
        | ExceptionKind::ModelTimeout
        | ExceptionKind::ServiceUnavailable => ExceptionKind::InternalServer,
        ExceptionKind::AccessDenied
        | ExceptionKind::Conflict
        | ExceptionKind::InvalidParameterValue
        | ExceptionKind::InvalidRequestContent
        | ExceptionKind::PolicyLengthExceeded
        | ExceptionKind::PreconditionFailed
        | ExceptionKind::RequestTooLarge
        | ExceptionKind::ResourceInUse
        | ExceptionKind::ResourceNotFound
        | ExceptionKind::ServiceQuotaExceeded
        | ExceptionKind::Throttling
        | ExceptionKind::TooManyTags
        | ExceptionKind::Validation
        | ExceptionKind::Serialization
        | ExceptionKind::UnknownOperation
        | ExceptionKind::UnrecognizedClient
        | ExceptionKind::InvalidSignature
        | ExceptionKind::MissingAuthenticationToken => ExceptionKind::Validation,
    }
}

/// The JSON body of an exception, with the members its shape has. Lambda says whose fault it is, and
/// writes some of its messages with a capital.
pub(crate) fn exception_body(row: &ExceptionSpec, exception: &Exception) -> Bytes {
    let mut body = Map::new();
    let message = if row.members.contains(&"Message") {
        "Message"
    } else {
        "message"
    };
    body.insert(message.to_owned(), Value::from(exception.message()));
    if row.members.contains(&"Type") {
        let fault = if row.status < 500 { "User" } else { "Service" };
        body.insert("Type".to_owned(), Value::from(fault));
    }
    if row.members.contains(&"fieldList") && !exception.fields().is_empty() {
        let fields = exception.fields().iter();
        let fields = fields.map(|field| json!({"message": field.message, "name": field.name}));
        body.insert("fieldList".to_owned(), fields.collect());
    }
    if row.members.contains(&"resourceName")
        && let Some(name) = exception.resource_name()
    {
        body.insert("resourceName".to_owned(), Value::from(name));
    }
    Value::Object(body).to_string().into()
}

#[cfg(test)]
mod tests;
