//! JSON as AWS's own templates write it, with raw line breaks inside strings (behaviour.md 4.2).
//!
//! What the parser reads is an escaped copy; places in it are led back to the text that was given.

use super::TemplateError;

/// Follows a JSON text character by character, as far as knowing where its strings are.
#[derive(Default)]
struct Strings {
    inside: bool,
    escaped: bool,
}

impl Strings {
    /// What the parser must read in place of a character; `None` where it may stay.
    fn replacement(&mut self, character: char) -> Option<&'static str> {
        if self.inside && character < ' ' {
            self.escaped = false;
            return Some(match character {
                '\n' => "\\n",
                '\t' => "\\t",
                '\r' => "\\r",
                _ => " ",
            });
        }
        if character == '"' && !self.escaped {
            self.inside = !self.inside;
        }
        self.escaped = self.inside && character == '\\' && !self.escaped;
        None
    }
}

/// `text` with the raw control characters inside its strings escaped.
pub(super) fn escape(text: &str) -> String {
    let mut strings = Strings::default();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match strings.replacement(character) {
            Some(replacement) => out.push_str(replacement),
            None => out.push(character),
        }
    }
    out
}

/// What is wrong with `text`, of which the parser has read the escaped copy.
pub(super) fn error(text: &str, escaped: &str, error: &serde_json::Error) -> TemplateError {
    let (line, column) = place(text, offset(escaped, error));
    let said = error.to_string();
    let detail = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(detail, _)| detail);
    TemplateError::Json {
        line,
        column,
        detail: detail.to_owned(),
    }
}

/// The byte of the parsed text at which the parser stopped. It counts columns in bytes, the one it
/// has just read included; an end that came too early lies behind the last.
fn offset(parsed: &str, error: &serde_json::Error) -> usize {
    let lines = parsed
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    let column = if error.is_eof() {
        error.column()
    } else {
        error.column().saturating_sub(1)
    };
    before.saturating_add(column)
}

/// Line and column, from 1, of the character that became the byte `offset` of the escaped text.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let mut strings = Strings::default();
    let (mut line, mut column, mut passed) = (1, 1, 0);
    for character in text.chars() {
        passed += strings
            .replacement(character)
            .map_or(character.len_utf8(), str::len);
        if passed > offset {
            break;
        }
        if character == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (line, column)
}
