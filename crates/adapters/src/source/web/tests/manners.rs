//! How sites are treated: rules, rates, trouble, and hosts that are not to be called.

use std::time::Duration;

use futures_util::StreamExt;
use outcrop_engine::port::{CrawlError, CrawlEvent, Crawler};
use serde_json::json;
use tokio::time::Instant;

use super::super::TIMEOUTS;
use super::site::{Site, answer, html, plain, to};
use super::{configuration, crawl, crawler};

#[tokio::test]
async fn requests_keep_their_distance() {
    let pages = || {
        vec![
            ("/", html("<a href='/1'></a><a href='/2'></a>")),
            ("/1", html("1")),
            ("/2", html("2")),
        ]
    };
    // Ten seconds, of minutes of 300 ms: 50 ms, also between robots.txt and the first page.
    let delay = plain("User-agent: outcropbot\nCrawl-delay: 10\n");
    let mut answers = pages();
    answers.push(("/robots.txt", delay));
    let site = Site::new(answers).await;
    let begin = Instant::now();
    let (found, _, _) = crawl(&[site.url("/")], json!({})).await;
    assert_eq!(found.len(), 3);
    assert!(begin.elapsed() >= Duration::from_millis(150));

    let site = Site::new(pages()).await;
    let begin = Instant::now();
    let slow = json!({"crawlerLimits": {"rateLimit": 6}});
    crawl(&[site.url("/")], slow).await;
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn trouble_is_tried_again_and_then_told() {
    let site = Site::new(vec![
        (
            "/",
            html("<a href='/busy'></a><a href='/broken'></a><a href='/silent'></a>"),
        ),
        (
            "/busy",
            answer(|before| {
                Some(if before < 2 {
                    (503, "retry-after: 0\r\n".to_owned(), Vec::new())
                } else {
                    (
                        200,
                        "content-type: text/plain\r\n".to_owned(),
                        b"now".to_vec(),
                    )
                })
            }),
        ),
        (
            "/broken",
            answer(|_| Some((500, String::new(), Vec::new()))),
        ),
        ("/silent", answer(|_| None)),
    ])
    .await;
    let (pages, mut failures, end) = crawl(&[site.url("/")], json!({})).await;
    assert_eq!(pages, ["/", "/busy"]);
    assert_eq!(end, None);
    failures.sort();
    assert_eq!(failures.len(), 2);
    let (broken, silent) = (&failures[0], &failures[1]);
    assert_eq!((broken.0.as_str(), broken.2), ("/broken", true));
    assert!(broken.1.contains("500"), "{}", broken.1);
    assert_eq!((silent.0.as_str(), silent.2), ("/silent", true));
    assert!(silent.1.contains("no response within"), "{}", silent.1);
    let asked = site.asked();
    assert_eq!(asked.iter().filter(|path| *path == "/broken").count(), 3);
}

#[tokio::test]
async fn a_site_whose_robots_txt_cannot_be_read_is_left_alone() {
    let site = Site::new(vec![
        (
            "/robots.txt",
            answer(|_| Some((500, String::new(), Vec::new()))),
        ),
        ("/", html("private?")),
    ])
    .await;
    let (pages, failures, end) = crawl(&[site.url("/")], json!({})).await;
    assert_eq!((pages.len(), end), (0, None));
    assert!(
        failures[0]
            .1
            .starts_with("the site's robots.txt could not be read")
    );
    assert_eq!(site.asked(), ["/robots.txt"; 3]);
}

#[tokio::test]
async fn a_missing_robots_txt_allows_all_and_one_that_moved_is_followed() {
    for status in [401, 403, 404, 410] {
        let gone = answer(move |_| Some((status, String::new(), Vec::new())));
        let site = Site::new(vec![("/robots.txt", gone), ("/", html("home"))]).await;
        let (pages, failures, _) = crawl(&[site.url("/")], json!({})).await;
        assert_eq!((pages.len(), failures.len()), (1, 0), "{status}");
    }
    let site = Site::new(vec![
        ("/robots.txt", to("/rules")),
        ("/rules", plain("User-agent: *\nDisallow: /\n")),
        ("/", html("home")),
    ])
    .await;
    let (pages, failures, _) = crawl(&[site.url("/")], json!({})).await;
    assert_eq!(pages.len(), 0);
    assert_eq!(failures[0].1, "the site's robots.txt does not allow it");
    // Rules that are kept where this server calls nobody are rules, and not known.
    let site = Site::new(vec![
        (
            "/robots.txt",
            to("http://rules.invalid.example:1/robots.txt"),
        ),
        ("/", html("home")),
    ])
    .await;
    let (pages, failures, _) = crawl(&[site.url("/")], json!({})).await;
    assert_eq!(pages.len(), 0);
    let reason = &failures[0].1;
    assert!(
        reason.starts_with("the site's robots.txt could not be read: rules.invalid.example:1 is"),
        "{reason}"
    );
    assert_eq!(site.asked(), ["/robots.txt"]);
}

#[tokio::test]
async fn a_seed_that_robots_txt_forbids_is_told() {
    let site = Site::new(vec![
        (
            "/robots.txt",
            plain("User-agent: bedrockbot\nDisallow: /\n\nUser-agent: *\nAllow: /\n"),
        ),
        ("/", html("home")),
    ])
    .await;
    let header = "bedrockbot-0d5c2f0e-6f5e-4b53-9b0a-6a7f8f1c2d3e-my-own-crawler";
    let (pages, failures, _) = crawl(&[site.url("/")], json!({"userAgentHeader": header})).await;
    assert_eq!(pages.len(), 0);
    assert_eq!(failures[0].1, "the site's robots.txt does not allow it");
    let (pages, failures, _) = crawl(&[site.url("/")], json!({})).await;
    assert_eq!((pages.len(), failures.len()), (1, 0));
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_not_called() {
    let site = Site::new(vec![("/", html("home"))]).await;
    let end = async |allow: &[&str], seed: String| {
        let mut stream = crawler(allow).crawl(configuration(&[seed], json!({})));
        let first = stream.next().await.expect("something is told");
        assert!(stream.next().await.is_none());
        first
    };
    let error = end(&[], site.url("/"))
        .await
        .expect_err("it is not allowed");
    let text = format!(
        "127.0.0.1:{} is not a host that this server crawls; if it should be, add \"127.0.0.1\" to \
         allow in [crawler]",
        site.port
    );
    assert_eq!(error, CrawlError::NotAllowed(text));
    // Any host, but no address of this machine.
    let error = end(&["*"], site.url("/"))
        .await
        .expect_err("it is not public");
    assert!(matches!(error, CrawlError::NotAllowed(_)), "{error}");
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn dropping_the_stream_ends_its_requests() {
    let site = Site::new(vec![
        ("/", html("<a href='/silent'></a>")),
        ("/silent", answer(|_| None)),
    ])
    .await;
    let mut crawler = crawler(&["127.0.0.1"]);
    crawler.pace.timeouts = TIMEOUTS;
    let mut stream = crawler.crawl(configuration(&[site.url("/")], json!({})));
    assert!(matches!(stream.next().await, Some(Ok(CrawlEvent::Page(_)))));
    site.until_asked("/silent").await;
    drop(stream);
    site.until_asked("/silent is left").await;
}
