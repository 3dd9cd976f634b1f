//! Who sent a request: verification of AWS Signature Version 4.
//!
//! With access keys configured every request must carry a signature that this side, computing it
//! anew with the AWS signer, finds equal (compared in constant time) and fresh. With none
//! configured any signature is accepted and only its scope is read; the HTTP edge then listens on
//! loopback alone. Both forms are known, the `Authorization` header and presigned queries.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::rejection::Rejection;

mod claim;

use claim::{Claim, Place};

/// How far the clocks of client and server may be apart; AWS allows five minutes.
pub const MAX_SKEW: Duration = Duration::from_mins(5);

/// The longest a presigned request may be valid; AWS allows seven days.
pub const MAX_EXPIRES: Duration = Duration::from_hours(7 * 24);

/// The service names a scope may have: the agent services and the runtime sign as `bedrock`,
/// clients of the Invoke API as `lambda`.
const SERVICES: [&str; 2] = ["bedrock", "lambda"];

const CONTENT_SHA256: &str = "x-amz-content-sha256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// A configured access key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public half.
    pub access_key_id: String,
    /// Its secret half.
    pub secret_access_key: String,
    /// The account its holder acts in; `None` for the server's own.
    pub account_id: Option<String>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .field("account_id", &self.account_id)
            .finish_non_exhaustive()
    }
}

/// What a signature says about the caller. Without configured keys none of it is proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The access key of the credential scope.
    pub access_key_id: Option<String>,
    /// The account of the key, where one is configured.
    pub account_id: Option<String>,
    /// The region of the credential scope.
    pub region: Option<String>,
}

/// Verifies requests.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    keys: HashMap<String, AccessKey>,
}

impl Verifier {
    /// A verifier for these keys; with none, any signature is accepted.
    pub fn new(keys: impl IntoIterator<Item = AccessKey>) -> Self {
        let keys = keys.into_iter().map(|key| (key.access_key_id.clone(), key));
        Self {
            keys: keys.collect(),
        }
    }

    /// Whether any signature, or none, is accepted.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies one request at the time `now`.
    ///
    /// # Errors
    /// When keys are configured and the request is unsigned, signed with an unknown key, signed
    /// wrongly or not lately.
    pub fn verify(&self, request: &Request<Bytes>, now: SystemTime) -> Result<Identity, Rejection> {
        let claim = Claim::read(request);
        if self.is_open() {
            return Ok(claim
                .ok()
                .flatten()
                .map_or_else(Identity::default, |claim| Identity {
                    access_key_id: Some(claim.access_key_id.to_owned()),
                    account_id: None,
                    region: Some(claim.region.to_owned()),
                }));
        }
        let claim = claim?.ok_or(Rejection::MissingSignature)?;
        if !SERVICES.contains(&claim.service) {
            return Err(incomplete(format!(
                "Credential should be scoped to correct service: '{}'.",
                SERVICES[0]
            )));
        }
        let key = self.keys.get(claim.access_key_id);
        let key = key.ok_or_else(|| Rejection::UnknownAccessKey {
            access_key_id: claim.access_key_id.to_owned(),
        })?;
        check_time(&claim, now)?;
        let expected = signature(request, &claim, key)?;
        if bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes())) {
            Ok(Identity {
                access_key_id: Some(key.access_key_id.clone()),
                account_id: key.account_id.clone(),
                region: Some(claim.region.to_owned()),
            })
        } else {
            Err(Rejection::SignatureMismatch)
        }
    }
}

fn incomplete(detail: impl Into<String>) -> Rejection {
    Rejection::IncompleteSignature {
        detail: detail.into(),
    }
}

