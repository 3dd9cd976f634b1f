//! The binary event stream, both ways: frames to write, and a reader that takes bytes as they come.

use anyhow::{Context as _, Result};
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};

/// One event frame with a JSON payload, in the header order AWS uses.
pub fn event(event_type: &str, payload: Bytes) -> Bytes {
    frame(
        &[
            (":event-type", event_type),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ],
        payload,
    )
}

/// One exception frame.
pub fn exception(exception_type: &str, payload: Bytes) -> Bytes {
    frame(
        &[
            (":exception-type", exception_type),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ],
        payload,
    )
}

fn frame(headers: &[(&str, &str)], payload: Bytes) -> Bytes {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            Header::new(
                (*name).to_owned(),
                HeaderValue::String((*value).to_owned().into()),
            )
        })
        .collect();
    let mut out = Vec::with_capacity(payload.len() + 128);
    write_message_to(&Message::new_from_parts(headers, payload), &mut out)
        .expect("the stub's frames are far below the format's limits");
    out.into()
}

/// Reads frames out of a byte stream and keeps what is not yet whole.
#[derive(Default)]
pub struct Reader {
    decoder: MessageFrameDecoder,
    pending: BytesMut,
}

impl Reader {
    /// Adds bytes as received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// A frame with a broken checksum or length.
    pub fn next_frame(&mut self) -> Result<Option<Message>> {
        let decoded = self
            .decoder
            .decode_frame(&mut self.pending)
            .context("event stream frame")?;
        Ok(match decoded {
            DecodedFrame::Complete(message) => Some(message),
            DecodedFrame::Incomplete => None,
        })
    }

    /// Whether bytes of an unfinished frame are left over.
    pub fn is_mid_frame(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// The string value of a frame's header.
pub fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message
        .headers()
        .iter()
        .find(|header| header.name().as_str() == name)
        .and_then(|header| header.value().as_string().ok())
        .map(aws_smithy_types::str_bytes::StrBytes::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let mut wire = event("chunk", Bytes::from_static(b"{\"a\":1}")).to_vec();
        wire.extend_from_slice(&exception("throttlingException", Bytes::from_static(b"{}")));
        let mut reader = Reader::default();
        let mut seen = Vec::new();
        for byte in wire {
            reader.push(&[byte]);
            while let Some(message) = reader.next_frame().expect("good frames") {
                seen.push((
                    header(&message, ":message-type").map(str::to_owned),
                    message.payload().clone(),
                ));
            }
        }
        assert_eq!(
            seen,
            [
                (Some("event".to_owned()), Bytes::from_static(b"{\"a\":1}")),
                (Some("exception".to_owned()), Bytes::from_static(b"{}"))
            ]
        );
        assert!(!reader.is_mid_frame());
    }
}
