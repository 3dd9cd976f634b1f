//! Bytes as text: by their mark, as UTF-8, by the charset that was declared, else by what they look
//! like.
//!
//! Invariant: bytes that are no text are refused, never turned into signs.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The bytes are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its bytes are no text")]
pub(crate) struct NoText;

/// How much is looked at to tell text from other things.
const PROBE: usize = 64 * 1024;

/// One control character in this many is still a text; logs and printouts have some.
const CONTROLS_ONE_IN: usize = 50;

/// A text that is UTF-8 but for one broken sequence in this many good ones has been damaged; more than
/// that is another charset.
const BROKEN_ONE_IN: usize = 10;

/// The text of `content`; `declared` is the name of a charset that came with it.
pub(crate) fn decode<'a>(
    content: &'a [u8],
    declared: Option<&str>,
) -> Result<Cow<'a, str>, NoText> {
    // First, since the mark of UTF-32 begins with that of UTF-16.
    if let Some(text) = utf32(content) {
        return checked(Cow::Owned(text));
    }
    if let Some((encoding, mark)) = Encoding::for_bom(content) {
        let rest = content.get(mark..).unwrap_or_default();
        return checked(encoding.decode_without_bom_handling(rest).0);
    }
    // Before UTF-8, in which a zero is a character too.
    if let Some(encoding) = unmarked_utf16(content) {
        return checked(encoding.decode_without_bom_handling(content).0);
    }
    if let Ok(text) = std::str::from_utf8(content) {
        return checked(Cow::Borrowed(text));
    }
    if let Some(text) = damaged_utf8(content) {
        return checked(text);
    }
    let declared = declared.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = declared
        .filter(|encoding| *encoding != UTF_8)
        .unwrap_or_else(|| guess(content));
    checked(encoding.decode_without_bom_handling(content).0)
}

fn guess(content: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(content, true);
    detector.guess(None, Utf8Detection::Deny)
}

/// UTF-32 has no place in the standard that the decoder follows, and some editors write it.
fn utf32(content: &[u8]) -> Option<String> {
    let (rest, little) = match content {
        [0xFF, 0xFE, 0, 0, rest @ ..] => (rest, true),
        [0, 0, 0xFE, 0xFF, rest @ ..] => (rest, false),
        _ => return None,
    };
    let units = rest.as_chunks::<4>().0;
    let read = |unit: &[u8; 4]| {
        let code = if little {
            u32::from_le_bytes(*unit)
        } else {
            u32::from_be_bytes(*unit)
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    Some(units.iter().map(read).collect())
}

/// UTF-16 of mostly Latin letters has a zero in nearly every other byte.
fn unmarked_utf16(content: &[u8]) -> Option<&'static Encoding> {
    let probe = content.get(..PROBE).unwrap_or(content);
    let pairs = probe.as_chunks::<2>().0;
    if pairs.len() < 2 {
        return None;
    }
    let zeros = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let most = pairs.len() * 3 / 4;
    if second >= most && first == 0 {
        Some(UTF_16LE)
    } else if first >= most && second == 0 {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn damaged_utf8(content: &[u8]) -> Option<Cow<'_, str>> {
    let mut good = 0_usize;
    let mut broken = 0_usize;
    for chunk in content.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    (broken * BROKEN_ONE_IN <= good).then(|| String::from_utf8_lossy(content))
}

/// Refuses what has too many control characters.
fn checked(text: Cow<'_, str>) -> Result<Cow<'_, str>, NoText> {
    let mut seen = 0_usize;
    let mut controls = 0_usize;
    for character in text.chars().take(PROBE) {
        seen += 1;
        if character == '\0' {
            return Err(NoText);
        }
        let odd =
            character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\x0C' | '\x1B');
        controls += usize::from(odd || character == char::REPLACEMENT_CHARACTER);
    }
    // A few bytes among a few letters say nothing.
    if controls > 1 && controls * CONTROLS_ONE_IN > seen {
        return Err(NoText);
    }
    Ok(text)
}
