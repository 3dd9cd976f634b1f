//! Ids that stay: the tag `outcrop:id` at creation fixes the id of what is created, so that ids
//! written down in client code go on working.
//!
//! The tag is kept like any other, for who wrote it expects to read it back. It can be taken off
//! later, but never put on or changed to something that is not the resource's id.

use std::collections::BTreeMap;

use outcrop_model::arn::RESOURCE_ID_LEN;
use outcrop_model::exception::Exception;
use outcrop_store::Key;

use super::TEST_ALIAS;
use crate::Service;

/// The tag.
const TAG: &str = "outcrop:id";

type Tags = BTreeMap<String, String>;

impl Service {
    /// The id of a new resource: what its tags ask for, else a fresh one. `place` is where an id of
    /// this kind is known to be in use; the batch that makes the resource has to write there with
    /// `Expect::Absent`, so that of two who ask for one id the slower is told when it tries again.
    ///
    /// # Errors
    /// `ValidationException` for what is no id, `ConflictException` for one that is taken.
    pub(super) async fn new_id(
        &self,
        what: &str,
        tags: Option<&Tags>,
        place: impl FnOnce(&str) -> Key,
    ) -> Result<String, Exception> {
        let Some(id) = tags.and_then(|tags| tags.get(TAG)) else {
            return Ok(self.ports.ids.resource_id());
        };
        check(id)?;
        let taken = self.load::<serde::de::IgnoredAny>(place(id)).await?;
        if taken.is_some() {
            return Err(Exception::conflict(format!(
                "Could not perform Create operation, since the {what} id {id} of the tag {TAG} is already taken"
            )));
        }
        Ok(id.clone())
    }
}

/// Refuses the tag on a resource that has another id.
pub(super) fn check_own(arn: &str, tags: &Tags) -> Result<(), Exception> {
    let Some(id) = tags.get(TAG) else {
        return Ok(());
    };
    let own = arn.rsplit('/').next().unwrap_or_default();
    // The ARN of a prompt's version goes on after the id.
    let own = own.split(':').next().unwrap_or_default();
    if id == own {
        return Ok(());
    }
    Err(invalid(format!(
        "The tag {TAG} fixes an id at creation only. The id of this resource is {own}"
    )))
}

fn check(id: &str) -> Result<(), Exception> {
    if id == TEST_ALIAS {
        return Err(invalid(format!(
            "The tag {TAG} cannot be {TEST_ALIAS}, which is reserved"
        )));
    }
    let is_id = id.len() == RESOURCE_ID_LEN
        && id
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_id {
        return Ok(());
    }
    Err(invalid(format!(
        "The tag {TAG} must be {RESOURCE_ID_LEN} characters, each A to Z or 0 to 9, but is {id}"
    )))
}

fn invalid(message: String) -> Exception {
    Exception::validation(message.clone()).with_field("tags", message)
}
