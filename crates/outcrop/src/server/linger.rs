//! Closing without losing the last answer.
//!
//! A socket closed while bytes lie unread in it is reset, and a reset throws away what the peer has
//! not read yet: the answer that says why. So the server stops writing, reads on for a while, and
//! only then closes (what others call a lingering close). HTTP keeps the stream to itself; [`lend`]
//! gets it back when HTTP is done with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Long enough for a peer to finish what it was sending and read the answer.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Lends a stream out: whoever drops the first part sends it to the second.
pub(crate) fn lend(stream: TcpStream) -> (Lent, oneshot::Receiver<TcpStream>) {
    let (back, returned) = oneshot::channel();
    let lent = Lent {
        stream: Some(stream),
        back: Some(back),
    };
    (lent, returned)
}

/// Ends a connection: stops writing, then reads at most `limit_bytes` for a short time.
pub(crate) async fn close(mut stream: TcpStream, limit_bytes: usize) {
    let ending = async {
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(limit_bytes as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // It is a courtesy: whether the peer took it changes nothing.
    let _ = tokio::time::timeout(LINGER_TIME, ending).await;
}

/// A stream that goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lent {
    /// Taken only by `drop`.
    stream: Option<TcpStream>,
    back: Option<oneshot::Sender<TcpStream>>,
}

impl Lent {
    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(stream))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it when the connection was cancelled; then it simply closes.
            let _ = back.send(stream);
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
