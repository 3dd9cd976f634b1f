//! The agent's parser function in place of the default readers (behaviour.md 4.8).

use outcrop_model::control::PromptType;
use outcrop_model::timestamp::Timestamp;

use super::{Phase, Run};
use crate::action::lambda::EventAgent;
use crate::orchestration::effect::{Effect, Effects, PendingFunction};
use crate::orchestration::event::{ActionResult, FunctionReturned, ModelReplied};
use crate::orchestration::failure::{Evidence, Failure};
use crate::parser::{self, Parsed};
use crate::prompt::family::Family;

impl Run {
    /// Has the parser function read a reply; `false` where the agent has none.
    pub(super) fn call_parser(
        &mut self,
        prompt_type: PromptType,
        reply: &ModelReplied,
        effects: &mut Effects,
    ) -> bool {
        let (Some(function), Some(started)) = (&self.plan.definition.parser_lambda, &self.started)
        else {
            return false;
        };
        let model = match prompt_type {
            PromptType::Orchestration => self.plan.model(),
            _ => self.step_model(),
        };
        let raw = parser::raw_response(self.plan.syntax, Family::of(model), reply);
        let agent = EventAgent {
            alias: &started.agent.alias_id,
            id: &started.agent.agent_id,
            name: &started.agent.agent_name,
            version: &started.agent.version,
        };
        effects.push(Effect::CallParser(PendingFunction {
            function: function.clone(),
            event: parser::event(&agent, prompt_type, &raw),
            idempotency_key: format!("{}/{}/parser", started.run_id, self.spent.model_calls),
        }));
        self.parsing = Some(Box::new(reply.clone()));
        self.phase = Phase::Parsing;
        true
    }

    pub(super) fn parser_replied(
        &mut self,
        at: Timestamp,
        returned: &FunctionReturned,
        effects: &mut Effects,
    ) {
        let Some(reply) = self.parsing.take() else {
            return;
        };
        let prompt_type = self
            .step
            .as_ref()
            .map_or(PromptType::Orchestration, super::steps::Step::prompt_type);
        let function = self.plan.definition.parser_lambda.clone();
        let function = function.unwrap_or_default();
        let parsed = match read(&function, prompt_type, returned, self.plan.strictness) {
            Ok(parsed) => parsed,
            Err(failure) => return self.fail(at, failure, effects),
        };
        match parsed {
            Parsed::Orchestration { rationale, next } => {
                self.next_parsed(at, &reply, (rationale, next), effects);
            }
            other => self.step_parsed(at, &reply, other, effects),
        }
    }
}

/// What a function besides those of action groups gave back, as payload.
pub(super) fn payload<'a>(
    function: &str,
    returned: &'a FunctionReturned,
) -> Result<(&'a str, Evidence<'a>), Failure> {
    match &returned.result {
        ActionResult::Error(error) => Err(Failure::action(function, error)),
        ActionResult::Replied {
            payload,
            function_error,
            log_tail,
            request_id,
        } => {
            let evidence = Evidence {
                log_tail: log_tail.as_deref(),
                request_id: request_id.as_deref(),
            };
            match function_error {
                Some(error) => Err(Failure::unhandled(function, error, payload, evidence)),
                None => Ok((payload, evidence)),
            }
        }
    }
}

fn read(
    function: &str,
    prompt_type: PromptType,
    returned: &FunctionReturned,
    strictness: crate::action::Strictness,
) -> Result<Parsed, Failure> {
    let (payload, evidence) = payload(function, returned)?;
    parser::read(payload.as_bytes(), prompt_type, strictness)
        .map_err(|fault| Failure::reply(function, &fault, evidence))
}
