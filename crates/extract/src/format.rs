//! Which format a file has: by its content where that is unmistakable, else by its name, then by the
//! MIME type that came with it. A text whose name ends in something else is not taken for one.
//!
//! Invariant: a parser of a binary format is only ever given bytes that begin as that format does, so
//! a PDF that is named `.txt` is read as a PDF, and a text that is named `.pdf` as a text.

use crate::error::Error;

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text without markup.
    Text,
    /// `CommonMark`, with tables.
    Markdown,
    /// HTML.
    Html,
    /// Comma-separated values, or separated by tabs or semicolons.
    Csv,
    /// JSON, or one JSON value in each line.
    Json,
    /// PDF.
    Pdf,
    /// Word, as it is since 2007.
    Docx,
    /// Excel, as it is since 2007.
    Xlsx,
    /// Excel 97 to 2003.
    Xls,
}

impl Format {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text file",
            Self::Markdown => "Markdown file",
            Self::Html => "HTML file",
            Self::Csv => "CSV file",
            Self::Json => "JSON file",
            Self::Pdf => "PDF",
            Self::Docx => "Word document",
            Self::Xlsx | Self::Xls => "Excel workbook",
        }
    }

    /// Whether it is made of characters, rather than of bytes that only a program reads.
    pub fn is_text(self) -> bool {
        match self {
            Self::Text | Self::Markdown | Self::Html | Self::Csv | Self::Json => true,
            Self::Pdf | Self::Docx | Self::Xlsx | Self::Xls => false,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Where in a PDF its mark may be: some generators write something in front of it.
const PDF_MARK_WITHIN: usize = 1024;

/// How much of a file tells what it is.
const HEAD: usize = 4096;

/// Formats that people put beside those that are read, with what they are called.
const KNOWN_UNREAD: [(&str, &str, &str); 15] = [
    ("doc", "Word 97-2003 (.doc)", "save it as .docx or PDF"),
    ("ppt", "PowerPoint (.ppt)", "save it as PDF"),
    ("pptx", "PowerPoint (.pptx)", "save it as PDF"),
    ("xlsb", "Excel binary (.xlsb)", "save it as .xlsx or CSV"),
    ("odt", "OpenDocument (.odt)", "save it as .docx or PDF"),
    ("ods", "OpenDocument (.ods)", "save it as .xlsx or CSV"),
    ("rtf", "Rich Text (.rtf)", "save it as .docx or PDF"),
    ("epub", "EPUB", "save it as PDF or HTML"),
    ("png", "Image", "put their text beside them in text files"),
    ("jpg", "Image", "put their text beside them in text files"),
    ("jpeg", "Image", "put their text beside them in text files"),
    ("gif", "Image", "put their text beside them in text files"),
    ("zip", "ZIP", "unpack it"),
    ("gz", "Compressed", "unpack it"),
    ("tar", "TAR", "unpack it"),
];

/// The format of a file called `name` that holds `content`.
pub fn detect(name: &str, mime_type: Option<&str>, content: &[u8]) -> Result<Format, Error> {
    let ending = ending(name);
    let declared = by_ending(&ending).or_else(|| mime_type.and_then(by_mime_type));
    match container(content) {
        Some(Container::Pdf) => Ok(Format::Pdf),
        Some(Container::Zip) => zipped(content).ok_or_else(|| unread(&ending, "ZIP", "unpack it")),
        Some(Container::Compound) => compound(&ending, content),
        Some(Container::Unread(format, advice)) => Err(Error::Unsupported { format, advice }),
        None => textual(name, &ending, declared, content),
    }
}

fn textual(
    name: &str,
    ending: &str,
    declared: Option<Format>,
    content: &[u8],
) -> Result<Format, Error> {
    match declared {
        Some(format) if format.is_text() => Ok(format),
        // A text that calls itself a PDF or a workbook may be one that lost its beginning.
        Some(format) => {
            let cause = if content.is_empty() {
                "it is empty"
            } else {
                "it does not begin as one"
            };
            Err(Error::Malformed {
                format,
                cause: cause.to_owned(),
            })
        }
        None => {
            if let Some((_, format, advice)) = KNOWN_UNREAD.iter().find(|known| known.0 == ending) {
                return Err(Error::Unsupported { format, advice });
            }
            if !ending.is_empty() {
                return Err(Error::Ending {
                    ending: ending.to_owned(),
                });
            }
            sniff(content).ok_or_else(|| Error::Unknown {
                name: name.to_owned(),
            })
        }
    }
}

/// What begins so that it is nothing else.
enum Container {
    Pdf,
    Zip,
    /// The container of Office before 2007, and of encrypted Office files.
    Compound,
    Unread(&'static str, &'static str),
}

fn container(content: &[u8]) -> Option<Container> {
    let marks: [(&[u8], Container); 7] = [
        (b"%PDF-", Container::Pdf),
        (b"PK\x03\x04", Container::Zip),
        (b"PK\x05\x06", Container::Zip),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Container::Compound),
        (
            b"{\\rtf",
            Container::Unread("Rich Text (.rtf)", "save it as .docx or PDF"),
        ),
        (
            b"\x89PNG\r\n",
            Container::Unread("Image", "put their text beside them in text files"),
        ),
        (
            b"\xFF\xD8\xFF",
            Container::Unread("Image", "put their text beside them in text files"),
        ),
    ];
    if let Some((_, found)) = marks
        .into_iter()
        .find(|(mark, _)| content.starts_with(mark))
    {
        return Some(found);
    }
    let head = content.get(..PDF_MARK_WITHIN).unwrap_or(content);
    let late = memchr::memmem::find(head, b"%PDF-").is_some_and(|at| {
        // A text that talks of PDF has the mark within a line of words.
        at == 0
            || head
                .get(at - 1)
                .is_some_and(|before| *before == b'\n' || *before == b'\r' || *before == 0)
    });
    late.then_some(Container::Pdf)
}

/// Word or Excel, by the parts that the archive names. The names stand in it uncompressed.
fn zipped(content: &[u8]) -> Option<Format> {
    let has = |part: &[u8]| memchr::memmem::find(content, part).is_some();
    if has(b"word/document.xml") || has(b"word/document2.xml") {
        Some(Format::Docx)
    } else if has(b"xl/workbook.xml") {
        Some(Format::Xlsx)
    } else {
        None
    }
}

fn compound(ending: &str, content: &[u8]) -> Result<Format, Error> {
    // Names of streams stand in the container as UTF-16.
    let has = |name: &str| {
        let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        memchr::memmem::find(content, &wide).is_some()
    };
    if has("EncryptedPackage") {
        let format = by_ending(ending).filter(|format| !format.is_text());
        return Err(Error::Encrypted {
            format: format.unwrap_or(Format::Docx),
        });
    }
    if has("WordDocument") {
        return Err(unread(
            "doc",
            "Word 97-2003 (.doc)",
            "save it as .docx or PDF",
        ));
    }
    if has("Workbook") || has("Book") {
        return Ok(Format::Xls);
    }
    Err(unread(
        ending,
        "Office 97-2003",
        "save it in the format of 2007 or as PDF",
    ))
}

/// That a format is not read: as the ending calls it, else as given.
fn unread(ending: &str, format: &'static str, advice: &'static str) -> Error {
    let known = KNOWN_UNREAD.iter().find(|known| known.0 == ending);
    let (format, advice) = known.map_or((format, advice), |known| (known.1, known.2));
    Error::Unsupported { format, advice }
}

fn ending(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((_, ending)) => ending.to_ascii_lowercase(),
        None => String::new(),
    }
}

