//! Search results as the model reads them, and what it cites of them as attribution
//! (behaviour.md 6.5, 9.10; trace-order.md 6).
//!
//! Results are numbered through over the lookups of a turn, on from those that the model still sees of
//! earlier turns, so that a number names one of them. A span counts characters and includes its last; it
//! always slices the text that the client received.

use std::fmt::Write as _;

use outcrop_model::converse::{ContentBlock, Message, ToolResultContentBlock};
use outcrop_model::runtime::{
    Attribution, Citation, GeneratedResponsePart, RetrievedReference, Span, TextResponsePart,
};
use serde::{Deserialize, Serialize};

use crate::prompt::answer::{AnswerPart, part_break};

/// How the text of a search's results begins.
const RESULTS: &str = "Here are search results in numbered order:";
/// How it begins where an answer has been made of the results.
const VERBATIM: &str = "IMPORTANT: USE THIS RESULT VERBATIM. DO NOT SUMMARIZE:";
/// The highest number that is taken for one of ours. A document may hold any.
const NUMBER_MAX: usize = 1_000_000;

/// The results a model was shown in one turn. The id of a result is its number, from 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The highest number of an earlier turn.
    earlier: usize,
    references: Vec<RetrievedReference>,
}

impl Shown {
    /// Nothing yet, in a turn that follows these messages.
    pub fn following<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        let earlier = messages
            .into_iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                ContentBlock::ToolResult(result) => Some(&result.content),
                _ => None,
            })
            .flatten()
            .filter_map(|part| match part {
                ToolResultContentBlock::Text(text) => highest(text),
                _ => None,
            })
            .max();
        Self {
            earlier: earlier.unwrap_or(0),
            references: Vec::new(),
        }
    }

    /// Adds the results of one lookup and gives their ids.
    pub fn add(&mut self, references: &[RetrievedReference]) -> Vec<String> {
        let first = self.earlier + self.references.len() + 1;
        self.references.extend_from_slice(references);
        (first..=self.earlier + self.references.len())
            .map(|number| number.to_string())
            .collect()
    }

    /// The result of that id. Models write `[2]` and `2.` too.
    pub fn get(&self, id: &str) -> Option<&RetrievedReference> {
        let digits = id.trim_matches(|character: char| !character.is_alphanumeric());
        let number: usize = digits.parse().ok()?;
        self.references.get(number.checked_sub(self.earlier + 1)?)
    }

    /// Whether nothing was shown.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }
}

/// The highest number of a result in what a search told the model.
fn highest(text: &str) -> Option<usize> {
    if !text.starts_with(RESULTS) && !text.starts_with(VERBATIM) {
        return None;
    }
    text.split("<source>")
        .skip(1)
        .filter_map(|source| source.split_once("</source>")?.0.trim().parse().ok())
        .filter(|number| *number <= NUMBER_MAX)
        .max()
}

/// A part of a generated answer with the ids of its sources, as parsers give it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedPart {
    /// What it says.
    pub text: String,
    /// The ids of what it rests on.
    pub sources: Vec<String>,
}

/// The whole text of a generated answer.
pub fn joined(parts: &[GeneratedPart]) -> String {
    let mut out = String::new();
    let mut before = "";
    for part in parts {
        if !out.is_empty() {
            out.push_str(part_break(before, &part.text));
        }
        out.push_str(&part.text);
        before = &part.text;
    }
    out
}

/// Where parts stand in the text they are of. One that is not in it is taken to speak of all of it.
pub fn located(text: &str, parts: &[GeneratedPart]) -> Vec<AnswerPart> {
    let mut from = 0;
    parts
        .iter()
        .map(|part| {
            let said = part.text.trim();
            let found = text
                .get(from..)
                .filter(|_| !said.is_empty())
                .and_then(|rest| rest.find(said))
                .map(|at| from + at);
            let (start, end) = found.map_or((0, text.len()), |at| (at, at + said.len()));
            if found.is_some() {
                from = end;
            }
            AnswerPart {
                start,
                end,
                sources: part.sources.clone(),
            }
        })
        .collect()
}

