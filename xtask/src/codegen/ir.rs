//! What a service model says, independent of the format it came in.
//!
//! The reader lowers botocore JSON to this and the emitters know nothing else, so that a reader of
//! another format could replace it. Names are AWS's own; Rust names are the emitters' business.

use std::collections::BTreeMap;

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Every shape by name.
    pub shapes: BTreeMap<String, Shape>,
    /// Every operation by name.
    pub operations: BTreeMap<String, Operation>,
}

/// One shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Must not appear in logs.
    pub sensitive: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a shape is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// An object with the given members, in alphabetical order.
    Structure(Vec<Member>),
    /// An object with one of the given members.
    Union(Vec<Member>),
    /// A union of events and exceptions.
    EventStream(Vec<Member>),
    /// A modelled error.
    Exception {
        /// The HTTP status.
        status: u16,
        /// The members of its body.
        members: Vec<Member>,
    },
    /// An array.
    List {
        /// Its elements' shape.
        member: String,
        /// How many.
        length: Length,
    },
    /// An object with free keys.
    Map {
        /// Its keys' shape.
        key: String,
        /// Its values' shape.
        value: String,
        /// How many.
        length: Length,
    },
    /// A string.
    String {
        /// How long.
        length: Length,
        /// What it must match.
        pattern: Option<Pattern>,
    },
    /// A string of a closed set.
    Enum(Vec<String>),
    /// 32 bits.
    Integer(Range<i64>),
    /// 64 bits.
    Long(Range<i64>),
    /// 32-bit floating point.
    Float(Range<f64>),
    /// 64-bit floating point.
    Double(Range<f64>),
    /// A truth value.
    Boolean,
    /// Bytes.
    Blob {
        /// How many.
        length: Length,
    },
    /// A point in time; `None`: the format follows from where it stands.
    Timestamp(Option<TimestampFormat>),
    /// Any JSON.
    Document,
}

/// One member of a structure or union.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name on the wire.
    pub name: String,
    /// Its name in the model, which differs where the body renames it.
    pub model_name: String,
    /// Its shape.
    pub target: String,
    /// Must be there.
    pub required: bool,
    /// Where it travels.
    pub location: Location,
    /// Clients fill it in to make a call repeatable.
    pub idempotency_token: bool,
}

/// Where a member travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the JSON body.
    Body,
    /// In the path.
    Label,
    /// In the query string under this name.
    Query(String),
    /// Its entries are query parameters.
    QueryMap,
    /// In this header.
    Header(String),
    /// Its entries are headers with this prefix.
    PrefixHeaders(String),
    /// It is the status.
    StatusCode,
    /// It is the body.
    Payload,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The HTTP method.
    pub method: String,
    /// The path, segment by segment.
    pub path: Vec<Segment>,
    /// Whether the path ends in a slash.
    pub trailing_slash: bool,
    /// Fixed query parameters.
    pub literal_query: Vec<(String, String)>,
    /// The status of a success.
    pub success_status: u16,
    /// The input structure.
    pub input: Option<String>,
    /// The output structure.
    pub output: Option<String>,
    /// The exceptions, by shape name.
    pub errors: Vec<String>,
}

/// One part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Fixed text.
    Literal(String),
    /// One segment, the named input member.
    Label(String),
    /// All the rest, the named input member.
    GreedyLabel(String),
}

/// Bounds of a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// The least.
    pub min: Option<u64>,
    /// The most.
    pub max: Option<u64>,
}

/// Bounds of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range<T> {
    /// The least.
    pub min: Option<T>,
    /// The most.
    pub max: Option<T>,
}

/// A pattern, with what the overlay says about matching it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As AWS writes it.
    pub text: String,
    /// What to match instead.
    pub accept: Option<String>,
    /// What must not match.
    pub reject: Option<String>,
}

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// ISO-8601.
    Iso8601,
    /// Seconds since 1970.
    EpochSeconds,
    /// As HTTP headers have it.
    HttpDate,
}

impl Model {
    /// The shape of this name.
    ///
    /// # Panics
    /// When there is none; the reader refuses models that mention shapes they do not have.
    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes
            .get(name)
            .expect("the reader refuses models with dangling shape names")
    }

    /// The members of a structure or union, none for other shapes.
    pub fn members(&self, name: &str) -> &[Member] {
        match &self.shape(name).kind {
            Kind::Structure(members) | Kind::Union(members) | Kind::EventStream(members) => members,
            _ => &[],
        }
    }

    /// The member that is the event stream of this operation's output, if it has one.
    pub fn event_stream(&self, operation: &Operation) -> Option<&Member> {
        let output = operation.output.as_deref()?;
        self.members(output)
            .iter()
            .find(|member| matches!(self.shape(&member.target).kind, Kind::EventStream(_)))
    }
}
