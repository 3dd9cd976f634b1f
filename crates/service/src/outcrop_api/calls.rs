//! One call of a function outside any turn: the event that a turn would send, and what a turn would
//! say to the reply.
//!
//! With an agent, the action, its argument types and the names in the event are those of the agent as
//! an alias serves it. Without one, an action is made up from what is asked for. The call itself goes
//! where a turn's would: to the same executor, with the same limits. No session is touched.

mod synthetic;

use std::sync::Arc;

use outcrop_engine::action::arguments::{self, Argument};
use outcrop_engine::action::call::CalledAction;
use outcrop_engine::action::lambda::{self, Attributes, EventAgent, EventInput};
use outcrop_engine::action::{Action, ActionTarget};
use outcrop_engine::definition::Executor;
use outcrop_engine::orchestration::{AgentIdentity, Evidence, Failure};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Service, scope};

/// The alias of the working draft.
const TEST_ALIAS: &str = "TSTALIASID";
/// What the event says of a session that is none.
const SESSION_ID: &str = "function-invoke";

/// What is to be called, and with what.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FunctionCall {
    /// Id or name of the agent whose action group it is; `None`: a made-up one.
    pub agent: Option<String>,
    /// Id or name of the alias; `None`: the draft's.
    pub alias: Option<String>,
    /// `actionGroupName`, where the action's name alone does not tell.
    pub action_group: Option<String>,
    /// A function's name, an `operationId`, or `POST /path`.
    pub action: Option<String>,
    /// Arguments: text as a model would give it, or JSON values.
    pub arguments: Map<String, Value>,
    /// `sessionAttributes` of the event.
    pub session_attributes: Attributes,
    /// `promptSessionAttributes` of the event.
    pub prompt_session_attributes: Attributes,
    /// `inputText` of the event.
    pub input_text: String,
    /// An event to send as it is, in place of one that is made.
    pub event: Option<Value>,
    /// Makes the event and calls nobody.
    pub only_event: bool,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionOutcome {
    /// The event as it was sent, JSON text with its members in AWS's order.
    pub event: String,
    /// `None` where only the event was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<FunctionReply>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionReply {
    /// The payload, as text.
    pub payload: String,
    /// Lambda's `X-Amz-Function-Error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_error: Option<String>,
    /// The last 4 KB of what the handler logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
    /// From the call to its reply.
    pub duration_ms: f64,
    /// What a turn would make of it.
    pub verdict: Verdict,
}

/// What a turn would make of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Verdict {
    /// It keeps the contract.
    #[serde(rename_all = "camelCase")]
    Accepted {
        /// What the model would be given.
        text: String,
        /// Whether the handler asks the model to correct itself (`REPROMPT`).
        reprompt: bool,
        /// Whether the handler reports an HTTP status from 400 to 499.
        client_error: bool,
    },
    /// It breaks the contract, or the call failed: the turn would end.
    Refused {
        /// AWS's sentence.
        message: String,
        /// What exactly is wrong.
        detail: Option<String>,
    },
    /// The event is no call of an action group, for which there is no contract to check.
    Unchecked,
}

/// An event and the call that it makes, where it makes one.
struct Prepared {
    event: Vec<u8>,
    action: Option<CalledAction>,
}

impl Service {
    /// Calls a function once, as a turn would.
    ///
    /// # Errors
    /// `ResourceNotFoundException` and `ValidationException` where agent, action or arguments make no
    /// sense, or nobody knows the function. A function that fails is no error.
    pub async fn call_function(
        &self,
        cx: &CallContext,
        function: &str,
        call: &FunctionCall,
    ) -> Result<FunctionOutcome, Exception> {
        let prepared = self.prepare_call(cx, function, call).await?;
        let event = String::from_utf8_lossy(&prepared.event).into_owned();
        if call.only_event {
            return Ok(FunctionOutcome { event, reply: None });
        }
        let reply = self.invoke_once(cx, function, prepared).await?;
        Ok(FunctionOutcome {
            event,
            reply: Some(reply),
        })
    }

