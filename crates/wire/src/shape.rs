//! JSON of one shape, outside any operation: what Outcrop's own endpoints take in AWS's vocabulary.

use outcrop_model::exception::Exception;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::check::{Origin, check};
use crate::path::Path;
use crate::rejection::Rejection;
use crate::schema::Schema;
use crate::validate::validate;

/// Reads `value` as the shape called `name`, with the checks and the words of an operation's input.
///
/// # Errors
/// `ValidationException` naming every member that breaks a constraint, or a type that does not fit.
///
/// # Panics
/// When the service has no such shape.
pub fn read<T: DeserializeOwned>(
    schema: &Schema,
    name: &str,
    mut value: Value,
) -> Result<T, Exception> {
    let shape = schema.id(name);
    check(schema, shape, &mut value, Path::ROOT, Origin::Client)
        .and_then(|()| validate(schema, shape, &value).map_err(Rejection::Constraint))
        .map_err(Rejection::into_exception)?;
    serde_json::from_value(value).map_err(|error| Exception::validation(error.to_string()))
}
