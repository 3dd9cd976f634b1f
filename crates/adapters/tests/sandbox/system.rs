//! The rest of the system: other processes, the kernel, resources, descriptors, variables.

use std::os::unix::process::ExitStatusExt;

use outcrop_adapters::sandbox::{Input, SandboxError};
use tokio::io::AsyncWriteExt;

use crate::support::{folder, python, run, runs, sandboxes, shell, strong};

#[tokio::test]
async fn it_gets_the_variables_and_streams_it_is_given_and_no_others() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let script = "cat; ls /proc/self/fd | wc -l; env | grep -v -e ^PWD= -e ^_= -e ^TMPDIR= \
                      -e ^HOME= -e ^SHLVL= -e ^OLDPWD= | sort";
        let mut confinement = shell(script, own.path());
        confinement
            .environment
            .insert("GREETING".into(), "hello".into());
        confinement.stdin = Input::Pipe;
        let mut child = sandbox.spawn(confinement).await.unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"typed\n").await.unwrap();
        drop(stdin);
        let printed = crate::support::printed(&mut child).await;
        // The fourth is `ls`'s own.
        let expected = "typed\n4\nGREETING=hello\nPATH=/usr/bin:/bin\n";
        assert_eq!(printed, expected, "{name}");
    }
}

#[tokio::test]
async fn its_status_is_the_programs() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let (_, status) = run(&sandbox, shell("exit 7", own.path())).await;
        assert_eq!(status.code(), Some(7), "{name}");
        let (_, status) = run(&sandbox, shell("kill -SEGV $$", own.path())).await;
        assert_eq!(status.signal(), Some(11), "{name}");
        let (_, status) = run(&sandbox, shell("kill -KILL $$", own.path())).await;
        assert_eq!(status.signal(), Some(9), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let mut confinement = shell("", own.path());
        confinement.program = "/usr/bin/no-such-program".into();
        let error = sandbox.spawn(confinement).await.unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, SandboxError::Refused { .. }),
            "{name}: {text}"
        );
        assert!(
            text.contains("/usr/bin/no-such-program: No such file"),
            "{name}: {text}"
        );
        let error = sandbox.spawn(shell("", &own.path().join("gone"))).await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("gone: No such file"), "{name}: {text}");
    }
}

#[tokio::test]
async fn other_processes_are_out_of_reach() {
    let server = std::process::id();
    let script = format!(
        "import ctypes, os, signal\n\
         for path in ['/proc/{server}/environ', '/proc/{server}/mem', '/proc/1/environ', '/proc/1/mem']:\n\
         \x20 try:\n    open(path, 'rb').read(1); print('read', path)\n\
         \x20 except OSError: pass\n\
         for number in [signal.SIGTERM, signal.SIGKILL, 0]:\n\
         \x20 try:\n    os.kill({server}, number); print('signalled')\n\
         \x20 except OSError: pass\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         if libc.ptrace(16, {server}, 0, 0) == 0: print('traced')\n\
         if libc.unshare(0x10000000) == 0: print('a user namespace')\n\
         if libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0: print('mounted')\n\
         if libc.syscall(425, 8, 0) >= 0: print('a ring')\n\
         if libc.setuid(0) == 0 and os.getuid() == 0: print('root')\n\
         print(open('/proc/self/status').read().split('CapEff:')[1].split()[0])"
    );
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let (printed, status) = run(&sandbox, python(&script, own.path())).await;
        assert_eq!(printed, "0000000000000000\n", "{name}: {status}");
    }
}

#[tokio::test]
async fn a_fork_bomb_meets_its_limit_and_goes_with_its_child() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let script = "import os, time\n\
                      count = 0\n\
                      try:\n\
                      \x20 while True:\n\
                      \x20   if os.fork() == 0:\n      os.setsid(); time.sleep(600)\n\
                      \x20   count += 1\n\
                      except OSError as error: print(count < 142, error.strerror, 'fork-bomb-4711')";
        let mut confinement = python(script, own.path());
        confinement.limits.processes = 40;
        let (printed, _) = run(&sandbox, confinement).await;
        let expected = "True Resource temporarily unavailable fork-bomb-4711\n";
        assert_eq!(printed, expected, "{name}");
        assert!(!runs("fork-bomb-4711"), "{name}");
    }
}

#[tokio::test]
async fn memory_is_limited_and_measured() {
    let sandbox = strong();
    let own = folder();
    let script = "try:\n  bytes(400_000_000); print('too much')\nexcept MemoryError: print('no')";
    let mut confinement = python(script, own.path());
    confinement.limits.data_bytes = Some(200_000_000);
    assert_eq!(run(&sandbox, confinement).await.0, "no\n");

    let script = "import sys; held = bytearray(b'x') * 100_000_000; print('held', flush=True); sys.stdin.read()";
    let mut confinement = python(script, own.path());
    confinement.stdin = Input::Pipe;
    let mut child = sandbox.spawn(confinement).await.unwrap();
    assert_eq!(crate::support::line(&mut child).await, "held");
    let held = child.resident_bytes().unwrap();
    assert!((100_000_000..160_000_000).contains(&held), "{held}");
}
