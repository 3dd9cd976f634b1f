//! The other side: Outcrop or AWS, how it is reached, who signs, and how a name becomes an id.
//!
//! Never retries: an agent's turn may have acted before its connection broke.

use std::time::{Duration, SystemTime};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use outcrop_adapters::http::{self as outbound, Deadline, Timeouts};
use outcrop_model::control::{
    ListAgentAliasesRequest, ListAgentsRequest,
    ops::{ListAgentAliases, ListAgents},
};
use outcrop_model::operation::{Operation, Service};
use outcrop_model::runtime::{InvokeAgentRequest, ops::InvokeAgent};
use outcrop_wire::client::{CallError, Client, Signer};

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8474";
const ENDPOINT_VARIABLE: &str = "OUTCROP_ENDPOINT";
/// Signs for a server that takes any signature, so that the region reaches it.
const ANYBODY: &str = "outcrop";
/// Of a signature whose owner has named no region.
const DEFAULT_REGION: &str = "us-east-1";
/// A host that takes no connection in this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of a list looked through for a name; AWS accounts hold at most 1,000 agents.
const PAGES: usize = 50;
/// Longest answer that is no stream.
const ANSWER_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Where the agent lives.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A server of ours.
    Outcrop(String),
    /// AWS.
    Aws,
}

impl Place {
    /// A server of ours that nobody has named.
    pub(crate) fn default_outcrop() -> Self {
        Self::Outcrop(Self::default_endpoint())
    }

    /// `OUTCROP_ENDPOINT`, else the default listener.
    pub(crate) fn default_endpoint() -> String {
        let endpoint = std::env::var(ENDPOINT_VARIABLE)
            .ok()
            .filter(|endpoint| !endpoint.is_empty());
        endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned())
    }
}

/// Why the other side gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// Nobody to sign as.
    #[error("no AWS credentials were found: {0}")]
    Credentials(String),
    /// No region to ask.
    #[error("no AWS region is known: give --region or set AWS_REGION")]
    Region,
    /// The URL is none.
    #[error("{0} is not an http:// or https:// URL")]
    Endpoint(String),
    /// No HTTP client, or the request cannot be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// No connection, or it broke.
    #[error("{place} cannot be reached: {detail}{hint}")]
    Unreachable {
        place: String,
        detail: String,
        hint: &'static str,
    },
    /// An error of the service, or an answer that is none.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The list holds no such name.
    #[error("there is no {what} with the name {name}")]
    NoSuchName { what: &'static str, name: String },
}

/// The other side.
#[derive(Debug)]
pub(crate) struct Target {
    http: reqwest::Client,
    control: Client,
    runtime: Client,
    place: Place,
    /// Whether to sign at all: unsigned, a server of ours takes its own region.
    signed: bool,
}

impl Target {
    /// Finds credentials and region. AWS's own chain for AWS; for Outcrop only variables and profile
    /// files, since asking a virtual machine's metadata service would cost seconds where there is none.
    pub(crate) async fn new(place: Place, region: Option<String>) -> Result<Self, TargetError> {
        let http = outbound::client(CONNECT_TIMEOUT)
            .map_err(|error| TargetError::Request(error.to_string()))?;
        let (signer, is_signed) = match &place {
            Place::Aws => (aws_identity(region, None).await?.signer, true),
            Place::Outcrop(endpoint) => {
                check_endpoint(endpoint)?;
                outcrop_signer(region).await
            }
        };
        let endpoint = |host: &str| match &place {
            Place::Outcrop(endpoint) => endpoint.clone(),
            Place::Aws => format!("https://{host}.{}.amazonaws.com", signer.region),
        };
        Ok(Self {
            http,
            control: Client::new(Service::Control, &endpoint("bedrock-agent"), signer.clone()),
            runtime: Client::new(
                Service::Runtime,
                &endpoint("bedrock-agent-runtime"),
                signer.clone(),
            ),
            place,
            signed: is_signed,
        })
    }

