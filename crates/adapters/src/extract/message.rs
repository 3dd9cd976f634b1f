//! What the server and a child that extracts tell each other: a length, then JSON; a request is
//! followed by the file's bytes.
//!
//! Invariant: neither side makes room for more than a limit because the other one said so.

use std::io::{self, Read, Write};

use outcrop_engine::port::{ExtractError, Extraction};
use outcrop_knowledge::document::RecordFields;
use serde::{Deserialize, Serialize};

/// The first argument of a child; memory in bytes and processor time in seconds follow.
pub(super) const ROLE: &str = "extract-document";

/// Longest description of a file, bytes. Names of columns are the longest part of it.
pub(super) const REQUEST_BYTES_MAX: u32 = 1024 * 1024;

/// Longest reply, bytes: the text that a file may have with what JSON adds for quotes and blocks.
pub(super) const REPLY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of a length.
pub(super) const LENGTH_BYTES: usize = 8;

/// What a child says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Whether it can do no more than compute, read from the server and answer.
    pub(super) confined: bool,
}

/// A file, whose bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) mime_type: Option<String>,
    pub(super) records: Option<RecordFields>,
    pub(super) length: u64,
}

/// What became of it.
pub(super) type Reply = Result<Extraction, ExtractError>;

/// A message with its length in front.
pub(super) fn framed<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u64::try_from(bytes.len() - LENGTH_BYTES).unwrap_or(u64::MAX);
    for (place, byte) in bytes.iter_mut().zip(length.to_le_bytes()) {
        *place = byte;
    }
    Ok(bytes)
}

/// Writes a message, in a child.
pub(super) fn write<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&framed(message)?)?;
    to.flush()
}

/// Reads a request, in a child; none when the server has closed the channel.
pub(super) fn read_request(from: &mut impl Read) -> io::Result<Option<(Request, Vec<u8>)>> {
    let mut length = [0; LENGTH_BYTES];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u64::from_le_bytes(length);
    if length > u64::from(REQUEST_BYTES_MAX) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut description = Vec::new();
    from.take(length).read_to_end(&mut description)?;
    let request: Request = serde_json::from_slice(&description)?;
    let mut content = Vec::new();
    let expected = usize::try_from(request.length).unwrap_or(usize::MAX);
    content
        .try_reserve_exact(expected)
        .map_err(|_| io::ErrorKind::OutOfMemory)?;
    from.take(request.length).read_to_end(&mut content)?;
    if content.len() < expected {
        return Ok(None);
    }
    Ok(Some((request, content)))
}
