//! Whether a function's code has the handler that it is said to have.
//!
//! Looks at files and at their text; runs nothing. So a name that is made at run time may be missed:
//! whoever finds nothing says so as a warning, and a file that is not there as an error.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// A handler's file is read up to this size.
const SOURCE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a handler will not be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Missing {
    /// Whether it is certain; else the code may still define it in a way that was not understood.
    pub(crate) is_certain: bool,
    pub(crate) problem: String,
    pub(crate) advice: String,
}

/// Looks for `handler` in the folder `code`. `runtime` is `python3.12`, `node`, `provided` or the like;
/// an unknown one is not looked at.
pub(crate) fn check(runtime: &str, code: &Path, handler: &str) -> Option<Missing> {
    if !code.is_dir() {
        return missing(
            format!("the code folder {} is not there", code.display()),
            "Name the folder that holds the handler",
        );
    }
    if runtime.starts_with("provided") {
        let bootstrap = code.join("bootstrap");
        return (!bootstrap.is_file())
            .then(|| {
                missing(
                    format!("{} is not there", bootstrap.display()),
                    "Build the program to this path, or name another as `command`",
                )
            })
            .flatten();
    }
    let (module, name) = handler.rsplit_once('.').unwrap_or((handler, ""));
    if runtime.starts_with("python") {
        let module = module.replace('.', "/");
        let files = [format!("{module}.py"), format!("{module}/__init__.py")];
        return in_files(code, handler, name, &files, defines_python);
    }
    if runtime.starts_with("node") {
        let files = ["js", "mjs", "cjs"].map(|extension| format!("{module}.{extension}"));
        return in_files(code, handler, name, &files, defines_node);
    }
    None
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "so that it can be returned as it is"
)]
fn missing(problem: String, advice: &str) -> Option<Missing> {
    Some(Missing {
        is_certain: true,
        problem,
        advice: advice.to_owned(),
    })
}

fn in_files(
    code: &Path,
    handler: &str,
    name: &str,
    files: &[String],
    defines: fn(&str, &str) -> bool,
) -> Option<Missing> {
    let found: Option<PathBuf> = files
        .iter()
        .map(|file| code.join(file))
        .find(|path| path.is_file());
    let Some(path) = found else {
        let names = files.join(" nor ");
        return missing(
            format!(
                "the handler {handler} has no file: neither {names} is in {}",
                code.display()
            ),
            "Correct the handler's name, or the code folder",
        );
    };
    let is_small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= SOURCE_BYTES_MAX);
    if !is_small {
        return None;
    }
    let text = std::fs::read_to_string(&path).ok()?;
    if defines(&text, name) {
        return None;
    }
    Some(Missing {
        is_certain: false,
        problem: format!("{} does not seem to define {name}", path.display()),
        advice: "Define it there, or correct the handler's name".to_owned(),
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    line.split(move |character: char| !is_word(character))
        .filter(|word| !word.is_empty())
}

/// `def name(`, `name = …`, `import name`, `class name`.
fn defines_python(text: &str, name: &str) -> bool {
    let mut in_import = false;
    text.lines().any(|line| {
        let begins_import = line.starts_with("from ") || line.starts_with("import ");
        in_import = begins_import && line.contains('(') && !line.contains(')')
            || (in_import && !line.contains(')'));
        let is_definition = ["def ", "async def ", "class "].iter().any(|keyword| {
            let rest = line.trim_start().strip_prefix(keyword);
            rest.is_some_and(|rest| words(rest).next() == Some(name))
        });
        let is_assignment = line
            .strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', ':', ',']));
        let is_import = (begins_import || in_import) && words(line).any(|word| word == name);
        is_definition || is_assignment || is_import || line.contains("import *")
    })
}

/// `exports.name`, `export … name`, `module.exports`.
fn defines_node(text: &str, name: &str) -> bool {
    let exports = text.contains("exports") || text.contains("export ");
    exports && words(text).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_python() {
        for (text, expected) in [
            ("def handle(event, context):\n    pass\n", true),
            ("async def handle(e, c): ...", true),
            ("handle = app.resolve", true),
            ("from work import (\n    handle,\n)\n", true),
            ("from work import *", true),
            ("def handler(event): pass", false),
            ("# handle", false),
        ] {
            assert_eq!(defines_python(text, "handle"), expected, "{text}");
        }
        assert!(defines_node("exports.handle = async () => {}", "handle"));
        assert!(defines_node("export async function handle() {}", "handle"));
        assert!(!defines_node("function handle() {}", "handle"));
    }

    #[test]
    fn files_that_are_not_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.py"), "def handle(e, c): pass\n").unwrap();
        let found = |runtime, handler| check(runtime, folder.path(), handler);
        assert_eq!(found("python3.12", "app.handle"), None);
        let wrong = found("python", "app.lambda_handler").unwrap();
        assert!(!wrong.is_certain);
        for (runtime, handler) in [
            ("python", "main.handle"),
            ("nodejs22.x", "app.handle"),
            ("provided.al2023", "x"),
        ] {
            let wrong = found(runtime, handler).unwrap();
            assert!(wrong.is_certain, "{wrong:?}");
        }
        assert_eq!(found("java21", "com.example.Handler"), None);
    }
}
