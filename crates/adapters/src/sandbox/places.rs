//! Which paths of the host a child sees: the system's programs and libraries, the interpreter's, and
//! what it was given.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::message::{Reach, Task};

/// Programs and libraries. Some are links into others.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
];
/// Settings of the system that libraries read, and none that could be a secret: a host's `/etc` holds
/// much else.
const SETTINGS: [&str; 22] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/inputrc",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];
/// Of these, only who has a network needs them.
const NETWORK_SETTINGS: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];
/// How many processors there are.
const PROCESSORS: &str = "/sys/devices/system/cpu";
/// Devices that are no hardware.
pub(super) const DEVICES: [&str; 5] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];
/// As many links in a row as the system itself follows.
const MAX_LINKS: usize = 40;

/// What a child sees, as real paths, those above before those below; and the links that lead there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) readable: Vec<PathBuf>,
    pub(super) writable: Vec<PathBuf>,
    pub(super) links: Vec<(PathBuf, PathBuf)>,
}

/// Of a task, before it changes its root. What does not exist is left out.
pub(super) fn of(task: &Task) -> Places {
    let mut found = Found::default();
    let settings: &[&str] = match task.network {
        Reach::Open => &NETWORK_SETTINGS,
        Reach::Own { .. } | Reach::Port(_) => &[],
    };
    for path in SYSTEM.iter().chain(&SETTINGS).chain(settings) {
        found.add(Path::new(path));
    }
    found.add(Path::new(PROCESSORS));
    if let Some(program) = &task.program {
        found.program(program);
        found.add(&task.directory);
    }
    for path in &task.readable {
        found.add(path);
    }
    let mut writable = Found::default();
    for path in &task.writable {
        writable.add(path);
    }
    found.links.extend(writable.links);
    Places {
        readable: found.paths.into_iter().collect(),
        writable: writable.paths.into_iter().collect(),
        links: found.links.into_iter().collect(),
    }
}

#[derive(Debug, Default)]
struct Found {
    paths: BTreeSet<PathBuf>,
    links: BTreeSet<(PathBuf, PathBuf)>,
}

impl Found {
    /// Adds a path by its real name, and every link on the way to it.
    fn add(&mut self, path: &Path) {
        let Ok(real) = fs::canonicalize(path) else {
            return;
        };
        if real == Path::new("/") {
            return;
        }
        self.links_to(path);
        self.paths.insert(real);
    }

    /// Adds the links that following `path` passes through.
    fn links_to(&mut self, path: &Path) {
        let mut rest: Vec<PathBuf> = vec![path.to_owned()];
        for _ in 0..MAX_LINKS {
            let Some(path) = rest.pop() else { return };
            let mut at = PathBuf::new();
            let mut components = path.components();
            while let Some(component) = components.next() {
                match component {
                    Component::ParentDir => {
                        at.pop();
                    }
                    other => at.push(other),
                }
                let Ok(target) = fs::read_link(&at) else {
                    continue;
                };
                self.links.insert((at.clone(), target.clone()));
                let folder = at.parent().unwrap_or(Path::new("/"));
                rest.push(folder.join(target).join(components.as_path()));
                break;
            }
        }
    }

    /// Adds what a program needs to run: itself, and for a Python interpreter its installation, and
    /// the one that its virtual environment is based on.
    fn program(&mut self, program: &Path) {
        self.add(program);
        let mut program = program.to_owned();
        for _ in 0..MAX_LINKS {
            self.installation(&program);
            let Ok(target) = fs::read_link(&program) else {
                return;
            };
            let folder = program.parent().unwrap_or(Path::new("/"));
            program = folder.join(target);
        }
    }

    fn installation(&mut self, program: &Path) {
        let Some(bin) = program.parent() else { return };
        let Some(prefix) = bin.parent() else { return };
        if let Ok(text) = fs::read_to_string(prefix.join("pyvenv.cfg")) {
            self.add(prefix);
            let home = text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == "home").then(|| PathBuf::from(value.trim()))
            });
            if let Some(bin) = home {
                self.python(&bin);
            }
        } else {
            self.python(bin);
        }
    }

    /// Adds the installation of Python whose programs are in `bin`. Only its own folders: what is
    /// beside them may be anybody's home.
    fn python(&mut self, bin: &Path) {
        let Some(prefix) = bin.parent() else { return };
        let is_python = fs::read_dir(prefix.join("lib")).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        });
        if is_python && bin.ends_with("bin") {
            for folder in ["bin", "lib", "lib64", "include", "share"] {
                self.add(&prefix.join(folder));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_virtual_environment_brings_the_installation_it_is_based_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it exists");
        let python = folder.join("python/bin");
        let bin = folder.join("venv/bin");
        fs::create_dir_all(&python).expect("a folder");
        fs::create_dir_all(folder.join("python/lib/python3.11")).expect("a folder");
        fs::create_dir_all(&bin).expect("a folder");
        fs::write(python.join("python3.11"), "").expect("a file");
        symlink("python3.11", python.join("python3")).expect("a link");
        symlink(python.join("python3"), bin.join("python3")).expect("a link");
        let config = format!("home = {}\nversion = 3.11\n", python.display());
        fs::write(folder.join("venv/pyvenv.cfg"), config).expect("a file");

        let mut found = Found::default();
        found.program(&bin.join("python3"));
        for expected in ["venv", "python/bin", "python/lib", "python/bin/python3.11"] {
            assert!(found.paths.contains(&folder.join(expected)), "{expected}");
        }
        assert!(!found.paths.contains(&folder.join("python")));
        let link = (bin.join("python3"), python.join("python3"));
        assert!(found.links.contains(&link));
    }

    #[test]
    fn a_program_in_a_home_brings_nothing_of_the_home() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it exists");
        fs::create_dir_all(folder.join("bin")).expect("a folder");
        fs::create_dir_all(folder.join("lib")).expect("a folder");
        fs::write(folder.join("bin/tool"), "").expect("a file");
        let mut found = Found::default();
        found.program(&folder.join("bin/tool"));
        assert_eq!(found.paths, BTreeSet::from([folder.join("bin/tool")]));
    }
}
