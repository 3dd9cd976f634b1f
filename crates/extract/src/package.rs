//! The archive that Word and Excel files are.
//!
//! Invariant: before any part is read, every part has been unpacked once and counted, whatever sizes
//! the archive claims; a parser is only given archives that are within the limits.

use std::io::{self, Cursor, Read};

use bytes::Bytes;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::Error;
use crate::format::Format;
use crate::limits::{Budget, Limits, amount};

/// An archive within the limits.
pub(crate) struct Package {
    archive: ZipArchive<Cursor<Bytes>>,
    format: Format,
}

/// What is read at a time.
const STEP: usize = 64 * 1024;

/// How much of a part is looked at for what it claims of itself.
const HEAD: usize = 1024;

impl Package {
    /// Opens `content` and counts all that is in it.
    pub(crate) fn open(content: Bytes, format: Format, limits: &Limits) -> Result<Self, Error> {
        let archive =
            ZipArchive::new(Cursor::new(content)).map_err(|error| failed(format, &error))?;
        let mut package = Self { archive, format };
        package.count(limits)?;
        Ok(package)
    }

    fn count(&mut self, limits: &Limits) -> Result<(), Error> {
        let mut entries = Budget::new("archive inside the file", "entries", limits.entries);
        entries.spend(amount(self.archive.len()))?;
        let mut unpacked = Budget::new("unpacked file", "bytes", limits.unpacked_bytes);
        let mut step = vec![0; STEP];
        for at in 0..self.archive.len() {
            let mut entry = self
                .archive
                .by_index(at)
                .map_err(|error| failed(self.format, &error))?;
            let mut head = Vec::new();
            let mut length = 0_u64;
            loop {
                let read = match entry.read(&mut step) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(Error::malformed(self.format)(error)),
                };
                unpacked.spend(amount(read))?;
                length += amount(read);
                let wanted = HEAD.saturating_sub(head.len());
                head.extend(step.iter().take(read.min(wanted)));
            }
            plausible(&head, length, self.format)?;
        }
        Ok(())
    }

    /// The part called `name`, from its beginning; none if there is none.
    pub(crate) fn part(&mut self, name: &str) -> Result<Option<impl Read>, Error> {
        let name = name.trim_start_matches('/');
        match self.archive.by_name(name) {
            Ok(part) => Ok(Some(part)),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(failed(self.format, &error)),
        }
    }
}

/// Refuses a part that says it has more strings than it has bytes: readers make room for what it says.
fn plausible(head: &[u8], length: u64, format: Format) -> Result<(), Error> {
    for claim in [&b" uniqueCount=\""[..], b" count=\""] {
        let Some(at) = memchr::memmem::find(head, claim) else {
            continue;
        };
        let digits: String = head
            .iter()
            .skip(at + claim.len())
            .take_while(|byte| byte.is_ascii_digit())
            .map(|byte| char::from(*byte))
            .collect();
        let claimed = digits.parse::<u64>().unwrap_or(u64::MAX);
        if !digits.is_empty() && claimed > length {
            return Err(Error::malformed(format)(format!(
                "a part of {length} bytes claims to hold {digits} things"
            )));
        }
    }
    Ok(())
}

fn failed(format: Format, error: &ZipError) -> Error {
    match error {
        ZipError::UnsupportedArchive(what) if *what == ZipError::PASSWORD_REQUIRED => {
            Error::Encrypted { format }
        }
        _ => Error::malformed(format)(error),
    }
}
