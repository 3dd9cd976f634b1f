//! The vocabulary of the generated tables: operations, shapes and exceptions as plain data.
//!
//! Everything here is data with no behaviour. `wire` resolves the names once and then routes, binds,
//! validates and renders from it; nothing in the tables may need interpretation elsewhere.
//! Invariant: within one [`ServiceSpec`] every shape name a member, list, map or operation mentions
//! is the name of a row of [`ServiceSpec::shapes`], which is sorted by name.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exception::ExceptionKind;

/// One API operation as a type of size zero.
pub trait Operation: Send + Sync + 'static {
    /// Its table row.
    const SPEC: &'static OperationSpec;
    /// What the client sends, labels, query and headers included.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// What the client gets; without the event stream of a [`StreamingOperation`].
    type Output: Serialize + DeserializeOwned + Send + 'static;
}

/// An operation whose answer is an event stream.
pub trait StreamingOperation: Operation {
    /// One event: an externally tagged enum without the stream's exceptions.
    type Event: Serialize + DeserializeOwned + Send + 'static;
}

/// The service an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// `bedrock-agent`, the control plane.
    Control,
    /// `bedrock-agent-runtime`.
    Runtime,
    /// `bedrock-runtime`: Converse and `ApplyGuardrail`; the rest is known by its routes only.
    Converse,
    /// `bedrock`: guardrails; the rest is known by its routes only.
    Bedrock,
    /// `lambda`: functions from zip archives; the rest is known by its routes only.
    Lambda,
}

impl Service {
    /// The first label of the service's host names (`bedrock-agent.us-east-1.amazonaws.com`).
    pub const fn endpoint_prefix(self) -> &'static str {
        match self {
            Self::Control => "bedrock-agent",
            Self::Runtime => "bedrock-agent-runtime",
            Self::Converse => "bedrock-runtime",
            Self::Bedrock => "bedrock",
            Self::Lambda => "lambda",
        }
    }

    /// The service name of a signature's scope.
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::Control | Self::Runtime | Self::Converse | Self::Bedrock => "bedrock",
            Self::Lambda => "lambda",
        }
    }
}

/// All tables of one service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSpec {
    /// Which one.
    pub service: Service,
    /// Every operation, sorted by name.
    pub operations: &'static [&'static OperationSpec],
    /// Every shape but the exceptions, sorted by name.
    pub shapes: &'static [ShapeSpec],
    /// How each kind of exception looks in this service.
    pub exceptions: &'static [ExceptionSpec],
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct OperationSpec {
    /// AWS's name, `CreateAgent`.
    pub name: &'static str,
    /// Whose it is.
    pub service: Service,
    /// The HTTP method in upper case.
    pub method: &'static str,
    /// The path, segment by segment.
    pub uri: &'static [Segment],
    /// Whether the modelled path ends in a slash; both forms are routed.
    pub trailing_slash: bool,
    /// Query parameters that are part of the route itself (`?type=x`); none in these services.
    pub literal_query: &'static [(&'static str, &'static str)],
    /// The status of a success.
    pub success_status: u16,
    /// The input structure, if the operation takes one.
    pub input: Option<&'static str>,
    /// The output structure, if it gives one.
    pub output: Option<&'static str>,
    /// The exceptions it may answer; others fall back by fault.
    pub errors: &'static [ExceptionKind],
    /// The input member that makes repeating the call safe; clients fill it in.
    pub idempotency_token: Option<&'static str>,
    /// The event stream of the answer.
    pub event_stream: Option<EventStreamSpec>,
}

