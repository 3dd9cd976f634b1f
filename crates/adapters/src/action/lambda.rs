//! Functions in AWS Lambda, or behind any endpoint that speaks its Invoke operation.
//!
//! Credentials come from AWS's usual chain, looked up on first use. An endpoint on this machine
//! usually checks none, and a developer may have none: there, and only there, credentials that are
//! not found are replaced by fixed ones of no worth. Invoke is never retried, also not by the SDK: a
//! lost answer does not mean that the function did not run.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{
    Region, SharedHttpClient, StalledStreamProtectionConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::RequestId as _;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::types::{InvocationType, LogType};
use aws_smithy_types::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use reqwest::Url;
use tokio::sync::OnceCell;

use super::name::FunctionName;
use super::{CONNECT_LIMIT, client_context};
use crate::http::aws::{self, Transport};

/// Error codes that mean "not with these credentials".
const ACCESS_CODES: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// A function in AWS Lambda, or behind an endpoint that speaks its Invoke operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LambdaFunction {
    /// Base URL of another service than AWS's.
    pub endpoint: Option<String>,
    /// The region to call; else the one in the function's ARN, else the server's.
    pub region: Option<String>,
    /// The name or ARN to invoke; else the one on the action group.
    pub function: Option<String>,
    /// How long one invocation may take, as seen from here. Lambda's own limit is 15 minutes.
    pub timeout: Duration,
}

/// A checked [`LambdaFunction`], with its client once it has one.
#[derive(Debug)]
pub(super) struct Target {
    endpoint: Option<Endpoint>,
    region: Option<String>,
    function: Option<String>,
    timeout: Duration,
    client: OnceCell<Client>,
}

#[derive(Debug)]
struct Endpoint {
    url: String,
    transport: Transport,
    on_this_machine: bool,
}

impl Target {
    pub(super) fn new(function: LambdaFunction) -> Result<Self, String> {
        let LambdaFunction {
            endpoint,
            region,
            function,
            timeout,
        } = function;
        let endpoint = endpoint.map(Endpoint::new).transpose()?;
        Ok(Self {
            endpoint,
            region,
            function,
            timeout,
            client: OnceCell::new(),
        })
    }
}

impl Endpoint {
    fn new(url: String) -> Result<Self, String> {
        let parsed = Url::parse(&url).map_err(|error| error.to_string())?;
        let transport = match (parsed.host_str(), parsed.scheme()) {
            (Some(_), "http") => Transport::Plain,
            (Some(_), "https") => Transport::Tls,
            _ => return Err(format!("{url} is not an http url")),
        };
        Ok(Self {
            on_this_machine: aws::is_on_this_machine(&parsed),
            url,
            transport,
        })
    }
}

/// Calls Lambda.
#[derive(Debug)]
pub(super) struct LambdaService {
    region: String,
    http: SharedHttpClient,
}

impl LambdaService {
    /// `region` is that of functions named without one.
    pub(super) fn new(region: String) -> Self {
        Self {
            region,
            http: aws::client(Transport::Tls),
        }
    }

    pub(super) async fn invoke(
        &self,
        target: &Target,
        call: ActionCall,
    ) -> Result<ActionReply, ActionError> {
        let upstream = target.function.as_ref().unwrap_or(&call.function);
        let client = target.client.get_or_init(|| self.client(target)).await;
        let region = target
            .region
            .clone()
            .unwrap_or_else(|| FunctionName::parse(upstream, &self.region, "").region);
        let sent = client
            .invoke()
            .function_name(upstream)
            .invocation_type(InvocationType::RequestResponse)
            .log_type(LogType::Tail)
            .client_context(STANDARD.encode(client_context(
                call.client_context.as_deref(),
                &call.idempotency_key,
            )))
            .payload(Blob::new(call.event))
            .customize()
            .config_override(aws_sdk_lambda::config::Builder::new().region(Region::new(region)))
            .send()
            .await;
        match sent {
            Ok(output) => Ok(reply(output)),
            Err(error) => Err(failure(call.function, &error)),
        }
    }

    async fn client(&self, target: &Target) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_timeout(target.timeout)
            .build();
        let mut config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(Region::new(self.region.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // A function that thinks for a minute sends nothing in that minute.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = &target.endpoint {
            config = config.endpoint_url(&endpoint.url);
            if endpoint.on_this_machine {
                config = config
                    .http_client(aws::client(endpoint.transport))
                    .credentials_provider(aws::local_credentials(self.http.clone()));
            }
        }
        Client::new(&config.load().await)
    }
}

fn reply(output: InvokeOutput) -> ActionReply {
    let request_id = output.request_id().map(ToOwned::to_owned);
    let log_tail = output
        .log_result
        .and_then(|log| STANDARD.decode(log).ok())
        .map(|log| String::from_utf8_lossy(&log).into_owned());
    ActionReply {
        payload: output
            .payload
            .map(Blob::into_inner)
            .map(Bytes::from)
            .unwrap_or_default(),
        function_error: output.function_error,
        log_tail,
        request_id,
    }
}

fn failure(function: String, error: &SdkError<InvokeError>) -> ActionError {
    let service = match error {
        SdkError::ServiceError(context) => context.err(),
        other => {
            let detail = DisplayErrorContext(other).to_string();
            return ActionError::Failed { function, detail };
        }
    };
    let code = service.code().unwrap_or("an error without a code");
    let message = service.message().unwrap_or("no message");
    if ACCESS_CODES.contains(&code) {
        ActionError::AccessDenied {
            function,
            detail: format!("{code}: {message}"),
        }
    } else if service.is_resource_not_found_exception() {
        ActionError::NotFound {
            function,
            detail: message.to_owned(),
        }
    } else {
        ActionError::Failed {
            function,
            detail: format!("lambda answered {code}: {message}"),
        }
    }
}