/// The attribution of an answer: one citation for each part with a source that was shown; `None`
/// where there is none.
pub fn citations(text: &str, parts: &[AnswerPart], shown: &Shown) -> Option<Attribution> {
    let citations: Vec<Citation> = parts
        .iter()
        .filter_map(|part| citation(text, part, shown))
        .collect();
    (!citations.is_empty()).then_some(Attribution {
        citations: Some(citations),
    })
}

fn citation(text: &str, part: &AnswerPart, shown: &Shown) -> Option<Citation> {
    let before = text.get(..part.start)?.chars().count();
    let said = text.get(part.start..part.end)?;
    let last = (before + said.chars().count()).checked_sub(1)?;
    let references = references(&part.sources, shown);
    (!references.is_empty()).then(|| Citation {
        generated_response_part: Some(GeneratedResponsePart {
            text_response_part: Some(TextResponsePart {
                span: Some(Span {
                    start: i32::try_from(before).ok(),
                    end: i32::try_from(last).ok(),
                }),
                text: Some(said.to_owned()),
            }),
        }),
        retrieved_references: Some(references),
    })
}

/// The results of those ids, each once, in the order of the ids. An id that was not shown names none.
pub fn references(sources: &[String], shown: &Shown) -> Vec<RetrievedReference> {
    let mut references: Vec<RetrievedReference> = Vec::new();
    for source in sources {
        for reference in resolved(source, shown) {
            if !references.contains(reference) {
                references.push(reference.clone());
            }
        }
    }
    references
}

/// One `<source>` may hold several ids.
fn resolved<'a>(source: &'a str, shown: &'a Shown) -> impl Iterator<Item = &'a RetrievedReference> {
    source
        .split([',', ';', ' '])
        .filter_map(|id| shown.get(id.trim()))
}

/// What a search tells the model that called for it.
pub fn tool_result_text(references: &[RetrievedReference], ids: &[String]) -> String {
    if references.is_empty() {
        return "The search found nothing.".to_owned();
    }
    let mut out = format!("{RESULTS}\n<search_result>\n");
    for (reference, id) in references.iter().zip(ids) {
        let _ = write!(
            out,
            "<answer_part>\n<text>\n{}\n</text>\n<sources>\n<source>{id}</source>\n</sources>\n</answer_part>\n",
            content(reference)
        );
    }
    out.push_str("</search_result>");
    out
}

/// What `$search_results$` stands for.
pub fn search_results_text(references: &[RetrievedReference], ids: &[String]) -> String {
    let mut out = String::new();
    for (reference, id) in references.iter().zip(ids) {
        let _ = write!(
            out,
            "<search_result>\n<content>\n{}\n</content>\n<source>\n{id}\n</source>\n</search_result>\n",
            content(reference)
        );
    }
    out.truncate(out.trim_end().len());
    out
}

/// What a search tells the model where its results have been made into an answer already.
pub fn verbatim_text(parts: &[GeneratedPart]) -> String {
    let mut out = format!("{VERBATIM}\n<search_result>\n");
    for part in parts {
        let _ = write!(
            out,
            "<answer_part>\n<text>\n{}\n</text>\n<sources>\n",
            part.text
        );
        for source in &part.sources {
            let _ = writeln!(out, "<source>{source}</source>");
        }
        out.push_str("</sources>\n</answer_part>\n");
    }
    out.push_str("</search_result>");
    out
}

