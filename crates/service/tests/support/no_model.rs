//! A server without models.

use futures_core::future::BoxFuture;
use outcrop_engine::port::{Capabilities, ModelError, ModelProvider, ModelRequest, ModelStream};

/// Serves no model.
pub(crate) struct NoModel;

impl ModelProvider for NoModel {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        Err(unmapped(model))
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(std::future::ready(Err(unmapped(&request.model))))
    }
}

fn unmapped(model: &str) -> ModelError {
    ModelError::Unmapped {
        model: model.to_owned(),
        hint: "there is none".to_owned(),
    }
}
