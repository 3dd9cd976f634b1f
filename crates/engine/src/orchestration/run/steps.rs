//! The steps besides ORCHESTRATION: one model call each, read by the default reader or by the
//! agent's parser function.

use std::sync::Arc;

use outcrop_model::control::PromptType;
use outcrop_model::converse::{ContentBlock, ConversationRole, Message};
use outcrop_model::timestamp::Timestamp;

use super::{Phase, Run};
use crate::citation::{self, GeneratedPart};
use crate::converse::{text_of, user_text};
use crate::history::{Utterance, alternating};
use crate::orchestration::effect::{Effect, Effects, ModelCall};
use crate::orchestration::event::ModelReplied;
use crate::orchestration::failure::Failure;
use crate::parser::{Parsed, ParsedRoute};
use crate::plan;
use crate::port::{Delivery, ModelRequest};
use crate::prompt::steps::{self, Route};
use crate::prompt::syntax::CallSyntax;
use crate::prompt::template::Values;
use crate::prompt::{conversation, listing};
use crate::trace;

/// A step that is under way.
#[derive(Clone, Debug)]
pub(super) struct Step {
    prompt_type: PromptType,
    /// `traceId` without the request's id.
    suffix: String,
    /// The slot whose results an answer is generated from.
    slot: Option<usize>,
    /// Replies that the parser function could not read, each with what it has the model told.
    again: Vec<Arc<Utterance>>,
}

impl Step {
    pub(super) fn prompt_type(&self) -> PromptType {
        self.prompt_type
    }

    fn new(prompt_type: PromptType, suffix: &str) -> Self {
        Self {
            prompt_type,
            suffix: suffix.to_owned(),
            slot: None,
            again: Vec::new(),
        }
    }
}

impl Run {
    /// Asks the model of a step; `false` where the agent does not have the step.
    pub(super) fn begin_step(
        &mut self,
        at: Timestamp,
        prompt_type: PromptType,
        effects: &mut Effects,
    ) -> bool {
        let suffix = match prompt_type {
            PromptType::PreProcessing => "pre-0",
            PromptType::PostProcessing => "post-0",
            _ => "routing-0",
        };
        self.ask_step(at, Step::new(prompt_type, suffix), effects)
    }

    /// Has an answer generated from the results of a search.
    pub(super) fn generate(
        &mut self,
        at: Timestamp,
        suffix: &str,
        slot: usize,
        effects: &mut Effects,
    ) -> bool {
        let step = Step {
            slot: Some(slot),
            ..Step::new(PromptType::KnowledgeBaseResponseGeneration, suffix)
        };
        self.ask_step(at, step, effects)
    }

    fn ask_step(&mut self, at: Timestamp, asked: Step, effects: &mut Effects) -> bool {
        let plan = Arc::clone(&self.plan);
        let (prompt_type, slot) = (asked.prompt_type, asked.slot);
        let Some(step) = plan.step(prompt_type) else {
            return false;
        };
        let limit = self.budget().model_calls;
        if self.spent.model_calls >= limit {
            let failure = Failure::budget("model calls", u64::from(limit), "limits.model_calls");
            self.fail(at, failure, effects);
            return true;
        }
        self.spent.model_calls += 1;
        self.phase = Phase::Stepping;
        let (suffix, again) = (asked.suffix.clone(), asked.again.clone());
        self.step = Some(asked);
        let texts = self.texts(slot);
        let filled = step.template.fill(&self.step_values(&texts));
        // A replay must come to the same end.
        if let Err(unusable) = filled.check() {
            let failure = Failure::unusable_prompt(&unusable.to_string());
            self.fail(at, failure, effects);
            return true;
        }
        if self.quiet {
            return true;
        }
        let mut messages: Vec<Arc<Utterance>> = filled
            .before
            .iter()
            .chain(&filled.after)
            .map(|(role, text)| {
                Utterance::new(Message {
                    role: *role,
                    content: vec![ContentBlock::Text(text.clone())],
                })
            })
            .collect();
        messages.extend(again);
        let messages = alternating(&messages);
        let system = filled.system.trim();
        self.show(
            at,
            |run| {
                let text = match prompt_type {
                    PromptType::KnowledgeBaseResponseGeneration => plain(system, &messages),
                    _ => trace::prompt_text(system, &messages),
                };
                let id = run.trace_id_of(&suffix);
                trace::steps::step_input(&plan.definition, prompt_type, &step.prompt, text, id)
            },
            effects,
        );
        let request = ModelRequest {
            model: self.step_model().to_owned(),
            system: Arc::from(system),
            messages: messages
                .iter()
                .map(|utterance| Arc::clone(utterance.message()))
                .collect(),
            inference: plan::inference(&step.prompt.inference),
            additional_fields: step.prompt.additional_fields.clone(),
            delivery: Delivery::Whole,
            ..ModelRequest::default()
        };
        effects.push(Effect::CallModel(Box::new(ModelCall {
            request,
            live: None,
        })));
        true
    }

