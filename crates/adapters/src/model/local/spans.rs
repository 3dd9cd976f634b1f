//! Pieces of a text that may be values: identifiers, dates, numbers, names, quoted texts, phrases.
//!
//! Values are copied, never composed: what the planner passes to a tool stands somewhere in the
//! conversation. Invariant: a span's `text` is what its byte range holds, quotes left out.

use std::sync::LazyLock;

use regex::Regex;

use super::words::{self, Word};

/// The most spans taken of one text: far above what a request names, and a bound on the work that a
/// pasted document can cause.
pub(super) const SPANS_LIMIT: usize = 64;

/// What a span looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Look {
    /// An e-mail address.
    Email,
    /// A web address.
    Url,
    /// Text in quotation marks.
    Quoted,
    /// A day or days, absolute or relative.
    Date,
    /// A time of day.
    Time,
    /// Letters and digits mixed: an identifier.
    Code,
    /// A number, in digits or as a word.
    Number(f64),
    /// Capitalised words.
    Name,
    /// Ordinary words.
    Phrase,
    /// The rest of a sentence after a word such as "because" or "saying".
    Clause,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    /// The words.
    pub(super) text: String,
    /// What it looks like.
    pub(super) look: Look,
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// Where it ends, in bytes.
    pub(super) end: usize,
    /// The preposition that governs it, if any: `from` in "from account CH-100".
    pub(super) preposition: Option<String>,
    /// Whether an article, a preposition, or a word that names the tool leads to it.
    pub(super) introduced: bool,
    /// Stems of the two words before.
    pub(super) before: Vec<String>,
    /// Stem of the word after.
    pub(super) after: Option<String>,
}

const PREPOSITIONS: &[&str] = &[
    "from", "to", "in", "at", "on", "for", "by", "until", "till", "between", "with", "of", "above",
    "below", "over", "under", "into", "through", "as", "called", "named",
];

const NUMBER_WORDS: &[(&str, f64)] = &[
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen", 16.0),
    ("seventeen", 17.0),
    ("eighteen", 18.0),
    ("nineteen", 19.0),
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
    ("hundred", 100.0),
    ("thousand", 1000.0),
    ("dozen", 12.0),
    ("one", 1.0),
];

/// Finders in the order in which they claim text.
static FINDERS: LazyLock<Vec<(Regex, Finder)>> = LazyLock::new(|| {
    let month = "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|\
                 sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)";
    let day = "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)";
    let number = NUMBER_WORDS
        .iter()
        .map(|(word, _)| *word)
        .collect::<Vec<_>>()
        .join("|");
    let year = r"(?:,?\s+\d{4})?";
    [
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+".to_owned(), Finder::Email),
        (r"https?://[^\s<>]*[^\s<>.,;:!?]".to_owned(), Finder::Url),
        (r#""[^"]{1,400}"|“[^”]{1,400}”|‘[^’]{1,400}’|\B'[^']{1,400}'\B"#.to_owned(), Finder::Quoted),
        (
            format!(
                r"(?ix)\b(?:\d{{4}}-\d{{2}}-\d{{2}}(?:T[\d:.]+Z?)?|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}|
                 (?:the\s+)?\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{month}{year}|
                 {month}\s+\d{{1,2}}(?:st|nd|rd|th)?\b{year}|
                 the\s+day\s+after\s+tomorrow|today|tonight|tomorrow|yesterday|
                 in\s+(?:\d+|{number})\s+(?:days?|weeks?|months?)|
                 (?:(?:next|this|last|coming)\s+)?{day}|
                 (?:next|this|last)\s+(?:week(?:end)?|month|year|quarter)|{month}\s+\d{{4}})\b"
            ),
            Finder::Date,
        ),
        (
            r"(?i)\b(?:\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?|\d{1,2}\s?[ap]m\b|\d{1,2}\s+o'clock|noon|midnight)".to_owned(),
            Finder::Time,
        ),
        (r"[A-Za-z0-9]+(?:[-_/][A-Za-z0-9]+)*".to_owned(), Finder::Code),
        (format!(r"(?i)[-+]?\d+(?:[.,]\d+)*|\b(?:{number})\b"), Finder::Number),
        (
            r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St)\.\s+)?\b\p{Lu}[\w’'&]*(?:\s+(?:(?:de|del|van|von|of|la|di)\s+)?\p{Lu}[\w’'&]*)*".to_owned(),
            Finder::Name,
        ),
        (
            r"(?i)\b(?:because|saying|that says|with the (?:message|text|comment|note|title|reason)|about|regarding|to say that|reason:)\s+[^.?!\n]{3,200}".to_owned(),
            Finder::Clause,
        ),
    ]
    .into_iter()
    .map(|(pattern, finder)| (Regex::new(&pattern).expect("a constant pattern"), finder))
    .collect()
});

