//! `[[models]]` and `[[embeddings]]`: which provider, and how it is reached.
//!
//! Invariant: every pattern compiles, every named key is set, and no key is written that its
//! provider would not look at.

use std::time::Duration;

use outcrop_adapters::embed::LocalEmbedding;
use outcrop_adapters::model::registry::{self, Entry, Limits, RegistryError};

use super::super::low::{LowEmbedding, LowModel};
use super::super::{
    EmbeddingRoute, ModelRoute, ModelsOrigin, ProviderKind, Secret, Upstream, discover,
};
use super::{At, Checker, LONGEST_S, Range, narrow, size};

/// A host that does not take a connection in this time is down.
pub(in super::super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An unstreamed answer has its head only when it is finished, hence the minutes.
pub(in super::super) const RESPONSE_TIMEOUT: Duration = Duration::from_mins(5);
/// Models that reason may be silent for long between two tokens, but not for this long.
pub(in super::super) const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

const DIMENSIONS: Range = Range(1, 65_536, 1);

/// More calls than a server has connections are no limit.
const CALLS: Range = Range(1, 1_000_000, 1);
const TOKENS_PER_MINUTE: Range = Range(1, u32::MAX as u64, 1);
/// A quarter of the turns that run at once by default: more could not be answered in the time that
/// they may wait.
const QUEUE_MAX: Range = Range(0, 100_000, 256);
/// A tenth of the time that a turn has by default.
const QUEUE_TIMEOUT_S: Range = Range(1, LONGEST_S, 60);

/// The local embedding model of an entry.
fn local_model(upstream: &Upstream) -> Option<LocalEmbedding> {
    let model = upstream.model.as_deref()?;
    (upstream.provider == ProviderKind::Local)
        .then(|| model.parse().ok())
        .flatten()
}

impl Checker<'_> {
    pub(super) fn models(&mut self, entries: &[LowModel]) -> (Vec<ModelRoute>, ModelsOrigin) {
        if entries.is_empty() {
            return discover::routes(self.environment);
        }
        let mut routes = Vec::new();
        for (entry, low) in entries.iter().enumerate() {
            let at = |key| At::entry("models", entry, key);
            let pattern = self.glob(at("match"), low.pattern.as_deref());
            let upstream = self.upstream("models", entry, low);
            let limits = self.limits(entry, low);
            if let (Some(pattern), Some(upstream)) = (pattern, upstream) {
                routes.push(ModelRoute {
                    pattern,
                    upstream,
                    fallback: low.fallback.clone(),
                    limits,
                    prompt_cache: low.prompt_cache.unwrap_or(true),
                });
            }
        }
        if routes.len() == entries.len() {
            self.fallbacks(&routes);
        }
        (routes, ModelsOrigin::File)
    }

    fn limits(&mut self, entry: usize, low: &LowModel) -> Limits {
        let at = |key| At::entry("models", entry, key);
        let mut calls = |key, value: Option<u64>, range| {
            value.map(|value| narrow(self.number(at(key), Some(value), range)))
        };
        let max_concurrency = calls("max_concurrency", low.max_concurrency, CALLS);
        let requests_per_minute = calls("requests_per_minute", low.requests_per_minute, CALLS);
        let tokens_per_minute = calls(
            "tokens_per_minute",
            low.tokens_per_minute,
            TOKENS_PER_MINUTE,
        );
        let limits = Limits {
            max_concurrency,
            requests_per_minute,
            tokens_per_minute,
            queue_max: size(self.number(at("queue_max"), low.queue_max, QUEUE_MAX)),
            queue_timeout: self.seconds(
                at("queue_timeout_s"),
                low.queue_timeout_s,
                QUEUE_TIMEOUT_S,
            ),
        };
        if limits.is_unlimited() {
            for (key, written) in [
                ("queue_max", low.queue_max.is_some()),
                ("queue_timeout_s", low.queue_timeout_s.is_some()),
            ] {
                if written {
                    let text =
                        "without `max_concurrency`, `requests_per_minute` or `tokens_per_minute`";
                    self.fault(at(key), format!("`{key}` has no meaning {text}"));
                }
            }
        }
        limits
    }

    /// Every fallback leads to an entry, and none back.
    fn fallbacks(&mut self, routes: &[ModelRoute]) {
        let entries: Vec<Entry<'_>> = routes
            .iter()
            .map(|route| Entry {
                pattern: &route.pattern,
                fallback: &route.fallback,
                upstream_model: route.upstream.model.as_deref(),
            })
            .collect();
        // A pattern that is no glob has been told already.
        if let Err(RegistryError::Fallback(error)) = registry::chains(&entries) {
            let at = At::entry("models", error.entry, "fallback");
            self.fault(at, format!("`{}` {}", error.target, error.detail));
        }
    }

    pub(super) fn embeddings(&mut self, entries: &[LowEmbedding]) -> Vec<EmbeddingRoute> {
        if entries.is_empty() {
            return discover::embeddings(self.environment);
        }
        let mut routes = Vec::new();
        for (entry, low) in entries.iter().enumerate() {
            let at = |key| At::entry("embeddings", entry, key);
            self.embedding_provider(entry, low);
            let pattern = self.glob(at("match"), low.pattern.as_deref());
            let dimensions = low
                .dimensions
                .map(|value| narrow(self.number(at("dimensions"), Some(value), DIMENSIONS)));
            let as_model = LowModel {
                pattern: None,
                provider: low.provider,
                base_url: low.base_url.clone(),
                upstream_model: low.upstream_model.clone(),
                api_key_env: low.api_key_env.clone(),
                region: low.region.clone(),
                connect_timeout_s: low.connect_timeout_s,
                response_timeout_s: low.response_timeout_s,
                idle_timeout_s: low.idle_timeout_s,
                ..LowModel::default()
            };
            let mut upstream = self.upstream("embeddings", entry, &as_model);
            if let Some(upstream) = &mut upstream
                && let Some(LocalEmbedding::Folder(folder)) = local_model(upstream)
            {
                upstream.model = Some(self.base.join(folder).display().to_string());
            }
            if let (Some(pattern), Some(upstream)) = (pattern, upstream) {
                routes.push(EmbeddingRoute {
                    pattern,
                    upstream,
                    dimensions,
                });
            }
        }
        routes
    }

    /// What a provider cannot be asked for is told before the first call.
    fn embedding_provider(&mut self, entry: usize, low: &LowEmbedding) {
        let at = |key| At::entry("embeddings", entry, key);
        match (low.provider, low.upstream_model.as_deref()) {
            (Some(ProviderKind::Anthropic), _) => {
                let text = "provider \"anthropic\" has no embedding models";
                self.fault(at("provider"), text.to_owned());
            }
            (Some(ProviderKind::Local), Some(model)) => {
                if let Err(error) = model.parse::<LocalEmbedding>() {
                    self.fault(at("upstream_model"), error.to_string());
                }
            }
            _ => {}
        }
    }

    pub(super) fn upstream(
        &mut self,
        table: &'static str,
        entry: usize,
        low: &LowModel,
    ) -> Option<Upstream> {
        let at = |key| At::entry(table, entry, key);
        let Some(provider) = low.provider else {
            self.fault(at("provider"), format!("[[{table}]] lacks `provider`"));
            return None;
        };
        self.refuse_foreign_keys(table, entry, provider, low);
        let base_url = self.url(at("base_url"), low.base_url.as_deref());
        let api_key = match (&low.api_key_env, provider, &base_url) {
            (Some(variable), ..) => self.secret(at("api_key_env"), variable),
            (None, ProviderKind::OpenAi, None) => self.usual_key(at("provider"), "OPENAI_API_KEY"),
            (None, ProviderKind::Anthropic, None) => {
                self.usual_key(at("provider"), "ANTHROPIC_API_KEY")
            }
            (None, _, _) => None,
        };
        Some(Upstream {
            provider,
            base_url,
            model: low.upstream_model.clone(),
            api_key,
            region: self.region(at("region"), low.region.clone()),
            connect_timeout: self.wait(
                at("connect_timeout_s"),
                low.connect_timeout_s,
                CONNECT_TIMEOUT,
            ),
            response_timeout: self.wait(
                at("response_timeout_s"),
                low.response_timeout_s,
                RESPONSE_TIMEOUT,
            ),
            idle_timeout: self.wait(at("idle_timeout_s"), low.idle_timeout_s, IDLE_TIMEOUT),
        })
    }

    /// The key of a vendor's own service, which cannot be used without one.
    fn usual_key(&mut self, at: At, variable: &'static str) -> Option<Secret> {
        let key = self
            .environment
            .get(variable)
            .map(|key| Secret(key.to_owned()));
        if key.is_none() {
            self.fault(
                at,
                format!("no key: {variable} is not set, and neither `api_key_env` nor `base_url` is given"),
            );
        }
        key
    }

    /// A key that the provider would not look at is a misunderstanding worth telling.
    fn refuse_foreign_keys(
        &mut self,
        table: &'static str,
        entry: usize,
        provider: ProviderKind,
        low: &LowModel,
    ) {
        let (key, remote, aws) = (
            low.api_key_env.is_some(),
            low.base_url.is_some(),
            low.region.is_some(),
        );
        let caches = low.prompt_cache.is_some();
        let written: &[(&'static str, bool)] = match provider {
            ProviderKind::OpenAi => &[("region", aws), ("prompt_cache", caches)],
            ProviderKind::Anthropic => &[("region", aws)],
            ProviderKind::Bedrock => &[],
            ProviderKind::Local => &[
                ("base_url", remote),
                ("api_key_env", key),
                ("region", aws),
                ("prompt_cache", caches),
            ],
        };
        for (name, _) in written.iter().filter(|(_, written)| *written) {
            self.fault(
                At::entry(table, entry, name),
                format!(
                    "`{name}` has no meaning with provider = \"{}\"",
                    provider.as_str()
                ),
            );
        }
    }
}
