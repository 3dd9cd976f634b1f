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

/// Where all knowledge bases keep their chunks.
pub(super) struct Indexes {
    /// The choice among all engines.
    pub(super) router: Arc<dyn ChunkIndex>,
    /// The engine in this process, to be closed in the end.
    pub(super) embedded: Arc<EmbeddedIndex>,
}

/// The index of all knowledge bases. What `[[indexes]]` does not name is in the database that is the
/// store, where there is one, for `embedded` belongs to one machine; else in `embedded`. Contacts
/// nothing.
pub(super) fn indexes(config: &Config) -> anyhow::Result<Indexes> {
    let embedded = Arc::new(EmbeddedIndex::new(EmbeddedOptions {
        durability: match config.durability {
            Durability::Process => outcrop_index::Durability::Process,
            Durability::Power => outcrop_index::Durability::Power,
        },
        ..EmbeddedOptions::new(config.data_dir.join(FOLDER))
    }));
    let mut routes = Vec::with_capacity(config.indexes.len());
    for route in &config.indexes {
        let index: Arc<dyn ChunkIndex> = match &route.engine {
            IndexEngine::Embedded => embedded.clone(),
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
        None => embedded.clone(),
    };
    Ok(Indexes {
        router: Arc::new(IndexRouter::new(routes, otherwise)?),
        embedded,
    })
}
