//! Word documents: paragraphs with the role their style gives them, tables, notes.
//!
//! What was deleted under change tracking, fields' instructions, headers and footers are left out.
//! Invariant: text stands in the order of the document, notes after it.

mod body;
mod styles;

use bytes::Bytes;

use crate::blocks::Blocks;
use crate::error::Error;
use crate::format::Format;
use crate::limits::Limits;
use crate::package::Package;
use crate::xml::{self, Piece};
use body::Body;
use styles::Styles;

/// Where the parts are listed that a document is made of.
const RELATIONS: &str = "_rels/.rels";

/// The kind of relation that the text itself has.
const DOCUMENT: &str = "/officeDocument";

/// Notes, which are read after the text.
const NOTES: [&str; 2] = ["footnotes.xml", "endnotes.xml"];

/// The blocks of a document.
pub(crate) fn read(content: Bytes, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    let mut package = Package::open(content, Format::Docx, limits)?;
    let main = main_part(&mut package, limits)?;
    let folder = main
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder)
        .to_owned();
    let beside = |name: &str| format!("{folder}/{name}");
    if let Some(title) = title(&mut package, limits)? {
        blocks.title(&title);
    }
    let styles = match package.part(&beside("styles.xml"))? {
        Some(part) => Styles::read(part, limits)?,
        None => Styles::default(),
    };
    let mut body = Body::new(&styles, limits, blocks);
    let Some(part) = package.part(&main)? else {
        let cause = format!("its part {main} is missing");
        return Err(Error::malformed(Format::Docx)(cause));
    };
    xml::read(part, Format::Docx, limits, |piece| body.piece(&piece))?;
    body.finish()?;
    for notes in NOTES {
        if let Some(part) = package.part(&beside(notes))? {
            xml::read(part, Format::Docx, limits, |piece| body.piece(&piece))?;
            body.finish()?;
        }
    }
    Ok(())
}

/// The name of the part that holds the text.
fn main_part(package: &mut Package, limits: &Limits) -> Result<String, Error> {
    let mut main = None;
    if let Some(part) = package.part(RELATIONS)? {
        xml::read(part, Format::Docx, limits, |piece| {
            if let Piece::Start(element) = piece
                && main.is_none()
                && element
                    .attribute("Type")
                    .is_some_and(|kind| kind.ends_with(DOCUMENT))
            {
                main = element.attribute("Target");
            }
            Ok(())
        })?;
    }
    let main = main.unwrap_or_else(|| "word/document.xml".to_owned());
    Ok(main.trim_start_matches('/').to_owned())
}

/// The title among the properties.
fn title(package: &mut Package, limits: &Limits) -> Result<Option<String>, Error> {
    let Some(part) = package.part("docProps/core.xml")? else {
        return Ok(None);
    };
    let mut title = String::new();
    let mut inside = false;
    xml::read(part, Format::Docx, limits, |piece| {
        match piece {
            Piece::Start(element) => inside = element.name() == "title",
            Piece::End(_) => inside = false,
            Piece::Text(text) if inside => title.push_str(text),
            Piece::Text(_) => {}
        }
        Ok(())
    })?;
    Ok(Some(title).filter(|title| !title.trim().is_empty()))
}
