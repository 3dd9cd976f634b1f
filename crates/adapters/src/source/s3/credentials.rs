//! AWS's credential chain, in the form `object_store` asks for.
//!
//! Its own chain knows neither profiles nor single sign-on. What is found is kept until shortly before
//! it expires.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_lambda::config::Region;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::OnceCell;

use crate::http::aws::{self, Transport};

/// How long before their end credentials count as expired: longer than one object may take.
const EXPIRY_MARGIN: Duration = Duration::from_mins(2);

/// The chain.
pub(super) struct Chain {
    region: String,
    /// A server on this machine usually checks no credentials, and a developer may have none.
    on_this_machine: bool,
    provider: OnceCell<SharedCredentialsProvider>,
    found: Mutex<Option<Found>>,
}

#[derive(Clone)]
struct Found {
    credential: Arc<AwsCredential>,
    expires_at: Option<SystemTime>,
}

impl Chain {
    pub(super) fn new(region: String, on_this_machine: bool) -> Self {
        Self {
            region,
            on_this_machine,
            provider: OnceCell::new(),
            found: Mutex::new(None),
        }
    }

    async fn credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        if let Some(found) = self.kept() {
            return Ok(found);
        }
        let provider = self.provider.get_or_init(|| self.provider()).await;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|source| object_store::Error::Generic {
            store: "S3",
            source: format!("no AWS credentials: {}", DisplayChain(&source)).into(),
        })?;
        Ok(self.keep(&found))
    }

    async fn provider(&self) -> SharedCredentialsProvider {
        let http = aws::client(Transport::Tls);
        if self.on_this_machine {
            return SharedCredentialsProvider::new(aws::local_credentials(http));
        }
        let region = Region::new(self.region.clone());
        let config = ProviderConfig::default()
            .with_http_client(http)
            .with_region(Some(region));
        let chain = DefaultCredentialsChain::builder().configure(config);
        SharedCredentialsProvider::new(chain.build().await)
    }

    fn kept(&self) -> Option<Arc<AwsCredential>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.as_ref()?;
        let expires = found
            .expires_at
            .is_some_and(|expires_at| SystemTime::now() + EXPIRY_MARGIN >= expires_at);
        (!expires).then(|| Arc::clone(&found.credential))
    }

    fn keep(&self, found: &Credentials) -> Arc<AwsCredential> {
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(ToOwned::to_owned),
        });
        let mut kept = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Found {
            credential: Arc::clone(&credential),
            expires_at: found.expiry(),
        });
        credential
    }
}

/// An error with its causes.
struct DisplayChain<'a>(&'a dyn std::error::Error);

impl fmt::Display for DisplayChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain")
    }
}

impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    // The trait is made by a macro that writes its async functions so.
    fn get_credential<'life, 'future>(
        &'life self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        Box::pin(self.credential())
    }
}
