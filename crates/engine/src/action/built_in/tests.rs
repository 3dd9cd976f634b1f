//! Parameters of the built-in groups, and the actions and tools they give.

use serde_json::json;

use super::*;

fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn computer_use_returns_control_and_has_the_vendors_definition() {
    for (signature, given, definition, beta) in [
        (
            ActionGroupSignature::AnthropicComputer,
            params(&[
                ("type", "computer_20241022"),
                ("display_width_px", "800"),
                ("display_height_px", "600"),
                ("display_number", "1"),
            ]),
            json!({"type": "computer_20241022", "name": "computer",
                "display_width_px": 800, "display_height_px": 600, "display_number": 1}),
            Some("computer-use-2024-10-22"),
        ),
        (
            ActionGroupSignature::AnthropicComputer,
            params(&[]),
            json!({"type": "computer_20250124", "name": "computer",
                "display_width_px": 1024, "display_height_px": 768}),
            Some("computer-use-2025-01-24"),
        ),
        (
            ActionGroupSignature::AnthropicBash,
            params(&[("type", "bash_20250124")]),
            json!({"type": "bash_20250124", "name": "bash"}),
            None,
        ),
        (
            ActionGroupSignature::AnthropicTextEditor,
            params(&[("type", "text_editor_20250124")]),
            json!({"type": "text_editor_20250124", "name": "str_replace_editor"}),
            None,
        ),
        (
            ActionGroupSignature::AnthropicTextEditor,
            params(&[("type", "text_editor_20250728")]),
            json!({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
            None,
        ),
    ] {
        let built_in = read("Group", signature, &given).expect("valid");
        let action = built_in.action.expect("an action");
        assert_eq!(action.executor, Executor::ReturnControl);
        assert!(action.computer_use);
        assert_eq!(action.tool_name, definition["name"]);
        assert_eq!(
            built_in.vendor_tool,
            Some(VendorTool {
                name: action.tool_name,
                definition,
                beta: beta.map(ToOwned::to_owned),
            })
        );
    }
}

#[test]
fn a_wrong_parameter_is_named() {
    for (signature, given, detail) in [
        (
            ActionGroupSignature::AnthropicComputer,
            params(&[("type", "bash_20250124")]),
            "type: expected computer_ and a date, such as computer_20250124, got bash_20250124",
        ),
        (
            ActionGroupSignature::AnthropicComputer,
            params(&[("display_width_px", "wide")]),
            "display_width_px: expected a whole number from 1 to 16384, got wide",
        ),
        (
            ActionGroupSignature::AnthropicComputer,
            params(&[("display_number", "-1")]),
            "display_number: expected a whole number, got -1",
        ),
        (
            ActionGroupSignature::AnthropicBash,
            params(&[("display_width_px", "1")]),
            "expected type, got display_width_px",
        ),
        (
            ActionGroupSignature::AmazonCodeInterpreter,
            params(&[("type", "python")]),
            "expected none, got type",
        ),
    ] {
        let error = read("Group", signature, &given).err().expect("refused");
        assert_eq!(
            error.to_string(),
            format!("parentActionGroupSignatureParams of action group Group: {detail}")
        );
    }
}
