//! `AWS::Lambda::Function` and `AWS::Serverless::Function`: a folder of code on this disk, run by the
//! server as a local function.
//!
//! The server is told where the folder lies; the code is not copied. A hash of it is part of the
//! definition, so that an edit is a change and the server starts fresh workers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Created, Identity, Made};
use crate::api::{Api, ApiError, OwnRequest, segment};
use crate::files::Files;
use crate::node::{Content, Node, Problem, later};

/// What `Fn::GetAtt` gives.
pub(super) const ATTRIBUTES: [&str; 1] = ["Arn"];

/// Lambda's limit of a function's name.
const NAME_CHARS: usize = 64;
/// Lambda's own default; SAM's is the same.
const TIMEOUT_S: i64 = 3;
/// Lambda's own default.
const MEMORY_MB: i64 = 128;

/// Properties that mean something here; all others belong to AWS and are passed over.
pub(super) fn definition(
    identity: Identity<'_>,
    properties: &Node,
    metadata: Option<&Node>,
    files: &dyn Files,
    problems: &mut Vec<Problem>,
) -> Value {
    let mut read = Reader {
        properties,
        problems,
    };
    let name = read.text("FunctionName");
    let runtime = read.text("Runtime");
    let handler = read.text("Handler");
    if let Some(Value::String(package)) = read.text("PackageType")
        && package == "Image"
    {
        read.refuse(
            "PackageType",
            "functions in container images are not supported; code is run from a folder",
        );
        return Value::Null;
    }
    match &runtime {
        Some(Value::String(name)) if local_runtime(name).is_none() => {
            let text = format!(
                "the runtime {name} is not supported; there are python3.*, nodejs*, and provided.* for a \
                 folder with an executable bootstrap"
            );
            read.refuse("Runtime", text);
        }
        Some(_) => {}
        None => read.refuse("Runtime", "the property Runtime is missing"),
    }
    if handler.is_none() {
        read.refuse("Handler", "the property Handler is missing");
    }
    if properties.get("Layers").is_some() {
        read.refuse(
            "Layers",
            "layers are not supported; put their packages into the function's requirements.txt",
        );
    }
    let mut definition = json!({
        "functionName": name.unwrap_or_else(|| json!(identity.generated_name(NAME_CHARS))),
        "runtime": runtime,
        "handler": handler,
        "timeout": read.number("Timeout").unwrap_or(TIMEOUT_S),
        "memorySize": read.number("MemorySize").unwrap_or(MEMORY_MB),
        "environment": read.environment(),
    });
    if let Some(path) = read.code_path(metadata) {
        match files.code(&path) {
            Ok(code) => {
                definition["folder"] = json!(code.folder);
                definition["codeHash"] = json!(code.hash);
            }
            Err(detail) => {
                let member = if properties.get("CodeUri").is_some() {
                    "CodeUri"
                } else {
                    "Code"
                };
                read.refuse(member, format!("the code cannot be read: {detail}"));
            }
        }
    }
    definition
}

/// The server's own name of a runtime of Lambda.
fn local_runtime(name: &str) -> Option<&'static str> {
    [
        ("python3", "python"),
        ("nodejs", "node"),
        ("provided", "provided"),
    ]
    .into_iter()
    .find(|(family, _)| name.starts_with(family))
    .map(|(_, own)| own)
}

struct Reader<'a> {
    properties: &'a Node,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, member: &str, text: impl Into<String>) {
        let mark = self.properties.get(member).unwrap_or(self.properties).mark;
        self.problems.push(Problem::new(mark, text));
    }

    fn text(&mut self, member: &str) -> Option<Value> {
        let node = self.properties.get(member)?;
        match (&node.content, node.as_text()) {
            (Content::Later(what), _) => Some(later(what)),
            (_, Some(text)) => Some(json!(text)),
            _ => {
                self.refuse(member, format!("{member} is text, not {}", node.kind()));
                None
            }
        }
    }

    fn number(&mut self, member: &str) -> Option<i64> {
        let node = self.properties.get(member)?;
        let number = node.as_text().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.refuse(member, format!("{member} is a whole number"));
        }
        number
    }

    fn environment(&mut self) -> Value {
        let variables = self.properties.get("Environment");
        let variables = variables.and_then(|environment| environment.get("Variables"));
        let mut made = Map::new();
        for (key, node) in variables.and_then(Node::entries).unwrap_or_default() {
            match (&node.content, node.as_text()) {
                (Content::Later(what), _) => {
                    made.insert(key.text.clone(), later(what));
                }
                (_, Some(text)) => {
                    made.insert(key.text.clone(), json!(text));
                }
                _ => {
                    let text = format!("the variable {} is text, not {}", key.text, node.kind());
                    self.problems.push(Problem::new(node.mark, text));
                }
            }
        }
        Value::Object(made)
    }

    /// Where the code lies: what `cdk synth` notes beside a function wins over the bucket it would
    /// upload to.
    fn code_path(&mut self, metadata: Option<&Node>) -> Option<String> {
        let asset = metadata.and_then(|metadata| metadata.get("aws:asset:path"));
        if let Some(path) = asset.and_then(Node::as_text) {
            return Some(path.to_owned());
        }
        let code = self
            .properties
            .get("CodeUri")
            .or_else(|| self.properties.get("Code"));
        let text = match code {
            Some(code) => match code.as_text() {
                Some(path) if !path.starts_with("s3://") => return Some(path.to_owned()),
                _ if code.get("ZipFile").is_some() => {
                    "code inside the template (ZipFile) is not supported; put it into a folder"
                }
                _ => {
                    "code in S3 or in an image is not supported; Code (or CodeUri) is to be a folder beside the template"
                }
            },
            None if self.properties.get("InlineCode").is_some() => {
                "code inside the template (InlineCode) is not supported; put it into a folder"
            }
            // SAM's default, the template's own folder, would run whatever lies there.
            None => {
                "the function has no code: Code (or CodeUri) is to be a folder beside the template"
            }
        };
        let mark = code.unwrap_or(self.properties).mark;
        self.problems.push(Problem::new(mark, text));
        None
    }
}

pub(super) fn made(identity: Identity<'_>, definition: &Value) -> Option<Made> {
    let name = definition["functionName"].as_str()?;
    let arn = format!(
        "arn:{}:lambda:{}:{}:function:{name}",
        identity.pseudo.partition(),
        identity.pseudo.region,
        identity.pseudo.account_id
    );
    Some(Made {
        physical: name.to_owned(),
        attributes: BTreeMap::from([("Arn".to_owned(), json!(arn))]),
        version: None,
    })
}

pub(super) async fn put(
    api: &dyn Api,
    identity: Identity<'_>,
    definition: &Value,
) -> Result<Created, ApiError> {
    let made = made(identity, definition).unwrap_or_default();
    let body = json!({
        "runtime": definition["runtime"].as_str().and_then(local_runtime),
        "handler": definition["handler"],
        "code": definition["folder"],
        "codeHash": definition["codeHash"],
        "timeoutSeconds": definition["timeout"],
        "memoryMb": definition["memorySize"],
        "environment": definition["environment"],
    });
    api.own(OwnRequest::new("PUT", path(&made)).with_body(body))
        .await?;
    Ok(Created {
        made,
        stands: definition.clone(),
    })
}

fn path(made: &Made) -> String {
    format!("functions/{}", segment(&made.physical))
}

pub(super) async fn delete(api: &dyn Api, made: &Made) -> Result<(), ApiError> {
    api.own(OwnRequest::new("DELETE", path(made)))
        .await
        .map(drop)
}
