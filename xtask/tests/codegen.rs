//! The committed output is what the models say, and the models are what `SOURCES.toml` says.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use sha2::{Digest as _, Sha256};
use xtask::codegen::overlay::Overlay;
use xtask::codegen::{check, generate, reader};
use xtask::models::root;

#[test]
fn generated_files_are_up_to_date() {
    let files = generate(&root()).unwrap();
    assert_eq!(files.len(), 20);
    check(&root(), &files).unwrap();
}

#[test]
fn vendored_models_are_the_recorded_ones() {
    #[derive(serde::Deserialize)]
    struct Sources {
        models: BTreeMap<String, Source>,
    }
    #[derive(serde::Deserialize)]
    struct Source {
        sha256: String,
    }
    let models = root().join("models");
    let sources = fs::read_to_string(models.join("SOURCES.toml")).unwrap();
    let sources: Sources = toml::from_str(&sources).unwrap();
    assert_eq!(sources.models.len(), 5);
    for (name, source) in sources.models {
        let bytes = fs::read(models.join(format!("{name}.json"))).unwrap();
        let mut actual = String::new();
        for byte in Sha256::digest(bytes) {
            write!(actual, "{byte:02x}").unwrap();
        }
        assert_eq!(actual, source.sha256, "{name}");
    }
}

const MODEL: &str = r#"{
    "operations": {},
    "shapes": {
        "Mode": {"type": "string", "enum": ["A"]},
        "Name": {"type": "string", "max": 10, "pattern": "[a-z]+"},
        "Thing": {"type": "structure", "members": {"name": {"shape": "Name"}}}
    }
}"#;

/// What applying these rows to [`MODEL`] says.
fn apply(rows: &str) -> String {
    let mut model = reader::read(MODEL).unwrap();
    let applied =
        Overlay::read(rows).and_then(|overlay| overlay.apply("bedrock-agent", &mut model));
    applied.map_or_else(|error| format!("{error:#}"), |()| "applied".to_owned())
}

#[test]
fn overlay_rows_must_matter_and_say_why() {
    let shape = |rest: &str| format!("[[shape]]\nservice = \"bedrock-agent\"\n{rest}");
    for (rows, expected) in [
        (
            shape("name = \"Name\"\nmax_length = 20\nreason = \"r\""),
            "applied",
        ),
        (
            shape("name = \"Mode\"\nadd_values = [\"B\"]\nreason = \"r\""),
            "applied",
        ),
        (
            shape("name = \"Name\"\nmax_length = 20\nreason = \" \""),
            "a row without a reason",
        ),
        (
            shape("name = \"Name\"\nmax_length = 10\nreason = \"r\""),
            "the row changes nothing",
        ),
        (
            shape("name = \"Mode\"\nadd_values = [\"A\"]\nreason = \"r\""),
            "A is in the model by now",
        ),
        (
            shape("name = \"Mode\"\norder = [\"B\"]\nreason = \"r\""),
            "the order names other values than the model",
        ),
        (
            shape("name = \"Gone\"\nmax_length = 1\nreason = \"r\""),
            "no such shape",
        ),
        (
            shape("name = \"Thing\"\nmax_length = 1\nreason = \"r\""),
            "only strings, enums and the lengths of lists",
        ),
        (
            shape("name = \"Name\"\nmin = 1\nreason = \"r\""),
            "unknown field `min`",
        ),
    ] {
        let said = apply(&rows);
        assert!(said.contains(expected), "{rows}: {said}");
    }
}

#[test]
fn models_with_unknown_words_are_refused() {
    for (shapes, expected) in [
        (r#"{"A": {"type": "tensor"}}"#, "unknown type tensor"),
        (
            r#"{"A": {"type": "list", "member": {"shape": "B"}}}"#,
            "A names the unknown shape B",
        ),
        (
            r#"{"A": {"type": "structure", "members": {"b": {"shape": "A", "location": "trailer"}}}}"#,
            "unknown location trailer",
        ),
        (
            r#"{"A": {"type": "timestamp", "timestampFormat": "lunar"}}"#,
            "unknown timestamp format",
        ),
    ] {
        let json = format!(r#"{{"operations": {{}}, "shapes": {shapes}}}"#);
        let error = format!("{:#}", reader::read(&json).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}