/// The text of a result; of a row of a table, its columns.
fn content(reference: &RetrievedReference) -> String {
    let Some(content) = &reference.content else {
        return String::new();
    };
    if let Some(text) = &content.text {
        return text.trim().to_owned();
    }
    let columns = content.row.iter().flatten().map(|column| {
        let name = column.column_name.as_deref().unwrap_or_default();
        let value = column.column_value.as_deref().unwrap_or_default();
        format!("{name}: {value}")
    });
    columns.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use outcrop_model::converse::ToolResultStatus;
    use outcrop_model::runtime::RetrievalResultContent;

    use super::*;
    use crate::converse::{tool_result, user_text};
    use crate::prompt::answer;

    fn reference(text: &str) -> RetrievedReference {
        RetrievedReference {
            content: Some(RetrievalResultContent {
                text: Some(text.to_owned()),
                ..RetrievalResultContent::default()
            }),
            ..RetrievedReference::default()
        }
    }

    fn shown(texts: &[&str]) -> Shown {
        let mut shown = Shown::default();
        shown.add(&texts.iter().map(|text| reference(text)).collect::<Vec<_>>());
        shown
    }

    /// Start, end, text and the texts of the references of each citation.
    fn told(attribution: Option<Attribution>) -> Vec<(i32, i32, String, Vec<String>)> {
        let citations = attribution.and_then(|it| it.citations).unwrap_or_default();
        citations
            .into_iter()
            .map(|citation| {
                let part = citation
                    .generated_response_part
                    .and_then(|part| part.text_response_part)
                    .expect("a part");
                let span = part.span.expect("a span");
                let references = citation.retrieved_references.unwrap_or_default();
                (
                    span.start.expect("a start"),
                    span.end.expect("an end"),
                    part.text.expect("a text"),
                    references.iter().map(content).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn spans_slice_the_answer_and_include_their_last_character() {
        let reading = answer::read(
            "<answer>H\u{e9}:\n<answer_part><text>one</text><sources><source>1</source><source>[2], 1</source></sources></answer_part><answer_part><text>two</text><sources><source>9</source></sources></answer_part>",
            true,
        );
        let cited = citations(&reading.answer, &reading.parts, &shown(&["a", "b"]));
        assert_eq!(
            told(cited),
            [(5, 7, "one".to_owned(), vec!["a".to_owned(), "b".to_owned()])]
        );
        assert_eq!(citations("x", &[], &shown(&["a"])), None);
    }

    #[test]
    fn parts_of_a_parser_are_found_in_its_text() {
        let part = |text: &str, source: &str| GeneratedPart {
            text: text.to_owned(),
            sources: vec![source.to_owned()],
        };
        let parts = [part("same", "1"), part("same ", "2"), part("other", "1")];
        let places: Vec<(usize, usize)> = located("same and same", &parts)
            .iter()
            .map(|part| (part.start, part.end))
            .collect();
        assert_eq!(places, [(0, 4), (9, 13), (0, 13)]);
        assert_eq!(joined(&parts[..1]), "same");
        assert_eq!(joined(&parts), "same same  other");
        let list = [part("one\n- a", "1"), part("two", "1"), part("- b", "1")];
        assert_eq!(joined(&list), "one\n- a\n\ntwo\n\n- b");
    }

    #[test]
    fn results_are_numbered_through_the_turn() {
        let mut shown = Shown::default();
        let ids = shown.add(&[reference("a"), reference("b")]);
        assert_eq!(ids, ["1", "2"]);
        let more = [reference(" c\n")];
        let ids = shown.add(&more);
        assert_eq!(
            tool_result_text(&more, &ids),
            "Here are search results in numbered order:\n<search_result>\n<answer_part>\n<text>\nc\n</text>\n<sources>\n<source>3</source>\n</sources>\n</answer_part>\n</search_result>"
        );
        assert_eq!(
            search_results_text(&more, &ids),
            "<search_result>\n<content>\nc\n</content>\n<source>\n3\n</source>\n</search_result>"
        );
        for id in ["3", " [3] ", "3."] {
            assert_eq!(shown.get(id), Some(&more[0]), "{id}");
        }
        for id in ["0", "4", "", "three", "3a1f-3", "99999999999999999999999"] {
            assert_eq!(shown.get(id), None, "{id}");
        }
        assert!(!shown.is_empty());
        let mut earlier = user_text("");
        earlier.content = vec![tool_result(
            "t",
            tool_result_text(&more, &ids),
            ToolResultStatus::Success,
        )];
        let mut next = Shown::following([&earlier, &user_text("<source>9</source>")]);
        assert_eq!(next.get("3"), None, "it is the earlier turn's");
        assert_eq!(next.add(&more), ["4"]);
        assert_eq!(next.get("4"), Some(&more[0]));
        assert!(
            verbatim_text(&[GeneratedPart {
                text: "t".to_owned(),
                sources: vec!["1".to_owned()]
            }])
            .ends_with("<text>\nt\n</text>\n<sources>\n<source>1</source>\n</sources>\n</answer_part>\n</search_result>")
        );
    }
}