    /// Ids for the agent and its alias. Outcrop takes names itself; AWS takes ids only, so that names
    /// are looked up there.
    pub(crate) async fn resolve(
        &self,
        agent: &str,
        alias: &str,
    ) -> Result<(String, String), TargetError> {
        if matches!(self.place, Place::Outcrop(_)) {
            return Ok((agent.to_owned(), alias.to_owned()));
        }
        let agent = if is_id(agent) {
            agent.to_owned()
        } else {
            self.find_agent(agent).await?
        };
        let alias = if is_id(alias) {
            alias.to_owned()
        } else {
            self.find_alias(&agent, alias).await?
        };
        Ok((agent, alias))
    }

    async fn find_agent(&self, name: &str) -> Result<String, TargetError> {
        let mut input = ListAgentsRequest::default();
        for _ in 0..PAGES {
            let page = self.call::<ListAgents>(&input).await?;
            let mut agents = page.agent_summaries.into_iter();
            if let Some(found) = agents.find(|agent| agent.agent_name == name) {
                return Ok(found.agent_id);
            }
            input.next_token = page.next_token;
            if input.next_token.is_none() {
                break;
            }
        }
        Err(TargetError::NoSuchName {
            what: "agent",
            name: name.to_owned(),
        })
    }

    async fn find_alias(&self, agent_id: &str, name: &str) -> Result<String, TargetError> {
        let mut input = ListAgentAliasesRequest {
            agent_id: agent_id.to_owned(),
            ..ListAgentAliasesRequest::default()
        };
        for _ in 0..PAGES {
            let page = self.call::<ListAgentAliases>(&input).await?;
            let mut aliases = page.agent_alias_summaries.into_iter();
            if let Some(found) = aliases.find(|alias| alias.agent_alias_name == name) {
                return Ok(found.agent_alias_id);
            }
            input.next_token = page.next_token;
            if input.next_token.is_none() {
                break;
            }
        }
        Err(TargetError::NoSuchName {
            what: "alias",
            name: name.to_owned(),
        })
    }

    /// One operation of the control plane.
    async fn call<Op: Operation>(&self, input: &Op::Input) -> Result<Op::Output, TargetError> {
        let request = self
            .control
            .request::<Op>(input, SystemTime::now(), fresh_token)?;
        let response = self.send(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.whole(response).await?;
        Ok(self.control.output::<Op>(status, &headers, &body)?)
    }

    /// `InvokeAgent`; the answer's body is an event stream.
    pub(crate) async fn invoke(
        &self,
        input: &InvokeAgentRequest,
    ) -> Result<reqwest::Response, TargetError> {
        let request = self
            .runtime
            .request::<InvokeAgent>(input, SystemTime::now(), fresh_token)?;
        let response = self.send(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok(response);
        }
        let body = self.whole(response).await?;
        let outcome = self.runtime.output::<InvokeAgent>(status, &headers, &body);
        Err(outcome.err().map_or_else(
            || TargetError::Request(format!("the service answered with status {status}")),
            TargetError::Call,
        ))
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<reqwest::Response, TargetError> {
        if !self.signed {
            request.headers_mut().remove(AUTHORIZATION);
        }
        let request = reqwest::Request::try_from(request)
            .map_err(|error| TargetError::Request(error.to_string()))?;
        let sent = self.http.execute(request).await;
        sent.map_err(|error| self.broken(&error))
    }

    async fn whole(&self, mut response: reqwest::Response) -> Result<Bytes, TargetError> {
        let deadline = Deadline::start(Timeouts::default());
        outbound::read_body(&mut response, ANSWER_LIMIT_BYTES, &deadline)
            .await
            .map_err(|error| self.unreachable(error.to_string(), ""))
    }

    /// A connection that failed.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> TargetError {
        let hint = match self.place {
            Place::Outcrop(_) if error.is_connect() => " (is `outcrop serve` running there?)",
            Place::Outcrop(_) | Place::Aws => "",
        };
        self.unreachable(outbound::HttpFailure::of(error).to_string(), hint)
    }

    fn unreachable(&self, detail: String, hint: &'static str) -> TargetError {
        let place = match &self.place {
            Place::Outcrop(endpoint) => endpoint.clone(),
            Place::Aws => "AWS".to_owned(),
        };
        TargetError::Unreachable {
            place,
            detail,
            hint,
        }
    }
}

fn fresh_token() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// That a URL can be called.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), TargetError> {
    let uri = endpoint.parse::<http::Uri>().ok();
    let fits = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if fits {
        Ok(())
    } else {
        Err(TargetError::Endpoint(endpoint.to_owned()))
    }
}

