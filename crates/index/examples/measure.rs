//! What the index costs, on vectors that another program made: `measure FOLDER`.
//!
//! The folder holds little-endian numbers: `vectors.f32` and `questions.f32` (rows of `--dimensions`),
//! `share.f32` (one number from 0 to 1 for each vector, its attribute `share`) and, for each filter
//! `share < S` and for `S` = 1, `nearest-S.u32`: the numbers of each question's ten nearest vectors.
//! Through the port that the product uses, on texts of made-up words besides. Prints a JSON object a line.
//!
//! Not here: making the vectors and comparing with others (`outcrop_e2e.index_speed`).

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times of a measurement are far below 2^52"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, IndexPlace, IndexedChunk, Search, SearchBy,
};
use outcrop_index::{EmbeddedIndex, EmbeddedOptions};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::MetadataValue;
use serde_json::json;

const DIMENSIONS: usize = 384;
const CHUNKS_PER_DOCUMENT: usize = 20;
const WORDS_PER_CHUNK: usize = 150;
const VOCABULARY: usize = 60_000;
const RESULTS: usize = 10;
const SHARES: [f64; 7] = [1.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9];

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: measure FOLDER")?
        .into();
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    threads.block_on(measure(&folder))
}

async fn measure(folder: &Path) -> Result<(), Error> {
    let questions = floats(&folder.join("questions.f32"))?;
    let questions: Vec<&[f32]> = questions.chunks_exact(DIMENSIONS).collect();
    let place = IndexPlace {
        account_id: "111111111111".to_owned(),
        region: "us-west-2".to_owned(),
        knowledge_base_id: "MEASURED00".to_owned(),
        storage: None,
    };
    let at = folder.join("outcrop");
    let before = memory_mib()?;
    let index = EmbeddedIndex::new(EmbeddedOptions::new(&at));
    if !at.exists() {
        let (inserted, settled) = fill(folder, &index, &place).await?;
        println!(
            "{}",
            json!({
                "what": "build", "insert_s": inserted.as_secs_f64(), "build_s": settled.as_secs_f64(),
                "memory_mib": memory_mib()? - before, "disk_mib": size_mib(&at)?,
            })
        );
    }
    index.close().await;
    drop(index);

    // Searched as after a restart: nothing is left in memory of the building.
    let before = memory_mib()?;
    let index = EmbeddedIndex::new(EmbeddedOptions::new(&at));
    let started = Instant::now();
    by_vector(&index, &place, &questions[..1], 1.0).await?;
    println!(
        "{}",
        json!({"what": "open", "ms": started.elapsed().as_secs_f64() * 1e3})
    );
    for share in SHARES {
        let nearest = numbers(&folder.join(format!("nearest-{share}.u32")))?;
        let (times, found) = by_vector(&index, &place, &questions, share).await?;
        let right: usize = found
            .iter()
            .zip(nearest.chunks_exact(RESULTS))
            .map(|(found, nearest)| found.iter().filter(|one| nearest.contains(one)).count())
            .sum();
        println!(
            "{}",
            json!({
                "what": "vectors", "share": share, "p50_ms": percentile(&times, 50), "p99_ms": percentile(&times, 99),
                "recall": right as f64 / (questions.len() * RESULTS) as f64,
            })
        );
    }
    let mut random = Random(9);
    let vocabulary = Vocabulary::new();
    let mut times = Vec::new();
    for _ in 0..questions.len() {
        let words = 8 + (random.next() % 5) as usize;
        let text = vocabulary.text(&mut random, words);
        let started = Instant::now();
        search(&index, &place, SearchBy::Text(text), 1.0).await?;
        times.push(started.elapsed());
    }
    println!(
        "{}",
        json!({
            "what": "words", "p50_ms": percentile(&times, 50), "p99_ms": percentile(&times, 99),
            "memory_mib": memory_mib()? - before,
        })
    );
    Ok(())
}

