//! Placeholders that do nothing where they stand, for lint.

use outcrop_model::control::PromptType;

use super::{TABLE, placeholder};

/// Longest text between two `$` that may be meant for a placeholder.
const PLACEHOLDER_CHARS_MAX: usize = 64;

/// A `$name$` in a template that does not do what its author may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlaceholder {
    /// Without the `$`.
    pub name: String,
    /// From 1, in the text as it was given.
    pub line: usize,
}

/// The placeholders of a template's text that are none, each once: they would reach the model as they
/// are.
pub fn unknown_placeholders(text: &str) -> Vec<UnknownPlaceholder> {
    named(text, |name| placeholder(name).is_none())
}

/// The placeholders of a template's text that belong to other prompt types, each once: they would be
/// empty, or stand for something else.
pub fn misplaced_placeholders(text: &str, prompt_type: PromptType) -> Vec<UnknownPlaceholder> {
    named(text, |name| {
        placeholder(name).is_some_and(|known| !known.prompts.contains(&prompt_type))
    })
}

fn named(text: &str, counts: impl Fn(&str) -> bool) -> Vec<UnknownPlaceholder> {
    let mut found: Vec<UnknownPlaceholder> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line;
        while let Some((_, tail)) = rest.split_once('$') {
            rest = tail;
            let Some((name, after)) = tail.split_once('$') else {
                break;
            };
            let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.len() <= PLACEHOLDER_CHARS_MAX
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name {
                continue;
            }
            rest = after;
            if counts(name) && found.iter().all(|one| one.name != name) {
                found.push(UnknownPlaceholder {
                    name: name.to_owned(),
                    line: index + 1,
                });
            }
        }
    }
    found
}

/// The names of all placeholders there are, sorted.
pub fn placeholders() -> &'static [&'static str] {
    const NAMES: [&str; TABLE.len()] = {
        let mut names = [""; TABLE.len()];
        let mut index = 0;
        while index < TABLE.len() {
            names[index] = TABLE[index].name;
            index += 1;
        }
        names
    };
    &NAMES
}
