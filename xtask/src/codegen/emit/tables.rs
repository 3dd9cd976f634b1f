//! Emits the static tables: operations, shapes with their constraints, exceptions.

use std::fmt::{Debug, Write as _};

use super::{Target, header};
use crate::codegen::ir::{
    Kind, Length, Location, Member, Model, Operation, Pattern, Range, Segment, TimestampFormat,
};
use crate::codegen::names;

pub(in crate::codegen) fn emit(target: Target, model: &Model) -> String {
    let mut out = header(&format!("The tables of `{}`.", target.model));
    out.push_str(
        "#![allow(clippy::unreadable_literal, reason = \"bounds are shown as AWS writes them\")]\n\n",
    );
    let body = body(target, model);
    let imports: Vec<_> = TYPES
        .into_iter()
        .filter(|name| body.contains(name))
        .collect();
    write!(
        out,
        "use crate::exception::ExceptionKind;\nuse crate::operation::{{{}}};\n\n{body}",
        imports.join(", ")
    )
    .expect("writing to a string cannot fail");
    out
}

/// What the tables may use of `outcrop_model::operation`.
const TYPES: [&str; 14] = [
    "Binding",
    "EventStreamSpec",
    "ExceptionSpec",
    "Length",
    "MemberSpec",
    "OperationSpec",
    "Pattern",
    "Range",
    "Segment",
    "Service",
    "ServiceSpec",
    "ShapeKind",
    "ShapeSpec",
    "TimestampFormat",
];

fn body(target: Target, model: &Model) -> String {
    let service = target.service;
    let mut out = String::new();
    write!(
        out,
        "/// All tables of the service.\n\
         pub static SERVICE: ServiceSpec = ServiceSpec {{\n\
         service: Service::{service},\noperations: OPERATIONS,\nshapes: SHAPES,\nexceptions: EXCEPTIONS,\n}};\n\n"
    )
    .expect("writing to a string cannot fail");
    let rows = list(model.operations.keys(), |name| {
        format!("&{}", names::constant(name))
    });
    write!(
        out,
        "/// Every operation.\npub static OPERATIONS: &[&OperationSpec] = &{rows};\n\n"
    )
    .expect("writing to a string cannot fail");
    for (name, operation) in &model.operations {
        out.push_str(&operation_row(target, model, name, operation));
    }
    out.push_str(&exception_rows(target, model));
    out.push_str("/// Every shape but the exceptions.\npub static SHAPES: &[ShapeSpec] = &[\n");
    for (name, shape) in &model.shapes {
        if matches!(shape.kind, Kind::Exception { .. }) {
            continue;
        }
        let kind = shape_kind(model, &shape.kind);
        let constructor = if shape.sensitive { "sensitive" } else { "new" };
        writeln!(out, "ShapeSpec::{constructor}({name:?}, {kind}),")
            .expect("writing to a string cannot fail");
    }
    out.push_str("];\n");
    out
}

fn operation_row(target: Target, model: &Model, name: &str, operation: &Operation) -> String {
    let uri = list(&operation.path, |segment| match segment {
        Segment::Literal(text) => format!("Segment::Literal({text:?})"),
        Segment::Label(text) => format!("Segment::Label({text:?})"),
        Segment::GreedyLabel(text) => format!("Segment::GreedyLabel({text:?})"),
    });
    let errors = kinds(target, operation.errors.iter().map(String::as_str));
    let token = operation.input.as_deref().and_then(|input| {
        let mut members = model.members(input).iter();
        members.find(|member| member.idempotency_token)
    });
    let stream = model.event_stream(operation).map(|member| {
        let exceptions = model.members(&member.target).iter().filter_map(|event| {
            let is_exception = matches!(model.shape(&event.target).kind, Kind::Exception { .. });
            is_exception.then_some(event.target.as_str())
        });
        format!(
            "EventStreamSpec {{ member: {:?}, shape: {:?}, exceptions: &{} }}",
            member.name,
            member.target,
            kinds(target, exceptions)
        )
    });
    format!(
        "/// `{name}`.\npub static {constant}: OperationSpec = OperationSpec {{\n\
         name: {name:?},\nservice: Service::{service},\nmethod: {method:?},\nuri: &{uri},\n\
         trailing_slash: {slash},\nliteral_query: &{query:?},\nsuccess_status: {status},\n\
         input: {input:?},\noutput: {output:?},\nerrors: &{errors},\n\
         idempotency_token: {token:?},\nevent_stream: {stream},\n}};\n\n",
        constant = names::constant(name),
        service = target.service,
        method = operation.method,
        slash = operation.trailing_slash,
        query = operation.literal_query,
        status = operation.success_status,
        input = operation.input,
        output = operation.output,
        token = token.map(|member| member.name.as_str()),
        stream = option(stream),
        errors = errors,
    )
}

