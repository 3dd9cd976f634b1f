//! What a child of the server does with a file: the parsers behind the port's types.
//!
//! The errors' texts are the parsers' own; they are the reasons why documents fail.

use outcrop_engine::port::{ExtractCall, ExtractError, Extraction};
use outcrop_extract::{Error, File, Limits};

/// Reads one file. Runs in a child only.
pub(crate) fn parse(call: ExtractCall) -> Result<Extraction, ExtractError> {
    let file = File {
        name: call.name,
        mime_type: call.mime_type,
        content: call.content,
    };
    let extracted = match &call.records {
        Some(fields) => {
            outcrop_extract::records(&file, fields, &Limits::DEFAULT).map(Extraction::Records)
        }
        None => outcrop_extract::extract(&file, &Limits::DEFAULT).map(Extraction::Document),
    };
    extracted.map_err(|error| {
        let text = error.to_string();
        match error {
            Error::Unsupported { .. }
            | Error::Unknown { .. }
            | Error::Ending { .. }
            | Error::NoRecords { .. }
            | Error::NoText(_) => ExtractError::Unsupported(text),
            Error::TooLarge { .. } => ExtractError::TooLarge(text),
            Error::Malformed { .. } | Error::Encrypted { .. } | Error::NoColumn { .. } => {
                ExtractError::Malformed(text)
            }
        }
    })
}
