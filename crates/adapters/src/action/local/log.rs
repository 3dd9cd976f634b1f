//! What a worker prints: kept as the last few kilobytes of the invocation, and passed line by line to
//! the server's own debug log.
//!
//! Standard output and standard error share one pipe, so their order is the handler's. The pipe is
//! read by a background task, and once more by hand when an invocation ends: a handler flushes before
//! it answers, so at that moment everything it printed is in the pipe, and the tail is complete
//! without waiting for the task to be scheduled. Memory is bounded whatever the handler prints.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::unix::pipe::Receiver;
use tracing::debug;

/// Lambda's own size of a log tail (`LogResult`).
const TAIL_BYTES: usize = 4 * 1024;
/// A longer line is logged in pieces.
const LINE_BYTES: usize = 8 * 1024;
/// One read: small enough for the stack, and a pipe holds eight of it.
const READ_BYTES: usize = 8 * 1024;
/// How often the pipe is read in a row before others get their turn: a handler with a thread that
/// prints without end must not hold the server.
const READS_IN_A_ROW: usize = 64;

/// The reading end of a worker's output.
#[derive(Debug)]
pub(super) struct LogCapture {
    pipe: Receiver,
    function: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tail: VecDeque<u8>,
    line: Vec<u8>,
}

impl LogCapture {
    /// A capture for `function`, and the end to give to the process.
    pub(super) fn new(function: &str) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let capture = Self {
            pipe: Receiver::from_owned_fd(OwnedFd::from(reader))?,
            function: function.to_owned(),
            kept: Mutex::default(),
        };
        Ok((capture, writer))
    }

    /// Reads until every holder of the writing end is gone.
    pub(super) async fn pump(&self) {
        while let Ok(()) = self.pipe.readable().await {
            match self.read_available(|buffer| self.pipe.try_read(buffer)) {
                Available::Nothing => {}
                Available::More => tokio::task::yield_now().await,
                Available::Ended => return,
            }
        }
    }

    /// Forgets what was printed so far, such as by a thread left over from the previous invocation.
    pub(super) fn reset(&self) {
        self.drain();
        self.kept().tail.clear();
    }

    /// The last 4 KB printed since the last reset, with whatever is still in the pipe.
    pub(super) fn tail(&self) -> Option<String> {
        self.drain();
        let kept = self.kept();
        let (front, back) = kept.tail.as_slices();
        let text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
        (!text.is_empty()).then(|| readable(&text))
    }

    /// Reads past the runtime's own idea of whether there is something to read: it learns of that
    /// only when it next looks.
    fn drain(&self) {
        self.read_available(|buffer| Ok(rustix::io::read(&self.pipe, buffer)?));
    }

    fn read_available(&self, read: impl Fn(&mut [u8]) -> io::Result<usize>) -> Available {
        let mut kept = self.kept();
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_IN_A_ROW {
            match read(&mut buffer) {
                Ok(0) => return Available::Ended,
                Ok(count) => kept.take(&self.function, buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Available::Nothing;
                }
                Err(_) => return Available::Ended,
            }
        }
        Available::More
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Available {
    Nothing,
    More,
    Ended,
}

impl Kept {
    fn take(&mut self, function: &str, bytes: &[u8]) {
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE_BYTES {
                let text = String::from_utf8_lossy(&self.line);
                debug!(function, line = %readable(text.trim_end()), "function output");
                self.line.clear();
            }
        }
    }
}

/// Undoes the runtime client's own framing: it writes a traceback as one log event, its lines
/// divided by carriage returns and indented with no-break spaces.
fn readable(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\u{a0}', " ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{LogCapture, TAIL_BYTES};

    #[tokio::test]
    async fn the_tail_is_complete_without_the_pump() {
        let (log, mut writer) = LogCapture::new("f").expect("a pipe");
        assert_eq!(log.tail(), None);
        writer
            .write_all(b"one\ntwo\rthree\n")
            .expect("the pipe takes it");
        assert_eq!(log.tail().as_deref(), Some("one\ntwo\nthree\n"));
        log.reset();
        assert_eq!(log.tail(), None);
    }

    #[tokio::test]
    async fn the_tail_is_bounded_and_ends_with_the_newest() {
        let (log, mut writer) = LogCapture::new("f").expect("a pipe");
        for number in 0..2_000 {
            writeln!(writer, "line {number}").expect("the pipe takes it");
        }
        let tail = log.tail().expect("something was printed");
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with("line 1999\n"), "{tail}");
    }

    #[tokio::test]
    async fn the_pump_ends_with_the_last_writer() {
        let (log, mut writer) = LogCapture::new("f").expect("a pipe");
        writer.write_all(b"bye").expect("the pipe takes it");
        drop(writer);
        log.pump().await;
        assert_eq!(log.tail().as_deref(), Some("bye"));
    }
}
