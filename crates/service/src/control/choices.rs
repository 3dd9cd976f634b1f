//! Members that go with one value of a sibling: `type` VECTOR with `vectorKnowledgeBaseConfiguration`
//! and no other, and so on.
//!
//! The service model leaves these rules open, so the texts are our own. The first violation is told.

use outcrop_model::exception::Exception;

/// One structure in which a discriminator decides which members there are.
pub(super) struct Choice<'a> {
    /// Path of the structure within the request.
    pub(super) path: &'a str,
    /// The member that decides.
    pub(super) by: &'a str,
    /// What it says.
    pub(super) value: &'a str,
}

/// A member that goes with one value.
pub(super) struct Branch<'a> {
    member: &'a str,
    value: &'a str,
    present: bool,
    need: Need,
}

/// Whether a member may be left out where it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

/// A member that has to be there exactly for this value.
pub(super) fn required<'a, T>(member: &'a str, value: &'a str, given: Option<&T>) -> Branch<'a> {
    let present = given.is_some();
    let need = Need::Required;
    Branch {
        member,
        value,
        present,
        need,
    }
}

/// A member that may be there only for this value.
pub(super) fn optional<'a, T>(member: &'a str, value: &'a str, given: Option<&T>) -> Branch<'a> {
    let present = given.is_some();
    let need = Need::Optional;
    Branch {
        member,
        value,
        present,
        need,
    }
}

impl Choice<'_> {
    /// Refuses what is missing and what belongs to another value.
    pub(super) fn check(&self, branches: &[Branch<'_>]) -> Result<(), Exception> {
        let Self { path, by, value } = self;
        for Branch {
            member,
            value: wanted,
            present,
            need,
        } in branches
        {
            let chosen = wanted == value;
            if chosen && !present && *need == Need::Required {
                return Err(violation(
                    &format!("{path}.{member}"),
                    &format!("is required when {path}.{by} is {value}"),
                ));
            }
            if !chosen && *present {
                return Err(violation(
                    &format!("{path}.{member}"),
                    &format!("is not allowed when {path}.{by} is {value}"),
                ));
            }
        }
        Ok(())
    }
}

/// The refusal of the member at `path`: it `breaks` a rule.
pub(super) fn violation(path: &str, breaks: &str) -> Exception {
    let message = format!("The member {path} {breaks}.");
    Exception::validation(message.clone()).with_field(path, message)
}
