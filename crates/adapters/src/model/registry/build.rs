//! From mappings to providers: every setting is checked here, once, before the first call.

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::port::ModelProvider;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::fallback::{self, Entry};
use super::{ModelMapping, ProviderKind, RegistryError, Route};
use crate::glob::NameGlob;
use crate::http::LazyClient;
use crate::model::anthropic::{self, Anthropic};
use crate::model::bedrock::{Bedrock, Settings};
use crate::model::call::Endpoint;
use crate::model::limit::Limited;
use crate::model::openai::{self, OpenAi};

pub(super) fn routes(
    mappings: &[ModelMapping],
    local: Option<Arc<dyn ModelProvider>>,
) -> Result<Vec<Route>, RegistryError> {
    let entries: Vec<Entry<'_>> = mappings.iter().map(ModelMapping::entry).collect();
    let chains = fallback::chains(&entries)?;
    let mut builder = Builder {
        local,
        clients: Vec::new(),
        made: Vec::new(),
    };
    mappings
        .iter()
        .zip(chains)
        .map(|(mapping, fallbacks)| builder.route(mapping, fallbacks))
        .collect()
}

pub(crate) fn matcher(pattern: &str) -> Result<NameGlob, RegistryError> {
    NameGlob::new(pattern).map_err(|error| RegistryError::Pattern {
        pattern: pattern.to_owned(),
        detail: error.kind().to_string(),
    })
}

impl ModelMapping {
    fn entry(&self) -> Entry<'_> {
        Entry {
            pattern: &self.pattern,
            fallback: &self.fallback,
            upstream_model: self.upstream_model.as_deref(),
        }
    }
}

/// What has been made so far, to be shared.
struct Builder<'a> {
    local: Option<Arc<dyn ModelProvider>>,
    /// By connect timeout, which belongs to the client.
    clients: Vec<(Duration, LazyClient)>,
    made: Vec<(&'a ModelMapping, Arc<dyn ModelProvider>)>,
}

impl<'a> Builder<'a> {
    fn route(
        &mut self,
        mapping: &'a ModelMapping,
        fallbacks: Vec<String>,
    ) -> Result<Route, RegistryError> {
        let shared = self
            .made
            .iter()
            .find(|(other, _)| same_provider(other, mapping))
            .map(|(_, provider)| Arc::clone(provider));
        let provider = match shared {
            Some(provider) => provider,
            None => self.provider(mapping)?,
        };
        self.made.push((mapping, Arc::clone(&provider)));
        Ok(Route {
            matcher: matcher(&mapping.pattern)?,
            upstream_model: mapping.upstream_model.clone(),
            provider: if mapping.limits.is_unlimited() {
                provider
            } else {
                Arc::new(Limited::new(provider, mapping.limits, &mapping.pattern))
            },
            fallbacks,
            prompt_cache: mapping.prompt_cache,
        })
    }

    fn provider(
        &mut self,
        mapping: &ModelMapping,
    ) -> Result<Arc<dyn ModelProvider>, RegistryError> {
        Ok(match mapping.provider {
            ProviderKind::OpenAi => {
                let client = self.client(mapping.timeouts.connect);
                let endpoint = openai_endpoint(mapping, openai::PATH, client)?;
                Arc::new(OpenAi::new(endpoint))
            }
            ProviderKind::Anthropic => {
                let base = base_url(mapping, anthropic::DEFAULT_BASE_URL)?;
                let mut headers = HeaderMap::new();
                headers.insert(
                    anthropic::VERSION_HEADER,
                    HeaderValue::from_static(anthropic::VERSION),
                );
                insert_key(&mut headers, mapping, &anthropic::KEY_HEADER, "")?;
                // Both forms of base URL are in use; the vendor's own clients want it without the version.
                let path = if base.path().trim_end_matches('/').ends_with("/v1") {
                    "messages"
                } else {
                    "v1/messages"
                };
                let url = below(&base, path);
                Arc::new(Anthropic::new(self.endpoint(mapping, url, headers)))
            }
            ProviderKind::Bedrock => Arc::new(Bedrock::new(bedrock_settings(mapping)?)),
            ProviderKind::Local => {
                self.local
                    .clone()
                    .ok_or_else(|| RegistryError::NoLocalProvider {
                        pattern: mapping.pattern.clone(),
                    })?
            }
        })
    }

