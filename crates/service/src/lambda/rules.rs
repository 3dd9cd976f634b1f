//! What a function may be: runtimes, variables, and the members this server has no meaning for.
//!
//! A member that would change what the code does, or where, is refused by its name. One that only
//! describes or bills is kept and shown.

use std::collections::BTreeMap;

use outcrop_model::exception::Exception;
use outcrop_model::lambda::{Environment, PackageType, Runtime};

use super::invalid;

/// Lambda's limit of all variables together, in bytes.
const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// Lambda's quota.
const TAGS_MAX: usize = 50;
/// Keys that begin so are AWS's own, in whatever case.
const RESERVED_TAG_PREFIX: &str = "aws:";

/// Variables that Lambda sets itself.
const RESERVED_VARIABLES: [&str; 20] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

/// What runs a function's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `python3.x`: a handler in Python.
    Python,
    /// `nodejs*`: a handler in JavaScript.
    Node,
    /// `provided*`: an executable that speaks the Runtime API.
    Provided,
}

/// What runs code of this runtime.
pub(super) fn family(runtime: Runtime) -> Result<Family, Exception> {
    let name = runtime.as_str();
    if name.starts_with("python3") {
        Ok(Family::Python)
    } else if name.starts_with("nodejs") {
        Ok(Family::Node)
    } else if name.starts_with("provided") {
        Ok(Family::Provided)
    } else {
        Err(invalid(format!(
            "Runtime: {name} is not supported by Outcrop; it runs python3.*, nodejs* and provided*. A \
             function in another runtime can run in a container that the configuration maps with runtime = \
             \"http\"."
        )))
    }
}

/// Refuses members that have no meaning here: those of `members` that are given.
pub(super) fn refuse_unsupported(members: &[(&str, bool)]) -> Result<(), Exception> {
    match members.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((member, _)) => Err(invalid(format!("{member} is not supported by Outcrop."))),
    }
}

/// Refuses a package that is no zip archive.
pub(super) fn check_package(package: Option<PackageType>) -> Result<(), Exception> {
    match package {
        None | Some(PackageType::Zip) => Ok(()),
        Some(other) => Err(invalid(format!(
            "PackageType: {other} is not supported by Outcrop, only Zip; map the function with runtime = \
             \"http\" to a running container."
        ))),
    }
}

/// Refuses a handler that its runtime could not find.
pub(super) fn check_handler(family: Family, handler: &str) -> Result<(), Exception> {
    let is_in_module = handler
        .rsplit_once('.')
        .is_some_and(|(module, function)| !module.is_empty() && !function.is_empty());
    if family == Family::Provided || is_in_module {
        Ok(())
    } else {
        Err(invalid(format!(
            "Handler: {handler:?} is no handler; it is file.function, such as app.lambda_handler."
        )))
    }
}

/// Refuses variables that Lambda refuses.
pub(super) fn check_environment(environment: Option<&Environment>) -> Result<(), Exception> {
    let Some(variables) = environment.and_then(|environment| environment.variables.as_ref()) else {
        return Ok(());
    };
    let reserved: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .filter(|name| RESERVED_VARIABLES.contains(name))
        .collect();
    if !reserved.is_empty() {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you \
             have provided contains reserved keys that are currently not supported for modification. Reserved \
             keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    if let Some((name, _)) = variables.iter().find(|(_, value)| value.contains('\0')) {
        return Err(invalid(format!(
            "Environment.Variables: the value of {name} contains a NUL character."
        )));
    }
    let bytes: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > ENVIRONMENT_BYTES_MAX {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you \
             have provided exceeded the 4KB limit. Bytes measured: {bytes}"
        )));
    }
    Ok(())
}

/// Refuses tags a function may not have.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Exception> {
    let reserved = tags.keys().find(|key| {
        key.get(..RESERVED_TAG_PREFIX.len())
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED_TAG_PREFIX))
    });
    if let Some(key) = reserved {
        return Err(invalid(format!(
            "Tags: the key {key} begins with {RESERVED_TAG_PREFIX}, which is reserved."
        )));
    }
    if tags.len() > TAGS_MAX {
        return Err(invalid(format!(
            "Tags: a function may have {TAGS_MAX} tags, not {}.",
            tags.len()
        )));
    }
    Ok(())
}
