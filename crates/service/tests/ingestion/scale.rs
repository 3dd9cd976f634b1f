//! Many documents: few are in memory at a time, and every one is indexed. The store in memory copies all it
//! holds at each write, so that there are fewer here than end to end.

use std::sync::atomic::Ordering;

use outcrop_engine::action::Strictness;
use serde_json::json;

use crate::world::{World, counts};

#[tokio::test(start_paused = true)]
async fn thousands_of_small_files() {
    let world = World::with(Strictness::Relaxed, 1_000).await;
    let source = world.s3("docs", json!({})).await;
    for number in 0..4_000 {
        world.buckets.put(
            &format!("{:02}/{number}.txt", number % 100),
            format!("text {number}"),
        );
    }
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "COMPLETE");
    assert_eq!(counts(&job), json!({"Scanned": 4_000, "NewIndexed": 4_000}));
    assert_eq!(world.index.chunks(&world.base).len(), 4_000);
    let most = world.buckets.reading_most.load(Ordering::SeqCst);
    assert!(most <= 16, "{most} documents at once");
    let reads = world.buckets.reads.load(Ordering::SeqCst);
    let job = world.ingest(&source).await;
    assert_eq!(counts(&job), json!({"Scanned": 4_000}));
    assert_eq!(world.buckets.reads.load(Ordering::SeqCst), reads);
}
