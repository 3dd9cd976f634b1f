//! A cursor over a reply's text, and where in it a call may stand.

use crate::prompt::answer::THOUGHTS;

/// Walks a text once, front to back.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at byte `at`, which must lie between characters.
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// Where it stands, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What is still to be read.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The text from byte `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Passes over white space; tells whether anything is left.
    pub(super) fn skip_space(&mut self) -> bool {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        !self.rest().is_empty()
    }

    /// Passes over `part` if it stands here.
    pub(super) fn eat(&mut self, part: &str) -> bool {
        let eats = self.rest().starts_with(part);
        if eats {
            self.at += part.len();
        }
        eats
    }

    /// Passes over `bytes`, which must end between characters.
    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// What stands before the next `end`, which is passed over too; `None`, and nothing read, where
    /// there is no such end.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (found, _) = self.rest().split_once(end)?;
        self.at += found.len() + end.len();
        Some(found)
    }

    /// Passes over what stands before the next `end`, or over all.
    pub(super) fn skip_to(&mut self, end: &str) {
        let rest = self.rest();
        self.at += rest.find(end).unwrap_or(rest.len());
    }
}

/// Where the first of `openings` stands that is neither in a thought nor in the answer. An answer
/// ends the search: what follows it is no call.
pub(super) fn call_start(text: &str, openings: &[&str]) -> Option<usize> {
    let mut reader = Reader::new(text, 0);
    let mut closing = THOUGHTS.map(|_| true);
    loop {
        reader.skip_to("<");
        let rest = reader.rest();
        if rest.is_empty() || rest.starts_with("<answer>") {
            return None;
        }
        if openings.iter().any(|opening| rest.starts_with(opening)) {
            return Some(reader.at());
        }
        let thought = THOUGHTS.iter().zip(&mut closing);
        let thought = thought
            .into_iter()
            .find(|((opening, _), closes)| **closes && rest.starts_with(opening));
        if let Some(((_, end), closes)) = thought {
            // A model that forgets to close its thought still means the call behind it.
            *closes = reader.until(end).is_some();
            if *closes {
                continue;
            }
        }
        reader.eat("<");
    }
}
