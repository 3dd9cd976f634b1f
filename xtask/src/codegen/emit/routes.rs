//! Emits the route list of a service: which operation has a handler, which has none yet.

use std::fmt::Write as _;

use super::{Target, header};
use crate::codegen::ir::Model;
use crate::codegen::names;

pub(in crate::codegen) fn emit(
    target: Target,
    model: &Model,
    not_implemented: &[String],
) -> String {
    let Target {
        module, service, ..
    } = target;
    let mut out = header(&format!(
        "The routes of `{}`; `models/not_implemented.toml` names those without a handler.",
        target.model
    ));
    let served: Vec<_> = model
        .operations
        .iter()
        .filter(|(name, _)| !not_implemented.contains(name))
        .map(|(name, operation)| (name, model.event_stream(operation).is_some()))
        .collect();
    let mut bounds = String::new();
    let mut routes = String::new();
    for (name, streams) in &served {
        let (handle, route) = if *streams {
            ("HandleStream", "streaming")
        } else {
            ("Handle", "new")
        };
        write!(bounds, "{handle}<ops::{name}> + ").expect("writing to a string cannot fail");
        writeln!(routes, "Route::{route}::<ops::{name}>(),")
            .expect("writing to a string cannot fail");
    }
    for name in not_implemented {
        writeln!(
            routes,
            "Route::not_implemented(&tables::{}),",
            names::constant(name)
        )
        .expect("writing to a string cannot fail");
    }
    let mut handles: Vec<&str> = Vec::new();
    if served.iter().any(|(_, streams)| !streams) {
        handles.push("Handle");
    }
    if served.iter().any(|(_, streams)| *streams) {
        handles.push("HandleStream");
    }
    let mut modules: Vec<&str> = Vec::new();
    if !served.is_empty() {
        modules.push("ops");
    }
    if !not_implemented.is_empty() {
        modules.push("tables");
    }
    if !handles.is_empty() {
        writeln!(
            out,
            "use outcrop_model::handle::{{{}}};",
            handles.join(", ")
        )
        .expect("writing to a string cannot fail");
    }
    // Clippy takes functions of up to a hundred lines; three are the list's own.
    let long = if routes.lines().count() > 97 {
        "#[expect(clippy::too_many_lines, reason = \"a line an operation\")]\n"
    } else {
        ""
    };
    write!(
        out,
        "use outcrop_model::{module}::{{{modules}}};\n\n\
         use crate::route::Route;\n\n\
         /// What a type must handle to serve `{model}`.\n\
         pub trait {service}Service: {bounds}Send + Sync + 'static {{}}\n\n\
         impl<S: {bounds}Send + Sync + 'static> {service}Service for S {{}}\n\n\
         /// Every route of `{model}`.\n\
         {long}pub fn routes<S: {service}Service>() -> Vec<Route<S>> {{\nvec![\n{routes}]\n}}\n",
        long = long,
        model = target.model,
        modules = modules.join(", "),
    )
    .expect("writing to a string cannot fail");
    out
}