fn by_ending(ending: &str) -> Option<Format> {
    Some(match ending {
        "txt" | "text" | "log" => Format::Text,
        "md" | "markdown" | "mdx" => Format::Markdown,
        "html" | "htm" | "xhtml" => Format::Html,
        "csv" | "tsv" => Format::Csv,
        "json" | "jsonl" | "ndjson" => Format::Json,
        "pdf" => Format::Pdf,
        "docx" | "docm" => Format::Docx,
        "xlsx" | "xlsm" => Format::Xlsx,
        "xls" => Format::Xls,
        _ => return None,
    })
}

fn by_mime_type(mime_type: &str) -> Option<Format> {
    let essence = mime_type.split(';').next().unwrap_or_default().trim();
    Some(match essence.to_ascii_lowercase().as_str() {
        "text/plain" => Format::Text,
        "text/markdown" | "text/x-markdown" => Format::Markdown,
        "text/html" | "application/xhtml+xml" => Format::Html,
        "text/csv" | "text/tab-separated-values" | "application/csv" => Format::Csv,
        "application/json" | "application/x-ndjson" | "application/jsonl" => Format::Json,
        "application/pdf" | "application/x-pdf" => Format::Pdf,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Format::Docx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => Format::Xlsx,
        "application/vnd.ms-excel" => Format::Xls,
        _ => return None,
    })
}

/// HTML by its beginning, else a text; `None` for what is no text.
fn sniff(content: &[u8]) -> Option<Format> {
    let head = content.get(..HEAD).unwrap_or(content);
    let text = crate::charset::decode(head, None).ok()?;
    let begin = text.trim_start().get(..14).unwrap_or(text.trim_start());
    let begin = begin.to_ascii_lowercase();
    Some(
        if begin.starts_with("<!doctype html") || begin.starts_with("<html") {
            Format::Html
        } else {
            Format::Text
        },
    )
}