fn exception_rows(target: Target, model: &Model) -> String {
    let mut out =
        "/// How each kind of exception looks.\npub static EXCEPTIONS: &[ExceptionSpec] = &[\n"
            .to_owned();
    for (name, shape) in &model.shapes {
        let Kind::Exception { status, members } = &shape.kind else {
            continue;
        };
        let Some(kind) = target.exception_kind(name) else {
            continue;
        };
        let mut event = name.clone();
        event[..1].make_ascii_lowercase();
        let members: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        writeln!(
            out,
            "ExceptionSpec {{ kind: ExceptionKind::{kind}, shape: {name:?}, event: {event:?}, status: {status}, members: &{members:?} }},",
        )
        .expect("writing to a string cannot fail");
    }
    out.push_str("];\n\n");
    out
}

fn shape_kind(model: &Model, kind: &Kind) -> String {
    match kind {
        Kind::Structure(members) => format!("ShapeKind::Structure(&{})", member_rows(members)),
        Kind::Union(members) => format!("ShapeKind::Union(&{})", member_rows(members)),
        Kind::EventStream(members) => {
            let events: Vec<_> = members
                .iter()
                .filter(|event| !matches!(model.shape(&event.target).kind, Kind::Exception { .. }))
                .cloned()
                .collect();
            format!("ShapeKind::Union(&{})", member_rows(&events))
        }
        Kind::List { member, length } => {
            format!(
                "ShapeKind::List {{ member: {member:?}, length: {} }}",
                length_text(*length)
            )
        }
        Kind::Map { key, value, length } => format!(
            "ShapeKind::Map {{ key: {key:?}, value: {value:?}, length: {} }}",
            length_text(*length)
        ),
        Kind::String { length, pattern } => format!(
            "ShapeKind::String {{ length: {}, pattern: {} }}",
            length_text(*length),
            option(pattern.as_ref().map(pattern_text))
        ),
        Kind::Enum(values) => format!("ShapeKind::Enum(&{values:?})"),
        Kind::Integer(range) => format!("ShapeKind::Integer({})", range_text(range)),
        Kind::Long(range) => format!("ShapeKind::Long({})", range_text(range)),
        Kind::Float(range) => format!("ShapeKind::Float({})", range_text(range)),
        Kind::Double(range) => format!("ShapeKind::Double({})", range_text(range)),
        Kind::Boolean => "ShapeKind::Boolean".to_owned(),
        Kind::Blob { length } => format!("ShapeKind::Blob {{ length: {} }}", length_text(*length)),
        Kind::Timestamp(format) => format!(
            "ShapeKind::Timestamp({})",
            option(format.map(|format| match format {
                TimestampFormat::Iso8601 => "TimestampFormat::Iso8601",
                TimestampFormat::EpochSeconds => "TimestampFormat::EpochSeconds",
                TimestampFormat::HttpDate => "TimestampFormat::HttpDate",
            }))
        ),
        Kind::Document => "ShapeKind::Document".to_owned(),
        Kind::Exception { .. } => unreachable!("exceptions have a table of their own"),
    }
}

fn member_rows(members: &[Member]) -> String {
    list(members, |member| {
        let binding = match &member.location {
            Location::Body => "Body".to_owned(),
            Location::Label => "Label".to_owned(),
            Location::Query(name) => format!("Query({name:?})"),
            Location::QueryMap => "QueryMap".to_owned(),
            Location::Header(name) => format!("Header({name:?})"),
            Location::PrefixHeaders(prefix) => format!("PrefixHeaders({prefix:?})"),
            Location::StatusCode => "StatusCode".to_owned(),
            Location::Payload => "Payload".to_owned(),
        };
        let constructor = if member.required {
            "required"
        } else {
            "optional"
        };
        let Member { name, target, .. } = member;
        format!("MemberSpec::{constructor}({name:?}, {target:?}, Binding::{binding})")
    })
}

fn length_text(length: Length) -> String {
    if length == Length::default() {
        "Length::ANY".to_owned()
    } else {
        format!("Length::new({:?}, {:?})", length.min, length.max)
    }
}

fn range_text<T: Debug>(range: &Range<T>) -> String {
    format!("Range::new({:?}, {:?})", range.min, range.max)
}

fn pattern_text(pattern: &Pattern) -> String {
    let Pattern {
        text,
        accept,
        reject,
    } = pattern;
    if accept.is_none() && reject.is_none() {
        format!("Pattern::plain({text:?})")
    } else {
        format!("Pattern {{ text: {text:?}, accept: {accept:?}, reject: {reject:?} }}")
    }
}

fn kinds<'a>(target: Target, shapes: impl Iterator<Item = &'a str>) -> String {
    let kinds = shapes.filter_map(|shape| target.exception_kind(shape));
    list(kinds, |kind| format!("ExceptionKind::{kind}"))
}

fn list<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> String) -> String {
    let items: Vec<String> = items.into_iter().map(show).collect();
    format!("[{}]", items.join(", "))
}

fn option(value: Option<impl AsRef<str>>) -> String {
    value.map_or_else(
        || "None".to_owned(),
        |value| format!("Some({})", value.as_ref()),
    )
}
