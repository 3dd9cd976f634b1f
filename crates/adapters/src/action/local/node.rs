//! Functions in Node.js: with what first lines they run.
//!
//! AWS's own client for Node.js is built from C++ when it is installed, which a plain machine cannot
//! do. `node/bootstrap.js` speaks the Runtime API instead, over Node's own library.

use std::ffi::OsString;
use std::path::Path;

const BOOTSTRAP: &str = include_str!("node/bootstrap.js");

/// What Node.js is started with.
pub(super) fn arguments(memory_mb: u32) -> Vec<OsString> {
    vec![
        // As in Lambda: the heap ends before the machine's memory does, with an error that says so.
        format!("--max-old-space-size={memory_mb}").into(),
        "-e".into(),
        BOOTSTRAP.into(),
    ]
}

/// What to say when there is no Node.js.
pub(super) fn missing(program: &Path) -> String {
    format!(
        "Node.js cannot be found as {}; install version 18 or newer, or name it as `interpreter` under \
         [node]",
        program.display()
    )
}
