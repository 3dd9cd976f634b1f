//! What writing systems ask for: no spaces between ideographs, and lines that run from right to left
//! in the order in which they are read.
//!
//! Invariant: [`logical`] neither adds nor loses a character, but for spaces at its ends and forms that
//! are one letter's.

use unicode_normalization::UnicodeNormalization;

/// Whether words of this letter's script are not divided by spaces. Korean's are.
pub(super) fn is_ideograph(character: char) -> bool {
    matches!(character,
        '\u{3000}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF01}'..='\u{FF60}'
        | '\u{20000}'..='\u{3FFFF}')
}

/// Whether this is a letter that runs from right to left: Hebrew, Arabic, Syriac, Thaana, N'Ko.
pub(super) fn is_leftward(character: char) -> bool {
    matches!(character,
        '\u{0590}'..='\u{065F}' | '\u{066E}'..='\u{06EF}' | '\u{06FA}'..='\u{08FF}'
        | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// `text` without the spaces between ideographs, which producers draw to spread a line.
pub(super) fn without_spread(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let between = character == ' '
            && out.chars().next_back().is_some_and(is_ideograph)
            && characters.peek().copied().is_some_and(is_ideograph);
        if !between {
            out.push(character);
        }
    }
    out
}

/// A line as it is read, of one as it is seen from left to right: the whole turned round, and numbers
/// and words of other scripts turned back.
pub(super) fn logical(seen: &str) -> String {
    let turned: Vec<char> = seen.chars().rev().map(mirrored).collect();
    let mut read: Vec<char> = Vec::with_capacity(turned.len());
    let mut rest = turned.as_slice();
    while let Some((&first, after)) = rest.split_first() {
        if !is_rightward(first) {
            read.push(first);
            rest = after;
            continue;
        }
        // To the last letter or digit before the script changes back.
        let changes = rest.iter().position(|character| is_leftward(*character));
        let stretch = rest.get(..changes.unwrap_or(rest.len())).unwrap_or(rest);
        let length = stretch
            .iter()
            .rposition(|character| is_rightward(*character))
            .map_or(1, |last| last + 1);
        let (stretch, after) = rest.split_at(length);
        read.extend(stretch.iter().rev().copied().map(mirrored));
        rest = after;
    }
    let text: String = read.into_iter().collect();
    // Fonts have a form of each letter for each place in a word; texts have the letter.
    let has_forms = text
        .chars()
        .any(|c| matches!(c, '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'));
    if has_forms {
        text.nfkc().collect()
    } else {
        text
    }
}

fn is_rightward(character: char) -> bool {
    character.is_alphanumeric() && !is_leftward(character)
}

/// Brackets look the other way in lines that run to the left.
fn mirrored(character: char) -> char {
    match character {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '<' => '>',
        '>' => '<',
        '«' => '»',
        '»' => '«',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{logical, without_spread};

    #[test]
    fn lines_that_run_to_the_left() {
        // "Shalom (2024, v1.5) olam" in Hebrew letters, as it stands on paper.
        let seen = "םלוע (2024, v1.5) םולש";
        assert_eq!(logical(seen), "שלום (2024, v1.5) עולם");
        // Forms of Arabic letters, with the ligature of two.
        assert_eq!(logical("\u{FEFC}\u{FEE3}"), "\u{0645}\u{0644}\u{0627}");
    }

    #[test]
    fn ideographs_stand_together() {
        assert_eq!(
            without_spread("人 权 宣 言 2024 年 abc"),
            "人权宣言 2024 年 abc"
        );
        assert_eq!(without_spread("모든 인류"), "모든 인류");
    }
}
