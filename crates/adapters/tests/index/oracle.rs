//! An index that compares everything with everything: what every other is measured against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
    SearchBy,
};
use outcrop_knowledge::document::DocumentLocation;

/// A knowledge base's chunks.
#[derive(Default)]
struct Base {
    identity: Option<EmbeddingIdentity>,
    documents: BTreeMap<DocumentKey, Vec<IndexedChunk>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Oracle(Mutex<BTreeMap<String, Base>>);

impl Oracle {
    fn bases(&self) -> MutexGuard<'_, BTreeMap<String, Base>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, place: &IndexPlace, work: impl FnOnce(&mut Base) -> T) -> T {
        let mut bases = self.bases();
        let key = format!(
            "{}/{}/{}",
            place.account_id, place.region, place.knowledge_base_id
        );
        let base = bases.entry(key).or_default();
        let answer = work(base);
        if base.documents.is_empty() {
            base.identity = None;
        }
        answer
    }
}

/// The words of a text as every engine cuts plain English: letters and digits, in small letters.
pub(crate) fn words(text: &str) -> BTreeSet<String> {
    text.split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn score(by: &SearchBy, chunk: &IndexedChunk) -> Option<f64> {
    match by {
        SearchBy::Vector(vector) => Some(
            vector
                .iter()
                .zip(&chunk.vector)
                .map(|(one, other)| f64::from(*one) * f64::from(*other))
                .sum(),
        ),
        SearchBy::Text(text) => {
            let asked = words(text);
            let found = words(&chunk.text).intersection(&asked).count();
            // Only which chunks are found is comparable; BM25 has a scale of its own.
            (found > 0).then(|| f64::from(u32::try_from(found).expect("a few words")))
        }
    }
}

fn ready<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, Result<T, IndexError>> {
    Box::pin(std::future::ready(Ok(answer)))
}

impl ChunkIndex for Oracle {
    fn searches_text<'a>(
        &'a self,
        _place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>> {
        ready(true)
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        ready(self.with(place, |base| base.identity.clone()))
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        self.with(place, |base| {
            if chunks.is_empty() {
                base.documents.remove(document);
                return;
            }
            base.identity = Some(identity.clone());
            base.documents.insert(document.clone(), chunks);
        });
        ready(())
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        self.with(place, |base| {
            base.documents.retain(|key, _| !documents.contains(key));
        });
        ready(())
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        self.with(place, |base| {
            base.documents
                .retain(|key, _| key.data_source_id != data_source_id);
        });
        ready(())
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        self.with(place, |base| base.documents.clear());
        ready(())
    }

    fn documents<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
        after: Option<&'a DocumentLocation>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        ready(self.with(place, |base| {
            base.documents
                .keys()
                .filter(|key| key.data_source_id == data_source_id)
                .map(|key| key.location.clone())
                .filter(|location| after.is_none_or(|after| location > after))
                .take(limit)
                .collect()
        }))
    }

    fn search<'a>(
        &'a self,
        place: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        ready(self.with(place, |base| {
            let mut hits = Vec::new();
            for (document, chunk) in base
                .documents
                .iter()
                .flat_map(|(document, chunks)| chunks.iter().map(move |chunk| (document, chunk)))
            {
                let filter = search.filter.as_ref();
                if filter.is_some_and(|filter| !filter.matches(&chunk.metadata)) {
                    continue;
                }
                if let Some(score) = score(&search.by, chunk) {
                    hits.push(Hit {
                        document: document.clone(),
                        chunk_id: chunk.id.clone(),
                        text: chunk.text.clone(),
                        parent: chunk.parent.clone(),
                        metadata: chunk.metadata.clone(),
                        score,
                    });
                }
            }
            hits.sort_by(|one, other| {
                let by_score = other.score.total_cmp(&one.score);
                by_score.then_with(|| one.chunk_id.cmp(&other.chunk_id))
            });
            hits.truncate(search.limit);
            hits
        }))
    }
}
