//! Whose a TCP connection of this machine is.
//!
//! A child with a network could talk to the server like any local client. It is told apart by its
//! socket, which the kernel knows by both addresses: by the socket's user where children have users of
//! their own, and else by looking which process holds it. A socket that nobody is seen to hold is taken
//! for a child's, since a child can close its end, or send it to itself through another socket, right
//! after its request.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// A socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) user: u32,
    /// 0 when no process holds it any more.
    pub(super) inode: u64,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This machine, and what is known of the socket.
    Here(Option<Socket>),
    /// Another machine, or another network on this one.
    Elsewhere,
}

/// Where the connection comes from whose other end is `peer` and whose own is `local`.
pub(super) fn origin(local: SocketAddr, peer: SocketAddr) -> Origin {
    let (local, peer) = (plain(local), plain(peer));
    match ask(peer, local) {
        Ok(Some(socket)) => Origin::Here(Some(socket)),
        Ok(None) if !is_own(peer.ip()) => Origin::Elsewhere,
        // A kernel that cannot be asked answers as if there were none.
        Ok(None) | Err(_) => match listed(peer, local) {
            Some(socket) => Origin::Here(Some(socket)),
            None if is_own(peer.ip()) => Origin::Here(None),
            None => Origin::Elsewhere,
        },
    }
}

/// The process among `pids` that holds the socket.
pub(super) fn holder(pids: impl IntoIterator<Item = u32>, inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    pids.into_iter().find(|pid| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|descriptors| {
            descriptors.flatten().any(|descriptor| {
                fs::read_link(descriptor.path()).is_ok_and(|link| link.as_os_str() == &*wanted)
            })
        })
    })
}

/// Every process, the newest first: a client that has just connected is likely to be young.
pub(super) fn processes() -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable_by(|one, other| other.cmp(one));
    pids
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an address is this machine's: only such can be bound.
fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// `SOCK_DIAG_BY_FAMILY` with the flag request (`sock_diag(7)`).
const BY_FAMILY: u16 = 20;
const REQUEST_FLAG: u16 = 1;
const REQUEST_BYTES: u32 = 72;
/// What an answer begins with; its user and inode stand behind it.
const USER: std::ops::Range<usize> = 80..84;
const INODE: std::ops::Range<usize> = 84..88;
const ANSWER_BYTES: usize = 512;
const TCP: u8 = 6;

/// Asks the kernel for the one socket between these addresses.
fn ask(own: SocketAddr, other: SocketAddr) -> io::Result<Option<Socket>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&socket, &request(own, other), SendFlags::empty())?;
    let mut answer = [0; ANSWER_BYTES];
    let (read, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    let answer = answer.get(..read).unwrap_or_default();
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    if kind.map(u16::from_ne_bytes) != Some(BY_FAMILY) {
        return Ok(None);
    }
    let number = |range: std::ops::Range<usize>| {
        let bytes = answer.get(range)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    Ok(number(USER).zip(number(INODE)).map(|(user, inode)| Socket {
        user,
        inode: inode.into(),
    }))
}

fn request(own: SocketAddr, other: SocketAddr) -> Vec<u8> {
    let family = match own {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let mut bytes = Vec::new();
    bytes.extend(REQUEST_BYTES.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_FLAG.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(family.as_raw()).unwrap_or_default(), TCP, 0, 0]);
    // In any state.
    bytes.extend([0xff; 4]);
    bytes.extend(own.port().to_be_bytes());
    bytes.extend(other.port().to_be_bytes());
    for address in [own.ip(), other.ip()] {
        let start = bytes.len();
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
        bytes.resize(start + 16, 0);
    }
    // On any interface, whatever its cookie.
    bytes.extend([0; 4]);
    bytes.extend([0xff; 8]);
    bytes
}

/// Finds the socket in the kernel's tables, where it cannot be asked.
fn listed(own: SocketAddr, other: SocketAddr) -> Option<Socket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.into_iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        find_in(&text, own, other)
    })
}

fn find_in(table: &str, own: SocketAddr, other: SocketAddr) -> Option<Socket> {
    let spelt = |address| [spell(address), spell_mapped(address)];
    let (own, other) = (spelt(own), spelt(other));
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is = |at: usize, spelt: &[String; 2]| {
            fields
                .get(at)
                .is_some_and(|field| spelt.iter().any(|address| address == field))
        };
        if !is(1, &own) || !is(2, &other) {
            return None;
        }
        Some(Socket {
            user: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    })
}

/// As the kernel's tables spell it: words in the machine's order, in hexadecimal.
fn spell(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut spelled = String::new();
    for word in octets.as_chunks::<4>().0 {
        // Writing to a string cannot fail.
        let _ = write!(spelled, "{:08X}", u32::from_ne_bytes(*word));
    }
    let _ = write!(spelled, ":{:04X}", address.port());
    spelled
}

fn spell_mapped(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => spell(SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())),
        IpAddr::V6(_) => spell(address),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_known_by_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let local = listener.local_addr().expect("an address");
        let client = TcpStream::connect(local).expect("it listens");
        let (_server, peer) = listener.accept().expect("a connection");
        let Origin::Here(Some(socket)) = origin(local, peer) else {
            panic!("the socket is not known");
        };
        assert_eq!(socket.user, rustix::process::geteuid().as_raw());
        assert_eq!(listed(peer, local), Some(socket));
        assert_eq!(
            holder([std::process::id()], socket.inode),
            Some(std::process::id())
        );
        drop(client);
        assert!(!matches!(
            origin(local, peer),
            Origin::Here(Some(Socket { inode: 1.., .. }))
        ));
    }

    #[test]
    fn an_address_of_another_machine_is_elsewhere() {
        let local = "127.0.0.1:8474".parse().expect("an address");
        let peer = "192.0.2.7:4000".parse().expect("an address");
        assert_eq!(origin(local, peer), Origin::Elsewhere);
    }
}
