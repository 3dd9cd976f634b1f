//! The action groups that AWS brings along: the code interpreter and Anthropic's computer use
//! (behaviour.md 12.3, 12.4). Asking the user is no action; [`crate::plan`] has its tool.
//!
//! Every one is a plain tool that any model can call. For Anthropic's tools there is the vendor's own
//! definition beside it, which its models have been trained on.

mod computer_use;

use std::collections::BTreeMap;

use outcrop_model::control::ActionGroupSignature;
use serde_json::json;

use super::{Action, ActionParameter, ActionTarget, ParameterType, SchemaError};
use crate::definition::Executor;
use crate::port::VendorTool;

/// The tool that runs code: AWS's name for models that call tools natively.
pub const CODE_INTERPRETER_TOOL: &str = "get__codeinterpreteraction__execute";
/// The parameter that holds the code.
pub const CODE: &str = "code";

const CODE_INTERPRETER: &str = "Runs Python in a session that keeps its variables, imports and files from one call to the next, and returns what was printed and the value of a last expression, as an interactive interpreter does. numpy, pandas and matplotlib are installed. Notes: Write the code yourself; do not ask the user for it. There is no internet access, nothing can be installed, and input() fails. Files of the user and files to be given to the user are in $BASE_PATH$: name them as '$BASE_PATH$/file_name.csv'. Look into a file whose content you do not know before you work with it. Save plots and other results as files there; plt.show() does so as well. At most 5 new or changed files of at most 1 MB each are given to the user after a call. Call it at most 3 times in a row before you speak to the user again.";

/// What a built-in group gives to an agent.
pub struct BuiltIn {
    /// Its one action; none for [`ActionGroupSignature::AmazonUserInput`].
    pub action: Option<Action>,
    /// The vendor's definition of the same tool.
    pub vendor_tool: Option<VendorTool>,
}

/// Reads a built-in group.
///
/// # Errors
/// [`SchemaError::BuiltIn`] where a parameter is unknown or its value cannot be used.
pub fn read(
    action_group: &str,
    signature: ActionGroupSignature,
    params: &BTreeMap<String, String>,
) -> Result<BuiltIn, SchemaError> {
    let group = computer_use::Group::new(action_group, params);
    match signature {
        ActionGroupSignature::AnthropicComputer => group.computer(),
        ActionGroupSignature::AnthropicBash => group.bash(),
        ActionGroupSignature::AnthropicTextEditor => group.text_editor(),
        ActionGroupSignature::AmazonCodeInterpreter => {
            group.refuse_unknown(&[])?;
            Ok(BuiltIn {
                action: Some(code_interpreter(action_group)),
                vendor_tool: None,
            })
        }
        // The type is open to future AWS values; of today's, only asking the user is left.
        _ => {
            group.refuse_unknown(&[])?;
            Ok(BuiltIn {
                action: None,
                vendor_tool: None,
            })
        }
    }
}

fn code_interpreter(action_group: &str) -> Action {
    Action {
        tool_name: CODE_INTERPRETER_TOOL.to_owned(),
        action_group: action_group.to_owned(),
        description: Some(CODE_INTERPRETER.to_owned()),
        target: ActionTarget::Function {
            name: "execute".to_owned(),
        },
        executor: Executor::CodeInterpreter,
        requires_confirmation: false,
        typed_arguments: false,
        parameters: vec![ActionParameter {
            name: CODE.to_owned(),
            type_: ParameterType::String,
            required: true,
            in_body: false,
            also_in_body: false,
            schema: json!({"type": "string", "description": "The Python code to run."}),
        }],
        operation: None,
        computer_use: false,
    }
}

#[cfg(test)]
mod tests;
