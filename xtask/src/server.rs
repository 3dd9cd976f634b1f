//! The processes that the demo and the benchmark start, and that never outlive them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell;

/// How long a server may take to answer its first health check.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile; also the resolution of a measured cold start.
const START_STEP: Duration = Duration::from_micros(500);
/// How long it may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running `outcrop serve`. Dropped without [`Server::stop`], it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
    /// From before it was started to its first answered health check.
    pub(crate) cold_start: Duration,
}

impl Server {
    /// Starts `command` (which gets `--listen` added) and waits until it answers.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let address = free_address()?;
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let errors = file.try_clone().context("log")?;
        command
            .arg("--listen")
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        let began = Instant::now();
        let child = command.spawn().with_context(|| shell::display(&command))?;
        let mut server = Self {
            child,
            address,
            log: log.to_owned(),
            cold_start: Duration::ZERO,
        };
        loop {
            if healthy(address) {
                server.cold_start = began.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait().context("outcrop")? {
                bail!(
                    "outcrop ended with {status} at start:\n{}",
                    server.log_text()
                );
            }
            ensure!(
                began.elapsed() < START_LIMIT,
                "outcrop does not answer:\n{}",
                server.log_text()
            );
            thread::sleep(START_STEP);
        }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it the graceful way and waits for that.
    pub(crate) fn stop(mut self) -> Result<()> {
        shell::output(
            Command::new("kill")
                .arg("-TERM")
                .arg(self.child.id().to_string()),
        )?;
        let began = Instant::now();
        while began.elapsed() < STOP_LIMIT {
            if let Some(status) = self.child.try_wait().context("outcrop")? {
                ensure!(
                    status.success(),
                    "outcrop ended with {status}:\n{}",
                    self.log_text()
                );
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!(
            "outcrop did not end within {STOP_LIMIT:?} of SIGTERM:\n{}",
            self.log_text()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` the process is gone, and killing it again is harmless.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running stub of models and tools. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Stub {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
}

impl Stub {
    /// Starts the stub's program, which prints its URL first.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| shell::display(&command))?;
        let mut line = String::new();
        let pipe = child.stdout.take().context("the stub's output")?;
        BufReader::new(pipe)
            .read_line(&mut line)
            .context("the stub's output")?;
        let url = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let stub = Self { child, url };
        ensure!(stub.url.starts_with("http://"), "the stub printed {line:?}");
        Ok(stub)
    }

    /// The body of a GET of one of its own endpoints.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let address: SocketAddr = self
            .url
            .trim_start_matches("http://")
            .parse()
            .context("the stub's address")?;
        get(address, path).map(|(_, body)| body)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address whose port was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("a free port")
}

fn healthy(address: SocketAddr) -> bool {
    get(address, "/_outcrop/health").is_ok_and(|(status, _)| status == 200)
}

/// The status and body of a plain GET; the server closes the connection, so no framing is needed.
fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .context("send")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("receive")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("a status")?;
    Ok((status, body.to_owned()))
}
