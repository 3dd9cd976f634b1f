//! Messages between the server and its launchers: JSON behind its length, over a pair of connected
//! sockets, with at most one descriptor each.
//!
//! The pair is also the launcher's lifeline: when the server is gone, however it died, its end closes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Arguments and variables of a process may be 2 MB together; more is a mistake.
const MAX_TASK_BYTES: usize = 8 * 1024 * 1024;
/// Before the JSON: its length.
const HEAD_BYTES: usize = 4;
/// One read. Larger messages take several.
const READ_BYTES: usize = 16 * 1024;

/// A message as bytes.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEAD_BYTES;
    let head = u32::try_from(length).map_err(|_| too_large(length))?;
    bytes
        .get_mut(..HEAD_BYTES)
        .expect("made with this many bytes")
        .copy_from_slice(&head.to_le_bytes());
    Ok(bytes)
}

/// Sends as much of `bytes` as the socket takes; `passed` goes with the first of them.
pub(super) fn send_some(
    socket: impl AsFd,
    bytes: &[u8],
    passed: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed: Vec<BorrowedFd<'_>> = passed.into_iter().collect();
    if !passed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&passed));
    }
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

/// Sends a message and waits until the socket has taken it.
pub(super) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    passed: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let bytes = encode(message)?;
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        let passed = passed.filter(|_| sent == 0);
        match send_some(socket.as_fd(), rest, passed) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives messages from a socket, whatever pieces they come in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    passed: Option<OwnedFd>,
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Bytes,
    /// The other side is gone.
    End,
}

impl Inbox {
    /// Reads once.
    pub(super) fn read(&mut self, socket: impl AsFd) -> io::Result<Arrived> {
        let mut buffer = [0; READ_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.passed = descriptors.last().or(self.passed.take());
            }
        }
        if received.bytes == 0 {
            return Ok(Arrived::End);
        }
        self.bytes
            .extend_from_slice(buffer.get(..received.bytes).unwrap_or_default());
        Ok(Arrived::Bytes)
    }

    /// The next whole message, if it has arrived, with what came along.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*head)).unwrap_or(usize::MAX);
        if length > MAX_TASK_BYTES {
            return Err(too_large(length));
        }
        let Some(json) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(json)?;
        self.bytes.drain(..HEAD_BYTES + length);
        Ok(Some((message, self.passed.take())))
    }

    /// Waits for a whole message on a blocking socket; none if the other side is gone.
    pub(super) fn wait<T: DeserializeOwned>(
        &mut self,
        socket: impl AsFd,
    ) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(Some(message));
            }
            match self.read(socket.as_fd()) {
                Ok(Arrived::Bytes) => {}
                Ok(Arrived::End) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn too_large(bytes: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message of {bytes} bytes, at most {MAX_TASK_BYTES} expected"),
    )
}
