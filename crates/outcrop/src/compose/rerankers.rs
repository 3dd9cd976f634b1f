//! The rerankers of the configuration. None is contacted before it is first asked.

use std::sync::Arc;
use std::time::Duration;

use outcrop_adapters::http::Timeouts;
use outcrop_adapters::model::registry::ModelMapping;
use outcrop_adapters::rerank::{RerankerKind, RerankerMapping, Rerankers};
use outcrop_engine::port::ModelProvider;

use super::upstream_mapping;
use crate::config::{Config, RerankerProvider, RerankerRoute};

/// The longest that one request may take: somebody waits for the answer.
const REQUEST_LIMIT: Duration = Duration::from_mins(2);

/// The rerankers, ready to be asked; `models` are those that may judge.
///
/// # Errors
/// The first entry that cannot work.
pub(super) fn rerankers(
    config: &Config,
    models: &Arc<dyn ModelProvider>,
) -> anyhow::Result<Rerankers> {
    let mappings: Vec<RerankerMapping> = config
        .rerankers
        .iter()
        .map(|route| mapping(route, config))
        .collect();
    Ok(Rerankers::new(&mappings, models)?)
}

fn mapping(route: &RerankerRoute, config: &Config) -> RerankerMapping {
    let upstream = upstream_mapping(&route.pattern, &route.upstream, config);
    RerankerMapping {
        kind: match route.provider {
            RerankerProvider::Cohere => RerankerKind::Cohere,
            RerankerProvider::Tei => RerankerKind::Tei,
            RerankerProvider::Bedrock => RerankerKind::Bedrock,
            RerankerProvider::Judge => RerankerKind::Judge,
        },
        upstream: ModelMapping {
            timeouts: Timeouts {
                overall: REQUEST_LIMIT,
                ..upstream.timeouts
            },
            ..upstream
        },
    }
}
