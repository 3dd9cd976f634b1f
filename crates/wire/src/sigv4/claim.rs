//! What a request says about its own signature, taken apart but not yet believed.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, header};

use super::{MAX_EXPIRES, incomplete, since_epoch, text};
use crate::rejection::Rejection;
use crate::text as percent;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The longest region name taken; it becomes part of ARNs and of keys in the store.
const MAX_REGION_BYTES: usize = 32;

/// Query parameters of the signature itself; the signer adds them anew.
const SIGNATURE_PARAMETERS: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];

/// A signature and its circumstances.
#[derive(Debug)]
pub(super) struct Claim<'r> {
    pub(super) access_key_id: &'r str,
    pub(super) region: &'r str,
    pub(super) service: &'r str,
    pub(super) signed_headers: Vec<&'r str>,
    pub(super) signature: &'r str,
    pub(super) time: SystemTime,
    /// The time as the client wrote it.
    pub(super) time_text: &'r str,
    pub(super) place: Place,
    /// The session token of a presigned request; elsewhere it is a header like others.
    pub(super) query_token: Option<String>,
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query of a presigned request.
    Query {
        /// How long it is valid.
        expires: Duration,
    },
}

impl<'r> Claim<'r> {
    /// Reads the claim of a request, `None` if it makes none.
    pub(super) fn read(request: &'r Request<Bytes>) -> Result<Option<Self>, Rejection> {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return Self::from_header(request);
        }
        let query = request.uri().query().unwrap_or_default();
        if parameter(query, "X-Amz-Signature").is_some() {
            return Self::from_query(query).map(Some);
        }
        Ok(None)
    }

    /// Any other scheme (a bearer token, say) is no signature at all.
    fn from_header(request: &'r Request<Bytes>) -> Result<Option<Self>, Rejection> {
        let headers = request.headers();
        let authorization = text(headers, header::AUTHORIZATION.as_str());
        let parts = authorization.and_then(|text| text.strip_prefix(ALGORITHM));
        let Some(parts) = parts.filter(|parts| parts.starts_with(' ')) else {
            return Ok(None);
        };
        let part = |name: &str| {
            let mut parts = parts.split(',').map(str::trim);
            let value = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            value.ok_or_else(|| {
                incomplete(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let time = text(headers, "x-amz-date").ok_or_else(|| {
            incomplete("Authorization header requires existence of an 'X-Amz-Date' header.")
        })?;
        let signed_headers = part("SignedHeaders")?.split(';').collect();
        let scope = Scope::read(part("Credential")?, time)?;
        Ok(Some(scope.claim(
            signed_headers,
            part("Signature")?,
            Place::Header,
        )))
    }

    fn from_query(query: &'r str) -> Result<Self, Rejection> {
        let required = |name: &str| {
            let value = parameter(query, name);
            value.ok_or_else(|| incomplete(format!("the query requires '{name}'")))
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete("the algorithm is not AWS4-HMAC-SHA256"));
        }
        let expires = required("X-Amz-Expires")?.parse().map(Duration::from_secs);
        let expires = expires.ok().filter(|expires| *expires <= MAX_EXPIRES);
        let expires = expires.ok_or_else(|| incomplete("X-Amz-Expires must be 0 to 604800"))?;
        let token = parameter(query, "X-Amz-Security-Token").map(percent::decode);
        let token = token.transpose().map_err(incomplete)?;
        let signed_headers = required("X-Amz-SignedHeaders")?;
        let signed_headers = signed_headers
            .split("%3B")
            .flat_map(|part| part.split(';'))
            .collect();
        let scope = Scope::read(required("X-Amz-Credential")?, required("X-Amz-Date")?)?;
        let place = Place::Query { expires };
        let mut claim = scope.claim(signed_headers, required("X-Amz-Signature")?, place);
        claim.query_token = token;
        Ok(claim)
    }
}

/// The credential scope and the time, which must agree on the day.
struct Scope<'r> {
    access_key_id: &'r str,
    region: &'r str,
    service: &'r str,
    time: SystemTime,
    time_text: &'r str,
}

impl<'r> Scope<'r> {
    /// Reads `KEY/20250314/us-west-2/bedrock/aws4_request`, its slashes encoded or not.
    fn read(credential: &'r str, time_text: &'r str) -> Result<Self, Rejection> {
        let parts = credential.split("%2F").flat_map(|part| part.split('/'));
        let parts: Vec<&str> = parts.collect();
        let [access_key_id, date, region, service, "aws4_request"] = parts[..] else {
            return Err(incomplete(
                "Credential must have the form key/date/region/service/aws4_request.",
            ));
        };
        let is_region = (1..=MAX_REGION_BYTES).contains(&region.len())
            && region
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_region || access_key_id.is_empty() {
            return Err(incomplete("Credential must name a key and a valid region."));
        }
        let time = read_time(time_text)
            .ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format'."))?;
        if !time_text.starts_with(date) {
            return Err(incomplete(
                "Date in Credential scope does not match the request's date.",
            ));
        }
        Ok(Self {
            access_key_id,
            region,
            service,
            time,
            time_text,
        })
    }

    fn claim(self, signed_headers: Vec<&'r str>, signature: &'r str, place: Place) -> Claim<'r> {
        Claim {
            access_key_id: self.access_key_id,
            region: self.region,
            service: self.service,
            signed_headers,
            signature,
            time: self.time,
            time_text: self.time_text,
            place,
            query_token: None,
        }
    }
}

/// Reads `20250314T092653Z`.
fn read_time(text: &str) -> Option<SystemTime> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    since_epoch(time.timestamp().as_second())
}

/// Writes `20250314T092653Z`.
pub(super) fn time_text(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A query parameter, still percent-encoded.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// The request's address without the parameters that a presigned signature itself consists of.
pub(super) fn unsigned_uri(request: &Request<Bytes>, host: &str, place: Place) -> String {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let is_own = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        SIGNATURE_PARAMETERS.contains(&name)
    };
    let drop_own = place != Place::Header;
    let pairs = query
        .split('&')
        .filter(|pair| !(pair.is_empty() || drop_own && is_own(pair)));
    let query = pairs.collect::<Vec<_>>().join("&");
    if query.is_empty() {
        format!("http://{host}{path}")
    } else {
        format!("http://{host}{path}?{query}")
    }
}