#[derive(Clone, Copy, PartialEq)]
enum Finder {
    Email,
    Url,
    Quoted,
    Date,
    Time,
    Code,
    Number,
    Name,
    Clause,
}

/// The spans of `text`, in order of their beginnings.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let all_words = words::words(text);
    let mut found: Vec<Span> = Vec::new();
    for (pattern, finder) in FINDERS.iter() {
        for hit in pattern.find_iter(text) {
            let free = |span: &Span| hit.end() <= span.start || span.end <= hit.start();
            // A clause may hold other spans; every other finder takes only what is left.
            if *finder != Finder::Clause && !found.iter().all(free) {
                continue;
            }
            for (start, end, look) in readings(*finder, text, hit.start(), hit.end()) {
                found.push(span(text, &all_words, start, end, look));
            }
        }
    }
    phrases(text, &all_words, &mut found);
    found.sort_by_key(|span| (span.start, span.end));
    found.truncate(SPANS_LIMIT);
    found
}

/// What a hit of a finder may be: its range without wrapping, and how it looks.
fn readings(finder: Finder, text: &str, start: usize, end: usize) -> Vec<(usize, usize, Look)> {
    let hit = &text[start..end];
    match finder {
        Finder::Email => vec![(start, end, Look::Email)],
        Finder::Url => vec![(start, end, Look::Url)],
        Finder::Quoted => {
            let open = hit.chars().next().map_or(0, char::len_utf8);
            let close = hit.chars().next_back().map_or(0, char::len_utf8);
            vec![(start + open, end - close, Look::Quoted)]
        }
        Finder::Date => vec![(start, end, Look::Date)],
        Finder::Time => vec![(start, end, Look::Time)],
        Finder::Code => {
            let digit = hit.chars().any(|letter| letter.is_ascii_digit());
            let mixed = hit.chars().any(|letter| !letter.is_ascii_digit());
            let ordinal = hit.len() <= 4
                && ["st", "nd", "rd", "th"]
                    .iter()
                    .any(|end| hit.ends_with(end));
            if digit && mixed && !ordinal {
                vec![(start, end, Look::Code)]
            } else {
                Vec::new()
            }
        }
        Finder::Number => number(hit)
            .map(|value| (start, end, Look::Number(value)))
            .into_iter()
            .collect(),
        Finder::Name => names(text, start, end),
        Finder::Clause => {
            let spoken = ["because", "about", "regarding"]
                .iter()
                .any(|word| hit.to_lowercase().starts_with(word));
            let skipped = if spoken {
                hit.find(' ')
            } else {
                hit.rfind("saying ").map(|at| at + 6)
            };
            let skipped = skipped.or_else(|| hit.find(' ')).map_or(0, |at| at + 1);
            vec![(start + skipped, end, Look::Clause)]
        }
    }
}

fn number(hit: &str) -> Option<f64> {
    let lower = hit.to_lowercase();
    if let Some((_, value)) = NUMBER_WORDS.iter().find(|(word, _)| *word == lower) {
        return Some(*value);
    }
    // "1,204.11" groups thousands by commas; a single comma before other than three digits is a
    // decimal one.
    let decimal_comma = hit.matches(',').count() == 1
        && !hit.contains('.')
        && hit
            .rsplit(',')
            .next()
            .is_some_and(|digits| digits.len() != 3);
    let plain = if decimal_comma {
        hit.replace(',', ".")
    } else {
        hit.replace(',', "")
    };
    plain.parse().ok()
}

/// Capitalised words. The first word of a sentence is capitalised anyway, so it counts only where
/// more follow, once with it and once without.
fn names(text: &str, start: usize, end: usize) -> Vec<(usize, usize, Look)> {
    let hit = &text[start..end];
    let opening = text[..start].trim_end();
    let first_of_sentence = opening.is_empty() || opening.ends_with(['.', '?', '!', '\n', ':']);
    let first = hit.split_whitespace().next().unwrap_or(hit);
    let title = first.ends_with('.');
    let shouted = first.chars().filter(|letter| letter.is_uppercase()).count() > 1;
    let first_word = first
        .split(['\'', '’'])
        .next()
        .unwrap_or(first)
        .to_lowercase();
    let rest = hit.find(char::is_whitespace).map(|at| start + at + 1);
    let mut readings = Vec::new();
    if words::is_stop_word(&first_word) {
        readings.extend(
            rest.filter(|from| *from < end)
                .map(|from| (from, end, Look::Name)),
        );
        return readings;
    }
    if !first_of_sentence || title || shouted {
        readings.push((start, end, Look::Name));
    } else if let Some(from) = rest {
        readings.push((from, end, Look::Name));
        readings.push((start, end, Look::Name));
    }
    readings
}

