//! Text to the words that are searched, alike for every language.
//!
//! Words are cut by Unicode's rules (UAX #29), without marks over letters and in lower case. Scripts
//! that do not put spaces between words become overlapping pairs of characters, which find any word of
//! two characters and more without a dictionary. There are no stems and no stop words: both belong to
//! one language.
//!
//! Invariant: a text is cut the same way whether it is stored or asked for. A change here needs a new
//! [`VERSION`], which builds the text index anew.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Counts the changes of the rules; a stored text index of another version is built anew.
pub(super) const VERSION: u32 = 1;

/// The most characters of a word that count. Longer ones are data (hashes, encoded files), and their
/// beginning tells them apart.
const WORD_CHARS_MAX: usize = 64;

/// They end a word: what stands before (`l'homme`) or behind (`Anna's`) is none of the word searched.
const APOSTROPHES: [char; 2] = ['\'', '\u{2019}'];

/// Calls `each` with the words of a text, in their order.
pub(super) fn for_each(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    // Characters of a script without spaces, gathered over word boundaries.
    let mut run: Vec<char> = Vec::new();
    let mut run_end = 0;
    for (start, segment) in text.unicode_word_indices() {
        if segment.is_ascii() {
            flush(&mut run, &mut word, &mut each);
            for part in segment.split(APOSTROPHES).filter(|part| !part.is_empty()) {
                word.clear();
                word.extend(part.chars().take(WORD_CHARS_MAX));
                word.make_ascii_lowercase();
                each(&word);
            }
            continue;
        }
        if start != run_end {
            flush(&mut run, &mut word, &mut each);
        }
        word.clear();
        for character in fold(segment) {
            if unspaced(character) {
                if !word.is_empty() {
                    each(&word);
                    word.clear();
                }
                run.push(character);
            } else {
                if !run.is_empty() {
                    let mut pair = String::new();
                    flush(&mut run, &mut pair, &mut each);
                }
                if APOSTROPHES.contains(&character) {
                    if !word.is_empty() {
                        each(&word);
                        word.clear();
                    }
                } else if word.chars().count() < WORD_CHARS_MAX {
                    word.push(character);
                }
            }
        }
        if !word.is_empty() {
            each(&word);
        }
        run_end = start + segment.len();
    }
    flush(&mut run, &mut word, &mut each);
}

/// Lower case, compatibility forms resolved (full width, ligatures), marks over Latin, Greek and
/// Cyrillic letters dropped.
fn fold(segment: &str) -> impl Iterator<Item = char> {
    segment
        .nfkd()
        .filter(|character| !('\u{300}'..='\u{36f}').contains(character))
        .nfc()
        .flat_map(char::to_lowercase)
}

/// The pairs of a run, or its only character.
fn flush(run: &mut Vec<char>, buffer: &mut String, each: &mut impl FnMut(&str)) {
    if let [only] = run[..] {
        buffer.clear();
        buffer.push(only);
        each(buffer);
    }
    for pair in run.windows(2) {
        buffer.clear();
        buffer.extend(pair);
        each(buffer);
    }
    run.clear();
}

/// Whether the script puts no spaces between words, or (Hangul) glues what is searched to what is not.
fn unspaced(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}'       // Thai, Lao
        | '\u{1000}'..='\u{109f}'     // Myanmar
        | '\u{1100}'..='\u{11ff}'     // Hangul letters
        | '\u{1780}'..='\u{17ff}'     // Khmer
        | '\u{3005}'..='\u{3007}'     // marks that repeat a Han character
        | '\u{3040}'..='\u{30ff}'     // Hiragana, Katakana
        | '\u{3130}'..='\u{318f}'     // Hangul letters, compatible
        | '\u{3400}'..='\u{4dbf}'     // Han
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}'     // Hangul syllables
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The words as the text index takes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    words: Vec<String>,
}

/// One text's words.
pub(super) struct Stream<'a> {
    words: &'a mut Vec<String>,
    next: usize,
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        self.words.clear();
        for_each(text, |word| self.words.push(word.to_owned()));
        Stream {
            words: &mut self.words,
            next: 0,
            token: Token::default(),
        }
    }
}

impl TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.get_mut(self.next) else {
            return false;
        };
        self.token.text = std::mem::take(word);
        self.token.position = self.next;
        self.next += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::for_each;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_cut_and_folded() {
        for (text, expected) in [
            (
                "The Café's menu, v2.0!",
                vec!["the", "cafe", "s", "menu", "v2.0"],
            ),
            ("L'homme et l’été", vec!["l", "homme", "et", "l", "ete"]),
            ("ＦＵＬＬ ﬁle Straße", vec!["full", "file", "straße"]),
            ("", vec![]),
            ("—…!", vec![]),
            ("東京都", vec!["東京", "京都"]),
            ("書", vec!["書"]),
            ("東 京", vec!["東", "京"]),
            ("iPhone用カバー", vec!["iphone", "用カ", "カバ", "バー"]),
            (
                "대한민국의 수도",
                vec!["대한", "한민", "민국", "국의", "수도"],
            ),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn long_words_are_cut_short() {
        let found = words(&"x".repeat(1000));
        assert_eq!(found, ["x".repeat(64)]);
    }
}
