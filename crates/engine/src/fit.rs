//! Fits a request to what the model can do, so that no provider has to drop a field silently.

use outcrop_model::converse::ConversationRole;

use crate::port::{Capabilities, ModelError, ModelRequest};

/// Removes what the model does not take. The defaults of an agent carry every sampling parameter, so
/// leaving one out is part of planning, not a loss.
///
/// # Errors
/// [`ModelError::Rejected`] where the agent has tools and the model cannot call any.
pub fn fit(request: &mut ModelRequest, capabilities: Capabilities) -> Result<(), ModelError> {
    if !capabilities.tools && !request.tools.is_empty() {
        return Err(ModelError::Rejected {
            detail: format!(
                "model {} cannot call tools, but the agent has {}",
                request.model,
                request.tools.len()
            ),
        });
    }
    let inference = &mut request.inference;
    if !capabilities.sampling {
        inference.temperature = None;
        inference.top_p = None;
    }
    if !capabilities.temperature_with_top_p && inference.temperature.is_some() {
        inference.top_p = None;
    }
    if !capabilities.top_k {
        inference.top_k = None;
    }
    if !capabilities.stop_sequences {
        inference.stop_sequences.clear();
    }
    if !capabilities.prefill
        && request
            .messages
            .last()
            .is_some_and(|message| message.role == ConversationRole::Assistant)
    {
        request.messages.pop();
    }
    Ok(())
}
