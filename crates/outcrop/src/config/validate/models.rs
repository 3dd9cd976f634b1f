//! `[[models]]` and `[[embeddings]]`: which provider, and how it is reached.
//!
//! Invariant: every pattern compiles, every named key is set, and no key is written that its
//! provider would not look at.

use std::time::Duration;

use super::super::low::{LowEmbedding, LowModel};
use super::super::{
    EmbeddingRoute, ModelRoute, ModelsOrigin, ProviderKind, Secret, Upstream, discover,
};
use super::{At, Checker, Range, narrow};

/// A host that does not take a connection in this time is down.
pub(in super::super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An unstreamed answer has its head only when it is finished, hence the minutes.
pub(in super::super) const RESPONSE_TIMEOUT: Duration = Duration::from_mins(5);
/// Models that reason may be silent for long between two tokens, but not for this long.
pub(in super::super) const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

const DIMENSIONS: Range = Range(1, 65_536, 1);

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
            if let (Some(pattern), Some(upstream)) = (pattern, upstream) {
                routes.push(ModelRoute { pattern, upstream });
            }
        }
        (routes, ModelsOrigin::File)
    }

    pub(super) fn embeddings(&mut self, entries: &[LowEmbedding]) -> Vec<EmbeddingRoute> {
        let mut routes = Vec::new();
        for (entry, low) in entries.iter().enumerate() {
            let at = |key| At::entry("embeddings", entry, key);
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
            };
            let upstream = self.upstream("embeddings", entry, &as_model);
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

    fn upstream(&mut self, table: &'static str, entry: usize, low: &LowModel) -> Option<Upstream> {
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
        let written: &[(&'static str, bool)] = match provider {
            ProviderKind::OpenAi | ProviderKind::Anthropic => &[("region", aws)],
            ProviderKind::Bedrock => &[],
            ProviderKind::Local => &[("base_url", remote), ("api_key_env", key), ("region", aws)],
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
