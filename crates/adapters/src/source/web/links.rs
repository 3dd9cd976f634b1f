//! Where a page leads to.
//!
//! The page is read as a stream of tags, in memory that does not grow with it.

use std::convert::Infallible;
use std::ops::ControlFlow;

use html5gum::Tokenizer;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use reqwest::Url;

use super::scope::canonical;

/// Most links that are taken from one page; a site map of a large site has some thousands.
const LINKS_MAX: usize = 10_000;

/// The links of a page in their canonical form, in order, doubles included.
pub(super) fn links(page: &Url, html: &[u8]) -> Vec<Url> {
    let mut found = Found {
        base: page.clone(),
        has_base: false,
        links: Vec::new(),
    };
    let mut wanted = None;
    let mut in_tag = None;
    let mut emitter = CallbackEmitter::<_, ControlFlow<()>>::new(|event: CallbackEvent<'_>, _| {
        match event {
            CallbackEvent::OpenStartTag { name } => in_tag = Tag::of(name),
            CallbackEvent::EndTag { .. } => in_tag = None,
            CallbackEvent::AttributeName { name } => {
                wanted = in_tag.filter(|tag: &Tag| tag.attribute() == name);
            }
            CallbackEvent::AttributeValue { value } => {
                if let Some(tag) = wanted.take() {
                    return found
                        .add(tag, value)
                        .is_break()
                        .then_some(ControlFlow::Break(()));
                }
            }
            _ => {}
        }
        None
    });
    // Scripts are no markup, whatever they have in their strings.
    emitter.naively_switch_states(true);
    for item in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(ControlFlow::Break(())): Result<_, Infallible> = item else {
            continue;
        };
        break;
    }
    found.links
}

/// A tag that leads somewhere.
#[derive(Clone, Copy)]
enum Tag {
    /// `a`, `area`.
    Anchor,
    /// `frame`, `iframe`.
    Frame,
    /// `base`.
    Base,
}

impl Tag {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"a" | b"area" => Some(Self::Anchor),
            b"frame" | b"iframe" => Some(Self::Frame),
            b"base" => Some(Self::Base),
            _ => None,
        }
    }

    fn attribute(self) -> &'static [u8] {
        match self {
            Self::Anchor | Self::Base => b"href",
            Self::Frame => b"src",
        }
    }
}

struct Found {
    base: Url,
    has_base: bool,
    links: Vec<Url>,
}

impl Found {
    fn add(&mut self, tag: Tag, value: &[u8]) -> ControlFlow<()> {
        let text = String::from_utf8_lossy(value);
        let Ok(url) = self.base.join(text.trim()) else {
            return ControlFlow::Continue(());
        };
        match tag {
            Tag::Base if !self.has_base => {
                self.base = url;
                self.has_base = true;
            }
            Tag::Base => {}
            Tag::Anchor | Tag::Frame => self.links.extend(canonical(url)),
        }
        if self.links.len() < LINKS_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}
