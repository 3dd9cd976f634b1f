//! The file system of a child in a mount namespace of its own: what it may read, at the paths it has
//! on the host, and nothing else. Its `/tmp` is in memory, has a size, and goes with the namespace.
//!
//! The host's tree is set aside under [`HOST`] while the new one is put together under [`NEW`], both
//! in a file system in memory; then the new one takes its place and the host's is let go of.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};

use super::super::message::{Account, Reach, Task};
use super::super::places;
use super::privilege::Reading;
use super::{Refused, step};

const HOST: &str = "/host";
const NEW: &str = "/new";
/// Where the first file system in memory goes; any folder that every system has.
const BASE: &str = "/tmp";
/// The tree of mount points holds no data.
const FRAME_OPTIONS: &str = "size=1m,mode=0755";
/// Each file of the private folder costs memory of the kernel.
const PRIVATE_FILES: u32 = 65_536;

/// What was built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Built {
    /// Whether `/proc` shows the namespace's own processes only.
    pub(super) own_proc: bool,
    /// How the child can read what it was given.
    pub(super) reading: Reading,
}

/// Builds it and moves in.
pub(super) fn build(task: &Task) -> Result<Built, Refused> {
    // Links are followed while paths still mean what they mean on the host.
    let places = places::of(task);
    set_host_aside()?;
    let root = Root(PathBuf::from(NEW));
    // Before what is given, some of which may lie below it.
    root.memory(Path::new("/tmp"), &private_options(task))?;
    for (link, target) in &places.links {
        root.link(link, target)?;
    }
    for path in &places.readable {
        root.bind(path, Access::Read)?;
    }
    for path in &places.writable {
        root.bind(path, Access::Write)?;
    }
    devices(&root, task)?;
    accounts(&root, task)?;
    let own_proc = proc(&root)?;
    root.link(Path::new("/var/tmp"), Path::new("/tmp"))?;
    let reading = reading(task, &places.readable);
    move_in(&root)?;
    Ok(Built { own_proc, reading })
}

/// Another user than the owner often cannot read what it was given: a folder of root's with the mode
/// 700, such as people with a strict umask make. What it sees is what it may read, so that it then gets
/// the right to read all of that, which is harmless only where system calls are filtered: with it,
/// files can be opened past any path.
fn reading(task: &Task, given: &[PathBuf]) -> Reading {
    let is_readable = |path: &PathBuf| {
        let source = Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path));
        fs::metadata(source).is_ok_and(|found| {
            let needed = if found.is_dir() { 0o005 } else { 0o004 };
            found.permissions().mode() & needed == needed
        })
    };
    if task.user.is_none() || !task.seccomp || given.iter().all(is_readable) {
        Reading::AsItsUser
    } else {
        Reading::Anything
    }
}

fn set_host_aside() -> Result<(), Refused> {
    let failed = "setting the host's file system aside";
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(step(failed))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", BASE, "tmpfs", flags, Some(c"size=1m,mode=0755")).map_err(step(failed))?;
    std::env::set_current_dir(BASE).map_err(step(failed))?;
    for folder in [HOST, NEW] {
        fs::create_dir(folder.trim_start_matches('/')).map_err(step(failed))?;
    }
    rustix::process::pivot_root(".", HOST.trim_start_matches('/')).map_err(step(failed))?;
    std::env::set_current_dir("/").map_err(step(failed))?;
    memory_at(Path::new(NEW), FRAME_OPTIONS).map_err(step(failed))
}

