//! Where in an input a walk is, as a chain of stack frames that costs nothing until it is shown.
//!
//! Shown the way AWS does: `a.b`, list elements as `a.1.member` (counting from one), map values as
//! `a.key.member`, members with a small first letter, as the code behind every service has them.

use std::fmt::{self, Write as _};

/// A position; the root has no parent and shows as nothing.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Element(usize),
    Entry(&'a str),
}

impl<'a> Path<'a> {
    pub(crate) const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
    };

    pub(crate) fn member(&'a self, name: &'a str) -> Path<'a> {
        self.child(Step::Member(name))
    }

    /// An element of a list, `index` counting from zero.
    pub(crate) fn element(&'a self, index: usize) -> Path<'a> {
        self.child(Step::Element(index))
    }

    pub(crate) fn entry(&'a self, key: &'a str) -> Path<'a> {
        self.child(Step::Entry(key))
    }

    fn child(&'a self, step: Step<'a>) -> Path<'a> {
        Path {
            parent: Some(self),
            step,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !matches!(parent.step, Step::Root) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) => {
                let mut letters = name.chars();
                if let Some(first) = letters.next() {
                    f.write_char(first.to_ascii_lowercase())?;
                }
                f.write_str(letters.as_str())
            }
            Step::Element(index) => write!(f, "{}.member", index + 1),
            Step::Entry(key) => write!(f, "{key}.member"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_like_aws() {
        assert_eq!(Path::ROOT.to_string(), "");
        let functions = Path::ROOT.member("functionSchema");
        let functions = functions.member("functions");
        let first = functions.element(0);
        let parameters = first.member("parameters");
        let order = parameters.entry("orderId");
        let kind = order.member("type");
        assert_eq!(
            kind.to_string(),
            "functionSchema.functions.1.member.parameters.orderId.member.type"
        );
    }
}
