//! A control plane over HTTP, as `outcrop_deploy` sees one: operations by name, JSON in and out.
//!
//! Reads are repeated while the other side is busy or out of reach. A write is repeated only where the
//! answer says that it was not begun.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use outcrop_adapters::http::{self as outbound, Deadline, HttpFailure, Timeouts};
use outcrop_deploy::api::{Api, ApiError, OwnRequest};
use outcrop_model::control;
use outcrop_model::operation::{OperationSpec, Service};
use outcrop_wire::client::{CallError, Client, Signer};
use serde_json::Value;

use super::invoke::target::{TargetError, aws_identity, check_endpoint, outcrop_signer};

/// A host that takes no connection in this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer: an agent with schemas of a megabyte, several times over.
const ANSWER_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// Tries of one call. AWS's control plane throttles at a few calls a second for seconds at most.
const TRIES: u32 = 6;
/// Before the second try; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Where Outcrop's own endpoints lie.
const OWN_PREFIX: &str = "/_outcrop/v1/";

/// A control plane.
pub(crate) struct Remote {
    http: reqwest::Client,
    client: Client,
    /// Who calls, in which region.
    signer: Signer,
    endpoint: String,
    /// Whether to sign at all: unsigned, a server of ours takes its own region.
    is_signed: bool,
    /// Whether it is AWS's own.
    is_aws: bool,
}

impl Remote {
    /// AWS, as the AWS environment or one of its profiles leads there.
    pub(crate) async fn aws(
        region: Option<String>,
        profile: Option<&str>,
    ) -> Result<Self, TargetError> {
        let identity = aws_identity(region, profile).await?;
        let is_aws = identity.endpoint.is_none();
        let endpoint = identity
            .endpoint
            .unwrap_or_else(|| aws_endpoint("bedrock-agent", &identity.signer.region));
        Self::new(endpoint, identity.signer, true, is_aws)
    }

    /// The server at `endpoint`. A profile says who calls; without one, variables and profile files
    /// do, and a call is not signed where they name nobody.
    pub(crate) async fn server(
        endpoint: String,
        region: Option<String>,
        profile: Option<&str>,
    ) -> Result<Self, TargetError> {
        let (signer, is_signed) = match profile {
            Some(_) => (aws_identity(region, profile).await?.signer, true),
            None => outcrop_signer(region).await,
        };
        Self::new(endpoint, signer, is_signed, false)
    }

    fn new(
        endpoint: String,
        signer: Signer,
        is_signed: bool,
        is_aws: bool,
    ) -> Result<Self, TargetError> {
        check_endpoint(&endpoint)?;
        let http = outbound::client(CONNECT_TIMEOUT)
            .map_err(|error| TargetError::Request(error.to_string()))?;
        Ok(Self {
            http,
            client: Client::new(Service::Control, &endpoint, signer.clone()),
            signer,
            endpoint,
            is_signed,
            is_aws,
        })
    }

    /// Whether it is AWS itself.
    pub(crate) fn is_aws(&self) -> bool {
        self.is_aws
    }

    /// Who calls.
    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The region that is asked; unsigned calls name none.
    pub(crate) fn region(&self) -> Option<&str> {
        self.is_signed.then_some(self.signer.region.as_str())
    }

    /// What sends.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    async fn operate(&self, operation: &'static str, input: Value) -> Result<Value, ApiError> {
        let spec = operation_of(operation)?;
        let is_read = operation.starts_with("Get") || operation.starts_with("List");
        // One token for all tries, so that they are one call.
        let token = uuid::Uuid::new_v4().to_string();
        let mut pause = FIRST_PAUSE;
        for last in (0..TRIES).rev() {
            let request = self
                .client
                .request_json(spec, input.clone(), SystemTime::now(), || token.clone())
                .map_err(|error| invalid(&error))?;
            let outcome = self.exchange(request).await.and_then(|answer| {
                let (status, headers, body) = answer;
                let output = self.client.output_json(spec, status, &headers, &body);
                output.map_err(|error| refused(error, status))
            });
            match outcome {
                Err(error) if last > 0 && may_repeat(&error, is_read) => {}
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(ApiError::Lost(format!("{operation} was never answered")))
    }

    async fn ask(&self, own: OwnRequest) -> Result<Value, ApiError> {
        let path = format!("{OWN_PREFIX}{}", own.path);
        let mut headers = Vec::new();
        if let Some(revision) = own.revision {
            headers.push(("if-match".to_owned(), format!("\"{revision}\"")));
        }
        let request = self
            .client
            .plain_request(
                own.method,
                path,
                headers,
                own.body.as_ref(),
                SystemTime::now(),
            )
            .map_err(|error| invalid(&error))?;
        let (status, headers, body) = self.exchange(request).await?;
        let answer = self.client.plain_answer(status, &headers, &body);
        answer.map_err(|error| refused(error, status))
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ApiError> {
        if !self.is_signed {
            request.headers_mut().remove(AUTHORIZATION);
        }
        let request = reqwest::Request::try_from(request).map_err(|error| invalid(&error))?;
        let deadline = Deadline::start(Timeouts::default());
        let exchanged = async {
            let sent = deadline.response(self.http.execute(request)).await?;
            let mut response = sent.map_err(|error| HttpFailure::of(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = outbound::read_body(&mut response, ANSWER_LIMIT_BYTES, &deadline).await?;
            Ok::<_, HttpFailure>((status, headers, body))
        };
        exchanged.await.map_err(|error| {
            ApiError::Lost(format!("{} cannot be reached: {error}", self.endpoint))
        })
    }
}

impl Api for Remote {
    fn call<'a>(
        &'a self,
        operation: &'static str,
        input: Value,
    ) -> BoxFuture<'a, Result<Value, ApiError>> {
        Box::pin(self.operate(operation, input))
    }

    fn own(&self, request: OwnRequest) -> BoxFuture<'_, Result<Value, ApiError>> {
        Box::pin(self.ask(request))
    }
}

/// AWS's endpoint of a service.
pub(crate) fn aws_endpoint(host: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://{host}.{region}.{suffix}")
}

fn operation_of(name: &'static str) -> Result<&'static OperationSpec, ApiError> {
    let operations = control::tables::SERVICE.operations;
    let found = operations.binary_search_by_key(&name, |operation| operation.name);
    let found = found.ok().and_then(|index| operations.get(index));
    found.copied().ok_or_else(|| ApiError::Refused {
        name: "UnknownOperation".to_owned(),
        message: format!("{name} is no operation of the control plane"),
    })
}

/// A request that was never sent.
fn invalid(error: &dyn std::error::Error) -> ApiError {
    ApiError::Refused {
        name: "InvalidRequest".to_owned(),
        message: error.to_string(),
    }
}

fn refused(error: CallError, status: StatusCode) -> ApiError {
    match error {
        CallError::Exception { name, exception } => {
            let message = match exception.message() {
                "" => format!("the answer has status {status} and no message"),
                message => message.to_owned(),
            };
            ApiError::Refused { name, message }
        }
        CallError::Request(text) | CallError::Answer(text) => ApiError::Lost(text),
    }
}

fn may_repeat(error: &ApiError, is_read: bool) -> bool {
    match error {
        ApiError::Refused { name, .. } => match name.as_str() {
            "ThrottlingException" | "TooManyRequestsException" => true,
            "InternalServerException" | "ServiceUnavailableException" => is_read,
            _ => false,
        },
        ApiError::Lost(_) => is_read,
    }
}
