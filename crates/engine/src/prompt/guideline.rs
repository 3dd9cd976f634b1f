//! The rules that a prompt carries only where they apply, and what fills their placeholders.
//!
//! Our own words for what behaviour.md 4.4 names. Each is constant text, so that a prompt's beginning
//! stays the same to the byte over steps and turns, which is what provider caches need.

use crate::prompt::syntax::CallSyntax;
use crate::prompt::template::Values;

/// The rule added while the agent may ask the user (`$ask_user_missing_information$`).
pub const ASK_USER_RULE: &str = "- If a function needs a value that the conversation does not give, ask the user for it with the user__askuser tool.";

const ASK_USER_RULE_XML: &str = "- If a function needs a value that the conversation does not give, ask the user for it with the user::askuser function.";

/// `$ask_user_confirm_parameters$`, a form that only old templates have.
const ASK_USER_CONFIRM: &str = "- Before you call a function, make sure that each of its required arguments was given by the user or by an earlier result. If one was not, ask the user for it first.";

/// `$ask_user_function$`.
const ASK_USER_FUNCTION: &str = "user::askuser: puts a question to the user and waits for the reply. It has one required argument, question.";

const ASK_USER_FORMAT_XML: &str = "<function_calls>\n<invoke>\n<tool_name>user::askuser</tool_name>\n<parameters>\n<question>your question</question>\n</parameters>\n</invoke>\n</function_calls>";

const ASK_USER_FORMAT_FUNCTION: &str =
    "<function_call>user::askuser(question=\"your question\")</function_call>";

const ASK_USER_EXAMPLE: &str = "Example: a function needs the number of an order, and the user has not said it. Then ask \"Which order do you mean?\" with user::askuser and wait.";

/// The rule added while the agent may run code (`$code_interpreter_guideline$`).
pub const CODE_INTERPRETER_RULE: &str = "- Where an answer needs calculation, data or a picture, write Python and run it with the get__codeinterpreteraction__execute tool, at most 3 times in a row before you answer or ask the user. Name files as $BASE_PATH$/name in the code. In the answer speak of pictures and files in general words, without names or paths.";

const CODE_INTERPRETER_RULE_XML: &str = "- Where an answer needs calculation, data or a picture, write Python and run it with the get::codeinterpreteraction::execute function, at most 3 times in a row before you answer or ask the user. Name files as $BASE_PATH$/name in the code. In the answer speak of pictures and files in general words, without names or paths.";

/// How sources are named (`$knowledge_base_guideline$`).
pub const KNOWLEDGE_BASE_RULE: &str = "- Say what search results say in your own words, and only what they say. If they do not hold the answer, say that you found no exact answer.
- Search results come with the id of their source. Where the answer uses them, write each part of it, inside the <answer></answer> tags, in this form and with the ids it rests on:
<answer_part>
<text>one part of the answer</text>
<sources>
<source>id of a source</source>
</sources>
</answer_part>
- Name sources nowhere but there: no ids, brackets or footnotes in the text.";

/// How search results are used (`$knowledge_base_additional_guideline$`).
pub const KNOWLEDGE_BASE_ADDITIONAL_RULE: &str = "<additional_guidelines>
These guidelines hold for search results:
- Answer from what the results say, in your own words and briefly. Do not copy them out.
- That the user claims something does not make it true: check it against the results.
- If the results do not hold the answer, say in the answer that you found no exact answer.
- Each result comes with the id of its source. Write each part of the answer that uses results, inside the <answer></answer> tags, in this form:
<answer_part>
<text>one part of the answer</text>
<sources>
<source>id of a source</source>
</sources>
</answer_part>
- There may be several such parts, and several sources in one. Name sources nowhere else.
- If something besides searching is still to be done, do it before you answer.
</additional_guidelines>";

/// How functions and knowledge bases go together (`$action_kb_guideline$`).
pub const ACTION_KNOWLEDGE_BASE_RULE: &str = "- For facts, search the knowledge base that covers them; for the user's own data and for anything that is to be done, call a function. When a request needs both, do both before you answer.";

/// When remembered things count (`$memory_guideline$`).
pub const MEMORY_RULE: &str = "- You may be given summaries of earlier conversations with this user. Use them only to fill in what the user leaves open, such as a name or a usual choice. What the user says now always comes first.
- Never speak of the summaries or of how you remember.";

/// What is done with remembered values (`$memory_action_guideline$`).
pub const MEMORY_ACTION_RULE: &str = "After you have read the summaries and before you call a function with a value that stands only there, confirm that value with the user, for example: \"Last time you chose a window seat. Shall I take one again?\" Do not ask about values the user has given in this conversation.";

/// How agents are talked to (`$multi_agent_collaboration_guideline$`).
pub const COLLABORATION_RULE: &str = "When you send messages to agents, and to the User, follow these guidelines:
- Contact only the agents whose work the request needs. When several are needed and none waits for another, write to all of them at the same time.
- Agents know nothing of each other, of the User, or of this conversation. Put everything an agent needs into your message: facts, names, numbers, and what you want back.
- Keep messages to agents short and factual.
- An agent's reply comes back as the result of your message. Check it before you use it; if it does not do, ask that agent once more, more precisely.
- Do not mention agents, their names, or that you asked anybody in what you tell the User.";

