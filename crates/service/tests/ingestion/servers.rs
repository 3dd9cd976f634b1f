//! Several servers over one store and one index: what a server has put into the index too late does not
//! stay there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outcrop_model::control::ops as op;
use outcrop_model::handle::Handle;
use outcrop_model::operation::Operation;
use outcrop_service::Service;
use serde_json::{Value, json};

use crate::ports;
use crate::world::World;

/// What is kept for a server that is late has gone by then.
const LATER: Duration = Duration::from_mins(1);
/// The place of the fuse behind the index: asking, beginning, reading and embedding come before, each of
/// them two places.
const AFTER_THE_INDEX: usize = 10;

async fn call<Op: Operation>(service: &Service, input: Value)
where
    Service: Handle<Op>,
{
    let cx = ports::context("11111111-2222-4333-8444-555555555555");
    let input = serde_json::from_value(input).expect("of the shape");
    let answer = Handle::<Op>::handle(service, &cx, input).await;
    assert!(answer.is_ok(), "{:?}", answer.err());
}

fn document(text: &str) -> Value {
    json!({"content": {"dataSourceType": "CUSTOM", "custom": {
        "customDocumentIdentifier": {"id": "1"}, "sourceType": "IN_LINE",
        "inlineContent": {"type": "TEXT", "textContent": {"data": text}}}}})
}

/// One of two servers, and a data source with a document that is still to be indexed.
async fn begun() -> (World, String) {
    let mut world = World::new().await;
    world.share_store();
    let source = world.custom("custom").await;
    let input = world.named(&source, json!({"documents": [document("first")]}));
    world.call::<op::IngestKnowledgeBaseDocuments>(input).await;
    (world, source)
}

/// Has this happen on the other server between the last look at the claim and the index.
fn meanwhile(world: &World, work: impl Future<Output = ()> + Send + 'static) {
    *world.index.meanwhile.lock().expect("whole") = Some(Box::pin(work));
}

async fn status(world: &World, source: &str) -> String {
    let identifiers = json!([{"dataSourceType": "CUSTOM", "custom": {"id": "1"}}]);
    let input = world.named(source, json!({"documentIdentifiers": identifiers}));
    let got = world.call::<op::GetKnowledgeBaseDocuments>(input).await;
    let status = got["documentDetails"][0]["status"].as_str();
    status.expect("a status").to_owned()
}

/// Works until nothing is due, now and when what is kept for late servers has served.
async fn work(world: &World) {
    world.work().await;
    tokio::time::advance(LATER).await;
    world.work().await;
    tokio::time::advance(LATER).await;
    assert_eq!(world.work().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_document_sent_anew_and_indexed_meanwhile_is_the_one_that_stays() {
    let (world, source) = begun().await;
    let other = world.other();
    let input = world.named(&source, json!({"documents": [document("second")]}));
    meanwhile(&world, async move {
        call::<op::IngestKnowledgeBaseDocuments>(&other, input).await;
        assert_eq!(other.ingest_due().await.expect("answers"), 1);
    });
    work(&world).await;
    let second = [("1".to_owned(), "second".to_owned())];
    assert_eq!(world.index.texts(&world.base), second);
    assert_eq!(status(&world, &source).await, "INDEXED");
}

#[tokio::test(start_paused = true)]
async fn a_document_sent_anew_and_begun_meanwhile_is_the_one_that_stays() {
    let (world, source) = begun().await;
    let other = world.other();
    let input = world.named(&source, json!({"documents": [document("second")]}));
    let fuse = Arc::clone(&world.fuse);
    meanwhile(&world, async move {
        // The other stops when it has been to the index, and has not told the Store yet.
        fuse.set(AFTER_THE_INDEX);
        call::<op::IngestKnowledgeBaseDocuments>(&other, input).await;
        let work = tokio::spawn(async move { other.ingest_due().await });
        fuse.blown.notified().await;
        work.abort();
    });
    work(&world).await;
    assert_eq!(world.index.puts.load(Ordering::SeqCst), 3);
    let second = [("1".to_owned(), "second".to_owned())];
    assert_eq!(world.index.texts(&world.base), second);
    assert_eq!(status(&world, &source).await, "INDEXED");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_fails_meanwhile_leaves_nothing() {
    let (world, source) = begun().await;
    let other = world.other();
    let input = world.named(&source, json!({"documents": [document("damaged")]}));
    meanwhile(&world, async move {
        call::<op::IngestKnowledgeBaseDocuments>(&other, input).await;
        other.ingest_due().await.expect("answers");
    });
    work(&world).await;
    assert!(world.index.texts(&world.base).is_empty());
    assert_eq!(status(&world, &source).await, "FAILED");
}

#[tokio::test(start_paused = true)]
async fn a_document_deleted_meanwhile_stays_deleted() {
    let (world, source) = begun().await;
    let other = world.other();
    let identifiers = json!([{"dataSourceType": "CUSTOM", "custom": {"id": "1"}}]);
    let input = world.named(&source, json!({"documentIdentifiers": identifiers}));
    meanwhile(&world, async move {
        call::<op::DeleteKnowledgeBaseDocuments>(&other, input).await;
        other.ingest_due().await.expect("answers");
    });
    work(&world).await;
    assert!(world.index.texts(&world.base).is_empty());
    assert_eq!(status(&world, &source).await, "NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn what_is_retained_stays_when_its_documents_are_forgotten() {
    let mut world = World::new().await;
    world.share_store();
    let policy = json!({"dataDeletionPolicy": "RETAIN"});
    let source = world
        .source("custom", json!({"type": "CUSTOM"}), policy)
        .await;
    let input = world.named(&source, json!({"documents": [document("first")]}));
    world.call::<op::IngestKnowledgeBaseDocuments>(input).await;
    world.work().await;
    let named = world.named(&source, json!({}));
    world.call::<op::DeleteDataSource>(named).await;
    work(&world).await;
    let first = [("1".to_owned(), "first".to_owned())];
    assert_eq!(world.index.texts(&world.base), first);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_kept_for_a_while_only() {
    let (world, source) = begun().await;
    assert_eq!(world.work().await, 1);
    assert_eq!(status(&world, &source).await, "INDEXED");
    tokio::time::advance(LATER).await;
    assert_eq!(world.work().await, 1);
    tokio::time::advance(LATER).await;
    assert_eq!(world.work().await, 0);
    assert_eq!(status(&world, &source).await, "INDEXED");
}
