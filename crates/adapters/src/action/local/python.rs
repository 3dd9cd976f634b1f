//! Functions in Python: which interpreter runs them, and with what first lines.

mod environment;

use std::ffi::OsString;

pub(crate) use environment::{Environments, Interpreter};

const BOOTSTRAP: &str = include_str!("python/bootstrap.py");

/// What the interpreter is started with.
pub(super) fn arguments(interpreter: &Interpreter) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("-c"), OsString::from(BOOTSTRAP)];
    if let Some(packages) = &interpreter.runtime_packages {
        arguments.push(packages.into());
    }
    arguments
}
