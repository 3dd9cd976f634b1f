//! Filters: those of requests, checked, and those that a model makes of a question
//! (`implicitFilterConfiguration`, behaviour.md 9.7).
//!
//! A generated filter only narrows: it is joined to the given one by AND, and it may ask only about the
//! attributes that the request describes, with values of their types. A model that twice writes none
//! that can be used fails the search; it is never searched without the filter in silence.

use std::fmt::Write as _;
use std::sync::Arc;

use outcrop_engine::converse::{assistant_text, user_text};
use outcrop_engine::port::{Inference, ModelRequest};
use outcrop_engine::prompt::answer;
use outcrop_knowledge::filter::{Condition, Filter, Limits};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::runtime::{
    AttributeType, ImplicitFilterConfiguration, MetadataAttributeSchema, RetrievalFilter,
};
use tracing::debug;

use super::Ask;
use crate::knowledge::model;
use crate::ports::Ports;

/// How often the model is asked for a filter that can be used.
const ATTEMPTS_MAX: usize = 2;
/// Most tokens of a filter.
const TOKENS_MAX: u32 = 1_024;

const INSTRUCTION: &str = r#"You turn a question into a filter over the attributes of documents, so that only documents that can answer it are searched.
A filter is JSON. A condition is one of:
{"equals": {"key": "...", "value": ...}}, and in the same form notEquals; for numbers greaterThan, greaterThanOrEquals, lessThan, lessThanOrEquals; {"in": {"key": "...", "value": [...]}} and notIn; for strings startsWith and stringContains; for lists of strings listContains and stringContains.
Conditions are joined by {"andAll": [...]} or {"orAll": [...]} with 2 to 5 members.
Use only the attributes that are given, values of their types, and only what the question says for certain. If it says nothing of them, there is no filter.
Answer with the JSON inside <filter></filter> tags, or with <filter>none</filter>."#;

/// A filter of a request, checked.
pub(super) fn checked(filter: &RetrievalFilter, limits: Limits) -> Result<Filter, Exception> {
    Filter::parse(filter, limits).map_err(|error| {
        let message = error.to_string();
        Exception::validation(message).with_source(error)
    })
}

/// The given filter and the generated one.
pub(super) async fn combined(
    ports: &Ports,
    ask: &Ask,
    query: &str,
) -> Result<Option<Filter>, Exception> {
    let generated = match &ask.implicit {
        Some(implicit) => generate(ports, implicit, query).await?,
        None => None,
    };
    Ok(Filter::all_of(
        ask.filter.clone().into_iter().chain(generated),
    ))
}

async fn generate(
    ports: &Ports,
    implicit: &ImplicitFilterConfiguration,
    query: &str,
) -> Result<Option<Filter>, Exception> {
    let schema = &implicit.metadata_attributes;
    let mut request = ModelRequest {
        model: implicit.model_arn.clone(),
        system: INSTRUCTION.into(),
        messages: vec![Arc::new(user_text(format!(
            "The attributes:\n{}\nThe question:\n{query}",
            described(schema)
        )))],
        inference: Inference {
            max_tokens: Some(TOKENS_MAX),
            temperature: Some(0.0),
            ..Inference::default()
        },
        ..ModelRequest::default()
    };
    let mut fault = String::new();
    for _ in 0..ATTEMPTS_MAX {
        let text = model::text(ports, &request).await?;
        match read(&text, schema) {
            Ok(filter) => {
                debug!(?filter, "a model made a filter");
                return Ok(filter);
            }
            Err(found) => {
                request.messages.push(Arc::new(assistant_text(text)));
                request.messages.push(Arc::new(user_text(format!(
                    "That filter cannot be used: {found}. Answer again, in the same form."
                ))));
                fault = found;
            }
        }
    }
    Err(Exception::new(
        ExceptionKind::DependencyFailed,
        format!(
            "The model {} generated no filter that can be used. Cause: {fault}",
            implicit.model_arn
        ),
    )
    .with_resource_name(&implicit.model_arn))
}

fn described(schema: &[MetadataAttributeSchema]) -> String {
    let mut out = String::new();
    for attribute in schema {
        let _ = writeln!(
            out,
            "- {} ({}): {}",
            attribute.key, attribute.type_, attribute.description
        );
    }
    out
}

