//! A site on this machine that answers as told and notes what it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What a site answers at a path: status, headers, body. Called with how often it was asked before.
pub(super) type Answer = Box<dyn Fn(usize) -> Option<(u16, String, Vec<u8>)> + Send + Sync>;

/// A site that notes what it is asked for.
pub(super) struct Site {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Site {
    pub(super) async fn new(answers: Vec<(&str, Answer)>) -> Self {
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

    pub(super) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// Waits until a path has been asked for.
    pub(super) async fn until_asked(&self, path: &str) {
        let wait = async {
            while !self.asked().iter().any(|asked| asked == path) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        waited.unwrap_or_else(|_| panic!("{path} is never asked for"));
    }

    pub(super) fn url(&self, path: &str) -> String {
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

pub(super) fn answer<F>(answer: F) -> Answer
where
    F: Fn(usize) -> Option<(u16, String, Vec<u8>)> + Send + Sync + 'static,
{
    Box::new(answer)
}

pub(super) fn html(body: &str) -> Answer {
    let body = format!("<html><body>{body}</body></html>").into_bytes();
    Box::new(move |_| {
        let header = "content-type: text/html; charset=utf-8\r\n".to_owned();
        Some((200, header, body.clone()))
    })
}

pub(super) fn to(target: &str) -> Answer {
    let header = format!("location: {target}\r\n");
    Box::new(move |_| Some((302, header.clone(), Vec::new())))
}

pub(super) fn plain(text: &'static str) -> Answer {
    Box::new(move |_| {
        let header = "content-type: text/plain\r\n".to_owned();
        Some((200, header, text.into()))
    })
}
