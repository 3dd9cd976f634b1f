//! What a reply of the loop's model leads to: calls, an answer, a question, or another try.

use outcrop_model::control::PromptType;
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, ToolResultStatus, ToolUseBlock,
};
use outcrop_model::timestamp::Timestamp;
use serde_json::{Map, Value};

use super::closing::spoken;
use super::messages::{asked_question, closed_without_calls, rationale, sanitised};
use super::{Phase, Run, emit_trace};
use crate::action::ActionTarget;
use crate::citation::{self, GeneratedPart};
use crate::converse::{text_of, tool_result, tool_uses, user_text};
use crate::history::Utterance;
use crate::orchestration::acting::{Acting, CallSlot, NOT_MADE};
use crate::orchestration::effect::{Effect, Effects, Emission};
use crate::orchestration::event::ModelReplied;
use crate::orchestration::failure::Failure;
use crate::parser::{ParsedCall, ParsedNext, ParsedTarget};
use crate::plan::{
    ASK_USER_TOOL, CONTENT, MESSAGE_TOOL, RECIPIENT, SEARCH_QUERY, USER, search_tool,
};
use crate::prompt::answer::{self, AnswerPart, AnswerScanner, Reading};
use crate::prompt::syntax;
use crate::trace;

/// How often an empty model message is asked for again before the turn fails.
const EMPTY_REPLIES_MAX: u32 = 2;

impl Run {
    pub(super) fn model_replied(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        effects: &mut Effects,
    ) {
        if self.is_orchestrated() {
            return self.given_model_replied(at, reply, effects);
        }
        self.spend_tokens(reply);
        self.uuid.clone_from(&reply.invocation_id);
        let overridden = self.plan.definition.orchestration.parser_overridden;
        let over_budget = self.spent.tokens > self.budget().tokens;
        if overridden && !over_budget {
            self.show_reply(at, reply, effects);
            if self.call_parser(PromptType::Orchestration, reply, effects) {
                return;
            }
        }
        let known = |name: &str| self.plan.has_tool(name);
        let id = &reply.invocation_id;
        let decoded = syntax::decode(self.plan.syntax, &reply.message, &known, id);
        let has_calls = tool_uses(&decoded.message).next().is_some();
        let reading = self.read(&text_of(&decoded.message));
        // Text that was sent as the answer cannot be taken back for a tool call.
        let sent = reply.streamed_bytes > 0 || reply.guarded.is_some();
        let acts = has_calls && !sent;
        if !acts
            && let Some(rest) = reading.answer.get(reply.streamed_bytes..)
            && self.sends_live()
            && !rest.is_empty()
        {
            effects.push(Effect::Emit(Emission::Chunk(rest.to_owned())));
        }
        if !overridden {
            self.show_reply(at, reply, effects);
        }
        if let Some(text) = rationale(&decoded.message, &reading, acts) {
            self.show_rationale(at, text, effects);
        }
        if over_budget {
            self.turn.push(closed_without_calls(&decoded.message));
            let limit = self.budget().tokens;
            return self.fail(
                at,
                Failure::budget("tokens", limit, "limits.tokens"),
                effects,
            );
        }
        match decoded.malformed {
            Some(_) if sent => {}
            Some(explanation) => {
                return self.ask_again(at, &decoded.message, explanation, effects);
            }
            None if acts => {
                return self.act(at, &decoded.message, &reply.invocation_id, effects);
            }
            None => {}
        }
        if let Some(guarded) = &reply.guarded {
            return self.close_guarded(at, &decoded.message, guarded, effects);
        }
        self.answer(at, &decoded.message, reading, reply.cited_parts, effects);
    }

    /// Reads the text of a reply that went on from what the prompt let it begin with.
    fn read(&self, text: &str) -> Reading {
        // An answer that is not streamed can wait for its tag; one that is begins at its first words
        // where nothing else can come of them.
        let may_call = !self.streams() || !self.plan.tools.is_empty();
        if self.prefill.is_empty() {
            return answer::read(text, may_call);
        }
        let mut scanner = AnswerScanner::continuing(&self.prefill, may_call);
        scanner.feed(text);
        scanner.finish()
    }

    fn show_reply(&self, at: Timestamp, reply: &ModelReplied, effects: &mut Effects) {
        if self.traces() {
            let part = trace::model_invocation_output(reply, self.plan.syntax, at, self.trace_id());
            emit_trace(at, part, effects);
        }
    }

    pub(super) fn show_rationale(&self, at: Timestamp, text: String, effects: &mut Effects) {
        if self.traces() {
            emit_trace(at, trace::rationale(text, self.trace_id()), effects);
        }
    }

    /// Asks the model again, with what was wrong about its reply.
    fn ask_again(
        &mut self,
        at: Timestamp,
        message: &Message,
        explanation: String,
        effects: &mut Effects,
    ) {
        self.turn.push(closed_without_calls(message));
        self.turn.push(Utterance::new(user_text(explanation)));
        self.iteration += 1;
        self.plan_next(at, effects);
    }

