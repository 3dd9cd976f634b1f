//! Anthropic's computer use: mouse, keyboard and screen, a shell, a text editor. The caller carries
//! every call out, for all three return control.
//!
//! The parameters a tool takes are those of its newest version; a model that is told an older one
//! by the vendor's definition does not use the others.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::BuiltIn;
use crate::action::{Action, ActionParameter, ActionTarget, ParameterType, SchemaError};
use crate::definition::Executor;
use crate::port::VendorTool;

/// The version for a group that names none: the one for the newest models AWS offers this with.
const DEFAULT_VERSION: &str = "20250124";
/// The screen of a group that gives no size, as in AWS's own samples.
const DEFAULT_DISPLAY: (u64, u64) = (1024, 768);
/// A larger screen is a mistake: no model sees more than a fraction of it.
const DISPLAY_PX_MAX: u64 = 16_384;

const COMPUTER: &str = "Uses the mouse and the keyboard of a computer and looks at its screen. The result of most actions is a screenshot. Coordinates are pixels from the top left corner.";
const BASH: &str = "Runs a command in a bash shell that keeps its state between calls.";
const TEXT_EDITOR: &str =
    "Views, creates and edits files. Paths are absolute. old_str must match exactly one place.";

const COMPUTER_ACTIONS: [&str; 17] = [
    "screenshot",
    "cursor_position",
    "mouse_move",
    "left_click",
    "right_click",
    "middle_click",
    "double_click",
    "triple_click",
    "left_click_drag",
    "left_mouse_down",
    "left_mouse_up",
    "scroll",
    "key",
    "hold_key",
    "type",
    "wait",
    "zoom",
];
const EDITOR_COMMANDS: [&str; 5] = ["view", "create", "str_replace", "insert", "undo_edit"];

/// A group that is being read.
pub(super) struct Group<'a> {
    name: &'a str,
    params: &'a BTreeMap<String, String>,
}

impl<'a> Group<'a> {
    pub(super) fn new(name: &'a str, params: &'a BTreeMap<String, String>) -> Self {
        Self { name, params }
    }

    pub(super) fn computer(&self) -> Result<BuiltIn, SchemaError> {
        self.refuse_unknown(&[
            "type",
            "display_width_px",
            "display_height_px",
            "display_number",
        ])?;
        let version = self.version("computer")?;
        let width = self.pixels("display_width_px", DEFAULT_DISPLAY.0)?;
        let height = self.pixels("display_height_px", DEFAULT_DISPLAY.1)?;
        let mut definition = json!({
            "type": format!("computer_{version}"),
            "name": "computer",
            "display_width_px": width,
            "display_height_px": height,
        });
        if let Some(number) = self.params.get("display_number") {
            let number: u32 = number.parse().map_err(|_| {
                self.refused(&format!(
                    "display_number: expected a whole number, got {number}"
                ))
            })?;
            definition["display_number"] = json!(number);
        }
        let action = self.action(
            "computer",
            &format!("{COMPUTER} The screen is {width} pixels wide and {height} high."),
            vec![
                one_of("action", &COMPUTER_ACTIONS, true),
                list("coordinate", "Where: [x, y]."),
                list(
                    "start_coordinate",
                    "Where a left_click_drag begins: [x, y].",
                ),
                text("text", "What to type, or the keys to press."),
                one_of("scroll_direction", &["up", "down", "left", "right"], false),
                whole("scroll_amount", "How far to scroll, in clicks."),
                number("duration", "How long to hold a key or to wait, in seconds."),
                list("region", "What to zoom into: [x0, y0, x1, y1]."),
            ],
        );
        Ok(built_in(action, definition, Some(computer_beta(&version))))
    }

    pub(super) fn bash(&self) -> Result<BuiltIn, SchemaError> {
        self.refuse_unknown(&["type"])?;
        let version = self.version("bash")?;
        let definition = json!({"type": format!("bash_{version}"), "name": "bash"});
        let action = self.action(
            "bash",
            BASH,
            vec![
                text("command", "The command to run."),
                parameter(
                    "restart",
                    ParameterType::Boolean,
                    false,
                    json!({"type": "boolean", "description": "Whether to start the shell anew."}),
                ),
            ],
        );
        Ok(built_in(action, definition, first_beta(&version)))
    }

