//! What is deleted leaves nothing behind, but for what is to be retained.

use std::sync::atomic::Ordering;
use std::time::Duration;

use outcrop_engine::port::IndexError;
use outcrop_model::control::ops as op;
use serde_json::json;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_data_source_goes_with_its_chunks() {
    let world = World::new().await;
    world.buckets.put("a.txt", "a");
    let keeps = world
        .s3("keeps", json!({"dataDeletionPolicy": "RETAIN"}))
        .await;
    let goes = world.s3("goes", json!({})).await;
    for source in [&keeps, &goes] {
        assert_eq!(world.ingest(source).await["status"], "COMPLETE");
    }
    assert_eq!(world.index.texts(&world.base).len(), 2);
    for (source, left) in [(&goes, 1), (&keeps, 1)] {
        let named = world.named(source, json!({}));
        let deleted = world.call::<op::DeleteDataSource>(named.clone()).await;
        assert_eq!(deleted["status"], "DELETING");
        let shown = world.call::<op::GetDataSource>(named.clone()).await;
        assert_eq!(shown["dataSource"]["status"], "DELETING");
        let refused = world.refused::<op::StartIngestionJob>(named.clone()).await;
        assert_eq!(
            refused,
            "Validation: You cannot start an ingestion job on a dataSource with status DELETING."
        );
        assert_eq!(world.work().await, 1);
        let gone = world.refused::<op::GetDataSource>(named).await;
        assert!(gone.starts_with("ResourceNotFound"), "{gone}");
        assert_eq!(world.index.texts(&world.base).len(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_knowledge_base_goes_with_everything() {
    let world = World::new().await;
    for number in 0..30 {
        world.buckets.put(&format!("{number}.txt"), "text");
    }
    let source = world.s3("docs", json!({})).await;
    assert_eq!(world.ingest(&source).await["status"], "COMPLETE");
    // A job is at work.
    world.begin(&source).await;
    let named = json!({"knowledgeBaseId": world.base});
    let deleted = world.call::<op::DeleteKnowledgeBase>(named.clone()).await;
    assert_eq!(deleted["status"], "DELETING");
    let refused = world
        .refused::<op::StartIngestionJob>(world.named(&source, json!({})))
        .await;
    assert_eq!(
        refused,
        "Validation: You cannot start an ingestion job on a knowledgeBase with status DELETING."
    );
    for _ in 0..5 {
        world.work().await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let gone = world.refused::<op::GetKnowledgeBase>(named).await;
    assert!(gone.starts_with("ResourceNotFound"), "{gone}");
    assert_eq!(world.index.texts(&world.base).len(), 0);
    let held = world.index.held.lock().expect("whole");
    assert!(
        held.get(&world.base)
            .is_some_and(|(identity, _)| identity.is_none())
    );
}

/// A knowledge base with a source that keeps its chunks and one that does not, deleted; what is left
/// in the index.
async fn left_behind(is_reached_by_others: bool, retained_goes_first: bool) -> Vec<String> {
    let world = World::new().await;
    world
        .index
        .is_reached_by_others
        .store(is_reached_by_others, Ordering::SeqCst);
    world.buckets.put_in("kept", "a.txt", "kept");
    world.buckets.put("b.txt", "gone");
    let kept = json!({"type": "S3", "s3Configuration": {"bucketArn": "arn:aws:s3:::kept"}});
    let policy = json!({"dataDeletionPolicy": "RETAIN"});
    let keeps = world.source("keeps", kept, policy).await;
    let goes = world.s3("goes", json!({})).await;
    for source in [&keeps, &goes] {
        assert_eq!(world.ingest(source).await["status"], "COMPLETE");
    }
    if retained_goes_first {
        let named = world.named(&keeps, json!({}));
        world.call::<op::DeleteDataSource>(named).await;
        world.work().await;
        // The knowledge base lives, and its searches find them still.
        assert_eq!(world.index.texts(&world.base).len(), 2);
    }
    let named = json!({"knowledgeBaseId": world.base});
    world.call::<op::DeleteKnowledgeBase>(named.clone()).await;
    world.work().await;
    let gone = world.refused::<op::GetKnowledgeBase>(named).await;
    assert!(gone.starts_with("ResourceNotFound"), "{gone}");
    let left = world.index.texts(&world.base).into_iter();
    left.map(|(_, text)| text).collect()
}

#[tokio::test(start_paused = true)]
async fn chunks_are_retained_where_others_reach_them() {
    assert_eq!(left_behind(true, false).await, ["kept"]);
    assert_eq!(left_behind(true, true).await, ["kept"]);
}

#[tokio::test(start_paused = true)]
async fn chunks_that_nobody_could_reach_go_with_their_knowledge_base() {
    assert_eq!(left_behind(false, false).await, [""; 0]);
    assert_eq!(left_behind(false, true).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_says_so_and_can_be_tried_again() {
    let world = World::new().await;
    world.buckets.put("a.txt", "a");
    let source = world.s3("docs", json!({})).await;
    world.ingest(&source).await;
    *world.index.broken.lock().expect("whole") =
        Some(IndexError::Rejected("no permission".to_owned()));
    let named = json!({"knowledgeBaseId": world.base});
    world.call::<op::DeleteKnowledgeBase>(named.clone()).await;
    for _ in 0..12 {
        world.work().await;
        tokio::time::advance(Duration::from_hours(2)).await;
    }
    let shown = world.call::<op::GetKnowledgeBase>(named.clone()).await;
    assert_eq!(shown["knowledgeBase"]["status"], "DELETE_UNSUCCESSFUL");
    let reason = shown["knowledgeBase"]["failureReasons"][0]
        .as_str()
        .expect("text");
    assert!(reason.contains("no permission"), "{reason}");
    let refused = world
        .refused::<op::StartIngestionJob>(world.named(&source, json!({})))
        .await;
    assert_eq!(
        refused,
        "Validation: You cannot start an ingestion job on a knowledgeBase with status DELETE_UNSUCCESSFUL."
    );
    *world.index.broken.lock().expect("whole") = None;
    world.call::<op::DeleteKnowledgeBase>(named.clone()).await;
    world.work().await;
    let gone = world.refused::<op::GetKnowledgeBase>(named).await;
    assert!(gone.starts_with("ResourceNotFound"), "{gone}");
}
