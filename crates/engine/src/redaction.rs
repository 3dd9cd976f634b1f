//! Names of tools in what a collaborator hands back: its supervisor, and so the user, must not learn
//! how the collaborator works. On AWS such a name becomes `<REDACTED>` (trace-order.md 2).
//!
//! A name that is a plain word stays, for a word proves nothing: an agent with a function `search` may
//! still say that it made a search.

use std::collections::BTreeSet;

use outcrop_model::converse::Tool;

/// What stands in place of a name.
const REDACTED: &str = "<REDACTED>";

/// The text without the names of these tools, and without those of their functions.
pub fn without_tool_names(text: &str, tools: &[Tool]) -> String {
    let mut names = BTreeSet::new();
    for tool in tools {
        let Tool::ToolSpec(tool) = tool else { continue };
        names.insert(tool.name.as_str());
        if let Some((_, function)) = tool.name.rsplit_once("__")
            && !is_word(function)
        {
            names.insert(function);
        }
    }
    let mut names: Vec<&str> = names.into_iter().collect();
    // A name may be the end of a longer one.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut text = text.to_owned();
    for name in names {
        if text.contains(name) {
            text = replaced(&text, name);
        }
    }
    text
}

/// Whether a name could be a word of a sentence.
fn is_word(name: &str) -> bool {
    name.chars()
        .enumerate()
        .all(|(index, character)| match index {
            0 => character.is_alphabetic(),
            _ => character.is_lowercase(),
        })
}

/// The text with each whole occurrence of the name replaced.
fn replaced(text: &str, name: &str) -> String {
    let is_part = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(name) {
        out.push_str(before);
        let whole = !is_part(out.chars().next_back()) && !is_part(after.chars().next());
        out.push_str(if whole { REDACTED } else { name });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use outcrop_model::converse::{ToolInputSchema, ToolSpecification};
    use serde_json::json;

    use super::*;

    fn tools() -> Vec<Tool> {
        ["Math__primes_between", "Math__sum", "GET__Web__fetchPage"]
            .into_iter()
            .map(|name| {
                Tool::ToolSpec(ToolSpecification {
                    name: name.to_owned(),
                    description: None,
                    input_schema: ToolInputSchema::Json(json!({})),
                    strict: None,
                })
            })
            .collect()
    }

    #[test]
    fn names_are_taken_out_and_words_stay() {
        for (text, told) in [
            (
                "The tool `primes_between` gave 2.",
                "The tool `<REDACTED>` gave 2.",
            ),
            ("Math__primes_between, fetchPage", "<REDACTED>, <REDACTED>"),
            ("GET__Web__fetchPage(1)", "<REDACTED>(1)"),
            ("The sum is 3.", "The sum is 3."),
            ("Math__sum is 3.", "<REDACTED> is 3."),
            ("my_primes_between2", "my_primes_between2"),
            ("Zwölf: primes_between", "Zwölf: <REDACTED>"),
            ("", ""),
        ] {
            assert_eq!(without_tool_names(text, &tools()), told, "{text}");
        }
    }
}
