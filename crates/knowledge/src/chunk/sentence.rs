//! Where sentences end.
//!
//! The boundaries are those of Unicode (UAX 29), which knows the full stops of all scripts, decimals
//! and quotation marks. Three things it does not know are put right: abbreviations, numbers of
//! headings and list items, and lines that were broken only to fit a page.

use std::borrow::Cow;
use std::iter::Peekable;

use unicode_segmentation::UnicodeSegmentation;

/// Words that end with a full stop within a sentence, in lower case, without it. Words that end a
/// sentence as often ("etc.", "Inc.") are not among them, nor are words of everyday language ("no.").
const ABBREVIATIONS: &[&str] = &[
    "abs", "adm", "al", "approx", "art", "bzw", "ca", "capt", "cf", "chap", "col", "d.h", "dept",
    "dr", "e.g", "ed", "eds", "eq", "evtl", "fig", "figs", "gen", "ggf", "gov", "hon", "i.e",
    "incl", "lt", "maj", "messrs", "mme", "mr", "mrs", "ms", "mt", "nos", "nr", "op", "p.ex", "pp",
    "prof", "ref", "rep", "resp", "rev", "sec", "sen", "sgt", "sog", "sr", "sra", "srta", "st",
    "ste", "viz", "vol", "vols", "vs", "z.b",
];
/// Longest number of a heading or list item, as "12.3.", in bytes.
const ENUMERATOR_BYTES_MAX: usize = 8;
/// Longest word that is looked up among the abbreviations.
const WORD_BYTES_MAX: usize = 12;

/// Where each sentence ends, as byte offsets: ascending, the last one the text's length. A sentence
/// has the white space behind it. An empty text has none.
pub(super) fn sentences(text: &str) -> Vec<usize> {
    let unbroken = unbroken(text);
    let mut ends: Vec<usize> = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for sentence in unbroken.split_sentence_bounds() {
        end += sentence.len();
        let blank = unbroken[start..end].trim().is_empty();
        match ends.last_mut() {
            // An empty line belongs to the sentence before it.
            Some(last) if blank => *last = end,
            _ if end < text.len() && (blank || goes_on(&unbroken[start..end])) => continue,
            _ => ends.push(end),
        }
        start = end;
    }
    ends
}

/// The text with its single line breaks made spaces, byte for byte, since Unicode's rules end a
/// sentence at each of them. What looks like the beginning of an item or follows an empty line stays
/// on a line of its own.
fn unbroken(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let mut unbroken = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let content = line.trim_end();
        if content.is_empty() || !continues(&mut lines) {
            unbroken.push_str(line);
            continue;
        }
        unbroken.push_str(content);
        for c in line[content.len()..].chars() {
            unbroken.push(if matches!(c, '\n' | '\r') { ' ' } else { c });
        }
    }
    Cow::Owned(unbroken)
}

/// Whether the next line goes on where the one before was broken.
fn continues<'a>(lines: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let Some(line) = lines.peek().map(|line| line.trim_start()) else {
        return false;
    };
    let mut rest = line.chars();
    match rest.next() {
        None | Some('•' | '‣' | '◦' | '▪' | '–' | '—' | '#' | '|') => false,
        Some('-' | '*' | '+') => rest.next() != Some(' '),
        Some(_) => !line
            .split_whitespace()
            .next()
            .is_some_and(|word| word.len() < line.trim_end().len() && is_enumerator(word)),
    }
}

/// Whether Unicode's end of a sentence is not one.
fn goes_on(sentence: &str) -> bool {
    let content = sentence.trim_end();
    let broken = sentence[content.len()..].contains(['\n', '\u{2028}', '\u{2029}']);
    if broken || !content.ends_with(['.', ')']) {
        return false;
    }
    let word = content
        .rsplit(|c: char| c.is_whitespace())
        .next()
        .unwrap_or(content);
    if word.len() == content.trim_start().len() && is_enumerator(word) {
        return true;
    }
    let Some(word) = word
        .trim_start_matches(['(', '[', '"', '“', '„', '«'])
        .strip_suffix('.')
    else {
        return false;
    };
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return false;
    }
    // An initial: "J. Smith". "I." ends a sentence more often.
    let mut letters = word.chars();
    let initial = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none();
    (initial && word != "I")
        || ABBREVIATIONS
            .binary_search(&word.to_lowercase().as_str())
            .is_ok()
}

/// Whether a word numbers what follows: "1.", "2.3.", "a)", "(iv)".
fn is_enumerator(word: &str) -> bool {
    if word.len() > ENUMERATOR_BYTES_MAX || !word.ends_with(['.', ')']) {
        return false;
    }
    let label = word.trim_start_matches('(').trim_end_matches(['.', ')']);
    !label.is_empty()
        && label.split('.').all(|part| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            let letter = part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
            let roman = part.bytes().all(|byte| b"ivxIVX".contains(&byte));
            !part.is_empty() && (digits || letter || roman)
        })
}
