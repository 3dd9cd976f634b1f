//! The HTTP client the AWS SDK is given: `TCP_NODELAY`, rustls with ring, proxies from the environment.
//!
//! Only the AWS clients use it; everything else uses [`super::client`]. Connectors are kept by their
//! timeouts, since the credential chain sets others than the service it is used for. The system's
//! certificates are loaded when the first TLS connector is made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

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