    fn endpoint(&mut self, mapping: &ModelMapping, url: Url, headers: HeaderMap) -> Endpoint {
        Endpoint {
            client: self.client(mapping.timeouts.connect),
            url,
            headers,
            key: mapping.api_key.clone(),
            timeouts: mapping.timeouts,
        }
    }

    fn client(&mut self, connect_timeout: Duration) -> LazyClient {
        let same = |(timeout, _): &&(Duration, _)| *timeout == connect_timeout;
        if let Some((_, client)) = self.clients.iter().find(same) {
            return client.clone();
        }
        let client = LazyClient::new(connect_timeout);
        self.clients.push((connect_timeout, client.clone()));
        client
    }
}

/// Where a server of `OpenAI`'s protocols has the operation `path`.
///
/// # Errors
/// The base URL or the key cannot be used.
pub(crate) fn openai_endpoint(
    mapping: &ModelMapping,
    path: &str,
    client: LazyClient,
) -> Result<Endpoint, RegistryError> {
    let base = base_url(mapping, openai::DEFAULT_BASE_URL)?;
    let mut headers = HeaderMap::new();
    insert_key(&mut headers, mapping, &AUTHORIZATION, "Bearer ")?;
    Ok(Endpoint {
        client,
        url: below(&base, path),
        headers,
        key: mapping.api_key.clone(),
        timeouts: mapping.timeouts,
    })
}

/// How Bedrock is reached.
///
/// # Errors
/// The endpoint cannot be used.
pub(crate) fn bedrock_settings(mapping: &ModelMapping) -> Result<Settings, RegistryError> {
    let endpoint = mapping.base_url.as_ref();
    Ok(Settings {
        endpoint: endpoint.map(|url| parse(mapping, url)).transpose()?,
        region: mapping.region.clone(),
        api_key: mapping.api_key.clone(),
        timeouts: mapping.timeouts,
    })
}

/// Whether two mappings differ only in which models they serve.
fn same_provider(one: &ModelMapping, other: &ModelMapping) -> bool {
    one.provider == other.provider
        && one.base_url == other.base_url
        && one.api_key == other.api_key
        && one.region == other.region
        && one.timeouts == other.timeouts
}

fn base_url(mapping: &ModelMapping, default: &str) -> Result<Url, RegistryError> {
    parse(mapping, mapping.base_url.as_deref().unwrap_or(default))
}

fn parse(mapping: &ModelMapping, text: &str) -> Result<Url, RegistryError> {
    let refuse = |detail: &str| RegistryError::BaseUrl {
        pattern: mapping.pattern.clone(),
        url: without_credentials(text),
        detail: detail.to_owned(),
    };
    let url = Url::parse(text)
        .map_err(|error| refuse(&format!("{error}; it must begin with http:// or https://")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("credentials do not belong into it; set api_key_env"));
    }
    if url.fragment().is_some() {
        return Err(refuse("it has a fragment (`#…`), which is never sent"));
    }
    Ok(url)
}

/// What may be shown of a text that was meant as a URL: nothing of what stands before an `@`.
fn without_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.to_owned(),
    }
}

/// `base` with `path` appended; its query stays.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

fn insert_key(
    headers: &mut HeaderMap,
    mapping: &ModelMapping,
    name: &HeaderName,
    prefix: &str,
) -> Result<(), RegistryError> {
    if let Some(key) = &mapping.api_key {
        let value = key.header(prefix).map_err(|_| RegistryError::ApiKey {
            pattern: mapping.pattern.clone(),
        })?;
        headers.insert(name.clone(), value);
    }
    Ok(())
}
