//! Action groups as tools: what the model may call, and what a call means.

pub mod arguments;
pub mod built_in;
pub mod call;
pub mod function;
pub mod lambda;
pub mod openapi;
pub mod tool;
pub mod tool_name;

use std::sync::Arc;

use outcrop_model::converse::{Tool, ToolInputSchema, ToolSpecification};
use serde_json::{Map, Value, json};

use crate::definition::Executor;

/// One thing the model can call: a function or an API operation of an action group.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// The tool's name as the model sees it (behaviour.md 1.9).
    pub tool_name: String,
    /// `actionGroupName`.
    pub action_group: String,
    /// What the model reads about it.
    pub description: Option<String>,
    /// Function or API operation.
    pub target: ActionTarget,
    /// Who runs it.
    pub executor: Executor,
    /// Whether the user must confirm each call.
    pub requires_confirmation: bool,
    /// Whether the handler is given JSON values rather than AWS's strings.
    pub typed_arguments: bool,
    /// Its parameters, by name.
    pub parameters: Vec<ActionParameter>,
    /// How an API operation is called over HTTP; `None` for a function.
    pub operation: Option<Arc<call::ApiOperation>>,
    /// Whether it is one of Anthropic's computer-use tools, which may be answered with an image.
    pub computer_use: bool,
}

/// What an action calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionTarget {
    /// A function of a function schema.
    Function {
        /// Its name.
        name: String,
    },
    /// An operation of an `OpenAPI` schema.
    Api {
        /// The path template, exactly as in the schema.
        path: String,
        /// Upper case.
        method: String,
        /// Media type of the request body; `None` where the operation takes none.
        body_media_type: Option<String>,
    },
}

/// As messages name it: the function, or method and path.
impl std::fmt::Display for ActionTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Function { name } => f.write_str(name),
            Self::Api { path, method, .. } => write!(f, "{method} {path}"),
        }
    }
}

/// One parameter of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionParameter {
    /// Its name.
    pub name: String,
    /// Its declared type.
    pub type_: ParameterType,
    /// Whether a call without it is wrong.
    pub required: bool,
    /// Whether it travels in the request body.
    pub in_body: bool,
    /// Whether the request body carries it as well: a property of the body has its name.
    pub also_in_body: bool,
    /// Its JSON schema, as given to the model.
    pub schema: Value,
}

/// The declared type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// `string`
    String,
    /// `number`
    Number,
    /// `integer`
    Integer,
    /// `boolean`
    Boolean,
    /// `array`
    Array,
    /// `object`; `OpenAPI` only.
    Object,
}

impl ParameterType {
    /// The type of that name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }

    /// The type's name in JSON schema, events and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl Action {
    /// The tool definition for the model.
    pub fn tool(&self) -> Tool {
        let properties: Map<String, Value> = self
            .parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.schema.clone()))
            .collect();
        let required: Vec<&str> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
            .map(|parameter| parameter.name.as_str())
            .collect();
        tool(
            &self.tool_name,
            self.description.clone(),
            json!({"type": "object", "properties": properties, "required": required}),
        )
    }
}

/// A tool definition.
pub fn tool(name: &str, description: Option<String>, input_schema: Value) -> Tool {
    Tool::ToolSpec(ToolSpecification {
        name: name.to_owned(),
        description: description.filter(|text| !text.is_empty()),
        input_schema: ToolInputSchema::Json(input_schema),
        strict: None,
    })
}

/// Why an action group's schema cannot be used, in AWS's wording where it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The `OpenAPI` document is refused (behaviour.md 1.8).
    #[error(
        "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: {action_group} {{APISchemaException=[{}]}}",
        .details.join(", ")
    )]
    OpenApi {
        /// The action group's name.
        action_group: String,
        /// What is wrong, each with its place.
        details: Vec<String>,
    },
    /// A function schema is refused.
    #[error("The function schema of action group {action_group} is invalid: {detail}")]
    Function {
        /// The action group's name.
        action_group: String,
        /// What is wrong.
        detail: String,
    },
    /// The parameters of a built-in action group are refused.
    #[error("parentActionGroupSignatureParams of action group {action_group}: {detail}")]
    BuiltIn {
        /// The action group's name.
        action_group: String,
        /// Which parameter, what was expected, what came.
        detail: String,
    },
    /// Two actions would have one tool name.
    #[error("{first} and {second} would both be called {tool_name}. Give them different names.")]
    DuplicateTool {
        /// The name.
        tool_name: String,
        /// Where it first occurs.
        first: String,
        /// Where again.
        second: String,
    },
    /// A tool name a model would refuse.
    #[error("{name} should match tool name regex for Claude 3.5 : ^[a-zA-Z0-9_-]{{1,64}}$")]
    ToolName {
        /// The name.
        name: String,
    },
    /// A name with a double underscore.
    #[error(
        "Action name, operationId or http verb in openAPI schema should not have '__' for Claude3.5: {name}"
    )]
    DoubleUnderscore {
        /// The name.
        name: String,
    },
}

impl SchemaError {
    /// Whether a schema with it is refused. Relaxed, a bad name is shortened.
    pub fn is_refused(&self, strictness: Strictness) -> bool {
        match self {
            Self::OpenApi { .. }
            | Self::Function { .. }
            | Self::BuiltIn { .. }
            | Self::DuplicateTool { .. } => true,
            Self::ToolName { .. } | Self::DoubleUnderscore { .. } => {
                strictness == Strictness::Strict
            }
        }
    }
}

/// How strictly a schema is read (`aws_limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Refuse whatever AWS refuses.
    Strict,
    /// Accept what a careful reader can still understand.
    Relaxed,
}
