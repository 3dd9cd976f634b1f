//! Server-sent events, parsed as the bytes come in.
//!
//! Follows the HTML standard's event-stream grammar (line ends LF, CRLF or CR; comments; a leading byte
//! order mark), minus reconnection: `id` and `retry` are skipped. A line that lies whole in a chunk is
//! read in place; buffers are reused from event to event. Invariant: how the bytes are cut into chunks
//! never changes the events.

/// The longest line, and the most data of one event. Some servers send a whole tool call, arguments and
/// all, as one event.
pub const EVENT_LIMIT: usize = 4 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A line or an event was longer than [`EVENT_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_LIMIT} bytes")]
pub struct EventTooLong;

/// The state between two chunks.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The data lines of the event being read, joined with LF.
    data: Vec<u8>,
    has_data: bool,
    /// The last chunk ended in CR: a LF at the start of the next belongs to it.
    after_cr: bool,
    /// A byte order mark can only stand before the first line.
    past_start: bool,
}

impl SseParser {
    /// Takes the next chunk and calls `sink` with the data of each event it completes.
    ///
    /// # Errors
    /// `sink`'s first error, or [`EventTooLong`]. Either ends the stream: the parser's state is then
    /// of no use.
    pub fn push<E: From<EventTooLong>>(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        if self.after_cr
            && let Some((&first, tail)) = rest.split_first()
        {
            self.after_cr = false;
            if first == b'\n' {
                rest = tail;
            }
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, tail) = rest.split_at(end);
            rest = match tail {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
                [] => &[],
            };
            if self.partial.is_empty() {
                self.line(line, &mut sink)?;
            } else {
                self.keep(line)?;
                let whole = std::mem::take(&mut self.partial);
                let result = self.line(&whole, &mut sink);
                self.partial = whole;
                self.partial.clear();
                result?;
            }
        }
        self.keep(rest)?;
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.partial.len() + bytes.len() > EVENT_LIMIT {
            return Err(EventTooLong);
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn line<E: From<EventTooLong>>(
        &mut self,
        line: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = if self.past_start {
            line
        } else {
            self.past_start = true;
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        };
        if line.is_empty() {
            if !self.has_data {
                return Ok(());
            }
            self.has_data = false;
            let data = std::mem::take(&mut self.data);
            let result = sink(&data);
            self.data = data;
            self.data.clear();
            return result;
        }
        // The vendors repeat the event's name inside the data, so `event:` lines carry nothing new.
        if let Some(value) = field(line, b"data") {
            if self.data.len() + value.len() > EVENT_LIMIT {
                return Err(EventTooLong.into());
            }
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        }
        Ok(())
    }
}

/// The value of `line` if it sets the field `name`: what follows the colon, minus one space.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            let pushed: Result<(), EventTooLong> = parser.push(chunk, |data| {
                events.push(String::from_utf8_lossy(data).into_owned());
                Ok(())
            });
            pushed.expect("short events");
        }
        events
    }

    #[test]
    fn follows_the_standard() {
        let stream = b"\xEF\xBB\xBFevent: a\ndata: one\n\n: keep-alive\n\ndata:two\r\ndata:  three\r\n\r\nid: 4\rdata\rdata:\r\rdatax: no\n\ndata: lost";
        assert_eq!(events(&[stream]), ["one", "two\n three", "\n"]);
    }

    #[test]
    fn chunk_boundaries_do_not_matter() {
        let stream =
            "data: {\"a\":\"é\"}\r\n\r\n:x\n\ndata: b\rdata: c\r\rdata: [DONE]\n\n".as_bytes();
        let whole = events(&[stream]);
        assert_eq!(whole, ["{\"a\":\"é\"}", "b\nc", "[DONE]"]);
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(events(&[head, tail]), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(events(&bytes), whole);
    }

    #[test]
    fn refuses_a_line_without_end() {
        let mut parser = SseParser::default();
        let chunk = vec![b'x'; EVENT_LIMIT];
        let mut push = |chunk: &[u8]| parser.push::<EventTooLong>(chunk, |_| Ok(()));
        assert_eq!(push(&chunk), Ok(()));
        assert_eq!(push(b"y"), Err(EventTooLong));
    }
}
