//! What a worker prints: kept as the last few kilobytes of the invocation, and passed line by line to
//! the server's own log, with the function's name and the invocation's id.
//!
//! Standard output and standard error share one pipe, so their order is the handler's. The pipe is
//! read by a background task, and once more by hand when an invocation ends: a handler flushes before
//! it answers, so at that moment everything it printed is in the pipe, and the tail is complete
//! without waiting for the task to be scheduled. Memory is bounded whatever the handler prints, and so
//! is what one invocation adds to the server's log.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::unix::pipe::Receiver;
use tracing::info;

/// The target of a function's lines in the server's log, for filters: `info,function=off`.
const TARGET: &str = "function";
/// What one invocation may add to the server's log: enough for a stack trace or two, and for nobody to
/// drown the lines of the others.
const LOGGED_BYTES: usize = 64 * 1024;
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
pub(in crate::action) struct LogCapture {
    pipe: Receiver,
    function: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tail: VecDeque<u8>,
    line: Vec<u8>,
    request_id: String,
    logged: usize,
}

impl LogCapture {
    /// A capture for `function`, and the end to give to the process.
    pub(in crate::action) fn new(function: &str) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let capture = Self {
            pipe: Receiver::from_owned_fd(OwnedFd::from(reader))?,
            function: function.to_owned(),
            kept: Mutex::default(),
        };
        Ok((capture, writer))
    }

    /// Reads until every holder of the writing end is gone.
    pub(in crate::action) async fn pump(&self) {
        while let Ok(()) = self.pipe.readable().await {
            match self.read_available(|buffer| self.pipe.try_read(buffer)) {
                Available::Nothing => {}
                Available::More => tokio::task::yield_now().await,
                Available::Ended => return,
            }
        }
    }

    /// From here on, output is that of the invocation `request_id`. What was printed before, such as by
    /// a thread left over from the previous one, is forgotten unless `keep` says otherwise.
    pub(super) fn begin(&self, request_id: &str, keep: bool) {
        self.drain();
        let mut kept = self.kept();
        kept.end_line(&self.function);
        if !keep {
            kept.tail.clear();
        }
        kept.request_id.clear();
        kept.request_id.push_str(request_id);
        kept.logged = 0;
    }

    /// The last 4 KB printed by the invocation, with whatever is still in the pipe.
    pub(in crate::action) fn tail(&self) -> Option<String> {
        self.drain();
        let mut kept = self.kept();
        kept.end_line(&self.function);
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
        if self.logged > LOGGED_BYTES {
            return;
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE_BYTES {
                self.end_line(function);
            }
        }
    }

    /// Logs the line as far as it has come.
    fn end_line(&mut self, function: &str) {
        if self.line.is_empty() || self.logged > LOGGED_BYTES {
            self.line.clear();
            return;
        }
        self.logged += self.line.len();
        let request_id = self.request_id.as_str();
        let text = readable(String::from_utf8_lossy(&self.line).trim_end());
        info!(target: TARGET, function, request_id, "{text}");
        if self.logged > LOGGED_BYTES {
            let bytes = self.logged;
            info!(target: TARGET, function, request_id, bytes, "the rest of its output is not logged");
        }
        self.line.clear();
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
        log.begin("id", true);
        assert!(log.tail().is_some());
        log.begin("id", false);
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
