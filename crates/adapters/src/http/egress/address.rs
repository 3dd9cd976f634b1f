//! What kind of place an address leads to.
//!
//! Public is what the special-purpose registries of IANA leave over, seen through the forms in which
//! one address carries another. Everything unknown counts as not public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anywhere on the Internet.
    Public,
    /// This machine.
    Loopback,
    /// Where clouds answer questions of their own machines, credentials among them.
    Metadata,
    /// A neighbour on the same link.
    LinkLocal,
    /// A private network.
    Private,
    /// Anything else that is no ordinary host: unspecified, multicast, documentation, reserved.
    Special,
}

/// Metadata services outside of the link-local networks: Alibaba's, Azure's, Oracle's.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// AWS's in private IPv6 space.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Kind {
    /// Sorts an address.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// For a message: "10.0.0.5, a private address".
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "an address of this machine",
            Self::Metadata => "the address of a metadata service",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::Special => "an address that is no public host",
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:a.b.c.d`), compatible
/// (`::a.b.c.d`), or behind a translator (`64:ff9b::a.b.c.d`).
pub(super) fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            // `::` and `::1` are addresses of their own.
            let is_own = address.is_unspecified() || address.is_loopback();
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            (!is_own).then_some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

fn of_v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address) {
        return Kind::Metadata;
    }
    match address.octets() {
        // The metadata services of most clouds, and of container hosts beside them.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] => Kind::Metadata,
        [169, 254, ..] => Kind::LinkLocal,
        [127, ..] => Kind::Loopback,
        // Carrier-grade translation (100.64.0.0/10) is private to a provider.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Kind::Private,
        [0 | 224..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Kind::Special,
        _ => Kind::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Kind {
    if let Some(inner) = carried_v4(address) {
        return of_v4(inner);
    }
    if address == METADATA_V6 {
        return Kind::Metadata;
    }
    if address.is_loopback() {
        return Kind::Loopback;
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        // Unique local, and the site-local addresses before them.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Kind::Private,
        // Teredo and its like, documentation, 6to4: they lead elsewhere than they say, or nowhere.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => Kind::Special,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn addresses_are_sorted_in_all_their_disguises() {
        for (kind, addresses) in [
            (
                Kind::Public,
                &[
                    "1.1.1.1",
                    "100.63.255.255",
                    "172.32.0.1",
                    "192.0.1.1",
                    "2606:4700::1111",
                    "::ffff:8.8.8.8",
                    "64:ff9b::808:808",
                ][..],
            ),
            (
                Kind::Loopback,
                &[
                    "127.0.0.1",
                    "127.255.0.1",
                    "::1",
                    "::ffff:127.0.0.1",
                    "::127.0.0.1",
                    "64:ff9b::7f00:1",
                ],
            ),
            (
                Kind::Metadata,
                &[
                    "169.254.169.254",
                    "::ffff:169.254.169.254",
                    "169.254.170.2",
                    "100.100.100.200",
                    "168.63.129.16",
                    "fd00:ec2::254",
                ],
            ),
            (Kind::LinkLocal, &["169.254.1.1", "fe80::1", "febf::1"]),
            (
                Kind::Private,
                &[
                    "10.0.0.5",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "fc00::1",
                    "fd12::1",
                    "fec0::1",
                    "::ffff:10.0.0.1",
                ],
            ),
            (
                Kind::Special,
                &[
                    "0.0.0.0",
                    "0.1.2.3",
                    "224.0.0.1",
                    "255.255.255.255",
                    "240.0.0.1",
                    "192.0.2.1",
                    "198.18.0.1",
                    "198.51.100.7",
                    "203.0.113.9",
                    "::",
                    "ff02::1",
                    "2001::1",
                    "2001:db8::1",
                    "2002:7f00:1::",
                    "100::1",
                    "64:ff9b:1::1",
                ],
            ),
        ] {
            for address in addresses {
                let parsed = address.parse().expect("an address");
                assert_eq!(Kind::of(parsed), kind, "{address}");
            }
        }
    }
}
