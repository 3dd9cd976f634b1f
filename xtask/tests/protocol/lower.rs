//! From the generator's IR to the static tables that `outcrop_wire` walks, at run time.
//!
//! The tables are leaked: they must be static, and a test process ends.

use outcrop_model::exception::ExceptionKind;
use outcrop_model::operation::{
    Binding, ExceptionSpec, Length, MemberSpec, OperationSpec, Pattern, Range, Segment, Service,
    ServiceSpec, ShapeKind, ShapeSpec, TimestampFormat,
};
use xtask::codegen::ir;

/// The tables of a model, with one exception of each sort, which every service must have.
pub(crate) fn lower(model: &ir::Model) -> &'static ServiceSpec {
    let operations = model
        .operations
        .iter()
        .map(|(name, operation)| leak(lower_operation(model, name, operation)));
    let shapes = model.shapes.iter().filter_map(|(name, shape)| {
        let kind = lower_kind(&shape.kind)?;
        Some(ShapeSpec::new(leak_str(name), kind))
    });
    leak(ServiceSpec {
        service: Service::Control,
        operations: leak_vec(operations.collect()),
        shapes: leak_vec(shapes.collect()),
        exceptions: &[
            ExceptionSpec {
                kind: ExceptionKind::InternalServer,
                shape: "InternalServerException",
                event: "internalServerException",
                status: 500,
                members: &["message"],
            },
            ExceptionSpec {
                kind: ExceptionKind::Validation,
                shape: "ValidationException",
                event: "validationException",
                status: 400,
                members: &["message"],
            },
        ],
    })
}

fn lower_operation(model: &ir::Model, name: &str, operation: &ir::Operation) -> OperationSpec {
    let uri = operation.path.iter().map(|segment| match segment {
        ir::Segment::Literal(text) => Segment::Literal(leak_str(text)),
        ir::Segment::Label(text) => Segment::Label(leak_str(text)),
        ir::Segment::GreedyLabel(text) => Segment::GreedyLabel(leak_str(text)),
    });
    let query = operation.literal_query.iter();
    let query = query.map(|(name, value)| (leak_str(name), leak_str(value)));
    let members = operation
        .input
        .as_deref()
        .map_or(&[][..], |input| model.members(input));
    let token = members.iter().find(|member| member.idempotency_token);
    OperationSpec {
        name: leak_str(name),
        service: Service::Control,
        method: leak_str(&operation.method),
        uri: leak_vec(uri.collect()),
        trailing_slash: operation.trailing_slash,
        literal_query: leak_vec(query.collect()),
        success_status: operation.success_status,
        input: operation.input.as_deref().map(leak_str),
        output: operation.output.as_deref().map(leak_str),
        errors: &[],
        idempotency_token: token.map(|member| leak_str(&member.name)),
        event_stream: None,
    }
}

fn lower_kind(kind: &ir::Kind) -> Option<ShapeKind> {
    Some(match kind {
        ir::Kind::Structure(members) => ShapeKind::Structure(lower_members(members)),
        ir::Kind::Union(members) => ShapeKind::Union(lower_members(members)),
        ir::Kind::EventStream(_) | ir::Kind::Exception { .. } => return None,
        ir::Kind::List { member, length } => ShapeKind::List {
            member: leak_str(member),
            length: lower_length(*length),
        },
        ir::Kind::Map { key, value, length } => ShapeKind::Map {
            key: leak_str(key),
            value: leak_str(value),
            length: lower_length(*length),
        },
        ir::Kind::String { length, pattern } => ShapeKind::String {
            length: lower_length(*length),
            pattern: pattern
                .as_ref()
                .map(|pattern| Pattern::plain(leak_str(&pattern.text))),
        },
        ir::Kind::Enum(values) => ShapeKind::Enum(leak_vec(
            values.iter().map(|value| leak_str(value)).collect(),
        )),
        ir::Kind::Integer(range) => ShapeKind::Integer(Range::new(range.min, range.max)),
        ir::Kind::Long(range) => ShapeKind::Long(Range::new(range.min, range.max)),
        ir::Kind::Float(range) => ShapeKind::Float(Range::new(range.min, range.max)),
        ir::Kind::Double(range) => ShapeKind::Double(Range::new(range.min, range.max)),
        ir::Kind::Boolean => ShapeKind::Boolean,
        ir::Kind::Blob { length } => ShapeKind::Blob {
            length: lower_length(*length),
        },
        ir::Kind::Timestamp(format) => ShapeKind::Timestamp(format.map(lower_format)),
        ir::Kind::Document => ShapeKind::Document,
    })
}

fn lower_members(members: &[ir::Member]) -> &'static [MemberSpec] {
    let members = members.iter().map(|member| MemberSpec {
        name: leak_str(&member.name),
        target: leak_str(&member.target),
        required: member.required,
        binding: match &member.location {
            ir::Location::Body => Binding::Body,
            ir::Location::Label => Binding::Label,
            ir::Location::Query(name) => Binding::Query(leak_str(name)),
            ir::Location::QueryMap => Binding::QueryMap,
            ir::Location::Header(name) => Binding::Header(leak_str(name)),
            ir::Location::PrefixHeaders(prefix) => Binding::PrefixHeaders(leak_str(prefix)),
            ir::Location::StatusCode => Binding::StatusCode,
            ir::Location::Payload => Binding::Payload,
        },
    });
    leak_vec(members.collect())
}

fn lower_length(length: ir::Length) -> Length {
    Length::new(length.min, length.max)
}

fn lower_format(format: ir::TimestampFormat) -> TimestampFormat {
    match format {
        ir::TimestampFormat::Iso8601 => TimestampFormat::Iso8601,
        ir::TimestampFormat::EpochSeconds => TimestampFormat::EpochSeconds,
        ir::TimestampFormat::HttpDate => TimestampFormat::HttpDate,
    }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn leak_vec<T>(values: Vec<T>) -> &'static [T] {
    values.leak()
}

fn leak_str(text: &str) -> &'static str {
    text.to_owned().leak()
}
