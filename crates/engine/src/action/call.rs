//! A call as executors see it that serve something else than a Lambda function: the arguments with
//! their JSON types, and where an API operation's parameters travel.
//!
//! The Lambda event cannot say this: there every value is a string, nested values in a form that
//! cannot be read back (behaviour.md 1.2), and `apiPath` is a template. All of it is read from the
//! schema when the agent's plan is made, so a call never depends on a schema that has changed since.

use std::sync::Arc;

use serde_json::Value;

use super::arguments::Argument;
use super::{Action, ActionTarget};

/// One call of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledAction {
    /// `actionGroupName`.
    pub action_group: String,
    /// The function or operation.
    pub target: ActionTarget,
    /// How the operation's parameters travel; `None` for a function.
    pub operation: Option<Arc<ApiOperation>>,
    /// The arguments, by name.
    pub arguments: Vec<TypedArgument>,
}

/// One argument with the type its schema gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedArgument {
    /// The parameter's name.
    pub name: String,
    /// The value: a number where the schema says so, also where the model wrote a string.
    pub value: Value,
    /// Whether it travels in the request body.
    pub in_body: bool,
}

impl CalledAction {
    /// The call of `action` with these arguments.
    pub fn new(action: &Action, arguments: &[Argument]) -> Self {
        Self {
            action_group: action.action_group.clone(),
            target: action.target.clone(),
            operation: action.operation.clone(),
            arguments: arguments
                .iter()
                .map(|argument| TypedArgument {
                    name: argument.name.clone(),
                    value: argument.json.clone(),
                    in_body: argument.in_body,
                })
                .collect(),
        }
    }
}

/// How an `OpenAPI` operation is called over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiOperation {
    /// `operationId`, or the name made up in its place.
    pub id: String,
    /// The parameters outside the body.
    pub parameters: Vec<ApiParameter>,
    /// What the body is made of; `None` where the operation takes none.
    pub body: Option<ApiBody>,
}

/// One parameter outside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiParameter {
    /// Its name.
    pub name: String,
    /// Where it travels.
    pub location: Location,
    /// How its value is written.
    pub style: Style,
    /// Whether the members of an array or object stand for themselves.
    pub explode: bool,
    /// Whether reserved characters stay as they are (query only).
    pub allow_reserved: bool,
}

/// Where a parameter travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// How a value is written (`style` of `OpenAPI`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;name=a`
    Matrix,
    /// `name=a&name=b`
    Form,
    /// `a%20b`
    SpaceDelimited,
    /// `a|b`
    PipeDelimited,
    /// `name[member]=a`
    DeepObject,
    /// JSON text: the parameter is described by a media type instead of a schema.
    Json,
}

/// A request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBody {
    /// The media type, as in the schema.
    pub media_type: String,
    /// Whether the one argument in the body is the whole body, rather than one of its properties.
    pub is_whole: bool,
}
