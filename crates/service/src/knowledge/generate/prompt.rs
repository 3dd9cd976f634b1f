//! The prompts of `RetrieveAndGenerate`, and the placeholders of those that requests bring
//! (behaviour.md 9.9).

use std::sync::Arc;

use outcrop_engine::port::{Delivery, ModelRequest};
use outcrop_engine::prompt::default;
use outcrop_engine::prompt::template::{Template, UNUSABLE, Values};
use outcrop_model::control::PromptType;
use outcrop_model::converse::{ContentBlock, Message};
use outcrop_model::exception::Exception;

use super::plan::Call;

/// What a template has where the form of the reply is to stand. It is put in before the template is
/// read, so that nothing a user says is ever taken for it.
const FORM: &str = "$output_format_instructions$";

/// The form of an answer; without quotes, since a template may be JSON.
const ANSWER_FORM: &str =
    "Reply in this form, with the ids of the search results that each part rests on:
<answer>
<answer_part>
<text>
one part of the answer
</text>
<sources>
<source>id of a search result</source>
</sources>
</answer_part>
</answer>";

/// The form of a rewritten question.
const QUESTION_FORM: &str = "Write the one question that is to be searched for, complete in itself: with names instead of pronouns, and in the user's language. If it is complete already, repeat it. Reply with it inside <question></question> tags, and with nothing else.";

/// The form of a question in parts.
const QUESTIONS_FORM: &str = "Split it into the fewest questions that can be searched for one by one, at most 5, each complete in itself and in the user's language. A simple question stays one. Reply with each inside <question></question> tags of its own, and with nothing else.";

const ORCHESTRATION: &str = "You prepare searches in a collection of documents. You do not answer.
The conversation so far:
<conversation>
$conversation_history$
</conversation>
The user now says:
<input>
$query$
</input>
$output_format_instructions$";

/// The template of an answer.
///
/// # Errors
/// `ValidationException` where it cannot be read or has no place for the results.
pub(super) fn generation(given: Option<&str>) -> Result<Template, Exception> {
    let Some(given) = given else {
        let default = default::template(PromptType::KnowledgeBaseResponseGeneration);
        return parsed(default, ANSWER_FORM);
    };
    let template = parsed(given, ANSWER_FORM)?;
    if template.places("search_results") {
        Ok(template)
    } else {
        Err(Exception::validation(
            "The prompt template for generation must include the $search_results$ variable. Add it and retry your request.",
        ))
    }
}

/// The template by which a question is rewritten or taken apart.
///
/// # Errors
/// `ValidationException` where it cannot be read or lacks a variable.
pub(super) fn orchestration(given: Option<&str>, decomposes: bool) -> Result<Template, Exception> {
    let form = if decomposes {
        QUESTIONS_FORM
    } else {
        QUESTION_FORM
    };
    if let Some(given) = given
        && !(given.contains("$conversation_history$") && given.contains(FORM))
    {
        return Err(Exception::validation(
            "The prompt template for orchestration must include the $conversation_history$ and $output_format_instructions$ variables. Add them and retry your request.",
        ));
    }
    parsed(given.unwrap_or(ORCHESTRATION), form)
}

fn parsed(template: &str, form: &str) -> Result<Template, Exception> {
    let template = template.replace(FORM, form);
    Template::parse(&template)
        .map_err(|error| Exception::validation(format!("{UNUSABLE} ({error})")).with_source(error))
}

/// The request that a filled template makes.
///
/// # Errors
/// `ValidationException` where it asks nothing.
pub(super) fn request(
    model: &str,
    call: &Call,
    values: &Values<'_>,
    delivery: Delivery,
) -> Result<ModelRequest, Exception> {
    let filled = call.template.fill(values);
    filled
        .check()
        .map_err(|error| Exception::validation(error.to_string()).with_source(error))?;
    let messages = filled.before.into_iter().chain(filled.after);
    Ok(ModelRequest {
        model: model.to_owned(),
        system: filled.system.into(),
        messages: messages
            .map(|(role, text)| {
                let content = vec![ContentBlock::Text(text)];
                Arc::new(Message { role, content })
            })
            .collect(),
        inference: call.inference.clone(),
        additional_fields: call.fields.clone(),
        delivery,
        latency: call.latency,
        ..ModelRequest::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_lack_nothing_that_is_needed() {
        assert!(generation(None).is_ok());
        assert!(
            generation(Some(
                "$search_results$ $query$ $output_format_instructions$"
            ))
            .is_ok()
        );
        assert!(generation(Some("$query$")).is_err());
        assert!(generation(Some("{\"system\": \"$search_results$")).is_err());
        assert!(orchestration(None, true).is_ok());
        assert!(orchestration(Some("$conversation_history$ $query$"), false).is_err());
        let json = r#"{"system": "$output_format_instructions$ $search_results$", "messages": [{"role": "user", "content": "$query$"}]}"#;
        let filled = generation(Some(json)).expect("JSON").fill(&Values {
            search_results: "$query$",
            query: "why $output_format_instructions$?",
            ..Values::default()
        });
        assert!(filled.system.contains("</answer_part>\n</answer> $query$"));
        assert_eq!(filled.before[0].1, "why $output_format_instructions$?");
    }
}