/// One part of a path between slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Must be exactly this.
    Literal(&'static str),
    /// Takes one segment as the input member of this name.
    Label(&'static str),
    /// Takes all the rest, slashes included.
    GreedyLabel(&'static str),
}

/// The event stream of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStreamSpec {
    /// The output member that is the stream.
    pub member: &'static str,
    /// The union of its events.
    pub shape: &'static str,
    /// Which exceptions may travel in it.
    pub exceptions: &'static [ExceptionKind],
}

/// One shape and its constraints.
#[derive(Clone, Copy, Debug)]
pub struct ShapeSpec {
    /// AWS's name.
    pub name: &'static str,
    /// What it is.
    pub kind: ShapeKind,
    /// Its values must not appear in logs and messages.
    pub sensitive: bool,
}

impl ShapeSpec {
    /// A row.
    pub const fn new(name: &'static str, kind: ShapeKind) -> Self {
        Self {
            name,
            kind,
            sensitive: false,
        }
    }

    /// A row whose values must not be shown.
    pub const fn sensitive(name: &'static str, kind: ShapeKind) -> Self {
        Self {
            name,
            kind,
            sensitive: true,
        }
    }
}

/// What a shape is.
#[derive(Clone, Copy, Debug)]
pub enum ShapeKind {
    /// A JSON object with these members.
    Structure(&'static [MemberSpec]),
    /// A JSON object with exactly one of these members.
    Union(&'static [MemberSpec]),
    /// A JSON array.
    List {
        /// The shape of an element.
        member: &'static str,
        /// Number of elements.
        length: Length,
    },
    /// A JSON object with free keys.
    Map {
        /// The shape of a key, a string.
        key: &'static str,
        /// The shape of a value.
        value: &'static str,
        /// Number of entries.
        length: Length,
    },
    /// A string.
    String {
        /// Length in characters (Unicode scalar values).
        length: Length,
        /// What it must match, in full.
        pattern: Option<Pattern>,
    },
    /// A string from a closed set.
    Enum(&'static [&'static str]),
    /// 32 bits, signed.
    Integer(Range<i64>),
    /// 64 bits, signed.
    Long(Range<i64>),
    /// 32-bit floating point.
    Float(Range<f64>),
    /// 64-bit floating point.
    Double(Range<f64>),
    /// `true` or `false`.
    Boolean,
    /// Bytes, in Base64 in JSON.
    Blob {
        /// Length in bytes.
        length: Length,
    },
    /// A point in time; `None` leaves the format to where it stands (body: epoch seconds).
    Timestamp(Option<TimestampFormat>),
    /// Any JSON.
    Document,
}

/// One member of a structure or union.
#[derive(Clone, Copy, Debug)]
pub struct MemberSpec {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its shape.
    pub target: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Where it travels.
    pub binding: Binding,
}

impl MemberSpec {
    /// A member that must be there.
    pub const fn required(name: &'static str, target: &'static str, binding: Binding) -> Self {
        Self {
            name,
            target,
            required: true,
            binding,
        }
    }

    /// A member that may be absent.
    pub const fn optional(name: &'static str, target: &'static str, binding: Binding) -> Self {
        Self {
            name,
            target,
            required: false,
            binding,
        }
    }
}

/// Where a member of an input or output travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// In the JSON body.
    Body,
    /// In the path, as the label of the member's name.
    Label,
    /// In the query string, under this name.
    Query(&'static str),
    /// A map member whose entries are query parameters.
    QueryMap,
    /// In this header.
    Header(&'static str),
    /// A map member whose entries are the headers beginning with this prefix.
    PrefixHeaders(&'static str),
    /// It is the HTTP status.
    StatusCode,
    /// It is the whole body.
    Payload,
}

/// An inclusive range of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// The least.
    pub min: Option<u64>,
    /// The most.
    pub max: Option<u64>,
}

impl Length {
    /// No bound.
    pub const ANY: Self = Self {
        min: None,
        max: None,
    };

    /// These bounds.
    pub const fn new(min: Option<u64>, max: Option<u64>) -> Self {
        Self { min, max }
    }
}

/// An inclusive range of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range<T> {
    /// The least.
    pub min: Option<T>,
    /// The most.
    pub max: Option<T>,
}

impl<T: Copy> Range<T> {
    /// These bounds.
    pub const fn new(min: Option<T>, max: Option<T>) -> Self {
        Self { min, max }
    }
}

/// A regular expression; a value must match it from its first to its last character, whatever
/// anchors the text has (botocore drops Smithy's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// AWS's text, as error messages show it.
    pub text: &'static str,
    /// What to match instead of `text`, where that uses look-ahead or is wrong.
    pub accept: Option<&'static str>,
    /// What a value must not match in full.
    pub reject: Option<&'static str>,
}

impl Pattern {
    /// A pattern that is matched as it reads.
    pub const fn plain(text: &'static str) -> Self {
        Self {
            text,
            accept: None,
            reject: None,
        }
    }
}

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2025-03-14T09:26:53.589793Z`.
    Iso8601,
    /// Seconds since 1970 as a JSON number, with a fraction if need be.
    EpochSeconds,
    /// `Fri, 14 Mar 2025 09:26:53 GMT`.
    HttpDate,
}

/// How one kind of exception looks in one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionSpec {
    /// The kind.
    pub kind: ExceptionKind,
    /// The shape name, the value of `x-amzn-errortype`.
    pub shape: &'static str,
    /// The name of its member in event streams, the value of `:exception-type`.
    pub event: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The members its body may have, sorted.
    pub members: &'static [&'static str],
}
