//! Searches in knowledge bases: those that the model asks for, the one that stands in place of the
//! loop, and the one that is made before the model is asked (behaviour.md 9.10).

use outcrop_model::control::PromptType;
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, ToolResultStatus, ToolUseBlock,
};
use outcrop_model::runtime::{RetrievedReference, Trace};
use outcrop_model::timestamp::Timestamp;
use serde_json::json;

use super::closing::spoken;
use super::steps::placed;
use super::{Phase, Run};
use crate::citation::{self, GeneratedPart};
use crate::converse::tool_uses;
use crate::definition::KnowledgeBaseDefinition;
use crate::history::Utterance;
use crate::orchestration::acting::{CallSlot, Delegate, Observed, ObservedCall, SlotState};
use crate::orchestration::effect::{Effect, Effects, PendingRetrieval};
use crate::orchestration::event::Retrieved;
use crate::orchestration::failure::Failure;
use crate::orchestrator;
use crate::plan;
use crate::trace;

impl Run {
    /// Asks for the searches of a step; gives their number.
    pub(super) fn begin_searches(&mut self, effects: &mut Effects) -> u32 {
        let configurations = self
            .started
            .as_ref()
            .map_or(&[][..], |started| &started.knowledge_bases);
        let mut begun = 0;
        for (index, slot) in self
            .acting
            .iter()
            .flat_map(|acting| &acting.slots)
            .enumerate()
        {
            let Some(Delegate::KnowledgeBase {
                id,
                query,
                configuration,
                ..
            }) = &slot.delegate
            else {
                continue;
            };
            if slot.state != SlotState::Running {
                continue;
            }
            begun += 1;
            let of_turn = configurations
                .iter()
                .find(|given| given.knowledge_base_id == *id)
                .and_then(|given| {
                    given
                        .retrieval_configuration
                        .vector_search_configuration
                        .clone()
                });
            effects.push(Effect::Retrieve(Box::new(PendingRetrieval {
                index,
                knowledge_base_id: id.clone(),
                query: query.clone(),
                configuration: of_turn.or_else(|| configuration.clone()),
            })));
        }
        begun
    }

    /// The agent's only knowledge base is searched for what the user said, before any model is asked.
    /// What is found is answered from in place of the loop, or shown to the loop's model as if it had
    /// asked for it: so it was recorded of Nova (trace-order.md).
    pub(super) fn search_first(
        &mut self,
        at: Timestamp,
        base: KnowledgeBaseDefinition,
        query: String,
        effects: &mut Effects,
    ) {
        self.direct = self.plan.answers_from_search();
        let tool_use_id = if self.direct {
            String::new()
        } else {
            let id = self.prefetch_id();
            let call = ToolUseBlock {
                input: json!({plan::SEARCH_QUERY: query}),
                name: plan::search_tool(&base.id),
                tool_use_id: id.clone(),
                type_: None,
            };
            self.turn.push(Utterance::new(Message {
                role: ConversationRole::Assistant,
                content: vec![ContentBlock::ToolUse(call)],
            }));
            id
        };
        let slot = CallSlot {
            tool_use_id,
            action: None,
            arguments: Vec::new(),
            delegate: Some(Delegate::KnowledgeBase {
                id: base.id,
                query,
                configuration: base.retrieval,
                shown: false,
            }),
            state: SlotState::Running,
            observed: None,
            found: None,
        };
        self.run_calls(at, vec![slot], "", effects);
    }

    /// The id of the call that no model made. The first of a conversation has the one that was
    /// recorded; the others are counted on, for some vendors refuse an id that comes twice.
    fn prefetch_id(&self) -> String {
        let earlier = self
            .earlier()
            .iter()
            .flat_map(|utterance| tool_uses(utterance.message()))
            .filter(|call| call.tool_use_id.starts_with(PREFETCH_ID))
            .count();
        format!("{PREFETCH_ID}{earlier:02}")
    }

