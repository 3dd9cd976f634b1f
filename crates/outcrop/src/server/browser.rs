//! Keeps pages of other sites away from a server that takes any signature.
//!
//! Loopback is no wall against a browser: any page may post to 127.0.0.1, and by rebinding its own
//! name even read the answer. Browsers tell where a request comes from; SDKs send none of this, so
//! that only pages are ever refused.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// Whether a page that is not of this machine sent the request.
pub(crate) fn is_foreign_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let from_page = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
    if !from_page {
        return false;
    }
    let page_is_local = match headers.get(ORIGIN) {
        None => matches!(text("sec-fetch-site"), Some("none" | "same-origin")),
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, authority)| is_local(authority)),
    };
    // The name the page used for us: with a rebound one, page and server look like one site.
    let host_is_local = text(HOST.as_str()).is_some_and(is_local);
    !(page_is_local && host_is_local)
}

fn is_local(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else {
        return false;
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::is_foreign_page;

    fn foreign(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_foreign_page(&headers)
    }

    #[test]
    fn only_pages_of_other_sites_are_foreign() {
        assert!(!foreign(&[("host", "outcrop.internal:8474")]));
        assert!(!foreign(&[
            ("host", "127.0.0.1:8474"),
            ("origin", "http://localhost:3000")
        ]));
        assert!(!foreign(&[
            ("host", "[::1]:8474"),
            ("origin", "http://[::1]:8474")
        ]));
        assert!(!foreign(&[
            ("host", "localhost:8474"),
            ("sec-fetch-site", "none")
        ]));

        assert!(foreign(&[
            ("host", "127.0.0.1:8474"),
            ("origin", "https://evil.example")
        ]));
        assert!(foreign(&[("host", "127.0.0.1:8474"), ("origin", "null")]));
        assert!(foreign(&[
            ("host", "127.0.0.1:8474"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(foreign(&[
            ("host", "evil.example:8474"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(foreign(&[
            ("host", "evil.example"),
            ("origin", "http://evil.example")
        ]));
        assert!(foreign(&[
            ("host", "127.0.0.1"),
            ("origin", "http://localhost.evil.example")
        ]));
    }
}
