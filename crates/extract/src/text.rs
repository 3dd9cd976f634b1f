//! Text without markup: paragraphs are what blank lines separate.

use outcrop_knowledge::document::BlockKind;

use crate::blocks::Blocks;
use crate::error::Error;

/// The paragraphs of `text`.
pub(crate) fn read(text: &str, blocks: &mut Blocks) -> Result<(), Error> {
    let mut rest = text;
    while !rest.is_empty() {
        let (paragraph, after) = paragraph(rest);
        blocks.push(BlockKind::Paragraph, paragraph)?;
        rest = after;
    }
    Ok(())
}

/// Splits after the first line that is followed by a blank one; a form feed ends a paragraph too.
fn paragraph(text: &str) -> (&str, &str) {
    let mut at = 0;
    for line in text.split_inclusive(['\n', '\x0C']) {
        let end = at + line.len();
        let blank = line.trim().is_empty();
        if (blank && at > 0) || line.ends_with('\x0C') {
            return text.split_at(end);
        }
        at = end;
    }
    (text, "")
}
