//! Tags of a resource, brought from what they may be to what they are to be.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Change, ID_TAG};
use crate::api::{Api, ApiError};

/// Sets and removes tags under `member` of the definition.
pub(super) async fn converge(
    api: &dyn Api,
    change: &Change<'_>,
    member: &str,
    arn: &str,
) -> Result<(), ApiError> {
    if change.is_same(member) {
        return Ok(());
    }
    let tags = |definition: &Value| -> Map<String, Value> {
        let tags = definition.get(member).and_then(Value::as_object);
        tags.cloned().unwrap_or_default()
    };
    let wanted = tags(change.target);
    let had: BTreeSet<String> = change
        .before
        .iter()
        .flat_map(|before| tags(before).into_iter().map(|(key, _)| key))
        .collect();
    let gone: Vec<String> = had
        .into_iter()
        .filter(|key| key != ID_TAG && !wanted.contains_key(key))
        .collect();
    if !gone.is_empty() {
        let input = json!({"resourceArn": arn, "tagKeys": gone});
        api.call("UntagResource", input).await?;
    }
    let set: Map<String, Value> = wanted
        .into_iter()
        .filter(|(key, _)| key != ID_TAG)
        .collect();
    if !set.is_empty() {
        let input = json!({"resourceArn": arn, "tags": set});
        api.call("TagResource", input).await?;
    }
    Ok(())
}
