//! Which engine keeps which knowledge base.
//!
//! A knowledge base says where AWS would store its vectors. That is only a name here: the configuration
//! says which engine stands behind it, and an engine of this server's own serves all that it does not
//! name, so that a template written for AWS works unchanged.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::control::{KnowledgeBaseStorageType, StorageConfiguration};

use crate::glob::NameGlob;

/// What is served by an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPattern {
    /// The storage type; `None`: any, and knowledge bases that have none.
    pub storage: Option<KnowledgeBaseStorageType>,
    /// A glob over [`resource`]; `None`: any.
    pub resource: Option<String>,
}

/// Why no router can be made.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}` is not a glob: {source}")]
pub struct RouteError {
    pattern: String,
    source: globset::Error,
}

struct Route {
    storage: Option<KnowledgeBaseStorageType>,
    resource: Option<NameGlob>,
    index: Arc<dyn ChunkIndex>,
}

impl Route {
    fn serves(&self, storage: Option<&StorageConfiguration>) -> bool {
        let type_fits = match self.storage {
            Some(wanted) => storage.is_some_and(|storage| storage.type_ == wanted),
            None => true,
        };
        let resource = storage.map_or("", resource);
        type_fits
            && self
                .resource
                .as_ref()
                .is_none_or(|glob| glob.is_match(resource))
    }
}

/// See the module.
pub struct IndexRouter {
    routes: Vec<Route>,
    /// Serves what no route does.
    otherwise: Arc<dyn ChunkIndex>,
}

impl IndexRouter {
    /// The first route that serves a knowledge base's storage keeps it.
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn new(
        routes: Vec<(IndexPattern, Arc<dyn ChunkIndex>)>,
        otherwise: Arc<dyn ChunkIndex>,
    ) -> Result<Self, RouteError> {
        let routes = routes.into_iter().map(|(pattern, index)| {
            let glob = |pattern: String| {
                NameGlob::new(&pattern).map_err(|source| RouteError { pattern, source })
            };
            Ok(Route {
                storage: pattern.storage,
                resource: pattern.resource.map(glob).transpose()?,
                index,
            })
        });
        Ok(Self {
            routes: routes.collect::<Result<_, _>>()?,
            otherwise,
        })
    }

    fn index(&self, place: &IndexPlace) -> &dyn ChunkIndex {
        let storage = place.storage.as_deref();
        let route = self.routes.iter().find(|route| route.serves(storage));
        route.map_or(&*self.otherwise, |route| &*route.index)
    }
}

impl fmt::Debug for IndexRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexRouter")
            .field("routes", &self.routes.len())
            .finish_non_exhaustive()
    }
}

/// What a storage configuration names: an ARN where it has one, else the address.
pub fn resource(storage: &StorageConfiguration) -> &str {
    if let Some(found) = &storage.opensearch_serverless_configuration {
        return &found.collection_arn;
    }
    if let Some(found) = &storage.opensearch_managed_cluster_configuration {
        return &found.domain_arn;
    }
    if let Some(found) = &storage.rds_configuration {
        return &found.resource_arn;
    }
    if let Some(found) = &storage.neptune_analytics_configuration {
        return &found.graph_arn;
    }
    if let Some(found) = &storage.s3_vectors_configuration {
        let bucket = found.vector_bucket_arn.as_deref();
        return found.index_arn.as_deref().or(bucket).unwrap_or_default();
    }
    if let Some(found) = &storage.pinecone_configuration {
        return &found.connection_string;
    }
    if let Some(found) = &storage.redis_enterprise_cloud_configuration {
        return &found.endpoint;
    }
    storage
        .mongo_db_atlas_configuration
        .as_ref()
        .map_or("", |found| &found.endpoint)
}

impl ChunkIndex for IndexRouter {
    fn is_reached_by_others(&self, place: &IndexPlace) -> bool {
        self.index(place).is_reached_by_others(place)
    }

    fn searches_text<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>> {
        self.index(place).searches_text(place)
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        self.index(place).identity(place)
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        self.index(place).put(place, identity, document, chunks)
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        self.index(place).remove(place, documents)
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        self.index(place).remove_source(place, data_source_id)
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        self.index(place).remove_all(place)
    }

    fn documents<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
        after: Option<&'a DocumentLocation>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        let index = self.index(place);
        index.documents(place, data_source_id, after, limit)
    }

    fn search<'a>(
        &'a self,
        place: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        self.index(place).search(place, search)
    }
}
