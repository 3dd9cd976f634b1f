//! One operation, resolved: what its input and output consist of and where each part travels.
//!
//! The four directions are in files of their own: [`crate::bind`] turns requests into input and
//! input into requests, [`crate::render`] writes answers, [`crate::client`] reads them.

use std::sync::Arc;

use outcrop_model::operation::{Binding, OperationSpec, ServiceSpec};
use serde_json::{Map, Value};

use crate::schema::{Kind, Member, Schema, ShapeId};

/// One operation with the schema of its service.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Its table row.
    pub spec: &'static OperationSpec,
    pub(crate) schema: Arc<Schema>,
    pub(crate) input: Option<Layout>,
    pub(crate) output: Option<Layout>,
}

/// Where the members of an input or output travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) shape: ShapeId,
    /// Whether any member is in a JSON body that has others beside it.
    pub(crate) has_body: bool,
    /// Whether any member travels elsewhere.
    pub(crate) has_bound: bool,
}

impl Codec {
    /// Resolves an operation of the schema's service.
    ///
    /// # Panics
    /// When the operation names a shape the schema lacks, which the generator refuses to emit.
    pub fn new(schema: &Arc<Schema>, spec: &'static OperationSpec) -> Self {
        Self {
            spec,
            input: spec.input.map(|name| Layout::new(schema, name)),
            output: spec.output.map(|name| Layout::new(schema, name)),
            schema: Arc::clone(schema),
        }
    }

    /// The tables of the service.
    pub fn service(&self) -> &'static ServiceSpec {
        self.schema.spec
    }

    pub(crate) fn members(&self, layout: Layout) -> &[Member] {
        self.schema.members(layout.shape)
    }
}

impl Layout {
    fn new(schema: &Schema, name: &str) -> Self {
        let shape = schema.id(name);
        let members = schema.members(shape);
        Self {
            shape,
            has_body: members.iter().any(|member| member.binding == Binding::Body),
            has_bound: members.iter().any(|member| member.binding != Binding::Body),
        }
    }
}

/// How a payload member is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadForm {
    /// The bytes themselves.
    Bytes,
    /// The text itself.
    Text,
    /// JSON.
    Json,
}

impl PayloadForm {
    pub(crate) fn of(schema: &Schema, shape: ShapeId) -> Self {
        match schema.shape(shape).kind {
            Kind::Blob { .. } => Self::Bytes,
            Kind::String { .. } | Kind::Enum(_) => Self::Text,
            _ => Self::Json,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Bytes => "application/octet-stream",
            Self::Text => "text/plain",
            Self::Json => "application/json",
        }
    }
}

/// Takes the object out of a value; the shapes of inputs and outputs are structures.
pub(crate) fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
