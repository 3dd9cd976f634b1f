//! ARNs inside definitions: which agents, prompts and functions they refer to.

use serde_json::{Map, Value};

/// The agent and the alias of `arn:…:agent-alias/AGENT/ALIAS`.
pub(super) fn alias(arn: &str) -> Option<(&str, &str)> {
    let (_, resource) = arn.rsplit_once(":agent-alias/")?;
    resource.split_once('/').filter(|_| arn.starts_with("arn:"))
}

/// A prompt that an ARN names, and the version where the ARN has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PromptArn<'a> {
    pub(super) id: &'a str,
    pub(super) version: Option<u32>,
}

/// The prompt of `arn:…:bedrock:…:prompt/ID`, `…:prompt/ID:VERSION`.
pub(super) fn prompt(arn: &str) -> Option<PromptArn<'_>> {
    let (head, resource) = arn.split_once(":prompt/")?;
    if !head.starts_with("arn:") || !head.contains(":bedrock:") {
        return None;
    }
    let (id, version) = match resource.split_once(':') {
        Some((id, version)) => (id, Some(version.parse().ok()?)),
        None => (resource, None),
    };
    let is_id = id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then_some(PromptArn { id, version })
}

/// A function that an ARN names, and the version or alias of it where the ARN has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FunctionArn<'a> {
    pub(super) name: &'a str,
    pub(super) qualifier: Option<&'a str>,
}

/// The function of `arn:…:lambda:…:function:NAME`, `…:NAME:QUALIFIER`.
pub(super) fn function(arn: &str) -> Option<FunctionArn<'_>> {
    let (head, resource) = arn.split_once(":function:")?;
    if !head.starts_with("arn:") || !head.contains(":lambda:") {
        return None;
    }
    let (name, qualifier) = match resource.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (resource, None),
    };
    (!name.is_empty()).then_some(FunctionArn { name, qualifier })
}

/// Every text of a value.
pub(super) fn texts<'a>(value: &'a Value, found: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every text of a definition.
pub(super) fn texts_of<'a>(definition: &'a Map<String, Value>, found: &mut impl FnMut(&'a str)) {
    definition.values().for_each(|value| texts(value, found));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        assert_eq!(
            alias("arn:aws:bedrock:us-east-1:1:agent-alias/AAAAAAAAAA/BBBBBBBBBB"),
            Some(("AAAAAAAAAA", "BBBBBBBBBB"))
        );
        assert_eq!(
            prompt("arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:7"),
            Some(PromptArn {
                id: "ABCDEFGHIJ",
                version: Some(7)
            })
        );
        assert_eq!(
            prompt("arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:x"),
            None
        );
        assert_eq!(
            function("arn:aws:lambda:us-east-1:1:function:f:prod"),
            Some(FunctionArn {
                name: "f",
                qualifier: Some("prod")
            })
        );
        assert_eq!(function("order-tools"), None);
    }
}
