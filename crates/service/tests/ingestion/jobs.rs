//! Ingestion jobs: what they index, what they count, how they end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use outcrop_engine::action::Strictness;
use outcrop_engine::port::{IndexError, ModelError};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::doubles::set;
use crate::world::{World, counts, text};

#[tokio::test(start_paused = true)]
async fn a_bucket_is_indexed() {
    let world = World::new().await;
    world.buckets.put("hr/leave.txt", "Leave is thirty days.");
    world.buckets.put(
        "hr/leave.txt.metadata.json",
        json!({"metadataAttributes": {
            "year": 2024,
            "topic": {"value": {"type": "STRING", "stringValue": "leave"}, "includeForEmbedding": true},
        }})
        .to_string(),
    );
    world.buckets.put("pay.md", "Pay comes on the first.");
    let source = world.s3("docs", json!({})).await;
    let job = world.begin(&source).await;
    assert_eq!(world.work().await, 1);
    let job = world.job(&source, &job).await;
    assert_eq!(job["status"], "COMPLETE");
    assert_eq!(
        counts(&job),
        json!({"Scanned": 2, "MetadataScanned": 1, "NewIndexed": 2})
    );
    assert!(job["textReadyAt"].is_string() && job.get("failureReasons").is_none());
    assert_eq!(set(world.index.texts(&world.base)), set(world.expected()));
    let chunks = world.index.chunks(&world.base);
    let leave = chunks
        .iter()
        .find(|chunk| chunk.text.starts_with("Leave"))
        .expect("it is indexed");
    let attribute = |name: &str| leave.metadata.get(name).cloned();
    let string = |text: &str| Some(MetadataValue::String(text.to_owned()));
    assert_eq!(attribute("year"), Some(MetadataValue::Number(2024.0)));
    assert_eq!(attribute("topic"), string("leave"));
    assert_eq!(
        attribute("x-amz-bedrock-kb-source-uri"),
        string("s3://docs/hr/leave.txt")
    );
    assert_eq!(
        attribute("x-amz-bedrock-kb-data-source-id"),
        string(&source)
    );
    let embedded = world.embedder.texts.lock().expect("whole").clone();
    assert!(embedded.contains(&"topic: leave\n\nLeave is thirty days.".to_owned()));
    let ids = set(chunks.iter().map(|chunk| chunk.id.clone()));
    assert!(ids.len() == 2 && ids.iter().all(|id| id.len() == 36));
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_indexed() {
    let world = World::new().await;
    let source = world.s3("docs", json!({})).await;
    let note = |year: u32| json!({"metadataAttributes": {"year": year}}).to_string();
    for name in ["a", "b", "c", "d", "e"] {
        world
            .buckets
            .put(&format!("{name}.txt"), format!("text of {name}"));
    }
    world.buckets.put("b.txt.metadata.json", note(1));
    let rounds = [
        (
            "all",
            json!({"Scanned": 5, "MetadataScanned": 1, "NewIndexed": 5}),
            5,
        ),
        ("nothing", json!({"Scanned": 5, "MetadataScanned": 1}), 0),
        (
            "content",
            json!({"Scanned": 5, "MetadataScanned": 1, "ModifiedIndexed": 1}),
            1,
        ),
        ("touched", json!({"Scanned": 5, "MetadataScanned": 1}), 0),
        (
            "metadata",
            json!({"Scanned": 5, "MetadataScanned": 1, "MetadataModified": 1}),
            1,
        ),
        (
            "metadata gone",
            json!({"Scanned": 5, "MetadataModified": 1}),
            1,
        ),
        (
            "gone and new",
            json!({"Scanned": 5, "Deleted": 1, "NewIndexed": 1}),
            1,
        ),
        (
            "both",
            json!({"Scanned": 5, "MetadataScanned": 1, "MetadataModified": 1, "ModifiedIndexed": 1}),
            1,
        ),
        ("empty", json!({"Deleted": 5}), 0),
    ];
    for (what, expected, puts) in rounds {
        match what {
            "content" => world.buckets.put("a.txt", "another text"),
            "touched" => world.buckets.put("c.txt", "text of c"),
            "metadata" => world.buckets.put("b.txt.metadata.json", note(2)),
            "metadata gone" => world.buckets.delete("b.txt.metadata.json"),
            "gone and new" => {
                world.buckets.delete("d.txt");
                world.buckets.put("f.txt", "text of f");
            }
            "both" => {
                world.buckets.put("e.txt", "other");
                world.buckets.put("e.txt.metadata.json", note(3));
            }
            "empty" => {
                for name in [
                    "a.txt",
                    "b.txt",
                    "c.txt",
                    "e.txt",
                    "e.txt.metadata.json",
                    "f.txt",
                ] {
                    world.buckets.delete(name);
                }
            }
            _ => {}
        }
        let before = world.index.puts.load(Ordering::SeqCst);
        let job = world.ingest(&source).await;
        assert_eq!(job["status"], "COMPLETE", "{what}: {job}");
        assert_eq!(counts(&job), expected, "{what}");
        assert_eq!(
            world.index.puts.load(Ordering::SeqCst) - before,
            puts,
            "{what}"
        );
        assert_eq!(
            set(world.index.texts(&world.base)),
            set(world.expected()),
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn documents_fail_by_themselves() {
    let world = World::new().await;
    let source = world.s3("docs", json!({})).await;
    world.buckets.put("good.txt", "good");
    world.buckets.put("a.zip", "zip");
    world.buckets.put("b.zip", "zip");
    world.buckets.put("bad.txt", "damaged");
    world.buckets.put("empty.txt", " ");
    world.buckets.put("rude.txt", "unspeakable");
    world
        .buckets
        .put("large.txt", vec![b'x'; 50 * 1024 * 1024 + 1]);
    world.buckets.put("odd.txt", "odd");
    world.buckets.put("odd.txt.metadata.json", "{");
    let reads = world.buckets.reads.load(Ordering::SeqCst);
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "COMPLETE");
    assert_eq!(
        counts(&job),
        json!({"Scanned": 8, "MetadataScanned": 1, "NewIndexed": 1, "Failed": 7})
    );
    // The large one was never read, nor was the one whose metadata is damaged.
    assert_eq!(world.buckets.reads.load(Ordering::SeqCst) - reads, 7);
    let reasons = text_of(&job["failureReasons"]);
    for expected in [
        "Encountered error: the file format is not supported. [Files: s3://docs/a.zip, s3://docs/b.zip].",
        "Encountered error: the file is damaged. [Files: s3://docs/bad.txt].",
        "Encountered error: no text was found in the file. [Files: s3://docs/empty.txt].",
        "Encountered error: the file is larger than 50 MB, the most a document may have. [Files: s3://docs/large.txt].",
    ] {
        assert!(
            reasons.iter().any(|reason| sorted(reason) == expected),
            "{expected}: {reasons:?}"
        );
    }
    assert_eq!(reasons.len(), 6);
    assert_eq!(world.index.texts(&world.base).len(), 1);
    // A document that was good and is bad now must not be found as it was.
    world.buckets.put("good.txt", "damaged too");
    let job = world.ingest(&source).await;
    assert_eq!(job["statistics"]["numberOfDocumentsFailed"], 8);
    assert_eq!(world.index.texts(&world.base).len(), 0);
    let listed = world
        .call::<op::ListKnowledgeBaseDocuments>(world.named(&source, json!({"maxResults": 2})))
        .await;
    let first = &listed["documentDetails"][0];
    assert_eq!(first["status"], "FAILED");
    assert_eq!(first["statusReason"], "the file format is not supported");
    assert_eq!(first["identifier"]["s3"]["uri"], "s3://docs/a.zip");
    assert!(listed["nextToken"].is_string());
}

fn text_of(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(text).collect()
}

/// Documents of one window end in any order.
fn sorted(reason: &str) -> String {
    let Some((start, files)) = reason.split_once("[Files: ") else {
        return reason.to_owned();
    };
    let mut files: Vec<&str> = files.trim_end_matches("].").split(", ").collect();
    files.sort_unstable();
    format!("{start}[Files: {}].", files.join(", "))
}

#[tokio::test(start_paused = true)]
async fn a_job_fails_where_nothing_can_be_done() {
    let mut world = World::new().await;
    let nowhere = json!({"type": "S3", "s3Configuration": {"bucketArn": "arn:aws:s3:::nowhere"}});
    let source = world.source("nowhere", nowhere, json!({})).await;
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "FAILED");
    assert_eq!(
        job["failureReasons"],
        json!(["the bucket nowhere does not exist: there is no such folder"])
    );
    world.buckets.put("a.txt", "a");
    let source = world.s3("docs", json!({})).await;
    *world.embedder.broken.lock().expect("whole") = Some(ModelError::Auth {
        detail: "no key".to_owned(),
    });
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "FAILED", "{job}");
    assert!(
        job["failureReasons"][0]
            .as_str()
            .expect("text")
            .contains("no key")
    );
    *world.embedder.broken.lock().expect("whole") = None;
    assert_eq!(world.ingest(&source).await["status"], "COMPLETE");
    // Another model than the one the vectors were made with.
    world.embedder.revision.store(1, Ordering::SeqCst);
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "FAILED");
    assert!(
        job["failureReasons"][0]
            .as_str()
            .expect("text")
            .contains("test/lengths@0")
    );
    world.base = world.new_base("other", "missing").await;
    let source = world.s3("docs", json!({})).await;
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "FAILED");
    assert!(
        job["failureReasons"][0]
            .as_str()
            .expect("text")
            .contains("the embedding model missing")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_out_for_a_while_costs_no_document() {
    let world = World::new().await;
    let source = world.s3("docs", json!({})).await;
    world.buckets.put("a.txt", "one");
    assert_eq!(world.ingest(&source).await["status"], "COMPLETE");
    world.buckets.put("a.txt", "two");
    *world.index.broken.lock().expect("whole") =
        Some(IndexError::Unavailable("no answer".to_owned()));
    let job = world.ingest(&source).await;
    assert_eq!(
        (&job["status"], counts(&job)),
        (&json!("COMPLETE"), json!({"Scanned": 1, "Failed": 1}))
    );
    assert_eq!(world.index.texts(&world.base)[0].1, "one");
    *world.index.broken.lock().expect("whole") = None;
    let job = world.ingest(&source).await;
    assert_eq!(counts(&job), json!({"Scanned": 1, "ModifiedIndexed": 1}));
    assert_eq!(world.index.texts(&world.base)[0].1, "two");
    // So many that whatever they need must be missing.
    for number in 0..100 {
        world.buckets.put(&format!("n{number}.txt"), "text");
    }
    *world.embedder.broken.lock().expect("whole") = Some(ModelError::Unreachable {
        detail: "no route".to_owned(),
    });
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "FAILED");
    let reasons = text_of(&job["failureReasons"]);
    assert!(
        reasons[0].starts_with("32 documents in a row"),
        "{reasons:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_job_at_a_time() {
    let world = World::new().await;
    let source = world.s3("docs", json!({})).await;
    let token = "a".repeat(33);
    let input = world.named(
        &source,
        json!({"clientToken": token, "description": "first"}),
    );
    let made = world.call::<op::StartIngestionJob>(input.clone()).await;
    assert_eq!(world.call::<op::StartIngestionJob>(input).await, made);
    let job = text(&made["ingestionJob"]["ingestionJobId"]);
    let second = world
        .refused::<op::StartIngestionJob>(world.named(&source, json!({})))
        .await;
    assert!(
        second.starts_with(&format!("Conflict: The ingestion job {job} is in progress")),
        "{second}"
    );
    let custom = world.custom("custom").await;
    let refused = world
        .refused::<op::StartIngestionJob>(world.named(&custom, json!({})))
        .await;
    assert!(
        refused.starts_with("Validation: The data source "),
        "{refused}"
    );
    world.work().await;
    let refused = world
        .refused::<op::StopIngestionJob>(world.named(&source, json!({"ingestionJobId": job})))
        .await;
    assert!(
        refused.ends_with("cannot be stopped, for its status is COMPLETE."),
        "{refused}"
    );
    let missing = world
        .refused::<op::GetIngestionJob>(
            world.named(&source, json!({"ingestionJobId": "NOTTHERE00"})),
        )
        .await;
    assert!(missing.starts_with("ResourceNotFound: "), "{missing}");
    let other = world.begin(&source).await;
    let ids = |listed: &Value| -> Vec<String> {
        let all = listed["ingestionJobSummaries"].as_array().expect("a list");
        all.iter().map(|job| text(&job["ingestionJobId"])).collect()
    };
    let list = |more: Value| world.call::<op::ListIngestionJobs>(world.named(&source, more));
    let filter = |status: &str| json!({"filters": [{"attribute": "STATUS", "operator": "EQ", "values": [status]}]});
    assert_eq!(
        ids(&list(filter("COMPLETE")).await),
        std::slice::from_ref(&job)
    );
    assert_eq!(
        ids(&list(filter("STARTING")).await),
        std::slice::from_ref(&other)
    );
    let by =
        |order: &str| json!({"sortBy": {"attribute": "STATUS", "order": order}, "maxResults": 1});
    let first = list(by("ASCENDING")).await;
    assert_eq!(ids(&first), std::slice::from_ref(&other));
    let mut next = by("ASCENDING");
    next["nextToken"] = first["nextToken"].clone();
    let last = list(next).await;
    assert_eq!(ids(&last), std::slice::from_ref(&job));
    assert!(last.get("nextToken").is_none());
    let mut wrong = by("DESCENDING");
    wrong["nextToken"] = first["nextToken"].clone();
    let refused = world
        .refused::<op::ListIngestionJobs>(world.named(&source, wrong))
        .await;
    assert!(
        refused.starts_with("Validation: The nextToken"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn aws_has_few_jobs_at_a_time() {
    let mut world = World::with(Strictness::Strict, 3).await;
    let first = world.s3("one", json!({})).await;
    let second = world.s3("two", json!({})).await;
    world.begin(&first).await;
    let refused = world
        .refused::<op::StartIngestionJob>(world.named(&second, json!({})))
        .await;
    assert!(
        refused.starts_with("Conflict: Another ingestion job"),
        "{refused}"
    );
    for number in 0..4 {
        world.base = world.new_base(&format!("kb{number}"), "model").await;
        let source = world.s3("docs", json!({})).await;
        world.begin(&source).await;
    }
    world.base = world.new_base("last", "model").await;
    let source = world.s3("docs", json!({})).await;
    let refused = world
        .refused::<op::StartIngestionJob>(world.named(&source, json!({})))
        .await;
    assert!(refused.starts_with("ServiceQuotaExceeded: "), "{refused}");
    assert_eq!(world.work().await, 5);
    world.begin(&source).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_stops_when_it_is_asked_to() {
    let mut world = World::new().await;
    let source = world.s3("docs", json!({})).await;
    for number in 0..20 {
        world
            .buckets
            .put(&format!("{number:02}.txt"), format!("text {number}"));
    }
    // Before it has begun.
    let job = world.begin(&source).await;
    let named = world.named(&source, json!({"ingestionJobId": job}));
    let stopping = world.call::<op::StopIngestionJob>(named.clone()).await;
    assert_eq!(stopping["ingestionJob"]["status"], "STOPPING");
    world.call::<op::StopIngestionJob>(named).await;
    world.work().await;
    assert_eq!(world.job(&source, &job).await["status"], "STOPPED");
    // While it waits for something that does not come.
    let job = world.begin(&source).await;
    world.fuse.set(9);
    let service = world.service.clone();
    let work = tokio::spawn(async move { service.ingest_due().await });
    world.fuse.blown.notified().await;
    let named = world.named(&source, json!({"ingestionJobId": job}));
    world.call::<op::StopIngestionJob>(named).await;
    work.await.expect("it ends").expect("the store answers");
    assert_eq!(world.job(&source, &job).await["status"], "STOPPED");
    world.fuse.clear();
    // What is left is done by the next.
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "COMPLETE");
    assert_eq!(set(world.index.texts(&world.base)), set(world.expected()));
    world.restart();
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(world.work().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_prefix_and_rows_of_a_table() {
    let world = World::new().await;
    let prefixed = json!({"type": "S3", "s3Configuration": {
        "bucketArn": "arn:aws:s3:::docs", "inclusionPrefixes": ["in/"]}});
    let source = world.source("in", prefixed, json!({})).await;
    world.buckets.put("out.txt", "out");
    world
        .buckets
        .put("in/rows.csv", "apple,red\nsky,blue\n,none");
    let about = json!({
        "metadataAttributes": {"year": 1},
        "documentStructureConfiguration": {
            "type": "RECORD_BASED_STRUCTURE_METADATA",
            "recordBasedStructureMetadata": {"contentFields": [{"fieldName": "name"}]},
        },
    });
    world
        .buckets
        .put("in/rows.csv.metadata.json", about.to_string());
    let job = world.ingest(&source).await;
    assert_eq!(
        counts(&job),
        json!({"Scanned": 1, "MetadataScanned": 1, "NewIndexed": 1})
    );
    let chunks = world.index.chunks(&world.base);
    let rows: Vec<_> = chunks
        .iter()
        .map(|chunk| {
            (
                &*chunk.text,
                chunk.metadata.get("color").cloned(),
                chunk.metadata.contains_key("year"),
            )
        })
        .collect();
    let color = |text: &str| Some(MetadataValue::String(text.to_owned()));
    assert_eq!(
        rows,
        [("apple", color("red"), true), ("sky", color("blue"), true)]
    );
}
