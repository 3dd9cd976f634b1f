//! `cargo xtask test`: everything that must hold, from formatting to real boto3 end to end.
//!
//! All steps run even when one fails, and the last line sums them up. Everything is built with one
//! profile and one set of features, so that nothing is compiled twice.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::postgres::{self, Postgres};
use crate::setup::{Environment, Profile};
use crate::shell;

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these steps.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// Runs what is too slow for every time as well: all Terraform configurations.
    #[arg(long)]
    all: bool,
    /// Handed to pytest, after `--`.
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// Generated files are what the models say.
    Codegen,
    /// Formatting.
    Format,
    /// Clippy, with warnings as errors.
    Lint,
    /// The workspace's Rust tests.
    Rust,
    /// boto3 against the built server.
    Python,
    /// A part of the same on PostgreSQL.
    Postgres,
}

/// What is run on PostgreSQL too, unless the command line says otherwise: each kind of document and
/// journal, and what a killed server leaves behind.
const ON_POSTGRES: [&str; 5] = [
    "tests/test_guide.py",
    "tests/test_control_plane.py",
    "tests/test_sessions.py",
    "tests/test_return_control.py",
    "tests/test_kill.py::test_killed_while_control_is_returned",
];

/// The same, where it has pgvector: knowledge bases whose index is in the database.
const ON_PGVECTOR: [&str; 2] = [
    "tests/test_knowledge_stores.py",
    "tests/test_knowledge_ingestion.py",
];

