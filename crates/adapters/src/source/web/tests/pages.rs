//! Which pages are read: scope, filters, redirects, limits.

use serde_json::json;

use super::crawl;
use super::site::{Site, answer, html, plain, to};

#[tokio::test]
async fn a_site_with_loops_is_read_once_and_robots_txt_is_kept() {
    let site = Site::new(vec![
        (
            "/robots.txt",
            plain("User-agent: *\nDisallow: /private\nAllow: /private/open\n"),
        ),
        (
            "/",
            html(
                "<a href='/a'>a</a> <a href='/a#part'>again</a> <a href=' /a?utm_source=x '>and</a>\
                 <a href='/private/x'>x</a> <a href='/private/open'>y</a> <a href='/missing'>z</a>\
                 <a href='mailto:me@example.com'>m</a> <a href='/logo.png'>p</a>\
                 <a href='/data'>d</a> <script>'<a href=\"/script\">'</script>",
            ),
        ),
        (
            "/a",
            html("<a href='/'>home</a><a href='b/c?x=1&amp;y=2'>c</a>"),
        ),
        ("/b/c?x=1&y=2", html("<base href='/d/'><a href='e'>e</a>")),
        ("/d/e", html("the end")),
        ("/private/open", html("open")),
        (
            "/data",
            answer(|_| Some((200, "content-type: image/png\r\n".to_owned(), vec![1]))),
        ),
    ])
    .await;
    let (pages, failures, end) = crawl(&[site.url("/")], json!({"scope": "HOST_ONLY"})).await;
    assert_eq!(end, None);
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(pages, ["/", "/a", "/b/c?x=1&y=2", "/d/e", "/private/open"]);
    let asked = site.asked();
    assert_eq!(asked[0], "/robots.txt");
    let mut once = asked.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), asked.len(), "{asked:?}");
    assert!(
        !asked
            .iter()
            .any(|path| path == "/private/x" || path == "/logo.png")
    );
    assert!(!asked.iter().any(|path| path == "/script"));
}

#[tokio::test]
async fn without_a_scope_pages_stay_below_the_seed_and_filters_hold() {
    let pages = |other: &str| {
        html(&format!(
            "<a href='/docs/b'></a><a href='/docs/c.pdf'></a>{other}"
        ))
    };
    let site = Site::new(vec![
        (
            "/docs",
            pages("<a href='/blog/x'></a><a href='/docs-old/y'></a>"),
        ),
        ("/docs/b", html("b")),
        ("/docs/c.pdf", plain("c")),
        ("/blog/x", html("x")),
        ("/docs-old/y", html("y")),
    ])
    .await;
    let (found, _, _) = crawl(&[site.url("/docs")], json!({})).await;
    assert_eq!(found, ["/docs", "/docs/b", "/docs/c.pdf"]);
    // The seed is read for its links although it is not kept.
    let only = json!({"inclusionFilters": [".*\\.pdf$", ".*/b$"], "exclusionFilters": ["/b"]});
    let (found, _, _) = crawl(&[site.url("/docs")], only).await;
    assert_eq!(found, ["/docs/c.pdf"]);
}

#[tokio::test]
async fn redirects_stay_in_scope_and_end() {
    let other = Site::new(vec![("/elsewhere", html("no"))]).await;
    let site = Site::new(vec![
        ("/", to("/home")),
        (
            "/home",
            html(
                "<a href='/moved'></a><a href='/out'></a><a href='/ring1'></a><a href='/chain/'></a>",
            ),
        ),
        ("/moved", to("/there")),
        ("/there", html("there")),
        ("/out", to(&other.url("/elsewhere"))),
        ("/ring1", to("/ring2")),
        ("/ring2", to("/ring1")),
        ("/*", to("$pathx")),
    ])
    .await;
    let (pages, failures, end) = crawl(&[site.url("/")], json!({"scope": "HOST_ONLY"})).await;
    assert_eq!(pages, ["/home", "/there"]);
    assert_eq!(
        failures,
        [(
            "/chain/xxxxx".to_owned(),
            "it is moved more than 5 times".to_owned(),
            false
        )]
    );
    assert_eq!(end, None);
    assert!(other.asked().is_empty(), "{:?}", other.asked());

    let (_, failures, _) = crawl(&[site.url("/out")], json!({"scope": "HOST_ONLY"})).await;
    assert!(
        failures[0].1.ends_with("which is out of scope") && failures[0].2,
        "{failures:?}"
    );
}

#[tokio::test]
async fn an_endless_site_ends_at_its_limit() {
    let site = Site::new(vec![
        ("/robots.txt", plain("")),
        ("/*", html("<a href='$path1/'></a><a href='$path2/'></a>")),
    ])
    .await;
    let limits = json!({"crawlerLimits": {"maxPages": 5, "rateLimit": 300}});
    let (pages, _, end) = crawl(&[site.url("/")], limits).await;
    assert!(pages.len() <= 5);
    assert_eq!(
        end.as_deref(),
        Some("the crawl found more pages than its limit of 5")
    );
}
