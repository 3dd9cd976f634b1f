//! Who calls: the signature's verdict, and what it leaves open filled from the configuration.

use std::time::SystemTime;

use bytes::Bytes;
use http::Request;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::CallContext;
use outcrop_wire::sigv4::{AccessKey, Verifier};

use crate::config::Config;

/// Longest name of a host, with brackets and port.
const HOST_CHARS: usize = 255 + 8;
/// Longest name of a region; the longest of AWS's has 14 characters.
const REGION_CHARS: usize = 32;

/// Finds out who calls.
pub(crate) struct Signatures {
    verifier: Verifier,
    region: String,
    account_id: String,
}

impl Signatures {
    /// For the keys, region and account of the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let keys = config.credentials.iter().map(|credential| AccessKey {
            access_key_id: credential.access_key_id.clone(),
            secret_access_key: credential.secret.expose().to_owned(),
            account_id: credential.account_id.clone(),
        });
        Self {
            verifier: Verifier::new(keys),
            region: config.region.clone(),
            account_id: config.account_id.clone(),
        }
    }

    /// Whether any signature will do.
    pub(crate) fn accept_any(&self) -> bool {
        self.verifier.is_open()
    }

    /// The caller of a request that has arrived whole.
    pub(crate) fn identify(
        &self,
        request: &Request<Bytes>,
        request_id: &str,
    ) -> Result<CallContext, Exception> {
        let identity = self
            .verifier
            .verify(request, SystemTime::now())
            .map_err(outcrop_wire::Rejection::into_exception)?;
        let region = identity.region.unwrap_or_else(|| self.region.clone());
        if !is_region(&region) {
            // It becomes part of keys and ARNs, and without configured keys nothing has proven it.
            return Err(Exception::new(
                ExceptionKind::InvalidSignature,
                "Credential should be scoped to a valid region.",
            ));
        }
        Ok(CallContext {
            request_id: request_id.to_owned(),
            account_id: identity
                .account_id
                .unwrap_or_else(|| self.account_id.clone()),
            region,
            host: host(request),
        })
    }
}

/// Where the client found this server, if that can stand in a link.
fn host(request: &Request<Bytes>) -> Option<String> {
    let named = request.headers().get(http::header::HOST);
    let named = match named {
        Some(host) => host.to_str().ok()?,
        None => request.uri().authority()?.as_str(),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (named.len() <= HOST_CHARS && named.bytes().all(is_plain)).then(|| named.to_owned())
}

fn is_region(text: &str) -> bool {
    (1..=REGION_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