    async fn prepare_call(
        &self,
        cx: &CallContext,
        function: &str,
        call: &FunctionCall,
    ) -> Result<Prepared, Exception> {
        if let Some(event) = &call.event {
            return Ok(Prepared {
                event: event.to_string().into_bytes(),
                action: called(event),
            });
        }
        let wanted = call.action.as_deref().ok_or_else(|| {
            Exception::validation("action: the action to call is to be named, or an event given")
        })?;
        let (identity, action) = match &call.agent {
            Some(agent) => {
                let alias = call.alias.as_deref().unwrap_or(TEST_ALIAS);
                let target = self.resolve(cx, agent, alias).await?;
                let plan = self.runtime.plan(&scope(cx), &target.plan).await?;
                let action = find(&plan, function, wanted, call.action_group.as_deref())?;
                (target.identity, (*action).clone())
            }
            None => (
                synthetic::identity(),
                synthetic::action(function, wanted, call),
            ),
        };
        let bound = arguments::bind(&action, &Value::Object(call.arguments.clone()))
            .map_err(Exception::validation)?;
        Ok(Prepared {
            event: event(&identity, &action, &bound, call),
            action: Some(CalledAction::new(&action, &bound)),
        })
    }

    async fn invoke_once(
        &self,
        cx: &CallContext,
        function: &str,
        prepared: Prepared,
    ) -> Result<FunctionReply, Exception> {
        let id = self.ports.ids.uuid();
        let begun = self.now();
        let invoked = self.ports.actions.invoke(ActionCall {
            function: reference(cx, function),
            event: prepared.event.into(),
            idempotency_key: format!("{SESSION_ID}/{id}"),
            client_context: None,
            request_id: id,
            action: prepared.action.clone().map(Arc::new),
        });
        let invoked = invoked.await;
        let duration_ms = self.now().saturating_since(begun).as_secs_f64() * 1e3;
        let reply = match invoked {
            Ok(reply) => reply,
            Err(error @ ActionError::NotFound { .. }) => {
                return Err(Exception::not_found(error.to_string()));
            }
            Err(error) => {
                return Ok(FunctionReply {
                    payload: String::new(),
                    function_error: None,
                    log_tail: None,
                    duration_ms,
                    verdict: not_invoked(function, error),
                });
            }
        };
        Ok(FunctionReply {
            verdict: self.verdict(function, prepared.action.as_ref(), &reply),
            payload: String::from_utf8_lossy(&reply.payload).into_owned(),
            function_error: reply.function_error,
            log_tail: reply.log_tail,
            duration_ms,
        })
    }

    fn verdict(
        &self,
        function: &str,
        action: Option<&CalledAction>,
        reply: &ActionReply,
    ) -> Verdict {
        let payload = String::from_utf8_lossy(&reply.payload);
        if let Some(error) = &reply.function_error {
            // The log tail is told beside the verdict.
            return refused(Failure::unhandled(
                function,
                error,
                &payload,
                Evidence::default(),
            ));
        }
        let Some(action) = action else {
            return Verdict::Unchecked;
        };
        let (group, target) = (&action.action_group, &action.target);
        match lambda::read_reply(&reply.payload, group, target, self.settings.strictness) {
            Ok(reply) => Verdict::Accepted {
                text: reply.text,
                reprompt: reply.reprompt,
                client_error: reply.client_error,
            },
            Err(fault) => Verdict::Refused {
                message: fault.message,
                detail: fault.detail,
            },
        }
    }
}

fn not_invoked(function: &str, error: ActionError) -> Verdict {
    match error {
        ActionError::RespondToModel(text) => Verdict::Accepted {
            text,
            reprompt: false,
            client_error: true,
        },
        error => refused(Failure::action(function, &error)),
    }
}

fn refused(failure: Failure) -> Verdict {
    Verdict::Refused {
        message: failure.message,
        detail: None,
    }
}

