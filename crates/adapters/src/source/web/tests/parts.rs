//! The parts without a network: turns of hosts, what a configuration means, URLs and links.

use std::time::Duration;

use reqwest::Url;
use robotxt::Robots;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::frontier::{Frontier, Next, Origin, Rules, Visit, Work};
use super::super::links::links;
use super::super::scope::{Plan, canonical};
use super::configuration;

/// Which host is served now, or that none is.
fn served(frontier: &mut Frontier, now: Instant) -> Option<Origin> {
    match frontier.next(now) {
        Next::Now(origin, _) => Some(origin),
        Next::At(_) | Next::Busy | Next::Done => None,
    }
}

#[tokio::test]
async fn hosts_take_turns_and_wait() {
    let second = Duration::from_secs(1);
    let now = Instant::now();
    let mut frontier = Frontier::new(second, 5);
    for url in [
        "http://a/1",
        "http://a/2",
        "http://a/1",
        "http://b/1",
        "http://b/2",
    ] {
        let visit = Visit {
            url: url.parse().expect("a URL"),
            seed: false,
            hops: 0,
            tries: 0,
        };
        frontier.add(visit, now).expect("there is room");
    }
    let (a, b) = ("http://a".to_owned(), "http://b".to_owned());
    // Both begin with their robots.txt.
    assert_eq!(served(&mut frontier, now), Some(a.clone()));
    assert_eq!(served(&mut frontier, now), Some(b.clone()));
    assert!(matches!(frontier.next(now), Next::Busy));
    let minute = Duration::from_mins(1);
    frontier.learn(&a, Rules::Known(Robots::allow_all()), minute, now);
    let slow = Robots::parse(b"User-agent: *\nCrawl-delay: 3600\n", "x");
    frontier.learn(&b, Rules::Known(slow), minute, now);
    assert!(matches!(frontier.next(now), Next::At(at) if at == now + second));
    let Next::Now(origin, Work::Page(visit, _)) = frontier.next(now + second) else {
        panic!("its time has come");
    };
    assert_eq!((&origin, visit.url.path()), (&a, "/1"));
    // An hour is too much to ask for: a minute it is.
    assert!(matches!(frontier.next(now + second), Next::At(at) if at == now + minute));
    frontier.again(&a, visit, 5 * second, now + second);
    assert!(matches!(frontier.next(now + second), Next::At(at) if at == now + 6 * second));
    let Next::Now(_, Work::Page(visit, _)) = frontier.next(now + 6 * second) else {
        panic!("its time has come");
    };
    assert_eq!(visit.url.path(), "/1");
    frontier.free(&a);
    assert_eq!(served(&mut frontier, now + minute), Some(b));
    assert_eq!(served(&mut frontier, now + minute), Some(a));
}

#[test]
fn http_and_https_of_a_host_share_its_rate() {
    let (second, now) = (Duration::from_secs(1), Instant::now());
    let mut frontier = Frontier::new(second, 5);
    for url in ["http://a/1", "https://a/1", "https://b/1"] {
        let visit = Visit {
            url: url.parse().expect("a URL"),
            seed: false,
            hops: 0,
            tries: 0,
        };
        frontier.add(visit, now).expect("there is room");
    }
    assert_eq!(served(&mut frontier, now), Some("http://a".to_owned()));
    assert_eq!(served(&mut frontier, now), Some("https://b".to_owned()));
    assert!(matches!(frontier.next(now), Next::At(at) if at == now + second));
    let served = served(&mut frontier, now + second);
    assert_eq!(served, Some("https://a".to_owned()));
}

