//! Pages of `Retrieve`: as many results as fit in a response, the rest by `nextToken`.
//!
//! The token says which result comes next, and is bound to all that the request says besides. The
//! search is made again for each page; documents that change in between may move results.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outcrop_model::exception::Exception;
use outcrop_model::runtime::RetrieveRequest;
use sha2::{Digest, Sha256};

use super::Found;
use crate::records::json;

/// Most bytes of text in one response, its first result aside. Far above what five hundred tokens a
/// chunk need, and far below what clients take.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the hash that binds a token to its request.
const BINDING_BYTES: usize = 16;

/// What binds tokens to a request.
pub(super) struct Binding([u8; BINDING_BYTES]);

impl Binding {
    /// Of a request in an account and region.
    pub(super) fn of(scope: &str, request: &RetrieveRequest) -> Self {
        let mut same = request.clone();
        same.next_token = None;
        let hash = Sha256::new()
            .chain_update(scope)
            .chain_update([0])
            .chain_update(json(&same))
            .finalize();
        let mut binding = [0; BINDING_BYTES];
        for (into, byte) in binding.iter_mut().zip(hash) {
            *into = byte;
        }
        Self(binding)
    }

    /// Which result a token leads to.
    ///
    /// # Errors
    /// `ValidationException` for a token of another request.
    pub(super) fn place(&self, token: &str) -> Result<usize, Exception> {
        let place = || {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            let place = bytes.strip_prefix(&self.0)?;
            Some(usize::from(u16::from_be_bytes(place.try_into().ok()?)))
        };
        place().ok_or_else(|| {
            let message = "The nextToken is not valid. Use the nextToken of the previous response with the same request, or none to start over.";
            Exception::validation(message).with_field("nextToken", message)
        })
    }

    fn token(&self, place: usize) -> Option<String> {
        let place = u16::try_from(place).ok()?;
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(&place.to_be_bytes());
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The results from `first` that fit in a response, and the token of the next ones.
pub(super) fn page<'a>(
    found: &'a [Found],
    first: usize,
    binding: &Binding,
) -> (&'a [Found], Option<String>) {
    let rest = found.get(first..).unwrap_or_default();
    let mut bytes = 0_usize;
    let fit = rest
        .iter()
        .take_while(|one| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(one.text.len().max(1));
            is_first || bytes <= TEXT_BYTES_MAX
        })
        .count();
    let (page, more) = rest.split_at(fit);
    let token = (!more.is_empty()).then(|| binding.token(first + fit));
    (page, token.flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use outcrop_engine::port::DocumentKey;
    use outcrop_knowledge::document::DocumentLocation;

    use super::*;

    fn found(bytes: &[usize]) -> Vec<Found> {
        let one = |bytes: &usize| Found {
            id: "c".to_owned(),
            text: "x".repeat(*bytes).into(),
            document: DocumentKey {
                data_source_id: String::new(),
                location: DocumentLocation::Custom { id: String::new() },
            },
            metadata: Arc::default(),
            score: 0.0,
        };
        bytes.iter().map(one).collect()
    }

    #[test]
    fn what_does_not_fit_comes_with_the_token() {
        let mut request = RetrieveRequest {
            knowledge_base_id: "KB".to_owned(),
            ..RetrieveRequest::default()
        };
        let binding = Binding::of("a/r", &request);
        let half = TEXT_BYTES_MAX / 2;
        let found = found(&[half, half, 2 * TEXT_BYTES_MAX, 1]);
        let mut first = 0;
        let mut pages = Vec::new();
        loop {
            let (page, token) = page(&found, first, &binding);
            pages.push(page.len());
            let Some(token) = token else { break };
            first = binding.place(&token).expect("our token");
            request.next_token = Some(token.clone());
            assert_eq!(Binding::of("a/r", &request).place(&token).ok(), Some(first));
            assert!(Binding::of("a/s", &request).place(&token).is_err());
        }
        assert_eq!(pages, [2, 1, 1]);
        assert!(binding.place("x").is_err());
        assert_eq!(page(&found, 9, &binding).0.len(), 0);
    }
}
