//! The table of placeholders: which there are, which prompts they belong to, what fills them.
//!
//! One table for filling and for lint, so that the two cannot disagree (behaviour.md 4.4). A
//! placeholder that is met in another prompt type than its own is filled all the same: an empty text
//! is the worst that comes of it, and AWS's own older templates do it.

use outcrop_model::control::PromptType;

/// What the placeholders stand for in one model call. Empty where something does not apply.
#[derive(Clone, Debug, Default)]
pub struct Values<'a> {
    /// `$instruction$`, `$model_instruction$`: the agent's instruction.
    pub instruction: &'a str,
    /// `$question$`: the input of this turn.
    pub question: &'a str,
    /// `$ask_user_missing_information$`, `$ask_user_missing_parameters$`: when to ask the user.
    pub ask_user: &'a str,
    /// `$ask_user_confirm_parameters$`: what not to take for granted.
    pub ask_user_confirm: &'a str,
    /// `$ask_user_function$`: the function by which the user is asked, described.
    pub ask_user_function: &'a str,
    /// `$ask_user_function_format$`: how that function is called.
    pub ask_user_function_format: &'a str,
    /// `$ask_user_input_examples$`: an example of it.
    pub ask_user_examples: &'a str,
    /// `$prompt_session_attributes$`.
    pub prompt_session_attributes: &'a str,
    /// `$tools$`, `$functions$`: the tools as text.
    pub tools: &'a str,
    /// `$any_function_name$`: the name of one of them.
    pub any_function_name: &'a str,
    /// `$code_interpreter_guideline$`.
    pub code_interpreter: &'a str,
    /// `$code_interpreter_files$`.
    pub code_interpreter_files: &'a str,
    /// `$conversation_history$`: earlier turns as text, for templates that place them.
    pub conversation_history: &'a str,
    /// `$thought$`: how a thought is begun.
    pub thought: &'a str,
    /// `$output_format_guideline$`.
    pub output_format: &'a str,
    /// `$knowledge_base_guideline$`: how sources are cited.
    pub knowledge_base: &'a str,
    /// `$knowledge_base_additional_guideline$`: how search results are used, and cited.
    pub knowledge_base_additional: &'a str,
    /// `$action_kb_guideline$`: how functions and knowledge bases go together.
    pub action_kb: &'a str,
    /// `$memory_guideline$`.
    pub memory_guideline: &'a str,
    /// `$memory_content$`, `$long_term_memory$`: summaries of earlier sessions.
    pub memory_content: &'a str,
    /// `$memory_action_guideline$`.
    pub memory_action: &'a str,
    /// `$agent_collaborators$`: one line an agent.
    pub agent_collaborators: &'a str,
    /// `$multi_agent_collaboration$`: who can be talked to, for templates of single agents.
    pub multi_agent_collaboration: &'a str,
    /// `$multi_agent_collaboration_guideline$`.
    pub multi_agent_guideline: &'a str,
    /// `$multi_agent_payload_reference_guideline$`.
    pub payload_reference: &'a str,
    /// `$agent_collaboration_kb_guideline$`.
    pub agent_collaboration_kb: &'a str,
    /// `$query$`: what the knowledge base was asked.
    pub query: &'a str,
    /// `$search_results$`.
    pub search_results: &'a str,
    /// `$latest_response$`: the answer of the orchestration.
    pub latest_response: &'a str,
    /// `$responses$`, `$bot_response$`: the results of the turn's calls.
    pub responses: &'a str,
    /// `$past_conversation_summary$`.
    pub past_conversation_summary: &'a str,
    /// `$conversation$`: the conversation to be summarised or routed.
    pub conversation: &'a str,
    /// `$reachable_agents$`: one line an agent.
    pub reachable_agents: &'a str,
    /// `$last_user_request$`.
    pub last_user_request: &'a str,
    /// `$knowledge_base_routing$`: the supervisor's own knowledge bases.
    pub knowledge_base_routing: &'a str,
    /// `$action_routing$`: the supervisor's own functions.
    pub action_routing: &'a str,
    /// `$knowledge_base_routing_guideline$`.
    pub knowledge_base_routing_guideline: &'a str,
    /// `$action_routing_guideline$`.
    pub action_routing_guideline: &'a str,
    /// `$last_most_specialized_agent_guideline$`: when the same agent goes on.
    pub last_agent_guideline: &'a str,
    /// `$current_time$`.
    pub current_time: &'a str,
}

/// A placeholder.
#[derive(Clone, Copy)]
pub struct Placeholder {
    /// Without the `$`.
    pub name: &'static str,
    /// The prompt types it belongs to (behaviour.md 4.4).
    pub prompts: &'static [PromptType],
    value: for<'v, 'a> fn(&'v Values<'a>) -> &'a str,
}

impl Placeholder {
    /// What it stands for.
    pub(super) fn of<'a>(&self, values: &Values<'a>) -> &'a str {
        (self.value)(values)
    }
}

