//! Everything that can go wrong before a handler runs, and what the client is told.
//!
//! A rejection is typed by cause; only [`Rejection::into_exception`] knows AWS's names and texts.

use outcrop_model::exception::{Exception, ExceptionKind};

use crate::validate::Violations;

/// Why a request was turned away.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// No operation has this method and path; what AWS's front end says of it (behaviour.md 7.7).
    #[error(
        "Unable to determine service/operation name to be authorized: no operation answers {method} {path}"
    )]
    UnknownOperation {
        /// The method.
        method: String,
        /// The path as received.
        path: String,
    },
    /// The operation is modelled, but nothing handles it yet.
    #[error("{operation} is not supported by Outcrop")]
    NotImplemented {
        /// Its name.
        operation: &'static str,
    },
    /// The body is no JSON object.
    #[error("the request body is not a JSON object: {detail}")]
    Body {
        /// What the parser says.
        detail: String,
    },
    /// A member has another JSON type than its shape.
    #[error("'{path}' must be {expected}, but is {got}")]
    Type {
        /// The member.
        path: String,
        /// What its shape wants.
        expected: &'static str,
        /// What was there.
        got: &'static str,
    },
    /// A label, query parameter, header or member cannot be read as its shape.
    #[error("'{path}' cannot be read: {detail}")]
    Unreadable {
        /// The member.
        path: String,
        /// Why.
        detail: String,
    },
    /// Members break constraints of the model.
    #[error("{0}")]
    Constraint(Violations),
    /// The request has no signature.
    #[error("the request is not signed")]
    MissingSignature,
    /// The signature's parts are missing or malformed.
    #[error("the signature is incomplete: {detail}")]
    IncompleteSignature {
        /// Which part and why.
        detail: String,
    },
    /// Nobody configured this access key.
    #[error("the access key {access_key_id} is not configured")]
    UnknownAccessKey {
        /// The key.
        access_key_id: String,
    },
    /// The signature is not the one this request would have.
    #[error("the signature does not match the request")]
    SignatureMismatch,
    /// The signature is too old or from the future.
    #[error("{0}")]
    SignatureTime(String),
}

impl Rejection {
    /// The exception the client gets.
    pub fn into_exception(self) -> Exception {
        let text = self.to_string();
        match self {
            Self::UnknownOperation { .. } => Exception::new(ExceptionKind::UnknownOperation, text),
            Self::NotImplemented { .. } => Exception::validation(text),
            Self::Body { .. } | Self::Type { .. } | Self::Unreadable { .. } => {
                Exception::new(ExceptionKind::Serialization, text)
            }
            Self::Constraint(violations) => violations.into_exception(),
            Self::MissingSignature => Exception::new(
                ExceptionKind::MissingAuthenticationToken,
                "Missing Authentication Token",
            ),
            Self::IncompleteSignature { .. } | Self::SignatureTime(_) => {
                Exception::new(ExceptionKind::InvalidSignature, text)
            }
            Self::UnknownAccessKey { .. } => Exception::new(
                ExceptionKind::UnrecognizedClient,
                "The security token included in the request is invalid.",
            )
            .with_internal(text),
            Self::SignatureMismatch => Exception::new(
                ExceptionKind::InvalidSignature,
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.",
            ),
        }
    }
}
