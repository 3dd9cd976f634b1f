//! The listener against peers that are slow, greedy, broken or gone. Over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::Server;
use super::body::BodyReader;
use crate::config::HttpLimits;

/// No test waits longer for something that must happen.
const SOON: Duration = Duration::from_secs(10);

fn limits() -> HttpLimits {
    HttpLimits {
        connections: 2_000,
        header_bytes: 8 * 1024,
        header_count: 32,
        header_timeout: Duration::from_secs(1),
        request_body_bytes: 64 * 1024,
        buffered_body_bytes: 128 * 1024,
        body_timeout: Duration::from_secs(1),
    }
}

/// Answers a body with its length.
fn echo_length(limits: &HttpLimits) -> Router {
    let bodies = BodyReader::new(limits);
    Router::new().route(
        "/length",
        post(move |request: Request<Body>| {
            let bodies = bodies.clone();
            async move {
                let (head, body) = request.into_parts();
                match bodies.read(&head, body).await {
                    Ok(received) => Response::new(Body::from(received.bytes.len().to_string())),
                    Err(refusal) => refusal.response("request-1"),
                }
            }
        }),
    )
}

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(limits: HttpLimits, router: Router, grace: Duration) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits)
            .await
            .unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(server.run(router, stopped, grace));
        Self {
            address,
            stop: Some(stop),
            task,
        }
    }

    async fn plain() -> Self {
        Self::start(limits(), echo_length(&limits()), Duration::from_secs(1)).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The whole answer to bytes sent as they are, until the server closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        until_closed(&mut stream).await
    }

    async fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        tokio::time::timeout(SOON, &mut self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

fn request(length: &str, body: &str) -> String {
    format!("POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}\r\n\r\n{body}")
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[tokio::test]
async fn bodies_whole_and_chunked() {
    let server = Running::plain().await;
    let answer = server
        .raw(request("content-length: 5", "hello").as_bytes())
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n5"),
        "{answer}"
    );
    let chunked = request(
        "transfer-encoding: chunked",
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );
    let answer = server.raw(chunked.as_bytes()).await;
    assert!(answer.ends_with("\r\n\r\n11"), "{answer}");
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_413() {
    let server = Running::plain().await;
    let large = "x".repeat(100_000);
    let announced = server
        .raw(request("content-length: 100000", &large).as_bytes())
        .await;
    assert_eq!(status(&announced), "413");
    assert!(
        announced.contains("x-amzn-errortype: RequestTooLargeException"),
        "{announced}"
    );
    assert!(
        announced.contains("limits.request_body_bytes"),
        "{announced}"
    );
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let counted = server
        .raw(request("transfer-encoding: chunked", &chunked).as_bytes())
        .await;
    assert_eq!(status(&counted), "413");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_first() {
    let server = Running::plain().await;
    let large = server
        .raw(request("expect: 100-continue\r\ncontent-length: 100000", "").as_bytes())
        .await;
    assert_eq!(status(&large), "413");

    let mut stream = server.connect().await;
    let head = request("expect: 100-continue\r\ncontent-length: 5", "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0; 25];
    tokio::time::timeout(SOON, stream.read_exact(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(status(&until_closed(&mut stream).await), "200");
}

#[tokio::test]
async fn bodies_that_stop_are_refused() {
    let server = Running::plain().await;
    let slow = server
        .raw(request("content-length: 50", "half").as_bytes())
        .await;
    assert_eq!(status(&slow), "408");

    let mut stream = server.connect().await;
    let head = request("content-length: 50", "half");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let truncated = until_closed(&mut stream).await;
    assert!(
        truncated.is_empty() || status(&truncated) == "400",
        "{truncated}"
    );
}

#[tokio::test]
async fn bodies_share_a_budget() {
    let server = Running::plain().await;
    let head = request("content-length: 60000", "");
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        waiting.push(stream);
    }
    // Both are in the hands of the server once a third finds no room.
    let deadline = Instant::now() + SOON;
    loop {
        let answer = server
            .raw(request("content-length: 60000", &"x".repeat(60_000)).as_bytes())
            .await;
        if status(&answer) == "429" {
            assert!(answer.contains("ThrottlingException"), "{answer}");
            break;
        }
        assert!(Instant::now() < deadline, "{answer}");
    }
    drop(waiting);
    let deadline = Instant::now() + SOON;
    while status(
        &server
            .raw(request("content-length: 60000", &"x".repeat(60_000)).as_bytes())
            .await,
    ) != "200"
    {
        assert!(Instant::now() < deadline, "the budget was not given back");
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_are_431() {
    let server = Running::plain().await;
    let large = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n",
        "y".repeat(1_000_000)
    );
    assert_eq!(status(&server.raw(large.as_bytes()).await), "431");
    let many = "x-many: y\r\n".repeat(200);
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert_eq!(status(&server.raw(many.as_bytes()).await), "431");
}

#[tokio::test]
async fn garbage_is_refused_after_it_was_sent() {
    let server = Running::plain().await;
    let garbage: Vec<u8> = (1..=255).cycle().take(50_000).collect();
    assert_eq!(status(&server.raw(&garbage).await), "400");
}

#[tokio::test]
async fn heads_that_stop_end_the_connection() {
    let server = Running::plain().await;
    // Nothing, a byte that both protocols begin with, part of the HTTP/2 preface, part of a head.
    for begun in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost"] {
        let begun_at = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut rest))
            .await
            .unwrap();
        let waited = begun_at.elapsed();
        assert!(
            waited < Duration::from_secs(5),
            "{begun:?} held on for {waited:?}"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_ends_between_two_requests() {
    let server = Running::plain().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let few = HttpLimits {
        connections: 2,
        header_timeout: SOON,
        ..limits()
    };
    let server = Running::start(few.clone(), echo_length(&few), Duration::from_secs(1)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        // An answer shows that the connection is counted.
        stream
            .write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        let mut one = [0; 1];
        stream.read_exact(&mut one).await.unwrap();
        held.push(stream);
    }
    let refused = server
        .raw(request("content-length: 0", "").as_bytes())
        .await;
    assert_eq!(status(&refused), "503");
    assert!(refused.contains("ServiceUnavailableException"), "{refused}");
    drop(held);
    let deadline = Instant::now() + SOON;
    while status(
        &server
            .raw(request("content-length: 0", "").as_bytes())
            .await,
    ) != "200"
    {
        assert!(Instant::now() < deadline, "no slot was given back");
    }
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn idle_connections_cost_little() {
    const IDLE: usize = 400; // both ends are in this process, whose soft limit may be 1,024
    let patient = HttpLimits {
        header_timeout: SOON,
        ..limits()
    };
    let server = Running::start(
        patient.clone(),
        echo_length(&patient),
        Duration::from_secs(1),
    )
    .await;
    let before = rss_kib();
    let mut idle = Vec::new();
    for number in 0..IDLE {
        let mut stream = server.connect().await;
        if number % 2 == 0 {
            stream.write_all(b"POST /length HT").await.unwrap();
        }
        idle.push(stream);
    }
    let begun = Instant::now();
    let answer = server
        .raw(request("content-length: 5", "hello").as_bytes())
        .await;
    assert_eq!(status(&answer), "200");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let each = rss_kib().saturating_sub(before) / IDLE as u64;
    assert!(each < 64, "an idle connection costs {each} KiB");
}

#[tokio::test]
async fn http2_without_tls() {
    let server = Running::plain().await;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(
            rustls::ClientConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
        )
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let response = client
        .post(format!("http://{}/length", server.address))
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.text().await.unwrap(), "5");
}

/// Says when a handler has begun and whether it was dropped.
#[derive(Clone, Default)]
struct Watched {
    begun: Arc<Notify>,
    dropped: Arc<Notify>,
    was_dropped: Arc<AtomicBool>,
}

struct OnDrop(Watched);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.was_dropped.store(true, Ordering::SeqCst);
        self.0.dropped.notify_one();
    }
}

fn watched_router(watched: &Watched, lasts: Duration) -> Router {
    let watched = watched.clone();
    Router::new().route(
        "/slow",
        get(move || {
            let watched = watched.clone();
            async move {
                let guard = OnDrop(watched.clone());
                watched.begun.notify_one();
                tokio::time::sleep(lasts).await;
                std::mem::forget(guard);
                "done"
            }
        }),
    )
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let watched = Watched::default();
    let router = watched_router(&watched, Duration::from_mins(1));
    let server = Running::start(limits(), router, Duration::from_secs(1)).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    watched.begun.notified().await;
    drop(stream);
    tokio::time::timeout(SOON, watched.dropped.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn stopping_lets_requests_finish() {
    let watched = Watched::default();
    let router = watched_router(&watched, Duration::from_millis(300));
    let mut server = Running::start(limits(), router, SOON).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    watched.begun.notified().await;
    server.stop().await;
    assert!(until_closed(&mut stream).await.ends_with("done"));
    assert!(!watched.was_dropped.load(Ordering::SeqCst));
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_cancels_what_takes_too_long() {
    let watched = Watched::default();
    let router = watched_router(&watched, Duration::from_mins(1));
    let mut server = Running::start(limits(), router, Duration::from_millis(100)).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    watched.begun.notified().await;
    server.stop().await;
    assert!(watched.was_dropped.load(Ordering::SeqCst));
}
