//! The binary from outside: exit codes, and what goes to which stream.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

fn outcrop(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outcrop"));
    command.current_dir(folder).env_clear().env("HOME", folder);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    outcrop(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_owned()).unwrap()
}

/// A server on a free port, killed when the test ends.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = outcrop(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim_end().rsplit(' ').next().unwrap().to_owned();
        assert!(line.contains(" listening on http://127.0.0.1:"), "{line}");
        Self { child, url }
    }

    fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_version() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &["version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        concat!("outcrop ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_faulty_configuration_is_a_usage_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("outcrop.toml"),
        "listn = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    let output = run(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: the configuration cannot be used: outcrop.toml:1: unknown key `listn` at the top level; \
         did you mean `listen`?\n"
    );
}

#[test]
fn a_port_in_use_is_told() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(folder.path(), &["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(
        errors.contains(&format!("error: cannot listen on {address}: ")),
        "{errors}"
    );
}

#[test]
fn a_data_folder_in_use_is_told() {
    let folder = TempDir::new().unwrap();
    let _server = Server::start(folder.path(), &[]);
    let output = run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("is in use by process"), "{errors}");
}

#[test]
fn a_server_stops_when_told() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &["--data-dir", "elsewhere"]);
    assert!(folder.path().join("elsewhere").is_dir());
    assert_eq!(server.terminate(), 0);
}

#[test]
fn invoke_without_a_server() {
    let folder = TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{free}");
    let output = run(
        folder.path(),
        &["invoke", "--agent", "a", "--endpoint", &url, "hello"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let errors = text(&output.stderr);
    assert!(
        errors.starts_with(&format!("error: {url} cannot be reached: ")),
        "{errors}"
    );
    assert!(
        errors.ends_with("(is `outcrop serve` running there?)\n"),
        "{errors}"
    );
}

#[test]
fn invoke_of_an_unknown_agent() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &[]);
    let output = run(
        folder.path(),
        &[
            "invoke",
            "--agent",
            "ABCDEFGHIJ",
            "--endpoint",
            &server.url,
            "hello",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(
        errors.starts_with("error: ResourceNotFoundException: "),
        "{errors}"
    );
}

#[test]
fn invoke_with_nothing_to_say() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &["invoke", "--agent", "a"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: there is nothing to say: give TEXT\n"
    );
}

#[test]
fn the_health_page() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &[]);
    let address = server.url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(
        &mut stream,
        b"GET /_outcrop/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"status\":\"ok\""), "{answer}");
}
