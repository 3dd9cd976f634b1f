//! Which `[[functions]]` entry runs a function, and whether the handler it names is there.
//!
//! Follows the rules of the registry that really runs them: an entry that names a function in full,
//! then what is registered, then an entry that fits by a wildcard.

pub(crate) mod handler;

use globset::Glob;
use serde_json::{Value, json};

use outcrop_adapters::action::McpTransport;

use crate::config::{CodeRuntime, Function, Runtime};
use handler::Missing;

/// How closely an entry's pattern is to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is the function's name or ARN itself.
    Named,
    /// By a wildcard.
    Glob,
}

/// The bare name of a function, out of a name, a partial ARN or an ARN.
pub(crate) fn name_of(reference: &str) -> &str {
    let parts: Vec<&str> = reference.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", _, _, "function", name, ..]
        | [_, "function", name, ..]
        | [name, ..] => name,
        [] => reference,
    }
}

/// The first entry that fits.
pub(crate) fn entry<'a>(
    functions: &'a [Function],
    reference: &str,
    fit: Fit,
) -> Option<&'a Function> {
    let name = name_of(reference);
    let unqualified = match reference.split_once(name) {
        Some((head, _)) => format!("{head}{name}"),
        None => reference.to_owned(),
    };
    let candidates = [reference, name, unqualified.as_str()];
    functions.iter().find(|function| {
        let pattern = function.pattern.as_str();
        candidates.contains(&pattern)
            || (fit == Fit::Glob
                && Glob::new(pattern).is_ok_and(|glob| {
                    let glob = glob.compile_matcher();
                    candidates.iter().any(|candidate| glob.is_match(candidate))
                }))
    })
}

/// Why the handler of an entry will not be found.
pub(crate) fn missing(function: &Function) -> Option<Missing> {
    let Runtime::Local(local) = &function.runtime else {
        return None;
    };
    let runtime = match &local.runtime {
        CodeRuntime::Python => "python",
        CodeRuntime::Node => "node",
        // A program of its own is looked for on the search path.
        CodeRuntime::Provided { command } if !command.is_empty() => return None,
        CodeRuntime::Provided { .. } => "provided",
    };
    handler::check(runtime, &local.code, &local.handler)
}

/// An entry, as clients are told of it.
pub(crate) fn shown(function: &Function) -> Value {
    let mut shown = json!({
        "match": function.pattern,
        "timeoutSeconds": function.timeout.as_secs(),
    });
    match &function.runtime {
        Runtime::Local(local) => {
            shown["runtime"] = json!(match &local.runtime {
                CodeRuntime::Python => "python",
                CodeRuntime::Node => "node",
                CodeRuntime::Provided { .. } => "provided",
            });
            shown["handler"] = json!(local.handler);
            shown["code"] = json!(local.code.display().to_string());
            shown["memoryMb"] = json!(local.memory_mb);
        }
        Runtime::Lambda { endpoint, .. } => {
            shown["runtime"] = json!("lambda");
            shown["endpoint"] = json!(endpoint);
        }
        Runtime::Http { url } => {
            shown["runtime"] = json!("http");
            shown["url"] = json!(url);
        }
        Runtime::OpenApi(api) => {
            shown["runtime"] = json!("openapi");
            shown["url"] = json!(api.upstream.url.as_str());
        }
        Runtime::Mcp(server) => {
            shown["runtime"] = json!("mcp");
            match &server.transport {
                McpTransport::Stdio(process) => shown["command"] = json!(process.command.first()),
                McpTransport::Http(upstream) => shown["url"] = json!(upstream.url.as_str()),
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn function(pattern: &str) -> Function {
        Function {
            pattern: pattern.to_owned(),
            timeout: Duration::from_secs(3),
            runtime: Runtime::Http {
                url: "http://127.0.0.1:9000".to_owned(),
            },
        }
    }

    #[test]
    fn an_entry_fits_in_every_form() {
        let functions = [
            function("order-*"),
            function("tax"),
            function("arn:aws:lambda:us-west-2:111111111111:function:audit"),
        ];
        let arn = |name: &str| format!("arn:aws:lambda:us-west-2:111111111111:function:{name}");
        for (reference, fit, expected) in [
            (arn("order-tools:live"), Fit::Glob, Some("order-*")),
            (arn("order-tools"), Fit::Named, None),
            (arn("tax:7"), Fit::Named, Some("tax")),
            ("tax".to_owned(), Fit::Named, Some("tax")),
            (
                arn("audit:7"),
                Fit::Named,
                Some("arn:aws:lambda:us-west-2:111111111111:function:audit"),
            ),
            (arn("other"), Fit::Glob, None),
        ] {
            let found = entry(&functions, &reference, fit);
            assert_eq!(
                found.map(|found| found.pattern.as_str()),
                expected,
                "{reference}"
            );
        }
    }
}
