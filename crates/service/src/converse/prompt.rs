//! A prompt of the library in place of a model: its messages, filled, go before those of the request.

use outcrop_model::control::{
    GetPromptRequest, PromptInferenceConfiguration, PromptTemplateConfiguration, PromptVariant, ops,
};
use outcrop_model::converse::{
    ContentBlock, ConversationRole, ConverseRequest, InferenceConfiguration, Message,
    PromptVariableValues, SystemContentBlock,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Variables;
use crate::Service;

/// What is in the ARN of a prompt and of nothing else that may stand for a model.
const MARK: &str = ":prompt/";

impl Service {
    /// The request as it is with the prompt that it names, or as it came where it names a model.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for a prompt that is not there, `ValidationException` for one that
    /// cannot be asked and for members that a prompt brings itself.
    pub(super) async fn with_prompt(
        &self,
        cx: &CallContext,
        input: ConverseRequest,
    ) -> Result<ConverseRequest, Exception> {
        if !input.model_id.contains(MARK) {
            return match input.prompt_variables {
                Some(variables) if !variables.is_empty() => Err(refused(
                    "promptVariables",
                    "promptVariables can only be given with the ARN of a prompt as modelId.",
                )),
                _ => Ok(input),
            };
        }
        refuse_own(&input)?;
        let asked = GetPromptRequest {
            prompt_identifier: input.model_id.clone(),
            ..GetPromptRequest::default()
        };
        let prompt = Handle::<ops::GetPrompt>::handle(self, cx, asked).await?;
        let wanted = prompt.default_variant.as_deref();
        let mut variants = prompt.variants.unwrap_or_default();
        let place = variants
            .iter()
            .position(|variant| Some(variant.name.as_str()) == wanted)
            .unwrap_or(0);
        if place >= variants.len() {
            return Err(refused(
                "modelId",
                "The prompt has no variant. Update the prompt and retry the request.",
            ));
        }
        filled(input, variants.swap_remove(place))
    }
}

fn refuse_own(input: &ConverseRequest) -> Result<(), Exception> {
    let given = [
        (
            "additionalModelRequestFields",
            input.additional_model_request_fields.is_some(),
        ),
        ("inferenceConfig", input.inference_config.is_some()),
        ("system", input.system.is_some()),
        ("toolConfig", input.tool_config.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((member, _)) => Err(refused(
            member,
            &format!("{member} cannot be given with the ARN of a prompt as modelId."),
        )),
    }
}

/// The request with what the variant brings.
fn filled(
    mut input: ConverseRequest,
    variant: PromptVariant,
) -> Result<ConverseRequest, Exception> {
    if variant.gen_ai_resource.is_some() {
        return Err(refused(
            "modelId",
            "A prompt with genAiResource is not supported by Outcrop in Converse. Use one with a modelId.",
        ));
    }
    let Some(model) = variant.model_id else {
        return Err(refused(
            "modelId",
            "The prompt names no model. Set its modelId and retry the request.",
        ));
    };
    let variables = input.prompt_variables.take().unwrap_or_default();
    let mut messages = match variant.template_configuration {
        PromptTemplateConfiguration::Text(template) => vec![Message {
            role: ConversationRole::User,
            content: vec![ContentBlock::Text(template.text)],
        }],
        PromptTemplateConfiguration::Chat(template) => {
            input.system = template.system.map(|blocks| same(&blocks)).transpose()?;
            input.tool_config = template
                .tool_configuration
                .map(|tools| same(&tools))
                .transpose()?;
            same(&template.messages)?
        }
        other => return Err(refused("modelId", &format!("{other:?} cannot be asked."))),
    };
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        if let ContentBlock::Text(text) = block {
            *text = fill(text, &variables)?;
        }
    }
    for block in input.system.iter_mut().flatten() {
        if let SystemContentBlock::Text(text) = block {
            *text = fill(text, &variables)?;
        }
    }
    messages.extend(input.messages.take().unwrap_or_default());
    input.messages = Some(messages);
    input.model_id = model;
    input.additional_model_request_fields = variant.additional_model_request_fields;
    if let Some(PromptInferenceConfiguration::Text(given)) = variant.inference_configuration {
        input.inference_config = Some(InferenceConfiguration {
            max_tokens: given.max_tokens,
            stop_sequences: given.stop_sequences,
            temperature: given.temperature,
            top_p: given.top_p,
        });
    }
    Ok(input)
}

/// A shape of the control plane as the one that has the same members here.
fn same<T: DeserializeOwned>(shape: &impl Serialize) -> Result<T, Exception> {
    let read = serde_json::to_value(shape).and_then(serde_json::from_value);
    read.map_err(|error| {
        refused(
            "modelId",
            &format!("The prompt has content that Converse does not: {error}."),
        )
    })
}

/// `text` with `{{name}}` replaced by the variable of that name.
fn fill(text: &str, variables: &Variables) -> Result<String, Exception> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else {
            break;
        };
        out.push_str(before);
        match variables.get(name.trim()) {
            Some(PromptVariableValues::Text(value)) => out.push_str(value),
            _ => {
                return Err(refused(
                    "promptVariables",
                    &format!(
                        "promptVariables lacks a text for the variable {}.",
                        name.trim()
                    ),
                ));
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn refused(member: &str, message: &str) -> Exception {
    Exception::validation(message).with_field(member, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled() {
        let variables = Variables::from([(
            "city".to_owned(),
            PromptVariableValues::Text("{{Oslo}}".to_owned()),
        )]);
        assert_eq!(
            fill("a {{city}} b {{ city }} {c}", &variables).expect("filled"),
            "a {{Oslo}} b {{Oslo}} {c}"
        );
        assert_eq!(fill("{{open", &variables).expect("left"), "{{open");
        let error = fill("{{other}}", &variables).expect_err("unknown");
        assert!(error.message().contains("variable other"));
    }
}
