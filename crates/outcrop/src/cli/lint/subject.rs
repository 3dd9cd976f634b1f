//! An agent in the API's form, as a template or a server gives it, in the form that rules look at.

use outcrop_deploy::node::is_later;
use outcrop_engine::definition::{ActionGroupKind, Executor};
use outcrop_engine::lint::{Group, Subject};
use outcrop_model::control::{ActionGroupSignature, Function};
use serde_json::Value;

/// An agent with its action groups.
pub(in crate::cli) struct Agent {
    /// Its name.
    pub(in crate::cli) name: String,
    /// Its id; a stand-in where it has none yet.
    pub(in crate::cli) id: String,
    /// Its members.
    pub(in crate::cli) own: Value,
    /// Its action groups in the API's form, each with the text of its schema where that was read.
    pub(in crate::cli) groups: Vec<Value>,
}

/// Who runs a group's actions, as far as it is known.
pub(in crate::cli) enum Runner<'a> {
    /// A function by name or ARN.
    Named(&'a str),
    /// A function of the same template, by its logical id.
    Declared(&'a str),
    /// The caller, or nobody.
    Other,
}

/// A text member; empty where there is none.
pub(in crate::cli) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// Who runs a group.
pub(in crate::cli) fn runner(group: &Value) -> Runner<'_> {
    let lambda = &group["actionGroupExecutor"]["lambda"];
    match (lambda.as_str(), is_later(lambda)) {
        (Some(name), _) => Runner::Named(name),
        (None, Some(later)) => Runner::Declared(later.split('.').next().unwrap_or(later)),
        (None, None) => Runner::Other,
    }
}

impl Agent {
    /// As the rules look at it. `None` in place of a group: its schema could not be read, or is none.
    pub(in crate::cli) fn subject(&self) -> (Subject, Vec<Unread>) {
        let mut unread = Vec::new();
        let mut groups = Vec::new();
        for group in &self.groups {
            let name = text(group, "actionGroupName").to_owned();
            match kind(group) {
                Ok(kind) => groups.push(Group {
                    name,
                    description: group["description"].as_str().map(str::to_owned),
                    enabled: group["actionGroupState"] != "DISABLED",
                    kind,
                }),
                Err(why) => unread.push(Unread { group: name, why }),
            }
        }
        let own = |member: &str| {
            let value = &self.own[member];
            match is_later(value) {
                // Something will be there, of which nothing is known yet.
                Some(later) => Some(format!("{later:40}")),
                None => value.as_str().map(str::to_owned),
            }
        };
        let subject = Subject {
            instruction: own("instruction"),
            foundation_model: own("foundationModel"),
            groups,
        };
        (subject, unread)
    }
}

/// A group that could not be looked at.
pub(in crate::cli) struct Unread {
    /// Its name.
    pub(in crate::cli) group: String,
    /// Why.
    pub(in crate::cli) why: Why,
}

/// Why a group could not be looked at.
pub(in crate::cli) enum Why {
    /// Its schema lies in S3.
    InS3(String),
    /// It has no schema, or one of another form.
    NoSchema(String),
    /// It has none, and whoever serves it may say what there is, as MCP servers do.
    OfItsServer,
    /// What it has is known later only.
    Later,
}

fn kind(group: &Value) -> Result<ActionGroupKind, Why> {
    let signature = group["parentActionGroupSignature"].as_str();
    let signature = signature.or_else(|| group["parentActionSignature"].as_str());
    if let Some(signature) = signature {
        return built_in(group, signature);
    }
    let executor = executor(group);
    if let Some(functions) = group["functionSchema"].get("functions") {
        let functions: Vec<Function> = serde_json::from_value(functions.clone())
            .map_err(|error| Why::NoSchema(error.to_string()))?;
        return Ok(ActionGroupKind::Functions {
            functions,
            executor,
        });
    }
    let schema = &group["apiSchema"];
    if let Some(payload) = schema["payload"].as_str() {
        return Ok(ActionGroupKind::Api {
            schema: payload.to_owned(),
            executor,
        });
    }
    if is_later(&schema["payload"]).is_some() {
        return Err(Why::Later);
    }
    match &schema["s3"] {
        Value::Object(_) => Err(Why::InS3(format!(
            "s3://{}/{}",
            shown(&schema["s3"]["s3BucketName"]),
            shown(&schema["s3"]["s3ObjectKey"])
        ))),
        _ if matches!(runner(group), Runner::Other) => Err(Why::NoSchema(
            "it has neither a functionSchema nor an apiSchema".to_owned(),
        )),
        _ => Err(Why::OfItsServer),
    }
}

fn shown(value: &Value) -> &str {
    let text = value.as_str().or_else(|| is_later(value));
    text.unwrap_or_default()
}

fn built_in(group: &Value, signature: &str) -> Result<ActionGroupKind, Why> {
    let read = serde_json::from_value::<ActionGroupSignature>(Value::from(signature));
    let signature = read.map_err(|error| Why::NoSchema(error.to_string()))?;
    if signature == ActionGroupSignature::AmazonUserInput {
        return Ok(ActionGroupKind::UserInput);
    }
    let params = &group["parentActionGroupSignatureParams"];
    let params = serde_json::from_value(params.clone()).unwrap_or_default();
    Ok(ActionGroupKind::BuiltIn { signature, params })
}

fn executor(group: &Value) -> Executor {
    match runner(group) {
        Runner::Named(name) | Runner::Declared(name) => Executor::Lambda(name.to_owned()),
        Runner::Other => Executor::ReturnControl,
    }
}