/// Puts all vectors in, and waits until the graph over them is built: how long the first took, and both.
async fn fill(
    folder: &Path,
    index: &EmbeddedIndex,
    place: &IndexPlace,
) -> Result<(Duration, Duration), Error> {
    let vectors = floats(&folder.join("vectors.f32"))?;
    let shares = floats(&folder.join("share.f32"))?;
    let identity = EmbeddingIdentity {
        model: "measured".to_owned(),
        dimensions: u32::try_from(DIMENSIONS)?,
    };
    let vocabulary = Vocabulary::new();
    let mut random = Random(6);
    let rows: Vec<_> = vectors.chunks_exact(DIMENSIONS).zip(&shares).collect();
    let (started, mut spent) = (Instant::now(), Duration::ZERO);
    let mut number = 0_usize;
    for (document, rows) in rows.chunks(CHUNKS_PER_DOCUMENT).enumerate() {
        let mut chunks = Vec::with_capacity(rows.len());
        for (vector, share) in rows {
            let metadata = BTreeMap::from([
                (
                    "share".to_owned(),
                    MetadataValue::Number(f64::from(**share)),
                ),
                (
                    "x-amz-bedrock-kb-source-uri".to_owned(),
                    MetadataValue::String(format!("s3://bucket/{document}")),
                ),
            ]);
            chunks.push(IndexedChunk {
                id: number.to_string(),
                text: vocabulary.text(&mut random, WORDS_PER_CHUNK).into(),
                vector: vector.to_vec(),
                parent: None,
                metadata: Arc::new(metadata),
            });
            number += 1;
        }
        let key = DocumentKey {
            data_source_id: "MEASURED00".to_owned(),
            location: DocumentLocation::Custom {
                id: document.to_string(),
            },
        };
        let put = Instant::now();
        index.put(place, &identity, &key, chunks).await?;
        spent += put.elapsed();
    }
    index.settled(place).await?;
    Ok((spent, started.elapsed()))
}

async fn by_vector(
    index: &EmbeddedIndex,
    place: &IndexPlace,
    questions: &[&[f32]],
    share: f64,
) -> Result<(Vec<Duration>, Vec<Vec<u32>>), Error> {
    let (mut times, mut found) = (Vec::new(), Vec::new());
    for question in questions {
        let by = SearchBy::Vector(question.to_vec());
        let started = Instant::now();
        found.push(search(index, place, by, share).await?);
        times.push(started.elapsed());
    }
    Ok((times, found))
}

async fn search(
    index: &EmbeddedIndex,
    place: &IndexPlace,
    by: SearchBy,
    share: f64,
) -> Result<Vec<u32>, Error> {
    let filter = (share < 1.0).then(|| Filter::Attribute {
        key: "share".to_owned(),
        condition: Condition::LessThan(share),
    });
    let limit = RESULTS;
    let hits = index.search(place, Search { by, filter, limit }).await?;
    Ok(hits
        .iter()
        .map(|hit| hit.chunk_id.parse())
        .collect::<Result<_, _>>()?)
}

/// Made-up words, as unevenly frequent as a language's.
struct Vocabulary {
    cumulated: Vec<f64>,
}

impl Vocabulary {
    fn new() -> Self {
        let mut sum = 0.0;
        let cumulated = (0..VOCABULARY)
            .map(|rank| {
                sum += 1.0 / (rank as f64 + 2.7).powf(1.07);
                sum
            })
            .collect();
        Self { cumulated }
    }

    fn text(&self, random: &mut Random, words: usize) -> String {
        let all = self.cumulated.last().copied().unwrap_or_default();
        let words: Vec<String> = (0..words)
            .map(|_| {
                let at = random.share() * all;
                word(self.cumulated.partition_point(|sum| *sum < at))
            })
            .collect();
        words.join(" ")
    }
}

/// Syllables, one for each digit of a number to the base of 80.
fn word(rank: usize) -> String {
    let (mut word, mut rest) = (String::new(), rank + 1);
    while rest > 0 {
        word.push(char::from(b"bcdfghklmnprstvz"[rest % 16]));
        word.push(char::from(b"aeiou"[(rest / 16) % 5]));
        rest /= 80;
    }
    word
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn floats(path: &Path) -> Result<Vec<f32>, Error> {
    Ok(words(path)?.into_iter().map(f32::from_le_bytes).collect())
}

fn numbers(path: &Path) -> Result<Vec<u32>, Error> {
    Ok(words(path)?.into_iter().map(u32::from_le_bytes).collect())
}

fn words(path: &Path) -> Result<Vec<[u8; 4]>, Error> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.to_vec())
}

fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// Memory that this process has resident, mapped files included.
fn memory_mib() -> Result<i64, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("VmRSS")?;
    let kib: i64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}

fn size_mib(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes >> 20)
}
