//! What a model says in the steps around the orchestration, read by default (behaviour.md 4.5, 4.7).
//!
//! Lenient: a stop sequence or a token limit may have cut the closing tag, small models forget the
//! tags, and each reader says what a client survives best then.

use serde::{Deserialize, Serialize};

use super::answer::{self, Reading};
use crate::citation::GeneratedPart;

/// What `PRE_PROCESSING` makes of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreProcessed {
    /// Whether the agent takes it up.
    pub is_valid: bool,
    /// The model's thoughts, trimmed; `None` where it wrote none.
    pub rationale: Option<String>,
    /// `None` where the model named none.
    pub category: Option<Category>,
}

/// The categories of an input (behaviour.md 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Harmful or malicious.
    Harmful,
    /// After the agent's instructions or functions.
    Prying,
    /// Beyond what the agent can do.
    Unanswerable,
    /// Something the agent can help with.
    Answerable,
    /// An answer to the agent's question.
    Reply,
}

impl Category {
    fn of(letter: char) -> Option<Self> {
        Some(match letter.to_ascii_uppercase() {
            'A' => Self::Harmful,
            'B' => Self::Prying,
            'C' => Self::Unanswerable,
            'D' => Self::Answerable,
            'E' => Self::Reply,
            _ => return None,
        })
    }

    /// Whether the agent takes up such an input.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Answerable | Self::Reply)
    }
}

/// The answer to an input that was turned down (behaviour.md 4.12). A parser function may turn one down
/// without a category.
pub fn refusal(category: Option<Category>) -> &'static str {
    match category {
        Some(Category::Harmful | Category::Prying) => {
            "Sorry, I am unable to assist you with this request."
        }
        Some(Category::Unanswerable | Category::Answerable | Category::Reply) | None => {
            "Sorry, I don't have enough information to answer that."
        }
    }
}

/// Reads the reply of `PRE_PROCESSING`. One that names no category lets the input through: an agent
/// that answers too much is better than one that answers nothing.
pub fn pre_processing(text: &str) -> PreProcessed {
    let rationale = answer::read(text, true).thinking;
    let named = within(text, "category").unwrap_or_else(|| {
        // Without tags, only a letter alone is one: "A good question" names no category.
        let rest = answer::behind_thoughts(text);
        let bare = rest.trim_matches(|character: char| !character.is_ascii_alphanumeric());
        if bare.len() == 1 { bare } else { "" }
    });
    let category = letter(named).and_then(Category::of);
    PreProcessed {
        is_valid: category.is_none_or(Category::is_valid),
        rationale,
        category,
    }
}

/// The letter in `C`, `C: unanswerable` or `Category C`.
fn letter(named: &str) -> Option<char> {
    named
        .split(|character: char| !character.is_ascii_alphabetic())
        .find(|word| word.len() == 1)
        .and_then(|word| word.chars().next())
}

/// Reads the reply of `POST_PROCESSING`: what stands in `<final_response>`, else all but the thoughts.
pub fn post_processing(text: &str) -> String {
    match within(text, "final_response") {
        Some(response) => response.trim().to_owned(),
        None => answer::read(text, true).answer.trim().to_owned(),
    }
}

/// Where the router sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the collaborator of that name.
    Agent(String),
    /// To the one that answered last.
    LastAgent,
    /// To nobody alone: the supervisor plans.
    Undecided,
}

/// What the classifier answers for the agent that answered last.
const KEEP_PREVIOUS: &str = "keep_previous_agent";

/// Reads the reply of `ROUTING_CLASSIFIER`. A name that no agent has decides nothing.
pub fn routing(text: &str, agents: &[&str]) -> Route {
    let spoken = answer::behind_thoughts(text);
    let named = within(spoken, "a").unwrap_or(spoken);
    let named = named.trim().trim_matches(['"', '`', '\'', '*', '.']);
    if named.eq_ignore_ascii_case(KEEP_PREVIOUS) {
        return Route::LastAgent;
    }
    let exact = agents.iter().find(|agent| **agent == named);
    let alike = || {
        agents
            .iter()
            .find(|agent| agent.eq_ignore_ascii_case(named))
    };
    match exact.or_else(alike) {
        Some(agent) => Route::Agent((*agent).to_owned()),
        None => Route::Undecided,
    }
}

/// What a conversation was about in one respect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSummary {
    /// `user goals`, `assistant actions`; empty where the model named none.
    pub topic: String,
    /// In sentences.
    pub summary: String,
}

/// Reads the reply of `MEMORY_SUMMARIZATION`. Without topics, all it says is the summary.
pub fn memory(text: &str) -> Vec<TopicSummary> {
    let spoken = answer::behind_thoughts(text);
    let summary = within(spoken, "summary").unwrap_or(spoken);
    let mut topics = Vec::new();
    for topic in summary.split("<topic").skip(1) {
        let Some((attributes, said)) = topic.split_once('>') else {
            continue;
        };
        let said = said.split("</topic>").next().unwrap_or_default().trim();
        if said.is_empty() {
            continue;
        }
        let name = attributes
            .split(['\'', '"'])
            .nth(1)
            .unwrap_or_default()
            .trim();
        topics.push(TopicSummary {
            topic: name.to_owned(),
            summary: said.to_owned(),
        });
    }
    let whole = summary.trim();
    if topics.is_empty() && !whole.is_empty() {
        topics.push(TopicSummary {
            topic: String::new(),
            summary: whole.to_owned(),
        });
    }
    topics
}

