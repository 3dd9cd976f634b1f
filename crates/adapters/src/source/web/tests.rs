//! Against sites on this machine: the tests of what is polite, what is in scope and what ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use outcrop_engine::port::{CrawlError, CrawlEvent, Crawler};
use outcrop_model::control::WebDataSourceConfiguration;
use reqwest::Url;
use robotxt::Robots;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::frontier::{Frontier, Next, Origin, Rules, Visit, Work};
use super::links::links;
use super::scope::{Plan, canonical};
use super::{Pace, WebCrawler};
use crate::http::Timeouts;
use crate::http::egress::Egress;

/// What a site answers at a path: status, headers, body. Called with how often it was asked before.
type Answer = Box<dyn Fn(usize) -> Option<(u16, String, Vec<u8>)> + Send + Sync>;

/// A site that notes what it is asked for.
struct Site {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Site {
    async fn new(answers: Vec<(&str, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: BTreeMap<String, Answer> = answers
            .into_iter()
            .map(|(path, answer)| (path.to_owned(), answer))
            .collect();
        let answers = Arc::new(answers);
        let noted = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&noted)));
            }
        });
        Self {
            port,
            asked,
            _server: AbortOnDropHandle::new(server),
        }
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// Waits until a path has been asked for.
    async fn until_asked(&self, path: &str) {
        let wait = async {
            while !self.asked().iter().any(|asked| asked == path) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        waited.unwrap_or_else(|_| panic!("{path} is never asked for"));
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<BTreeMap<String, Answer>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let before = {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = asked.iter().filter(|other| **other == path).count();
        asked.push(path.clone());
        before
    };
    // "/*" answers for every path that has no answer of its own, with its path as the body's word.
    let answer = answers.get(&path).or_else(|| answers.get("/*"));
    let missing = Some((404, String::new(), b"none".to_vec()));
    let answered = answer.map_or(missing, |answer| answer(before));
    let Some((status, headers, body)) = answered else {
        // Says nothing, and keeps the connection until it is left.
        let _ = stream.read(&mut [0]).await;
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(format!("{path} is left"));
        return;
    };
    let body = String::from_utf8_lossy(&body).replace("$path", &path);
    let headers = headers.replace("$path", &path);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
}

fn answer<F>(answer: F) -> Answer
where
    F: Fn(usize) -> Option<(u16, String, Vec<u8>)> + Send + Sync + 'static,
{
    Box::new(answer)
}

fn html(body: &str) -> Answer {
    let body = format!("<html><body>{body}</body></html>").into_bytes();
    Box::new(move |_| {
        let header = "content-type: text/html; charset=utf-8\r\n".to_owned();
        Some((200, header, body.clone()))
    })
}

fn to(target: &str) -> Answer {
    let header = format!("location: {target}\r\n");
    Box::new(move |_| Some((302, header.clone(), Vec::new())))
}

fn plain(text: &'static str) -> Answer {
    Box::new(move |_| {
        let header = "content-type: text/plain\r\n".to_owned();
        Some((200, header, text.into()))
    })
}

fn crawler(allow: &[&str]) -> WebCrawler {
    let rules = allow.iter().map(|rule| rule.parse().expect("a rule"));
    WebCrawler {
        pace: Pace {
            minute: Duration::from_millis(300),
            retry: Duration::from_millis(5),
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                response: Duration::from_millis(300),
                idle: Duration::from_secs(5),
                overall: Duration::from_secs(10),
            },
        },
        ..WebCrawler::new(Egress::new(rules.collect()))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn configuration(seeds: &[String], crawler: Value) -> Arc<WebDataSourceConfiguration> {
    let seeds: Vec<Value> = seeds.iter().map(|url| json!({"url": url})).collect();
    let configuration = json!({
        "sourceConfiguration": {"urlConfiguration": {"seedUrls": seeds}},
        "crawlerConfiguration": crawler,
    });
    Arc::new(serde_json::from_value(configuration).expect("it has the API's shape"))
}

/// The paths of the pages, the failures, and how it ended.
async fn crawl(
    seeds: &[String],
    settings: Value,
) -> (Vec<String>, Vec<(String, String, bool)>, Option<String>) {
    let mut pages = Vec::new();
    let mut failures = Vec::new();
    let mut end = None;
    let mut stream = crawler(&["127.0.0.1"]).crawl(configuration(seeds, settings));
    while let Some(event) = stream.next().await {
        match event {
            Ok(CrawlEvent::Page(page)) => {
                let url: Url = page.url.parse().expect("a URL");
                pages.push(url[url::Position::BeforePath..].to_owned());
            }
            Ok(CrawlEvent::Failed { url, reason, hides }) => {
                let url: Url = url.parse().expect("a URL");
                failures.push((url.path().to_owned(), reason, hides));
            }
            Err(error) => end = Some(error.to_string()),
        }
    }
    pages.sort();
    (pages, failures, end)
}

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
        ("/docs/a", pages("<a href='/blog/x'></a>")),
        ("/docs/b", html("b")),
        ("/docs/c.pdf", plain("c")),
        ("/blog/x", html("x")),
    ])
    .await;
    let (found, _, _) = crawl(&[site.url("/docs/a")], json!({})).await;
    assert_eq!(found, ["/docs/a", "/docs/b", "/docs/c.pdf"]);
    // The seed is read for its links although it is not kept.
    let only = json!({"inclusionFilters": [".*\\.pdf$", ".*/b$"], "exclusionFilters": ["/b"]});
    let (found, _, _) = crawl(&[site.url("/docs/a")], only).await;
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
    crawler.pace.timeouts = super::TIMEOUTS;
    let mut stream = crawler.crawl(configuration(&[site.url("/")], json!({})));
    assert!(matches!(stream.next().await, Some(Ok(CrawlEvent::Page(_)))));
    site.until_asked("/silent").await;
    drop(stream);
    site.until_asked("/silent is left").await;
}

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
