//! What every index must do, asked of an index and of the oracle alike.

use std::collections::BTreeSet;
use std::sync::Arc;

use outcrop_engine::port::{
    ChunkIndex, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, ParentChunk, Search,
    SearchBy,
};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::control::StorageConfiguration;

use crate::oracle::Oracle;
use crate::random::{Random, document};

pub(crate) const DIMENSIONS: usize = 8;
/// More than any of these tests has chunks.
const ALL: usize = 500;
/// Engines keep vectors as 32-bit numbers.
const SCORE_ERROR: f64 = 1e-5;

pub(crate) fn place(
    knowledge_base_id: &str,
    storage: Option<&Arc<StorageConfiguration>>,
) -> IndexPlace {
    IndexPlace {
        account_id: "111122223333".to_owned(),
        region: "us-west-2".to_owned(),
        knowledge_base_id: knowledge_base_id.to_owned(),
        storage: storage.cloned(),
    }
}

pub(crate) fn identity() -> EmbeddingIdentity {
    EmbeddingIdentity {
        model: "test/plain@1".to_owned(),
        dimensions: u32::try_from(DIMENSIONS).expect("a few"),
    }
}

/// All of it. `storage` is where the knowledge bases are said to be.
pub(crate) async fn check(index: &dyn ChunkIndex, storage: Option<Arc<StorageConfiguration>>) {
    let storage = storage.as_ref();
    documents_are_replaced_whole(index, &place("REPLACED01", storage)).await;
    what_is_removed_is_gone(index, &place("REMOVED001", storage)).await;
    documents_are_listed_in_pages(index, &place("LISTED0001", storage)).await;
    models_are_not_mixed(index, &place("IDENTITY01", storage)).await;
    odd_texts_come_back_as_they_were(index, &place("ODDTEXTS01", storage)).await;
    let both = [place("APART00001", storage), place("APART00002", storage)];
    knowledge_bases_are_apart(index, &both).await;
    rare_words_rank_first(index, &place("RANKED0001", storage)).await;
    filters_leave_what_the_oracle_leaves(index, &place("FILTERED01", storage)).await;
}

pub(crate) async fn find(
    index: &dyn ChunkIndex,
    place: &IndexPlace,
    by: SearchBy,
    limit: usize,
) -> Vec<Hit> {
    let search = Search {
        by,
        filter: None,
        limit,
    };
    index.search(place, search).await.expect("a search")
}

async fn ids(index: &dyn ChunkIndex, place: &IndexPlace) -> Vec<String> {
    let by = SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
    let hits = find(index, place, by, ALL).await;
    let mut ids: Vec<String> = hits.into_iter().map(|hit| hit.chunk_id).collect();
    ids.sort();
    ids
}

async fn documents_are_replaced_whole(index: &dyn ChunkIndex, place: &IndexPlace) {
    let mut random = Random::new(2);
    let (one, other) = (
        document("SOURCE0001", "one.txt"),
        document("SOURCE0001", "two.txt"),
    );
    assert!(ids(index, place).await.is_empty());
    assert_eq!(index.identity(place).await, Ok(None));
    for (key, name, count) in [(&one, "one", 5), (&other, "two", 2), (&one, "one", 3)] {
        let chunks = random.chunks(name, count, DIMENSIONS);
        index
            .put(place, &identity(), key, chunks)
            .await
            .expect("a put");
    }
    assert_eq!(
        ids(index, place).await,
        ["one-000", "one-001", "one-002", "two-000", "two-001"]
    );
    assert_eq!(index.identity(place).await, Ok(Some(identity())));
    index
        .put(place, &identity(), &one, Vec::new())
        .await
        .expect("a put of nothing");
    assert_eq!(ids(index, place).await, ["two-000", "two-001"]);
}

async fn what_is_removed_is_gone(index: &dyn ChunkIndex, place: &IndexPlace) {
    let mut random = Random::new(3);
    index
        .remove(place, &[document("SOURCE0001", "never")])
        .await
        .expect("nothing to remove");
    index.remove_all(place).await.expect("nothing to remove");
    for (source, name) in [
        ("SOURCE0001", "a"),
        ("SOURCE0001", "b"),
        ("SOURCE0002", "a"),
        ("SOURCE0002", "c"),
    ] {
        let chunks = random.chunks(&format!("{source}-{name}"), 1, DIMENSIONS);
        let key = document(source, name);
        index
            .put(place, &identity(), &key, chunks)
            .await
            .expect("a put");
    }
    let gone = [document("SOURCE0001", "a"), document("SOURCE0001", "never")];
    index.remove(place, &gone).await.expect("a removal");
    assert_eq!(
        ids(index, place).await,
        ["SOURCE0001-b-000", "SOURCE0002-a-000", "SOURCE0002-c-000"]
    );
    index
        .remove_source(place, "SOURCE0002")
        .await
        .expect("a removal");
    assert_eq!(ids(index, place).await, ["SOURCE0001-b-000"]);
    index.remove_all(place).await.expect("a removal");
    assert!(ids(index, place).await.is_empty());
    assert_eq!(index.identity(place).await, Ok(None));
}

