//! Which hosts this server calls on behalf of an agent, and at which addresses.
//!
//! A URL is called only if its host is allowed: listed by the operator (`[egress] allow`), or named by
//! the operator in the URL of a function. What a name resolves to is checked at the moment of
//! connecting, and the connection is made to a checked address, so that a name which changes its
//! address in between gains nothing. An address that is not public is refused unless
//! - a listed host, address or network covers it, or
//! - the function's URL names that very address, or `localhost` for a loopback address. Addresses of
//!   cloud metadata services always have to be listed.
//!
//! Redirects are not followed and no proxy is used: both would move the choice of the address away
//! from here.
//!
//! Invariant: no connection of a [`Guarded`] client leads to an address that [`Rules`] refuse.

mod address;
mod rule;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use super::HttpFailure;
use address::Kind;
pub use rule::{Rule, RuleError};

/// Different ports that one guarded client calls: a function has one for its API and one for tokens.
const PORTS_MAX: usize = 16;

/// What the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    listed: Arc<[Rule]>,
}

/// Why a URL is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Not an HTTP URL with a host.
    #[error("{url} is not an http or https url with a host")]
    NotHttp {
        /// The URL, without its query.
        url: String,
    },
    /// The host is not allowed at all.
    #[error(
        "{host}:{port} is not an allowed host; if it should be, add \"{host}:{port}\" to allow in [egress]"
    )]
    NotAllowed {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// Every address of the host is one that must be listed.
    #[error(
        "{host} leads to {address}, {kind}, which is not called unless it is listed; if it should be, add \"{host}:{port}\" or \"{address}\" to allow in [egress]"
    )]
    NotPublic {
        /// Host as in the URL.
        host: String,
        /// Port.
        port: u16,
        /// The first refused address.
        address: IpAddr,
        /// What is special about it.
        kind: &'static str,
    },
    /// The name has no address.
    #[error("the name {host} could not be resolved: {detail}")]
    Unresolved {
        /// Host.
        host: String,
        /// Cause.
        detail: String,
    },
    /// One client is used for more ports than it has a reason to be.
    #[error("more than {PORTS_MAX} ports are called with one client")]
    TooManyPorts,
}

impl Egress {
    /// The rules of `[egress] allow`.
    pub fn new(listed: Vec<Rule>) -> Self {
        Self {
            listed: listed.into(),
        }
    }

    /// A client that may also call the hosts of these URLs, which the operator wrote.
    ///
    /// # Errors
    /// One of them is no HTTP URL.
    pub fn guard(&self, named: &[&Url], connect_timeout: Duration) -> Result<Guarded, EgressError> {
        let named = named
            .iter()
            .map(|url| Place::of(url))
            .collect::<Result<_, _>>()?;
        Ok(Guarded {
            rules: Arc::new(Rules {
                listed: Arc::clone(&self.listed),
                named,
            }),
            connect_timeout,
            clients: Mutex::default(),
        })
    }
}

/// Makes HTTP clients that call only what is allowed.
#[derive(Debug)]
pub struct Guarded {
    rules: Arc<Rules>,
    connect_timeout: Duration,
    /// By port: a resolver is told names without ports.
    clients: Mutex<BTreeMap<u16, reqwest::Client>>,
}

impl Guarded {
    /// The client for this URL, and for others of the same scheme, host and port.
    ///
    /// # Errors
    /// The host is not allowed, or the URL names an address that is not. What a name resolves to is
    /// judged when a connection is opened; that refusal comes as [`HttpFailure::Refused`].
    pub fn client(&self, url: &Url) -> Result<reqwest::Client, HttpFailure> {
        let place = Place::of(url)?;
        self.rules.check_host(&place)?;
        if let Some(address) = place.address {
            self.rules.check_address(&place, address)?;
        }
        let port = place.port;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&port) {
            return Ok(client.clone());
        }
        if clients.len() >= PORTS_MAX {
            return Err(EgressError::TooManyPorts.into());
        }
        let resolver = Resolver {
            rules: Arc::clone(&self.rules),
            port,
        };
        let client = super::builder(self.connect_timeout)?
            .no_proxy()
            .dns_resolver(Arc::new(resolver))
            .build()
            .map_err(|error| HttpFailure::of(&error))?;
        clients.insert(port, client.clone());
        Ok(client)
    }
}

/// Host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Lower case, without the trailing dot of a full name and the brackets of an address.
    host: String,
    /// The host, where it is an address. URLs may write one in many ways: `0x7f.1`, `2130706433`.
    address: Option<IpAddr>,
    port: u16,
}

impl Place {
    fn of(url: &Url) -> Result<Self, EgressError> {
        let refused = || EgressError::NotHttp {
            url: format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused());
        }
        let port = url.port_or_known_default().ok_or_else(refused)?;
        let (host, address) = match url.host().ok_or_else(refused)? {
            Host::Domain(name) => (plain_name(name), None),
            Host::Ipv4(address) => (address.to_string(), Some(IpAddr::V4(address))),
            Host::Ipv6(address) => (address.to_string(), Some(IpAddr::V6(address))),
        };
        Ok(Self {
            host,
            address,
            port,
        })
    }
}

/// A host name as rules compare it.
fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the name means this machine whatever a name server says (RFC 6761).
fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// What one client may call.
#[derive(Debug)]
struct Rules {
    listed: Arc<[Rule]>,
    named: Vec<Place>,
}

impl Rules {
    fn check_host(&self, place: &Place) -> Result<(), EgressError> {
        let listed = self.listed.iter().any(|rule| {
            rule.covers_host(&place.host, place.port)
                || place
                    .address
                    .is_some_and(|address| rule.covers_address(address, place.port))
        });
        if listed || self.named.contains(place) {
            return Ok(());
        }
        Err(EgressError::NotAllowed {
            host: place.host.clone(),
            port: place.port,
        })
    }

    fn check_address(&self, place: &Place, address: IpAddr) -> Result<(), EgressError> {
        let kind = Kind::of(address);
        if kind == Kind::Public {
            return Ok(());
        }
        let listed = self.listed.iter().any(|rule| {
            rule.vouches_for(&place.host, place.port) || rule.covers_address(address, place.port)
        });
        let is_written = kind != Kind::Metadata
            && self.named.contains(place)
            && (place.address == Some(address)
                || (is_localhost(&place.host) && kind == Kind::Loopback));
        if listed || is_written {
            return Ok(());
        }
        Err(EgressError::NotPublic {
            host: place.host.clone(),
            port: place.port,
            address,
            kind: kind.words(),
        })
    }

    /// The addresses of `host` that may be called.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let place = Place {
            host: plain_name(host),
            address: None,
            port,
        };
        let unresolved = |detail: String| EgressError::Unresolved {
            host: place.host.clone(),
            detail,
        };
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| unresolved(error.to_string()))?;
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.check_address(&place, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match refusal {
            Some(refusal) if allowed.is_empty() => Err(refusal),
            None if allowed.is_empty() => Err(unresolved("it has no address".to_owned())),
            Some(_) | None => Ok(allowed),
        }
    }
}

/// Gives the HTTP client the checked addresses, and no others.
struct Resolver {
    rules: Arc<Rules>,
    port: u16,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.rules);
        let port = self.port;
        Box::pin(async move {
            let addresses = rules.resolve(name.as_str(), port).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
