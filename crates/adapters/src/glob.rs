//! Names with wildcards, as configuration files give them for models, functions and storage.
//!
//! Most are plain names or `*`, which need no compiled pattern: that costs a start of the server some
//! milliseconds and megabytes for the machinery of regular expressions.

use globset::{Glob, GlobMatcher};

/// What a glob's own syntax is made of.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// A glob over names.
#[derive(Clone, Debug)]
pub(crate) enum NameGlob {
    /// `*`.
    Any,
    /// A name without wildcards.
    Exactly(String),
    /// Anything else.
    Compiled(GlobMatcher),
}

impl NameGlob {
    /// Reads a glob.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn new(pattern: &str) -> Result<Self, globset::Error> {
        Ok(if pattern == "*" {
            Self::Any
        } else if pattern.contains(SPECIAL) {
            Self::Compiled(Glob::new(pattern)?.compile_matcher())
        } else {
            Self::Exactly(pattern.to_owned())
        })
    }

    /// Whether `name` is one that is meant.
    pub(crate) fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exactly) => exactly == name,
            Self::Compiled(glob) => glob.is_match(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_compiling_matches_as_if_compiled() {
        let names = [
            "",
            "a",
            "a.b",
            "a/b",
            "arn:aws:lambda:x:1:function:a",
            "A",
            "ab",
        ];
        for pattern in [
            "*",
            "a",
            "a.b",
            "a/b",
            "arn:aws:lambda:x:1:function:a",
            "a*",
            "?",
            "[ab]",
            "",
        ] {
            let compiled = Glob::new(pattern).expect("a glob").compile_matcher();
            let glob = NameGlob::new(pattern).expect("a glob");
            for name in names {
                assert_eq!(
                    glob.is_match(name),
                    compiled.is_match(name),
                    "{pattern} {name}"
                );
            }
        }
        assert!(NameGlob::new("a[").is_err());
    }
}
