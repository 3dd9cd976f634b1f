//! The index in process: the suite with and without a graph, and what a crash leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use outcrop_engine::port::{ChunkIndex, IndexError, IndexPlace, IndexedChunk, Search, SearchBy};
use outcrop_index::{EmbeddedIndex, EmbeddedOptions};
use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::MetadataValue;

use crate::oracle::Oracle;
use crate::random::{Random, document};
use crate::suite::{self, DIMENSIONS, find, identity, place};

/// So few chunks make a graph here that the tests have some.
const GRAPH_FROM: usize = 40;
/// Tells the test that is run as a process of its own where to write.
const FOLDER: &str = "OUTCROP_TEST_INDEX_FOLDER";
/// Documents that the process writes over and over, and chunks of each.
const DOCUMENTS: usize = 12;
const CHUNKS: usize = 7;

fn open(folder: &Path) -> EmbeddedIndex {
    open_with_graph_from(folder, GRAPH_FROM)
}

fn open_with_graph_from(folder: &Path, graph_from: usize) -> EmbeddedIndex {
    EmbeddedIndex::new(EmbeddedOptions {
        graph_from,
        ..EmbeddedOptions::new(folder)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = EmbeddedIndex::new(EmbeddedOptions::new(folder.path()));
    suite::check(&index, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_graph_it_passes_the_suite_and_opens_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    suite::check(&index, None).await;
    let place = place("FILTERED01", None);
    let asked = || SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
    let before = find(&index, &place, asked(), 500).await;
    let text = || SearchBy::Text("leave policy".to_owned());
    let words = find(&index, &place, text(), 500).await;
    assert!(!before.is_empty() && !words.is_empty());
    index.close().await;
    drop(index);
    let index = open(folder.path());
    assert_eq!(find(&index, &place, asked(), 500).await, before);
    assert_eq!(find(&index, &place, text(), 500).await, words);
}

/// Whether the knowledge base has a graph.
fn has_graph(folder: &Path, place: &IndexPlace) -> bool {
    let folder = folder.join(format!(
        "{}_{}_{}",
        place.account_id, place.region, place.knowledge_base_id
    ));
    let entries = std::fs::read_dir(&folder).expect("its folder");
    let mut names = entries.map(|entry| entry.expect("an entry").file_name());
    names.any(|name| name.to_string_lossy().ends_with(".graph") && name != "draft.graph")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_graph_and_what_came_after_it_find_nearly_all_that_is_nearest() {
    /// So many that a graph of them is searched; of fewer, each one is compared.
    const IN_GRAPH: usize = 12_000;
    const AFTER_IT: usize = 500;
    const AT_ONCE: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let index = open_with_graph_from(folder.path(), IN_GRAPH);
    let oracle = Oracle::default();
    let place = place("RECALL0001", None);
    let mut random = Random::new(21);
    for number in 0..(IN_GRAPH + AFTER_IT) / AT_ONCE {
        let name = format!("doc-{number:03}");
        let chunks = random.chunks(&name, AT_ONCE, 32);
        let key = document("SOURCE0001", &name);
        let identity = outcrop_engine::port::EmbeddingIdentity {
            dimensions: 32,
            ..identity()
        };
        for index in [&index as &dyn ChunkIndex, &oracle] {
            index
                .put(&place, &identity, &key, chunks.clone())
                .await
                .expect("a put");
        }
    }
    index
        .settled(&place)
        .await
        .expect("no graph is being built");
    assert!(has_graph(folder.path(), &place));
    let year = |value| Filter::Attribute {
        key: "x-amz-bedrock-kb-document-page-number".to_owned(),
        condition: Condition::Equals(MetadataValue::Number(value)),
    };
    for filter in [None, Some(year(1.0)), Some(year(9.0))] {
        let (mut hits, mut all) = (0, 0);
        for _ in 0..50 {
            let search = Search {
                by: SearchBy::Vector(random.vector(32)),
                filter: filter.clone(),
                limit: 10,
            };
            let found = index.search(&place, search.clone()).await.expect("hits");
            let exact = oracle.search(&place, search).await.expect("hits");
            let exact: BTreeSet<_> = exact.into_iter().map(|hit| hit.chunk_id).collect();
            assert_eq!(found.len(), exact.len());
            all += exact.len();
            hits += found
                .iter()
                .filter(|hit| exact.contains(&hit.chunk_id))
                .count();
        }
        assert!(hits * 100 >= all * 98, "{hits} of {all} with {filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (open(folder.path()), open(folder.path()));
    let place = place("OWNED00001", None);
    let chunks = || Random::new(1).chunks("a", 1, DIMENSIONS);
    let key = document("SOURCE0001", "a");
    one.put(&place, &identity(), &key, chunks())
        .await
        .expect("a put");
    let refused = other.put(&place, &identity(), &key, chunks()).await;
    assert!(
        matches!(&refused, Err(IndexError::Unavailable(why)) if why.contains("in use by another process")),
        "{refused:?}"
    );
    drop(one);
    other
        .put(&place, &identity(), &key, chunks())
        .await
        .expect("a put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_another_length_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    let place = place("LENGTH0001", None);
    let key = document("SOURCE0001", "a");
    let refused = index
        .put(&place, &identity(), &key, Random::new(1).chunks("a", 1, 3))
        .await;
    assert!(
        matches!(refused, Err(IndexError::Rejected(_))),
        "{refused:?}"
    );
    index
        .put(
            &place,
            &identity(),
            &key,
            Random::new(1).chunks("a", 1, DIMENSIONS),
        )
        .await
        .expect("a put");
    let search = Search {
        by: SearchBy::Vector(vec![1.0; 3]),
        filter: None,
        limit: 5,
    };
    let refused = index.search(&place, search).await;
    assert!(
        matches!(refused, Err(IndexError::Rejected(_))),
        "{refused:?}"
    );
}

/// Chunks that all tell which version of their document they are of.
fn version(name: &str, version: usize) -> Vec<IndexedChunk> {
    let mut chunks = Random::new(version as u64).chunks(name, CHUNKS, DIMENSIONS);
    for chunk in &mut chunks {
        chunk.text = format!("version {version} of {name}").into();
    }
    chunks
}

/// The version of each document, after checking that it is there whole by either search.
async fn versions(index: &dyn ChunkIndex, place: &IndexPlace) -> BTreeMap<String, usize> {
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    let by = SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
    for hit in find(index, place, by, 500).await {
        let uri = hit.document.location.as_str().to_owned();
        *counted.entry((uri, hit.text.to_string())).or_default() += 1;
    }
    let mut found = BTreeMap::new();
    for ((uri, text), count) in counted {
        assert_eq!(count, CHUNKS, "{uri}: {text}");
        let version = text
            .split(' ')
            .nth(1)
            .and_then(|number| number.parse().ok());
        let before = found.insert(uri, version.expect("a version"));
        assert_eq!(before, None, "two versions at once");
    }
    let words = find(index, place, SearchBy::Text("version".to_owned()), 500).await;
    assert_eq!(words.len(), found.len() * CHUNKS);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_see_documents_whole_while_they_are_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = Arc::new(open(folder.path()));
    let place = place("WHOLE00001", None);
    let writers: Vec<_> = ["one", "two"]
        .map(|name| {
            let (index, place) = (Arc::clone(&index), place.clone());
            tokio::spawn(async move {
                let key = document("SOURCE0001", name);
                for number in 1..=40 {
                    index
                        .put(&place, &identity(), &key, version(name, number))
                        .await
                        .expect("a put");
                }
            })
        })
        .into();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        versions_by_vector(&*index, &place).await;
    }
    let left = versions(&*index, &place).await;
    assert_eq!(left.values().copied().collect::<Vec<_>>(), [40, 40]);
}

async fn versions_by_vector(index: &dyn ChunkIndex, place: &IndexPlace) {
    for by in [
        SearchBy::Vector(Random::new(1).vector(DIMENSIONS)),
        SearchBy::Text("version".to_owned()),
    ] {
        let mut texts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for hit in find(index, place, by, 500).await {
            let uri = hit.document.location.as_str().to_owned();
            *texts
                .entry(uri)
                .or_default()
                .entry(hit.text.to_string())
                .or_default() += 1;
        }
        for (uri, texts) in texts {
            let counts: Vec<usize> = texts.values().copied().collect();
            assert_eq!(counts, [CHUNKS], "{uri}: {texts:?}");
        }
    }
}

/// Not a test of its own: the process that [`a_kill_leaves_what_was_answered`] kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test, as a process of its own"]
async fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let index = open(Path::new(&folder));
    let place = place("KILLED0001", None);
    let start = versions(&index, &place)
        .await
        .into_values()
        .max()
        .unwrap_or(0);
    for number in start + 1..start + 100_000 {
        let name = format!("doc-{}", number % DOCUMENTS);
        let key = document("SOURCE0001", &name);
        index
            .put(&place, &identity(), &key, version(&name, number))
            .await
            .expect("a put");
        println!("\nanswered {number}");
        if number % 5 == 0 {
            find(&index, &place, SearchBy::Text("version".to_owned()), 10).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_what_was_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place("KILLED0001", None);
    let mut random = Random::new(31);
    let mut answered = 0;
    for _ in 0..6 {
        let until = answered + 10 + random.below(60);
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--ignored",
                "--exact",
                "embedded::writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let output = child.stdout.take().expect("its output");
        for line in BufReader::new(output).lines() {
            let line = line.expect("a line");
            let Some(number) = line.strip_prefix("answered ") else {
                continue;
            };
            answered = number.parse().expect("a number");
            if answered == until {
                child.kill().expect("a kill");
            }
        }
        child.wait().expect("its end");
        assert!(answered >= until, "it ended by itself after {answered}");
        let index = open(folder.path());
        let versions = versions(&index, &place).await;
        for back in 0..DOCUMENTS.min(answered) {
            let number = answered - back;
            let uri = format!("s3://bucket/doc-{}", number % DOCUMENTS);
            let found = versions.get(&uri).copied();
            // One more write may have been made and not answered.
            let next = number + DOCUMENTS;
            assert!(
                found == Some(number) || (back == DOCUMENTS - 1 && found == Some(next)),
                "{uri}: {found:?}, not {number}"
            );
        }
    }
}