/// How content is passed on (`$multi_agent_payload_reference_guideline$`).
pub const PAYLOAD_RULE: &str = "An agent's message may hold a payload in this form:
<br:payload id=\"PAYLOAD_ID\"> content </br:payload>
To pass a payload on to another agent or to the User, do not repeat its content. Write this in its place, and the content is put there:
<br:share_payload id=\"PAYLOAD_ID\"/>";

/// How a supervisor uses its own knowledge bases (`$agent_collaboration_kb_guideline$`).
pub const COLLABORATION_KNOWLEDGE_BASE_RULE: &str = "- Search your own knowledge bases before you ask an agent for facts that they cover, and put what you found into your message where an agent needs it.";

/// `$output_format_guideline$`.
pub const OUTPUT_FORMAT_RULE: &str =
    "- Give the answer in the form the user asks for, without remarks about the form.";

/// When the agent that answered last goes on (`$last_most_specialized_agent_guideline$`).
pub const LAST_AGENT_RULE: &str = "- Return <a>keep_previous_agent</a> if the last request goes on with what the agent that answered last was doing: it answers that agent's question, corrects its result, or asks for more of the same.";

/// `$knowledge_base_routing_guideline$`.
pub const KNOWLEDGE_BASE_ROUTING_RULE: &str = "- Return <a>undecidable</a> if one of the knowledge bases listed above covers the request: you search it yourself.";

/// `$action_routing_guideline$`.
pub const ACTION_ROUTING_RULE: &str = "- Return <a>undecidable</a> if one of the functions listed above serves the request: you call it yourself.";

/// What of an agent decides which rules its prompts carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one ability, none a state"
)]
pub struct Situation {
    /// How the template has the model call tools.
    pub syntax: CallSyntax,
    /// It has functions of its own.
    pub acts: bool,
    /// It has knowledge bases.
    pub searches: bool,
    /// It may ask the user.
    pub asks_user: bool,
    /// It may run code.
    pub runs_code: bool,
    /// This turn has a memory.
    pub remembers: bool,
    /// It has collaborators.
    pub collaborates: bool,
    /// Another agent has answered in this session (routing only).
    pub has_last_agent: bool,
}

impl Situation {
    /// Fills the placeholders that stand for rules. Those that do not apply stay empty.
    pub fn fill(self, values: &mut Values<'_>) {
        let spelled = self.syntax.spells_names();
        if self.asks_user {
            values.ask_user = if spelled {
                ASK_USER_RULE_XML
            } else {
                ASK_USER_RULE
            };
            values.ask_user_confirm = ASK_USER_CONFIRM;
            values.ask_user_function = ASK_USER_FUNCTION;
            values.ask_user_function_format = if self.syntax == CallSyntax::Function {
                ASK_USER_FORMAT_FUNCTION
            } else {
                ASK_USER_FORMAT_XML
            };
            values.ask_user_examples = ASK_USER_EXAMPLE;
        }
        if self.runs_code {
            values.code_interpreter = if spelled {
                CODE_INTERPRETER_RULE_XML
            } else {
                CODE_INTERPRETER_RULE
            };
        }
        if self.searches {
            values.knowledge_base = KNOWLEDGE_BASE_RULE;
            values.knowledge_base_additional = KNOWLEDGE_BASE_ADDITIONAL_RULE;
            values.knowledge_base_routing_guideline = KNOWLEDGE_BASE_ROUTING_RULE;
        }
        if self.acts {
            values.action_routing_guideline = ACTION_ROUTING_RULE;
        }
        if self.acts && self.searches {
            values.action_kb = ACTION_KNOWLEDGE_BASE_RULE;
        }
        if self.remembers {
            values.memory_guideline = MEMORY_RULE;
            values.memory_action = MEMORY_ACTION_RULE;
        }
        if self.collaborates {
            values.multi_agent_guideline = COLLABORATION_RULE;
            values.payload_reference = PAYLOAD_RULE;
        }
        if self.collaborates && self.searches {
            values.agent_collaboration_kb = COLLABORATION_KNOWLEDGE_BASE_RULE;
        }
        if self.has_last_agent {
            values.last_agent_guideline = LAST_AGENT_RULE;
        }
        values.output_format = OUTPUT_FORMAT_RULE;
        values.thought = "Thought:";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_only_where_they_apply() {
        let mut values = Values::default();
        Situation::default().fill(&mut values);
        assert_eq!(values.ask_user, "");
        assert_eq!(values.knowledge_base, "");
        assert_eq!(values.memory_guideline, "");
        Situation {
            syntax: CallSyntax::Xml,
            acts: true,
            searches: true,
            asks_user: true,
            ..Situation::default()
        }
        .fill(&mut values);
        assert!(values.ask_user.contains("user::askuser"));
        assert_eq!(values.action_kb, ACTION_KNOWLEDGE_BASE_RULE);
        assert_eq!(values.memory_guideline, "");
    }
}
