//! Lines of a PDF put together to paragraphs, headings and items.
//!
//! Size and distance tell: what is larger than most of the text is a heading, what stands further
//! apart than lines usually do is another paragraph. Invariant: each line goes into exactly one block,
//! in the order of the lines.

use std::collections::HashMap;

use outcrop_knowledge::document::BlockKind;

use super::glyphs::Line;
use super::script::{is_ideograph, without_spread};
use crate::blocks::Blocks;
use crate::error::Error;

/// How much larger than most of the text a heading is.
const HEADING: f64 = 1.15;
/// How much two sizes may differ and be the same.
const SAME_SIZE: f64 = 1.1;
/// Longest heading, bytes.
const HEADING_BYTES: usize = 250;
/// Levels of headings that are told apart.
const LEVELS: usize = 6;

/// How much further than usual a line is from the one before it when it begins a paragraph.
const APART: f64 = 1.2;
/// Distances of baselines that are looked at to find the usual one, in sizes.
const DISTANCES: std::ops::Range<f64> = 0.8..3.0;
/// The usual distance where there are no two lines to tell.
const DISTANCE: f64 = 1.2;
/// How far in, in sizes, a line begins that begins a paragraph.
const INDENT: f64 = 0.8;

/// Lines that begin within so much of each other belong to one column.
const COLUMN: f64 = 20.0;

/// Writes the blocks of all pages.
pub(super) fn write(pages: &[Vec<Line>], blocks: &mut Blocks) -> Result<(), Error> {
    let measures = Measures::new(pages);
    let mut level_one_seen = false;
    for (number, lines) in (1..).zip(pages) {
        blocks.page(number);
        let columns = Columns::new(lines);
        let mut rest = lines.as_slice();
        while let [first, after @ ..] = rest {
            let mut length = 1;
            let mut before = first;
            for line in after {
                if measures.begins(line, before, first, &columns) {
                    break;
                }
                before = line;
                length += 1;
            }
            let (paragraph, others) = rest.split_at(length);
            let text = without_spread(&joined(paragraph, &columns));
            let kind = measures.kind(first, &text);
            if kind == (BlockKind::Heading { level: 1 }) && !level_one_seen {
                level_one_seen = true;
                blocks.title(&text);
            }
            blocks.push(kind, &text)?;
            rest = others;
        }
    }
    Ok(())
}

/// What is usual in this document.
struct Measures {
    /// The size of most of the text.
    body: f64,
    /// The distance of lines, in sizes.
    distance: f64,
    /// Sizes of headings, in tenths, largest first.
    headings: Vec<i64>,
}

impl Measures {
    fn new(pages: &[Vec<Line>]) -> Self {
        let mut sizes: HashMap<i64, usize> = HashMap::new();
        let mut distances: HashMap<i64, usize> = HashMap::new();
        for lines in pages {
            for line in lines {
                *sizes.entry(tenths(line.size)).or_default() += line.text.len();
            }
            for pair in lines.windows(2) {
                if let [above, below] = pair
                    && same_size(above.size, below.size)
                {
                    let distance = (above.height - below.height) / below.size;
                    if DISTANCES.contains(&distance) {
                        *distances.entry(tenths(distance * 2.0)).or_default() += 1;
                    }
                }
            }
        }
        let body = from_tenths(most(&sizes).unwrap_or_default());
        let distance = most(&distances).map_or(DISTANCE, |most| from_tenths(most) / 2.0);
        let mut headings: Vec<i64> = sizes
            .into_keys()
            .filter(|size| from_tenths(*size) > body * HEADING)
            .collect();
        headings.sort_unstable_by(|a, b| b.cmp(a));
        // Sizes that are nearly the same are one level.
        headings.dedup_by(|smaller, larger| same_size(from_tenths(*smaller), from_tenths(*larger)));
        headings.truncate(LEVELS);
        Self {
            body,
            distance,
            headings,
        }
    }

    /// Whether `line` begins another block than the one that `first` began and `before` is the last of.
    fn begins(&self, line: &Line, before: &Line, first: &Line, columns: &Columns) -> bool {
        let step = (before.height - line.height) / line.size.max(before.size);
        if line.direction.dot(before.direction) < 0.99
            || !same_size(line.size, before.size)
            || step < 0.2
            || step > self.distance * APART
        {
            return true;
        }
        if is_item(&line.text) {
            return true;
        }
        // Text of an item may stand further in than the item.
        let indented = line.start - before.start > INDENT * line.size;
        let wrapped = columns.wrapped(before, line);
        let sentence_ends = before.text.trim_end().ends_with(['.', '!', '?', ':']);
        !wrapped && sentence_ends || indented && sentence_ends && !is_item(&first.text)
    }

