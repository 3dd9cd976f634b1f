//! The contract with a parser function, which reads what the model says in the agent's place
//! (behaviour.md 4.8 to 4.10): the event, the form of the model's reply in it, and the response.
//!
//! One function serves every prompt type. Nothing here decides what a broken response leads to.

mod member;
mod raw;
mod read;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use outcrop_model::control::PromptType;
use serde::Serialize;

use crate::action::lambda::EventAgent;
use crate::citation::GeneratedPart;
use crate::prompt::steps::{Route, TopicSummary};

pub use raw::raw_response;
pub use read::read;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    message_version: &'static str,
    agent: &'a EventAgent<'a>,
    invoke_model_raw_response: &'a str,
    prompt_type: PromptType,
    override_type: &'static str,
}

/// The event of one call.
pub fn event(agent: &EventAgent<'_>, prompt_type: PromptType, raw_response: &str) -> Vec<u8> {
    serde_json::to_vec(&EventJson {
        message_version: "1.0",
        agent,
        invoke_model_raw_response: raw_response,
        prompt_type,
        override_type: "OUTPUT_PARSER",
    })
    .expect("an event holds only strings")
}

/// What a parser function made of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// `PRE_PROCESSING`.
    PreProcessing {
        /// `isValidInput`.
        is_valid: bool,
        /// `rationale`.
        rationale: Option<String>,
    },
    /// ORCHESTRATION.
    Orchestration {
        /// `rationale`.
        rationale: Option<String>,
        /// What happens next.
        next: ParsedNext,
    },
    /// `ROUTING_CLASSIFIER`.
    Routing(ParsedRoute),
    /// `KNOWLEDGE_BASE_RESPONSE_GENERATION`.
    KnowledgeBaseResponse(Vec<GeneratedPart>),
    /// `POST_PROCESSING`.
    PostProcessing {
        /// `responseText`.
        text: String,
        /// `citations`.
        parts: Vec<GeneratedPart>,
    },
    /// `MEMORY_SUMMARIZATION`.
    Memory(Vec<TopicSummary>),
}

/// What a step of the orchestration leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsedNext {
    /// The model is asked again, with this text.
    Reprompt(String),
    /// Calls are made; at least one.
    Calls(Vec<ParsedCall>),
    /// The user is asked.
    AskUser {
        /// The question.
        text: String,
        /// The id of the model's tool use.
        id: Option<String>,
    },
    /// The turn has its answer.
    Finish {
        /// The answer.
        text: String,
        /// What of it rests on which sources.
        parts: Vec<GeneratedPart>,
    },
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedCall {
    /// The id of the model's tool use that the result answers; `None` where the function gave none.
    pub id: Option<String>,
    /// What is called.
    pub target: ParsedTarget,
    /// `actionGroupInput`, by name; empty for the others.
    pub arguments: BTreeMap<String, String>,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsedTarget {
    /// A function of an action group.
    Function {
        /// `actionGroupName`.
        action_group: String,
        /// `functionName`.
        function: String,
    },
    /// An operation of an action group.
    Api {
        /// `actionGroupName`.
        action_group: String,
        /// `apiName`: the operation's id, or its path.
        api_name: String,
        /// `verb`, as given.
        verb: String,
    },
    /// A knowledge base.
    KnowledgeBase {
        /// `knowledgeBaseId`.
        id: String,
        /// `searchQuery`.
        query: String,
    },
    /// A collaborator.
    Collaborator {
        /// `agentCollaboratorName`.
        name: String,
        /// `input.text`.
        text: String,
    },
}

/// Where a parser function sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsedRoute {
    /// The model is asked again, with this text.
    Reprompt(String),
    /// It is decided.
    Decided {
        /// To whom.
        route: Route,
        /// What the agent is told in place of the user's words, if anything.
        text: Option<String>,
    },
}
