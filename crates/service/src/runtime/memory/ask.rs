//! The model call of a summary: the `MEMORY_SUMMARIZATION` prompt, filled, asked and read, by the
//! agent's parser function where it has one for it (behaviour.md 4.4, 4.9, 8.2).
//!
//! No trace tells of it, and no budget of a turn covers it. Where calls of a model have to queue, all
//! summaries together are one caller among the sessions. Nothing here is tried again but what any
//! model call tries again by itself; whether and when the whole is, [`super::summarise`] decides.

use std::sync::Arc;

use outcrop_engine::action::Strictness;
use outcrop_engine::action::lambda::EventAgent;
use outcrop_engine::converse::text_of;
use outcrop_engine::definition::PromptDefinition;
use outcrop_engine::orchestration::{
    ActionResult, EventKind, ModelCall, ModelReplied, PendingFunction,
};
use outcrop_engine::parser::{self, Parsed};
use outcrop_engine::plan::{self, AgentPlan};
use outcrop_engine::port::ModelRequest;
use outcrop_engine::prompt::conversation;
use outcrop_engine::prompt::family::Family;
use outcrop_engine::prompt::steps::{self, TopicSummary};
use outcrop_engine::prompt::syntax::CallSyntax;
use outcrop_engine::prompt::template::{Template, Values};
use outcrop_model::arn::AgentArn;
use outcrop_model::control::PromptType;
use outcrop_model::converse::{ContentBlock, Message};

use super::job::{QUEUE, Task};
use super::told::Told;
use crate::runtime::{Shared, model_call, perform};

/// The prompt that is asked here.
const PROMPT: PromptType = PromptType::MemorySummarization;

/// Asks for the summary of a conversation; `past` are earlier summaries of the same memory, oldest
/// first.
///
/// # Errors
/// Why there is none, in words for the log.
pub(super) async fn summary(
    shared: &Arc<Shared>,
    plan: &AgentPlan,
    task: &Task,
    told: &Told,
    past: &[String],
) -> Result<String, String> {
    let mut steps = plan.definition.steps.iter();
    let step = steps.find(|step| step.prompt_type == PROMPT);
    let prompt = &step.ok_or("the MEMORY_SUMMARIZATION prompt is off")?.prompt;
    let model = prompt.foundation_model.as_deref();
    let model = model.unwrap_or(&plan.definition.foundation_model);
    let request = request(plan, prompt, model, told, past)?;
    let reply = ask(shared, request).await?;
    let topics = if prompt.parser_overridden {
        parsed(
            shared,
            plan,
            task,
            told,
            parser::raw_response(CallSyntax::Native, Family::of(model), &reply),
        )
        .await?
    } else {
        steps::memory(&text_of(&reply.message))
    };
    let text = steps::summary_text(&topics);
    if text.trim().is_empty() {
        return Err("the model gave no summary".to_owned());
    }
    Ok(text)
}

fn request(
    plan: &AgentPlan,
    prompt: &PromptDefinition,
    model: &str,
    told: &Told,
    past: &[String],
) -> Result<ModelRequest, String> {
    let template = Template::parse(&prompt.template).map_err(|cause| cause.to_string())?;
    let messages = told.messages.iter().map(|said| said.message().as_ref());
    let filled = template.fill(&Values {
        conversation: &conversation::for_memory(messages),
        past_conversation_summary: &past.join("\n\n"),
        instruction: &plan.definition.instruction,
        ..Values::default()
    });
    filled.check().map_err(|cause| cause.to_string())?;
    let messages = filled.before.into_iter().chain(filled.after);
    Ok(ModelRequest {
        model: model.to_owned(),
        system: filled.system.into(),
        messages: messages
            .map(|(role, text)| {
                let content = vec![ContentBlock::Text(text)];
                Arc::new(Message { role, content })
            })
            .collect(),
        inference: plan::inference(&prompt.inference),
        additional_fields: prompt.additional_fields.clone(),
        caller: Some(QUEUE.into()),
        ..ModelRequest::default()
    })
}

/// One model call with the retries of every other; nobody reads along.
async fn ask(shared: &Shared, request: ModelRequest) -> Result<ModelReplied, String> {
    let call = ModelCall {
        request,
        live: None,
    };
    match model_call::call(Arc::clone(&shared.ports), call, None).await {
        EventKind::ModelReplied(reply) => Ok(*reply),
        EventKind::ModelFailed(error) => Err(error.to_string()),
        _ => Err("a model call led to another fact than its reply".to_owned()),
    }
}

/// What the agent's parser function makes of the reply.
async fn parsed(
    shared: &Shared,
    plan: &AgentPlan,
    task: &Task,
    told: &Told,
    raw_response: String,
) -> Result<Vec<TopicSummary>, String> {
    let function = plan.definition.parser_lambda.clone();
    let function = function.ok_or("the agent has no overrideLambda")?;
    let agent = told.agent.as_ref().ok_or("the conversation has no turn")?;
    let event_agent = EventAgent {
        alias: &agent.alias_id,
        id: &agent.agent_id,
        name: &agent.agent_name,
        version: &agent.version,
    };
    let pending = PendingFunction {
        function: function.clone(),
        event: parser::event(&event_agent, PROMPT, &raw_response),
        idempotency_key: format!("{}/{}", task.id(), told.seq),
    };
    let caller = match (shared.settings.strictness, task.scope.split_once('/')) {
        (Strictness::Strict, Some((account_id, region))) => {
            Some(AgentArn::new(region, account_id, &agent.agent_id))
        }
        _ => None,
    };
    let returned = perform::call_function(Arc::clone(&shared.ports), pending, caller).await;
    let payload = match returned.result {
        ActionResult::Replied {
            payload,
            function_error: None,
            ..
        } => payload,
        ActionResult::Replied { payload, .. } => {
            return Err(format!("the parser function {function} failed: {payload}"));
        }
        ActionResult::Error(error) => return Err(error.to_string()),
    };
    match parser::read(payload.as_bytes(), PROMPT, shared.settings.strictness) {
        Ok(Parsed::Memory(topics)) => Ok(topics),
        Ok(_) => Err(format!(
            "the parser function {function} read another prompt type"
        )),
        Err(fault) => Err(format!(
            "the parser function {function}: {}",
            fault.detail.unwrap_or(fault.message)
        )),
    }
}
