//! Requests to OpenSearch, signed or with a password, and what their answers mean.
//!
//! Nothing is repeated here: ingestion has its own ways of trying again. Texts of errors are
//! OpenSearch's reasons; no text holds a credential.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_lambda::config::Region;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use outcrop_engine::port::IndexError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::http::aws::Transport;
use crate::http::{self, Deadline, HttpFailure, Secret, Timeouts};

/// Time limits of a request. A bulk write of some megabytes with a refresh takes seconds.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    response: Duration::from_mins(1),
    idle: Duration::from_secs(30),
    overall: Duration::from_secs(90),
};
/// Longest reason that is repeated.
const REASON_CHARS_MAX: usize = 500;
/// What one request writes at most before the next is begun: a tenth of what servers take.
pub(super) const BULK_BYTES: usize = 8 * 1024 * 1024;

/// How a server knows who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenSearchAuth {
    /// Not at all.
    None,
    /// By name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// By AWS's signature, with the credentials of AWS's usual chain.
    Aws {
        /// The region; `None`: that of the storage's ARN.
        region: Option<String>,
    },
}

/// What a path of the API is asked with.
pub(super) enum Body {
    Nothing,
    Json(Value),
    /// Lines of JSON.
    Bulk(Vec<u8>),
}

/// A server.
pub(super) struct Server {
    pub(super) base: Url,
    pub(super) region: String,
    /// Whether it is OpenSearch Serverless, which does a little less.
    pub(super) serverless: bool,
}

/// See the module.
pub(super) struct Client {
    http: reqwest::Client,
    auth: OpenSearchAuth,
    credentials: Arc<OnceCell<SharedCredentialsProvider>>,
}

impl Client {
    pub(super) fn new(auth: OpenSearchAuth) -> Result<Self, HttpFailure> {
        Ok(Self {
            http: http::client(TIMEOUTS.connect)?,
            auth,
            credentials: Arc::default(),
        })
    }

    /// Asks; the answer's status and JSON. `404` is an answer, other failures are errors.
    pub(super) async fn ask(
        &self,
        server: &Server,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Body,
    ) -> Result<(StatusCode, Value), IndexError> {
        let mut url = server.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let host = http::host_of(&url);
        let (bytes, content_type) = match body {
            Body::Nothing => (Vec::new(), None),
            Body::Json(value) => (value.to_string().into_bytes(), Some("application/json")),
            Body::Bulk(lines) => (lines, Some("application/x-ndjson")),
        };
        let bytes = Bytes::from(bytes);
        let mut request = self.http.request(method.clone(), url.clone());
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        for (name, value) in self
            .headers(server, &method, &url, content_type, &bytes)
            .await?
        {
            request = request.header(name, value);
        }
        let unavailable =
            |failure: &HttpFailure| IndexError::Unavailable(format!("{host}: {failure}"));
        let deadline = Deadline::start(TIMEOUTS);
        let answer = deadline.response(request.body(bytes).send()).await;
        let answer = answer.and_then(|answer| answer.map_err(|error| HttpFailure::of(&error)));
        let mut answer = answer.map_err(|failure| unavailable(&failure))?;
        let status = answer.status();
        let text = http::read_body(&mut answer, http::RESPONSE_BODY_LIMIT, &deadline).await;
        let text = text.map_err(|failure| unavailable(&failure))?;
        let json: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok((status, json));
        }
        let reason = reason(&json).unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned());
        Err(refusal(status, &host, &reason))
    }

    async fn headers(
        &self,
        server: &Server,
        method: &Method,
        url: &Url,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, IndexError> {
        match &self.auth {
            OpenSearchAuth::None => Ok(Vec::new()),
            OpenSearchAuth::Basic { username, password } => {
                let pair = BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
                let value = Secret::new(pair).header("Basic ");
                let value = value.map_err(|error| IndexError::Rejected(error.to_string()))?;
                Ok(vec![(AUTHORIZATION, value)])
            }
            OpenSearchAuth::Aws { region } => {
                let region = region.as_deref().unwrap_or(&server.region);
                let provider = self
                    .credentials
                    .get_or_init(|| credentials(region.to_owned()))
                    .await;
                let found = provider.provide_credentials().await.map_err(|error| {
                    let cause = std::error::Error::source(&error);
                    let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
                    IndexError::Unavailable(format!("no AWS credentials: {cause}"))
                })?;
                signed(
                    &found.into(),
                    region,
                    server,
                    method,
                    url,
                    content_type,
                    body,
                )
                .map_err(|why| IndexError::Rejected(format!("cannot sign the request: {why}")))
            }
        }
    }
}

async fn credentials(region: String) -> SharedCredentialsProvider {
    let config = ProviderConfig::default()
        .with_http_client(http::aws::client(Transport::Tls))
        .with_region(Some(Region::new(region)));
    let chain = DefaultCredentialsChain::builder().configure(config);
    SharedCredentialsProvider::new(chain.build().await)
}

/// The headers of AWS's signature.
fn signed(
    identity: &aws_smithy_runtime_api::client::identity::Identity,
    region: &str,
    server: &Server,
    method: &Method,
    url: &Url,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Vec<(HeaderName, HeaderValue)>, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    // Serverless asks for the hash of the body as a header; the other takes it.
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(if server.serverless { "aoss" } else { "es" })
        .time(SystemTime::now())
        .settings(settings)
        .build()?
        .into();
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let headers = [("host", host.as_str())];
    let headers = headers
        .into_iter()
        .chain(content_type.map(|value| ("content-type", value)));
    let request = SignableRequest::new(
        method.as_str(),
        url.as_str(),
        headers,
        SignableBody::Bytes(body),
    )?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let mut signed = Vec::new();
    for (name, value) in instructions.headers() {
        let mut header = HeaderValue::from_str(value)?;
        header.set_sensitive(name.eq_ignore_ascii_case("authorization"));
        signed.push((HeaderName::from_bytes(name.as_bytes())?, header));
    }
    Ok(signed)
}

/// The reason in an answer: `error.root_cause[0].reason`, or `message` of a gateway before it.
fn reason(answer: &Value) -> Option<String> {
    let error = answer.get("error");
    let place = error
        .and_then(|error| error.pointer("/root_cause/0/reason"))
        .or_else(|| error.and_then(|error| error.get("reason")))
        .or(error)
        .or_else(|| answer.get("message"))
        .or_else(|| answer.get("Message"));
    place.and_then(Value::as_str).map(str::to_owned)
}

/// What a failed request is to its caller.
pub(super) fn refusal(status: StatusCode, host: &str, reason: &str) -> IndexError {
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let text = format!("{host} answered {}: {reason}", status.as_u16());
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        IndexError::Unavailable(text)
    } else {
        IndexError::Rejected(text)
    }
}
