//! What an element of HTML does to the text around it.

/// Kinds of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Its content is not for readers of the text.
    Unseen,
    /// The page's title.
    Title,
    /// The part of the page that no other page has.
    Main,
    /// `<h1>` to `<h6>`.
    Heading(u8),
    /// A list.
    List,
    /// An item of one.
    Item,
    /// Its white space matters.
    Preformatted,
    /// A line break.
    Break,
    /// A picture, which may have a text.
    Image,
    /// A table.
    Table,
    /// A row of one.
    Row,
    /// A cell of one.
    Cell {
        /// Whether it holds the name of a column or row.
        header: bool,
    },
    /// Stands by itself.
    Block,
    /// Stands by itself, and many pages leave out its end tag.
    Loose,
    /// Stands within a line, apart from what is beside it.
    Spaced,
    /// Stands within a line.
    Inline,
}

impl Element {
    /// By name, in lower case as the tokenizer gives it.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"script" | b"style" | b"template" | b"noscript" | b"svg" | b"math" | b"iframe"
            | b"object" | b"canvas" | b"audio" | b"video" | b"nav" | b"select" | b"button"
            | b"textarea" | b"dialog" | b"datalist" => Self::Unseen,
            b"title" => Self::Title,
            b"main" => Self::Main,
            b"h1" => Self::Heading(1),
            b"h2" => Self::Heading(2),
            b"h3" => Self::Heading(3),
            b"h4" => Self::Heading(4),
            b"h5" => Self::Heading(5),
            b"h6" => Self::Heading(6),
            b"ul" | b"ol" | b"dl" | b"menu" => Self::List,
            b"li" | b"dd" => Self::Item,
            b"pre" | b"listing" | b"xmp" => Self::Preformatted,
            b"br" => Self::Break,
            b"img" => Self::Image,
            b"table" => Self::Table,
            b"tr" => Self::Row,
            b"td" => Self::Cell { header: false },
            b"th" => Self::Cell { header: true },
            b"p" | b"dt" | b"html" | b"head" | b"body" | b"thead" | b"tbody" | b"tfoot" | b"hr" => {
                Self::Loose
            }
            b"div" | b"section" | b"article" | b"header" | b"footer" | b"aside" | b"blockquote"
            | b"form" | b"fieldset" | b"legend" | b"figure" | b"figcaption" | b"address"
            | b"details" | b"summary" | b"caption" | b"center" | b"hgroup" | b"search" => {
                Self::Block
            }
            b"option" | b"label" | b"input" => Self::Spaced,
            _ => Self::Inline,
        }
    }

    /// Whether pages always write its end tag: only then can its content be skipped safely.
    pub(super) fn always_closed(self) -> bool {
        match self {
            Self::Unseen
            | Self::Title
            | Self::Main
            | Self::Heading(_)
            | Self::List
            | Self::Preformatted
            | Self::Table
            | Self::Block => true,
            Self::Loose
            | Self::Item
            | Self::Break
            | Self::Image
            | Self::Row
            | Self::Cell { .. }
            | Self::Spaced
            | Self::Inline => false,
        }
    }
}
