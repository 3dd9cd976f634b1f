//! `clientToken`: the same request sent twice makes one thing.
//!
//! Clients fill the token in by themselves and send it again with each retry. It is remembered per
//! operation, written in the batch that makes the thing, and forgotten after a day.

use std::fmt::Write as _;
use std::time::Duration;

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Write};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::records::{TokenDoc, json, kind};
use crate::{Service, scope};

/// How long a token is remembered. AWS does not say; retries of one call end long before.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

/// What is known of a request's token.
#[derive(Debug, Default)]
pub(super) struct Token {
    /// Id of what it made before, if this is not the first time.
    pub(super) made: Option<String>,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    expect: Expect,
    request: String,
}

impl Token {
    /// Remembers what the token made; nothing where the request carries none. Belongs first into
    /// the batch, so that of two requests with one token the slower finds itself stale.
    pub(super) fn remember(self, resource: &str, now: Timestamp) -> Option<Write> {
        let slot = self.slot?;
        let body = json(&TokenDoc {
            request: slot.request,
            resource: resource.to_owned(),
        });
        Some(Write::Put {
            key: slot.key,
            body: body.into(),
            expect: slot.expect,
            name: None,
            expires_at_ms: Some(now.saturating_add(TOKEN_LIFE).as_millis()),
        })
    }
}

impl Service {
    /// Looks a token up.
    ///
    /// # Errors
    /// `ConflictException` when it came with another request before.
    pub(super) async fn token<Op>(
        &self,
        cx: &CallContext,
        token: Option<&str>,
        input: &Op::Input,
    ) -> Result<Token, Exception>
    where
        Op: Operation,
        Op::Input: Sync,
    {
        let Some(token) = token else {
            return Ok(Token::default());
        };
        let key = scope(cx).key(kind::CLIENT_TOKEN, Op::SPEC.name, token);
        let request = fingerprint(input);
        let known = self.load::<TokenDoc>(key.clone()).await?;
        let (made, expect) = match known {
            None => (None, Expect::Absent),
            Some(known) if known.body.request == request => {
                (Some(known.body.resource), Expect::Revision(known.revision))
            }
            Some(_) => {
                return Err(Exception::conflict(
                    "The clientToken has already been used with a different request. Retry the request with a new clientToken.",
                ));
            }
        };
        Ok(Token {
            made,
            slot: Some(Slot {
                key,
                expect,
                request,
            }),
        })
    }
}

/// SHA-256 of a request's JSON, in hexadecimal.
fn fingerprint<T: Serialize>(input: &T) -> String {
    Sha256::digest(json(input))
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
