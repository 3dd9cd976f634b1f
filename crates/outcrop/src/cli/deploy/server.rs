//! A server over HTTP, as `outcrop_deploy` wants it.

use futures_core::future::BoxFuture;
use outcrop_deploy::api::{Api, ApiError, OwnRequest};
use outcrop_model::control;
use outcrop_wire::client::CallError;
use serde_json::Value;

use crate::cli::invoke::target::{Target, TargetError};

/// A server.
pub(super) struct Server(pub(super) Target);

fn told(error: TargetError) -> ApiError {
    match error {
        TargetError::Call(CallError::Exception { name, exception }) => ApiError::Refused {
            name,
            message: exception.message().to_owned(),
        },
        other => ApiError::Lost(other.to_string()),
    }
}

impl Api for Server {
    fn call(
        &self,
        operation: &'static str,
        input: Value,
    ) -> BoxFuture<'_, Result<Value, ApiError>> {
        Box::pin(async move {
            let operations = control::tables::OPERATIONS;
            let spec = operations.iter().find(|spec| spec.name == operation);
            let spec = spec.expect("the commands call operations of the service model only");
            let answer = self.0.operation(spec, input).await;
            answer.map_err(told)
        })
    }

    fn own(&self, request: OwnRequest) -> BoxFuture<'_, Result<Value, ApiError>> {
        Box::pin(async move {
            let answer = self.0.own(request).await;
            answer.map_err(told)
        })
    }
}