const STEPS: [Step; 6] = [
    Step::Codegen,
    Step::Format,
    Step::Lint,
    Step::Rust,
    Step::Python,
    Step::Postgres,
];

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    fn of(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result<()> {
    let environment = Environment::prepare()?;
    let postgres = Postgres::find(&environment);
    let mut total = Count::default();
    let mut failed = Vec::new();
    for step in STEPS
        .into_iter()
        .filter(|step| args.only.is_empty() || args.only.contains(step))
    {
        println!("\n== {step:?}");
        let count = match step {
            Step::Codegen => codegen(&environment),
            Step::Format => command(&environment, &["fmt", "--all", "--check", "--", "-l"]),
            Step::Lint => command(
                &environment,
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--keep-going",
                    "--",
                    "--deny",
                    "warnings",
                ],
            ),
            Step::Rust => rust(&environment, &postgres),
            Step::Python => python(&environment, &postgres, args.all, &args.pytest),
            Step::Postgres => on_postgres(&environment, &postgres, args),
        };
        let count = count.unwrap_or_else(|error| {
            println!("{error:#}");
            Count::of(false)
        });
        if count.failed > 0 {
            failed.push(format!("{step:?}"));
        }
        total.add(count);
    }
    println!(
        "\n{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn codegen(environment: &Environment) -> Result<Count> {
    let files = xtask::codegen::generate(&environment.root)?;
    xtask::codegen::check(&environment.root, &files)?;
    println!("{} generated files are up to date", files.len());
    Ok(Count::of(true))
}

/// A cargo command that either succeeds or fails.
fn command(environment: &Environment, arguments: &[&str]) -> Result<Count> {
    let (succeeded, _) = shell::tee(environment.cargo().args(arguments))?;
    Ok(Count::of(succeeded))
}

/// The Rust tests, with nextest where it is installed.
fn rust(environment: &Environment, postgres: &Postgres) -> Result<Count> {
    let nextest = shell::succeeds(environment.cargo().args(["nextest", "--version"]));
    let arguments: &[&str] = if nextest {
        &[
            "nextest",
            "run",
            "--workspace",
            "--all-targets",
            "--no-fail-fast",
            "--hide-progress-bar",
            "--status-level",
            "fail",
        ]
    } else {
        &["test", "--workspace", "--all-targets", "--no-fail-fast"]
    };
    let mut command = environment.cargo();
    command
        .args(arguments)
        .env(postgres::URL, postgres.url())
        .env("CARGO_TERM_COLOR", "never")
        .env("NO_COLOR", "1");
    if let Some(recordings) = recordings(&environment.root) {
        command.env("OUTCROP_RECORDINGS", recordings);
    }
    let (succeeded, output) = shell::tee(&mut command)?;
    let mut count = if nextest {
        nextest_count(&output)
    } else {
        cargo_count(&output)
    };
    let (documented, output) =
        shell::tee(
            environment
                .cargo()
                .args(["test", "--workspace", "--doc", "--no-fail-fast"]),
        )?;
    count.add(cargo_count(&output));
    if !(succeeded && documented) && count.failed == 0 {
        // It did not even compile.
        count.failed = 1;
    }
    Ok(count)
}

/// The end-to-end tests with PostgreSQL as the store.
fn on_postgres(environment: &Environment, postgres: &Postgres, args: &Args) -> Result<Count> {
    if !postgres.is_there() {
        println!("skipped: there is no PostgreSQL");
        return Ok(Count::default());
    }
    let mut arguments = vec!["--store".to_owned(), "postgres".to_owned()];
    if args.pytest.is_empty() {
        arguments.extend(ON_POSTGRES.map(str::to_owned));
        if postgres.has_vector() {
            arguments.extend(ON_PGVECTOR.map(str::to_owned));
        }
    }
    arguments.extend_from_slice(&args.pytest);
    python(environment, postgres, args.all, &arguments)
}

/// The end-to-end tests over the built programs.
fn python(
    environment: &Environment,
    postgres: &Postgres,
    all: bool,
    arguments: &[String],
) -> Result<Count> {
    // All targets, as the Rust tests build: with the bins alone, dependencies would be resolved with
    // fewer features and half of them compiled anew.
    shell::run(
        environment
            .cargo()
            .args(["build", "--workspace", "--all-targets"]),
    )?;
    let report = environment.target.join("end-to-end.xml");
    let mut command = environment.command(&environment.python);
    command
        .current_dir(environment.root.join("conformance/python"))
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(format!("--junitxml={}", report.display()))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(postgres::URL, postgres.url())
        .env("OUTCROP_BIN", environment.binary(Profile::Dev, "outcrop"))
        .env(
            "OUTCROP_STUB_BIN",
            environment.binary(Profile::Dev, "stub-model"),
        );
    if all {
        command.env("OUTCROP_ALL", "1");
    }
    if let Some(check) = acceptance(&environment.root) {
        command.env("OUTCROP_ACCEPTANCE", check);
    }
    // A report of an earlier run must not be taken for this one's.
    let _ = std::fs::remove_file(&report);
    let (succeeded, _) = shell::tee(&mut command)?;
    let mut count = std::fs::read_to_string(&report)
        .map(|report| junit_count(&report))
        .unwrap_or_default();
    if !succeeded && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// Recorded streams of the real service: `OUTCROP_RECORDINGS`, else beside the checkout.
fn recordings(root: &Path) -> Option<PathBuf> {
    beside(root, "OUTCROP_RECORDINGS", "../shared/recorded")
}

/// The acceptance check of agent streams: `OUTCROP_ACCEPTANCE`, else beside the checkout.
fn acceptance(root: &Path) -> Option<PathBuf> {
    beside(
        root,
        "OUTCROP_ACCEPTANCE",
        "../shared/acceptance/check_stream.py",
    )
}

fn beside(root: &Path, variable: &str, path: &str) -> Option<PathBuf> {
    let found = match std::env::var_os(variable) {
        Some(given) => PathBuf::from(given),
        None => root.join(path),
    };
    let there = found.canonicalize().ok();
    if there.is_none() {
        println!(
            "skipped: tests that need {variable} ({} is not there)",
            found.display()
        );
    }
    there
}

/// The sum of cargo's `test result:` lines.
fn cargo_count(output: &str) -> Count {
    let mut count = Count::default();
    for line in output
        .lines()
        .filter(|line| line.trim_start().starts_with("test result:"))
    {
        count.add(Count {
            passed: number_before(line, " passed"),
            failed: number_before(line, " failed"),
            skipped: number_before(line, " ignored"),
        });
    }
    count
}

/// Nextest's `Summary` line.
fn nextest_count(output: &str) -> Count {
    output
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("Summary"))
        .map_or_else(Count::default, |line| Count {
            passed: number_before(line, " passed"),
            failed: number_before(line, " failed") + number_before(line, " timed out"),
            skipped: number_before(line, " skipped"),
        })
}

/// The totals of a pytest report in the `JUnit` form.
fn junit_count(report: &str) -> Count {
    let attribute = |name: &str| {
        report
            .split_once("<testsuite ")
            .and_then(|(_, rest)| rest.split_once(&format!(" {name}=\"")))
            .and_then(|(_, rest)| rest.split_once('"'))
            .and_then(|(value, _)| value.parse::<u64>().ok())
            .unwrap_or_default()
    };
    let failed = attribute("failures") + attribute("errors");
    let skipped = attribute("skipped");
    Count {
        passed: attribute("tests").saturating_sub(failed + skipped),
        failed,
        skipped,
    }
}

/// The number that stands right before `word`; none counts as zero.
fn number_before(line: &str, word: &str) -> u64 {
    line.find(word)
        .and_then(|end| line.get(..end))
        .and_then(|head| head.rsplit(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_each_runners_own_words() {
        let wanted = Count {
            passed: 119,
            failed: 2,
            skipped: 3,
        };
        let nextest = "     Summary [   3.210s] 121 tests run: 119 passed (1 slow), 1 failed, 1 timed out, 3 skipped";
        assert_eq!(nextest_count(nextest), wanted);
        let cargo = "test result: ok. 100 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out\n\
                     test result: FAILED. 19 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(cargo_count(cargo), wanted);
        let junit = r#"<?xml version="1.0"?><testsuites name="x"><testsuite name="pytest" errors="1" failures="1" skipped="3" tests="124" time="1.0">"#;
        assert_eq!(junit_count(junit), wanted);
    }
}
