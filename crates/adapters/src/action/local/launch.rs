//! How the worker of a function is started: program, arguments, folder and variables.
//!
//! Finds programs, also makes a Python environment where one is needed; starts nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::function::{LocalFunction, LocalRuntime};
use super::python::{self, Interpreter};
use super::{Shared, node, variables};
use crate::action::name::FunctionName;

/// The program of a provided runtime, as Lambda looks for it.
const BOOTSTRAP: &str = "bootstrap";

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// The working directory, `LAMBDA_TASK_ROOT`.
    pub(super) code: PathBuf,
    /// Every variable the process gets, but for the address of the Runtime API.
    pub(super) environment: BTreeMap<String, OsString>,
    /// What it may read besides the code, the system's own and the program's installation.
    pub(super) readable: Vec<PathBuf>,
    /// What it may write besides its temporary folder.
    pub(super) writable: Vec<PathBuf>,
    /// Whether it may open connections.
    pub(super) network: bool,
    /// What it may hold in memory.
    pub(super) memory_bytes: u64,
}

impl Launch {
    /// How to start a worker of `function`, known as `name`; else what is missing, for people.
    pub(super) async fn of(
        shared: &Shared,
        function: &LocalFunction,
        name: &FunctionName,
    ) -> Result<Self, String> {
        let code = function.folder().await?;
        let mut readable = variables::folders();
        let (program, arguments) = match &function.runtime {
            LocalRuntime::Python => {
                let interpreter = interpreter(shared, &code, function.install).await?;
                let arguments = python::arguments(&interpreter);
                readable.extend(interpreter.runtime_packages);
                (interpreter.program, arguments)
            }
            LocalRuntime::Node => {
                let program = on_search_path(&shared.settings.node)
                    .ok_or_else(|| node::missing(&shared.settings.node))?;
                (program, node::arguments(function.memory_mb))
            }
            LocalRuntime::Provided { command } => provided(command, &code)?,
        };
        let environment = variables::of_worker(function, name, &code, &program);
        Ok(Self {
            program,
            arguments,
            code,
            environment,
            readable,
            writable: function.written().await,
            network: function.network,
            memory_bytes: u64::from(function.memory_mb) * 1024 * 1024,
        })
    }
}

/// The Python interpreter for the function in `code`, with its environment made ready; `install` says
/// whether that may hold what the folder asks for.
pub(super) async fn interpreter(
    shared: &Shared,
    code: &Path,
    install: bool,
) -> Result<Interpreter, String> {
    let code = install.then_some(code);
    let made = shared
        .environments
        .interpreter(code, &shared.processes, &shared.closed)
        .await;
    made.map_err(|error| error.to_string())
}

fn provided(command: &[String], code: &Path) -> Result<(PathBuf, Vec<OsString>), String> {
    let Some((program, arguments)) = command.split_first() else {
        let program = code.join(BOOTSTRAP);
        return match executable(&program) {
            Ok(()) => Ok((program, Vec::new())),
            Err(why) => Err(format!(
                "its runtime is \"provided\", and {} {why}; put an executable of that name there, or name \
                 one as `command`",
                program.display()
            )),
        };
    };
    let path = Path::new(program);
    let found = if program.contains('/') {
        let path = code.join(path);
        executable(&path).map(|()| path).map_err(str::to_owned)
    } else {
        on_search_path(path).ok_or_else(|| "is not on the search path".to_owned())
    };
    let arguments = arguments.iter().map(OsString::from).collect();
    found
        .map(|program| (program, arguments))
        .map_err(|why| format!("the program {program} of its `command` {why}"))
}

/// A program as named, or the first of that name on this server's own search path.
fn on_search_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return executable(program).is_ok().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| executable(candidate).is_ok())
}

fn executable(path: &Path) -> Result<(), &'static str> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err("is no file"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Err("is not executable"),
        Ok(_) => Ok(()),
        Err(_) => Err("is not there"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt as _;

    use super::provided;

    #[test]
    fn a_provided_runtime_is_a_file_of_the_folder_or_a_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let code = folder.path();
        let refusal = |command: &[&str]| {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            let text = provided(&command, code).err().unwrap_or_default();
            text.replace(&code.display().to_string(), "CODE")
        };
        assert_eq!(
            refusal(&[]),
            "its runtime is \"provided\", and CODE/bootstrap is not there; put an executable of that name \
             there, or name one as `command`"
        );
        let bootstrap = code.join("bootstrap");
        std::fs::write(&bootstrap, "#!/bin/sh\n").expect("written");
        assert!(refusal(&[]).contains("CODE/bootstrap is not executable;"));
        assert_eq!(
            refusal(&["./bootstrap"]),
            "the program ./bootstrap of its `command` is not executable"
        );
        assert_eq!(
            refusal(&["no-such-program"]),
            "the program no-such-program of its `command` is not on the search path"
        );
        std::fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!(provided(&[], code), Ok((bootstrap, Vec::new())));
        let command = ["sh".to_owned(), "run.sh".to_owned()];
        let (program, arguments) = provided(&command, code).expect("sh is there");
        assert!(program.ends_with("sh"));
        assert_eq!(arguments, [OsString::from("run.sh")]);
    }
}