/// Runs of ordinary words that no finder has claimed.
fn phrases(text: &str, all_words: &[Word], found: &mut Vec<Span>) {
    let claimed: Vec<(usize, usize)> = found
        .iter()
        .filter(|span| span.look != Look::Clause)
        .map(|span| (span.start, span.end))
        .collect();
    let mut run: Vec<&Word> = Vec::new();
    let mut add = |run: &mut Vec<&Word>| {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            found.push(span(text, all_words, first.start, last.end, Look::Phrase));
            if run.len() > 1 {
                found.push(span(text, all_words, last.start, last.end, Look::Phrase));
            }
        }
        run.clear();
    };
    for word in all_words {
        let taken = claimed
            .iter()
            .any(|(start, end)| word.start < *end && *start < word.end);
        let apart = run
            .last()
            .is_some_and(|last| !text[last.end..word.start].trim().is_empty());
        if apart {
            add(&mut run);
        }
        if taken || words::is_stop_word(&word.text) || word.text.len() < 2 {
            add(&mut run);
        } else {
            run.push(word);
        }
    }
    add(&mut run);
}

fn span(text: &str, all_words: &[Word], start: usize, end: usize, look: Look) -> Span {
    let before: Vec<&Word> = all_words
        .iter()
        .rev()
        .filter(|word| word.end <= start)
        .take(3)
        .collect();
    let preposition = before
        .iter()
        .find(|word| PREPOSITIONS.contains(&word.text.as_str()))
        .map(|word| word.text.clone());
    Span {
        text: text[start..end].trim().to_owned(),
        look,
        start,
        end,
        preposition,
        introduced: before.first().is_some_and(|word| introduces(&word.text)),
        before: before
            .iter()
            .take(2)
            .map(|word| words::stem(&word.text))
            .collect(),
        after: all_words
            .iter()
            .find(|word| word.start >= end)
            .map(|word| words::stem(&word.text)),
    }
}

fn introduces(word: &str) -> bool {
    PREPOSITIONS.contains(&word)
        || ["the", "my", "a", "an", "our", "this", "that", "your"].contains(&word)
}

/// A phrase without the words at its ends that only name the tool: "kitchen light" is "kitchen" to a
/// tool that turns lights on. `None` where nothing is left or nothing was to be left out.
pub(super) fn without(span: &Span, own_words: &[String]) -> Option<Span> {
    let all_words = words::words(&span.text);
    let is_own = |word: &&Word| own_words.contains(&words::stem(&word.text));
    let first = all_words.iter().find(|word| !is_own(word))?;
    let last = all_words.iter().rev().find(|word| !is_own(word))?;
    if first.start == 0 && last.end == span.text.len() {
        return None;
    }
    let mut left = span.clone();
    span.text[first.start..last.end].clone_into(&mut left.text);
    left.start = span.start + first.start;
    left.end = span.start + last.end;
    left.introduced = true;
    Some(left)
}

/// The pattern of an identifier: `A-482` and `B-77` are alike, as letters, digits and marks go.
pub(super) fn shape(text: &str) -> String {
    let mut shape = String::new();
    for letter in text.chars() {
        let class = match letter {
            _ if letter.is_ascii_digit() => '9',
            _ if letter.is_uppercase() => 'A',
            _ if letter.is_alphabetic() => 'a',
            other => other,
        };
        if !shape.ends_with(class) {
            shape.push(class);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(text: &str) -> Vec<(String, Look)> {
        let found = spans(text).into_iter();
        found
            .filter(|span| span.look != Look::Phrase)
            .map(|span| (span.text, span.look))
            .collect()
    }

    #[test]
    fn values_are_found_by_their_look() {
        for (text, expected, look) in [
            ("Where is order A-482?", "A-482", Look::Code),
            (
                "Open my calendar for next Monday.",
                "next Monday",
                Look::Date,
            ),
            ("on 14 March please", "14 March", Look::Date),
            ("from 2026-03-02 on", "2026-03-02", Look::Date),
            ("at 19:30", "19:30", Look::Time),
            ("mail ana@example.com.", "ana@example.com", Look::Email),
            (
                "see https://example.com/a?b=1.",
                "https://example.com/a?b=1",
                Look::Url,
            ),
            ("a table for four", "four", Look::Number(4.0)),
            ("pay 84.50 euros", "84.50", Look::Number(84.5)),
            ("see Dr. Weber", "Dr. Weber", Look::Name),
            ("when NVDA rises", "NVDA", Look::Name),
            ("call it \"Blue sky\"", "Blue sky", Look::Quoted),
            ("cancel it because it is late", "it is late", Look::Clause),
        ] {
            let found = looks(text);
            assert!(
                found.contains(&(expected.to_owned(), look)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn the_governing_preposition_is_kept() {
        let found = spans("Move 250 from account CH-100 to account SV-200.");
        let of = |text: &str| {
            found
                .iter()
                .find(|span| span.text == text)
                .and_then(|span| span.preposition.clone())
        };
        assert_eq!(of("CH-100").as_deref(), Some("from"));
        assert_eq!(of("SV-200").as_deref(), Some("to"));
    }
}
