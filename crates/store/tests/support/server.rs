//! A PostgreSQL for the tests of a process.
//!
//! `OUTCROP_TEST_POSTGRES_URL` names a server that is there; otherwise one is started with
//! `conformance/python/outcrop_e2e/postgres.py`, once a test process, and ends with it. Set to `none`,
//! the tests that need one are skipped, which they say.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const URL: &str = "OUTCROP_TEST_POSTGRES_URL";

/// The interpreter that starts a server.
const PYTHON: &str = "OUTCROP_TEST_PYTHON";

struct Server {
    url: String,
    /// Ends when its input does, which is when this process ends.
    _process: Option<Child>,
}

/// The URL of a fresh, empty schema; `None` where there is no database and none is wanted.
pub(crate) fn fresh_url() -> Option<String> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(server).as_ref()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let schema = format!(
        "test_{}_{}_{}",
        std::process::id(),
        since.expect("the clock is past 1970").as_nanos(),
        SCHEMAS.fetch_add(1, Ordering::Relaxed)
    );
    let join = if server.url.contains('?') { '&' } else { '?' };
    Some(format!("{}{join}schema={schema}", server.url))
}

fn server() -> Option<Server> {
    match std::env::var(URL) {
        Ok(given) if given == "none" => {
            eprintln!("SKIPPED: {URL} says that there is no PostgreSQL");
            None
        }
        Ok(url) if !url.is_empty() => Some(Server {
            url,
            _process: None,
        }),
        _ => Some(start()),
    }
}

fn start() -> Server {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance/python/outcrop_e2e/postgres.py");
    let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned());
    let mut process = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut url = String::new();
    let output = process.stdout.take().expect("the output is piped");
    BufReader::new(output)
        .read_line(&mut url)
        .expect("the output is text");
    if !url.starts_with("postgres://") {
        let mut why = String::new();
        if let Some(mut errors) = process.stderr.take() {
            errors.read_to_string(&mut why).expect("errors are text");
        }
        panic!(
            "no PostgreSQL could be started ({}); set {URL} to one, or to `none` to do without",
            why.trim()
        );
    }
    Server {
        url: url.trim().to_owned(),
        _process: Some(process),
    }
}
