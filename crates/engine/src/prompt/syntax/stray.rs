//! Calls that a model writes into its text although it has been given tools natively.
//!
//! Small models do, and servers whose template for their tools is wrong pass it on as text. Read only
//! where nothing else can be meant: the reply ends in it, and every name in it is a tool's. Nothing is
//! ever malformed here; what is no call is text.

use super::{Found, json, xml};

/// What servers leave around a call.
const WRAPPINGS: [&str; 6] = [
    "```json",
    "```",
    "<|python_tag|>",
    "<|eom_id|>",
    "<tool_call>",
    "</tool_call>",
];

pub(super) fn find(text: &str, known: &dyn Fn(&str) -> bool) -> Found {
    for (found, is_call) in [
        (xml::find(text, known), begins_as_xml as fn(&str) -> bool),
        (json::find(text, known), is_json),
    ] {
        if let Found::Calls { text_end, .. } = &found
            && text
                .get(*text_end..)
                .is_some_and(|rest| is_call(rest.trim()))
        {
            return found;
        }
    }
    Found::Nothing
}

fn begins_as_xml(rest: &str) -> bool {
    rest.starts_with("<function_calls>") || rest.starts_with("<invoke")
}

/// Whether nothing but JSON and its wrapping is left.
fn is_json(rest: &str) -> bool {
    let mut bare = rest;
    // Each wrapping is met twice at most: a fence and a tag, before and behind.
    for _ in 0..2 {
        for wrapping in WRAPPINGS {
            bare = bare.strip_prefix(wrapping).unwrap_or(bare).trim();
            bare = bare.strip_suffix(wrapping).unwrap_or(bare).trim();
        }
    }
    bare.starts_with(['{', '[']) && bare.ends_with(['}', ']'])
}