#[test]
fn what_cannot_be_followed_is_told() {
    let plan = |seed: &str, crawler: Value| {
        Plan::of(&configuration(&[seed.to_owned()], crawler))
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let seed = "https://example.com/";
    assert_eq!(plan(seed, json!({})), Ok(()));
    let error = plan(seed, json!({"inclusionFilters": ["("]})).expect_err("no pattern");
    assert!(
        error.starts_with("the web data source cannot be crawled: the filter (:"),
        "{error}"
    );
    plan(seed, json!({"exclusionFilters": ["(\\w{1000}){1000}"]})).expect_err("too large");
    plan("ftp://example.com/", json!({})).expect_err("no web page");
    plan("https://", json!({})).expect_err("no host");
    plan(seed, json!({"userAgent": "line\nbreak-in-a-header"})).expect_err("no header");
}

#[test]
fn scopes() {
    let covers = |scope: Option<&str>, seed: &str, url: &str| {
        let crawler = scope.map_or(json!({}), |scope| json!({"scope": scope}));
        let plan = Plan::of(&configuration(&[seed.to_owned()], crawler)).expect("it is valid");
        plan.covers(&url.parse().expect("a URL"))
    };
    let docs = "https://www.example.com/docs/index.html";
    for (scope, url, expected) in [
        (None, "https://www.example.com/docs/a/b", true),
        (None, "http://www.example.com/docs/a", true),
        (None, "https://www.example.com/blog", false),
        (None, "https://www.example.com:8443/docs/a", false),
        (None, "https://example.com/docs/a", false),
        (Some("HOST_ONLY"), "https://www.example.com/blog", true),
        (Some("HOST_ONLY"), "https://docs.example.com/", false),
        (Some("SUBDOMAINS"), "https://docs.example.com/", true),
        (Some("SUBDOMAINS"), "https://example.com/", true),
        (Some("SUBDOMAINS"), "https://badexample.com/", false),
        (Some("SUBDOMAINS"), "https://example.com.evil.org/", false),
    ] {
        assert_eq!(covers(scope, docs, url), expected, "{scope:?} {url}");
    }
    for (seed, url, expected) in [
        ("https://a.com/docs", "https://a.com/docs", true),
        ("https://a.com/docs", "https://a.com/docs/x/y", true),
        ("https://a.com/docs", "https://a.com/docs?page=2", true),
        ("https://a.com/docs", "https://a.com/docs-old", false),
        ("https://a.com/docs", "https://a.com/", false),
        ("https://a.com/docs/", "https://a.com/docs", true),
        ("https://a.com/docs/", "https://a.com/docs.html", false),
        (
            "https://a.com/docs/v1.html",
            "https://a.com/docs/v2.html",
            true,
        ),
        ("https://a.com", "https://a.com/anything", true),
    ] {
        assert_eq!(covers(None, seed, url), expected, "{seed} {url}");
    }
    assert!(!covers(
        Some("SUBDOMAINS"),
        "http://10.0.0.1/",
        "http://110.0.0.1/"
    ));
}

#[test]
fn one_page_has_one_url() {
    for (url, expected) in [
        (
            "HTTP://User:pw@Example.COM:80/a/../b#c",
            Some("http://example.com/b"),
        ),
        (
            "https://example.com/?utm_source=x&id=2&gclid=3",
            Some("https://example.com/?id=2"),
        ),
        ("https://example.com/?", Some("https://example.com/")),
        ("mailto:me@example.com", None),
        ("javascript:void(0)", None),
    ] {
        let found = canonical(url.parse().expect("a URL"));
        assert_eq!(found.as_ref().map(Url::as_str), expected, "{url}");
    }
    let long = format!("https://example.com/{}", "a/".repeat(2000));
    assert_eq!(canonical(long.parse().expect("a URL")), None);
}

#[test]
fn links_of_hostile_pages() {
    let page: Url = "https://example.com/x/".parse().expect("a URL");
    let many = "<a href=y>".repeat(20_000);
    assert_eq!(links(&page, many.as_bytes()).len(), 10_000);
    for html in [
        "<a href='",
        "<a href",
        "<",
        "<a href=http://[>",
        "\u{0}<a \u{0}href=\u{0}>",
    ] {
        links(&page, html.as_bytes());
    }
    let begin = std::time::Instant::now();
    let mut attributes = b"<a ".to_vec();
    for number in 0..200_000 {
        attributes.extend_from_slice(format!("a{number}=1 ").as_bytes());
    }
    assert!(links(&page, &attributes).is_empty());
    assert!(begin.elapsed() < Duration::from_secs(5));
}
