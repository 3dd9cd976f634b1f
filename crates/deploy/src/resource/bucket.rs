//! `AWS::S3::Bucket`: a folder below the server's root of buckets.
//!
//! A bucket that is there already is taken over; one with objects in it is never removed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Created, Identity, Made};
use crate::api::{Api, ApiError, OwnRequest, segment};
use crate::node::{Content, Node, Problem, later};

/// What `Fn::GetAtt` gives.
pub(super) const ATTRIBUTES: [&str; 3] = ["Arn", "DomainName", "RegionalDomainName"];

/// S3's limit of a bucket's name.
const NAME_CHARS: usize = 63;

/// Only the name means something here; encryption, versioning and policies are AWS's.
pub(super) fn definition(
    identity: Identity<'_>,
    properties: &Node,
    problems: &mut Vec<Problem>,
) -> Value {
    let generated = || json!(identity.generated_name(NAME_CHARS).to_lowercase());
    let name = match properties.get("BucketName") {
        None => generated(),
        Some(node) => match (&node.content, node.as_text()) {
            (Content::Later(what), _) => later(what),
            (_, Some(text)) => json!(text),
            _ => {
                let text = format!("BucketName is text, not {}", node.kind());
                problems.push(Problem::new(node.mark, text));
                Value::Null
            }
        },
    };
    json!({ "bucketName": name })
}

pub(super) fn made(identity: Identity<'_>, definition: &Value) -> Option<Made> {
    let name = definition["bucketName"].as_str()?;
    let attributes = [
        (
            "Arn",
            format!("arn:{}:s3:::{name}", identity.pseudo.partition()),
        ),
        ("DomainName", format!("{name}.s3.amazonaws.com")),
        (
            "RegionalDomainName",
            format!("{name}.s3.{}.amazonaws.com", identity.pseudo.region),
        ),
    ];
    let attributes: BTreeMap<String, Value> = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    Some(Made {
        physical: name.to_owned(),
        attributes,
        version: None,
    })
}

pub(super) async fn put(
    api: &dyn Api,
    identity: Identity<'_>,
    definition: &Value,
) -> Result<Created, ApiError> {
    let made = made(identity, definition).unwrap_or_default();
    api.own(OwnRequest::new("PUT", path(&made))).await?;
    Ok(Created {
        made,
        stands: definition.clone(),
    })
}

fn path(made: &Made) -> String {
    format!("buckets/{}", segment(&made.physical))
}

pub(super) async fn delete(api: &dyn Api, made: &Made) -> Result<(), ApiError> {
    api.own(OwnRequest::new("DELETE", path(made)))
        .await
        .map(drop)
}
