//! `cargo xtask models refresh`: vendors the service models from an installed botocore.
//!
//! Documentation and endpoint rules are dropped, keys are sorted, and of `bedrock`, `bedrock-runtime`
//! and `lambda` what is served is kept with the routes of the rest, so that the diff of a refresh is the
//! review of the API's change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The folder of each service in botocore's data, and what of it to keep.
const SERVICES: [(&str, Keep); 5] = [
    ("bedrock", Keep::RoutesBesides(&BEDROCK)),
    ("bedrock-agent", Keep::All),
    ("bedrock-agent-runtime", Keep::All),
    (
        "bedrock-runtime",
        Keep::RoutesBesides(&["ApplyGuardrail", "Converse", "ConverseStream"]),
    ),
    ("lambda", Keep::RoutesBesides(&LAMBDA)),
];

/// What of a service to keep.
#[derive(Clone, Copy)]
enum Keep {
    /// Everything.
    All,
    /// These operations with their shapes, and of the others the routes, so that each can be refused
    /// by its name. Routes that only a query tells apart are left out: the router ignores queries.
    RoutesBesides(&'static [&'static str]),
}

/// What is served of Bedrock: guardrails and their tags.
const BEDROCK: [&str; 9] = [
    "CreateGuardrail",
    "CreateGuardrailVersion",
    "DeleteGuardrail",
    "GetGuardrail",
    "ListGuardrails",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
    "UpdateGuardrail",
];

/// What is served of Lambda: deploying and calling functions from zip archives.
const LAMBDA: [&str; 25] = [
    "AddPermission",
    "CreateAlias",
    "CreateFunction",
    "DeleteAlias",
    "DeleteFunction",
    "DeleteFunctionConcurrency",
    "GetAlias",
    "GetFunction",
    "GetFunctionCodeSigningConfig",
    "GetFunctionConcurrency",
    "GetFunctionConfiguration",
    "GetPolicy",
    "Invoke",
    "ListAliases",
    "ListFunctions",
    "ListTags",
    "ListVersionsByFunction",
    "PublishVersion",
    "PutFunctionConcurrency",
    "RemovePermission",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateFunctionCode",
    "UpdateFunctionConfiguration",
];

/// Dropped wherever they occur as traits.
const DROPPED: [&str; 5] = [
    "documentation",
    "documentationUrl",
    "deprecatedMessage",
    "deprecatedSince",
    "endpoint",
];

/// Options of `cargo xtask models`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Rewrite the vendored models from an installed botocore.
    Refresh {
        /// The folder of the botocore package; by default the one `python3` imports.
        #[arg(long, value_name = "DIR")]
        botocore: Option<PathBuf>,
    },
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Runs the command.
///
/// # Errors
/// When botocore is not found, a model is not as expected, or a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        Action::Refresh { botocore } => {
            let botocore = botocore.clone().map_or_else(installed_botocore, Ok)?;
            refresh(&botocore, &root().join("models"))
        }
    }
}

fn installed_botocore() -> Result<PathBuf> {
    let script = "import botocore, os; print(os.path.dirname(botocore.__file__))";
    Ok(PathBuf::from(python(&["-c", script])?.trim()))
}

fn python(args: &[&str]) -> Result<String> {
    let output = Command::new("python3")
        .args(args)
        .output()
        .context("python3")?;
    ensure!(
        output.status.success(),
        "python3 failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn refresh(botocore: &Path, models: &Path) -> Result<()> {
    let version = installed_version(botocore)?;
    let mut sources = format!(
        "# Where the vendored models come from; written by `cargo xtask models refresh`.\n\n\
         [botocore]\norigin = \"https://pypi.org/project/botocore/{version}/\"\nversion = \"{version}\"\nlicense = \"Apache-2.0\"\n"
    );
    for (service, keep) in SERVICES {
        let source = newest_model(&botocore.join("data").join(service))?;
        let text = unpack(&source)?;
        let raw: Value =
            serde_json::from_str(&text).with_context(|| source.display().to_string())?;
        let stripped = strip_model(raw, keep).with_context(|| service.to_owned())?;
        let mut json = serde_json::to_string_pretty(&stripped)?;
        json.push('\n');
        fs::write(models.join(format!("{service}.json")), &json)?;
        let member = source
            .strip_prefix(botocore)
            .unwrap_or(&source)
            .display()
            .to_string();
        write!(
            sources,
            "\n[models.{service}]\nmember = \"botocore/{member}\"\nsource_sha256 = \"{}\"\nsha256 = \"{}\"\n",
            sha256(text.as_bytes()),
            sha256(json.as_bytes()),
        )?;
        println!("wrote models/{service}.json from botocore {version}");
    }
    fs::write(models.join("SOURCES.toml"), sources)?;
    Ok(())
}

fn installed_version(botocore: &Path) -> Result<String> {
    let path = botocore.join("__init__.py");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("__version__ = "));
    let version = line.context("botocore/__init__.py has no __version__")?;
    Ok(version.trim_matches(['\'', '"']).to_owned())
}