    pub(super) fn retrieved(
        &mut self,
        at: Timestamp,
        retrieved: &Retrieved,
        effects: &mut Effects,
    ) {
        let generates = self.direct || self.generates_in_loop();
        // A search shows the id of the request it was made for (behaviour.md 6.2).
        let request_id = self.request().map(|request| request.request_id.clone());
        let request_id = request_id.unwrap_or_else(|| retrieved.client_request_id.clone());
        let is_orchestrated = self.is_orchestrated();
        let Some(slot) = self
            .acting
            .as_mut()
            .and_then(|acting| acting.slots.get_mut(retrieved.index))
            .filter(|slot| slot.state == SlotState::Running)
        else {
            return;
        };
        let references = match &retrieved.result {
            Ok(references) => references,
            Err(error) => {
                return self.fail_call(at, retrieved.index, Failure::retrieval(error), effects);
            }
        };
        let ids = self.shown.add(references);
        slot.state = SlotState::Done {
            text: if is_orchestrated {
                orchestrator::retrieval_text(references)
            } else {
                citation::tool_result_text(references, &ids)
            },
            image: None,
            status: ToolResultStatus::Success,
        };
        slot.observed = Some(Box::new(Observed {
            started_at: retrieved.started_at,
            ended_at: retrieved.ended_at,
            of: ObservedCall::Lookup {
                client_request_id: request_id,
                references: references.clone(),
            },
        }));
        if generates {
            slot.found = Some(Box::new((references.clone(), ids)));
        }
        self.advance(at, effects);
    }

    /// Has an answer generated from the next search results that wait for one; `false` where none do.
    pub(super) fn generate_next(&mut self, at: Timestamp, effects: &mut Effects) -> bool {
        let slots = self.acting.iter().flat_map(|acting| &acting.slots);
        let Some(index) = slots.clone().position(|slot| slot.found.is_some()) else {
            return false;
        };
        let suffix = if self.direct {
            "KB-null-0".to_owned()
        } else {
            format!("KB-{}-{index}", self.iteration)
        };
        self.generate(at, &suffix, index, effects)
    }

    /// An answer that was generated from search results.
    pub(super) fn generated(
        &mut self,
        at: Timestamp,
        slot: Option<usize>,
        parts: &[GeneratedPart],
        effects: &mut Effects,
    ) {
        if self.direct {
            let (text, places) = placed(parts);
            let text = if text.trim().is_empty() {
                NO_ANSWER.to_owned()
            } else {
                text
            };
            self.acting = None;
            self.turn.push(spoken(&text));
            self.iteration += 1;
            return self.close(at, text, &places, effects);
        }
        let found = slot.and_then(|slot| self.acting.as_mut()?.slots.get_mut(slot));
        if let Some(found) = found {
            found.found = None;
            if let SlotState::Done { text, .. } = &mut found.state {
                *text = citation::verbatim_text(parts);
            }
        }
        self.phase = Phase::Acting;
        self.advance(at, effects);
    }

    /// Whether answers are generated from the results of searches in the loop: only where the user has
    /// written the prompt for it (architecture, section 8).
    pub(super) fn generates_in_loop(&self) -> bool {
        !self.is_orchestrated()
            && self
                .plan
                .step(PromptType::KnowledgeBaseResponseGeneration)
                .is_some_and(|step| step.prompt.overridden)
    }

    /// The trace of a search that ended.
    pub(super) fn show_lookup(
        &self,
        at: Timestamp,
        times: (Timestamp, Timestamp),
        (client_request_id, references): (&str, &[RetrievedReference]),
        effects: &mut Effects,
    ) {
        self.show(
            at,
            |run| {
                let metadata = trace::metadata(client_request_id, times.0, times.1);
                let part = trace::steps::lookup_output(references, metadata, run.trace_id());
                Trace::OrchestrationTrace(part)
            },
            effects,
        );
    }
}

/// What an agent says that found nothing to answer from (behaviour.md 9.10).
const NO_ANSWER: &str = "Sorry, I don't have enough information to answer that.";
/// How the ids of calls that no model made begin, as recorded (behaviour.md 9.10).
const PREFETCH_ID: &str = "toolu_bdrk_01KBprefetchWithoutLLM";
