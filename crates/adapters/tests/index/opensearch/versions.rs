//! What searches show while a document is replaced, at each step and after a crash at each.

use outcrop_engine::port::{Hit, IndexPlace};

use super::*;

/// A document of OpenSearch with its id.
type Stored = (String, Value);

/// An index where a document has two versions, of three chunks and of two.
struct Replaced {
    server: OpenSearch,
    index: OpenSearchIndex,
    place: IndexPlace,
    first: Vec<Stored>,
    second: Vec<Stored>,
}

const INDEX: &str = "hr";

async fn put(index: &OpenSearchIndex, place: &IndexPlace, name: &str, count: usize) {
    let mut chunks = Random::new(1).chunks(name, count, DIMENSIONS);
    for chunk in &mut chunks {
        chunk.text = format!("policy of {name}").into();
    }
    let key = document("S", "a");
    let put = index.put(place, &identity(), &key, chunks).await;
    put.expect("a put");
}

impl Replaced {
    async fn new() -> Self {
        let server = OpenSearch::start(Behaviour::default()).await;
        let index = open(&server.url(), OpenSearchAuth::None);
        let place = place("VERSIONS01", Some(&serverless()));
        put(&index, &place, "first", 3).await;
        let first = server.documents(INDEX);
        put(&index, &place, "second", 2).await;
        let second = server.documents(INDEX);
        assert_eq!((first.len(), second.len()), (3, 2));
        Self {
            server,
            index,
            place,
            first,
            second,
        }
    }

    /// The index with these documents; what searches find, as the names of versions.
    async fn shown(&self, documents: &[&[Stored]]) -> Vec<Vec<String>> {
        self.server.set(INDEX, documents.concat());
        let by_vector = SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
        let mut shown = Vec::new();
        for by in [by_vector, SearchBy::Text("policy".to_owned())] {
            for limit in [1, 2, 10] {
                let hits = find(&self.index, &self.place, by.clone(), limit).await;
                let name = |hit: Hit| hit.chunk_id.split('-').next().map(str::to_owned);
                shown.push(hits.into_iter().filter_map(name).collect());
            }
        }
        shown
    }
}

/// What each of the searches shows where only a version of so many chunks is seen.
fn only(name: &str, chunks: usize) -> Vec<Vec<String>> {
    let limits = [1, 2, 10].map(|limit: usize| vec![name.to_owned(); limit.min(chunks)]);
    [limits.to_vec(), limits.to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_each_step_one_version_is_seen_whole() {
    let all = Replaced::new().await;
    let (first, second) = (&all.first[..], &all.second[..]);
    assert_eq!(all.shown(&[first]).await, only("first", 3));
    // Until all of the new ones are there, the old ones are seen; a search that has room for nothing
    // else may show a new one by itself.
    for part in [&second[..1], &second[1..]] {
        for (shown, old) in all.shown(&[first, part]).await.iter().zip(only("first", 3)) {
            assert!(*shown == old || *shown == ["second"], "{shown:?}");
        }
        assert_eq!(all.shown(&[first, part]).await[2], only("first", 3)[2]);
    }
    let both = all.shown(&[first, second]).await;
    assert_eq!(both[2], only("second", 2)[2]);
    assert_eq!(both[5], only("second", 2)[5]);
    for shown in &both {
        assert!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{shown:?}");
        assert!(!shown.is_empty());
    }
    for part in [&first[..2], &first[1..]] {
        assert_eq!(all.shown(&[part, second]).await[2], only("second", 2)[2]);
    }
    assert_eq!(all.shown(&[second]).await, only("second", 2));
    let listed = all.index.documents(&all.place, "S", None, 5).await;
    assert_eq!(listed.map(|all| all.len()), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_goes_with_the_next_write() {
    let all = Replaced::new().await;
    let (first, second) = (&all.first[..], &all.second[..]);
    let earlier: Vec<Stored> = first
        .iter()
        .cloned()
        .map(|(id, mut document)| {
            let members = document.as_object_mut().expect("an object");
            members.remove("outcrop_generation");
            (id, document)
        })
        .collect();
    for left in [
        &[first, &second[..1]][..],
        &[first, second],
        &[&first[..1], second],
        &[second],
        &[&earlier],
        &[&earlier, &second[..1]],
    ] {
        all.server.set(INDEX, left.concat());
        put(&all.index, &all.place, "third", 4).await;
        assert_eq!(all.server.count(INDEX), 4);
        let by = SearchBy::Text("policy".to_owned());
        let hits = find(&all.index, &all.place, by, 10).await;
        assert!(hits.iter().all(|hit| hit.chunk_id.starts_with("third")));
        // Later versions are greater, whatever they hold.
        let before = all.server.documents(INDEX);
        put(&all.index, &all.place, "fourth", 4).await;
        let after = all.server.documents(INDEX);
        let generation =
            |all: &[Stored]| all[0].1["outcrop_generation"].as_str().map(str::to_owned);
        assert!(generation(&before) < generation(&after));
    }
    // Chunks of before there were versions are seen until they are replaced, and not after.
    assert_eq!(all.shown(&[&earlier]).await, only("first", 3));
    assert_eq!(
        all.shown(&[&earlier, second]).await[2],
        only("second", 2)[2]
    );
    assert_eq!(
        all.shown(&[&earlier, &second[..1]]).await[2],
        only("first", 3)[2]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_see_documents_whole_while_they_are_replaced() {
    const VERSIONS: usize = 60;
    let behaviour = Behaviour {
        piecemeal: true,
        ..Behaviour::default()
    };
    let server = OpenSearch::start(behaviour).await;
    let index = Arc::new(open(&server.url(), OpenSearchAuth::None));
    let place = place("REPLACED01", Some(&serverless()));
    put(&index, &place, "v0", 3).await;
    let writer = {
        let (index, place) = (Arc::clone(&index), place.clone());
        tokio::spawn(async move {
            for version in 1..VERSIONS {
                put(&index, &place, &format!("v{version}"), 3 + version % 7).await;
            }
        })
    };
    let (mut searches, mut last, mut seen) = (0, 0, 0);
    while !writer.is_finished() {
        let by = match searches % 2 {
            0 => SearchBy::Vector(Random::new(1).vector(DIMENSIONS)),
            _ => SearchBy::Text("policy".to_owned()),
        };
        let hits = find(&*index, &place, by, 50).await;
        let version = |hit: &Hit| -> usize {
            let name = hit.chunk_id.split('-').next().expect("a name");
            name[1..].parse().expect("a version")
        };
        let first = version(hits.first().expect("never nothing"));
        assert!(hits.iter().all(|hit| version(hit) == first), "{hits:?}");
        assert_eq!(hits.len(), 3 + first % 7, "version {first}");
        assert!(first >= last, "{first} after {last}");
        seen += usize::from(first > last);
        last = first;
        searches += 1;
    }
    writer.await.expect("no panic");
    assert!(seen > 2, "{seen} of {VERSIONS} seen in {searches} searches");
}
