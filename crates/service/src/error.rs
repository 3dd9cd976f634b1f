//! The only place where errors of ports become AWS exceptions (architecture: errors).

use outcrop_engine::action::SchemaError;
use outcrop_engine::orchestration::Failure;
use outcrop_engine::plan::PlanError;
use outcrop_engine::port::{ModelError, SourceError};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_store::StoreError;

/// What clients see when two writers meet (behaviour.md 7.1).
const OPTIMISTIC_LOCK: &str =
    "Exceeded the number of retries on OptLock failure. Too many concurrent requests.";

/// A store failure that the use case has no better words for.
pub(crate) fn store(error: StoreError) -> Exception {
    match error {
        StoreError::Stale { .. } | StoreError::NameTaken { .. } | StoreError::Fenced { .. } => {
            Exception::conflict(OPTIMISTIC_LOCK).with_source(error)
        }
        StoreError::Busy => Exception::new(
            ExceptionKind::Throttling,
            "The server is handling too many requests. Retry your request later.",
        )
        .with_source(error),
        StoreError::OutOfBounds(detail) => Exception::internal(detail),
        StoreError::Unavailable(source) => {
            Exception::internal(format!("the store is unavailable: {source}"))
        }
    }
}

/// What AWS calls the member that a bad `OpenAPI` document is.
const SCHEMA_FIELD: &str = "APISchemaException";

/// A definition that cannot run.
pub(crate) fn plan(error: &PlanError) -> Exception {
    match error {
        PlanError::Schema(error) => schema(error),
        PlanError::Template(_) | PlanError::StepTemplate { .. } => {
            Exception::validation(error.to_string())
        }
    }
}

/// A schema that cannot be used; each place that is wrong is a field of its own.
pub(crate) fn schema(error: &SchemaError) -> Exception {
    let exception = Exception::validation(error.to_string());
    match error {
        SchemaError::OpenApi { details, .. } => {
            details.iter().fold(exception, |exception, detail| {
                exception.with_field(SCHEMA_FIELD, detail)
            })
        }
        SchemaError::Function { .. }
        | SchemaError::BuiltIn { .. }
        | SchemaError::DuplicateTool { .. }
        | SchemaError::ToolName { .. }
        | SchemaError::DoubleUnderscore { .. } => exception,
    }
}

/// An object that cannot be read; AWS gives the schema message for it (behaviour.md 1.8).
pub(crate) fn schema_source(action_group: &str, error: &SourceError) -> Exception {
    schema(&SchemaError::OpenApi {
        action_group: action_group.to_owned(),
        details: vec![error.to_string()],
    })
}

/// A turn that failed.
pub(crate) fn failure(failure: &Failure) -> Exception {
    let exception = Exception::new(failure.kind, failure.message.clone());
    match &failure.resource_name {
        Some(name) => exception.with_resource_name(name.clone()),
        None => exception,
    }
}

/// A model no provider serves, found out before the turn begins.
pub(crate) fn unmapped(error: &ModelError, model: &str) -> Exception {
    failure(&Failure::model(error, model))
}

/// A stored document that cannot be read back.
pub(crate) fn damaged(kind: &str, error: &serde_json::Error) -> Exception {
    Exception::internal(format!("a stored {kind} cannot be read: {error}"))
}
