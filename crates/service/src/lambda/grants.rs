//! Whether an agent may call an uploaded function, by the function's resource policy.
//!
//! Asked only where AWS's limits are kept strictly: on a developer's machine a forgotten permission
//! would be no more than a nuisance. Of conditions, those that `AddPermission` can make are understood;
//! a statement with another one grants nothing.

use outcrop_engine::port::ActionError;
use outcrop_model::arn::AgentArn;
use outcrop_model::handle::CallContext;
use serde_json::Value;

use super::documents::FunctionDoc;
use super::reference::Reference;
use super::{LATEST, function_key};
use crate::ports::Ports;
use crate::records::{self, Scope};

/// Who calls for an agent.
const PRINCIPAL: &str = "bedrock.amazonaws.com";
/// What it does.
const ACTION: &str = "lambda:InvokeFunction";

/// Why `agent` may not call `function`; `None` if it may, or if the function was not uploaded here.
pub(crate) async fn refusal(
    ports: &Ports,
    agent: &AgentArn,
    function: &str,
) -> Option<ActionError> {
    let cx = CallContext {
        request_id: String::new(),
        account_id: agent.account_id.clone(),
        region: agent.region.clone(),
        host: None,
    };
    let reference = Reference::read(&cx, function, None).ok()?;
    let scope = Scope::new(reference.account_id(), reference.region());
    let key = function_key(&scope, &reference.name);
    let now_ms = ports.clock.now().as_millis();
    let record = match ports.store.get(&key, now_ms).await {
        Ok(record) => record?,
        Err(error) => {
            return Some(ActionError::Failed {
                function: function.to_owned(),
                detail: error.to_string(),
            });
        }
    };
    let policies = records::read::<FunctionDoc>(record).ok()?.body.policies;
    let policy = match reference.qualifier.as_deref() {
        None | Some(LATEST) => policies.get(""),
        Some(qualifier) => policies.get(qualifier),
    };
    let mut statements = policy.iter().flat_map(|policy| &policy.statements);
    if statements.any(|statement| grants(statement, agent)) {
        return None;
    }
    Some(ActionError::AccessDenied {
        function: function.to_owned(),
        detail: format!(
            "the resource policy of {} does not let {PRINCIPAL} call it for {agent}. Add a permission for \
             {ACTION}, or set aws_limits = \"relaxed\", which needs none",
            reference.arn()
        ),
    })
}

fn grants(statement: &Value, agent: &AgentArn) -> bool {
    let principal = &statement["Principal"];
    let is_principal = principal == "*" || principal["Service"] == PRINCIPAL;
    let action = statement["Action"].as_str().unwrap_or_default();
    let is_action = [ACTION, "lambda:*", "*"].contains(&action);
    is_principal && is_action && conditions_hold(&statement["Condition"], agent)
}

fn conditions_hold(conditions: &Value, agent: &AgentArn) -> bool {
    let Some(conditions) = conditions.as_object() else {
        return true;
    };
    conditions.iter().all(|(operator, tests)| {
        let Some(tests) = tests.as_object() else {
            return false;
        };
        tests.iter().all(|(name, wanted)| {
            let wanted = wanted.as_str().unwrap_or_default();
            match (operator.as_str(), name.as_str()) {
                ("StringEquals", "AWS:SourceAccount") => wanted == agent.account_id,
                ("ArnLike", "AWS:SourceArn") => is_like(wanted, &agent.to_string()),
                _ => false,
            }
        })
    })
}

/// `ArnLike`: part by part between colons, `*` for any characters and `?` for one.
fn is_like(pattern: &str, arn: &str) -> bool {
    let patterns: Vec<&str> = pattern.splitn(6, ':').collect();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    patterns.len() == parts.len()
        && patterns
            .iter()
            .zip(&parts)
            .all(|(pattern, part)| fits(pattern.as_bytes(), part.as_bytes()))
}

/// Whether `text` fits a pattern with `*` and `?`, in time linear in both for each star.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == text.get(from) => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    from = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(at..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_grant_what_they_say() {
        let agent = AgentArn::new("us-west-2", "111111111111", "AGENT12345");
        let statement = |principal: Value, action: &str, condition: Value| json!({"Principal": principal, "Action": action, "Condition": condition});
        let bedrock = json!({"Service": "bedrock.amazonaws.com"});
        let arn = |text: &str| json!({"ArnLike": {"AWS:SourceArn": text}});
        for (statement, granted) in [
            (statement(bedrock.clone(), ACTION, Value::Null), true),
            (statement(json!("*"), "lambda:*", Value::Null), true),
            (
                statement(json!({"Service": "s3.amazonaws.com"}), ACTION, Value::Null),
                false,
            ),
            (
                statement(bedrock.clone(), "lambda:GetFunction", Value::Null),
                false,
            ),
            (
                statement(
                    bedrock.clone(),
                    ACTION,
                    json!({"StringEquals": {"AWS:SourceAccount": "111111111111"}}),
                ),
                true,
            ),
            (
                statement(
                    bedrock.clone(),
                    ACTION,
                    json!({"StringEquals": {"AWS:SourceAccount": "222222222222"}}),
                ),
                false,
            ),
            (
                statement(
                    bedrock.clone(),
                    ACTION,
                    arn("arn:aws:bedrock:us-west-2:111111111111:agent/*"),
                ),
                true,
            ),
            (
                statement(
                    bedrock.clone(),
                    ACTION,
                    arn("arn:aws:bedrock:*:*:agent/AGENT1234?"),
                ),
                true,
            ),
            (
                statement(
                    bedrock.clone(),
                    ACTION,
                    arn("arn:aws:bedrock:us-west-2:111111111111:agent/OTHER"),
                ),
                false,
            ),
            (
                statement(
                    bedrock,
                    ACTION,
                    json!({"Bool": {"aws:SecureTransport": "true"}}),
                ),
                false,
            ),
        ] {
            assert_eq!(grants(&statement, &agent), granted, "{statement}");
        }
    }
}
