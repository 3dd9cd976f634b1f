//! Resource policies: who may call a function, kept as the JSON that AWS shows.
//!
//! A function has one policy, and each of its versions and aliases another.

use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse,
    RemovePermissionRequest, ops as op,
};
use serde_json::{Map, Value, json};

use super::documents::PolicyDoc;
use super::functions::line;
use super::reference::Reference;
use super::{LATEST, check_revision, invalid, rules};
use crate::control::Refused;
use crate::{Service, scope};

/// Lambda's limit of a policy's text, in bytes.
const POLICY_BYTES_MAX: usize = 20 * 1024;

impl Handle<op::AddPermission> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: AddPermissionRequest,
    ) -> Result<AddPermissionResponse, Exception> {
        rules::refuse_unsupported(&[
            (
                "FunctionUrlAuthType",
                input.function_url_auth_type.is_some(),
            ),
            (
                "InvokedViaFunctionUrl",
                input.invoked_via_function_url.is_some(),
            ),
        ])?;
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        if reference.qualifier.as_deref() == Some(LATEST) {
            return Err(invalid(
                "We currently do not support adding policies for $LATEST.",
            ));
        }
        let statement = statement(&reference, &input);
        let attempt = || self.permit(cx, &reference, &input, &statement);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::RemovePermission> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: RemovePermissionRequest,
    ) -> Result<(), Exception> {
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        let attempt = || self.forbid(cx, &reference, &input);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::GetPolicy> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetPolicyRequest,
    ) -> Result<GetPolicyResponse, Exception> {
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        let function = self.lambda_function(cx, &reference).await?;
        self.qualified(cx, &reference).await?;
        let policy = function.body.policies.get(policy_of(&reference));
        let policy = policy.ok_or_else(no_policy)?;
        Ok(GetPolicyResponse {
            policy: Some(text(policy)),
            revision_id: Some(policy.revision_id.clone()),
        })
    }
}

impl Service {
    async fn permit(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &AddPermissionRequest,
        statement: &Value,
    ) -> Result<AddPermissionResponse, Refused> {
        let mut function = self.lambda_function(cx, reference).await?;
        self.qualified(cx, reference).await?;
        let policy = function
            .body
            .policies
            .entry(policy_of(reference).to_owned())
            .or_default();
        let revision = Some(policy.revision_id.as_str()).filter(|id| !id.is_empty());
        check_revision(input.revision_id.as_deref(), revision, "GetPolicy")?;
        if policy
            .statements
            .iter()
            .any(|other| sid(other) == Some(&input.statement_id))
        {
            return Err(Exception::conflict(format!(
                "The statement id ({}) provided already exists. Please provide a new statement id, or remove \
                 the existing statement.",
                input.statement_id
            ))
            .into());
        }
        policy.statements.push(statement.clone());
        policy.revision_id = self.ports.ids.uuid();
        let length = text(policy).len();
        if length > POLICY_BYTES_MAX {
            return Err(Exception::new(
                ExceptionKind::PolicyLengthExceeded,
                format!("The final policy size ({length}) is bigger than the limit ({POLICY_BYTES_MAX})."),
            )
            .into());
        }
        self.write(vec![function.put(None)]).await?;
        Ok(AddPermissionResponse {
            statement: Some(statement.to_string()),
        })
    }

    async fn forbid(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &RemovePermissionRequest,
    ) -> Result<(), Refused> {
        let mut function = self.lambda_function(cx, reference).await?;
        let place = policy_of(reference);
        let policy = function
            .body
            .policies
            .get_mut(place)
            .ok_or_else(no_policy)?;
        check_revision(
            input.revision_id.as_deref(),
            Some(&policy.revision_id),
            "GetPolicy",
        )?;
        let before = policy.statements.len();
        policy
            .statements
            .retain(|statement| sid(statement) != Some(&input.statement_id));
        if policy.statements.len() == before {
            return Err(Exception::not_found(format!(
                "Statement {} is not found in resource policy.",
                input.statement_id
            ))
            .into());
        }
        policy.revision_id = self.ports.ids.uuid();
        if policy.statements.is_empty() {
            function.body.policies.remove(place);
        }
        self.write(vec![function.put(None)]).await?;
        Ok(())
    }
}

/// The key of a policy: the function's own has none.
fn policy_of(reference: &Reference) -> &str {
    match reference.qualifier.as_deref() {
        None | Some(LATEST) => "",
        Some(qualifier) => qualifier,
    }
}

fn no_policy() -> Exception {
    Exception::not_found("The resource you requested does not exist.")
}

fn sid(statement: &Value) -> Option<&String> {
    match statement.get("Sid") {
        Some(Value::String(sid)) => Some(sid),
        _ => None,
    }
}

fn text(policy: &PolicyDoc) -> String {
    json!({"Version": "2012-10-17", "Id": "default", "Statement": policy.statements}).to_string()
}

/// A statement as Lambda writes it.
fn statement(reference: &Reference, input: &AddPermissionRequest) -> Value {
    let principal = input.principal.as_str();
    let principal = if principal == "*" {
        json!("*")
    } else if is_account(principal) {
        json!({"AWS": format!("arn:aws:iam::{principal}:root")})
    } else if principal.starts_with("arn:") {
        json!({ "AWS": principal })
    } else {
        json!({ "Service": principal })
    };
    let mut condition: Map<String, Value> = Map::new();
    let mut equals: Map<String, Value> = Map::new();
    for (name, value) in [
        ("AWS:SourceAccount", &input.source_account),
        ("aws:PrincipalOrgID", &input.principal_org_id),
        ("lambda:EventSourceToken", &input.event_source_token),
    ] {
        if let Some(value) = value {
            equals.insert(name.to_owned(), json!(value));
        }
    }
    if !equals.is_empty() {
        condition.insert("StringEquals".to_owned(), Value::Object(equals));
    }
    if let Some(arn) = &input.source_arn {
        condition.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": arn }));
    }
    let mut statement = json!({
        "Sid": input.statement_id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": input.action,
        "Resource": reference.arn(),
    });
    if !condition.is_empty() {
        statement["Condition"] = Value::Object(condition);
    }
    statement
}

fn is_account(principal: &str) -> bool {
    principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit())
}
