//! Invoke: a call of a function, whatever runs it.
//!
//! Functions of the configuration and of deployments can be called like uploaded ones. Calls are
//! answered when the function has: there is no queue for calls nobody waits for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outcrop_engine::port::{ActionCall, ActionError};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    InvocationRequest, InvocationResponse, InvocationType, LogType, ops as op,
};
use serde::de::IgnoredAny;

use super::aliases::route;
use super::reference::{Reference, is_number};
use super::{LATEST, Qualified, documents::FunctionDoc, invalid, no_function, rules};
use crate::Service;

/// Lambda's limit of what a synchronous call carries, in bytes.
const PAYLOAD_BYTES_MAX: usize = 6 << 20;
/// Lambda's limit of a client context, in bytes before Base64.
const CONTEXT_BYTES_MAX: usize = 3_583;
/// The status of a call that was answered, also with a function's error.
const ANSWERED: i32 = 200;
/// The status of a call that would have been made.
const WOULD_CALL: i32 = 204;

impl Handle<op::Invoke> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: InvocationRequest,
    ) -> Result<InvocationResponse, Exception> {
        rules::refuse_unsupported(&[
            (
                "DurableExecutionName",
                input.durable_execution_name.is_some(),
            ),
            ("TenantId", input.tenant_id.is_some()),
        ])?;
        let kind = input
            .invocation_type
            .unwrap_or(InvocationType::RequestResponse);
        if kind == InvocationType::Event {
            return Err(invalid(
                "InvocationType: Event is not supported by Outcrop, which answers every call when the \
                 function has; use RequestResponse.",
            ));
        }
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        let event = event(input.payload.map(|payload| payload.0))?;
        let client_context = input.client_context.as_deref().map(client_context);
        let client_context = client_context.transpose()?;
        let (target, version) = self.target(cx, &reference).await?;
        if kind == InvocationType::DryRun {
            return Ok(InvocationResponse {
                status_code: Some(WOULD_CALL),
                ..InvocationResponse::default()
            });
        }
        let call = ActionCall {
            function: target,
            event,
            idempotency_key: cx.request_id.clone(),
            client_context,
            request_id: cx.request_id.clone(),
            action: None,
        };
        let reply = self.ports.actions.invoke(call).await;
        let reply = reply.map_err(|error| refused(&reference, &error))?;
        let tail = reply
            .log_tail
            .filter(|_| input.log_type == Some(LogType::Tail));
        Ok(InvocationResponse {
            status_code: Some(ANSWERED),
            function_error: reply.function_error,
            log_result: tail.map(|tail| STANDARD.encode(tail)),
            payload: Some(reply.payload.into()),
            executed_version: Some(version),
            ..InvocationResponse::default()
        })
    }
}

impl Service {
    /// What to call for a reference, and the version that will run. Functions that were not uploaded
    /// are left to the executor, which knows them.
    async fn target(
        &self,
        cx: &CallContext,
        reference: &Reference,
    ) -> Result<(String, String), Exception> {
        let Some(function) = self.find_lambda_function(cx, reference).await? else {
            let version = reference
                .qualifier
                .as_deref()
                .filter(|text| is_number(text));
            return Ok((reference.arn(), version.unwrap_or(LATEST).to_owned()));
        };
        check_reserved(&function.body)?;
        match self.qualified(cx, reference).await? {
            Qualified::Latest => Ok((reference.arn(), LATEST.to_owned())),
            Qualified::Version(version) => {
                let number = version.body.configuration.version.unwrap_or_default();
                Ok((reference.arn(), number))
            }
            Qualified::Alias(alias, _) => {
                let number = route(&alias.body, self.ports.ids.fraction());
                let number = number.unwrap_or(LATEST).to_owned();
                let arn = if alias.body.routing_config.is_some() {
                    // Named by its number, so that what runs is what the answer says.
                    reference.with_qualifier(&number).arn()
                } else {
                    reference.arn()
                };
                Ok((arn, number))
            }
        }
    }
}

/// Refuses calls of a function that is reserved to none.
fn check_reserved(function: &FunctionDoc) -> Result<(), Exception> {
    if function.concurrency == Some(0) {
        return Err(Exception::new(
            ExceptionKind::Throttling,
            "Rate Exceeded. The function's reserved concurrency is 0.",
        ));
    }
    Ok(())
}

/// The event: JSON, and an empty object where there is none.
fn event(payload: Option<Bytes>) -> Result<Bytes, Exception> {
    let Some(payload) = payload.filter(|payload| !payload.is_empty()) else {
        return Ok(Bytes::from_static(b"{}"));
    };
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Exception::new(
            ExceptionKind::RequestTooLarge,
            format!(
                "Request must be smaller than {PAYLOAD_BYTES_MAX} bytes for the InvokeFunction operation"
            ),
        ));
    }
    match serde_json::from_slice::<IgnoredAny>(&payload) {
        Ok(_) => Ok(payload),
        Err(error) => Err(Exception::new(
            ExceptionKind::InvalidRequestContent,
            format!("Could not parse request body into json: {error}"),
        )),
    }
}

/// The client context as JSON text.
fn client_context(base64: &str) -> Result<String, Exception> {
    let refuse = |detail: String| {
        Exception::new(
            ExceptionKind::InvalidRequestContent,
            format!("Client context must be a valid Base64-encoded JSON object: {detail}"),
        )
    };
    let bytes = STANDARD
        .decode(base64)
        .map_err(|error| refuse(error.to_string()))?;
    if bytes.len() > CONTEXT_BYTES_MAX {
        return Err(refuse(format!(
            "it has more than {CONTEXT_BYTES_MAX} bytes"
        )));
    }
    let context: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    Ok(serde_json::Value::Object(context).to_string())
}

fn refused(reference: &Reference, error: &ActionError) -> Exception {
    match error {
        ActionError::NotFound { .. } => {
            no_function(&reference.arn()).with_internal(error.to_string())
        }
        ActionError::AccessDenied { .. } => {
            Exception::new(ExceptionKind::AccessDenied, error.to_string())
        }
        ActionError::Failed { .. } | ActionError::RespondToModel(_) => {
            Exception::new(ExceptionKind::InternalServer, error.to_string())
        }
    }
}
