//! The other end of the wire: signed requests from typed input, typed output from answers.
//!
//! No I/O: the caller sends the request and brings back what came. Used by the command line, which
//! talks to a server of ours or to AWS itself; so what a service answers is read as far as it can be
//! understood, unknown members and leaked type tags included.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::operation::{
    Binding, Operation, OperationSpec, Service, ServiceSpec, StreamingOperation,
};
use outcrop_model::{bedrock, control, converse, lambda, runtime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::bind::EncodedRequest;
use crate::check::{Origin, check};
use crate::codec::Codec;
use crate::event_stream::{Frame, kind_of_event};
use crate::header as header_text;
use crate::path::Path;
use crate::rejection::Rejection;
use crate::render::ERROR_TYPE;
use crate::schema::Schema;

/// Credentials to sign with.
#[derive(Clone)]
pub struct Signer {
    /// The public half of the key.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
    /// The region of the scope.
    pub region: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Why a call has no output.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The input cannot be written as a request.
    #[error("the request cannot be written: {0}")]
    Request(String),
    /// The service answered with an exception.
    #[error("{name}: {}", exception.message())]
    Exception {
        /// Its name as the service wrote it.
        name: String,
        /// What it says.
        exception: Exception,
    },
    /// The answer is not what the model says.
    #[error("the answer cannot be read: {0}")]
    Answer(String),
}

/// Writes requests to one service at one endpoint and reads its answers.
#[derive(Debug)]
pub struct Client {
    endpoint: String,
    signer: Signer,
    schema: Arc<Schema>,
}

impl Client {
    /// A client of `service` at `endpoint`, `http://127.0.0.1:8474` or the like.
    pub fn new(service: Service, endpoint: &str, signer: Signer) -> Self {
        let spec: &'static ServiceSpec = match service {
            Service::Control => &control::tables::SERVICE,
            Service::Runtime => &runtime::tables::SERVICE,
            Service::Converse => &converse::tables::SERVICE,
            Service::Bedrock => &bedrock::tables::SERVICE,
            Service::Lambda => &lambda::tables::SERVICE,
        };
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            signer,
            schema: Arc::new(Schema::new(spec)),
        }
    }

    /// The signed request of a call. `fresh_token` fills an absent idempotency token.
    ///
    /// # Errors
    /// When `input` lacks a part of the path, or the endpoint is no URL.
    pub fn request<Op: Operation>(
        &self,
        input: &Op::Input,
        now: SystemTime,
        fresh_token: impl FnOnce() -> String,
    ) -> Result<Request<Bytes>, CallError> {
        let codec = Codec::new(&self.schema, Op::SPEC);
        let input = to_value(input).map_err(|error| CallError::Request(error.to_string()))?;
        let encoded = codec.encode_request(input, fresh_token);
        let encoded = encoded.map_err(|error| CallError::Request(error.to_string()))?;
        self.sign(encoded, now)
    }

    /// The signed request of an operation given by its table row, from JSON in its input's shape.
    ///
    /// # Errors
    /// When `input` lacks a part of the path, or the endpoint is no URL.
    pub fn request_json(
        &self,
        spec: &'static OperationSpec,
        input: Value,
        now: SystemTime,
        fresh_token: impl FnOnce() -> String,
    ) -> Result<Request<Bytes>, CallError> {
        let encoded = Codec::new(&self.schema, spec).encode_request(input, fresh_token);
        let encoded = encoded.map_err(|error| CallError::Request(error.to_string()))?;
        self.sign(encoded, now)
    }

    /// The output, as JSON, of an operation given by its table row.
    ///
    /// # Errors
    /// When the service answered with an exception, or not as the model says.
    pub fn output_json(
        &self,
        spec: &'static OperationSpec,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Value, CallError> {
        if !status.is_success() {
            return Err(self.exception(status, headers, body));
        }
        let codec = Codec::new(&self.schema, spec);
        let output = codec.decode_response(status.as_u16(), headers, body);
        output.map_err(|error| CallError::Answer(error.to_string()))
    }

    /// A signed request that is no operation of a model: one of Outcrop's own endpoints.
    ///
    /// # Errors
    /// When the endpoint is no URL.
    pub fn plain_request(
        &self,
        method: &'static str,
        path_and_query: String,
        headers: Vec<(String, String)>,
        body: Option<&Value>,
        now: SystemTime,
    ) -> Result<Request<Bytes>, CallError> {
        let body = body.map(|body| (Bytes::from(body.to_string()), "application/json"));
        let encoded = EncodedRequest {
            method,
            path_and_query,
            headers,
            body,
        };
        self.sign(encoded, now)
    }

    /// The answer to such a request.
    ///
    /// # Errors
    /// When the server answered with an exception, or with what is no JSON.
    pub fn plain_answer(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Value, CallError> {
        if !status.is_success() {
            return Err(self.exception(status, headers, body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body).map_err(|error| CallError::Answer(error.to_string()))
    }

    /// Signs `host`, `x-amz-date` and the headers of the request.
    fn sign(&self, encoded: EncodedRequest, now: SystemTime) -> Result<Request<Bytes>, CallError> {
        let mut request = Request::builder()
            .method(encoded.method)
            .uri(format!("{}{}", self.endpoint, encoded.path_and_query));
        for (name, value) in encoded.headers {
            request = request.header(name, value);
        }
        let mut body = Bytes::new();
        if let Some((bytes, content_type)) = encoded.body {
            request = request.header(header::CONTENT_TYPE, content_type);
            body = bytes;
        }
        let mut request = request
            .body(body)
            .map_err(|error| CallError::Request(error.to_string()))?;
        let host = request.uri().authority().map(ToString::to_string);
        let host = host.ok_or_else(|| {
            CallError::Request(format!("the endpoint {} is no URL", self.endpoint))
        })?;
        let host = http::HeaderValue::try_from(host)
            .map_err(|error| CallError::Request(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host);

        let identity = Credentials::new(
            &self.signer.access_key_id,
            &self.signer.secret_access_key,
            self.signer.session_token.clone(),
            None,
            "outcrop",
        )
        .into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.signer.region)
            .name(self.schema.spec.service.signing_name())
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| CallError::Request(error.to_string()))?
            .into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(request.body()),
        );
        let signed = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _) = signed
            .map_err(|error| CallError::Request(error.to_string()))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// The output of an answer that has arrived whole, or of the head of an event stream (`body`
    /// empty then).
    ///
    /// # Errors
    /// When the service answered with an exception, or not as the model says.
    pub fn output<Op: Operation>(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Op::Output, CallError> {
        if !status.is_success() {
            return Err(self.exception(status, headers, body));
        }
        let codec = Codec::new(&self.schema, Op::SPEC);
        let output = codec.decode_response(status.as_u16(), headers, body);
        let output = output.map_err(|error| CallError::Answer(error.to_string()))?;
        from_value(output)
    }

    /// One event of a stream.
    ///
    /// # Errors
    /// When the frame is an exception, which ends the stream, or an event the model lacks.
    pub fn event<Op: StreamingOperation>(&self, frame: Frame) -> Result<Op::Event, CallError> {
        match frame {
            Frame::Event { name, payload } => {
                let payload: Value = serde_json::from_slice(&payload)
                    .map_err(|error| CallError::Answer(format!("event {name}: {error}")))?;
                let mut event = Value::Object(Map::from_iter([(name, payload)]));
                if let Some(stream) = Op::SPEC.event_stream {
                    let shape = self.schema.id(stream.shape);
                    check(&self.schema, shape, &mut event, Path::ROOT, Origin::Service)
                        .map_err(|error| CallError::Answer(error.to_string()))?;
                }
                from_value(event)
            }
            Frame::Exception { name, payload } => {
                let kind = kind_of_event(self.schema.spec, &name);
                let exception = exception_of(kind, &members(&payload));
                Err(CallError::Exception { name, exception })
            }
        }
    }

    fn exception(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CallError {
        let members = members(body);
        let name = error_name(headers, &members).unwrap_or_else(|| {
            status
                .canonical_reason()
                .unwrap_or("UnknownError")
                .to_owned()
        });
        let row = self
            .schema
            .spec
            .exceptions
            .iter()
            .find(|row| row.shape == name);
        let kind = row.map_or_else(|| kind_of_status(status), |row| row.kind);
        CallError::Exception {
            name,
            exception: exception_of(kind, &members),
        }
    }
}

/// Through text, since numbers of 32 bits keep their shortest digits only there.
fn to_value<T: Serialize>(input: &T) -> serde_json::Result<Value> {
    serde_json::from_slice(&serde_json::to_vec(input)?)
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, CallError> {
    serde_json::from_value(value).map_err(|error| CallError::Answer(error.to_string()))
}

fn members(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The name of an exception without its namespace and without the address AWS may append.
pub fn error_name(headers: &HeaderMap, members: &Map<String, Value>) -> Option<String> {
    let header = headers
        .get(ERROR_TYPE)
        .and_then(|value| value.to_str().ok());
    let member = |name: &str| members.get(name).and_then(Value::as_str);
    let text = header
        .or_else(|| member("__type"))
        .or_else(|| member("code"))?;
    let text = text.split_once(':').map_or(text, |(name, _)| name);
    let name = text.rsplit_once('#').map_or(text, |(_, name)| name);
    Some(name.to_owned())
}

fn exception_of(kind: ExceptionKind, members: &Map<String, Value>) -> Exception {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let message = text("message")
        .or_else(|| text("Message"))
        .unwrap_or_default();
    let exception = Exception::new(kind, message);
    match text("resourceName") {
        Some(name) => exception.with_resource_name(name),
        None => exception,
    }
}

/// The kind of an exception with a name no table has.
fn kind_of_status(status: StatusCode) -> ExceptionKind {
    match status.as_u16() {
        401 | 403 => ExceptionKind::AccessDenied,
        404 => ExceptionKind::ResourceNotFound,
        409 => ExceptionKind::Conflict,
        429 => ExceptionKind::Throttling,
        500.. => ExceptionKind::InternalServer,
        _ => ExceptionKind::Validation,
    }
}

impl Codec {
    /// Reads an answer into the operation's output; an event stream is left out.
    ///
    /// # Errors
    /// When the body is no JSON or has other types than the model.
    pub fn decode_response(
        &self,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Value, Rejection> {
        let Some(layout) = self.output else {
            return Ok(Value::Object(Map::new()));
        };
        let members = self.members(layout);
        let payload = members
            .iter()
            .find(|member| member.binding == Binding::Payload);
        let mut output = match payload {
            Some(_) if self.spec.event_stream.is_some() => Map::new(),
            Some(payload) => self.read_payload(payload, body)?,
            None if body.is_empty() => Map::new(),
            None => serde_json::from_slice(body).map_err(|error| Rejection::Body {
                detail: error.to_string(),
            })?,
        };
        for member in members {
            let value = match member.binding {
                Binding::Body
                | Binding::Payload
                | Binding::Label
                | Binding::Query(_)
                | Binding::QueryMap => continue,
                Binding::Header(name) => {
                    header_text::read(&self.schema, member.target, headers, name).map_err(
                        |detail| Rejection::Unreadable {
                            path: member.name.to_owned(),
                            detail,
                        },
                    )?
                }
                Binding::PrefixHeaders(prefix) => header_text::read_prefixed(headers, prefix),
                Binding::StatusCode => Some(Value::from(status)),
            };
            output.remove(member.name);
            output.extend(value.map(|value| (member.name.to_owned(), value)));
        }
        let mut output = Value::Object(output);
        check(
            &self.schema,
            layout.shape,
            &mut output,
            Path::ROOT,
            Origin::Service,
        )?;
        Ok(output)
    }
}
