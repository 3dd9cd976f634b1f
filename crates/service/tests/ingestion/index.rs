//! An index in memory, which finds nothing and tells what it holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
};
use outcrop_knowledge::document::DocumentLocation;

use crate::fuse::Fuse;

type Held = BTreeMap<DocumentKey, Vec<IndexedChunk>>;

/// Indexes of all knowledge bases.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) held: Mutex<BTreeMap<String, (Option<EmbeddingIdentity>, Held)>>,
    /// What every write fails with.
    pub(crate) broken: Mutex<Option<IndexError>>,
    pub(crate) puts: AtomicUsize,
    /// Whether others can reach what is in it.
    pub(crate) is_reached_by_others: AtomicBool,
    /// What happens while the next document is on its way into it.
    pub(crate) meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
    fuse: Arc<Fuse>,
}

impl Index {
    pub(crate) fn new(fuse: Arc<Fuse>) -> Self {
        Self {
            fuse,
            ..Self::default()
        }
    }

    /// Document and text of all chunks of a knowledge base, by document.
    pub(crate) fn texts(&self, base: &str) -> Vec<(String, String)> {
        let held = self.held.lock().expect("whole");
        let Some((_, documents)) = held.get(base) else {
            return Vec::new();
        };
        let chunks = documents.iter().flat_map(|(key, chunks)| {
            chunks
                .iter()
                .map(|chunk| (key.location.as_str().to_owned(), chunk.text.to_string()))
        });
        chunks.collect()
    }

    pub(crate) fn chunks(&self, base: &str) -> Vec<IndexedChunk> {
        let held = self.held.lock().expect("whole");
        let documents = held.get(base).map(|(_, documents)| documents.clone());
        documents
            .unwrap_or_default()
            .into_values()
            .flatten()
            .collect()
    }

    async fn write<T>(
        &self,
        place: &IndexPlace,
        work: impl FnOnce(&mut (Option<EmbeddingIdentity>, Held)) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.fuse
            .around(async {
                if let Some(broken) = &*self.broken.lock().expect("whole") {
                    return Err(broken.clone());
                }
                let mut held = self.held.lock().expect("whole");
                work(held.entry(place.knowledge_base_id.clone()).or_default())
            })
            .await
    }
}

impl ChunkIndex for Index {
    fn is_reached_by_others(&self, _: &IndexPlace) -> bool {
        self.is_reached_by_others.load(Ordering::SeqCst)
    }

    fn searches_text<'a>(&'a self, _: &'a IndexPlace) -> BoxFuture<'a, Result<bool, IndexError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        Box::pin(async move {
            let held = self.held.lock().expect("whole");
            Ok(held
                .get(&place.knowledge_base_id)
                .and_then(|(identity, _)| identity.clone()))
        })
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(async move {
            self.puts.fetch_add(1, Ordering::SeqCst);
            let meanwhile = self.meanwhile.lock().expect("whole").take();
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
            self.write(place, |(known, held)| {
                *known = Some(identity.clone());
                held.insert(document.clone(), chunks);
                Ok(())
            })
            .await
        })
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.write(place, move |(_, held)| {
            for document in documents {
                held.remove(document);
            }
            Ok(())
        }))
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.write(place, move |(_, held)| {
            held.retain(|key, _| key.data_source_id != data_source_id);
            Ok(())
        }))
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.write(place, |all| {
            *all = (None, Held::new());
            Ok(())
        }))
    }

    fn documents<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: &'a str,
        _: Option<&'a DocumentLocation>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn search<'a>(
        &'a self,
        _: &'a IndexPlace,
        _: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
