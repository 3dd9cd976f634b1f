//! Markdown, as `CommonMark` with tables, footnotes and front matter.
//!
//! Markup goes, structure stays. HTML inside is read as HTML. Invariant: text that a reader would see
//! is in exactly one block.

use outcrop_knowledge::document::BlockKind;
use pulldown_cmark::{Event, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use crate::blocks::Blocks;
use crate::error::Error;
use crate::html;
use crate::limits::Limits;
use crate::table::{RowRole, Table};

/// The blocks of `text`.
pub(crate) fn read(text: &str, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut reader = Reader {
        blocks,
        limits,
        text: String::new(),
        inside: Inside::Text,
        items: 0,
        table: Table::new(limits),
        row: Vec::new(),
    };
    for event in Parser::new_ext(text, options) {
        reader.event(event)?;
    }
    reader.flush()
}

/// What the text being collected is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Text,
    Heading(u8),
    Code,
    Html,
    FrontMatter,
    Cell,
}

struct Reader<'a> {
    blocks: &'a mut Blocks,
    limits: &'a Limits,
    text: String,
    inside: Inside,
    /// List items that are open.
    items: u32,
    table: Table,
    row: Vec<String>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::Start(tag) => self.start(&tag)?,
            Event::End(tag) => self.end(tag)?,
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::Html(text) => self.text.push_str(&text),
            // A tag in the middle of a line: only a line break is seen.
            Event::InlineHtml(tag) => {
                if tag.starts_with("<br") {
                    self.text.push('\n');
                }
            }
            Event::SoftBreak => self.text.push(' '),
            Event::HardBreak => self.text.push('\n'),
            Event::TaskListMarker(done) => {
                self.text.push_str(if done { "[x] " } else { "[ ] " });
            }
            Event::FootnoteReference(_) | Event::Rule => {}
        }
        Ok(())
    }

    fn start(&mut self, tag: &Tag<'_>) -> Result<(), Error> {
        match tag {
            Tag::Heading { level, .. } => {
                self.flush()?;
                self.inside = Inside::Heading(*level as u8);
            }
            Tag::CodeBlock(_) => {
                self.flush()?;
                self.inside = Inside::Code;
            }
            Tag::HtmlBlock => {
                self.flush()?;
                self.inside = Inside::Html;
            }
            Tag::MetadataBlock(MetadataBlockKind::YamlStyle | MetadataBlockKind::PlusesStyle) => {
                self.inside = Inside::FrontMatter;
            }
            Tag::Item => {
                self.flush()?;
                self.items += 1;
            }
            Tag::Table(_) => {
                self.flush()?;
                self.table.begin();
            }
            Tag::TableHead | Tag::TableRow => self.row.clear(),
            Tag::TableCell => self.inside = Inside::Cell,
            Tag::Paragraph
            | Tag::BlockQuote(_)
            | Tag::List(_)
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition => self.flush()?,
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. } => {}
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), Error> {
        match tag {
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.text);
                self.row.push(cell);
                self.inside = Inside::Text;
            }
            TagEnd::TableHead => self.table.row(RowRole::Header, &self.row, self.blocks)?,
            TagEnd::TableRow => self.table.row(RowRole::Body, &self.row, self.blocks)?,
            TagEnd::Table => self.table.end(self.blocks)?,
            TagEnd::Item => {
                self.flush()?;
                self.items = self.items.saturating_sub(1);
            }
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image => {}
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::BlockQuote(_)
            | TagEnd::CodeBlock
            | TagEnd::HtmlBlock
            | TagEnd::List(_)
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::MetadataBlock(_) => self.flush()?,
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let text = std::mem::take(&mut self.text);
        match std::mem::replace(&mut self.inside, Inside::Text) {
            Inside::Text | Inside::Cell => {
                let kind = if self.items > 0 {
                    BlockKind::ListItem
                } else {
                    BlockKind::Paragraph
                };
                self.blocks.push(kind, &text)
            }
            Inside::Heading(level) => {
                if level == 1 {
                    self.blocks.title(&text);
                }
                self.blocks.push(BlockKind::Heading { level }, &text)
            }
            Inside::Code => self.blocks.push(BlockKind::Code, &text),
            Inside::Html => html::read(&text, self.limits, self.blocks),
            Inside::FrontMatter => {
                self.front_matter(&text);
                Ok(())
            }
        }
    }

    /// The title, which is all that is text for readers in it.
    fn front_matter(&mut self, text: &str) {
        let title = text.lines().find_map(|line| {
            let (name, value) = line.split_once([':', '='])?;
            (name.trim() == "title").then(|| value.trim().trim_matches(['"', '\'']))
        });
        if let Some(title) = title {
            self.blocks.title(title);
        }
    }
}