    /// The model of the step that is under way.
    pub(super) fn step_model(&self) -> &str {
        self.step
            .as_ref()
            .and_then(|step| self.plan.step(step.prompt_type))
            .and_then(|step| step.prompt.foundation_model.as_deref())
            .unwrap_or(&self.plan.definition.foundation_model)
    }

    pub(super) fn step_replied(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        effects: &mut Effects,
    ) {
        self.spend_tokens(reply);
        self.uuid.clone_from(&reply.invocation_id);
        let limit = self.budget().tokens;
        if self.spent.tokens > limit {
            return self.fail(
                at,
                Failure::budget("tokens", limit, "limits.tokens"),
                effects,
            );
        }
        let Some(prompt_type) = self.step.as_ref().map(|step| step.prompt_type) else {
            return;
        };
        let overridden = self
            .plan
            .step(prompt_type)
            .is_some_and(|step| step.prompt.parser_overridden);
        if overridden && self.call_parser(prompt_type, reply, effects) {
            return;
        }
        let text = text_of(&reply.message);
        let parsed = match prompt_type {
            PromptType::PreProcessing => {
                let read = steps::pre_processing(&text);
                Parsed::PreProcessing {
                    is_valid: read.is_valid,
                    rationale: read.rationale,
                }
            }
            PromptType::PostProcessing => Parsed::PostProcessing {
                text: steps::post_processing(&text),
                parts: Vec::new(),
            },
            PromptType::RoutingClassifier => {
                let collaborators = self.plan.collaborators().iter();
                let names: Vec<&str> = collaborators.map(|one| one.name.as_str()).collect();
                Parsed::Routing(ParsedRoute::Decided {
                    route: steps::routing(&text, &names),
                    text: None,
                })
            }
            _ => Parsed::KnowledgeBaseResponse(steps::knowledge_base_response(&text)),
        };
        self.step_parsed(at, reply, parsed, effects);
    }

    /// A step's reply, read.
    pub(super) fn step_parsed(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        parsed: Parsed,
        effects: &mut Effects,
    ) {
        let Some(mut step) = self.step.take() else {
            return;
        };
        match parsed {
            Parsed::PreProcessing {
                is_valid,
                rationale,
            } => {
                self.show(
                    at,
                    |run| {
                        let id = run.trace_id_of(&step.suffix);
                        trace::steps::pre_processed(reply, at, is_valid, rationale, id)
                    },
                    effects,
                );
                if is_valid {
                    return self.route(at, effects);
                }
                let category = steps::pre_processing(&text_of(&reply.message)).category;
                let refusal = steps::refusal(category);
                self.reject(at, reply, refusal, effects);
            }
            Parsed::PostProcessing { text, parts } => {
                self.show(
                    at,
                    |run| {
                        let id = run.trace_id_of(&step.suffix);
                        trace::steps::post_processed(reply, at, &text, id)
                    },
                    effects,
                );
                self.post_processed(at, text, &parts, effects);
            }
            Parsed::Routing(route) => {
                self.show(
                    at,
                    |run| trace::steps::routed(reply, at, run.trace_id_of(&step.suffix)),
                    effects,
                );
                match route {
                    ParsedRoute::Decided { route, text } => self.follow(at, route, text, effects),
                    ParsedRoute::Reprompt(text) => {
                        step.again
                            .push(Utterance::shared(Arc::clone(&reply.message)));
                        step.again.push(Utterance::new(user_text(text)));
                        self.ask_step(at, step, effects);
                    }
                }
            }
            Parsed::KnowledgeBaseResponse(parts) => {
                self.show(
                    at,
                    |run| {
                        let id = run.trace_id_of(&step.suffix);
                        let part =
                            trace::model_invocation_output(reply, CallSyntax::Native, at, id);
                        outcrop_model::runtime::Trace::OrchestrationTrace(part)
                    },
                    effects,
                );
                self.generated(at, step.slot, &parts, effects);
            }
            Parsed::Orchestration { .. } | Parsed::Memory(_) => {}
        }
    }

