//! Links to code: addresses under which the archive of a version can be fetched for some minutes
//! without a signature, as AWS gives out presigned ones.
//!
//! A link names the version and says until when it is good; a seal over both, made with a key that
//! only servers of this store have, shows that it was given out.

use bytes::Bytes;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::CallContext;
use outcrop_store::{Expect, Key, StoreError};
use sha2::{Digest as _, Sha256};

use super::code::{self, hex};
use super::documents::{FunctionDoc, VersionDoc};
use super::{LATEST, function_key, version_key};
use crate::records::{Scope, kind, put};
use crate::{Service, error};

/// Where links lead, below the server's address.
pub const CODE_PATH: &str = "/_outcrop/code/";
/// How long a link is good, in seconds. AWS's are good for ten minutes.
const GOOD_FOR_S: i64 = 600;
/// Bytes of a block of SHA-256, which the construction of a keyed hash needs.
const BLOCK_BYTES: usize = 64;
/// The one key there is.
const KEY_ID: &str = "default";

impl Service {
    /// The link to the code of a version.
    pub(super) async fn code_link(
        &self,
        cx: &CallContext,
        name: &str,
        version: &str,
    ) -> Result<String, Exception> {
        let good_until = self.now().as_seconds() + GOOD_FOR_S;
        let what = format!(
            "{}/{}/{name}/{version}/{good_until}",
            cx.account_id, cx.region
        );
        let seal = seal(&self.link_key().await?, &what);
        let host = cx.host.as_deref().unwrap_or("localhost");
        Ok(format!("http://{host}{CODE_PATH}{what}/{seal}"))
    }

    /// The archive that a link leads to; `path` is what follows [`CODE_PATH`].
    ///
    /// # Errors
    /// `AccessDeniedException` where the link is not one of this store or is not good any more,
    /// `ResourceNotFoundException` where the version is gone.
    pub async fn linked_code(&self, path: &str) -> Result<Bytes, Exception> {
        let (what, given) = path.rsplit_once('/').ok_or_else(bad_link)?;
        let parts: Vec<&str> = what.split('/').collect();
        let [account_id, region, name, version, good_until] = parts[..] else {
            return Err(bad_link());
        };
        let good_until: i64 = good_until.parse().map_err(|_| bad_link())?;
        if !is_same(&seal(&self.link_key().await?, what), given)
            || good_until < self.now().as_seconds()
        {
            return Err(bad_link());
        }
        let scope = Scope::new(account_id, region);
        let gone = || {
            Exception::not_found(format!(
                "The code of {name}:{version} is not here any more."
            ))
        };
        let code = if version == LATEST {
            let found = self.load::<FunctionDoc>(function_key(&scope, name)).await?;
            found.ok_or_else(gone)?.body.code
        } else {
            let found = self
                .load::<VersionDoc>(version_key(&scope, name, version))
                .await?;
            found.ok_or_else(gone)?.body.code
        };
        let now_ms = self.now().as_millis();
        let loaded = code::load(&*self.ports.store, now_ms, &scope, name, &code).await;
        loaded.map_err(|error| Exception::internal(error.to_string()))
    }

    /// The key, made when it is first needed.
    async fn link_key(&self) -> Result<String, Exception> {
        let key = Key {
            scope: "".into(),
            kind: kind::LAMBDA_LINK_KEY,
            parent: "".into(),
            id: KEY_ID.into(),
        };
        if let Some(found) = self.load::<String>(key.clone()).await? {
            return Ok(found.body);
        }
        let fresh = format!("{}{}", self.ports.ids.uuid(), self.ports.ids.uuid());
        match self
            .write(vec![put(key.clone(), &fresh, Expect::Absent, None)])
            .await
        {
            Ok(_) => Ok(fresh),
            Err(StoreError::Stale { .. }) => {
                let found = self.load::<String>(key).await?;
                found
                    .map(|found| found.body)
                    .ok_or_else(|| Exception::internal("the key of links came and went"))
            }
            Err(cause) => Err(error::store(cause)),
        }
    }
}

fn bad_link() -> Exception {
    Exception::new(
        ExceptionKind::AccessDenied,
        "This link is not valid, or not any more. GetFunction gives out a fresh one.",
    )
}

/// HMAC (RFC 2104) with SHA-256, in hexadecimal digits. The key is shorter than a block.
fn seal(key: &str, what: &str) -> String {
    let mut inner = [0x36_u8; BLOCK_BYTES];
    let mut outer = [0x5c_u8; BLOCK_BYTES];
    for (place, byte) in key.bytes().enumerate() {
        if let (Some(inner), Some(outer)) = (inner.get_mut(place), outer.get_mut(place)) {
            *inner ^= byte;
            *outer ^= byte;
        }
    }
    let first = Sha256::new()
        .chain_update(inner)
        .chain_update(what)
        .finalize();
    hex(&Sha256::new()
        .chain_update(outer)
        .chain_update(first)
        .finalize())
}

/// Compares without telling by the time it takes where two texts differ.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |sum, (a, b)| sum | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn seals_are_hmacs() {
        assert_eq!(
            seal("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(is_same("ab", "ab"));
        assert!(!is_same("ab", "aa"));
        assert!(!is_same("ab", "a"));
    }
}
