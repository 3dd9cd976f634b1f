//! The body of an answer: whole, or a stream of event frames.

use std::fmt;

use bytes::Bytes;
use futures_core::stream::BoxStream;

/// A response body. The HTTP edge adapts it to its server.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Frames as they come. Dropping it cancels the operation.
    Stream(BoxStream<'static, Bytes>),
}

impl Body {
    /// The bytes of a whole body, `None` of a stream.
    pub fn as_full(&self) -> Option<&Bytes> {
        match self {
            Self::Full(bytes) => Some(bytes),
            Self::Stream(_) => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
