//! Buckets of S3, or of any server that speaks its protocol, through `object_store`.
//!
//! The connections are those of [`crate::http`], TLS included; the credentials are AWS's usual chain.
//! A server named by an endpoint is asked in path style, since its buckets rarely have host names.
//! Nothing is kept of what was read: schemas are read when they change.

mod connections;
mod credentials;
mod objects;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, GetOptions, GetResult, ObjectStore, RetryConfig};
use outcrop_engine::port::SourceError;
use reqwest::Url;

use self::connections::Connections;
use self::credentials::Chain;
use super::folder::{Object, plain_name};
use crate::http::{self, HttpFailure};

/// How long one object may take, with retries: a schema has a megabyte at most.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long the connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Retries of a server fault or a broken connection. A caller waits, so there are few.
const RETRIES: usize = 2;
/// Longest text of S3's own in an error.
const SAID_CHARS_MAX: usize = 500;

/// `[s3]`, as far as it is about S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// Base URL of another server than AWS's.
    pub endpoint: Option<String>,
    /// The buckets' region.
    pub region: String,
}

/// The buckets of one region.
#[derive(Clone)]
pub struct S3Buckets {
    settings: S3Settings,
    connections: Connections,
    credentials: Arc<Chain>,
}

/// Why S3 cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The endpoint is no URL of a web server.
    #[error("the S3 endpoint {0} is not an http:// or https:// URL")]
    Endpoint(String),
    /// No client can be made.
    #[error("no client for S3 can be made: {0}")]
    Client(#[from] HttpFailure),
}

impl S3Buckets {
    /// The buckets that `settings` name. Contacts nobody; credentials are looked for when the first
    /// object is read.
    ///
    /// # Errors
    /// The endpoint is no URL, or no client can be made.
    pub fn new(settings: S3Settings) -> Result<Self, S3Error> {
        let endpoint = settings.endpoint.as_deref().map(|text| {
            let url = Url::parse(text).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(|| S3Error::Endpoint(text.to_owned()))
        });
        let endpoint = endpoint.transpose()?;
        let on_this_machine = endpoint.as_ref().is_some_and(http::aws::is_on_this_machine);
        Ok(Self {
            connections: Connections(http::client(CONNECT_LIMIT)?),
            credentials: Arc::new(Chain::new(settings.region.clone(), on_this_machine)),
            settings,
        })
    }

    pub(super) async fn read(
        &self,
        bucket: &str,
        key: &str,
        limit_bytes: u64,
    ) -> Result<Bytes, SourceError> {
        let object = Object { bucket, key };
        let reading = self.read_object(object, limit_bytes);
        match tokio::time::timeout(READ_LIMIT, reading).await {
            Ok(outcome) => outcome,
            Err(_) => Err(object.unreadable(format!(
                "{self} did not answer within {} seconds",
                READ_LIMIT.as_secs()
            ))),
        }
    }

    async fn read_object(
        &self,
        object: Object<'_>,
        limit_bytes: u64,
    ) -> Result<Bytes, SourceError> {
        // The name becomes part of a URL.
        let bucket = plain_name(object.bucket).ok_or_else(|| {
            object.unreadable("the bucket is not named as a bucket can be".to_owned())
        })?;
        let path = object.path()?;
        let store = self
            .store(bucket)
            .map_err(|error| self.failure(object, &error))?;
        let found = store
            .get_opts(&path, GetOptions::default())
            .await
            .map_err(|error| self.failure(object, &error))?;
        self.content(object, found, limit_bytes).await
    }

    async fn content(
        &self,
        object: Object<'_>,
        found: GetResult,
        limit_bytes: u64,
    ) -> Result<Bytes, SourceError> {
        if found.meta.size > limit_bytes {
            return Err(object.too_large(limit_bytes));
        }
        let mut parts = found.into_stream();
        let mut content = BytesMut::new();
        // A server may send more than it announced.
        loop {
            let part = parts.try_next().await;
            let Some(part) = part.map_err(|error| self.failure(object, &error))? else {
                return Ok(content.freeze());
            };
            content.extend_from_slice(&part);
            if u64::try_from(content.len()).is_ok_and(|length| length > limit_bytes) {
                return Err(object.too_large(limit_bytes));
            }
        }
    }

    fn store(&self, bucket: &str) -> Result<AmazonS3, Error> {
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: READ_LIMIT,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.settings.region)
            .with_credentials(Arc::clone(&self.credentials) as _)
            .with_http_connector(self.connections.clone())
            .with_virtual_hosted_style_request(self.settings.endpoint.is_none())
            .with_retry(retry);
        if let Some(endpoint) = &self.settings.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        builder.build()
    }

    fn failure(&self, object: Object<'_>, error: &Error) -> SourceError {
        let said = said(error);
        match error {
            Error::NotFound { .. } => object.not_found(format!(
                "{self} has no such object{}",
                match code(&said) {
                    Some("NoSuchBucket") => ", as it has no such bucket",
                    _ => "",
                }
            )),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                object.unreadable(format!("{self} refuses the credentials: {said}"))
            }
            _ if said.contains("redirect") => object.unreadable(format!(
                "{self} says that the bucket is elsewhere; set `region` of [s3] to the bucket's"
            )),
            _ => object.unreadable(format!("{self}: {said}")),
        }
    }
}

/// Where was looked.
impl fmt::Display for S3Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.settings.endpoint {
            Some(endpoint) => write!(f, "S3 at {endpoint}"),
            None => write!(f, "S3 in {}", self.settings.region),
        }
    }
}

impl fmt::Debug for S3Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Buckets").field(&self.settings).finish()
    }
}

impl Object<'_> {
    /// The key as a path that stays as it is. `object_store` knows neither empty parts nor slashes at
    /// the ends, which S3 would take for other keys.
    fn path(self) -> Result<Path, SourceError> {
        let path = Path::parse(self.key).ok();
        path.filter(|path| path.as_ref() == self.key && !self.key.is_empty())
            .ok_or_else(|| self.bad_key())
    }
}

/// What the innermost cause says: the outer ones repeat URL and times.
fn said(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    text.chars().take(SAID_CHARS_MAX).collect()
}

/// S3's code in its XML.
fn code(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0)
}

#[cfg(test)]
mod tests;
