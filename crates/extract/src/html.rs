//! HTML as its readers see it: no scripts, styles, navigation or controls, and where a page marks its
//! main part, that alone.
//!
//! Works on the tokens of the page, without a tree, so that no nesting is too deep for it. Invariant:
//! whatever tags are missing or crossed, each character of the part that is read is in exactly one
//! block.

mod cells;
mod elements;

use std::ops::Range;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{EndTag, HtmlString, StartTag, Token, Tokenizer};
use outcrop_knowledge::document::BlockKind;

use crate::blocks::Blocks;
use crate::error::Error;
use crate::limits::Limits;
use cells::Tables;
use elements::Element;

/// A main part with less text than this, bytes, is there to be filled by a script, or a mistake.
const MAIN_BYTES: usize = 200;

/// The name of the charset that the beginning of a page tells, if it does.
pub(crate) fn charset(content: &[u8]) -> Option<String> {
    /// The standard's bound for the search.
    const WITHIN: usize = 1024;
    let head = String::from_utf8_lossy(content.get(..WITHIN).unwrap_or(content)).to_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label: String = after
        .trim_start_matches(['"', '\'', ' '])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))
        .collect();
    (!label.is_empty()).then_some(label)
}

/// The blocks of a page, or of a part of one.
pub(crate) fn read(text: &str, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    let mut emitter = DefaultEmitter::default();
    // Scripts and the like must not be taken for tags.
    emitter.naively_switch_states(true);
    let first = blocks.count();
    let mut reader = Reader {
        blocks,
        text: String::new(),
        flow: Flow::Paragraph,
        item: false,
        lists: Vec::new(),
        preformatted: 0,
        skipped: None,
        title: None,
        first,
        main: None,
        tables: Tables::new(limits),
    };
    for token in Tokenizer::new_with_emitter(text, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => reader.start(&tag)?,
            Token::EndTag(tag) => reader.end(&tag)?,
            Token::String(text) => reader.string(&text),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    reader.finish()
}

/// What the text being collected is, as far as its element says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Paragraph,
    Heading(u8),
}

/// An element whose content nobody sees, with how many of its name are open inside it.
#[derive(Debug)]
struct Skipped {
    name: Vec<u8>,
    depth: u32,
}

struct Reader<'a> {
    blocks: &'a mut Blocks,
    text: String,
    flow: Flow,
    /// Whether the text is an item's.
    item: bool,
    /// What `item` was outside of each list that is open: many pages leave out the ends of items, none
    /// those of lists.
    lists: Vec<bool>,
    /// `<pre>` that are open.
    preformatted: u32,
    skipped: Option<Skipped>,
    title: Option<String>,
    /// The page's first block.
    first: usize,
    /// The blocks of its main part, so far.
    main: Option<Range<usize>>,
    tables: Tables,
}

