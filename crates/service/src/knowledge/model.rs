//! Questions to foundation models that no turn asks: one prompt, one text.

use futures_util::StreamExt;
use outcrop_engine::converse::text_of;
use outcrop_engine::orchestration::{Failure, TurnAssembler};
use outcrop_engine::port::{ModelError, ModelRequest};
use outcrop_model::exception::Exception;

use crate::models::{self, Behalf};
use crate::ports::Ports;

/// The whole text of a model's answer, with the retries that a turn's calls have.
///
/// # Errors
/// As a turn tells of a model that fails.
pub(super) async fn text(ports: &Ports, request: &ModelRequest) -> Result<String, Exception> {
    let answered = answer(ports, request).await;
    answered.map_err(|error| failure(&error, &request.model))
}

async fn answer(ports: &Ports, request: &ModelRequest) -> Result<String, ModelError> {
    let mut events = models::ask(ports, request, Behalf::Turn).await?.events();
    let mut assembler = TurnAssembler::new(None);
    while let Some(event) = events.next().await {
        assembler.push(event?)?;
    }
    Ok(text_of(&assembler.finish()?.message))
}

/// A model that failed.
pub(super) fn failure(error: &ModelError, model: &str) -> Exception {
    if let ModelError::Unmapped { .. } = error {
        return Exception::validation(format!(
            "The model {model} is not available. Cause: {error}"
        ));
    }
    crate::error::failure(&Failure::model(error, model))
}
