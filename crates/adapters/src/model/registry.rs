//! Which provider serves which model: globs over model ids, first match wins.
//!
//! An agent names its model by id, by ARN or by inference profile. Each mapping is tried, in the order
//! given, against the id as given, then the part after the last `/`, then that without its geography
//! (`us.`, `eu.`, `apac.`, `global.`); the first mapping that matches any of the three serves it, so
//! that a catch-all at the end never takes a model an earlier entry names. Providers are made once,
//! when the registry is; equal settings share one.

mod build;
mod fallback;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{Capabilities, ModelError, ModelProvider, ModelRequest, ModelStream};

pub use super::limit::Limits;
use crate::glob::NameGlob;
use crate::http::{Secret, Timeouts};
pub(crate) use build::{bedrock_settings, matcher, openai_endpoint};
pub use fallback::{CHAIN_MAX, Entry, FallbackError, chains};

/// Geographies that an inference profile's id begins with.
const GEOGRAPHIES: [&str; 4] = ["us.", "eu.", "apac.", "global."];

/// The kinds of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Converse through the AWS SDK.
    Bedrock,
    /// In this process.
    Local,
}

/// One mapping from model ids to a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelMapping {
    /// Glob over model ids.
    pub pattern: String,
    /// Who serves them.
    pub provider: ProviderKind,
    /// Where, if not at the vendor's own address; the endpoint for [`ProviderKind::Bedrock`].
    pub base_url: Option<String>,
    /// The id to send, if not the id as given.
    pub upstream_model: Option<String>,
    /// Key or token.
    pub api_key: Option<Secret>,
    /// AWS region, for [`ProviderKind::Bedrock`], if not that of the environment.
    pub region: Option<String>,
    /// Time limits of one call.
    pub timeouts: Timeouts,
    /// Models to ask where one of these fails before it has said anything.
    pub fallback: Vec<String>,
    /// What all these models together may be asked.
    pub limits: Limits,
    /// Whether the vendor is shown what of a prompt to cache.
    pub prompt_cache: bool,
}

impl ModelMapping {
    /// A mapping with the vendor's own address and no key.
    pub fn new(pattern: impl Into<String>, provider: ProviderKind) -> Self {
        Self {
            pattern: pattern.into(),
            provider,
            base_url: None,
            upstream_model: None,
            api_key: None,
            region: None,
            timeouts: Timeouts::default(),
            fallback: Vec::new(),
            limits: Limits::default(),
            prompt_cache: true,
        }
    }
}

/// Why a registry cannot be made. Texts name the mapping and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The glob does not parse.
    #[error("model pattern `{pattern}` is not a glob: {detail}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A fallback cannot be.
    #[error(transparent)]
    Fallback(#[from] FallbackError),
    /// The base URL cannot be used.
    #[error("base_url `{url}` of model pattern `{pattern}` cannot be used: {detail}")]
    BaseUrl {
        /// The mapping.
        pattern: String,
        /// As given, without user name and password.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The key holds characters an HTTP header cannot carry.
    #[error("the API key of model pattern `{pattern}` holds characters that cannot be sent")]
    ApiKey {
        /// The mapping.
        pattern: String,
    },
    /// The mapping wants the local provider, which this build does not have.
    #[error(
        "model pattern `{pattern}` wants provider \"local\", but this build lacks the `local` feature; \
         build with it or map the model to another provider"
    )]
    NoLocalProvider {
        /// The mapping.
        pattern: String,
    },
    /// The provider has no models of this kind.
    #[error("provider \"{provider}\" of pattern `{pattern}` has no embedding models")]
    NoEmbeddings {
        /// The mapping.
        pattern: String,
        /// As written in a configuration.
        provider: &'static str,
    },
    /// What is named as a local model is none.
    #[error("pattern `{pattern}`: {detail}")]
    Weights {
        /// The mapping.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// The providers of all configured models.
pub struct ModelRegistry {
    routes: Vec<Route>,
}

struct Route {
    matcher: NameGlob,
    upstream_model: Option<String>,
    provider: Arc<dyn ModelProvider>,
    fallbacks: Vec<String>,
    prompt_cache: bool,
}

impl ModelRegistry {
    /// Makes the providers of all mappings. `local` serves those of [`ProviderKind::Local`]; a build
    /// without it passes `None`.
    ///
    /// # Errors
    /// The first mapping that cannot work.
    pub fn new(
        mappings: &[ModelMapping],
        local: Option<Arc<dyn ModelProvider>>,
    ) -> Result<Self, RegistryError> {
        let routes = build::routes(mappings, local)?;
        Ok(Self { routes })
    }

    fn route(&self, model: &str) -> Result<&Route, ModelError> {
        let names = names(model);
        let serves = |route: &&Route| names.iter().any(|name| route.matcher.is_match(name));
        self.routes
            .iter()
            .find(serves)
            .ok_or_else(|| ModelError::Unmapped {
                model: model.to_owned(),
                hint: hint(names[2]),
            })
    }
}

/// The names one model goes by, from the id as given to the bare id.
pub(crate) fn names(model: &str) -> [&str; 3] {
    let last = model.rsplit_once('/').map_or(model, |(_, last)| last);
    let bare = GEOGRAPHIES
        .iter()
        .find_map(|geography| last.strip_prefix(geography))
        .unwrap_or(last);
    [model, last, bare]
}

/// A pattern for `model`. A glob's own characters, which no model id of AWS has, would change its
/// meaning.
pub(crate) fn pattern_of(model: &str) -> String {
    model
        .chars()
        .map(|c| {
            if "[]{}*?\\\"".contains(c) || c.is_control() {
                '?'
            } else {
                c
            }
        })
        .collect()
}

/// The setting that would serve `model`, ready to be pasted.
fn hint(model: &str) -> String {
    let pattern = pattern_of(model);
    format!(
        "add to the configuration file, for example, [[models]] match = \"{pattern}\" provider = \"openai\" \
         base_url = \"http://127.0.0.1:11434/v1\" upstream_model = \"qwen3:8b\" (each key on a line of its own)"
    )
}

impl ModelProvider for ModelRegistry {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        let route = self.route(model)?;
        let upstream = route.upstream_model.as_deref().unwrap_or(model);
        let mut capabilities = route.provider.capabilities(upstream)?;
        capabilities.prompt_cache &= route.prompt_cache;
        Ok(capabilities)
    }

    fn fallbacks(&self, model: &str) -> &[String] {
        match self.route(model) {
            Ok(route) => &route.fallbacks,
            Err(_) => &[],
        }
    }

    fn converse(
        &self,
        mut request: ModelRequest,
    ) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        match self.route(&request.model) {
            Ok(route) => {
                if let Some(upstream) = &route.upstream_model {
                    request.model.clone_from(upstream);
                }
                route.provider.converse(request)
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests;
