//! COMPAT.md tells the truth about operations: what it lists as served and not served is what the
//! routes are made from.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

const SERVICES: [(&str, &str, &str); 5] = [
    (
        "bedrock-agent",
        "### bedrock-agent:",
        "### bedrock-agent-runtime:",
    ),
    (
        "bedrock-agent-runtime",
        "### bedrock-agent-runtime:",
        "### bedrock:",
    ),
    ("bedrock", "### bedrock:", "### bedrock-runtime:"),
    ("bedrock-runtime", "### bedrock-runtime:", "### lambda:"),
    (
        "lambda",
        "### lambda:",
        "## Not supported inside served operations",
    ),
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).expect("a file of the project")
}

/// The words of `text` that name one of `operations`.
fn named<'a>(text: &str, operations: &'a BTreeSet<String>) -> BTreeSet<&'a str> {
    let words: BTreeSet<&str> = text
        .split(|character: char| !character.is_ascii_alphanumeric())
        .collect();
    let known = operations.iter().map(String::as_str);
    known.filter(|name| words.contains(name)).collect()
}

#[test]
fn compat_lists_every_operation_where_it_belongs() {
    let compat = read("COMPAT.md");
    let lists: toml::Value = toml::from_str(&read("models/not_implemented.toml")).expect("TOML");
    for (service, from, to) in SERVICES {
        let model: Value =
            serde_json::from_str(&read(&format!("models/{service}.json"))).expect("JSON");
        let operations: BTreeSet<String> = model["operations"]
            .as_object()
            .expect("operations")
            .keys()
            .cloned()
            .collect();
        let missing: BTreeSet<&str> = lists[service]["operations"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(toml::Value::as_str)
            .collect();
        let section = compat
            .split_once(from)
            .and_then(|(_, rest)| rest.split_once(to))
            .map(|(section, _)| section)
            .expect("a section a service");
        let (served, not_served) = section.split_once("Not served").expect("both lists");
        assert_eq!(
            named(not_served, &operations),
            missing,
            "{service}, not served"
        );
        let expected: BTreeSet<&str> = operations
            .iter()
            .map(String::as_str)
            .filter(|name| !missing.contains(name))
            .collect();
        assert_eq!(named(served, &operations), expected, "{service}, served");
    }
}
