//! Which files of a function's folder are its code.
//!
//! Caches, hidden directories and what editors leave behind are not. Of installed packages only their
//! list counts: who installs one adds a directory, and nobody edits the thousands of files below.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Beyond this many directories the system's watches are better left to others.
const MAX_DIRECTORIES: usize = 4096;
/// Links to a parent directory end here.
const MAX_DEPTH: usize = 32;
/// Never looked into.
const CACHES: [&str; 2] = ["__pycache__", "__MACOSX"];
/// Looked at, not into.
const INSTALLED: [&str; 2] = ["node_modules", "site-packages"];
/// A folder's own Python environments; of these only the installed packages count.
const ENVIRONMENTS: [&str; 2] = [".venv", "venv"];
/// What programs leave behind or hold open for themselves.
const ENDINGS: [&str; 7] = ["~", ".pyc", ".pyo", ".swp", ".swx", ".swo", ".tmp"];
/// Names of the same kind; `4913` is how one editor tries whether it may write.
const NAMES: [&str; 2] = ["4913", ".DS_Store"];

/// See the module's description.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    ignored: Vec<PathBuf>,
}

impl Tree {
    pub(super) fn new(root: &Path, ignored: Vec<PathBuf>) -> Self {
        Self {
            root: root.to_owned(),
            ignored,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a change of `path` may change what the function does.
    pub(super) fn matters(&self, path: &Path) -> bool {
        let Ok(inner) = path.strip_prefix(&self.root) else {
            return false;
        };
        if self.ignored.iter().any(|ignored| path.starts_with(ignored)) {
            return false;
        }
        let mut names = inner.components().filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let Some(file) = names.next_back() else {
            return true;
        };
        let mut environment = false;
        let mut installed = false;
        for name in names {
            if installed || is_hidden_directory(name) && !ENVIRONMENTS.contains(&name) {
                return false;
            }
            if CACHES.contains(&name) {
                return false;
            }
            environment |= ENVIRONMENTS.contains(&name);
            installed = INSTALLED.contains(&name);
        }
        (installed || !environment) && is_code(file)
    }

    /// All directories whose entries matter, the root first.
    pub(super) fn directories(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        self.walk(|directory, _| {
            found.push(directory.to_owned());
            found.len() <= MAX_DIRECTORIES
        })?;
        if found.len() > MAX_DIRECTORIES {
            let text = format!("it has more than {MAX_DIRECTORIES} directories");
            return Err(io::Error::other(text));
        }
        Ok(found)
    }

    /// Visits each directory whose entries matter, with the entries that do, until `visit` says that
    /// it has seen enough. What vanishes on the way is passed over; the root has to be there.
    pub(super) fn walk(
        &self,
        mut visit: impl FnMut(&Path, &[std::fs::DirEntry]) -> bool,
    ) -> io::Result<()> {
        std::fs::read_dir(&self.root)?;
        let mut open = vec![(self.root.clone(), 0)];
        while let Some((directory, depth)) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else {
                continue;
            };
            let entries: Vec<_> = entries
                .filter_map(Result::ok)
                .filter(|entry| self.matters(&entry.path()) || self.leads_on(&entry.path()))
                .collect();
            if !visit(&directory, &entries) {
                return Ok(());
            }
            if depth < MAX_DEPTH {
                let inner = entries.iter().map(std::fs::DirEntry::path);
                let inner = inner.filter(|path| path.is_dir() && self.leads_on(path));
                open.extend(inner.map(|path| (path, depth + 1)));
            }
        }
        Ok(())
    }

    /// Whether something that matters may lie below the directory `path`.
    fn leads_on(&self, path: &Path) -> bool {
        let Ok(inner) = path.strip_prefix(&self.root) else {
            return false;
        };
        let names: Vec<_> = inner.iter().filter_map(|name| name.to_str()).collect();
        match names.as_slice() {
            // The one way to the packages of an environment.
            [first, way @ ..] if ENVIRONMENTS.contains(first) => match way {
                [] | ["lib"] => true,
                ["lib", version] | ["lib", version, "site-packages"] => {
                    version.starts_with("python")
                }
                _ => false,
            },
            _ => self.matters(&path.join("file")),
        }
    }
}

fn is_hidden_directory(name: &str) -> bool {
    name.starts_with('.')
}

fn is_code(file: &str) -> bool {
    !NAMES.contains(&file)
        && !file.starts_with(".#")
        && !CACHES.contains(&file)
        && !ENDINGS.iter().any(|ending| file.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Tree;

    #[test]
    fn caches_and_leftovers_are_no_code() {
        let tree = Tree::new(Path::new("/f"), vec![PathBuf::from("/f/state")]);
        for path in [
            "/f",
            "/f/app.py",
            "/f/.env",
            "/f/lib/deep/helper.py",
            "/f/requirements.txt",
            "/f/node_modules/left-pad",
            "/f/.venv/lib/python3.12/site-packages/x-1.dist-info",
        ] {
            assert!(tree.matters(Path::new(path)), "{path}");
        }
        for path in [
            "/g/app.py",
            "/f/__pycache__",
            "/f/__pycache__/app.cpython-312.pyc",
            "/f/app.pyc",
            "/f/app.py~",
            "/f/.app.py.swp",
            "/f/.#app.py",
            "/f/4913",
            "/f/.git/index",
            "/f/node_modules/left-pad/index.js",
            "/f/.venv/bin/python",
            "/f/.venv/lib/python3.12/site-packages/x/y.py",
            "/f/state/counter.txt",
        ] {
            assert!(!tree.matters(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn only_directories_that_may_hold_code_are_watched() {
        let scratch = tempfile::tempdir().expect("a folder");
        let root = scratch.path();
        for path in [
            "lib/deep",
            "__pycache__",
            ".git/objects",
            "node_modules/left-pad/lib",
            ".venv/bin",
            ".venv/lib/python3.12/site-packages/x",
        ] {
            std::fs::create_dir_all(root.join(path)).expect("made");
        }
        let mut found: Vec<_> = Tree::new(root, Vec::new())
            .directories()
            .expect("readable")
            .iter()
            .map(|path| {
                path.strip_prefix(root)
                    .expect("inside")
                    .display()
                    .to_string()
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "",
                ".venv",
                ".venv/lib",
                ".venv/lib/python3.12",
                ".venv/lib/python3.12/site-packages",
                "lib",
                "lib/deep",
                "node_modules",
            ]
        );
    }
}