    pub(super) fn text_editor(&self) -> Result<BuiltIn, SchemaError> {
        self.refuse_unknown(&["type"])?;
        let version = self.version("text_editor")?;
        // The tool was renamed when it lost undo_edit.
        let name = if version.as_str() < "20250429" {
            "str_replace_editor"
        } else {
            "str_replace_based_edit_tool"
        };
        let definition = json!({"type": format!("text_editor_{version}"), "name": name});
        let action = self.action(
            name,
            TEXT_EDITOR,
            vec![
                one_of("command", &EDITOR_COMMANDS, true),
                parameter(
                    "path",
                    ParameterType::String,
                    true,
                    json!({"type": "string", "description": "The file or folder."}),
                ),
                text("file_text", "The content of a file to create."),
                text("old_str", "The text to replace."),
                text("new_str", "The text to put in."),
                text("insert_text", "The text to insert."),
                whole("insert_line", "The line after which to insert."),
                list("view_range", "The lines to view: [first, last]."),
            ],
        );
        Ok(built_in(action, definition, first_beta(&version)))
    }

    pub(super) fn refuse_unknown(&self, known: &[&str]) -> Result<(), SchemaError> {
        let Some(unknown) = self
            .params
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        else {
            return Ok(());
        };
        let expected = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        Err(self.refused(&format!("expected {expected}, got {unknown}")))
    }

    /// The date in `type`: `computer_20241022` gives `20241022`.
    fn version(&self, tool: &str) -> Result<String, SchemaError> {
        let Some(given) = self.params.get("type") else {
            return Ok(DEFAULT_VERSION.to_owned());
        };
        given
            .strip_prefix(tool)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
            .map(ToOwned::to_owned)
            .ok_or_else(|| {
                self.refused(&format!(
                    "type: expected {tool}_ and a date, such as {tool}_{DEFAULT_VERSION}, got {given}"
                ))
            })
    }

    fn pixels(&self, name: &str, default: u64) -> Result<u64, SchemaError> {
        let Some(given) = self.params.get(name) else {
            return Ok(default);
        };
        given
            .parse()
            .ok()
            .filter(|pixels| (1..=DISPLAY_PX_MAX).contains(pixels))
            .ok_or_else(|| {
                self.refused(&format!(
                    "{name}: expected a whole number from 1 to {DISPLAY_PX_MAX}, got {given}"
                ))
            })
    }

    fn refused(&self, detail: &str) -> SchemaError {
        SchemaError::BuiltIn {
            action_group: self.name.to_owned(),
            detail: detail.to_owned(),
        }
    }

    fn action(&self, tool: &str, description: &str, parameters: Vec<ActionParameter>) -> Action {
        Action {
            tool_name: tool.to_owned(),
            action_group: self.name.to_owned(),
            description: Some(description.to_owned()),
            target: ActionTarget::Function {
                name: tool.to_owned(),
            },
            executor: Executor::ReturnControl,
            requires_confirmation: false,
            typed_arguments: false,
            parameters,
            operation: None,
            computer_use: true,
        }
    }
}

fn built_in(action: Action, definition: Value, beta: Option<&str>) -> BuiltIn {
    BuiltIn {
        vendor_tool: Some(VendorTool {
            name: action.tool_name.clone(),
            definition,
            beta: beta.map(ToOwned::to_owned),
        }),
        action: Some(action),
    }
}

/// The beta that a version of the computer tool belongs to.
fn computer_beta(version: &str) -> &'static str {
    match version {
        "20241022" => "computer-use-2024-10-22",
        "20251124" => "computer-use-2025-11-24",
        _ => "computer-use-2025-01-24",
    }
}

/// The first versions of shell and editor belong to a beta, later ones to none.
fn first_beta(version: &str) -> Option<&'static str> {
    (version == "20241022").then_some("computer-use-2024-10-22")
}

fn parameter(name: &str, type_: ParameterType, required: bool, schema: Value) -> ActionParameter {
    ActionParameter {
        name: name.to_owned(),
        type_,
        required,
        in_body: false,
        also_in_body: false,
        schema,
    }
}

fn described(type_: ParameterType, description: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!(type_.as_str()));
    schema.insert("description".to_owned(), json!(description));
    schema
}

fn one_of(name: &str, allowed: &[&str], required: bool) -> ActionParameter {
    let schema = json!({"type": "string", "enum": allowed});
    parameter(name, ParameterType::String, required, schema)
}

fn text(name: &str, description: &str) -> ActionParameter {
    let schema = described(ParameterType::String, description);
    parameter(name, ParameterType::String, false, Value::Object(schema))
}

fn whole(name: &str, description: &str) -> ActionParameter {
    let schema = described(ParameterType::Integer, description);
    parameter(name, ParameterType::Integer, false, Value::Object(schema))
}

fn number(name: &str, description: &str) -> ActionParameter {
    let schema = described(ParameterType::Number, description);
    parameter(name, ParameterType::Number, false, Value::Object(schema))
}

fn list(name: &str, description: &str) -> ActionParameter {
    let mut schema = described(ParameterType::Array, description);
    schema.insert("items".to_owned(), json!({"type": "integer"}));
    parameter(name, ParameterType::Array, false, Value::Object(schema))
}
