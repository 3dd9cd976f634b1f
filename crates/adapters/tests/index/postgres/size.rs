//! How well and how fast neighbours are found among many rows.

use std::time::Instant;

use outcrop_engine::port::{EmbeddingIdentity, IndexedChunk};

use super::*;

/// Vectors in clusters, as those of texts are.
struct Clusters {
    random: Random,
    centres: Vec<Vec<f32>>,
}

impl Clusters {
    fn new(count: usize, dimensions: usize) -> Self {
        let mut random = Random::new(12);
        let centres = (0..count).map(|_| random.vector(dimensions)).collect();
        Self { random, centres }
    }

    fn vector(&mut self) -> Vec<f32> {
        let centre = &self.centres[self.random.below(self.centres.len())];
        let noise = self.random.vector(centre.len());
        let mixed: Vec<f32> = centre
            .iter()
            .zip(&noise)
            .map(|(one, other)| one + 0.7 * other)
            .collect();
        let length = mixed.iter().map(|value| value * value).sum::<f32>().sqrt();
        mixed.iter().map(|value| value / length).collect()
    }

    /// A document, of whose chunks a filter leaves each tenth and another all but each twentieth.
    fn document(&mut self, number: usize, count: u16) -> Vec<IndexedChunk> {
        let name = format!("d{number:03}");
        let mut chunks = self.random.chunks(&name, count.into(), 1);
        for (place, chunk) in (0..count).zip(&mut chunks) {
            chunk.vector = self.vector();
            let tenth = MetadataValue::Number(f64::from(place % 10));
            let common = MetadataValue::Boolean(place % 20 != 0);
            let pairs = [("tenth".to_owned(), tenth), ("common".to_owned(), common)];
            chunk.metadata = Arc::new(pairs.into());
        }
        chunks
    }
}

/// The ids of the ten nearest, found by comparing all.
fn nearest<'a>(all: &'a [IndexedChunk], filter: Option<&Filter>, asked: &[f32]) -> Vec<&'a str> {
    let allowed = all
        .iter()
        .filter(|chunk| filter.is_none_or(|filter| filter.matches(&chunk.metadata)));
    let mut exact: Vec<(f32, &str)> = allowed
        .map(|chunk| {
            let products = chunk
                .vector
                .iter()
                .zip(asked)
                .map(|(one, other)| one * other);
            (products.sum(), chunk.id.as_str())
        })
        .collect();
    exact.sort_by(|one, other| other.0.total_cmp(&one.0));
    exact.into_iter().take(10).map(|(_, id)| id).collect()
}

/// How well and how fast the index of neighbours finds: `cargo test --test index -- --ignored`, alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; prints what it measures"]
async fn neighbours_are_found_at_size() {
    const DOCUMENTS: usize = 24;
    const CHUNKS: u16 = 500;
    const WIDE: u16 = 384;
    const QUESTIONS: usize = 50;
    let Some(database) = database().await else {
        return;
    };
    let index = open(&database.url);
    let place = place("MEASURED01", None);
    let wide = EmbeddingIdentity {
        model: "test/wide@1".to_owned(),
        dimensions: WIDE.into(),
    };
    let mut clusters = Clusters::new(100, WIDE.into());
    let begun = Instant::now();
    let mut all = Vec::new();
    for number in 0..DOCUMENTS {
        let chunks = clusters.document(number, CHUNKS);
        all.extend(chunks.clone());
        let key = document("S", &format!("d{number}"));
        index.put(&place, &wide, &key, chunks).await.expect("a put");
    }
    println!("{} rows in {:?}", all.len(), begun.elapsed());
    let equals = |key: &str, value| Filter::Attribute {
        key: key.to_owned(),
        condition: Condition::Equals(value),
    };
    for (name, filter) in [
        ("all", None),
        ("95 %", Some(equals("common", MetadataValue::Boolean(true)))),
        ("10 %", Some(equals("tenth", MetadataValue::Number(3.0)))),
    ] {
        let (mut found, mut times) = (0, Vec::new());
        for _ in 0..QUESTIONS {
            let asked = clusters.vector();
            let near = nearest(&all, filter.as_ref(), &asked);
            let search = Search {
                by: SearchBy::Vector(asked),
                filter: filter.clone(),
                limit: 10,
            };
            let begun = Instant::now();
            let hits = index.search(&place, search).await.expect("a search");
            times.push(begun.elapsed());
            let right = |hit: &&Hit| near.contains(&hit.chunk_id.as_str());
            found += hits.iter().filter(right).count();
        }
        times.sort();
        let of = QUESTIONS * 10;
        println!(
            "{name}: {found} of {of}, p50 {:?}, max {:?}",
            times[25], times[49]
        );
        assert!(found * 100 >= of * 98, "{name}: {found} of {of}");
    }
}
