//! Fits a request to what the model can do, so that no provider has to drop a field silently.

use outcrop_model::converse::ConversationRole;

use crate::port::{Capabilities, ModelError, ModelRequest, PromptCache};

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
    if !capabilities.prompt_cache {
        request.cache = PromptCache::AsGiven;
    }
    if !capabilities.latency {
        request.latency = None;
    }
    let thinks = thinks(request);
    let inference = &mut request.inference;
    // Whoever is asked to think first samples in its own way, and refuses to be told.
    if thinks {
        inference.temperature = None;
        inference.top_p = None;
        inference.top_k = None;
    }
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

/// Whether the fields passed through ask Claude to think, by its vendor's name for that or by AWS's.
fn thinks(request: &ModelRequest) -> bool {
    let Some(fields) = &request.additional_fields else {
        return false;
    };
    let kinds = ["thinking", "reasoning_config"]
        .iter()
        .filter_map(|name| fields.get(name)?.get("type")?.as_str());
    kinds.into_iter().any(|kind| kind != "disabled")
}

#[cfg(test)]
mod tests {
    use outcrop_model::converse::Message;
    use serde_json::json;

    use super::*;
    use crate::converse::{assistant_text, user_text};
    use crate::port::{Documents, Inference, Latency};

    const NOTHING: Capabilities = Capabilities {
        tools: false,
        parallel_tools: false,
        prefill: false,
        top_k: false,
        stop_sequences: false,
        sampling: false,
        temperature_with_top_p: false,
        images: false,
        documents: Documents::Text,
        prompt_cache: false,
        latency: false,
    };

    fn request() -> ModelRequest {
        let messages: [Message; 2] = [user_text("Hi"), assistant_text("Thought:")];
        ModelRequest {
            messages: messages.into_iter().map(std::sync::Arc::new).collect(),
            inference: Inference {
                max_tokens: Some(5),
                temperature: Some(0.0),
                top_p: Some(1.0),
                top_k: Some(250),
                stop_sequences: vec!["x".to_owned()],
            },
            cache: PromptCache::StablePrefix,
            latency: Some(Latency::Optimized),
            ..ModelRequest::default()
        }
    }

    #[test]
    fn what_a_model_does_not_take_is_left_out() {
        let mut fitted = request();
        fit(&mut fitted, NOTHING).expect("no tools are asked for");
        assert_eq!(
            fitted,
            ModelRequest {
                messages: request().messages.into_iter().take(1).collect(),
                inference: Inference {
                    max_tokens: Some(5),
                    ..Inference::default()
                },
                ..ModelRequest::default()
            }
        );
    }

    #[test]
    fn who_thinks_is_not_told_how_to_sample() {
        let all = Capabilities {
            tools: true,
            prefill: true,
            top_k: true,
            stop_sequences: true,
            sampling: true,
            temperature_with_top_p: true,
            prompt_cache: true,
            latency: true,
            ..NOTHING
        };
        for (fields, sampled) in [
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
                false,
            ),
            (json!({"reasoning_config": {"type": "enabled"}}), false),
            (json!({"thinking": {"type": "disabled"}}), true),
            (json!({"seed": 7}), true),
        ] {
            let mut fitted = request();
            fitted.additional_fields = Some(fields);
            fit(&mut fitted, all).expect("all is taken");
            assert_eq!(fitted.inference.top_k.is_some(), sampled);
            assert_eq!(fitted.inference.temperature.is_some(), sampled);
            assert!(fitted.latency.is_some() && fitted.cache == PromptCache::StablePrefix);
        }
    }
}