/// Who the AWS environment says one is.
pub(crate) struct AwsIdentity {
    pub(crate) signer: Signer,
    /// The endpoint that the environment or the profile names instead of AWS's own.
    pub(crate) endpoint: Option<String>,
}

/// Credentials and region as every AWS tool finds them; those of `profile` where one is named.
pub(crate) async fn aws_identity(
    region: Option<String>,
    profile: Option<&str>,
) -> Result<AwsIdentity, TargetError> {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(outbound::aws::client(outbound::aws::Transport::Tls));
    if let Some(profile) = profile {
        // Whoever names a profile means it, though the environment may hold other credentials.
        let profiles = ProviderConfig::without_region()
            .with_http_client(outbound::aws::client(outbound::aws::Transport::Tls));
        let credentials = ProfileFileCredentialsProvider::builder()
            .profile_name(profile)
            .configure(&profiles)
            .build();
        loader = loader
            .profile_name(profile)
            .credentials_provider(credentials);
    }
    let config = loader.load().await;
    let region = region
        .or_else(|| config.region().map(ToString::to_string))
        .ok_or(TargetError::Region)?;
    let provider = config.credentials_provider().ok_or_else(|| {
        TargetError::Credentials("the AWS environment names no source".to_owned())
    })?;
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|error| TargetError::Credentials(causes(&error)))?;
    Ok(AwsIdentity {
        signer: signer(&credentials, region),
        endpoint: config.endpoint_url().map(str::to_owned),
    })
}

/// Unsigned when nothing is known: the server then takes its own region.
pub(crate) async fn outcrop_signer(region: Option<String>) -> (Signer, bool) {
    use aws_config::environment::{
        EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
    };
    use aws_config::meta::region::ProvideRegion as _;
    use aws_config::profile::ProfileFileRegionProvider;

    // A profile may name a role or a sign-on, which are asked over HTTP.
    let profiles = ProviderConfig::without_region()
        .with_http_client(outbound::aws::client(outbound::aws::Transport::Tls));
    let region = match region {
        Some(region) => Some(region),
        None => match EnvironmentVariableRegionProvider::new().region().await {
            Some(region) => Some(region.to_string()),
            None => ProfileFileRegionProvider::builder()
                .configure(&profiles)
                .build()
                .region()
                .await
                .map(|region| region.to_string()),
        },
    };
    let from_variables = EnvironmentVariableCredentialsProvider::new()
        .provide_credentials()
        .await;
    let credentials = match from_variables {
        Ok(credentials) => Some(credentials),
        Err(_) => ProfileFileCredentialsProvider::builder()
            .configure(&profiles)
            .build()
            .provide_credentials()
            .await
            .ok(),
    };
    let signed = credentials.is_some() || region.is_some();
    let credentials =
        credentials.unwrap_or_else(|| Credentials::new(ANYBODY, ANYBODY, None, None, "outcrop"));
    let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
    (signer(&credentials, region), signed)
}

fn signer(credentials: &Credentials, region: String) -> Signer {
    Signer {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: credentials.secret_access_key().to_owned(),
        session_token: credentials.session_token().map(str::to_owned),
        region,
    }
}

/// Ten capitals and digits, as AWS makes them.
fn is_id(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// An error and its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn ids() {
        assert!(is_id("TSTALIASID"));
        assert!(!is_id("my-agent-1"));
        assert!(!is_id("SHORT"));
    }
}
