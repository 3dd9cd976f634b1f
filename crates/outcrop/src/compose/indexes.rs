//! The engines that keep vectors, and the choice between them.

use std::sync::Arc;

use outcrop_adapters::index::opensearch::OpenSearchIndex;
use outcrop_adapters::index::postgres::{PostgresIndex, PostgresIndexOptions};
use outcrop_adapters::index::routing::IndexRouter;
use outcrop_engine::port::ChunkIndex;
use outcrop_index::{EmbeddedIndex, EmbeddedOptions};

use crate::config::{Config, Durability, INDEX_CONNECTIONS, IndexEngine};

/// The folder of the embedded index within the data folder.
const FOLDER: &str = "knowledge";

/// The index of all knowledge bases. What `[[indexes]]` does not name is in the database that is the
/// store, where there is one, for `embedded` belongs to one machine; else in `embedded`. Contacts
/// nothing.
pub(super) fn index(config: &Config) -> anyhow::Result<Arc<dyn ChunkIndex>> {
    let embedded: Arc<dyn ChunkIndex> = Arc::new(EmbeddedIndex::new(EmbeddedOptions {
        durability: match config.durability {
            Durability::Process => outcrop_index::Durability::Process,
            Durability::Power => outcrop_index::Durability::Power,
        },
        ..EmbeddedOptions::new(config.data_dir.join(FOLDER))
    }));
    let mut routes = Vec::with_capacity(config.indexes.len());
    for route in &config.indexes {
        let index: Arc<dyn ChunkIndex> = match &route.engine {
            IndexEngine::Embedded => Arc::clone(&embedded),
            IndexEngine::Postgres(options) => Arc::new(PostgresIndex::new(options.clone())?),
            IndexEngine::OpenSearch(options) => Arc::new(OpenSearchIndex::new(options.clone())?),
        };
        routes.push((route.pattern.clone(), index));
    }
    let otherwise: Arc<dyn ChunkIndex> = match &config.database_url {
        Some(url) => Arc::new(PostgresIndex::new(PostgresIndexOptions {
            url: url.clone(),
            connections: INDEX_CONNECTIONS,
        })?),
        None => embedded,
    };
    Ok(Arc::new(IndexRouter::new(routes, otherwise)?))
}
