//! The loopback interface of a new network namespace, which is down.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::{Refused, step};

/// `RTM_NEWLINK` with the flags request and acknowledge, sequence number 1; interface 1, which is the
/// loopback of every namespace; the flag "up", and no other, is to change (rtnetlink(7)).
const RAISE: [[u32; 4]; 2] = [[32, 16 | (0x5 << 16), 1, 0], [0, 1, 0x1, 0x1]];
/// An acknowledgement is 36 bytes, an error carries our message again.
const ANSWER_BYTES: usize = 128;
/// Where it says whether it is an error.
const ERROR: std::ops::Range<usize> = 16..20;

/// Raises it.
pub(super) fn raise() -> Result<(), Refused> {
    let failed = "raising the loopback interface";
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(step(failed))?;
    let request: Vec<u8> = RAISE
        .as_flattened()
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    rustix::net::send(&socket, &request, SendFlags::empty()).map_err(step(failed))?;
    let mut answer = [0; ANSWER_BYTES];
    let (read, _) =
        rustix::net::recv(&socket, &mut answer, RecvFlags::empty()).map_err(step(failed))?;
    let error = answer
        .get(..read)
        .and_then(|answer| answer.get(ERROR)?.try_into().ok())
        .map(i32::from_ne_bytes);
    match error {
        Some(0) => Ok(()),
        Some(error) => Err(step(failed)(std::io::Error::from_raw_os_error(-error))),
        None => Err(step(failed)("a short answer")),
    }
}