/// Refuses signatures from the future and those that have expired, in AWS's words.
fn check_time(claim: &Claim<'_>, now: SystemTime) -> Result<(), Rejection> {
    let signed = claim.time_text;
    let now_text = claim::time_text(now);
    let latest = now + MAX_SKEW;
    if claim.time > latest {
        let latest = claim::time_text(latest);
        return Err(Rejection::SignatureTime(format!(
            "Signature not yet current: {signed} is still later than {latest} ({now_text} + 5 min.)"
        )));
    }
    match claim.place {
        Place::Header if claim.time + MAX_SKEW < now => {
            let earliest = claim::time_text(now - MAX_SKEW);
            Err(Rejection::SignatureTime(format!(
                "Signature expired: {signed} is now earlier than {earliest} ({now_text} - 5 min.)"
            )))
        }
        Place::Query { expires } if claim.time + expires < now => {
            let end = claim::time_text(claim.time + expires);
            Err(Rejection::SignatureTime(format!(
                "Signature expired: {end} is now earlier than {now_text}"
            )))
        }
        Place::Header | Place::Query { .. } => Ok(()),
    }
}

/// The signature this request has when `key` signs what the claim says was signed.
fn signature(
    request: &Request<Bytes>,
    claim: &Claim<'_>,
    key: &AccessKey,
) -> Result<String, Rejection> {
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    settings.session_token_mode = SessionTokenMode::Include;
    if let Place::Query { expires } = claim.place {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expires);
    }
    let identity = Credentials::new(
        &key.access_key_id,
        &key.secret_access_key,
        claim.query_token.clone(),
        None,
        "outcrop",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(claim.region)
        .name(claim.service)
        .time(claim.time)
        .settings(settings)
        .build()
        .map_err(|error| incomplete(error.to_string()))?
        .into();
    let headers = signed_headers(request, claim)?;
    let uri = claim::unsigned_uri(request, &host(request)?, claim.place);
    let signable = SignableRequest::new(
        request.method().as_str(),
        uri,
        headers.iter().map(|(name, value)| (*name, value.as_str())),
        signed_body(request, claim)?,
    )
    .map_err(|error| incomplete(error.to_string()))?;
    let signed = sign(signable, &params).map_err(|error| incomplete(error.to_string()))?;
    Ok(signed.signature().to_owned())
}

/// The headers the claim says were signed. One that is missing makes the signature a mismatch.
fn signed_headers<'c>(
    request: &Request<Bytes>,
    claim: &Claim<'c>,
) -> Result<Vec<(&'c str, String)>, Rejection> {
    if !claim.signed_headers.contains(&"host") {
        return Err(incomplete("'Host' must be a 'SignedHeader'"));
    }
    let mut headers = Vec::with_capacity(claim.signed_headers.len());
    for &name in &claim.signed_headers {
        if name == "host" {
            headers.push((name, host(request)?));
            continue;
        }
        let mut values = request.headers().get_all(name).iter().peekable();
        if values.peek().is_none() {
            return Err(Rejection::SignatureMismatch);
        }
        for value in values {
            let value = value
                .to_str()
                .map_err(|_| incomplete(format!("{name} is no text")))?;
            headers.push((name, value.to_owned()));
        }
    }
    Ok(headers)
}

/// The host as the client named it: HTTP/1 has it in a header, HTTP/2 in the request line.
fn host(request: &Request<Bytes>) -> Result<String, Rejection> {
    let named = request
        .headers()
        .get(header::HOST)
        .map(|host| host.to_str());
    match named {
        Some(Ok(host)) => Ok(host.to_owned()),
        Some(Err(_)) => Err(incomplete("Host is no text")),
        None => {
            let authority = request.uri().authority();
            let authority = authority.ok_or_else(|| incomplete("the request names no host"))?;
            Ok(authority.as_str().to_owned())
        }
    }
}

/// The body as it was signed. A client may state its hash, or sign that it leaves the body out.
fn signed_body<'r>(
    request: &'r Request<Bytes>,
    claim: &Claim<'_>,
) -> Result<SignableBody<'r>, Rejection> {
    let Some(stated) = text(request.headers(), CONTENT_SHA256) else {
        return Ok(SignableBody::Bytes(request.body()));
    };
    if stated == UNSIGNED_PAYLOAD && claim.signed_headers.contains(&CONTENT_SHA256) {
        return Ok(SignableBody::UnsignedPayload);
    }
    let actual = hex(&Sha256::digest(request.body()));
    if bool::from(actual.as_bytes().ct_eq(stated.as_bytes())) {
        Ok(SignableBody::Precomputed(actual))
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn since_epoch(seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
