//! A control plane over HTTP, as `outcrop_deploy` sees one: operations by name, JSON in and out.
//!
//! Reads are repeated while the other side is busy or out of reach. A write is repeated only where it is
//! known that it was not begun: the answer says so, or no connection was made. A side that has never
//! answered is not waited for, since then the address is likely to be wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use outcrop_adapters::http::{self as outbound, Deadline, HttpFailure, Timeouts};
use outcrop_deploy::api::{Api, ApiError, OwnRequest};
use outcrop_model::operation::{OperationSpec, Service};
use outcrop_model::{bedrock, control, runtime};
use outcrop_wire::client::{CallError, Client, Signer};
use serde_json::Value;

use super::invoke::target::{Place, TargetError, aws_identity, check_endpoint, outcrop_signer};

/// A host that takes no connection in this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer: an agent with schemas of a megabyte, several times over.
const ANSWER_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// Tries of one call. AWS's control plane throttles at a few calls a second for seconds at most.
const TRIES: u32 = 6;
/// Before the second try; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A function that a client has called through one of Outcrop's own endpoints (`POST`) may run for
/// fifteen minutes, and says nothing before its end.
const CALL_TIME: Timeouts = Timeouts {
    connect: CONNECT_TIMEOUT,
    response: Duration::from_mins(16),
    idle: Duration::from_mins(2),
    overall: Duration::from_mins(18),
};
/// Where Outcrop's own endpoints lie.
const OWN_PREFIX: &str = "/_outcrop/v1/";

/// A control plane.
pub(crate) struct Remote {
    http: reqwest::Client,
    client: Client,
    /// Guardrails are another service's.
    guardrails: Client,
    /// And so are searches of knowledge bases.
    runtime: Client,
    /// Who calls, in which region.
    signer: Signer,
    endpoint: String,
    /// Whether to sign at all: unsigned, a server of ours takes its own region.
    is_signed: bool,
    /// Whether it is AWS's own.
    is_aws: bool,
    /// Whether it has ever answered.
    has_answered: AtomicBool,
}

/// A call without an answer, and what is known of how far it came.
struct Failed {
    error: ApiError,
    /// No connection was made, so that nothing was begun.
    is_unconnected: bool,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            is_unconnected: false,
        }
    }
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

    /// The server that the command line names: `--endpoint`, else `OUTCROP_ENDPOINT`, else the default
    /// listener.
    pub(crate) async fn ours(
        endpoint: Option<String>,
        region: Option<String>,
    ) -> Result<Self, TargetError> {
        let endpoint = endpoint.unwrap_or_else(Place::default_endpoint);
        Self::server(endpoint, region, None).await
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
        let of = |host: &str| {
            if is_aws {
                aws_endpoint(host, &signer.region)
            } else {
                endpoint.clone()
            }
        };
        let (guardrails, runtime) = (of("bedrock"), of("bedrock-agent-runtime"));
        Ok(Self {
            http,
            client: Client::new(Service::Control, &endpoint, signer.clone()),
            guardrails: Client::new(Service::Bedrock, &guardrails, signer.clone()),
            runtime: Client::new(Service::Runtime, &runtime, signer.clone()),
            signer,
            endpoint,
            is_signed,
            is_aws,
            has_answered: AtomicBool::new(false),
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
        let is_read = ["Get", "List", "Retrieve"]
            .iter()
            .any(|verb| spec.name.starts_with(verb));
        let client = match spec.service {
            Service::Bedrock => &self.guardrails,
            Service::Runtime => &self.runtime,
            _ => &self.client,
        };
        // One token for all tries, so that they are one call.
        let token = uuid::Uuid::new_v4().to_string();
        self.repeated(is_read, || {
            let made =
                client.request_json(spec, input.clone(), SystemTime::now(), || token.clone());
            async move {
                let (status, headers, body) = self.exchange(made, Timeouts::default()).await?;
                let output = client.output_json(spec, status, &headers, &body);
                output.map_err(|error| refused(error, status).into())
            }
        })
        .await
    }

    async fn ask(&self, own: OwnRequest) -> Result<Value, ApiError> {
        let path = format!("{OWN_PREFIX}{}", own.path);
        let mut headers = Vec::new();
        if let Some(revision) = own.revision {
            headers.push(("if-match".to_owned(), format!("\"{revision}\"")));
        }
        let time = match own.method {
            "POST" => CALL_TIME,
            _ => Timeouts::default(),
        };
        self.repeated(own.method == "GET", || {
            let made = self.client.plain_request(
                own.method,
                path.clone(),
                headers.clone(),
                own.body.as_ref(),
                SystemTime::now(),
            );
            async move {
                let (status, headers, body) = self.exchange(made, time).await?;
                let answer = self.client.plain_answer(status, &headers, &body);
                answer.map_err(|error| refused(error, status).into())
            }
        })
        .await
    }

    /// Tries until there is an answer that stands.
    async fn repeated<F>(&self, is_read: bool, one: impl Fn() -> F) -> Result<Value, ApiError>
    where
        F: Future<Output = Result<Value, Failed>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let failed = match one().await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if tries == TRIES || !self.may_repeat(&failed, is_read) {
                return Err(failed.error);
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn may_repeat(&self, failed: &Failed, is_read: bool) -> bool {
        match &failed.error {
            ApiError::Refused { name, .. } => match name.as_str() {
                "ThrottlingException" | "TooManyRequestsException" => true,
                "InternalServerException" | "ServiceUnavailableException" => is_read,
                _ => false,
            },
            ApiError::Lost(_) => {
                let is_known = self.is_aws || self.has_answered.load(Ordering::Relaxed);
                is_known && (is_read || failed.is_unconnected)
            }
        }
    }

    async fn exchange(
        &self,
        made: Result<Request<Bytes>, CallError>,
        time: Timeouts,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Failed> {
        let mut request = made.map_err(|error| invalid(&error))?;
        if !self.is_signed {
            request.headers_mut().remove(AUTHORIZATION);
        }
        let request = reqwest::Request::try_from(request).map_err(|error| invalid(&error))?;
        let deadline = Deadline::start(time);
        let mut is_unconnected = false;
        let exchanged = async {
            let sent = deadline.response(self.http.execute(request)).await?;
            let mut response = sent.map_err(|error| {
                is_unconnected = error.is_connect();
                HttpFailure::of(&error)
            })?;
            self.has_answered.store(true, Ordering::Relaxed);
            let (status, headers) = (response.status(), response.headers().clone());
            let body = outbound::read_body(&mut response, ANSWER_LIMIT_BYTES, &deadline).await?;
            Ok::<_, HttpFailure>((status, headers, body))
        };
        let outcome = exchanged.await;
        outcome.map_err(|error| {
            let hint = if is_unconnected && !self.is_aws {
                " (is `outcrop serve` running there?)"
            } else {
                ""
            };
            let text = format!("{} cannot be reached: {error}{hint}", self.endpoint);
            Failed {
                error: ApiError::Lost(text),
                is_unconnected,
            }
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
    let (operations, name) = match name.split_once(':') {
        Some(("bedrock", name)) => (bedrock::tables::SERVICE.operations, name),
        Some(("runtime", name)) => (runtime::tables::SERVICE.operations, name),
        _ => (control::tables::SERVICE.operations, name),
    };
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
