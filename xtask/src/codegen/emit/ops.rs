//! Emits one type of size zero per operation.

use std::fmt::Write as _;

use super::{Target, header};
use crate::codegen::ir::Model;
use crate::codegen::names;

pub(in crate::codegen) fn emit(target: Target, model: &Model) -> String {
    let mut out = header(&format!("The operations of `{}` as types.", target.model));
    out.push_str("use super::{shapes, tables};\n");
    out.push_str("use crate::operation::{Operation, OperationSpec");
    if model
        .operations
        .values()
        .any(|operation| model.event_stream(operation).is_some())
    {
        out.push_str(", StreamingOperation");
    }
    out.push_str("};\n\n");
    for (name, operation) in &model.operations {
        let constant = names::constant(name);
        let shape = |shape: &Option<String>| {
            shape
                .as_ref()
                .map_or_else(|| "()".to_owned(), |name| format!("shapes::{name}"))
        };
        let input = shape(&operation.input);
        let output = shape(&operation.output);
        let path: String = crate::codegen::path_text(operation);
        write!(
            out,
            "/// `{method} {path}`.\n\
             #[derive(Clone, Copy, Debug)]\n\
             pub struct {name};\n\n\
             impl Operation for {name} {{\n\
             const SPEC: &'static OperationSpec = &tables::{constant};\n\
             type Input = {input};\n\
             type Output = {output};\n\
             }}\n\n",
            method = operation.method,
        )
        .expect("writing to a string cannot fail");
        if let Some(stream) = model.event_stream(operation) {
            write!(
                out,
                "impl StreamingOperation for {name} {{\ntype Event = shapes::{};\n}}\n\n",
                stream.target
            )
            .expect("writing to a string cannot fail");
        }
    }
    out
}
