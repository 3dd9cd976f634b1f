//! What an environment (`--env dev`) means: a stack of its own, and values of parameters.
//!
//! The values stand in `parameters.dev.toml` beside the template, one `Name = value` a line. The file
//! may be missing: then the template's defaults serve.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow};

/// `shop` in the environment `dev` is `shop-dev`.
pub(super) fn with_suffix(name: &str, env: Option<&str>) -> String {
    match env {
        Some(env) => format!("{name}-{env}"),
        None => name.to_owned(),
    }
}

/// The stack's name: as given, else from the template's file, else (for the names that every
/// template has) from its folder.
pub(super) fn stack_name(given: Option<&str>, template: &Path, env: Option<&str>) -> String {
    if let Some(name) = given {
        return with_suffix(name, env);
    }
    let file = template.file_name().and_then(|name| name.to_str());
    let stem = file.unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or_default();
    let text = if matches!(stem, "template" | "main" | "stack") {
        let absolute = std::path::absolute(template).unwrap_or_default();
        let folder = absolute.parent().and_then(Path::file_name);
        folder
            .and_then(|name| name.to_str())
            .unwrap_or(stem)
            .to_owned()
    } else {
        stem.to_owned()
    };
    let clean: String = text
        .chars()
        .map(|one| {
            if one.is_ascii_alphanumeric() {
                one
            } else {
                '-'
            }
        })
        .collect();
    let clean = clean.trim_matches(|one: char| !one.is_ascii_alphabetic() && one == '-');
    let clean = if clean.starts_with(|first: char| first.is_ascii_alphabetic()) {
        clean.to_owned()
    } else {
        format!("stack-{clean}")
    };
    with_suffix(clean.trim_end_matches('-'), env)
}

/// The values of the environment's file.
pub(in crate::cli) fn parameters(
    folder: &Path,
    env: Option<&str>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let Some(env) = env else {
        return Ok(BTreeMap::new());
    };
    let is_name = !env.is_empty()
        && env
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name {
        return Err(anyhow!("--env: letters, digits and - are expected"));
    }
    let path = folder.join(format!("parameters.{env}.toml"));
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.with_context(|| format!("{} cannot be read", path.display()))?,
    };
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("{} is no TOML", path.display()))?;
    table
        .into_iter()
        .map(|(name, value)| {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(value) => value.to_string(),
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
                    .map(|items| items.join(","))
                    .ok_or_else(|| anyhow!("{}: {name} is a list of texts", path.display()))?,
                _ => return Err(anyhow!("{}: {name} is a value", path.display())),
            };
            Ok((name, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stacks() {
        let name = |path: &str, env| stack_name(None, Path::new(path), env);
        assert_eq!(name("shop.yaml", None), "shop");
        assert_eq!(
            name("cdk.out/SupportStack.template.json", Some("dev")),
            "SupportStack-dev"
        );
        assert_eq!(name("/srv/my_shop/template.yaml", None), "my-shop");
        assert_eq!(name("/srv/2shop/template.yaml", None), "stack-2shop");
        assert_eq!(
            stack_name(Some("a"), Path::new("b.yaml"), Some("dev")),
            "a-dev"
        );
    }

    #[test]
    fn an_environments_file() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(
            parameters(folder.path(), Some("dev")).expect("none"),
            BTreeMap::new()
        );
        let file = folder.path().join("parameters.dev.toml");
        std::fs::write(
            &file,
            "Stage = \"dev\"\nTtl = 600\nOn = true\nZones = [\"a\", \"b\"]\n",
        )
        .expect("written");
        let values = parameters(folder.path(), Some("dev")).expect("reads");
        let shown: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(shown, ["On=true", "Stage=dev", "Ttl=600", "Zones=a,b"]);
        assert!(parameters(folder.path(), Some("../x")).is_err());
    }
}
