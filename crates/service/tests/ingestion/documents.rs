//! The documents API: single documents go in and out in the background.

use std::time::Duration;

use outcrop_engine::port::{IndexError, ModelError};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::doubles::set;
use crate::world::World;

fn inline(id: &str, text: &str) -> Value {
    json!({"content": {"dataSourceType": "CUSTOM", "custom": {
        "customDocumentIdentifier": {"id": id}, "sourceType": "IN_LINE",
        "inlineContent": {"type": "TEXT", "textContent": {"data": text}}}}})
}

fn identifier(id: &str) -> Value {
    json!({"dataSourceType": "CUSTOM", "custom": {"id": id}})
}

async fn ingest(world: &World, source: &str, documents: Value) -> Value {
    let input = world.named(source, json!({"documents": documents}));
    world.call::<op::IngestKnowledgeBaseDocuments>(input).await["documentDetails"].clone()
}

/// Status and reason of documents.
async fn states(world: &World, source: &str, ids: &[&str]) -> Vec<(String, Option<String>)> {
    let identifiers: Vec<Value> = ids.iter().map(|id| identifier(id)).collect();
    let input = world.named(source, json!({"documentIdentifiers": identifiers}));
    let got = world.call::<op::GetKnowledgeBaseDocuments>(input).await;
    let details = got["documentDetails"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    details
        .iter()
        .map(|detail| {
            (
                text(&detail["status"]).expect("a status"),
                text(&detail["statusReason"]),
            )
        })
        .collect()
}

fn is(status: &str) -> (String, Option<String>) {
    (status.to_owned(), None)
}

#[tokio::test(start_paused = true)]
async fn documents_go_in_and_out() {
    let world = World::new().await;
    let source = world.custom("custom").await;
    world.buckets.put("far.md", "from a bucket");
    world.buckets.put(
        "far.json",
        json!({"metadataAttributes": {"far": true}}).to_string(),
    );
    let mut first = inline("1", "one");
    first["metadata"] = json!({"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": [
        {"key": "year", "value": {"type": "NUMBER", "numberValue": 2024.0}}]});
    let bytes = json!({"content": {"dataSourceType": "CUSTOM", "custom": {
        "customDocumentIdentifier": {"id": "2"}, "sourceType": "IN_LINE",
        "inlineContent": {"type": "BYTE", "byteContent": {"mimeType": "text/plain", "data": "dHdv"}}}}});
    let far = json!({
        "content": {"dataSourceType": "CUSTOM", "custom": {
            "customDocumentIdentifier": {"id": "3"}, "sourceType": "S3_LOCATION",
            "s3Location": {"uri": "s3://docs/far.md"}}},
        "metadata": {"type": "S3_LOCATION", "s3Location": {"uri": "s3://docs/far.json"}}});
    let details = ingest(
        &world,
        &source,
        json!([first, bytes, far, inline("4", "damaged")]),
    )
    .await;
    assert!(
        details
            .as_array()
            .expect("a list")
            .iter()
            .all(|detail| detail["status"] == "STARTING")
    );
    assert_eq!(details[0]["identifier"], identifier("1"));
    assert_eq!(world.work().await, 4);
    assert_eq!(
        states(&world, &source, &["1", "2", "3", "4", "5"]).await,
        [
            is("INDEXED"),
            is("INDEXED"),
            is("INDEXED"),
            ("FAILED".to_owned(), Some("the file is damaged".to_owned())),
            is("NOT_FOUND"),
        ]
    );
    let text = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    assert_eq!(
        set(world.index.texts(&world.base)),
        set([
            text("1", "one"),
            text("2", "two"),
            text("3", "from a bucket")
        ])
    );
    let chunks = world.index.chunks(&world.base);
    assert_eq!(
        chunks[0].metadata.get("year"),
        Some(&MetadataValue::Number(2024.0))
    );
    assert_eq!(
        chunks[0].metadata.get("x-amz-bedrock-kb-source-uri"),
        Some(&MetadataValue::String("1".to_owned()))
    );
    assert_eq!(
        chunks[2].metadata.get("far"),
        Some(&MetadataValue::Boolean(true))
    );
}

#[tokio::test(start_paused = true)]
async fn documents_are_replaced_and_taken_out() {
    let world = World::new().await;
    let source = world.custom("custom").await;
    let text = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    let first = json!([inline("1", "one"), inline("2", "two"), inline("3", "three")]);
    ingest(&world, &source, first).await;
    world.work().await;
    let second = json!([
        inline("1", "uno"),
        inline("2", "damaged"),
        inline("4", "damaged")
    ]);
    ingest(&world, &source, second).await;
    world.work().await;
    // A bad one takes the good one's place.
    assert_eq!(
        set(world.index.texts(&world.base)),
        set([text("1", "uno"), text("3", "three")])
    );
    let delete = world.named(
        &source,
        json!({"documentIdentifiers":
        [identifier("1"), identifier("4"), identifier("9")]}),
    );
    let deleted = world.call::<op::DeleteKnowledgeBaseDocuments>(delete).await;
    let statuses: Vec<&Value> = deleted["documentDetails"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|detail| &detail["status"])
        .collect();
    assert_eq!(statuses, ["DELETING", "DELETING", "NOT_FOUND"]);
    world.work().await;
    let listed = world
        .call::<op::ListKnowledgeBaseDocuments>(world.named(&source, json!({})))
        .await;
    let ids: Vec<&Value> = listed["documentDetails"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|detail| &detail["identifier"]["custom"]["id"])
        .collect();
    assert_eq!(ids, ["2", "3"]);
    assert_eq!(world.index.texts(&world.base), [text("3", "three")]);
}

#[tokio::test(start_paused = true)]
async fn the_last_wish_counts() {
    let world = World::new().await;
    let source = world.custom("custom").await;
    ingest(&world, &source, json!([inline("1", "one")])).await;
    ingest(&world, &source, json!([inline("1", "two")])).await;
    assert_eq!(world.work().await, 1);
    assert_eq!(world.index.texts(&world.base)[0].1, "two");
    // A wish that comes while the one before is being done.
    ingest(&world, &source, json!([inline("1", "three")])).await;
    world.fuse.set(7);
    let service = world.service.clone();
    let work = tokio::spawn(async move { service.ingest_due().await });
    world.fuse.blown.notified().await;
    ingest(&world, &source, json!([inline("1", "four")])).await;
    world.fuse.clear();
    let other = world.other();
    other.ingest_due().await.expect("answers");
    assert_eq!(world.index.texts(&world.base)[0].1, "four");
    assert_eq!(states(&world, &source, &["1"]).await, [is("INDEXED")]);
    // The first finds out at its next renewal.
    work.await.expect("it ends").expect("answers");
    assert_eq!(world.index.texts(&world.base)[0].1, "four");
    // Taken in and deleted before anything was done.
    ingest(&world, &source, json!([inline("2", "text")])).await;
    let delete = world.named(&source, json!({"documentIdentifiers": [identifier("2")]}));
    world.call::<op::DeleteKnowledgeBaseDocuments>(delete).await;
    world.work().await;
    assert_eq!(states(&world, &source, &["2"]).await, [is("NOT_FOUND")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_out_is_tried_again() {
    let world = World::new().await;
    let source = world.custom("custom").await;
    *world.embedder.broken.lock().expect("whole") = Some(ModelError::Unreachable {
        detail: "no route".to_owned(),
    });
    ingest(
        &world,
        &source,
        json!([inline("1", "one"), inline("2", "two")]),
    )
    .await;
    assert_eq!(world.work().await, 2);
    let waits = "the text could not be embedded: the model provider cannot be reached: no route";
    assert_eq!(
        states(&world, &source, &["1"]).await,
        [("PENDING".to_owned(), Some(waits.to_owned()))]
    );
    *world.embedder.broken.lock().expect("whole") = None;
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(world.work().await, 2);
    assert_eq!(states(&world, &source, &["1"]).await, [is("INDEXED")]);
    *world.index.broken.lock().expect("whole") =
        Some(IndexError::Unavailable("no answer".to_owned()));
    ingest(&world, &source, json!([inline("1", "uno")])).await;
    for _ in 0..10 {
        world.work().await;
        tokio::time::advance(Duration::from_mins(10)).await;
    }
    let failed = states(&world, &source, &["1"]).await;
    assert_eq!(failed[0].0, "FAILED");
    assert_eq!(
        failed[0].1.as_deref(),
        Some("the vector store cannot be used: no answer")
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused() {
    let world = World::new().await;
    let custom = world.custom("custom").await;
    let s3 = world.s3("docs", json!({})).await;
    let by_location = json!({"content": {"dataSourceType": "S3", "s3": {"s3Location": {"uri": "s3://docs/a.txt"}}}});
    let mut far_metadata = inline("1", "one");
    far_metadata["metadata"] =
        json!({"type": "S3_LOCATION", "s3Location": {"uri": "s3://docs/m.json"}});
    let mut reserved = inline("1", "one");
    reserved["metadata"] = json!({"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": [
        {"key": "x-amz-bedrock-kb", "value": {"type": "BOOLEAN", "booleanValue": true}}]});
    for (source, document, expected) in [
        (
            &custom,
            by_location.clone(),
            "is S3, but the data source is of type CUSTOM",
        ),
        (
            &s3,
            inline("1", "one"),
            "is CUSTOM, but the data source is of type S3",
        ),
        (&custom, far_metadata, "takes its metadata inline too"),
        (&custom, reserved, "are the service's own"),
    ] {
        let input = world.named(source, json!({"documents": [document]}));
        let refused = world
            .refused::<op::IngestKnowledgeBaseDocuments>(input)
            .await;
        assert!(
            refused.starts_with("Validation: ") && refused.contains(expected),
            "{refused}"
        );
    }
    let twice = world.named(
        &custom,
        json!({"documents": [inline("1", "a"), inline("1", "b")]}),
    );
    let refused = world
        .refused::<op::IngestKnowledgeBaseDocuments>(twice)
        .await;
    assert!(refused.contains("twice"), "{refused}");
    let web = json!({"type": "WEB", "webConfiguration": {
        "sourceConfiguration": {"urlConfiguration": {"seedUrls": [{"url": "https://example.com"}]}}}});
    let web = world.source("web", web, json!({})).await;
    let listed = world.named(&web, json!({}));
    let refused = world
        .refused::<op::ListKnowledgeBaseDocuments>(listed)
        .await;
    assert!(refused.contains("CUSTOM and S3"), "{refused}");
    // Single objects of a bucket, and the next job over all of it.
    world.buckets.put("a.txt", "a");
    world.buckets.put("b.txt", "b");
    let input = world.named(&s3, json!({"documents": [by_location]}));
    let token = json!({"clientToken": "b".repeat(33)});
    let mut input = input;
    crate::world::extend(&mut input, token);
    world
        .call::<op::IngestKnowledgeBaseDocuments>(input.clone())
        .await;
    world.work().await;
    assert_eq!(world.index.texts(&world.base).len(), 1);
    let again = world.call::<op::IngestKnowledgeBaseDocuments>(input).await;
    assert_eq!(again["documentDetails"][0]["status"], "INDEXED");
    assert_eq!(world.work().await, 0);
    assert_eq!(world.ingest(&s3).await["status"], "COMPLETE");
    assert_eq!(set(world.index.texts(&world.base)), set(world.expected()));
}
