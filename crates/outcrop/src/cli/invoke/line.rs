//! Styled lines: what the renderer makes and the terminal shows.
//!
//! Text of models and tools is foreign: control characters are made visible here, so that nothing
//! they write can move the cursor, set a title or hide text (Trojan Source).

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};

/// Longest text of one block, in lines; the rest is counted. `--json` shows everything.
const BLOCK_LINES: usize = 16;
/// Longest text of one block, in characters.
const BLOCK_CHARS: usize = 2_000;
/// Narrower than this, wrapping makes text harder to read rather than easier.
const NARROWEST: usize = 24;

/// What a span is, not how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// Of less interest.
    Quiet,
    /// A step's heading.
    Heading,
    /// What a model thinks.
    Thought,
    /// A call.
    Call,
    /// What a call gave.
    Result,
    /// A question to the person at the terminal.
    Question,
    /// A failure.
    Failure,
}

/// A run of text in one tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    tone: Tone,
    text: String,
}

/// One line of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line(Vec<Span>);

impl Line {
    /// A line of several spans; empty ones are left out.
    pub(crate) fn new<const N: usize>(spans: [(Tone, &str); N]) -> Self {
        Self(
            spans
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(tone, text)| Span {
                    tone,
                    text: text.to_owned(),
                })
                .collect(),
        )
    }

    /// The texts, label first.
    #[cfg(test)]
    pub(crate) fn spans(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|span| span.text.as_str())
    }

    /// The text with escape sequences, or without.
    pub(crate) fn paint(&self, colour: bool) -> String {
        let mut painted = String::new();
        for span in &self.0 {
            let style = if colour {
                style(span.tone)
            } else {
                Style::new()
            };
            write!(painted, "{style}{}{style:#}", span.text)
                .expect("writing to a string cannot fail");
        }
        painted
    }
}

fn style(tone: Tone) -> Style {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match tone {
        Tone::Plain => Style::new(),
        Tone::Quiet => Style::new().effects(Effects::DIMMED),
        Tone::Heading => Style::new().effects(Effects::BOLD),
        Tone::Thought => Style::new().effects(Effects::ITALIC.insert(Effects::DIMMED)),
        Tone::Call => colour(AnsiColor::Cyan),
        Tone::Result => colour(AnsiColor::Green),
        Tone::Question => colour(AnsiColor::Yellow),
        Tone::Failure => colour(AnsiColor::Red),
    }
}

/// A label, a text that may take several lines, and a quiet note after it.
pub(crate) struct Block<'a> {
    /// Column where the label begins.
    pub(crate) indent: usize,
    /// One word.
    pub(crate) label: &'a str,
    /// Of the text.
    pub(crate) tone: Tone,
    /// Foreign text, not yet cleaned.
    pub(crate) text: &'a str,
    /// Times and counts.
    pub(crate) note: &'a str,
}

/// Width of the label column.
const LABEL: usize = 10;

impl Block<'_> {
    /// The lines, wrapped at `width` columns.
    pub(crate) fn lines(&self, width: usize) -> Vec<Line> {
        let margin = self.indent + LABEL;
        let (texts, left_out) = shorten(self.text, width.saturating_sub(margin).max(NARROWEST));
        let mut note = self.note.to_owned();
        if left_out > 0 {
            let separator = if note.is_empty() { "" } else { ", " };
            note = format!("… {} more characters{separator}{note}", grouped(left_out));
        }
        let last = texts.len().saturating_sub(1);
        texts
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let label = if number == 0 { self.label } else { "" };
                let label = format!("{:indent$}{label:<LABEL$}", "", indent = self.indent);
                let note = if number == last && !note.is_empty() {
                    let gap = if text.is_empty() { "" } else { "  " };
                    format!("{gap}{note}")
                } else {
                    String::new()
                };
                Line::new([
                    (Tone::Quiet, &label),
                    (self.tone, text),
                    (Tone::Quiet, &note),
                ])
            })
            .collect()
    }
}

/// Cleaned and wrapped lines, and how many characters were left out.
fn shorten(text: &str, width: usize) -> (Vec<String>, u64) {
    let cleaned = clean(text.trim());
    let total = cleaned.chars().count();
    let kept: String = cleaned.chars().take(BLOCK_CHARS).collect();
    let mut lines: Vec<String> = kept.lines().flat_map(|line| wrap(line, width)).collect();
    lines.truncate(BLOCK_LINES);
    let shown: usize = lines.iter().map(|line| line.chars().count() + 1).sum();
    if lines.is_empty() {
        lines.push(String::new());
    }
    // Wrapping and trimming drop white space; only a cut counts as left out.
    let cut = total > BLOCK_CHARS
        || kept.lines().flat_map(|line| wrap(line, width)).count() > BLOCK_LINES;
    let left_out = if cut {
        total.saturating_sub(shown) as u64
    } else {
        0
    };
    (lines, left_out)
}

/// `text` with every character made harmless that is not text: control characters but for newline
/// (a tab becomes a space), and those that reorder or hide what follows.
pub(crate) fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|character| match character {
            '\n' => '\n',
            '\t' => ' ',
            '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}'
            | '\u{FEFF}' => char::REPLACEMENT_CHARACTER,
            other if other.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        })
        .collect()
}

/// Breaks at spaces where it can, within a word where it must.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end_matches(' ').chars().count();
        if column > 0 && column + length > width {
            lines.push(std::mem::take(&mut current).trim_end().to_owned());
            column = 0;
        }
        for character in word.chars() {
            if column == width && character != ' ' {
                lines.push(std::mem::take(&mut current));
                column = 0;
            }
            current.push(character);
            column += 1;
        }
    }
    lines.push(current.trim_end().to_owned());
    lines
}

/// `1643` as `1,643`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `343 ms`, `3.6 s`, `2 min 5 s`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, Tone, clean, duration, grouped};

    fn block(text: &str, width: usize) -> Vec<String> {
        let block = Block {
            indent: 2,
            label: "returns",
            tone: Tone::Result,
            text,
            note: "1 ms",
        };
        block
            .lines(width)
            .iter()
            .map(|line| line.paint(false))
            .collect()
    }

    #[test]
    fn wraps_and_cuts() {
        assert_eq!(
            block("one two three four five six seven", 36),
            [
                "  returns   one two three four five",
                "            six seven  1 ms"
            ]
        );
        assert_eq!(block("", 80), ["  returns   1 ms"]);
        let long = block(&"x".repeat(3_000), 1_012);
        assert_eq!(long.len(), 2);
        assert!(
            long[1].ends_with("x  … 998 more characters, 1 ms"),
            "{}",
            long[1]
        );
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(
            clean("a\u{1b}[2Jb\r\nc\td\u{202e}e\u{7}"),
            "a\u{fffd}[2Jb\nc d\u{fffd}e\u{fffd}"
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(
            [0, 999, 1_643, 12_345_678].map(grouped),
            ["0", "999", "1,643", "12,345,678"]
        );
        assert_eq!(
            [7, 3_624, 125_000].map(duration),
            ["7 ms", "3.6 s", "2 min 5 s"]
        );
    }
}
