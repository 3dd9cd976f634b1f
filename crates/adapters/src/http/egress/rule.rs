//! One entry of `[egress] allow`: a host, a domain, an address or a network, with or without a port.

use std::net::IpAddr;
use std::str::FromStr;

use super::address::carried_v4;
use super::plain_name;

/// One entry of the list of allowed hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    target: Target,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// `*`: every host, at public addresses.
    Any,
    /// `api.example.com`
    Host(String),
    /// `*.example.com`, kept with the dot.
    Domain(String),
    /// `10.0.0.5` or `10.0.0.0/8`
    Network { address: IpAddr, prefix: u8 },
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a host, *.domain, address or network, such as api.example.com, 10.0.0.5:8080 or 10.1.0.0/16"
)]
pub struct RuleError {
    text: String,
}

impl Rule {
    /// Whether calls to this host and port are allowed.
    pub(super) fn covers_host(&self, host: &str, port: u16) -> bool {
        self.has_port(port) && (self.target == Target::Any || self.names(host))
    }

    /// Whether the host may also have an address that is not public.
    pub(super) fn vouches_for(&self, host: &str, port: u16) -> bool {
        self.has_port(port) && self.names(host)
    }

    /// Whether the address itself is listed, in whichever form it comes.
    pub(super) fn covers_address(&self, address: IpAddr, port: u16) -> bool {
        let Target::Network {
            address: network,
            prefix,
        } = self.target
        else {
            return false;
        };
        let carried = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => carried_v4(address).map(IpAddr::V4),
        };
        self.has_port(port)
            && [Some(address), carried]
                .into_iter()
                .flatten()
                .any(|address| is_within(address, network, prefix))
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    fn names(&self, host: &str) -> bool {
        match &self.target {
            Target::Host(own) => own == host,
            Target::Domain(suffix) => host.ends_with(suffix.as_str()),
            Target::Any | Target::Network { .. } => false,
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let refused = || RuleError {
            text: text.to_owned(),
        };
        let (target, port) = split_port(text).ok_or_else(refused)?;
        let target = read_target(target).ok_or_else(refused)?;
        Ok(Self { target, port })
    }
}

/// `text` without its port. An IPv6 address with a port stands in brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((address, None)),
            rest => Some((address, Some(port(rest.strip_prefix(':')?)?))),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, rest)) => Some((host, Some(port(rest)?))),
        None => Some((text, None)),
    }
}

fn read_target(text: &str) -> Option<Target> {
    if text == "*" {
        return Some(Target::Any);
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let bits = bits_of(address);
        let prefix = prefix.unwrap_or(bits);
        return (prefix <= bits).then_some(Target::Network { address, prefix });
    }
    if prefix.is_some() {
        return None;
    }
    let (name, is_domain) = match text.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let name = plain_name(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A name of digits and dots is an address that was mistyped.
    let is_name =
        name.split('.').all(is_label) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| {
        if is_domain {
            Target::Domain(format!(".{name}"))
        } else {
            Target::Host(name)
        }
    })
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let shift = bits_of(network).saturating_sub(prefix);
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let cut = |bits: u32| bits.checked_shr(shift.into()).unwrap_or(0);
            cut(address.to_bits()) == cut(network.to_bits())
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let cut = |bits: u128| bits.checked_shr(shift.into()).unwrap_or(0);
            cut(address.to_bits()) == cut(network.to_bits())
        }
        _ => false,
    }
}
