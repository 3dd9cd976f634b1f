//! The environment variables of a worker: Lambda's, the function's own, and the few of the server's
//! that a process cannot do without.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{LocalFunction, LocalRuntime};
use crate::action::name::FunctionName;

/// What a handler gets of the server's environment. Credentials, proxies and whatever else the
/// server was started with stay with the server: a function that needs them says so in its mapping.
const INHERITED: [&str; 7] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    // Interpreters built outside the system's folders find their libraries by it.
    "LD_LIBRARY_PATH",
    // Where the system's certificates are, on systems that keep them elsewhere.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Those of [`INHERITED`] that name files and folders a worker has to be able to read.
const INHERITED_PATHS: [&str; 3] = ["LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What the runtime needs for itself; a mapping that set one of these would break its worker.
const RESERVED: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

/// A mapping's `environment` sets a variable that belongs to the runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable {0} belongs to the runtime and cannot be set")]
pub struct ReservedVariable(pub String);

impl LocalFunction {
    pub(in crate::action) fn check_environment(&self) -> Result<(), ReservedVariable> {
        match RESERVED
            .iter()
            .find(|name| self.environment.contains_key(**name))
        {
            Some(name) => Err(ReservedVariable((*name).to_owned())),
            None => Ok(()),
        }
    }
}

/// What the inherited variables refer to.
pub(super) fn folders() -> Vec<PathBuf> {
    let values = INHERITED_PATHS.iter().filter_map(std::env::var_os);
    values
        .flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>())
        .filter(|path| path.is_absolute())
        .collect()
}

/// The variables of a worker of `function`, but for the address of its Runtime API.
pub(super) fn of_worker(
    function: &LocalFunction,
    name: &FunctionName,
    code: &Path,
    program: &Path,
) -> BTreeMap<String, OsString> {
    let mut variables: BTreeMap<String, OsString> = INHERITED
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)))
        .collect();
    // A console without a language is ASCII, and a handler that prints "é" would raise.
    variables
        .entry("LANG".to_owned())
        .or_insert_with(|| "C.UTF-8".into());
    variables.insert("PATH".to_owned(), search_path(program));
    if function.runtime == LocalRuntime::Python {
        // Byte code would land in the user's folder. Installed packages bring theirs.
        variables.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into());
    }
    let text = [
        ("TZ", ":UTC".to_owned()),
        ("AWS_REGION", name.region.clone()),
        ("AWS_DEFAULT_REGION", name.region.clone()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", name.version().to_owned()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            function.memory_mb.to_string(),
        ),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", name.name),
        ),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream(name)),
        ("_HANDLER", function.handler.clone()),
    ];
    variables.extend(text.map(|(name, value)| (name.to_owned(), value.into())));
    variables.insert("LAMBDA_TASK_ROOT".to_owned(), code.into());
    variables.extend(
        function
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.into())),
    );
    variables
}

/// The server's own search path behind the environment's, so that a handler finds the tools that
/// came with its packages first.
fn search_path(program: &Path) -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = program
        .parent()
        .map(PathBuf::from)
        .into_iter()
        .chain(std::env::split_paths(&inherited));
    std::env::join_paths(folders).unwrap_or(inherited)
}

/// `2026/01/31/[$LATEST]0123…`: one a worker, as Lambda does it.
fn log_stream(name: &FunctionName) -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d");
    format!(
        "{day}/[{}]{}",
        name.version(),
        uuid::Uuid::new_v4().simple()
    )
}
