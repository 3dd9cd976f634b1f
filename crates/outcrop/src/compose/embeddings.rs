//! The embedding models of the configuration.
//!
//! Nothing is fetched, loaded or opened before a knowledge base first needs a vector.

use std::time::Duration;

use outcrop_adapters::embed::{
    EmbeddingMapping, EmbeddingSettings, Embeddings, LocalEmbeddingSettings,
};
use outcrop_adapters::http::Timeouts;
use outcrop_adapters::model::registry::ModelMapping;

use super::upstream_mapping;
use crate::config::{Config, EmbeddingRoute};

/// Name of the file, in the data folder, that vectors are kept in by the content of their texts.
const CACHE: &str = "embeddings.sqlite";
/// The longest that one request may take, with all texts of a batch.
const REQUEST_LIMIT: Duration = Duration::from_mins(10);

/// The models, ready to be asked.
///
/// # Errors
/// The first entry that cannot work.
pub(super) fn embeddings(config: &Config) -> anyhow::Result<Embeddings> {
    let defaults = LocalEmbeddingSettings::default();
    Ok(Embeddings::new(EmbeddingSettings {
        mappings: config
            .embeddings
            .iter()
            .map(|route| mapping(route, config))
            .collect(),
        local: LocalEmbeddingSettings {
            python: config.python.interpreter.clone(),
            threads: config.local.threads.unwrap_or(defaults.threads),
            ..defaults
        },
        cache: Some(config.data_dir.join(CACHE)),
    })?)
}

fn mapping(route: &EmbeddingRoute, config: &Config) -> EmbeddingMapping {
    let upstream = upstream_mapping(&route.pattern, &route.upstream, config);
    EmbeddingMapping {
        upstream: ModelMapping {
            timeouts: Timeouts {
                overall: REQUEST_LIMIT,
                ..upstream.timeouts
            },
            ..upstream
        },
        dimensions: route.dimensions,
    }
}
