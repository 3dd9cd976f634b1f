//! The events of an XML part, with depth counted and entities refused.
//!
//! Invariant: no entity is ever expanded but the five of XML itself and numbers, so nothing can grow.

use std::io::{BufReader, Read};

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::error::Error;
use crate::format::Format;
use crate::limits::{Budget, Limits};

/// What a part is made of, names without their prefixes.
pub(crate) enum Piece<'a> {
    /// An element begins.
    Start(Element<'a>),
    /// An element ends.
    End(&'a str),
    /// Text, of which one element may have several in a row.
    Text(&'a str),
}

/// The beginning of an element.
pub(crate) struct Element<'a>(&'a BytesStart<'a>);

impl Element<'_> {
    /// Its name without prefix.
    pub(crate) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The attribute `name`, whatever its prefix.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.0
            .attributes()
            .with_checks(false)
            .filter_map(Result::ok)
            .find(|attribute| attribute.key.local_name().into_inner() == name)
            .and_then(|attribute| {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
                Some(value.into_owned())
            })
    }
}

/// Gives every piece of `part` to `each`.
pub(crate) fn read(
    part: impl Read,
    format: Format,
    limits: &Limits,
    mut each: impl FnMut(Piece<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = Reader::from_reader(BufReader::new(part));
    reader.config_mut().expand_empty_elements = true;
    let depth = Budget::new("elements inside each other", "levels", limits.depth);
    let mut open = 0_u64;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(Error::malformed(format))?;
        match event {
            Event::Start(start) => {
                open += 1;
                depth.clone().spend(open)?;
                each(Piece::Start(Element(&start)))?;
            }
            Event::End(end) => {
                open = open.saturating_sub(1);
                each(Piece::End(end.local_name().into_inner()))?;
            }
            Event::Text(text) => each(Piece::Text(&text))?,
            Event::CData(text) => each(Piece::Text(&text))?,
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character.to_string()),
                    Ok(None) => resolve_predefined_entity(&reference).map(str::to_owned),
                    Err(_) => None,
                };
                let Some(text) = resolved else {
                    let name: &str = &reference;
                    let cause = format!("it uses the entity \"{name}\", which is not XML's own");
                    return Err(Error::malformed(format)(cause));
                };
                each(Piece::Text(&text))?;
            }
            Event::DocType(_) => {
                let cause = "it has a document type declaration, which Office files never have";
                return Err(Error::malformed(format)(cause));
            }
            Event::Eof if open > 0 => {
                return Err(Error::malformed(format)(
                    "it ends in the middle of an element",
                ));
            }
            Event::Eof => return Ok(()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}
