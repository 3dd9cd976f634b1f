//! Why a file has no text. The texts are for the person who put the file there.

use crate::format::Format;

/// Why a file has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The format is known, and not read.
    #[error("{format} files are not read; {advice}")]
    Unsupported {
        /// The format, with its article's noun left out: `Word 97-2003 (.doc)`.
        format: &'static str,
        /// What to do instead.
        advice: &'static str,
    },
    /// Neither the name nor the content tell a format.
    #[error(
        "the format of \"{name}\" is not known: its content is no text, and neither PDF, Word (.docx) nor \
         Excel (.xlsx, .xls)"
    )]
    Unknown {
        /// The file's name.
        name: String,
    },
    /// The name has an ending that belongs to no format that is read.
    #[error(
        "files that end in \".{ending}\" are not read; those in txt, md, html, csv, json, pdf, docx, xlsx and \
         xls are"
    )]
    Ending {
        /// What the name ends in, after the last point.
        ending: String,
    },
    /// Records were asked for of something that has none.
    #[error("records need a CSV file, and \"{name}\" is {format}")]
    NoRecords {
        /// The file's name.
        name: String,
        /// What it is.
        format: Format,
    },
    /// A column that was named is not there.
    #[error("the CSV file has no column \"{column}\"; it has {has}")]
    NoColumn {
        /// The column.
        column: String,
        /// The columns that are there.
        has: String,
    },
    /// A limit was met.
    #[error("the {what} may have {limit} {unit} at most{}", came.map(|came| format!(", and has {came}")).unwrap_or_default())]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// In what it is counted.
        unit: &'static str,
        /// How much there may be.
        limit: u64,
        /// How much there is, where it was counted to the end.
        came: Option<u64>,
    },
    /// The file is not what its format says.
    #[error("this is no readable {format}: {cause}")]
    Malformed {
        /// The format.
        format: Format,
        /// What is wrong.
        cause: String,
    },
    /// A password is needed.
    #[error("this {format} is encrypted, and only files without a password are read")]
    Encrypted {
        /// The format.
        format: Format,
    },
    /// There are pages, and none has text.
    #[error("{0}")]
    NoText(String),
}

impl Error {
    /// For `map_err`: the file is not what its format says.
    pub(crate) fn malformed<E: std::fmt::Display>(format: Format) -> impl Fn(E) -> Self {
        move |cause| Self::Malformed {
            format,
            cause: cause.to_string(),
        }
    }
}
