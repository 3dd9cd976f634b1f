//! `cargo xtask codegen`: from the vendored service models to committed Rust data.
//!
//! Reads `models/*.json`, applies `models/overlay.toml`, and writes the generated modules of
//! `crates/model` and the route lists of `crates/wire`. With `--check` it writes nothing and fails
//! when a file differs; a test runs that.

mod emit;
pub mod ir;
mod names;
pub mod overlay;
pub mod reader;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use emit::Target;
use ir::{Model, Operation, Segment};
use overlay::Overlay;

/// The services, in the order of their modules.
const TARGETS: [Target; 5] = [
    Target {
        module: "control",
        service: "Control",
        model: "bedrock-agent",
        exceptions: None,
    },
    Target {
        module: "runtime",
        service: "Runtime",
        model: "bedrock-agent-runtime",
        exceptions: None,
    },
    Target {
        module: "converse",
        service: "Converse",
        model: "bedrock-runtime",
        exceptions: None,
    },
    Target {
        module: "bedrock",
        service: "Bedrock",
        model: "bedrock",
        exceptions: None,
    },
    Target {
        module: "lambda",
        service: "Lambda",
        model: "lambda",
        exceptions: Some(&LAMBDA_EXCEPTIONS),
    },
];

/// The exceptions of Lambda that this server has causes for, by what they are elsewhere. The others
/// are about VPCs, file systems, keys and the like.
const LAMBDA_EXCEPTIONS: [(&str, &str); 10] = [
    ("CodeStorageExceededException", "ServiceQuotaExceeded"),
    ("InvalidParameterValueException", "InvalidParameterValue"),
    ("InvalidRequestContentException", "InvalidRequestContent"),
    ("PolicyLengthExceededException", "PolicyLengthExceeded"),
    ("PreconditionFailedException", "PreconditionFailed"),
    ("RequestTooLargeException", "RequestTooLarge"),
    ("ResourceConflictException", "Conflict"),
    ("ResourceNotFoundException", "ResourceNotFound"),
    ("ServiceException", "InternalServer"),
    ("TooManyRequestsException", "Throttling"),
];

/// Options of `cargo xtask codegen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write nothing; fail if a generated file is not what the models say.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
///
/// # Errors
/// When a model or the overlay is faulty, a file cannot be written, or `--check` finds a difference.
pub fn run(args: &Args) -> Result<()> {
    let root = crate::models::root();
    let files = generate(&root)?;
    if args.check {
        return check(&root, &files);
    }
    for (path, text) in files {
        let path = root.join(path);
        if fs::read_to_string(&path).is_ok_and(|current| current == text) {
            continue;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails unless the files under `root` are exactly `files`.
///
/// # Errors
/// Names every file that differs.
pub fn check(root: &Path, files: &BTreeMap<PathBuf, String>) -> Result<()> {
    let stale: Vec<_> = files
        .iter()
        .filter(|(path, text)| {
            fs::read_to_string(root.join(path)).ok().as_deref() != Some(text.as_str())
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    ensure!(
        stale.is_empty(),
        "not up to date, run `cargo xtask codegen`: {}",
        stale.join(", ")
    );
    Ok(())
}

/// Every generated file by its path below the root of the repository.
///
/// # Errors
/// When a model, the overlay or the list of missing operations is faulty, or rustfmt fails.
pub fn generate(root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let read = |name: &str| {
        let path = root.join("models").join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let overlay = Overlay::read(&read("overlay.toml")?)?;
    let missing: BTreeMap<String, Missing> =
        toml::from_str(&read("not_implemented.toml")?).context("models/not_implemented.toml")?;
    let mut files = BTreeMap::new();
    for target in TARGETS {
        let mut model = reader::read(&read(&format!("{}.json", target.model))?)
            .with_context(|| target.model.to_owned())?;
        overlay.apply(target.model, &mut model)?;
        let folder = Path::new("crates/model/src").join(target.module);
        files.insert(
            folder.join("shapes.rs"),
            rustfmt(&emit::shapes(target, &model))?,
        );
        files.insert(folder.join("ops.rs"), rustfmt(&emit::ops(target, &model))?);
        files.insert(
            folder.join("tables.rs"),
            rustfmt(&emit::tables(target, &model))?,
        );
        if let Some(missing) = missing.get(target.model) {
            let missing = missing.checked(target, &model)?;
            let path = Path::new("crates/wire/src/generated").join(target.module);
            let text = rustfmt(&emit::routes(target, &model, missing))?;
            files.insert(path.with_extension("rs"), text);
        }
    }
    Ok(files)
}

/// The operations of one service that have no handler yet. The lists may only shrink.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Missing {
    operations: Vec<String>,
}

impl Missing {
    /// Fails on a name that is no operation, or out of order.
    fn checked(&self, target: Target, model: &Model) -> Result<&[String]> {
        let unknown = self
            .operations
            .iter()
            .find(|name| !model.operations.contains_key(*name));
        if let Some(name) = unknown {
            bail!(
                "models/not_implemented.toml: {} has no operation {name}",
                target.model
            );
        }
        ensure!(
            self.operations.is_sorted(),
            "models/not_implemented.toml: keep the operations of {} sorted",
            target.model
        );
        Ok(&self.operations)
    }
}

/// An operation's path as AWS writes it.
fn path_text(operation: &Operation) -> String {
    let mut text = String::new();
    for segment in &operation.path {
        text.push('/');
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Label(label) => text.extend(["{", label, "}"]),
            Segment::GreedyLabel(label) => text.extend(["{", label, "+}"]),
        }
    }
    if operation.trailing_slash || text.is_empty() {
        text.push('/');
    }
    text
}

/// Formats source with the toolchain's rustfmt and its default style, wherever this runs.
fn rustfmt(source: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args([
            "--edition",
            "2024",
            "--emit",
            "stdout",
            "--config-path",
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("rustfmt is part of the toolchain in rust-toolchain.toml")?;
    let mut stdin = child
        .stdin
        .take()
        .context("rustfmt has no standard input")?;
    let input = source.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().expect("writing to a pipe does not panic")?;
    ensure!(
        output.status.success(),
        "rustfmt refused the generated source: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
