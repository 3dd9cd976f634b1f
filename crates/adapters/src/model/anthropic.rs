//! The messages protocol of Anthropic.
//!
//! Left out on purpose: reasoning without a signature, which the vendor refuses to get back, and text
//! blocks without a visible character, which it refuses too. Cache points become `cache_control`. `performanceConfig`, `serviceTier`, request
//! metadata and response paths are Bedrock's alone. Where no
//! tools are given, calls and results of earlier messages are told as text.

mod request;
mod stream;

use std::borrow::Cow;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    Capabilities, Delivery, Documents, ModelError, ModelProvider, ModelRequest, ModelStream,
};
use reqwest::header::{HeaderName, HeaderValue};

use super::call::Endpoint;
use stream::MessagesDecoder;

/// Where Anthropic itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

/// The header that carries the key.
pub(crate) const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// The header that carries the protocol's version.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("anthropic-version");

/// The header that names the betas a request needs.
const BETA_HEADER: HeaderName = HeaderName::from_static("anthropic-beta");

/// The protocol's version.
pub(crate) const VERSION: &str = "2023-06-01";

/// Where Bedrock's id of a model has Anthropic's.
const BEDROCK_PREFIX: &str = "anthropic.";

/// A server that speaks Anthropic's messages.
#[derive(Clone, Debug)]
pub struct Anthropic {
    endpoint: Endpoint,
}

impl Anthropic {
    /// A provider that posts to `endpoint`, the URL of the operation itself.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// The endpoint with the betas that the request's tools belong to.
    fn endpoint_for(&self, request: &ModelRequest) -> Result<Cow<'_, Endpoint>, ModelError> {
        let betas = request::betas(request).join(",");
        if betas.is_empty() {
            return Ok(Cow::Borrowed(&self.endpoint));
        }
        let value = HeaderValue::try_from(betas).map_err(|error| ModelError::Rejected {
            detail: format!("the betas of the tools are no header: {error}"),
        })?;
        let mut endpoint = self.endpoint.clone();
        endpoint.headers.insert(BETA_HEADER, value);
        Ok(Cow::Owned(endpoint))
    }
}

impl ModelProvider for Anthropic {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        Ok(capabilities(&native_id(model)))
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(async move {
            let body = request::body(&request)?;
            let streamed = request.delivery == Delivery::Streamed;
            self.endpoint_for(&request)?
                .call(body, streamed, MessagesDecoder::default())
                .await
        })
    }
}

/// Anthropic's own id of a model that was named by Bedrock's: `anthropic.claude-3-haiku-20240307-v1:0`
/// is `claude-3-haiku-20240307` here. Any other id stays as it is.
pub(super) fn native_id(model: &str) -> Cow<'_, str> {
    let Some((_, id)) = model.rsplit_once(BEDROCK_PREFIX) else {
        return Cow::Borrowed(model);
    };
    let Some((name, version)) = id.rsplit_once("-v") else {
        return Cow::Borrowed(id);
    };
    let is_version = version
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, ':' | 'k'));
    Cow::Borrowed(if is_version { name } else { id })
}

/// What a Claude can do, by its own id. An id of an unknown form is taken for a new model.
pub(super) fn capabilities(model: &str) -> Capabilities {
    let old = ["claude-2", "claude-v2", "claude-instant", "claude-3"]
        .iter()
        .any(|family| model.starts_with(family));
    let text_only = old && !model.starts_with("claude-3");
    // The first of the fourth generation still take both; Claude Opus 4.1 and later take one.
    let both = old
        || [
            "claude-sonnet-4-2025",
            "claude-opus-4-2025",
            "claude-sonnet-4-0",
            "claude-opus-4-0",
        ]
        .iter()
        .any(|family| model.starts_with(family));
    Capabilities {
        tools: !text_only,
        parallel_tools: !text_only,
        prefill: old,
        top_k: true,
        stop_sequences: true,
        sampling: true,
        temperature_with_top_p: both,
        images: !text_only,
        documents: if text_only {
            Documents::Text
        } else {
            Documents::Pdf
        },
        prompt_cache: !text_only && !model.starts_with("claude-3-sonnet"),
        latency: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bedrock_ids_become_native() {
        for (given, native) in [
            (
                "anthropic.claude-3-haiku-20240307-v1:0",
                "claude-3-haiku-20240307",
            ),
            (
                "us.anthropic.claude-sonnet-4-20250514-v1:0",
                "claude-sonnet-4-20250514",
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-sonnet-20240229-v1:0:200k",
                "claude-3-sonnet-20240229",
            ),
            ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
            ("claude-sonnet-4-5", "claude-sonnet-4-5"),
            ("my-vehicle", "my-vehicle"),
        ] {
            assert_eq!(native_id(given), native);
        }
    }
}
