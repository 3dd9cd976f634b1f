//! `[[rerankers]]`: what serves which reranker model, and how it is reached.
//!
//! Invariant: what an entry names is there, and no key is written that its provider would not look at.

use super::super::low::{LowModel, LowReranker};
use super::super::{ProviderKind, RerankerProvider, RerankerRoute, Upstream, discover};
use super::{At, Checker};

/// Where Cohere itself listens.
const COHERE: &str = "https://api.cohere.com/v2";
/// The key of its own service, by its own name.
const COHERE_KEY: &str = "CO_API_KEY";

impl Checker<'_> {
    pub(super) fn rerankers(&mut self, entries: &[LowReranker]) -> Vec<RerankerRoute> {
        if entries.is_empty() {
            return discover::rerankers(self.environment);
        }
        let mut routes = Vec::new();
        for (entry, low) in entries.iter().enumerate() {
            let at = |key| At::entry("rerankers", entry, key);
            let pattern = self.glob(at("match"), low.pattern.as_deref());
            let Some(provider) = low.provider else {
                self.fault(at("provider"), "[[rerankers]] lacks `provider`".to_owned());
                continue;
            };
            let upstream = self.reranker(entry, provider, low);
            if let (Some(pattern), Some(upstream)) = (pattern, upstream) {
                routes.push(RerankerRoute {
                    pattern,
                    provider,
                    upstream,
                });
            }
        }
        routes
    }

    fn reranker(
        &mut self,
        entry: usize,
        provider: RerankerProvider,
        low: &LowReranker,
    ) -> Option<Upstream> {
        let at = |key| At::entry("rerankers", entry, key);
        let mut as_model = LowModel {
            provider: Some(ProviderKind::OpenAi),
            base_url: low.base_url.clone(),
            upstream_model: low.upstream_model.clone(),
            api_key_env: low.api_key_env.clone(),
            region: low.region.clone(),
            connect_timeout_s: low.connect_timeout_s,
            response_timeout_s: low.response_timeout_s,
            ..LowModel::default()
        };
        match provider {
            RerankerProvider::Cohere => {
                if low.base_url.is_none() {
                    as_model.base_url = Some(COHERE.to_owned());
                    as_model.api_key_env =
                        as_model.api_key_env.or_else(|| Some(COHERE_KEY.to_owned()));
                }
            }
            RerankerProvider::Tei if low.base_url.is_none() => {
                self.fault(
                    at("base_url"),
                    "provider \"tei\" needs `base_url`".to_owned(),
                );
                return None;
            }
            RerankerProvider::Tei => {}
            RerankerProvider::Bedrock => as_model.provider = Some(ProviderKind::Bedrock),
            RerankerProvider::Judge => {
                as_model.provider = Some(ProviderKind::Local);
                self.judge(entry, low)?;
            }
        }
        self.upstream("rerankers", entry, &as_model)
    }

    /// A judge is a model of `[[models]]`, and all the rest is said there.
    fn judge(&mut self, entry: usize, low: &LowReranker) -> Option<()> {
        let at = |key| At::entry("rerankers", entry, key);
        let mut fine = Some(());
        if low.upstream_model.is_none() {
            let text = "provider \"judge\" needs `upstream_model`: a model that [[models]] serves";
            self.fault(at("upstream_model"), text.to_owned());
            fine = None;
        }
        for (key, written) in [
            ("base_url", low.base_url.is_some()),
            ("api_key_env", low.api_key_env.is_some()),
            ("region", low.region.is_some()),
            ("connect_timeout_s", low.connect_timeout_s.is_some()),
            ("response_timeout_s", low.response_timeout_s.is_some()),
        ] {
            if written {
                let text = format!("`{key}` has no meaning with provider \"judge\"");
                self.fault(at(key), text);
                fine = None;
            }
        }
        fine
    }
}
