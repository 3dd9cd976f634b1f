//! Event streams: events and exceptions as binary frames, and frames as events and exceptions.
//!
//! Headers stand in the order AWS sends them: `:event-type`, `:content-type`, `:message-type`. The
//! payload is the event's own structure, compact, keys sorted, text as raw UTF-8 (behaviour.md 0.2).

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use aws_smithy_types::str_bytes::StrBytes;
use bytes::{Buf as _, Bytes, BytesMut};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::operation::{EventStreamSpec, ServiceSpec};
use serde::Serialize;

use crate::render;

/// The largest frame a reader takes: AWS allows 16 MiB of payload and 128 KiB of headers.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024 + 128 * 1024 + 16;

/// Bytes of a frame's prelude: total length, headers length, checksum.
const PRELUDE_BYTES: usize = 12;

/// What a frame costs beside name and payload, rounded up; a hint for the buffer.
const FRAME_OVERHEAD_BYTES: usize = 128;

/// One event, ready to be framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedEvent {
    name: StrBytes,
    payload: Bytes,
}

impl EncodedEvent {
    /// Encodes an event, which is an externally tagged enum with one structure per variant.
    ///
    /// The tag and the structure are cut out of the enum's JSON, `{"name":{…}}`, since taking the
    /// structure apart and writing it again would cost more than all the rest.
    ///
    /// # Errors
    /// When the event cannot be written as JSON of that form.
    pub fn new<E: Serialize>(event: &E) -> Result<Self, Exception> {
        let json = serde_json::to_vec(event)
            .map(Bytes::from)
            .map_err(|error| {
                Exception::internal("an event cannot be written as JSON").with_source(error)
            })?;
        Self::cut(&json).ok_or_else(|| Exception::internal("an event is no tagged structure"))
    }

    fn cut(json: &Bytes) -> Option<Self> {
        const OPEN: usize = "{\"".len();
        const SEPARATOR: usize = "\":".len();
        let name_len = json.get(OPEN..)?.iter().position(|&byte| byte == b'"')?;
        let name = json.slice(OPEN..OPEN + name_len);
        let payload_start = OPEN + name_len + SEPARATOR;
        let payload_end = json.len().checked_sub("}".len())?;
        if !(json.starts_with(b"{\"") && json.get(payload_start) == Some(&b'{')) {
            return None;
        }
        Some(Self {
            name: StrBytes::try_from(name).ok()?,
            payload: json.slice(payload_start..payload_end),
        })
    }

    /// The event's name, `chunk`.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The JSON of its structure.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The frame.
    ///
    /// # Errors
    /// When the payload is larger than a frame may be.
    pub fn to_frame(&self) -> Result<Bytes, Exception> {
        let headers = vec![
            header(":event-type", self.name.clone()),
            header(":content-type", "application/json".into()),
            header(":message-type", "event".into()),
        ];
        frame(headers, self.payload.clone())
            .map_err(|detail| Exception::internal(format!("an event cannot be framed: {detail}")))
    }
}

/// The frame of an exception that ends a stream.
pub fn exception_frame(
    service: &'static ServiceSpec,
    stream: &EventStreamSpec,
    exception: &Exception,
) -> Bytes {
    let row = render::exception_row(service, stream.exceptions, exception.kind());
    let headers = vec![
        header(":exception-type", row.event.into()),
        header(":content-type", "application/json".into()),
        header(":message-type", "exception".into()),
    ];
    let body = render::exception_body(row, exception);
    // Only a message of 16 MiB cannot be framed, and none is made from unbounded text.
    frame(headers, body).unwrap_or_default()
}

fn header(name: &'static str, value: StrBytes) -> Header {
    Header::new(name, HeaderValue::String(value))
}

fn frame(headers: Vec<Header>, payload: Bytes) -> Result<Bytes, String> {
    let mut buffer = BytesMut::with_capacity(payload.len() + FRAME_OVERHEAD_BYTES);
    let message = Message::new_from_parts(headers, payload);
    write_message_to(&message, &mut buffer).map_err(|error| error.to_string())?;
    Ok(buffer.freeze())
}

/// Why bytes are no event stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame says it is larger than any may be.
    #[error("a frame of {0} bytes is larger than a frame may be")]
    TooLarge(usize),
    /// A checksum is wrong, or lengths contradict each other.
    #[error("a frame is malformed: {0}")]
    Malformed(String),
    /// A frame lacks a header every message has.
    #[error("a frame has no {0} header")]
    MissingHeader(&'static str),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An event: its name and the JSON of its structure.
    Event {
        /// `chunk`, `trace`, …
        name: String,
        /// JSON.
        payload: Bytes,
    },
    /// The exception that ends the stream.
    Exception {
        /// `throttlingException`, …
        name: String,
        /// JSON.
        payload: Bytes,
    },
}

/// Takes frames out of bytes as these arrive; holds at most one frame beyond what was pushed.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// Adds bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next whole frame, `None` if more bytes are needed.
    ///
    /// # Errors
    /// When the bytes are no frame; the stream cannot be read on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(mut prelude) = self.buffer.get(..PRELUDE_BYTES) else {
            return Ok(None);
        };
        let total = prelude.get_u32() as usize;
        if total > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge(total));
        }
        if total < PRELUDE_BYTES {
            return Err(FrameError::Malformed("shorter than its prelude".to_owned()));
        }
        if self.buffer.len() < total {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(total).freeze();
        let message =
            read_message_from(bytes).map_err(|error| FrameError::Malformed(error.to_string()))?;
        read_frame(&message).map(Some)
    }

    /// Checks that nothing is left when the stream has ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if a frame is incomplete.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Truncated)
        }
    }
}

fn read_frame(message: &Message) -> Result<Frame, FrameError> {
    let find = |name: &'static str| {
        let header = message
            .headers()
            .iter()
            .find(|header| header.name().as_str() == name);
        let value = header.and_then(|header| header.value().as_string().ok());
        value
            .map(StrBytes::as_str)
            .ok_or(FrameError::MissingHeader(name))
    };
    let payload = message.payload().clone();
    match find(":message-type")? {
        "exception" => Ok(Frame::Exception {
            name: find(":exception-type")?.to_owned(),
            payload,
        }),
        "error" => Ok(Frame::Exception {
            name: find(":error-code")?.to_owned(),
            payload,
        }),
        _ => Ok(Frame::Event {
            name: find(":event-type")?.to_owned(),
            payload,
        }),
    }
}

/// The kind an exception frame stands for; unknown ones count as faults of the server.
pub fn kind_of_event(service: &ServiceSpec, name: &str) -> ExceptionKind {
    let row = service.exceptions.iter().find(|row| row.event == name);
    row.map_or(ExceptionKind::InternalServer, |row| row.kind)
}

#[cfg(test)]
mod tests;
