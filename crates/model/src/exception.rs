//! The one error every use case returns: an AWS exception without any HTTP in it.
//!
//! Which status and which shape name a kind becomes is looked up per service in the generated
//! tables, since the same exception has different statuses in the two services (behaviour.md 13.2).

use std::error::Error as StdError;
use std::fmt;

/// The kinds of exception the services model, plus the unmodelled ones every AWS front end
/// answers before an operation is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ExceptionKind {
    /// The caller may not do this, or the agent's own credentials may not.
    AccessDenied,
    /// A dependency answered with a server fault or could not be reached.
    BadGateway,
    /// The resource's state, name or a concurrent call forbids this.
    Conflict,
    /// A Lambda function or a model failed (runtime only).
    DependencyFailed,
    /// A fault of this server.
    InternalServer,
    /// The input breaks a rule that is not a constraint of the model (Lambda only).
    InvalidParameterValue,
    /// The payload of a call is no JSON (Lambda only).
    InvalidRequestContent,
    /// The model failed while processing the request (Converse only).
    ModelError,
    /// The model is not loaded yet.
    ModelNotReady,
    /// The model failed while streaming (Converse only).
    ModelStreamError,
    /// The model took too long (Converse only).
    ModelTimeout,
    /// A resource policy would be too long (Lambda only).
    PolicyLengthExceeded,
    /// The resource is not at the revision that the request names (Lambda only).
    PreconditionFailed,
    /// The payload of a call is too large (Lambda only).
    RequestTooLarge,
    /// Another resource needs this one (guardrails only).
    ResourceInUse,
    /// No such resource.
    ResourceNotFound,
    /// A quota or a budget is used up.
    ServiceQuotaExceeded,
    /// The service cannot answer now (Converse only).
    ServiceUnavailable,
    /// Too many requests.
    Throttling,
    /// A resource would have too many tags (guardrails only).
    TooManyTags,
    /// The input breaks a constraint or a rule.
    Validation,
    /// The body is not what the protocol allows (unmodelled).
    Serialization,
    /// No operation has this route (unmodelled).
    UnknownOperation,
    /// The access key is unknown (unmodelled).
    UnrecognizedClient,
    /// The signature does not match or has expired (unmodelled).
    InvalidSignature,
    /// The request carries no signature (unmodelled).
    MissingAuthenticationToken,
}

/// One member that broke a constraint; `fieldList` of the control plane's `ValidationException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the member as AWS writes it, e.g. `agentDescriptor.aliasArn`.
    pub name: String,
    /// What is wrong with it.
    pub message: String,
}

/// What went wrong, for the client and for the log.
#[derive(Debug)]
pub struct Exception(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ExceptionKind,
    message: String,
    internal: Option<String>,
    resource_name: Option<String>,
    fields: Vec<FieldError>,
    retry_after_s: Option<u32>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Exception {
    /// An exception of `kind` whose `message` goes to the client.
    pub fn new(kind: ExceptionKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            internal: None,
            resource_name: None,
            fields: Vec::new(),
            retry_after_s: None,
            source: None,
        }))
    }

    /// Shorthand for [`ExceptionKind::Validation`].
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ExceptionKind::Validation, message)
    }

    /// Shorthand for [`ExceptionKind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ExceptionKind::Conflict, message)
    }

    /// Shorthand for [`ExceptionKind::ResourceNotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ExceptionKind::ResourceNotFound, message)
    }

    /// A fault of this server: the client sees AWS's sentence, the log sees `internal`.
    pub fn internal(internal: impl Into<String>) -> Self {
        Self::new(
            ExceptionKind::InternalServer,
            "An internal server error occurred. Retry your request.",
        )
        .with_internal(internal)
    }

    /// Adds context that only the log may show.
    #[must_use]
    pub fn with_internal(mut self, internal: impl Into<String>) -> Self {
        self.0.internal = Some(internal.into());
        self
    }

    /// Names the dependency that failed (`resourceName` of the exceptions that have it).
    #[must_use]
    pub fn with_resource_name(mut self, name: impl Into<String>) -> Self {
        self.0.resource_name = Some(name.into());
        self
    }

    /// Adds one offending member.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.fields.push(FieldError {
            name: name.into(),
            message: message.into(),
        });
        self
    }

    /// Tells the client when to come back, in seconds (`retry-after`).
    #[must_use]
    pub fn with_retry_after_s(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Keeps the error this one came from.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The kind.
    pub fn kind(&self) -> ExceptionKind {
        self.0.kind
    }

    /// The text for the client.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The text for the log, if there is more to say.
    pub fn internal_message(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }

    /// The dependency that failed.
    pub fn resource_name(&self) -> Option<&str> {
        self.0.resource_name.as_deref()
    }

    /// The offending members.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Seconds after which a retry makes sense.
    pub fn retry_after_s(&self) -> Option<u32> {
        self.0.retry_after_s
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl StdError for Exception {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