    fn answer(
        &mut self,
        at: Timestamp,
        message: &Message,
        mut reading: Reading,
        cited_parts: usize,
        effects: &mut Effects,
    ) {
        if reading.answer.trim().is_empty() {
            self.empty_replies += 1;
            if self.empty_replies > EMPTY_REPLIES_MAX {
                let failure = Failure::empty_reply(self.plan.model());
                return self.fail(at, failure, effects);
            }
            self.iteration += 1;
            return self.plan_next(at, effects);
        }
        self.turn.push(closed_without_calls(message));
        let sent = self.sends_live();
        if !sent {
            // What has been streamed stays as it is; else an answer ends with its last word.
            reading.answer.truncate(reading.answer.trim_end().len());
        }
        // The sources of the others have been sent behind their text.
        let parts = reading.parts.get(cited_parts..).unwrap_or_default();
        self.close_sent(at, reading.answer, parts, sent, effects);
    }

    /// Whether an answer goes out while it is written, or at the latest with the fact that it is
    /// finished. One that a guardrail is to judge as a whole does not.
    fn sends_live(&self) -> bool {
        self.streams() && self.plan.definition.guardrail.is_none()
    }

    /// Makes the calls of a message, whose tool uses are blocks.
    pub(super) fn act(
        &mut self,
        at: Timestamp,
        message: &Message,
        invocation_uuid: &str,
        effects: &mut Effects,
    ) {
        if self.plan.asks_user
            && let Some(question) = asked_question(message)
        {
            self.turn.push(sanitised(message));
            self.close_calls(
                message,
                ASK_USER_TOOL,
                "The question was put to the user. The reply follows.",
            );
            return self.ask_user(at, question, effects);
        }
        if let Some(text) = self.told_user(message) {
            let text = self.expanded(&text);
            // In the conversation it is what the agent says, as after any other answer.
            let mut said = closed_without_calls(message).message().as_ref().clone();
            said.content
                .retain(|block| !matches!(block, ContentBlock::Text(_)));
            said.content.push(ContentBlock::Text(text.clone()));
            self.turn.push(Utterance::new(said));
            return self.close(at, text, &[], effects);
        }
        self.turn.push(sanitised(message));
        let slots: Vec<CallSlot> = tool_uses(message)
            .map(|tool_use| CallSlot::new(&self.plan, tool_use))
            .collect();
        self.run_calls(at, slots, invocation_uuid, effects);
    }

    pub(super) fn run_calls(
        &mut self,
        at: Timestamp,
        slots: Vec<CallSlot>,
        invocation_uuid: &str,
        effects: &mut Effects,
    ) {
        self.acting = Some(Acting {
            slots,
            traced: 0,
            resumed_without_calls: false,
            invocation_uuid: invocation_uuid.to_owned(),
        });
        self.phase = Phase::Acting;
        let mut invoked = self.call_running(|_| true, effects);
        self.begin_code(effects);
        invoked += self.begin_searches(effects);
        invoked += self.begin_collaborators(effects);
        self.spend_actions(at, invoked, effects);
        self.advance(at, effects);
    }

    /// Closes the calls of a message without making them; those of `tool` with `text`.
    pub(super) fn close_calls(&mut self, message: &Message, tool: &str, text: &str) {
        let content = tool_uses(message)
            .map(|tool_use| {
                let text = if tool_use.name == tool {
                    text
                } else {
                    NOT_MADE
                };
                tool_result(&tool_use.tool_use_id, text, ToolResultStatus::Success)
            })
            .collect();
        self.turn.push(Utterance::new(Message {
            role: ConversationRole::User,
            content,
        }));
    }

    /// What a supervisor says to the user, where that is all it does in this message.
    pub(super) fn told_user(&self, message: &Message) -> Option<String> {
        if self.plan.collaborators().is_empty() {
            return None;
        }
        let mut told = Vec::new();
        for tool_use in tool_uses(message) {
            let text = |member: &str| tool_use.input.get(member).and_then(Value::as_str);
            let to_user = tool_use.name == MESSAGE_TOOL
                && text(RECIPIENT).is_some_and(|name| name.trim().eq_ignore_ascii_case(USER));
            let content = text(CONTENT).filter(|content| !content.trim().is_empty());
            told.push(content.filter(|_| to_user)?.to_owned());
        }
        (!told.is_empty()).then(|| told.join("\n\n"))
    }

