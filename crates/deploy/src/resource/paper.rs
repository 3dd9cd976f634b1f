//! Resource types that mean nothing on a server of one's own: roles and policies, log groups,
//! permissions. They are accepted and listed; what refers to them gets what AWS would plausibly give.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Identity, Made};
use crate::node::Node;

/// Exact types; besides them all of IAM.
const TYPES: [&str; 7] = [
    "AWS::CDK::Metadata",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::LogStream",
    "AWS::S3::BucketPolicy",
];

/// IAM's limit of a role's name.
const NAME_CHARS: usize = 64;

/// Properties that name such a resource.
const NAMES: [&str; 8] = [
    "RoleName",
    "PolicyName",
    "ManagedPolicyName",
    "InstanceProfileName",
    "UserName",
    "GroupName",
    "LogGroupName",
    "LogStreamName",
];

pub(super) fn is_paper(type_name: &str) -> bool {
    type_name.starts_with("AWS::IAM::") || TYPES.contains(&type_name)
}

/// Only its name and path, which show in what refers to it: what a role allows has no effect.
pub(super) fn definition(properties: &Node) -> Value {
    let text = |member: &str| {
        let node = properties.get(member)?;
        Some(node.as_text()?.to_owned())
    };
    let name = NAMES.iter().find_map(|member| text(member));
    json!({"name": name, "path": text("Path")})
}

pub(super) fn made(identity: Identity<'_>, definition: &Value) -> Made {
    let pseudo = identity.pseudo;
    let name = definition["name"]
        .as_str()
        .map_or_else(|| identity.generated_name(NAME_CHARS), str::to_owned);
    let path = definition["path"].as_str().unwrap_or("/");
    let (service, kind) = identity
        .type_name
        .strip_prefix("AWS::")
        .and_then(|rest| rest.split_once("::"))
        .unwrap_or_default();
    let resource = match kind {
        "ManagedPolicy" => "policy".to_owned(),
        "InstanceProfile" => "instance-profile".to_owned(),
        other => other.to_lowercase(),
    };
    let partition = pseudo.partition();
    let account = &pseudo.account_id;
    let arn = match service {
        "Logs" => format!(
            "arn:{partition}:logs:{}:{account}:log-group:{name}:*",
            pseudo.region
        ),
        "IAM" => format!("arn:{partition}:iam::{account}:{resource}{path}{name}"),
        _ => format!(
            "arn:{partition}:{}:{}:{account}:{name}",
            service.to_lowercase(),
            pseudo.region
        ),
    };
    let mut id = crate::files::digest(&arn).to_uppercase();
    id.truncate(17);
    let physical = match kind {
        "ManagedPolicy" => arn.clone(),
        _ => name,
    };
    Made {
        physical,
        attributes: BTreeMap::from([
            ("Arn".to_owned(), json!(arn)),
            ("PolicyArn".to_owned(), json!(arn)),
            ("Id".to_owned(), json!(id)),
            ("RoleId".to_owned(), json!(format!("AROA{id}"))),
        ]),
        version: None,
    }
}
