//! What a prompt must be like, and how one is named.
//!
//! Only rules that AWS is known to have, or without which a prompt could not be understood: whether
//! AWS wants every `{{variable}}` of a template listed, and every listed one used, is not known, and
//! public samples do neither, so both are accepted.

use std::collections::BTreeSet;

use outcrop_model::arn::PromptArn;
use outcrop_model::control::{
    CreatePromptRequest, PromptInputVariable, PromptTemplateConfiguration, PromptTemplateType,
    PromptVariant,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;

use crate::control::gone;

/// What a `promptIdentifier` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) id: String,
    /// As far as one was given.
    pub(super) version: Option<String>,
}

impl Reference {
    /// Reads an id, or the ARN of a prompt of this account and region.
    pub(super) fn parse(cx: &CallContext, identifier: &str) -> Result<Self, Exception> {
        if !identifier.starts_with("arn:") {
            return Ok(Self {
                id: identifier.to_owned(),
                version: None,
            });
        }
        let arn: PromptArn = identifier.parse().map_err(|_| gone())?;
        if arn.region != cx.region || arn.account_id != cx.account_id {
            return Err(gone());
        }
        Ok(Self {
            id: arn.prompt_id,
            version: arn.version,
        })
    }

    /// With the `promptVersion` of the request, which must not contradict the ARN's.
    pub(super) fn at(self, asked: Option<&str>) -> Result<Self, Exception> {
        match (&self.version, asked) {
            (_, None) => Ok(self),
            (Some(named), Some(asked)) if named != asked => Err(refuse(
                "promptVersion",
                format!(
                    "The promptVersion {asked} differs from version {named} in the promptIdentifier"
                ),
            )),
            (_, Some(asked)) => Ok(Self {
                version: Some(asked.to_owned()),
                ..self
            }),
        }
    }

    /// The prompt itself, where no numbered version can be meant.
    pub(super) fn draft(self) -> Result<String, Exception> {
        match self.version {
            None => Ok(self.id),
            Some(version) => Err(refuse(
                "promptIdentifier",
                format!(
                    "The promptIdentifier names version {version}, which cannot change. Give the id or ARN of the prompt without a version."
                ),
            )),
        }
    }
}

/// Refuses a definition that breaks a rule.
pub(super) fn check(input: &CreatePromptRequest) -> Result<(), Exception> {
    let variants = input.variants.as_deref().unwrap_or_default();
    let mut names = BTreeSet::new();
    for (index, variant) in variants.iter().enumerate() {
        if !names.insert(variant.name.as_str()) {
            return Err(refuse(
                "variants",
                format!("The variant name {} is used more than once", variant.name),
            ));
        }
        check_variant(index, variant)?;
    }
    match input.default_variant.as_deref() {
        Some(default) if !names.contains(default) => Err(refuse(
            "defaultVariant",
            format!("The defaultVariant {default} is not the name of a variant of the prompt"),
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_variant(index: usize, variant: &PromptVariant) -> Result<(), Exception> {
    let name = &variant.name;
    let field = format!("variants[{index}].templateConfiguration");
    let (is, variables) = match &variant.template_configuration {
        PromptTemplateConfiguration::Text(text) => {
            (PromptTemplateType::Text, &text.input_variables)
        }
        PromptTemplateConfiguration::Chat(chat) => {
            (PromptTemplateType::Chat, &chat.input_variables)
        }
        _ => {
            return Err(refuse(
                &field,
                format!("The templateConfiguration of variant {name} is neither text nor chat"),
            ));
        }
    };
    let said = variant.template_type;
    if said != is {
        return Err(refuse(
            &field,
            format!(
                "The templateType of variant {name} is {said}, but its templateConfiguration is that of {is}"
            ),
        ));
    }
    let variables = variables.as_deref().unwrap_or_default();
    check_variables(&field, name, variables)
}

fn check_variables(
    field: &str,
    variant: &str,
    variables: &[PromptInputVariable],
) -> Result<(), Exception> {
    let mut seen = BTreeSet::new();
    let names = variables
        .iter()
        .filter_map(|variable| variable.name.as_deref());
    for name in names {
        if !seen.insert(name) {
            return Err(refuse(
                field,
                format!("The input variable {name} of variant {variant} is listed more than once"),
            ));
        }
    }
    Ok(())
}

fn refuse(field: &str, message: String) -> Exception {
    Exception::validation(message.clone()).with_field(field, message)
}