/// The model of the latest API version in a service's folder.
fn newest_model(folder: &Path) -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    versions.sort();
    let newest = versions.pop().context("a service without an API version")?;
    let candidates = ["service-2.json", "service-2.json.gz"].map(|name| newest.join(name));
    let found = candidates.into_iter().find(|path| path.exists());
    found.with_context(|| format!("no service model in {}", newest.display()))
}

/// Reads a file that may be gzipped, through the Python that botocore needs anyway.
fn unpack(path: &Path) -> Result<String> {
    if path.extension().is_some_and(|extension| extension == "gz") {
        let path = path.to_str().context("a path that is no UTF-8")?;
        let script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
        python(&["-c", script, path])
    } else {
        Ok(fs::read_to_string(path)?)
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Keeps metadata, operations and shapes; of these what `keep` says.
fn strip_model(mut model: Value, keep: Keep) -> Result<Value> {
    let mut take = |key: &str| -> Result<Map<String, Value>> {
        let part = model.get_mut(key).map(Value::take);
        match part {
            Some(Value::Object(map)) => Ok(map),
            _ => anyhow::bail!("the model has no {key}"),
        }
    };
    let metadata = take("metadata")?;
    let mut operations = take("operations")?;
    let mut shapes = take("shapes")?;
    if let Keep::RoutesBesides(names) = keep {
        ensure!(
            names.iter().all(|name| operations.contains_key(*name)),
            "an operation to keep is missing"
        );
        operations.retain(|name, operation| {
            names.contains(&name.as_str()) || !has_literal_query(operation)
        });
        for (name, operation) in &mut operations {
            if !names.contains(&name.as_str())
                && let Value::Object(traits) = operation
            {
                traits.retain(|name, _| name == "http" || name == "name");
            }
        }
        let needed = reachable(&operations, &shapes);
        shapes.retain(|name, _| needed.contains(name));
    }
    for operation in operations.values_mut() {
        strip_traits(operation);
    }
    for shape in shapes.values_mut() {
        strip_traits(shape);
        if let Some(Value::Object(members)) = shape.get_mut("members") {
            members.values_mut().for_each(strip_traits);
        }
    }
    let parts: BTreeMap<&str, Map<String, Value>> = BTreeMap::from([
        ("metadata", metadata),
        ("operations", operations),
        ("shapes", shapes),
    ]);
    Ok(serde_json::to_value(parts)?)
}

fn has_literal_query(operation: &Value) -> bool {
    let uri = operation
        .pointer("/http/requestUri")
        .and_then(Value::as_str);
    uri.is_some_and(|uri| uri.contains('?'))
}

/// Removes the dropped traits from a value and its `http`, `input`, `member`…; members of structures
/// are named by AWS, so one called `documentation` must survive: callers pass each by itself.
fn strip_traits(value: &mut Value) {
    let Value::Object(map) = value else {
        return;
    };
    for name in DROPPED {
        map.remove(name);
    }
    for name in ["input", "output", "member", "key", "value"] {
        if let Some(reference) = map.get_mut(name) {
            strip_traits(reference);
        }
    }
    if let Some(Value::Array(errors)) = map.get_mut("errors") {
        errors.iter_mut().for_each(strip_traits);
    }
}

/// The shapes that operations lead to.
fn reachable(operations: &Map<String, Value>, shapes: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Value> = operations.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get("shape")
                    && found.insert(name.clone())
                {
                    open.extend(shapes.get(name));
                }
                open.extend(map.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}
