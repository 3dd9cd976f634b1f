//! Amazon Bedrock's Converse and `ConverseStream`, through the AWS SDK.
//!
//! The SDK brings credentials, region, endpoint, signature and event-stream framing. The body is
//! written here, from the shapes generated from the same service model, so that every kind of content
//! passes without being translated. The SDK's retries are off: the driver retries. Nothing is read from
//! the environment before the first call.

mod citation;
mod error;
mod family;
mod request;
mod stream;

use std::time::Instant;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{Builder, StalledStreamProtectionConfig, Token};
use aws_smithy_runtime_api::client::auth::http::HTTP_BEARER_AUTH_SCHEME_ID;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::Blob;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    Capabilities, Delivery, ModelError, ModelProvider, ModelRequest, ModelStream,
};
use reqwest::Url;
use reqwest::header::CONTENT_LENGTH;
use tokio::sync::OnceCell;

use crate::http::aws::{self, Transport};
use crate::http::{self, Deadline, Secret, Timeouts};
use crate::model::fault;

/// How Bedrock is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// An endpoint other than AWS's own.
    pub endpoint: Option<Url>,
    /// The region, if not that of the environment.
    pub region: Option<String>,
    /// A Bedrock API key, used instead of the credential chain.
    pub api_key: Option<Secret>,
    /// Time limits of one call.
    pub timeouts: Timeouts,
}

/// Amazon Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    settings: Settings,
    client: OnceCell<Client>,
    /// How error texts call the other side.
    host: String,
}

impl Bedrock {
    /// A provider that connects when it is first called.
    pub fn new(settings: Settings) -> Self {
        let host = match &settings.endpoint {
            Some(url) => http::host_of(url),
            None => "Amazon Bedrock".to_owned(),
        };
        Self {
            settings,
            client: OnceCell::new(),
            host,
        }
    }

    async fn client(&self) -> Result<&Client, ModelError> {
        self.client
            .get_or_try_init(|| async {
                let config = self.load().await;
                if config.region().is_none() {
                    return Err(ModelError::NotServed {
                        detail: "no AWS region is known: set region in the entry of the configuration, or AWS_REGION"
                            .to_owned(),
                    });
                }
                Ok(Client::from_conf(self.configure(&config)))
            })
            .await
    }

    /// The credential chain and everything else the environment says.
    async fn load(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(aws::client(Transport::Tls));
        if let Some(region) = &self.settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }

    fn configure(&self, config: &SdkConfig) -> aws_sdk_bedrockruntime::Config {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.settings.timeouts.connect)
            .build();
        let mut builder = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            // A model may think longer than that protection allows; the idle limit is ours.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts);
        if let Some(endpoint) = &self.settings.endpoint {
            builder = builder.endpoint_url(endpoint.as_str());
            if endpoint.scheme() == "http" {
                builder = builder.http_client(aws::client(Transport::Plain));
            }
        }
        if let Some(key) = &self.settings.api_key {
            builder = builder
                .bearer_token(Token::new(key.expose(), None))
                .auth_scheme_preference([HTTP_BEARER_AUTH_SCHEME_ID]);
        }
        builder.build()
    }
}

impl Bedrock {
    /// Time limits of one call.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.settings.timeouts
    }

    /// `InvokeModel`: the model's own body in, its own body out.
    pub(crate) async fn invoke(
        &self,
        model: &str,
        body: Blob,
        deadline: Deadline,
    ) -> Result<Blob, ModelError> {
        let client = self.client().await?;
        let operation = client
            .invoke_model()
            .model_id(model)
            .content_type("application/json")
            .accept("application/json")
            .body(body);
        // The client's future has 17 KB.
        let sent = deadline.response(Box::pin(operation.send())).await;
        let output = sent
            .map_err(|failure| fault::of_http(&failure, &self.host))?
            .map_err(|failure| error::of_call(&failure, &self.host))?;
        Ok(output.body)
    }
}

impl ModelProvider for Bedrock {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        Ok(family::capabilities(model))
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(async move {
            let body = Bytes::from(request::body(&request)?);
            let deadline = Deadline::start(self.settings.timeouts);
            let client = self.client().await?;
            match request.delivery {
                Delivery::Streamed => self.streamed(client, &request.model, body, deadline).await,
                Delivery::Whole => self.whole(client, &request.model, body, deadline).await,
            }
        })
    }
}

impl Bedrock {
    async fn streamed(
        &self,
        client: &Client,
        model: &str,
        body: Bytes,
        deadline: Deadline,
    ) -> Result<ModelStream, ModelError> {
        let operation = client
            .converse_stream()
            .model_id(model)
            .customize()
            .mutate_request(move |request| replace_body(request, body.clone()));
        let sent = deadline.response(operation.send()).await;
        let output = sent
            .map_err(|failure| fault::of_http(&failure, &self.host))?
            .map_err(|failure| error::of_call(&failure, &self.host))?;
        Ok(stream::events(output.stream, deadline, self.host.clone()))
    }

    async fn whole(
        &self,
        client: &Client,
        model: &str,
        body: Bytes,
        deadline: Deadline,
    ) -> Result<ModelStream, ModelError> {
        let started = Instant::now();
        let operation = client
            .converse()
            .model_id(model)
            .customize()
            .mutate_request(move |request| replace_body(request, body.clone()));
        let sent = deadline.response(operation.send()).await;
        let output = sent
            .map_err(|failure| fault::of_http(&failure, &self.host))?
            .map_err(|failure| error::of_call(&failure, &self.host))?;
        stream::of_whole(output, started, &self.host)
    }
}

/// Puts the body in place of the empty one the SDK wrote, before it is signed.
fn replace_body(request: &mut HttpRequest, body: Bytes) {
    request
        .headers_mut()
        .insert(CONTENT_LENGTH.as_str(), body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
}
