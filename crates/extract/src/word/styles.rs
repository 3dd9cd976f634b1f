//! The styles of a document, as far as they tell what a paragraph is.
//!
//! Invariant: a style that is based on itself, however indirectly, is an ordinary one.

use std::collections::HashMap;
use std::io::Read;

use crate::error::Error;
use crate::format::Format;
use crate::limits::Limits;
use crate::xml::{self, Piece};

/// How many styles are followed from one to what it is based on; Word itself allows ten or so.
const BASED_ON_MAX: usize = 32;

/// What a style makes of a paragraph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The document's title.
    Title,
    /// A heading of this level, from 1.
    Heading(u8),
    /// An item of a list.
    Item,
}

/// The styles of a document by id.
#[derive(Debug, Default)]
pub(super) struct Styles(HashMap<String, Style>);

#[derive(Debug, Default)]
struct Style {
    role: Option<Role>,
    based_on: Option<String>,
}

impl Styles {
    pub(super) fn read(part: impl Read, limits: &Limits) -> Result<Self, Error> {
        let mut styles = HashMap::new();
        let mut open: Option<(String, Style)> = None;
        xml::read(part, Format::Docx, limits, |piece| {
            match piece {
                Piece::Start(element) => {
                    if element.name() == "style" {
                        open = element
                            .attribute("styleId")
                            .map(|id| (id, Style::default()));
                    } else if let Some((_, style)) = &mut open
                        && let Some(value) = element.attribute("val")
                    {
                        style.take(element.name(), value);
                    } else if let Some((_, style)) = &mut open
                        && element.name() == "numPr"
                    {
                        style.role = style.role.or(Some(Role::Item));
                    }
                }
                Piece::End("style") => styles.extend(open.take()),
                Piece::End(_) | Piece::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(Self(styles))
    }

    /// What the style `id` makes of a paragraph.
    pub(super) fn role(&self, id: &str) -> Option<Role> {
        let mut id = id;
        for _ in 0..BASED_ON_MAX {
            let Some(style) = self.0.get(id) else {
                // Documents made by programs name styles that they do not define.
                return by_name(id);
            };
            if style.role.is_some() {
                return style.role;
            }
            id = style.based_on.as_deref()?;
        }
        None
    }
}

impl Style {
    fn take(&mut self, element: &str, value: String) {
        match element {
            // Names are in English whatever the language of Word; ids are not.
            "name" => self.role = by_name(&value).or(self.role),
            "basedOn" => self.based_on = Some(value),
            "outlineLvl" => self.role = self.role.or_else(|| outline(&value)),
            _ => {}
        }
    }
}

/// The heading that an outline level makes: 0 to 8, and 9 is body text.
pub(super) fn outline(value: &str) -> Option<Role> {
    let level: u8 = value.parse().ok()?;
    (level < 9).then(|| Role::Heading(level + 1))
}

fn by_name(name: &str) -> Option<Role> {
    let plain: String = name
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    if plain == "title" {
        return Some(Role::Title);
    }
    if plain.starts_with("list") && plain != "list" {
        return Some(Role::Item);
    }
    let level = plain.strip_prefix("heading")?.parse().ok()?;
    (1..=9).contains(&level).then_some(Role::Heading(level))
}
