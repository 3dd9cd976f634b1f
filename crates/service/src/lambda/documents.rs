//! What is stored of functions: AWS's shapes, and what only this server needs to know.

use std::collections::BTreeMap;

use outcrop_model::lambda::FunctionConfiguration;
use outcrop_model::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A function, its unpublished version included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionDoc {
    /// The unpublished version as `GetFunctionConfiguration` shows it.
    pub(super) configuration: FunctionConfiguration,
    /// Its code.
    pub(super) code: CodeRef,
    /// The highest version number given so far; numbers are never reused.
    pub(super) last_version: u32,
    /// What was published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) published: Option<Published>,
    /// Tags.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// Reserved concurrent executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) concurrency: Option<i32>,
    /// Resource policies by qualifier; the function's own under the empty one.
    #[serde(default)]
    pub(super) policies: BTreeMap<String, PolicyDoc>,
}

/// What the latest published version was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Published {
    /// Its number.
    pub(super) version: String,
    /// The revision of the unpublished version at that time.
    pub(super) revision_id: String,
}

/// A published version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionDoc {
    /// As `GetFunctionConfiguration` shows it.
    pub(super) configuration: FunctionConfiguration,
    /// Its code.
    pub(super) code: CodeRef,
}

/// Where a function's code lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodeRef {
    /// Names the pieces; fresh with each upload.
    pub(super) upload: String,
    /// Of the archive, in lower-case hexadecimal digits.
    pub(super) sha256: String,
    /// Pieces there are.
    pub(super) pieces: u32,
}

/// A resource policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyDoc {
    /// Changes with each statement.
    pub(super) revision_id: String,
    /// In the order in which they were added, as AWS's JSON has them.
    pub(super) statements: Vec<Value>,
}

/// The form of `LastModified`: `2025-03-14T09:26:53.589+0000`.
pub(super) fn last_modified(time: Timestamp) -> String {
    let text = time.to_iso6();
    let millis = text.get(..23).unwrap_or(&text);
    format!("{millis}+0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modification_times_have_milliseconds_and_a_plain_zone() {
        let time = Timestamp::parse_iso("2025-03-14T09:26:53.589793Z").expect("a time");
        assert_eq!(last_modified(time), "2025-03-14T09:26:53.589+0000");
    }
}
