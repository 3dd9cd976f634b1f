//! Tools of an MCP server as functions of an action group.
//!
//! AWS's function and parameter names hold letters, digits and single `_` or `-`; MCP's may hold more.
//! A name that does not fit is shown with what does not fit replaced, and found again by the same rule.

use outcrop_engine::definition::ToolDefinition;
use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

/// The longest function or parameter name of AWS.
const NAME_CHARS_MAX: usize = 100;

/// A tool, ready to be a function.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedTool {
    /// The server's own name.
    pub name: String,
    /// The name as AWS takes it.
    pub function: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON schema of its arguments, with the parameter names as AWS takes them.
    pub input_schema: Value,
}

impl ExportedTool {
    /// The tool as an agent's definition keeps it.
    pub fn into_definition(self) -> ToolDefinition {
        ToolDefinition {
            name: self.function,
            description: self.description,
            input_schema: self.input_schema,
        }
    }
}

/// A name as AWS takes it: `([0-9a-zA-Z][_-]?){1,100}`.
pub fn function_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        let follows_letter = out.ends_with(|last: char| last.is_ascii_alphanumeric());
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => out.push(character),
            '-' if follows_letter => out.push('-'),
            _ if follows_letter => out.push('_'),
            _ => {}
        }
        if out.len() == NAME_CHARS_MAX {
            break;
        }
    }
    out
}

/// A tool with the names that AWS takes.
pub(super) fn exported(tool: &Tool) -> ExportedTool {
    let mut schema = tool.input_schema.as_ref().clone();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        *properties = std::mem::take(properties)
            .into_iter()
            .map(|(name, property)| (function_name(&name), property))
            .collect();
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        for name in required.iter_mut() {
            *name = Value::from(function_name(name.as_str().unwrap_or_default()));
        }
    }
    ExportedTool {
        name: tool.name.to_string(),
        function: function_name(&tool.name),
        description: tool
            .description
            .as_deref()
            .or(tool.title.as_deref())
            .map(str::to_owned),
        input_schema: Value::Object(schema),
    }
}

/// The tool that a function's name means: its own name first, then the name it is shown by.
pub(super) fn find<'a>(tools: &'a [Tool], function: &str) -> Option<&'a Tool> {
    tools.iter().find(|tool| tool.name == function).or_else(|| {
        tools
            .iter()
            .find(|tool| function_name(&tool.name) == function)
    })
}

/// The tool's own name of a parameter.
pub(super) fn own_parameter<'a>(input_schema: &'a JsonObject, parameter: &'a str) -> &'a str {
    let Some(Value::Object(properties)) = input_schema.get("properties") else {
        return parameter;
    };
    if properties.contains_key(parameter) {
        return parameter;
    }
    properties
        .keys()
        .find(|name| function_name(name) == parameter)
        .map_or(parameter, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_aws_takes_and_are_found_again() {
        for (name, expected) in [
            ("get_order", "get_order"),
            ("get-order", "get-order"),
            ("orders.get", "orders_get"),
            ("orders/get", "orders_get"),
            ("get__order", "get_order"),
            ("_private", "private"),
            ("a b c", "a_b_c"),
            ("tri\u{e9}", "tri_"),
        ] {
            assert_eq!(function_name(name), expected);
        }
        assert_eq!(function_name(&"x".repeat(200)).len(), NAME_CHARS_MAX);
        let tool = |name: &'static str| Tool::new(name, "", JsonObject::new());
        let tools = [tool("a.b"), tool("a_b"), tool("c/d")];
        for (function, expected) in [
            ("a_b", Some("a_b")),
            ("a.b", Some("a.b")),
            ("c_d", Some("c/d")),
            ("e", None),
        ] {
            assert_eq!(
                find(&tools, function).map(|tool| tool.name.as_ref()),
                expected
            );
        }
    }
}
