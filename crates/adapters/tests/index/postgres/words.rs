//! Searches by words: BM25 as it is defined, whatever words a question has and however many rows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::oracle::words;

/// Rows that nobody's knowledge base has written, as they are in a table of this program's own.
async fn table(database: &Database) -> String {
    with_extension(database).await;
    let table = format!("{}.texts", database.schema);
    let made = format!(
        "CREATE TABLE {table} (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(), embedding vector({DIMENSIONS}), chunks text,
            metadata jsonb DEFAULT '{{}}',
            tokens tsvector GENERATED ALWAYS AS (to_tsvector('simple', chunks)) STORED
         );
         CREATE INDEX ON {table} USING gin (tokens)"
    );
    let made = database.client.batch_execute(&made).await;
    made.expect("a table");
    table
}

async fn fill(database: &Database, statement: &str) {
    let filled = database.client.batch_execute(statement).await;
    filled.expect("rows");
}

async fn ask(index: &PostgresIndex, place: &IndexPlace, question: &str, limit: usize) -> Vec<Hit> {
    find(index, place, SearchBy::Text(question.to_owned()), limit).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_with_common_words_alone_may_be_the_best() {
    let Some(database) = database().await else {
        return;
    };
    let table = table(&database).await;
    // Thousands of rows have one of the common words, and few have the rare one, in long texts.
    let rows = format!(
        "INSERT INTO {table} (chunks, metadata)
            SELECT (ARRAY['alpha', 'beta'])[1 + n % 2] || ' filler',
                jsonb_build_object('kept', n % 4 < 2)
            FROM generate_series(1, 5000) AS n;
         INSERT INTO {table} (chunks)
            SELECT 'pto ' || string_agg('w' || n, ' ') FROM generate_series(1, 400) AS n,
                generate_series(1, 3) AS row GROUP BY row;
         INSERT INTO {table} (chunks, metadata) VALUES ('alpha beta alpha beta alpha beta',
            '{{\"kept\": true, \"x-amz-bedrock-kb-chunk-id\": \"best\"}}')"
    );
    fill(&database, &rows).await;
    let index = open(&database.url);
    let place = place("WORDS00001", Some(&rds(&table, None)));
    for question in ["pto alpha beta", "alpha beta", "alpha pto beta nothing"] {
        for limit in [1, 3, 10] {
            let hits = ask(&index, &place, question, limit).await;
            assert_eq!(hits.len(), limit, "{question}");
            assert_eq!(hits[0].chunk_id, "best", "{question}");
        }
    }
    let kept = Search {
        by: SearchBy::Text("pto alpha beta".to_owned()),
        filter: Some(Filter::Attribute {
            key: "kept".to_owned(),
            condition: Condition::Equals(MetadataValue::Boolean(true)),
        }),
        limit: 2_000,
    };
    let hits = index.search(&place, kept).await.expect("a search");
    assert_eq!((hits.len(), hits[0].chunk_id.as_str()), (2_000, "best"));
    let all = ask(&index, &place, "pto alpha beta", 6_000).await;
    assert_eq!(all.len(), 5_004);
}

/// BM25 of all texts, the best first. Lengths are in different words; on average they are `size`.
fn bm25(texts: &[String], size: f64, question: &str) -> Vec<f64> {
    let count = |count: usize| f64::from(u32::try_from(count).expect("a few"));
    let counted: Vec<BTreeMap<&str, usize>> = texts
        .iter()
        .map(|text| {
            let mut times = BTreeMap::new();
            for word in text.split(' ') {
                *times.entry(word).or_default() += 1;
            }
            times
        })
        .collect();
    let mut scores = vec![0.0; texts.len()];
    for word in words(question) {
        let having = counted.iter().filter(|times| times.contains_key(&*word));
        let having = count(having.count());
        let weight = (1.0 + (count(texts.len()) - having + 0.5) / (having + 0.5)).ln();
        for (score, times) in scores.iter_mut().zip(&counted) {
            let said = count(times.get(&*word).copied().unwrap_or_default());
            let length = 0.25 + 0.75 * count(times.len()) / size;
            *score += weight * said * 2.2 / (said + 1.2 * length);
        }
    }
    scores.sort_by(|one, other| other.total_cmp(one));
    scores
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_are_those_of_bm25() {
    let Some(database) = database().await else {
        return;
    };
    let table = table(&database).await;
    let mut random = Random::new(31);
    // Each word is in thousands of texts, in some many times: PostgreSQL counts to 255.
    let mut texts: Vec<String> = (0..5_000).map(|_| random.text()).collect();
    texts.extend(
        (1..250)
            .step_by(13)
            .map(|times| "sick ".repeat(times) + "leave"),
    );
    texts.extend((1..8).map(|times| "sabbatical ".repeat(times) + "leave"));
    let insert = format!("INSERT INTO {table} (chunks) SELECT unnest($1::text[])");
    let filled = database.client.execute(&insert, &[&texts]).await;
    filled.expect("rows");
    let sample = format!(
        "SELECT avg(length(tokens))::float8 FROM (SELECT tokens FROM {table} LIMIT 200) AS sample"
    );
    let sample = database.client.query_one(&sample, &[]).await;
    let size: f64 = sample.expect("a sample").get(0);
    let index = open(&database.url);
    let place = place("WORDS00002", Some(&rds(&table, None)));
    for question in [
        "sick",
        "sabbatical",
        "the sick leave",
        "sabbatical leave policy of the manager",
        "leave policy days manager travel expense the sick holiday report approve remote",
    ] {
        for limit in [1, 20, 400] {
            let hits = ask(&index, &place, question, limit).await;
            let expected = bm25(&texts, size, question);
            for (hit, score) in hits.iter().zip(&expected) {
                let found = hit.score;
                assert!((found - score).abs() < 1e-9, "{question}: {found} {score}");
            }
            let some = expected.iter().filter(|score| **score > 0.0).count();
            assert_eq!(hits.len(), some.min(limit), "{question}");
        }
    }
}

/// How long questions take: `cargo test --test index -- --ignored by_words`, alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute; prints what it measures"]
async fn common_words_are_found_fast_at_size() {
    const ROWS: usize = 20_000;
    let Some(database) = database().await else {
        return;
    };
    let table = table(&database).await;
    // Words as texts have them: the n-th most common is in the n-th part of what the first is in.
    let rows = format!(
        "INSERT INTO {table} (chunks) SELECT (
            SELECT string_agg('w' || floor(exp(random() * ln(20000)))::int, ' ')
            FROM generate_series(1, 150 + n % 100)
         ) FROM generate_series(1, {ROWS}) AS n"
    );
    fill(&database, &rows).await;
    fill(&database, &format!("VACUUM ANALYZE {table}")).await;
    let index = open(&database.url);
    let place = place("WORDS00003", Some(&rds(&table, None)));
    for question in [
        "w300 w1000",
        "w1 w2 w300 w1000",
        "w50 w60 w70",
        "w1",
        "w20 w21 w22",
        "w1 w2 w5 w10 w20 w50",
        "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16",
    ] {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..11 {
            let begun = Instant::now();
            let hits = ask(&index, &place, question, 10).await;
            times.push(begun.elapsed());
            assert_eq!(hits.len(), 10);
        }
        times.sort();
        println!("{question}: p50 {:?}, max {:?}", times[5], times[10]);
    }
}