/// The filter in a reply; `None` where the model wants none.
fn read(text: &str, schema: &[MetadataAttributeSchema]) -> Result<Option<Filter>, String> {
    let said = answer::behind_thoughts(text);
    let said = match said.rsplit_once("<filter>") {
        Some((_, from)) => from.split("</filter>").next().unwrap_or(from),
        None => said,
    };
    let said = said.trim().trim_matches('`').trim();
    let said = said.strip_prefix("json").unwrap_or(said).trim();
    if matches!(said, "" | "none" | "None" | "null" | "{}") {
        return Ok(None);
    }
    let filter: RetrievalFilter = serde_json::from_str(said).map_err(|error| error.to_string())?;
    let filter = Filter::parse(&filter, Limits::RELAXED).map_err(|error| error.to_string())?;
    fits(&filter, schema)?;
    Ok(Some(filter))
}

/// Whether the filter asks about described attributes only, and for values of their types.
fn fits(filter: &Filter, schema: &[MetadataAttributeSchema]) -> Result<(), String> {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => {
            filters.iter().try_for_each(|filter| fits(filter, schema))
        }
        Filter::Attribute { key, condition } => {
            let described = schema.iter().find(|attribute| attribute.key == *key);
            let described = described.ok_or_else(|| format!("there is no attribute {key}"))?;
            if is_of(condition, described.type_) {
                Ok(())
            } else {
                Err(format!(
                    "the condition on {key} does not go with its type {}",
                    described.type_
                ))
            }
        }
    }
}

fn is_of(condition: &Condition, type_: AttributeType) -> bool {
    use Condition as C;
    let value_is = |value: &MetadataValue| match value {
        MetadataValue::Boolean(_) => type_ == AttributeType::Boolean,
        MetadataValue::Number(_) => type_ == AttributeType::Number,
        MetadataValue::String(_) => type_ == AttributeType::String,
        MetadataValue::StringList(_) => type_ == AttributeType::StringList,
    };
    match condition {
        C::Equals(value) | C::NotEquals(value) => value_is(value),
        C::In(values) | C::NotIn(values) => values.iter().all(value_is),
        C::GreaterThan(_) | C::GreaterThanOrEquals(_) | C::LessThan(_) | C::LessThanOrEquals(_) => {
            type_ == AttributeType::Number
        }
        C::StartsWith(_) => type_ == AttributeType::String,
        C::ListContains(_) => type_ == AttributeType::StringList,
        C::StringContains(_) => matches!(type_, AttributeType::String | AttributeType::StringList),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Vec<MetadataAttributeSchema> {
        let attribute = |key: &str, type_| MetadataAttributeSchema {
            key: key.to_owned(),
            type_,
            description: "what it is".to_owned(),
        };
        vec![
            attribute("year", AttributeType::Number),
            attribute("team", AttributeType::String),
        ]
    }

    #[test]
    fn replies_are_read_leniently_and_checked_strictly() {
        let newer = Filter::Attribute {
            key: "year".to_owned(),
            condition: Condition::GreaterThan(2020.0),
        };
        for (text, filter) in [
            (
                r#"<filter>{"greaterThan": {"key": "year", "value": 2020}}</filter>"#,
                Some(&newer),
            ),
            (
                "<thinking><filter></thinking><filter>```json\n{\"greaterThan\": {\"key\": \"year\", \"value\": 2020}}\n```</filter>",
                Some(&newer),
            ),
            (
                r#"{"greaterThan": {"key": "year", "value": 2020}}"#,
                Some(&newer),
            ),
            ("<filter>none</filter>", None),
            ("<filter>null", None),
        ] {
            assert_eq!(
                read(text, &schema()).as_ref().map(Option::as_ref),
                Ok(filter),
                "{text}"
            );
        }
        for (text, said) in [
            (
                r#"{"equals": {"key": "colour", "value": "red"}}"#,
                "no attribute colour",
            ),
            (
                r#"{"equals": {"key": "year", "value": "2020"}}"#,
                "its type NUMBER",
            ),
            (
                r#"{"startsWith": {"key": "year", "value": "20"}}"#,
                "its type NUMBER",
            ),
            (
                r#"{"andAll": [{"equals": {"key": "team", "value": "a"}}, {"in": {"key": "team", "value": [1]}}]}"#,
                "its type STRING",
            ),
            ("the year is after 2020", "expected"),
        ] {
            let error = read(text, &schema()).expect_err("cannot be used");
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
