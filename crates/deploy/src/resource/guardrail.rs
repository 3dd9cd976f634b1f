//! Guardrails and their numbered versions: one object of `bedrock` each, with tags as a list.

use serde_json::{Value, json};

use super::plain::Plain;
use super::{Change, Created, Made, fit};
use crate::api::{Api, ApiError};

pub(super) const GUARDRAIL: Plain = Plain {
    create: ("bedrock:CreateGuardrail", "CreateGuardrailRequest"),
    update: ("bedrock:UpdateGuardrail", "UpdateGuardrailRequest"),
    get: "bedrock:GetGuardrail",
    delete: "bedrock:DeleteGuardrail",
    object: "",
    keys: &[("guardrailIdentifier", "GuardrailId")],
    reference: &["GuardrailArn"],
    // Its tags are a list, with operations of their own.
    arn: None,
    renamed: &[],
    token: "clientRequestToken",
    attributes: &[
        "GuardrailArn",
        "GuardrailId",
        "Version",
        "Status",
        "StatusReasons",
        "FailureRecommendations",
        "CreatedAt",
        "UpdatedAt",
    ],
};

pub(super) const VERSION: Plain = Plain {
    create: (
        "bedrock:CreateGuardrailVersion",
        "CreateGuardrailVersionRequest",
    ),
    // All its properties are for creation only.
    update: ("", ""),
    get: "bedrock:GetGuardrail",
    delete: "bedrock:DeleteGuardrail",
    object: "",
    keys: &[
        ("guardrailIdentifier", "GuardrailId"),
        ("guardrailVersion", "Version"),
    ],
    reference: &["GuardrailId", "Version"],
    arn: None,
    renamed: &[],
    token: "clientRequestToken",
    attributes: &["GuardrailArn", "GuardrailId", "Version"],
};

pub(super) async fn create(
    api: &dyn Api,
    definition: &Value,
    token: &str,
) -> Result<Created, ApiError> {
    GUARDRAIL.create(api, definition, token).await
}

/// Brings a guardrail to its definition. What the definition leaves out goes, and so do its tags.
pub(super) async fn converge(api: &dyn Api, change: &Change<'_>) -> Result<Made, ApiError> {
    if !change.is_settled() {
        let mut input = fit("UpdateGuardrailRequest", change.target);
        let id = change.made.text("GuardrailId");
        input.insert("guardrailIdentifier".to_owned(), json!(id));
        api.call("bedrock:UpdateGuardrail", Value::Object(input))
            .await?;
        retag(api, change).await?;
    }
    GUARDRAIL.read(api, change.made).await
}

async fn retag(api: &dyn Api, change: &Change<'_>) -> Result<(), ApiError> {
    if change.is_same("tags") {
        return Ok(());
    }
    let arn = change.made.text("GuardrailArn");
    let wanted = keys(change.target);
    let mut gone: Vec<&str> = change.before.iter().flat_map(keys).collect();
    gone.retain(|key| !wanted.contains(key));
    gone.sort_unstable();
    gone.dedup();
    if !gone.is_empty() {
        let input = json!({"resourceARN": arn, "tagKeys": gone});
        api.call("bedrock:UntagResource", input).await?;
    }
    if let Some(tags) = change.target.get("tags")
        && !wanted.is_empty()
    {
        let input = json!({"resourceARN": arn, "tags": tags});
        api.call("bedrock:TagResource", input).await?;
    }
    Ok(())
}

fn keys(definition: &Value) -> Vec<&str> {
    let tags = definition.get("tags").and_then(Value::as_array);
    let keys = tags.into_iter().flatten();
    keys.filter_map(|tag| tag.get("key")?.as_str()).collect()
}
