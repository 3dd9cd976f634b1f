//! What is searched for: the question as it was asked, made complete from the conversation before it,
//! or taken apart (behaviour.md 9.9).

use futures_util::future::try_join_all;
use outcrop_engine::converse::{assistant_text, user_text};
use outcrop_engine::port::Delivery;
use outcrop_engine::prompt::answer;
use outcrop_engine::prompt::conversation;
use outcrop_engine::prompt::template::Values;
use outcrop_knowledge::rank::{Ranking, fuse};
use outcrop_model::converse::Message;
use outcrop_model::exception::Exception;
use tracing::debug;

use super::plan::Orchestration;
use super::prompt;
use super::session::Turn;
use crate::knowledge::retrieve::{self, Ask, Found};
use crate::knowledge::{Base, model};
use crate::ports::Ports;

/// Most questions that one is taken apart into.
const QUESTIONS_MAX: usize = 5;
/// Longest text without the tags asked for that is taken for a question, characters.
const UNTAGGED_CHARS_MAX: usize = 1_000;

/// What to search for; never empty. One text, unless the question was taken apart.
pub(super) async fn questions(
    ports: &Ports,
    model: &str,
    orchestration: &Orchestration,
    turns: &[Turn],
    asked: &str,
) -> Result<Vec<String>, Exception> {
    if turns.is_empty() && !orchestration.is_given && !orchestration.decomposes {
        return Ok(vec![asked.to_owned()]);
    }
    let now = ports.clock.now().to_string();
    let values = Values {
        conversation_history: &history(turns),
        query: asked,
        question: asked,
        current_time: &now,
        ..Values::default()
    };
    let request = prompt::request(model, &orchestration.call, &values, Delivery::Whole)?;
    let text = model::text(ports, &request).await?;
    let questions = read(&text, orchestration.decomposes, asked);
    debug!(asked, ?questions, "what is searched for");
    Ok(questions)
}

/// The conversation as templates place it.
pub(super) fn history(turns: &[Turn]) -> String {
    let messages: Vec<Message> = turns
        .iter()
        .flat_map(|turn| {
            [
                user_text(turn.question.as_str()),
                assistant_text(turn.answer.as_str()),
            ]
        })
        .collect();
    conversation::for_history(&messages)
}

/// The questions in a reply. One that says nothing of use leaves the question as it was asked.
fn read(text: &str, several: bool, asked: &str) -> Vec<String> {
    let said = answer::behind_thoughts(text);
    let tagged = said
        .split("<question>")
        .skip(1)
        .map(|from| from.split("</question>").next().unwrap_or(from).trim())
        .filter(|question| !question.is_empty());
    let limit = if several { QUESTIONS_MAX } else { 1 };
    let mut questions: Vec<String> = Vec::new();
    for question in tagged.take(limit) {
        if !questions.iter().any(|before| before == question) {
            questions.push(question.to_owned());
        }
    }
    if questions.is_empty() {
        let bare = said.trim();
        let is_one = !bare.is_empty()
            && !bare.contains(['\n', '<'])
            && bare.chars().count() <= UNTAGGED_CHARS_MAX;
        questions.push(if is_one { bare } else { asked }.to_owned());
    }
    questions
}

/// Searches for each of them, all at once. What several find is told once; the first of each comes
/// first, so that no part of a question is crowded out by another.
pub(super) async fn search(
    ports: &Ports,
    base: &Base,
    ask: &Ask,
    questions: &[String],
) -> Result<Vec<Found>, Exception> {
    let searches = questions
        .iter()
        .map(|question| retrieve::retrieve(ports, base, question, ask));
    let mut found = try_join_all(searches).await?;
    if found.len() == 1 {
        return Ok(found.pop().unwrap_or_default());
    }
    let rankings = found.into_iter().map(Ranking::new).collect();
    let mut fused: Vec<Found> = fuse(rankings, |one: &Found| one.id().to_owned())
        .into_iter()
        .map(|(one, _)| one)
        .collect();
    fused.truncate(ask.results());
    Ok(fused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_in_their_tags_or_bare() {
        let asked = "and him?";
        for (text, several, questions) in [
            ("<question>Who is Bo?</question>", false, vec!["Who is Bo?"]),
            (
                "<think><question>x</question></think><question> a",
                false,
                vec!["a"],
            ),
            (
                "<question>a</question><question>b</question><question>a</question>",
                true,
                vec!["a", "b"],
            ),
            (
                "<question>a</question><question>b</question>",
                false,
                vec!["a"],
            ),
            ("Who is Bo?", false, vec!["Who is Bo?"]),
            ("Sure!\nHere it is", true, vec![asked]),
            ("", true, vec![asked]),
        ] {
            assert_eq!(read(text, several, asked), questions, "{text}");
        }
    }
}