const ORCHESTRATION: &[PromptType] = &[PromptType::Orchestration];
const INPUT: &[PromptType] = &[PromptType::PreProcessing, PromptType::Orchestration];
const POST: &[PromptType] = &[PromptType::PostProcessing];
const RESULTS: &[PromptType] = &[PromptType::KnowledgeBaseResponseGeneration];
const MEMORY: &[PromptType] = &[PromptType::MemorySummarization];
const ROUTING: &[PromptType] = &[PromptType::RoutingClassifier];

macro_rules! table {
    ($($name:literal, $prompts:expr, $value:expr;)*) => {
        &[$(Placeholder {
            name: $name,
            prompts: $prompts,
            value: $value,
        },)*]
    };
}

/// All placeholders, sorted by name.
pub const TABLE: &[Placeholder] = table! {
    "action_kb_guideline", ORCHESTRATION, |v| v.action_kb;
    "action_routing", ROUTING, |v| v.action_routing;
    "action_routing_guideline", ROUTING, |v| v.action_routing_guideline;
    "agent_collaboration_kb_guideline", ORCHESTRATION, |v| v.agent_collaboration_kb;
    "agent_collaborators", ORCHESTRATION, |v| v.agent_collaborators;
    // The steps of the turn become messages at its place.
    "agent_scratchpad", ORCHESTRATION, |_| "";
    "any_function_name", ORCHESTRATION, |v| v.any_function_name;
    "ask_user_confirm_parameters", ORCHESTRATION, |v| v.ask_user_confirm;
    "ask_user_function", ORCHESTRATION, |v| v.ask_user_function;
    "ask_user_function_format", ORCHESTRATION, |v| v.ask_user_function_format;
    "ask_user_input_examples", ORCHESTRATION, |v| v.ask_user_examples;
    "ask_user_missing_information", ORCHESTRATION, |v| v.ask_user;
    "ask_user_missing_parameters", ORCHESTRATION, |v| v.ask_user;
    // In Titan's orchestration it is the place of the steps.
    "bot_response", &[PromptType::Orchestration, PromptType::PostProcessing], |v| v.responses;
    "code_interpreter_files", ORCHESTRATION, |v| v.code_interpreter_files;
    "code_interpreter_guideline", ORCHESTRATION, |v| v.code_interpreter;
    "conversation", &[PromptType::MemorySummarization, PromptType::RoutingClassifier], |v| v.conversation;
    "conversation_history", INPUT, |v| v.conversation_history;
    "current_time", &[PromptType::Orchestration, PromptType::KnowledgeBaseResponseGeneration], |v| v.current_time;
    "functions", INPUT, |v| v.tools;
    "instruction", ORCHESTRATION, |v| v.instruction;
    "knowledge_base_additional_guideline", ORCHESTRATION, |v| v.knowledge_base_additional;
    "knowledge_base_guideline", ORCHESTRATION, |v| v.knowledge_base;
    "knowledge_base_routing", ROUTING, |v| v.knowledge_base_routing;
    "knowledge_base_routing_guideline", ROUTING, |v| v.knowledge_base_routing_guideline;
    "last_most_specialized_agent_guideline", ROUTING, |v| v.last_agent_guideline;
    "last_user_request", ROUTING, |v| v.last_user_request;
    "latest_response", POST, |v| v.latest_response;
    "long_term_memory", ORCHESTRATION, |v| v.memory_content;
    "memory_action_guideline", ORCHESTRATION, |v| v.memory_action;
    "memory_content", ORCHESTRATION, |v| v.memory_content;
    "memory_guideline", ORCHESTRATION, |v| v.memory_guideline;
    "model_instruction", ORCHESTRATION, |v| v.instruction;
    "multi_agent_collaboration", ORCHESTRATION, |v| v.multi_agent_collaboration;
    "multi_agent_collaboration_guideline", ORCHESTRATION, |v| v.multi_agent_guideline;
    "multi_agent_payload_reference_guideline", ORCHESTRATION, |v| v.payload_reference;
    "output_format_guideline", ORCHESTRATION, |v| v.output_format;
    "past_conversation_summary", MEMORY, |v| v.past_conversation_summary;
    "prompt_session_attributes", &[PromptType::Orchestration, PromptType::RoutingClassifier], |v| v.prompt_session_attributes;
    "query", RESULTS, |v| v.query;
    "question", &[PromptType::PreProcessing, PromptType::Orchestration, PromptType::PostProcessing], |v| v.question;
    "reachable_agents", ROUTING, |v| v.reachable_agents;
    "responses", POST, |v| v.responses;
    "search_results", RESULTS, |v| v.search_results;
    "thought", ORCHESTRATION, |v| v.thought;
    "tools", INPUT, |v| v.tools;
};

/// The placeholder of that name.
pub fn placeholder(name: &str) -> Option<&'static Placeholder> {
    let at = TABLE.binary_search_by(|one| one.name.cmp(name)).ok()?;
    TABLE.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name));
        for one in TABLE {
            assert!(placeholder(one.name).is_some(), "{}", one.name);
            assert!(!one.prompts.is_empty(), "{}", one.name);
        }
        assert!(placeholder("questions").is_none());
    }
}
