//! What the tests share: sandboxes, children that are shell or Python scripts, and what they print.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use outcrop_adapters::sandbox::{Confined, Confinement, Output, Sandbox, SandboxSettings};
use tokio::io::AsyncReadExt;

/// Far longer than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn settings() -> SandboxSettings {
    SandboxSettings::new(env!("CARGO_BIN_EXE_sandbox-launcher"))
}

/// What this machine gives.
pub(crate) fn strong() -> Sandbox {
    Sandbox::new(settings())
}

/// What is left on a machine without namespaces.
pub(crate) fn weak() -> Sandbox {
    Sandbox::new(SandboxSettings {
        namespaces: false,
        ..settings()
    })
}

/// Both, with a name for messages.
pub(crate) fn sandboxes() -> [(&'static str, Sandbox); 2] {
    [("strong", strong()), ("weak", weak())]
}

/// A folder that any user can read.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    folder
}

pub(crate) fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn shell(script: &str, directory: &Path) -> Confinement {
    let mut confinement = Confinement::new("/bin/sh", directory);
    confinement.arguments = vec!["-c".into(), script.into()];
    confinement
        .environment
        .insert("PATH".to_owned(), "/usr/bin:/bin".into());
    confinement.stdout = Output::Pipe;
    confinement.stderr = Output::Inherit;
    confinement
}

pub(crate) fn python(script: &str, directory: &Path) -> Confinement {
    let mut confinement = shell("", directory);
    // The system's, which every user can execute.
    let system = PathBuf::from("/usr/bin/python3");
    confinement.program = if system.exists() {
        system
    } else {
        interpreter()
    };
    confinement.arguments = vec!["-c".into(), script.into()];
    confinement
}

/// The first `python3` of the search path, as the server finds it.
pub(crate) fn interpreter() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find_map(|folder| {
        let program = folder.join("python3");
        // A shim starts another program, which would have to be readable as well.
        let is_script = std::fs::read(&program).ok()?.starts_with(b"#!");
        (!is_script).then_some(program)
    });
    found.expect("python3 is installed")
}

/// What it printed, and how it ended.
pub(crate) async fn run(sandbox: &Sandbox, confinement: Confinement) -> (String, ExitStatus) {
    let mut child = sandbox.spawn(confinement).await.unwrap();
    let printed = printed(&mut child).await;
    let status = child.end().wait().await;
    (printed, status)
}

/// Everything it prints until it ends.
pub(crate) async fn printed(child: &mut Confined) -> String {
    let mut text = Vec::new();
    let reading = child.stdout.as_mut().unwrap().read_to_end(&mut text);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("it ends")
        .unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// Its next line.
pub(crate) async fn line(child: &mut Confined) -> String {
    let mut line = Vec::new();
    let stdout = child.stdout.as_mut().unwrap();
    let reading = async {
        loop {
            match stdout.read_u8().await {
                Ok(b'\n') | Err(_) => return,
                Ok(byte) => line.push(byte),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("it prints");
    String::from_utf8_lossy(&line).into_owned()
}

/// Waits for a condition that something else brings about.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether a process runs that has `word` among its arguments.
pub(crate) fn runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().any(|process| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let is_own = process.file_name().to_string_lossy() == std::process::id().to_string();
        !is_own && String::from_utf8_lossy(&arguments).contains(word)
    })
}
