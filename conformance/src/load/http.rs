//! One kept-alive HTTP/1.1 connection, without a pool, so that nothing but the server is measured.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An open connection to one server.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

/// A whole response.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body, read to the end.
    pub body: Bytes,
}

impl Connection {
    /// Connects to the host and port of `url`.
    ///
    /// # Errors
    /// An URL without an authority, or a server that is not there.
    pub async fn open(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
        let authority = uri
            .authority()
            .context("an URL without a host")?
            .to_string();
        let stream = TcpStream::connect(&authority)
            .await
            .with_context(|| format!("connect to {authority}"))?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("handshake")?;
        tokio::spawn(async move {
            // Its end shows at the next request.
            let _ = connection.await;
        });
        Ok(Self { sender, authority })
    }

    /// Sends one request and reads its answer whole.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        self.sender.ready().await.context("connection")?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .context("request")?;
        let response = self.sender.send_request(request).await.context("send")?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .context("body")?
            .to_bytes();
        Ok(Answer { status, body })
    }

    /// The same for a POST that must succeed.
    ///
    /// # Errors
    /// Also when the status is no success; the error quotes the body.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        let answer = self.send(Method::POST, path, body).await?;
        ensure!(
            answer.status.is_success(),
            "POST {path} answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.body)
    }
}
