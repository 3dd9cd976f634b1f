//! A server on the loopback interface that follows a script, one answer a request.
//!
//! Speaks just enough HTTP/1.1 for a test to decide when which bytes leave and when a connection ends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// One scripted answer.
pub(crate) struct Answer {
    head: String,
    pieces: Vec<Vec<u8>>,
    end: End,
}

/// What follows the last piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The end of the body; the connection stays open.
    Body,
    /// The connection breaks.
    Break,
    /// Nothing, until the client goes away.
    Silence,
}

impl Answer {
    /// An answer with a body of known length.
    pub(crate) fn whole(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self {
            head: format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n"),
            pieces: vec![body.as_bytes().to_vec()],
            end: End::Body,
        }
    }

    /// An answer in chunks, each written by itself.
    pub(crate) fn chunked(content_type: &str, pieces: &[&[u8]], end: End) -> Self {
        let mut framed: Vec<Vec<u8>> = pieces
            .iter()
            .map(|piece| {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(piece);
                chunk.extend_from_slice(b"\r\n");
                chunk
            })
            .collect();
        if end == End::Body {
            framed.push(b"0\r\n\r\n".to_vec());
        }
        Self {
            head: format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
            ),
            pieces: framed,
            end,
        }
    }

    /// No answer at all.
    pub(crate) fn nothing(end: End) -> Self {
        Self {
            head: String::new(),
            pieces: Vec::new(),
            end,
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Default)]
struct State {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    connections: Mutex<usize>,
    left: Notify,
}

/// The running server; it stops with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Server {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            answers: Mutex::new(answers.into_iter().collect()),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().expect("unpoisoned") += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("unpoisoned").clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().expect("unpoisoned")
    }

    /// Waits until a client has closed a connection it had no full answer on.
    pub(crate) async fn client_left(&self) {
        self.state.left.notified().await;
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).expect("an open socket");
    while let Some(request) = read_request(&mut stream).await {
        state.received.lock().expect("unpoisoned").push(request);
        let answer = state.answers.lock().expect("unpoisoned").pop_front();
        let Some(answer) = answer else { return };
        if stream.write_all(answer.head.as_bytes()).await.is_err() {
            return;
        }
        for piece in answer.pieces {
            if stream.write_all(&piece).await.is_err() {
                state.left.notify_one();
                return;
            }
            tokio::task::yield_now().await;
        }
        match answer.end {
            End::Body => {}
            End::Break => return,
            End::Silence => {
                let mut byte = [0];
                let read = stream.read(&mut byte).await;
                assert!(!matches!(read, Ok(1..)), "the client went on talking");
                state.left.notify_one();
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let body_start = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    };
    let head = String::from_utf8(bytes[..body_start].to_vec()).expect("an ASCII head");
    let length: usize = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0);
    while bytes.len() < body_start + length {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    Some(Received {
        head,
        body: bytes.split_off(body_start),
    })
}
