//! What a folder looks like from outside: names, sizes, times and numbers of its files.
//!
//! A stamp that differs means a change. A file that is written twice within the clock's step, with the
//! same size and in place, is the one change it cannot see.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;

use super::tree::Tree;

/// Files beyond these are not looked at: a call must not wait for a hundred thousand of them.
const MAX_FILES: usize = 20_000;

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64);

impl Stamp {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut sum = 0_u64;
        let mut files = 0;
        let walked = tree.walk(|_, entries| {
            for entry in entries {
                let Ok(found) = std::fs::metadata(entry.path()) else {
                    continue;
                };
                files += 1;
                let mut hasher = DefaultHasher::new();
                entry.path().hash(&mut hasher);
                if found.is_file() {
                    (found.size(), found.mode(), found.ino()).hash(&mut hasher);
                    (found.mtime(), found.mtime_nsec()).hash(&mut hasher);
                }
                // The order in which a directory lists its entries does not count.
                sum = sum.wrapping_add(hasher.finish());
            }
            files < MAX_FILES
        });
        Self(if walked.is_ok() { sum } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::{Stamp, Tree};

    #[test]
    fn a_stamp_tells_a_change_of_code() {
        let scratch = tempfile::tempdir().expect("a folder");
        let root = scratch.path();
        let stamp = || Stamp::of(&Tree::new(root, Vec::new()));
        let empty = stamp();
        std::fs::write(root.join("app.py"), "1").expect("written");
        let one = stamp();
        assert_ne!(one, empty);
        assert_eq!(stamp(), one);
        std::fs::create_dir(root.join("__pycache__")).expect("made");
        std::fs::write(root.join("__pycache__/app.pyc"), "1").expect("written");
        assert_eq!(stamp(), one);
        std::fs::write(root.join("app.py"), "22").expect("written");
        assert_ne!(stamp(), one);
    }
}
