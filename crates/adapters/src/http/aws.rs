//! The HTTP client the AWS SDK is given: `TCP_NODELAY`, rustls with ring, proxies from the environment.
//!
//! Only the AWS clients use it; everything else uses [`super::client`]. Connectors are kept by their
//! timeouts, since the credential chain sets others than the service it is used for. The system's
//! certificates are loaded when the first TLS connector is made.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use reqwest::Url;

/// Whether an endpoint is spoken to through TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `https://`.
    Tls,
    /// `http://`: no certificates are loaded.
    Plain,
}

/// Connect and read timeout.
type Timeouts = (Option<Duration>, Option<Duration>);

/// A client for the AWS SDK.
pub fn client(transport: Transport) -> SharedHttpClient {
    let made: Mutex<Vec<(Timeouts, SharedHttpConnector)>> = Mutex::new(Vec::new());
    http_client_fn(move |settings, components| {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = made.iter().find(|(known, _)| *known == timeouts) {
            return connector.clone();
        }
        let connector = connector(transport, settings, components);
        made.push((timeouts, connector.clone()));
        connector
    })
}

fn connector(
    transport: Transport,
    settings: &HttpConnectorSettings,
    components: &RuntimeComponents,
) -> SharedHttpConnector {
    let mut builder = Connector::builder()
        .connector_settings(settings.clone())
        .proxy_config(ProxyConfig::from_env())
        .enable_tcp_nodelay(true)
        .pool_idle_timeout(super::IDLE_CONNECTION_TIMEOUT);
    builder.set_sleep_impl(components.sleep_impl());
    SharedHttpConnector::new(match transport {
        Transport::Tls => builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build(),
        Transport::Plain => builder.build_http(),
    })
}

/// Whether a URL leads to this machine, where servers usually check no credentials.
pub(crate) fn is_on_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What is configured on this machine, else credentials of no worth. The rest of AWS's chain asks the
/// network for credentials, which takes seconds to fail where there are none.
pub(crate) fn local_credentials(http: SharedHttpClient) -> CredentialsProviderChain {
    // A profile may say that its credentials come from a service.
    let config = ProviderConfig::default().with_http_client(http);
    let profile = ProfileFileCredentialsProvider::builder()
        .configure(&config)
        .build();
    CredentialsProviderChain::first_try(
        "environment",
        EnvironmentVariableCredentialsProvider::new(),
    )
    .or_else("profile", profile)
    .or_else(
        "none",
        Credentials::new("outcrop", "outcrop", None, None, "outcrop"),
    )
}
