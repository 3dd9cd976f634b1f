//! One effect of a turn, performed once, as the fact to journal.

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::orchestration::{
    ActionResult, ActionReturned, CodeExecuted, EventKind, FunctionReturned, PendingAction,
    PendingCode, PendingFunction, PendingRetrieval, Retrieved,
};
use outcrop_engine::port::{ActionCall, CodeCall, RetrieveCall};
use outcrop_model::arn::AgentArn;

use crate::knowledge;
use crate::lambda::grants;
use crate::ports::Ports;

/// Invokes an action once and gives the event to journal. `caller` is given where the function's policy
/// must let it call.
pub(super) async fn call_action(
    ports: Arc<Ports>,
    pending: PendingAction,
    caller: Option<AgentArn>,
) -> EventKind {
    let client_request_id = ports.ids.uuid();
    let started_at = ports.clock.now();
    let index = pending.index;
    let call = ActionCall {
        function: pending.function,
        event: pending.event.into(),
        idempotency_key: pending.idempotency_key,
        client_context: None,
        request_id: client_request_id.clone(),
        action: Some(pending.action),
    };
    let result = invoke(&ports, call, caller).await;
    EventKind::ActionReturned(Box::new(ActionReturned {
        index,
        client_request_id,
        started_at,
        ended_at: ports.clock.now(),
        result,
    }))
}

/// Runs code once and gives the event to journal.
pub(super) async fn execute_code(
    ports: Arc<Ports>,
    pending: PendingCode,
    session: String,
    idle_ttl: Duration,
) -> EventKind {
    let started_at = ports.clock.now();
    let call = CodeCall {
        session,
        idle_ttl,
        code: pending.code,
        files: pending.files.iter().map(|file| file.code_file()).collect(),
    };
    let result = ports.code.execute(call).await;
    EventKind::CodeExecuted(Box::new(CodeExecuted {
        index: pending.index,
        started_at,
        ended_at: ports.clock.now(),
        result,
    }))
}

/// Calls a parser or an orchestrator once and gives what came back.
pub(super) async fn call_function(
    ports: Arc<Ports>,
    pending: PendingFunction,
    caller: Option<AgentArn>,
) -> Box<FunctionReturned> {
    let started_at = ports.clock.now();
    let call = ActionCall {
        function: pending.function,
        event: pending.event.into(),
        idempotency_key: pending.idempotency_key,
        client_context: None,
        request_id: ports.ids.uuid(),
        action: None,
    };
    let result = invoke(&ports, call, caller).await;
    Box::new(FunctionReturned {
        started_at,
        ended_at: ports.clock.now(),
        invocation_id: ports.ids.uuid(),
        result,
    })
}

/// Searches a knowledge base of this account and region.
pub(super) async fn retrieve(
    ports: Arc<Ports>,
    pending: PendingRetrieval,
    (account_id, region): (String, String),
) -> EventKind {
    let client_request_id = ports.ids.uuid();
    let started_at = ports.clock.now();
    let call = RetrieveCall {
        account_id,
        region,
        knowledge_base_id: pending.knowledge_base_id,
        query: pending.query,
        configuration: pending.configuration,
    };
    let result = knowledge::retrieve::for_turn(&ports, call).await;
    EventKind::Retrieved(Box::new(Retrieved {
        index: pending.index,
        client_request_id,
        started_at,
        ended_at: ports.clock.now(),
        result,
    }))
}

/// Invokes a function, unless its policy keeps `caller` from it.
async fn invoke(ports: &Ports, call: ActionCall, caller: Option<AgentArn>) -> ActionResult {
    if let Some(agent) = &caller
        && let Some(error) = grants::refusal(ports, agent, &call.function).await
    {
        return ActionResult::Error(error);
    }
    match ports.actions.invoke(call).await {
        Ok(reply) => ActionResult::Replied {
            payload: String::from_utf8_lossy(&reply.payload).into_owned(),
            function_error: reply.function_error,
            log_tail: reply.log_tail,
            request_id: reply.request_id,
        },
        Err(error) => ActionResult::Error(error),
    }
}
