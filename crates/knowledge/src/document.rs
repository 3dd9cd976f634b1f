//! A document's text with as much of its structure as chunks are cut by.
//!
//! Extractors make it, chunking reads it. It crosses a process boundary as JSON.

use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;

/// Where a document is. It is also what the document is known by within its data source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DocumentLocation {
    /// `s3://bucket/key`.
    S3 {
        /// The URI.
        uri: String,
    },
    /// A document of a custom data source.
    Custom {
        /// The id that its owner gave it.
        id: String,
    },
    /// A page of the web.
    Web {
        /// Its URL.
        url: String,
    },
}

impl DocumentLocation {
    /// The URI, id or URL.
    pub fn as_str(&self) -> &str {
        match self {
            Self::S3 { uri } => uri,
            Self::Custom { id } => id,
            Self::Web { url } => url,
        }
    }
}

/// Which columns of a CSV file are what (behaviour.md 9.4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordFields {
    /// The column whose text is searched.
    pub content: String,
    /// The columns that become attributes; `None`: all but the content.
    pub include: Option<Vec<String>>,
    /// The columns that do not.
    pub exclude: Vec<String>,
}

/// A row of a CSV file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The text that is searched.
    pub content: String,
    /// The other columns.
    pub metadata: Metadata,
}

/// The text of one file, in reading order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extracted {
    /// The title that the file gives itself, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its parts; none is empty.
    pub blocks: Vec<Block>,
}

/// A part of a document that is not to be cut if it fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its text, without markup. Lines within are separated by `\n`.
    pub text: String,
    /// The page it begins on, counted from 1, where the format has pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BlockKind {
    /// The title of what follows.
    Heading {
        /// 1 is the highest.
        level: u8,
    },
    /// Running text.
    Paragraph,
    /// An item of a list.
    ListItem,
    /// A row of a table, with the names of its columns where the table has some.
    Row,
    /// Text whose line breaks matter.
    Code,
}

impl Extracted {
    /// Text without any structure.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        let blocks = if text.is_empty() {
            Vec::new()
        } else {
            vec![Block {
                kind: BlockKind::Paragraph,
                text,
                page: None,
            }]
        };
        Self {
            title: None,
            blocks,
        }
    }
}