async fn documents_are_listed_in_pages(index: &dyn ChunkIndex, place: &IndexPlace) {
    let oracle = Oracle::default();
    let mut random = Random::new(4);
    let long = "x".repeat(600);
    let names = ["b", "a", "a/b", "Z", "é", "a b", "10", "9"];
    let names = names.map(str::to_owned).into_iter();
    let names: Vec<String> = names
        .chain([format!("{long}2"), format!("{long}1")])
        .collect();
    for name in &names {
        let chunks = random.chunks(name, 2, DIMENSIONS);
        let key = document("SOURCE0001", name);
        index
            .put(place, &identity(), &key, chunks.clone())
            .await
            .expect("a put");
        oracle
            .put(place, &identity(), &key, chunks)
            .await
            .expect("a put");
    }
    let mut after: Option<DocumentLocation> = None;
    let mut listed = Vec::new();
    loop {
        let page = index
            .documents(place, "SOURCE0001", after.as_ref(), 3)
            .await
            .expect("a page");
        let same = oracle
            .documents(place, "SOURCE0001", after.as_ref(), 3)
            .await;
        assert_eq!(Ok(&page), same.as_ref());
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.clone());
        listed.extend(page);
    }
    assert_eq!(listed.len(), names.len());
    assert_eq!(
        index.documents(place, "SOURCE0002", None, 3).await,
        Ok(Vec::new())
    );
}