/// A bare name is one of the caller's account and region.
fn reference(cx: &CallContext, function: &str) -> String {
    if function.contains(':') {
        return function.to_owned();
    }
    format!(
        "arn:aws:lambda:{}:{}:function:{function}",
        cx.region, cx.account_id
    )
}

fn event(
    agent: &AgentIdentity,
    action: &Action,
    arguments: &[Argument],
    call: &FunctionCall,
) -> Vec<u8> {
    lambda::event(&EventInput {
        agent: EventAgent {
            alias: &agent.alias_id,
            id: &agent.agent_id,
            name: &agent.agent_name,
            version: &agent.version,
        },
        session_id: SESSION_ID,
        input_text: &call.input_text,
        action_group: &action.action_group,
        target: &action.target,
        arguments,
        typed_arguments: action.typed_arguments,
        session_attributes: &call.session_attributes,
        prompt_session_attributes: &call.prompt_session_attributes,
    })
}

/// What an event asks for that somebody wrote; its arguments stay in it.
fn called(event: &Value) -> Option<CalledAction> {
    let action_group = event["actionGroup"].as_str()?.to_owned();
    let target = match (event["function"].as_str(), event["apiPath"].as_str()) {
        (Some(name), _) => ActionTarget::Function {
            name: name.to_owned(),
        },
        (None, Some(path)) => ActionTarget::Api {
            path: path.to_owned(),
            method: event["httpMethod"].as_str()?.to_owned(),
            body_media_type: None,
        },
        (None, None) => return None,
    };
    Some(CalledAction {
        action_group,
        target,
        operation: None,
        arguments: Vec::new(),
    })
}

/// The one action of the agent that is meant. Where several groups have it, those that the function
/// runs come first.
fn find(
    plan: &AgentPlan,
    function: &str,
    wanted: &str,
    group: Option<&str>,
) -> Result<Arc<Action>, Exception> {
    let all: Vec<&Arc<Action>> = plan
        .tool_names()
        .into_iter()
        .filter_map(|name| plan.action(&name))
        .filter(|action| group.is_none_or(|group| action.action_group == group))
        .collect();
    let mut named = all.clone();
    named.retain(|action| is_called(action, wanted));
    if named.len() > 1 {
        let here: Vec<&Arc<Action>> = named
            .iter()
            .copied()
            .filter(|action| runs_in(action, function))
            .collect();
        if !here.is_empty() {
            named = here;
        }
    }
    match named.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => {
            let known: Vec<String> = all.into_iter().map(|action| label(action)).collect();
            Err(Exception::validation(format!(
                "There is no action {wanted}. The actions are: {}.",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            )))
        }
        several => {
            let groups: Vec<&str> = several
                .iter()
                .map(|action| action.action_group.as_str())
                .collect();
            Err(Exception::validation(format!(
                "Several action groups have an action {wanted}: {}. Name the one that is meant.",
                groups.join(", ")
            )))
        }
    }
}

/// Whether an action is called so: its function's name, its `operationId`, `METHOD /path`, or the
/// tool's own name.
fn is_called(action: &Action, wanted: &str) -> bool {
    if action.tool_name == wanted {
        return true;
    }
    match &action.target {
        ActionTarget::Function { name } => name == wanted,
        ActionTarget::Api { path, method, .. } => {
            let by_path = wanted
                .split_once(' ')
                .is_some_and(|(verb, at)| verb.eq_ignore_ascii_case(method) && at.trim() == path);
            let id = action.operation.as_ref().map(|operation| &operation.id);
            by_path || id.is_some_and(|id| id == wanted)
        }
    }
}

fn runs_in(action: &Action, function: &str) -> bool {
    match &action.executor {
        Executor::Lambda(executor) => {
            executor == function || executor.split(':').any(|part| part == function)
        }
        Executor::ReturnControl | Executor::CodeInterpreter => false,
    }
}

fn label(action: &Action) -> String {
    match &action.target {
        ActionTarget::Function { name } => format!("{name} of {}", action.action_group),
        ActionTarget::Api { path, method, .. } => {
            format!("{method} {path} of {}", action.action_group)
        }
    }
}