/// The text of a session's summary as `GetAgentMemory` shows it (behaviour.md 8.2): the summaries, one
/// after the other.
pub fn summary_text(topics: &[TopicSummary]) -> String {
    let summaries: Vec<&str> = topics.iter().map(|topic| topic.summary.as_str()).collect();
    summaries.join("\n")
}

/// Reads the reply of `KNOWLEDGE_BASE_RESPONSE_GENERATION`: its parts, in order, those without sources
/// among them.
pub fn knowledge_base_response(text: &str) -> Vec<GeneratedPart> {
    let Reading { answer, parts, .. } = answer::read(text, false);
    let mut generated = Vec::new();
    let mut add = |start: usize, end: usize, sources: &[String]| {
        let text = answer.get(start..end).unwrap_or_default().trim();
        if !text.is_empty() {
            generated.push(GeneratedPart {
                text: text.to_owned(),
                sources: sources.to_vec(),
            });
        }
    };
    let mut from = 0;
    for part in &parts {
        add(from, part.start, &[]);
        add(part.start, part.end, &part.sources);
        from = part.end;
    }
    add(from, answer.len(), &[]);
    generated
}

/// What stands in the last element of that name; to the end of the text where it is not closed.
fn within<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let (_, from) = text.rsplit_once(&format!("<{element}>"))?;
    let close = format!("</{element}>");
    Some(from.split_once(&close).map_or(from, |(inside, _)| inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_read_and_decide() {
        let recorded = ":\n<thinking>\nThis input falls under <category>.\n</thinking>\n<category>C</category>";
        let read = pre_processing(recorded);
        assert_eq!(read.category, Some(Category::Unanswerable));
        assert!(!read.is_valid);
        assert_eq!(
            read.rationale.as_deref(),
            Some("This input falls under <category>.")
        );
        assert_eq!(
            refusal(read.category),
            "Sorry, I don't have enough information to answer that."
        );
        for (text, category) in [
            ("<category>D", Some(Category::Answerable)),
            ("<category> e </category>", Some(Category::Reply)),
            (
                "<category>Category A: harmful</category>",
                Some(Category::Harmful),
            ),
            ("**B**", Some(Category::Prying)),
            ("<thinking>a</thinking>D.", Some(Category::Answerable)),
            ("<think>A?</think>\n\nD", Some(Category::Answerable)),
            ("A good question", None),
            ("<category></category>", None),
            ("", None),
        ] {
            let read = pre_processing(text);
            assert_eq!(read.category, category, "{text}");
            assert_eq!(read.is_valid, category.is_none_or(Category::is_valid));
        }
        assert_ne!(refusal(Some(Category::Harmful)), refusal(None));
    }

    #[test]
    fn the_final_response_is_read() {
        for (text, response) in [
            (
                "Here's my transformed response:\n\n<final_response>\nBased on it.\n</final_response>",
                "Based on it.",
            ),
            ("<final_response>cut", "cut"),
            ("<thinking>x</thinking> no tags ", "no tags"),
            ("", ""),
        ] {
            assert_eq!(post_processing(text), response, "{text}");
        }
    }

    #[test]
    fn routes_are_read() {
        let agents = ["MathAgent", "CodeReviewAgent", "Other"];
        for (text, route) in [
            ("<a>MathAgent</a>", Route::Agent("MathAgent".to_owned())),
            ("<a> mathagent", Route::Agent("MathAgent".to_owned())),
            (
                "<thinking><a>Other</a>?</thinking>\n<a>CodeReviewAgent</a>.",
                Route::Agent("CodeReviewAgent".to_owned()),
            ),
            ("**Other**.", Route::Agent("Other".to_owned())),
            ("<a>keep_previous_agent</a>", Route::LastAgent),
            ("<a>undecidable</a>", Route::Undecided),
            ("<a>Nobody</a>", Route::Undecided),
            ("MathAgent or Other", Route::Undecided),
            ("", Route::Undecided),
        ] {
            assert_eq!(routing(text, &agents), route, "{text}");
        }
    }

    #[test]
    fn summaries_are_read() {
        let text = "<summary>\n<topic name='user goals'> A trip. </topic>\n<topic name=\"assistant actions\">Booked it.";
        let topics = memory(text);
        let told: Vec<(&str, &str)> = topics
            .iter()
            .map(|topic| (topic.topic.as_str(), topic.summary.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("user goals", "A trip."),
                ("assistant actions", "Booked it.")
            ]
        );
        assert_eq!(summary_text(&topics), "A trip.\nBooked it.");
        assert_eq!(memory("Just words.")[0].summary, "Just words.");
        assert_eq!(memory("<summary></summary>"), []);
        assert_eq!(
            memory("<summary><topic name='a'"),
            memory("<topic name='a'")
        );
    }

    #[test]
    fn a_generated_answer_is_its_parts() {
        let text = "<answer>\n<answer_part>\n<text>\none\n</text>\n<sources>\n<source>lhln</source>\n</sources>\n</answer_part>\n<answer_part><text>two</text></answer_part></answer>";
        let part = |text: &str, sources: &[&str]| GeneratedPart {
            text: text.to_owned(),
            sources: sources.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            knowledge_base_response(text),
            [part("one", &["lhln"]), part("two", &[])]
        );
        assert_eq!(knowledge_base_response("plain"), [part("plain", &[])]);
        assert_eq!(knowledge_base_response(""), []);
    }
}
