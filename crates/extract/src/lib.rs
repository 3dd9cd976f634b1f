//! The text of files: bytes in, blocks out.
//!
//! Knows nothing of processes, buckets or indexes, and does no I/O. What comes out is bounded by
//! [`Limits`]; what a parser needs on the way is not in every case, which is why the server runs this
//! in a process of its own with hard limits (ADR 0020). Invariant: any bytes at all give a document
//! or an [`Error`]; a parser that panics is an error too.

mod blocks;
mod charset;
mod csv;
mod error;
mod format;
mod html;
mod json;
mod limits;
mod markdown;
mod package;
mod pdf;
mod sheet;
mod table;
mod text;
mod word;
mod xml;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use outcrop_knowledge::document::{Extracted, Record, RecordFields};

pub use error::Error;
pub use format::{Format, detect};
pub use limits::Limits;

use blocks::Blocks;
use limits::{Budget, amount};

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name or key; the ending tells its format.
    pub name: String,
    /// Its MIME type, where whoever gave it told one; a charset in it counts.
    pub mime_type: Option<String>,
    /// Its bytes.
    pub content: Bytes,
}

/// The text of `file`.
pub fn extract(file: &File, limits: &Limits) -> Result<Extracted, Error> {
    let format = admit(file, limits)?;
    guarded(format, || {
        let mut blocks = Blocks::new(limits);
        read(file, format, limits, &mut blocks)?;
        Ok(blocks.finish())
    })
}

/// The rows of a CSV file as records of their own.
pub fn records(file: &File, fields: &RecordFields, limits: &Limits) -> Result<Vec<Record>, Error> {
    let format = admit(file, limits)?;
    if format != Format::Csv {
        return Err(Error::NoRecords {
            name: file.name.clone(),
            format,
        });
    }
    guarded(format, || {
        csv::records(&decoded(file, format)?, fields, limits)
    })
}

/// The format of `file`, if it is no larger than a file may be.
fn admit(file: &File, limits: &Limits) -> Result<Format, Error> {
    Budget::new("file", "bytes", limits.file_bytes).spend(amount(file.content.len()))?;
    detect(&file.name, file.mime_type.as_deref(), &file.content)
}

fn read(file: &File, format: Format, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    match format {
        Format::Text => text::read(&decoded(file, format)?, blocks),
        Format::Markdown => markdown::read(&decoded(file, format)?, limits, blocks),
        Format::Html => html::read(&decoded(file, format)?, limits, blocks),
        Format::Csv => csv::read(&decoded(file, format)?, limits, blocks),
        Format::Json => json::read(&decoded(file, format)?, blocks),
        Format::Pdf => pdf::read(file.content.clone(), limits, blocks),
        Format::Docx => word::read(file.content.clone(), limits, blocks),
        Format::Xlsx => sheet::read(file.content.clone(), limits, blocks),
        Format::Xls => sheet::read_old(file.content.clone(), limits, blocks),
    }
}

fn decoded(file: &File, format: Format) -> Result<Cow<'_, str>, Error> {
    let told = file.mime_type.as_deref().and_then(charset_parameter);
    let declared = match format {
        Format::Html => told.or_else(|| html::charset(&file.content)),
        _ => told,
    };
    charset::decode(&file.content, declared.as_deref()).map_err(Error::malformed(format))
}

/// `charset` of a MIME type.
fn charset_parameter(mime_type: &str) -> Option<String> {
    mime_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Makes an error of a panic: parsers of other people's formats have corners that nobody has been in.
fn guarded<T>(format: Format, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing that `work` may leave half done outlives it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let cause = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "for no known reason".to_owned());
        Err(Error::malformed(format)(format!(
            "its reader gave up ({cause})"
        )))
    })
}