fn move_in(root: &Root) -> Result<(), Refused> {
    let failed = "entering the new file system";
    unmount(HOST, UnmountFlags::DETACH).map_err(step(failed))?;
    read_only(&root.0, MountFlags::empty()).map_err(step(failed))?;
    std::env::set_current_dir(&root.0).map_err(step(failed))?;
    // Puts the old root on top of the new one, from where it is taken away.
    rustix::process::pivot_root(".", ".").map_err(step(failed))?;
    unmount(".", UnmountFlags::DETACH).map_err(step(failed))?;
    std::env::set_current_dir("/").map_err(step(failed))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The tree that is being put together.
struct Root(PathBuf);

impl Root {
    /// A path of the child's as a path of ours.
    fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Shows a file or folder of the host at its own path.
    fn bind(&self, path: &Path, access: Access) -> Result<(), Refused> {
        let source = Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path));
        let target = self.at(path);
        Self::try_bind(&source, &target, access).map_err(|error| Refused {
            step: "showing a path to the child",
            cause: format!("{}: {error}", path.display()),
        })
    }

    fn try_bind(source: &Path, target: &Path, access: Access) -> io::Result<()> {
        if fs::metadata(source)?.is_dir() {
            fs::create_dir_all(target)?;
        } else if fs::symlink_metadata(target).is_err() {
            Self::parents(target)?;
            fs::File::create(target)?;
        }
        mount_bind_recursive(source, target)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        match access {
            Access::Read => read_only(target, flags),
            Access::Write => remount(target, flags),
        }
    }

    /// A link, unless what is there already says where the path leads.
    fn link(&self, path: &Path, target: &Path) -> Result<(), Refused> {
        let link = self.at(path);
        if fs::symlink_metadata(&link).is_ok() {
            return Ok(());
        }
        Self::parents(&link)
            .and_then(|()| symlink(target, &link))
            .map_err(|error| Refused {
                step: "making a link in the new file system",
                cause: format!("{}: {error}", path.display()),
            })
    }

    fn write(&self, path: &str, text: &str) -> Result<(), Refused> {
        let file = self.at(Path::new(path));
        Self::parents(&file)
            .and_then(|()| fs::write(&file, text))
            .map_err(step("writing to the new file system"))
    }

    fn memory(&self, path: &Path, options: &str) -> Result<(), Refused> {
        let target = self.at(path);
        fs::create_dir_all(&target)
            .and_then(|()| memory_at(&target, options))
            .map_err(step("making a file system in memory"))
    }

    fn parents(path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)
    }
}

fn memory_at(target: &Path, options: &str) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = std::ffi::CString::new(options)?;
    Ok(mount(
        "tmpfs",
        target,
        "tmpfs",
        flags,
        Some(options.as_c_str()),
    )?)
}

fn private_options(task: &Task) -> String {
    format!(
        "size={},nr_inodes={PRIVATE_FILES},mode=1777",
        task.limits.temporary_bytes
    )
}

fn read_only(target: &Path, flags: MountFlags) -> io::Result<()> {
    remount(target, flags | MountFlags::RDONLY)
}

/// Adds flags to a mount. Those that it has stay, which in a user namespace must be so.
fn remount(target: &Path, flags: MountFlags) -> io::Result<()> {
    let has = rustix::fs::statvfs(target)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
    ];
    let kept = kept
        .into_iter()
        .filter(|(status, _)| has.contains(*status))
        .map(|(_, flag)| flag)
        .fold(MountFlags::BIND, std::ops::BitOr::bitor);
    Ok(mount_remount(target, kept | flags, "")?)
}

fn devices(root: &Root, task: &Task) -> Result<(), Refused> {
    for device in places::DEVICES {
        let source = Path::new(HOST).join(device.trim_start_matches('/'));
        let target = root.at(Path::new(device));
        Root::parents(&target)
            .and_then(|()| fs::File::create(&target))
            .map_err(step("making devices"))?;
        mount_bind_recursive(&source, &target).map_err(step("making devices"))?;
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        root.link(Path::new(link), Path::new(target))?;
    }
    root.memory(Path::new("/dev/shm"), &private_options(task))
}

/// Programs ask who they are; the host's own accounts are nobody's business.
fn accounts(root: &Root, task: &Task) -> Result<(), Refused> {
    let Account { user, group } = task.user.unwrap_or_else(|| Account {
        user: rustix::process::geteuid().as_raw(),
        group: rustix::process::getegid().as_raw(),
    });
    let (own_user, own_group) = if user == 0 {
        (String::new(), String::new())
    } else {
        (
            format!("sandbox:x:{user}:{group}:sandbox:/tmp:/bin/sh\n"),
            format!("sandbox:x:{group}:\n"),
        )
    };
    let passwd =
        format!("root:x:0:0:root:/:/bin/sh\n{own_user}nobody:x:65534:65534:nobody:/:/bin/sh\n");
    let groups = format!("root:x:0:\n{own_group}nogroup:x:65534:\n");
    root.write("/etc/passwd", &passwd)?;
    root.write("/etc/group", &groups)?;
    if task.network != Reach::Open {
        root.write("/etc/hosts", "127.0.0.1 localhost\n")?;
    }
    Ok(())
}

/// Its own `/proc`; where a container forbids that, the host's, which Landlock keeps from showing
/// anything of other processes that is secret.
fn proc(root: &Root) -> Result<bool, Refused> {
    let target = root.at(Path::new("/proc"));
    fs::create_dir_all(&target).map_err(step("making /proc"))?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755))
        .map_err(step("making /proc"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if mount("proc", &target, "proc", flags, None).is_ok() {
        return Ok(true);
    }
    let host = Path::new(HOST).join("proc");
    mount_bind_recursive(&host, &target).map_err(step("making /proc"))?;
    Ok(false)
}