    /// Ends the turn on an input that pre-processing did not let in. AWS shows a post-processing pair
    /// that repeats the call where that step is on (behaviour.md 4.12).
    fn reject(
        &mut self,
        at: Timestamp,
        reply: &ModelReplied,
        refusal: &'static str,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        if let Some(step) = plan.step(PromptType::PostProcessing) {
            let id = || self.trace_id_of("post-0");
            self.show(
                at,
                |_| {
                    let definition = &plan.definition;
                    let text = String::new();
                    trace::steps::step_input(definition, step.prompt_type, &step.prompt, text, id())
                },
                effects,
            );
            self.show(
                at,
                |_| trace::steps::post_processed(reply, at, refusal, id()),
                effects,
            );
        }
        self.turn
            .push(Utterance::new(crate::converse::assistant_text(refusal)));
        self.answered = true;
        self.send(refusal.to_owned(), None, effects);
    }

    /// Where the classifier sends the request.
    fn follow(&mut self, at: Timestamp, route: Route, text: Option<String>, effects: &mut Effects) {
        let name = match route {
            Route::Agent(name) => Some(name),
            Route::LastAgent => self.before.last_collaborator.clone(),
            Route::Undecided => None,
        };
        let collaborator = name.and_then(|name| self.plan.collaborator(&name).cloned());
        match collaborator {
            Some(collaborator) => self.hand_over(at, collaborator, text, effects),
            None => self.enter_loop(at, effects),
        }
    }

    /// The texts that the placeholders of a step stand for.
    fn texts(&self, slot: Option<usize>) -> Texts {
        let Some(started) = &self.started else {
            return Texts::default();
        };
        let searched = slot.and_then(|slot| self.searched(slot));
        Texts {
            question: started.input_text.clone(),
            history: conversation::for_history(self.said()),
            // The classifier reads the request as the last message too, as on AWS.
            conversation: {
                let request = user_text(started.input_text.clone());
                conversation::for_routing(self.said().chain([&request]))
            },
            agents: listing::reachable_agents(self.plan.collaborators()),
            attributes: trace::prompt_attributes(&started.prompt_session_attributes),
            knowledge_bases: listing::knowledge_base_routing(self.plan.knowledge_bases()),
            actions: listing::action_routing(&self.plan.definition.action_groups),
            latest: self
                .closing
                .as_ref()
                .map(|closing| closing.text.clone())
                .unwrap_or_default(),
            responses: conversation::results(self.turn.iter().map(|one| one.message().as_ref())),
            query: searched
                .as_ref()
                .map(|(query, _)| query.clone())
                .unwrap_or_default(),
            results: searched.map(|(_, results)| results).unwrap_or_default(),
        }
    }

    fn step_values<'a>(&'a self, texts: &'a Texts) -> Values<'a> {
        let mut values = Values {
            instruction: &self.plan.definition.instruction,
            question: &texts.question,
            prompt_session_attributes: &texts.attributes,
            tools: &self.plan.tools_text,
            conversation_history: &texts.history,
            conversation: &texts.conversation,
            reachable_agents: &texts.agents,
            last_user_request: &texts.question,
            knowledge_base_routing: &texts.knowledge_bases,
            action_routing: &texts.actions,
            latest_response: &texts.latest,
            responses: &texts.responses,
            query: &texts.query,
            search_results: &texts.results,
            ..Values::default()
        };
        let mut situation = self.plan.situation();
        situation.has_last_agent = self.before.last_collaborator.is_some();
        situation.fill(&mut values);
        values
    }

    /// The messages of earlier turns.
    pub(super) fn said(&self) -> impl Iterator<Item = &Message> {
        self.before.history.iter().map(|one| one.message().as_ref())
    }

    /// What was searched for in a slot, and what was found, as the prompt shows it.
    fn searched(&self, slot: usize) -> Option<(String, String)> {
        let found = self.acting.as_ref()?.slots.get(slot)?;
        let (query, references, ids) = found.found()?;
        Some((
            query.to_owned(),
            citation::search_results_text(references, ids),
        ))
    }

    /// Counts the tokens of a reply.
    pub(super) fn spend_tokens(&mut self, reply: &ModelReplied) {
        self.spent.tokens += reply.usage.total();
    }
}

/// What the placeholders of a step stand for.
#[derive(Default)]
struct Texts {
    question: String,
    history: String,
    conversation: String,
    agents: String,
    actions: String,
    attributes: String,
    knowledge_bases: String,
    latest: String,
    responses: String,
    query: String,
    results: String,
}

/// A prompt without an envelope, as AWS traces that of response generation.
fn plain(system: &str, messages: &[Arc<Utterance>]) -> String {
    let texts = messages.iter().map(|utterance| {
        let text = text_of(utterance.message());
        match utterance.message().role {
            ConversationRole::Assistant => format!("Assistant: {text}"),
            _ => text,
        }
    });
    let system = (!system.is_empty()).then(|| system.to_owned());
    let texts: Vec<String> = system.into_iter().chain(texts).collect();
    texts.join("\n\n")
}

/// A generated answer as one text with its parts placed in it.
pub(super) fn placed(parts: &[GeneratedPart]) -> (String, Vec<crate::prompt::answer::AnswerPart>) {
    let text = citation::joined(parts);
    let places = citation::located(&text, parts);
    (text, places)
}
