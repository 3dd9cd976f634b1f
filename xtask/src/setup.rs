//! Sets up what building and testing need and a fresh machine may lack.
//!
//! Python packages live in virtual environments under the cache folder (`OUTCROP_CACHE`, else
//! `$XDG_CACHE_HOME/outcrop`, else `~/.cache/outcrop`), named by the hash of what they hold, so that a
//! change makes a new one and an old one is never half right. Nothing is installed anywhere else.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::shell;

/// What builds the embedded model's C++, for machines that have no such thing.
const CMAKE: &str = "cmake==4.4.4";
/// The library with which its bindings are made.
const LIBCLANG: &str = "libclang==18.1.1";
/// Written last, so that an environment broken off halfway is made again.
const COMPLETE: &str = ".complete";
/// Beginnings of the variables that cargo sets for the program it runs.
const OWN_VARIABLES: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
];

/// What is needed, and where it is.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// The interpreter that has boto3, awslambdaric and pytest.
    pub(crate) python: PathBuf,
    /// `PATH` for everything that is started.
    path: OsString,
    /// Where libclang is, when clang-sys must be told.
    libclang: Option<Libclang>,
}

/// A libclang of a Python package.
#[derive(Debug)]
struct Libclang {
    folder: PathBuf,
    /// It comes without the compiler's own headers (`stdbool.h`); the C compiler's serve.
    arguments: String,
}

impl Environment {
    /// Finds what is there and makes what is missing.
    ///
    /// # Errors
    /// No usable `python3`, or a package that cannot be fetched.
    pub(crate) fn prepare() -> Result<Self> {
        let root = xtask::models::root();
        let python = python_environment(
            "python",
            &fs::read_to_string(root.join("conformance/python/requirements.txt"))
                .context("conformance/python/requirements.txt")?,
        )?;
        let mut folders = vec![bin_folder(&python)?];
        let mut libclang = None;
        let mut missing = Vec::new();
        if !shell::succeeds(Command::new("cmake").arg("--version")) {
            missing.push(CMAKE);
        }
        // A libclang that lies about may be a part of one (libclang-cpp) or lack its headers; the
        // packaged one is the same everywhere.
        if env::var_os("LIBCLANG_PATH").is_none() {
            missing.push(LIBCLANG);
        }
        if !missing.is_empty() {
            let tools = python_environment("tools", &missing.join("\n"))?;
            folders.push(bin_folder(&tools)?);
            if missing.contains(&LIBCLANG) {
                let headers = shell::output(Command::new("cc").arg("-print-file-name=include"))?;
                libclang = Some(Libclang {
                    folder: packaged_libclang(&tools)?,
                    arguments: format!("-I{}", headers.trim()),
                });
            }
        }
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(folders).context("PATH")?;
        let target = target_folder(&root)?;
        Ok(Self {
            root,
            target,
            python,
            path,
            libclang,
        })
    }

    /// A command of this environment, run in the checkout.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", &self.path);
        // Cargo set these for this program. Build scripts that watch them would run again, and half of
        // the dependencies be compiled anew, each time somebody goes from cargo to xtask and back.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if OWN_VARIABLES.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        if let Some(libclang) = &self.libclang {
            command.env("LIBCLANG_PATH", &libclang.folder);
            if env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none() {
                command.env("BINDGEN_EXTRA_CLANG_ARGS", &libclang.arguments);
            }
        }
        command
    }

    /// Cargo, in this environment.
    pub(crate) fn cargo(&self) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A built program.
    pub(crate) fn binary(&self, profile: Profile, name: &str) -> PathBuf {
        self.target
            .join(profile.folder())
            .join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }
}

/// A cargo profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Tests and the demo.
    Dev,
    /// The benchmark.
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// The folder for things that outlive a checkout.
fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("OUTCROP_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    if let Some(folder) = env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(Path::new(&folder).join("outcrop"));
    }
    let home =
        env::home_dir().context("no home folder; set OUTCROP_CACHE to a folder for caches")?;
    Ok(home.join(".cache/outcrop"))
}

/// The interpreter of a virtual environment that holds `requirements`, made where it is missing.
pub(crate) fn python_environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let base = base_python()?;
    let version =
        shell::output(Command::new(&base).args(["-c", "import sys; print(sys.version)"]))?;
    let mut hash = Sha256::new();
    for part in [version.as_bytes(), &[0], requirements.as_bytes()] {
        hash.update(part);
    }
    // Eight bytes tell every list there will ever be from every other.
    let hash = hash
        .finalize()
        .iter()
        .take(8)
        .fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    let folder = cache_folder()?.join(format!("venv-{name}-{hash:016x}"));
    let python = folder.join("bin/python");
    if folder.join(COMPLETE).exists() && python.exists() {
        return Ok(python);
    }
    println!("setting up Python packages in {}", folder.display());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    shell::output(
        Command::new(&base)
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    let list = folder.join("requirements.txt");
    fs::write(&list, requirements).with_context(|| list.display().to_string())?;
    shell::output(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&list),
    )?;
    fs::write(folder.join(COMPLETE), "").with_context(|| folder.display().to_string())?;
    Ok(python)
}

/// A Python that is new enough for the packages.
fn base_python() -> Result<PathBuf> {
    let new_enough = "import sys, venv; sys.exit(sys.version_info < (3, 10))";
    for name in [
        "python3",
        "python",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
    ] {
        if shell::succeeds(Command::new(name).args(["-c", new_enough])) {
            return Ok(name.into());
        }
    }
    bail!(
        "no Python 3.10 or newer with its venv module is on PATH (on Debian: apt install python3-venv)"
    )
}

fn bin_folder(python: &Path) -> Result<PathBuf> {
    Ok(python
        .parent()
        .context("the interpreter has no folder")?
        .to_owned())
}

/// The folder of the libclang in a virtual environment.
fn packaged_libclang(python: &Path) -> Result<PathBuf> {
    let code = "import clang, os; print(os.path.join(os.path.dirname(clang.__file__), 'native'))";
    Ok(shell::output(Command::new(python).args(["-c", code]))?
        .trim()
        .into())
}

#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

fn target_folder(root: &Path) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let text = shell::output(Command::new(cargo).current_dir(root).args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata")?;
    Ok(metadata.target_directory)
}