    /// What the parser function decided.
    pub(super) fn next_parsed(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        (rationale, next): (Option<String>, ParsedNext),
        effects: &mut Effects,
    ) {
        if let Some(text) = rationale.filter(|text| !text.trim().is_empty()) {
            self.show_rationale(at, text, effects);
        }
        match next {
            ParsedNext::Reprompt(text) => self.ask_again(at, &reply.message, text, effects),
            ParsedNext::AskUser { text, .. } => {
                self.turn.push(closed_without_calls(&reply.message));
                self.ask_user(at, text, effects);
            }
            ParsedNext::Finish { text, parts } => {
                self.finish_parsed(at, reply, text, &parts, effects);
            }
            ParsedNext::Calls(calls) => {
                let mut content: Vec<ContentBlock> = reply
                    .message
                    .content
                    .iter()
                    .filter(|block| !matches!(block, ContentBlock::ToolUse(_)))
                    .cloned()
                    .collect();
                for block in &mut content {
                    if let ContentBlock::Text(text) = block {
                        text.truncate(calls_begin(text));
                    }
                }
                content.retain(
                    |block| !matches!(block, ContentBlock::Text(text) if text.trim().is_empty()),
                );
                for (index, call) in calls.into_iter().enumerate() {
                    content.push(ContentBlock::ToolUse(self.parsed_call(reply, index, call)));
                }
                let message = Message {
                    role: ConversationRole::Assistant,
                    content,
                };
                self.act(at, &message, &reply.invocation_id, effects);
            }
        }
    }

    fn finish_parsed(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        text: String,
        parts: &[GeneratedPart],
        effects: &mut Effects,
    ) {
        let places: Vec<AnswerPart> = citation::located(&text, parts);
        // The conversation keeps what the model wrote, unless that holds nothing to read.
        let said = closed_without_calls(&reply.message);
        let reads = !text_of(&reply.message).trim().is_empty();
        self.turn.push(if reads { said } else { spoken(&text) });
        self.close(at, text, &places, effects);
    }

    /// A call that the parser function found, as the model would have made it. One that names nothing
    /// of this agent keeps the name it was given, so that the model hears of it.
    fn parsed_call(&self, reply: &ModelReplied, index: usize, call: ParsedCall) -> ToolUseBlock {
        let mut input: Map<String, Value> = call
            .arguments
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        let name = match call.target {
            ParsedTarget::Function {
                action_group,
                function,
            } => self
                .plan
                .action_of(|action| {
                    action.action_group == action_group
                        && match &action.target {
                            ActionTarget::Function { name } => *name == function,
                            // AWS's sample parsers name an operation as a function too.
                            ActionTarget::Api { .. } => {
                                action.tool_name.rsplit("__").next() == Some(function.as_str())
                            }
                        }
                })
                .map_or(format!("{action_group}__{function}"), |action| {
                    action.tool_name.clone()
                }),
            ParsedTarget::Api {
                action_group,
                api_name,
                verb,
            } => self
                .plan
                .action_of(|action| {
                    let ActionTarget::Api { path, method, .. } = &action.target else {
                        return false;
                    };
                    let names = *path == api_name
                        || action.tool_name.rsplit("__").next() == Some(api_name.as_str());
                    action.action_group == action_group
                        && names
                        && (verb.is_empty() || method.eq_ignore_ascii_case(&verb))
                })
                .map_or(format!("{action_group}__{api_name}"), |action| {
                    action.tool_name.clone()
                }),
            ParsedTarget::KnowledgeBase { id, query } => {
                input.insert(SEARCH_QUERY.to_owned(), Value::String(query));
                search_tool(&id)
            }
            ParsedTarget::Collaborator { name, text } => {
                input.insert(RECIPIENT.to_owned(), Value::String(name));
                input.insert(CONTENT.to_owned(), Value::String(text));
                MESSAGE_TOOL.to_owned()
            }
        };
        let id = call.id.filter(|id| !id.is_empty());
        ToolUseBlock {
            input: Value::Object(input),
            name,
            tool_use_id: id.unwrap_or_else(|| format!("{}-{index}", reply.invocation_id)),
            type_: None,
        }
    }

    /// Whether the answer goes out while the model writes it. Whoever reads it before the client does
    /// needs it whole: post-processing, a parser, a supervisor.
    pub(super) fn streams(&self) -> bool {
        self.request().is_some_and(|request| request.stream)
            && self.plan.step(PromptType::PostProcessing).is_none()
            && !self.plan.definition.orchestration.parser_overridden
            && self
                .started
                .as_ref()
                .is_some_and(|started| started.caller.is_none())
    }
}

/// What calls begin with that a model writes into its text, in the syntaxes that are known and in
/// those that AWS's samples read with parser functions of their own.
const CALLS: [&str; 7] = [
    "<function_calls",
    "<function_call",
    "<invoke",
    "<fnCall",
    "<tool_call",
    "<tool_use",
    "```json",
];

/// Where the calls begin in a text that a parser function found some in. They become blocks of the
/// message; left in the text as well, the model would be shown each of them twice.
fn calls_begin(text: &str) -> usize {
    let found = CALLS.iter().filter_map(|opening| text.find(opening));
    found.min().unwrap_or(text.len())
}
