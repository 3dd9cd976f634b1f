//! Files: what is read, what is written, and how much.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{folder, python, run, sandboxes, shell, strong};

#[tokio::test]
async fn a_child_reads_its_folder_and_the_system() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        std::fs::write(own.path().join("data"), "mine").unwrap();
        let script =
            "cat data; echo; ls /usr/bin/env; wc -c < /dev/urandom & sleep 0; kill $!; pwd";
        let (printed, status) = run(&sandbox, shell(script, own.path())).await;
        let expected = format!("mine\n/usr/bin/env\n{}\n", own.path().display());
        assert_eq!(printed, expected, "{name}");
        assert!(status.success(), "{name}: {status}");
    }
}

#[tokio::test]
async fn a_child_reads_nothing_else_of_the_host() {
    let other = folder();
    std::fs::write(other.path().join("secret"), "another's").unwrap();
    let secret = other.path().join("secret").display().to_string();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = manifest.display().to_string();
    for (name, sandbox) in sandboxes() {
        let own = folder();
        for path in ["/etc/shadow", "/etc/hostname", "/root", &secret, &manifest] {
            if !Path::new(path).exists() {
                continue;
            }
            let script = format!("cat {path} 2>/dev/null || ls {path}/* 2>/dev/null; true");
            let (printed, _) = run(&sandbox, shell(&script, own.path())).await;
            assert_eq!(printed, "", "{name}: {path}");
        }
    }
}

#[tokio::test]
async fn what_is_given_is_readable_through_links_too() {
    let shared = folder();
    std::fs::write(shared.path().join("library"), "shared").unwrap();
    let own = folder();
    let link = own.path().join("link");
    std::os::unix::fs::symlink(shared.path(), &link).unwrap();
    for (name, sandbox) in sandboxes() {
        let mut confinement = shell("cat link/library", own.path());
        confinement.readable = vec![link.clone()];
        let (printed, _) = run(&sandbox, confinement).await;
        assert_eq!(printed, "shared", "{name}");
    }
}

#[tokio::test]
async fn a_child_writes_only_its_private_folder_and_what_it_is_given() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let given = folder();
        sandbox.lend(given.path()).unwrap();
        let script = format!(
            "(echo x > own) 2>/dev/null && echo own; (echo x > /usr/x) 2>/dev/null && echo usr;\n\
             (echo x > /x) 2>/dev/null && echo root; (echo x > /dev/x) 2>/dev/null && echo dev;\n\
             echo x > ${{TMPDIR:-/tmp}}/x && echo private; echo x > {}/x && echo given; true",
            given.path().display()
        );
        let mut confinement = shell(&script, own.path());
        confinement.writable = vec![given.path().to_owned()];
        let (printed, _) = run(&sandbox, confinement).await;
        assert_eq!(printed, "private\ngiven\n", "{name}");
        assert!(given.path().join("x").exists(), "{name}");
        assert!(!own.path().join("own").exists(), "{name}");
    }
}

#[tokio::test]
async fn a_private_folder_is_empty_each_time_and_has_a_size() {
    let sandbox = strong();
    let own = folder();
    let script = "find /tmp -type f; head -c 3000000 /dev/zero > /tmp/one; head -c 3000000 /dev/zero > /tmp/two\n\
                  cat /tmp/one /tmp/two | wc -c";
    for _ in 0..2 {
        let mut confinement = shell(script, own.path());
        confinement.limits.temporary_bytes = 4 * 1024 * 1024;
        confinement.stderr = outcrop_adapters::sandbox::Output::Null;
        let (printed, _) = run(&sandbox, confinement).await;
        let written: u64 = printed.trim().parse().unwrap();
        assert!(
            (3_500_000..=4 * 1024 * 1024).contains(&written),
            "{written}"
        );
    }
}

#[tokio::test]
async fn a_file_has_a_size() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let script = "import os, signal\n\
                      signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n\
                      path = os.environ.get('TMPDIR', '/tmp') + '/x'\n\
                      try:\n  open(path, 'wb').write(bytes(2_000_000))\n\
                      except OSError as error: print(error.strerror)\n\
                      print(os.path.getsize(path))";
        let mut confinement = python(script, own.path());
        confinement.limits.file_bytes = 1_000_000;
        let (printed, _) = run(&sandbox, confinement).await;
        assert_eq!(printed, "File too large\n1000000\n", "{name}");
    }
}

#[tokio::test]
async fn python_finds_its_library_and_threads() {
    for (name, sandbox) in [("strong", strong())] {
        let own = folder();
        let script = "import ssl, json, getpass, multiprocessing, os, tempfile, threading\n\
                      lock = multiprocessing.Lock() if os.path.isdir('/dev/shm') else None\n\
                      thread = threading.Thread(target=print, args=('thread',))\n\
                      thread.start(); thread.join()\n\
                      tempfile.TemporaryFile().write(b'x')\n\
                      print(os.path.expanduser('~') != '', len(os.sched_getaffinity(0)) > 0)";
        let mut confinement = python(script, own.path());
        // Wherever it is installed.
        confinement.program = crate::support::interpreter();
        let (printed, status) = run(&sandbox, confinement).await;
        assert_eq!(printed, "thread\nTrue True\n", "{name}: {status}");
    }
}

#[tokio::test]
async fn a_folder_that_only_its_owner_reads_is_read_all_the_same() {
    let sandbox = strong();
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    std::fs::write(&data, "mine").unwrap();
    for (path, mode) in [(own.path(), 0o700), (data.as_path(), 0o600)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = "cat data; cat /etc/shadow /proc/1/environ 2>/dev/null; \
                  (echo x > data) 2>/dev/null || echo ' is read-only'";
    let (printed, _) = run(&sandbox, shell(script, own.path())).await;
    assert_eq!(printed, "mine is read-only\n");
}
