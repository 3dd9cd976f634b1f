//! `InvokeInlineAgent`: a turn of an agent that the request itself defines (behaviour.md 12.1).
//!
//! The request becomes a definition on the way that `PrepareAgent` takes, is kept under the hash of its
//! content so that any node can go on with the turn, and from there on the turn is one like any other.
//! Sessions belong to the account, and to the agent's name where there is one; each request of a session
//! may define the agent anew.

mod event;
mod shapes;
mod team;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use outcrop_engine::orchestration::AgentIdentity;
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, EventSource, HandleStream};
use outcrop_model::runtime::ops::InvokeInlineAgent;
use outcrop_model::runtime::{
    BedrockModelConfigurations, InlineAgentResponseStream, InvokeAgentRequest,
    InvokeInlineAgentRequest, InvokeInlineAgentResponse, SessionState,
};

use super::check_model;
use super::request::Invocation;
use super::resolve::Target;
use crate::control::{INLINE_AGENT, TEST_ALIAS};
use crate::{Service, scope};
use team::Team;

/// The version that functions are told.
const VERSION: &str = "DRAFT";

impl HandleStream<InvokeInlineAgent> for Service {
    async fn handle_stream(
        &self,
        cx: &CallContext,
        mut input: InvokeInlineAgentRequest,
    ) -> Result<
        (
            InvokeInlineAgentResponse,
            EventSource<InlineAgentResponseStream>,
        ),
        Exception,
    > {
        let session_id = input.session_id.clone();
        let team = Team::read(&mut input)?;
        let invocation = Invocation::read(invocation(input)).map_err(renamed)?;
        let target = self.define_team(cx, team).await?;
        let events = self.begin_turn(cx, &target, invocation).await;
        let events = events.map_err(renamed)?;
        let response = InvokeInlineAgentResponse {
            content_type: "application/json".to_owned(),
            session_id,
        };
        let events = events.map(|event| event.and_then(event::event));
        Ok((response, events.boxed()))
    }
}

impl Service {
    /// Makes the definitions of a request known, and gives what it invokes.
    async fn define_team(&self, cx: &CallContext, team: Team) -> Result<Target, Exception> {
        let shared = &self.runtime.0;
        let scope = scope(cx);
        let mut plans = BTreeMap::new();
        let mut invoked = None;
        for member in team.into_members() {
            let name = member.name.clone();
            let definition = self.define_given(cx, member.given(cx, &plans)?).await?;
            let plan = shared.adopt(&scope, definition).await?;
            check_model(shared, &plan)?;
            if let Some(name) = &name {
                plans.insert(name.clone(), plan.hash.clone());
            }
            invoked = Some((name, plan));
        }
        let (name, plan) = invoked.ok_or_else(|| Exception::internal("a team of nobody"))?;
        Ok(Target {
            identity: identity(name),
            plan: plan.hash.clone(),
        })
    }
}

/// Under which names an inline agent runs. An agent without a name goes by what stands for its id.
fn identity(name: Option<String>) -> AgentIdentity {
    AgentIdentity {
        agent_id: INLINE_AGENT.to_owned(),
        agent_name: name.unwrap_or_else(|| INLINE_AGENT.to_owned()),
        alias_id: TEST_ALIAS.to_owned(),
        version: VERSION.to_owned(),
    }
}

/// What remains of a request besides its definitions, which is what `InvokeAgent` takes too.
fn invocation(input: InvokeInlineAgentRequest) -> InvokeAgentRequest {
    let state = input.inline_session_state.map(|state| SessionState {
        conversation_history: state.conversation_history,
        files: state.files,
        invocation_id: state.invocation_id,
        prompt_session_attributes: state.prompt_session_attributes,
        return_control_invocation_results: state.return_control_invocation_results,
        session_attributes: state.session_attributes,
        ..SessionState::default()
    });
    let models = input
        .bedrock_model_configurations
        .map(|models| BedrockModelConfigurations {
            performance_config: models.performance_config,
        });
    InvokeAgentRequest {
        agent_alias_id: TEST_ALIAS.to_owned(),
        agent_id: INLINE_AGENT.to_owned(),
        bedrock_model_configurations: models,
        enable_trace: input.enable_trace,
        end_session: input.end_session,
        input_text: input.input_text,
        prompt_creation_configurations: input.prompt_creation_configurations,
        session_id: input.session_id,
        session_state: state,
        streaming_configurations: input.streaming_configurations,
        ..InvokeAgentRequest::default()
    }
}

/// A refusal in the words of `InvokeAgent`, whose `sessionState` has another name here.
fn renamed(exception: Exception) -> Exception {
    const THERE: &str = "sessionState.";
    const HERE: &str = "inlineSessionState.";
    if !exception.message().contains(THERE) {
        return exception;
    }
    let message = exception.message().replace(THERE, HERE);
    let fields = exception.fields().iter();
    fields.fold(
        Exception::new(exception.kind(), message),
        |renamed, field| {
            renamed.with_field(
                field.name.replace(THERE, HERE),
                field.message.replace(THERE, HERE),
            )
        },
    )
}