impl Reader<'_> {
    fn string(&mut self, text: &[u8]) {
        if self.skipped.is_some() {
            return;
        }
        let text = String::from_utf8_lossy(text);
        if let Some(title) = &mut self.title {
            title.push_str(&text);
        } else if self.preformatted > 0 {
            self.text.push_str(&text);
        } else {
            // Line breaks of the source mean nothing.
            self.text.extend(
                text.chars()
                    .map(|c| if c.is_whitespace() { ' ' } else { c }),
            );
        }
    }

    fn start(&mut self, tag: &StartTag<()>) -> Result<(), Error> {
        if let Some(skipped) = &mut self.skipped {
            if *tag.name == skipped.name && !tag.self_closing {
                skipped.depth += 1;
            }
            return Ok(());
        }
        let element = Element::of(&tag.name);
        if element == Element::Unseen || (element.always_closed() && is_hidden(tag)) {
            self.skipped = Some(Skipped {
                name: tag.name.to_vec(),
                depth: 1,
            });
            return Ok(());
        }
        match element {
            Element::Title => self.title = Some(String::new()),
            Element::Main => {
                self.flush()?;
                let here = self.blocks.count();
                // Several are a mistake; all of them count.
                self.main.get_or_insert(here..usize::MAX).end = usize::MAX;
            }
            Element::Heading(level) => {
                self.flush()?;
                self.flow = Flow::Heading(level);
            }
            Element::List => {
                self.flush()?;
                self.lists.push(self.item);
            }
            Element::Item => {
                self.flush()?;
                self.item = true;
            }
            Element::Preformatted => {
                self.flush()?;
                self.preformatted += 1;
            }
            Element::Break => self.text.push('\n'),
            Element::Image => {
                if let Some(text) = tag.attributes.get(b"alt".as_slice()) {
                    self.text.push(' ');
                    self.text.push_str(&String::from_utf8_lossy(text));
                    self.text.push(' ');
                }
            }
            Element::Table => {
                self.flush()?;
                self.tables.begin(self.blocks)?;
            }
            Element::Row => {
                self.flush()?;
                self.tables.row(self.blocks)?;
            }
            Element::Cell { header } => {
                self.flush()?;
                let span = tag.attributes.get(b"colspan".as_slice()).and_then(number);
                self.tables.cell(header, span);
            }
            Element::Block | Element::Loose => self.flush()?,
            Element::Spaced => self.text.push(' '),
            Element::Unseen | Element::Inline => {}
        }
        Ok(())
    }

    fn end(&mut self, tag: &EndTag<()>) -> Result<(), Error> {
        if let Some(skipped) = &mut self.skipped {
            if *tag.name == skipped.name {
                skipped.depth -= 1;
            }
            if skipped.depth == 0 {
                self.skipped = None;
            }
            return Ok(());
        }
        match Element::of(&tag.name) {
            Element::Title => {
                if let Some(title) = self.title.take() {
                    self.blocks.title(&title);
                }
            }
            Element::List => {
                self.flush()?;
                self.item = self.lists.pop().unwrap_or(false);
            }
            Element::Main => {
                self.flush()?;
                if let Some(main) = &mut self.main {
                    main.end = self.blocks.count();
                }
            }
            Element::Item => {
                self.flush()?;
                self.item = false;
            }
            Element::Preformatted => {
                self.flush()?;
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            Element::Table => {
                self.flush()?;
                self.tables.end(self.blocks)?;
            }
            Element::Row => {
                self.flush()?;
                self.tables.row(self.blocks)?;
            }
            Element::Cell { .. } | Element::Heading(_) | Element::Block | Element::Loose => {
                self.flush()?;
            }
            Element::Spaced => self.text.push(' '),
            Element::Unseen | Element::Inline | Element::Break | Element::Image => {}
        }
        Ok(())
    }

    /// Ends the text being collected: into the cell that is open, else into a block.
    fn flush(&mut self) -> Result<(), Error> {
        let text = std::mem::take(&mut self.text);
        let flow = std::mem::replace(&mut self.flow, Flow::Paragraph);
        if text.trim().is_empty() || self.tables.take(&text) {
            return Ok(());
        }
        let kind = match flow {
            Flow::Heading(level) => BlockKind::Heading { level },
            Flow::Paragraph if self.preformatted > 0 => BlockKind::Code,
            Flow::Paragraph if self.item => BlockKind::ListItem,
            Flow::Paragraph => BlockKind::Paragraph,
        };
        if kind == (BlockKind::Heading { level: 1 }) && self.title.is_none() {
            self.blocks.title(&text);
        }
        self.blocks.push(kind, &text)
    }

    fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.tables.finish(self.blocks)?;
        if let Some(main) = self.main {
            let end = main.end.min(self.blocks.count());
            self.blocks.keep(self.first, main.start..end, MAIN_BYTES);
        }
        Ok(())
    }
}

/// Whether the page says that the element is not shown.
fn is_hidden(tag: &StartTag<()>) -> bool {
    if tag.attributes.contains_key(b"hidden".as_slice()) {
        return true;
    }
    let value = |name: &[u8]| tag.attributes.get(name).map(|value| value.as_slice());
    if value(b"aria-hidden") == Some(b"true") {
        return true;
    }
    value(b"style").is_some_and(|style| {
        let plain: Vec<u8> = style
            .iter()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(u8::to_ascii_lowercase)
            .collect();
        memchr::memmem::find(&plain, b"display:none").is_some()
            || memchr::memmem::find(&plain, b"visibility:hidden").is_some()
    })
}

fn number(value: &html5gum::Spanned<HtmlString, ()>) -> Option<usize> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
