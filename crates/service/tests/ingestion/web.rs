//! Ingestion of web sites over a crawler that finds what it is told to.

use outcrop_engine::port::{CrawlError, CrawlEvent, WebPage};
use serde_json::json;

use crate::doubles::set;
use crate::world::{World, counts};

#[expect(clippy::unnecessary_wraps, reason = "the form of a stream's items")]
fn page(url: &str, text: &str) -> Result<CrawlEvent, CrawlError> {
    Ok(CrawlEvent::Page(WebPage {
        url: url.to_owned(),
        mime_type: Some("text/html".to_owned()),
        content: text.to_owned().into(),
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of a stream's items")]
fn failed(url: &str) -> Result<CrawlEvent, CrawlError> {
    Ok(CrawlEvent::Failed {
        url: url.to_owned(),
        reason: "the server answered 503".to_owned(),
        hides: true,
    })
}

fn text(url: &str, text: &str) -> (String, String) {
    (url.to_owned(), text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn pages_come_and_go() {
    let world = World::new().await;
    let web = json!({"type": "WEB", "webConfiguration": {
        "sourceConfiguration": {"urlConfiguration": {"seedUrls": [{"url": "https://example.com"}]}}}});
    let source = world.source("web", web, json!({})).await;
    let finds = |events| *world.crawler.0.lock().expect("whole") = events;
    let (a, b, c) = (
        "https://example.com/",
        "https://example.com/b?x",
        "https://example.com/c",
    );
    finds(vec![page(a, "start"), page(b, "second")]);
    let job = world.ingest(&source).await;
    assert_eq!(
        (&job["status"], counts(&job)),
        (&json!("COMPLETE"), json!({"Scanned": 2, "NewIndexed": 2}))
    );
    finds(vec![
        page(a, "start"),
        page(b, "changed"),
        page(c, "damaged"),
    ]);
    let job = world.ingest(&source).await;
    assert_eq!(
        counts(&job),
        json!({"Scanned": 3, "ModifiedIndexed": 1, "Failed": 1})
    );
    // Behind the page that failed there may be the one that was not found.
    finds(vec![page(a, "start"), failed(c)]);
    let job = world.ingest(&source).await;
    assert_eq!(counts(&job), json!({"Scanned": 2, "Failed": 1}));
    assert_eq!(
        job["failureReasons"],
        json!(["Encountered error: the server answered 503. [Files: https://example.com/c]."])
    );
    assert_eq!(
        set(world.index.texts(&world.base)),
        set([text(a, "start"), text(b, "changed")])
    );
    finds(vec![page(a, "start")]);
    let job = world.ingest(&source).await;
    assert_eq!(counts(&job), json!({"Scanned": 1, "Deleted": 2}));
    assert_eq!(world.index.texts(&world.base), [text(a, "start")]);
    finds(vec![
        page(c, "third"),
        Err(CrawlError::TooManyPages { max: 1 }),
    ]);
    let job = world.ingest(&source).await;
    assert_eq!(job["status"], "FAILED");
    assert_eq!(
        job["failureReasons"][0],
        "the crawl found more pages than its limit of 1"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_refused_before_anything_begins() {
    let world = World::new().await;
    let parsed = json!({"vectorIngestionConfiguration": {"parsingConfiguration": {
        "parsingStrategy": "BEDROCK_DATA_AUTOMATION"}}});
    let source = world.s3("docs", parsed).await;
    let refused = world
        .refused::<outcrop_model::control::ops::StartIngestionJob>(world.named(&source, json!({})))
        .await;
    assert!(
        refused.starts_with(
            "Validation: The parsing strategy BEDROCK_DATA_AUTOMATION is not supported"
        ),
        "{refused}"
    );
}
