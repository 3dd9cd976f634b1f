//! Somebody else's HTTP API, as functions reach it: base URL, fixed headers, tokens, guarded client.
//!
//! Fixed headers and tokens are the operator's: nothing that a model or a schema says replaces one.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use reqwest::Url;
use reqwest::header::AUTHORIZATION;

use super::CONNECT_LIMIT;
use crate::http::Secret;
use crate::http::egress::{Egress, Guarded};
use crate::http::oauth::{ClientCredentials, TokenSource};

/// Headers that belong to the connection or are set by this program.
const RESERVED_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How to reach an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub url: Url,
    /// Sent with every request.
    pub headers: BTreeMap<String, Secret>,
    /// Where its tokens come from, if it wants any.
    pub oauth2: Option<ClientCredentials>,
}

/// A checked [`Upstream`].
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) tokens: Option<TokenSource>,
    pub(super) guarded: Arc<Guarded>,
}

impl Reach {
    pub(super) fn new(upstream: Upstream, egress: &Egress) -> Result<Self, String> {
        let Upstream {
            url,
            headers,
            oauth2,
        } = upstream;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has a query or a fragment, which no call would keep".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user name or a password; use headers instead".to_owned());
        }
        let mut named = vec![&url];
        named.extend(oauth2.as_ref().map(|oauth2| &oauth2.token_url));
        let guarded = egress
            .guard(&named, CONNECT_LIMIT)
            .map_err(|error| error.to_string())?;
        let guarded = Arc::new(guarded);
        let headers = fixed_headers(&headers)?;
        if oauth2.is_some() && headers.contains_key(AUTHORIZATION) {
            return Err("both headers and oauth2 give an Authorization".to_owned());
        }
        let tokens = oauth2.map(|oauth2| TokenSource::new(oauth2, Arc::clone(&guarded)));
        Ok(Self {
            url,
            headers,
            tokens,
            guarded,
        })
    }
}

fn fixed_headers(headers: &BTreeMap<String, Secret>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is no header name"))?;
        if is_reserved(&parsed) {
            return Err(format!("the header {name} is not for configuration"));
        }
        let value = value
            .header("")
            .map_err(|_| format!("the value of header {name} holds characters a header cannot"))?;
        map.insert(parsed, value);
    }
    Ok(map)
}

/// Whether neither configuration nor a model may set the header.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED_HEADERS.contains(&name.as_str())
}