    fn kind(&self, first: &Line, text: &str) -> BlockKind {
        if text.len() <= HEADING_BYTES && first.size > self.body * HEADING {
            let larger = self
                .headings
                .iter()
                .filter(|size| {
                    from_tenths(**size) > first.size && !same_size(from_tenths(**size), first.size)
                })
                .count();
            let level = u8::try_from(larger.min(LEVELS - 1) + 1).unwrap_or(1);
            return BlockKind::Heading { level };
        }
        if is_item(text) {
            BlockKind::ListItem
        } else {
            BlockKind::Paragraph
        }
    }
}

/// How far to the right the columns of a page reach.
struct Columns(HashMap<i64, f64>);

impl Columns {
    fn new(lines: &[Line]) -> Self {
        let mut columns: HashMap<i64, f64> = HashMap::new();
        for line in lines {
            let right = columns.entry(Self::of(line)).or_insert(line.end);
            *right = right.max(line.end);
        }
        Self(columns)
    }

    fn of(line: &Line) -> i64 {
        tenths(line.start / COLUMN / 10.0)
    }

    /// Whether `line` went on in `next` because there was no more room for its first word.
    fn wrapped(&self, line: &Line, next: &Line) -> bool {
        let column = Self::of(line);
        let right = (column.saturating_sub(1)..=column.saturating_add(1))
            .filter_map(|column| self.0.get(&column))
            .fold(line.end, |right, other| right.max(*other));
        let words = next.text.trim_start();
        let word = words.split(' ').next().unwrap_or_default();
        let width = (next.end - next.start) * ratio(word.len() + 1, words.len().max(1));
        line.end + width > right
    }
}

/// The lines as one text.
fn joined(lines: &[Line], columns: &Columns) -> String {
    let mut text = String::new();
    let mut before: Option<&Line> = None;
    for line in lines {
        if let Some(before) = before {
            if columns.wrapped(before, line) {
                join(&mut text, &line.text);
            } else {
                text.push('\n');
            }
        }
        text.push_str(line.text.trim());
        before = Some(line);
    }
    text
}

/// Makes `text` ready for `next`, which continues it: without the hyphen of a word that was divided.
fn join(text: &mut String, next: &str) {
    let divided = text.ends_with(['-', '\u{2010}', '\u{AD}'])
        && text.chars().rev().nth(1).is_some_and(char::is_alphabetic)
        && next.trim_start().starts_with(char::is_lowercase);
    let together = text.ends_with(is_ideograph) && next.trim_start().starts_with(is_ideograph);
    if divided {
        text.pop();
    } else if !together {
        text.push(' ');
    }
}

/// Whether a line begins as items of lists do.
fn is_item(text: &str) -> bool {
    const BULLETS: [char; 12] = ['•', '◦', '▪', '▫', '●', '○', '■', '□', '‣', '⁃', '–', '-'];
    let text = text.trim_start();
    let Some((mark, rest)) = text.split_once(' ') else {
        return false;
    };
    if rest.is_empty() {
        return false;
    }
    let mut characters = mark.chars();
    if let (Some(bullet), None) = (characters.next(), characters.next()) {
        return BULLETS.contains(&bullet);
    }
    let Some(number) = mark.strip_suffix(['.', ')']) else {
        return false;
    };
    let number = number.trim_start_matches('(');
    let short = (1..=3).contains(&number.len());
    short && number.chars().all(|c| c.is_ascii_digit())
        || number.len() == 1
            && mark.ends_with(')')
            && number.chars().all(|c| c.is_ascii_alphabetic())
}

fn same_size(a: f64, b: f64) -> bool {
    a.max(b) <= a.min(b) * SAME_SIZE
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of a float saturates, and what is so large is a page made to confuse"
)]
fn tenths(value: f64) -> i64 {
    (value * 10.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "a size in tenths of a point")]
fn from_tenths(value: i64) -> f64 {
    value as f64 / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "lengths of lines of text")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// The key with the most, the smaller one of two.
fn most(counts: &HashMap<i64, usize>) -> Option<i64> {
    counts
        .iter()
        .max_by_key(|(key, count)| (**count, std::cmp::Reverse(**key)))
        .map(|(key, _)| *key)
}
