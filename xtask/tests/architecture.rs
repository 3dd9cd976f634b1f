//! The architecture, kept by a machine: who may depend on whom, and what every file owes its reader.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate → the outcrop crates it may use (ADR 0001).
const ALLOWED: [(&str, &[&str]); 15] = [
    ("outcrop-model", &[]),
    ("outcrop-wire", &["outcrop-model"]),
    ("outcrop-knowledge", &["outcrop-model"]),
    ("outcrop-extract", &["outcrop-knowledge"]),
    ("outcrop-engine", &["outcrop-model", "outcrop-knowledge"]),
    ("outcrop-guardrail", &["outcrop-model"]),
    ("outcrop-postgres", &[]),
    ("outcrop-store", &["outcrop-postgres"]),
    ("outcrop-index", &["outcrop-engine", "outcrop-knowledge"]),
    ("outcrop-embed", &["outcrop-knowledge"]),
    ("outcrop-llm", &[]),
    (
        "outcrop-adapters",
        &[
            "outcrop-model",
            "outcrop-knowledge",
            "outcrop-engine",
            "outcrop-postgres",
            "outcrop-embed",
            "outcrop-llm",
        ],
    ),
    (
        "outcrop-service",
        &[
            "outcrop-model",
            "outcrop-knowledge",
            "outcrop-engine",
            "outcrop-guardrail",
            "outcrop-store",
        ],
    ),
    ("outcrop-deploy", &["outcrop-model", "outcrop-wire"]),
    (
        "outcrop",
        &[
            "outcrop-deploy",
            "outcrop-extract",
            "outcrop-model",
            "outcrop-wire",
            "outcrop-knowledge",
            "outcrop-engine",
            "outcrop-store",
            "outcrop-index",
            "outcrop-adapters",
            "outcrop-service",
        ],
    ),
];

/// Crate → foreign crates that would break what it is for.
const BANNED: [(&str, &[&str]); 9] = [
    ("outcrop-extract", &["tokio", "reqwest", "axum", "tempfile"]),
    (
        "outcrop-knowledge",
        &["tokio", "http", "reqwest", "axum", "rand", "uuid"],
    ),
    (
        "outcrop-guardrail",
        &["tokio", "http", "reqwest", "axum", "rand", "uuid"],
    ),
    ("outcrop-model", &["http", "tokio", "axum", "reqwest"]),
    ("outcrop-wire", &["tokio", "axum", "reqwest", "rusqlite"]),
    (
        "outcrop-engine",
        &["tokio", "reqwest", "rusqlite", "uuid", "rand", "axum"],
    ),
    ("outcrop-store", &["reqwest", "axum", "http"]),
    ("outcrop-service", &["axum", "reqwest", "rusqlite", "hyper"]),
    (
        "outcrop-deploy",
        &["tokio", "axum", "reqwest", "hyper", "clap"],
    ),
];

/// Longest hand-written source file outside tests, lines. The aim is 400; this is where a file is
/// certainly more than one thought.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}

/// Direct dependencies, without those for tests and build scripts, by package.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), names)
        })
        .collect()
}

#[test]
fn crates_depend_only_as_the_architecture_says() {
    let dependencies = dependencies();
    let mut wrong = Vec::new();
    for (name, allowed) in ALLOWED {
        let used = dependencies.get(name).expect("a workspace crate");
        for other in used.iter().filter(|other| other.starts_with("outcrop")) {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("{name} uses {other}"));
            }
        }
    }
    for (name, banned) in BANNED {
        let used = dependencies.get(name).expect("a workspace crate");
        for other in banned.iter().filter(|other| used.contains(**other)) {
            wrong.push(format!("{name} uses {other}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "conformance", "xtask"]
        .iter()
        .map(|folder| root().join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != "third_party" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_source_file_says_what_it_is_for_and_stays_readable() {
    // Spelt apart, so that this file does not find itself.
    let unfinished = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
    ];
    let mut wrong = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let shown = path
            .strip_prefix(root())
            .unwrap_or(&path)
            .display()
            .to_string();
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            wrong.push(format!("{shown}: name the file after its module instead"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!(
                "{shown}: begin with a `//!` that says what the file is for"
            ));
        }
        if let Some(word) = unfinished.iter().find(|word| text.contains(**word)) {
            wrong.push(format!("{shown}: contains {word}"));
        }
        let generated = text
            .lines()
            .take(5)
            .any(|line| line.contains("do not edit"));
        let tests = shown.contains("tests") || shown.contains("conformance");
        let lines = text.lines().count();
        if !generated && !tests && lines > LINES_MAX {
            wrong.push(format!("{shown}: {lines} lines, at most {LINES_MAX}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