async fn models_are_not_mixed(index: &dyn ChunkIndex, place: &IndexPlace) {
    let mut random = Random::new(5);
    let key = document("SOURCE0001", "a");
    let other = EmbeddingIdentity {
        model: "test/other@1".to_owned(),
        ..identity()
    };
    let chunks = random.chunks("a", 1, DIMENSIONS);
    index
        .put(place, &identity(), &key, chunks.clone())
        .await
        .expect("a put");
    let refused = index
        .put(place, &other, &document("SOURCE0001", "b"), chunks.clone())
        .await;
    let Err(IndexError::Identity { holds, wanted }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((*holds, *wanted), (identity(), other.clone()));
    index.remove_all(place).await.expect("a removal");
    index.put(place, &other, &key, chunks).await.expect("a put");
    assert_eq!(index.identity(place).await, Ok(Some(other)));
}

async fn odd_texts_come_back_as_they_were(index: &dyn ChunkIndex, place: &IndexPlace) {
    let mut random = Random::new(6);
    let mut chunks = random.chunks("odd", 6, DIMENSIONS);
    let texts = [
        "",
        "nul \0 and \u{1}\u{2}",
        "it's \"quoted\" \\ {braces} $1 %s",
        "line\nbreak\ttab",
        "日本語 😀 e\u{301}",
        "policy & (sick | leave) <-> !days:*",
    ];
    for (chunk, text) in chunks.iter_mut().zip(texts) {
        chunk.id = format!("odd \0'{text}");
        chunk.text = text.into();
        chunk.parent = Some(Arc::new(ParentChunk {
            id: text.to_owned(),
            text: format!("{text}{text}").into(),
        }));
    }
    let key = outcrop_engine::port::DocumentKey {
        data_source_id: "it's".to_owned(),
        location: DocumentLocation::Custom {
            id: "odd \0 \"id\"".to_owned(),
        },
    };
    index
        .put(place, &identity(), &key, chunks.clone())
        .await
        .expect("a put");
    let asked = SearchBy::Vector(chunks[1].vector.clone());
    let mut hits = find(index, place, asked, ALL).await;
    assert_eq!(hits.first().map(|hit| &hit.chunk_id), Some(&chunks[1].id));
    hits.sort_by(|one, other| one.chunk_id.cmp(&other.chunk_id));
    chunks.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(hits.len(), chunks.len());
    for (hit, chunk) in hits.iter().zip(&chunks) {
        assert_eq!(hit.document, key);
        assert_eq!(hit.chunk_id, chunk.id);
        assert_eq!(hit.text, chunk.text);
        assert_eq!(hit.parent, chunk.parent);
        assert_eq!(hit.metadata, chunk.metadata);
    }
    assert_eq!(
        index.documents(place, "it's", None, 5).await,
        Ok(vec![key.location.clone()])
    );
    // Words of a question are words, whatever else they look like.
    for text in [
        "'",
        "a' | 'b",
        "!!",
        "\\",
        "policy:*",
        "\0",
        "(",
        "SICK & nothing",
    ] {
        let found = find(index, place, SearchBy::Text(text.to_owned()), ALL).await;
        let expected = usize::from(text.contains("policy") || text.contains("SICK"));
        assert_eq!(found.len(), expected, "{text:?}");
    }
}

async fn knowledge_bases_are_apart(index: &dyn ChunkIndex, places: &[IndexPlace; 2]) {
    let key = document("SOURCE0001", "same");
    for (seed, (place, name)) in (7..).zip(places.iter().zip(["one", "two"])) {
        let chunks = Random::new(seed).chunks(name, 2, DIMENSIONS);
        index
            .put(place, &identity(), &key, chunks)
            .await
            .expect("a put");
    }
    assert_eq!(ids(index, &places[0]).await, ["one-000", "one-001"]);
    assert_eq!(ids(index, &places[1]).await, ["two-000", "two-001"]);
    let words = crate::random::Random::new(9).text();
    for hit in find(index, &places[0], SearchBy::Text(words), ALL).await {
        assert!(hit.chunk_id.starts_with("one"));
    }
    index.remove_all(&places[0]).await.expect("a removal");
    assert!(ids(index, &places[0]).await.is_empty());
    assert_eq!(ids(index, &places[1]).await, ["two-000", "two-001"]);
}

async fn rare_words_rank_first(index: &dyn ChunkIndex, place: &IndexPlace) {
    let texts = [
        "the leave policy of the company is the same for all",
        "the travel policy",
        "the sabbatical is a long leave, and the sabbatical is paid",
        "the office is closed",
    ];
    let mut random = Random::new(10);
    let mut chunks = random.chunks("rank", texts.len(), DIMENSIONS);
    for (chunk, text) in chunks.iter_mut().zip(texts) {
        chunk.text = text.into();
    }
    index
        .put(place, &identity(), &document("SOURCE0001", "rank"), chunks)
        .await
        .expect("a put");
    let asked = SearchBy::Text("The SABBATICAL policy?".to_owned());
    let hits = find(index, place, asked, ALL).await;
    assert_eq!(hits.len(), 4);
    assert_eq!(hits[0].chunk_id, "rank-002");
    assert!(hits.iter().all(|hit| hit.score > 0.0));
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    // Of two with the same words the shorter says more of it.
    let hits = find(index, place, SearchBy::Text("policy".to_owned()), ALL).await;
    let ids: Vec<&str> = hits.iter().map(|hit| hit.chunk_id.as_str()).collect();
    assert_eq!(ids, ["rank-001", "rank-000"]);
}

async fn filters_leave_what_the_oracle_leaves(index: &dyn ChunkIndex, place: &IndexPlace) {
    let oracle = Oracle::default();
    let mut random = Random::new(11);
    for number in 0..12 {
        let name = format!("doc-{number:02}");
        let chunks: Vec<IndexedChunk> = random.chunks(&name, 10, DIMENSIONS);
        let key = document("SOURCE0001", &name);
        index
            .put(place, &identity(), &key, chunks.clone())
            .await
            .expect("a put");
        oracle
            .put(place, &identity(), &key, chunks)
            .await
            .expect("a put");
    }
    let mut left = 0;
    for round in 0..200 {
        let filter = random.filter(2);
        let by = if round % 4 == 0 {
            SearchBy::Text(random.text())
        } else {
            SearchBy::Vector(random.vector(DIMENSIONS))
        };
        let limit = if round % 2 == 0 { ALL } else { 5 };
        let search = Search {
            by: by.clone(),
            filter: Some(filter.clone()),
            limit,
        };
        let hits = index.search(place, search.clone()).await.expect("a search");
        let expected = oracle.search(place, search).await.expect("a search");
        let ids = |hits: &[Hit]| -> BTreeSet<String> {
            hits.iter().map(|hit| hit.chunk_id.clone()).collect()
        };
        assert_eq!(hits.len(), expected.len(), "{filter:?}");
        left += hits.len();
        if matches!(by, SearchBy::Text(_)) && limit != ALL {
            continue;
        }
        assert_eq!(ids(&hits), ids(&expected), "{filter:?}");
        if matches!(by, SearchBy::Vector(_)) {
            for (hit, same) in hits.iter().zip(&expected) {
                assert!(
                    (hit.score - same.score).abs() < SCORE_ERROR,
                    "{hit:?} {same:?}"
                );
                assert_eq!(hit.metadata.len(), same.metadata.len());
            }
        }
    }
    assert!(left > 500, "the filters leave hardly anything: {left}");
}
