//! A process that dies at any call, and another that goes on: the index holds exactly what the bucket
//! does, once, and the statistics are those of an undisturbed job.

use std::time::Duration;

use outcrop_model::control::ops as op;
use outcrop_service::Service;
use serde_json::{Value, json};

use crate::doubles::set;
use crate::world::{World, counts};

/// Claims have lapsed by then.
const LATER: Duration = Duration::from_secs(100);

/// Works until the fuse blows; false where it did not.
async fn work_until_blown(world: &World, service: &Service) -> bool {
    tokio::select! {
        biased;
        () = world.fuse.blown.notified() => true,
        done = service.ingest_due() => {
            done.expect("the store answers");
            false
        }
    }
}

/// A bucket that has been ingested, and has changed since.
async fn changed() -> (World, String) {
    let world = World::new().await;
    let source = world.s3("docs", json!({})).await;
    for name in ["a", "b", "c", "d"] {
        world
            .buckets
            .put(&format!("{name}.txt"), format!("text of {name}"));
    }
    assert_eq!(world.ingest(&source).await["status"], "COMPLETE");
    world.buckets.put("a.txt", "other text of a");
    world.buckets.put(
        "b.txt.metadata.json",
        r#"{"metadataAttributes": {"year": 1}}"#,
    );
    world.buckets.delete("c.txt");
    world.buckets.put("d.txt", "damaged");
    world.buckets.put("e.txt", "text of e");
    world.buckets.put("f.txt", "text of f");
    (world, source)
}

fn good(world: &World) -> Vec<(String, String)> {
    let mut expected = world.expected();
    expected.retain(|(_, text)| text != "damaged");
    expected
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_wherever_it_was_cut_off() {
    let (world, source) = changed().await;
    let undisturbed = counts(&world.ingest(&source).await);
    assert_eq!(
        undisturbed,
        json!({"Scanned": 5, "MetadataScanned": 1, "NewIndexed": 2, "ModifiedIndexed": 1,
            "MetadataModified": 1, "Deleted": 1, "Failed": 1})
    );
    let mut place = 1;
    loop {
        let (mut world, source) = changed().await;
        let job = world.begin(&source).await;
        world.fuse.set(place);
        let service = world.service.clone();
        let blown = work_until_blown(&world, &service).await;
        drop(service);
        world.fuse.clear();
        world.restart();
        tokio::time::advance(LATER).await;
        world.work().await;
        let job = world.job(&source, &job).await;
        assert_eq!(job["status"], "COMPLETE", "cut off at {place}");
        assert_eq!(counts(&job), undisturbed, "cut off at {place}");
        assert_eq!(
            set(world.index.texts(&world.base)),
            set(good(&world)),
            "cut off at {place}"
        );
        if !blown {
            break;
        }
        place += 1;
    }
    assert!(place > 40, "{place} places");
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_of_what_went_while_nobody_looked() {
    for place in 1..60 {
        let (mut world, source) = changed().await;
        world.begin(&source).await;
        world.fuse.set(place);
        let service = world.service.clone();
        work_until_blown(&world, &service).await;
        drop(service);
        world.fuse.clear();
        for name in ["a.txt", "e.txt", "f.txt"] {
            world.buckets.delete(name);
        }
        world.buckets.put("b.txt", "text of b");
        world.buckets.put("d.txt", "text of d");
        world.restart();
        tokio::time::advance(LATER).await;
        world.work().await;
        // What the job had done before its end is looked at by the next.
        assert_eq!(world.ingest(&source).await["status"], "COMPLETE", "{place}");
        assert_eq!(
            set(world.index.texts(&world.base)),
            set(world.expected()),
            "{place}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_is_indexed_once_wherever_it_was_cut_off() {
    let document = |text: &str| {
        json!([{"content": {"dataSourceType": "CUSTOM", "custom": {
            "customDocumentIdentifier": {"id": "1"}, "sourceType": "IN_LINE",
            "inlineContent": {"type": "TEXT", "textContent": {"data": text}}}}}])
    };
    for place in 1.. {
        let mut world = World::new().await;
        let source = world.custom("custom").await;
        let send =
            |world: &World, text: &str| world.named(&source, json!({"documents": document(text)}));
        world
            .call::<op::IngestKnowledgeBaseDocuments>(send(&world, "old"))
            .await;
        world.work().await;
        world
            .call::<op::IngestKnowledgeBaseDocuments>(send(&world, "new"))
            .await;
        world.fuse.set(place);
        let service = world.service.clone();
        let blown = work_until_blown(&world, &service).await;
        drop(service);
        world.fuse.clear();
        world.restart();
        tokio::time::advance(LATER).await;
        world.work().await;
        let texts = world.index.texts(&world.base);
        assert_eq!(
            texts,
            [("1".to_owned(), "new".to_owned())],
            "cut off at {place}"
        );
        if !blown {
            assert!(place > 8, "{place} places");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_does_not_outlive_its_knowledge_base() {
    for place in 1.. {
        let (mut world, _) = changed().await;
        let named = json!({"knowledgeBaseId": world.base});
        world.call::<op::DeleteKnowledgeBase>(named.clone()).await;
        world.fuse.set(place);
        let service = world.service.clone();
        let blown = work_until_blown(&world, &service).await;
        drop(service);
        world.fuse.clear();
        world.restart();
        tokio::time::advance(LATER).await;
        world.work().await;
        let gone = world.refused::<op::GetKnowledgeBase>(named).await;
        assert!(
            gone.starts_with("ResourceNotFound"),
            "cut off at {place}: {gone}"
        );
        assert!(
            world.index.texts(&world.base).is_empty(),
            "cut off at {place}"
        );
        if !blown {
            assert!(place > 4, "{place} places");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_do_one_job_once() {
    let (world, source) = changed().await;
    let job = world.begin(&source).await;
    // One hangs until its claim has lapsed, and wakes up when another has taken it.
    world.fuse.set(11);
    let service = world.service.clone();
    let hung = tokio::spawn(async move { service.ingest_due().await });
    world.fuse.blown.notified().await;
    hung.abort();
    world.fuse.clear();
    tokio::time::advance(LATER).await;
    let (first, second) = (world.other(), world.other());
    let (first, second) = tokio::join!(first.ingest_due(), second.ingest_due());
    let done: usize = [first, second]
        .into_iter()
        .map(|done| done.expect("answers"))
        .sum();
    assert_eq!(done, 1);
    let job: Value = world.job(&source, &job).await;
    assert_eq!(job["status"], "COMPLETE");
    assert_eq!(set(world.index.texts(&world.base)), set(good(&world)));
}
