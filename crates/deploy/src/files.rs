//! Files beside a template: texts it takes in, and folders of code.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A text taken into a template; CloudFormation's whole template may have 1 MB.
pub const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// Lambda's own limit of a function's code.
const CODE_BYTES_MAX: u64 = 250 * 1024 * 1024;
/// More files than any function has: a wrong folder, such as a home.
const CODE_FILES_MAX: usize = 50_000;
/// What tools leave in a folder of code, and what changes without the code changing.
const PASSED_OVER: [&str; 4] = ["__pycache__", ".git", ".venv", "node_modules"];

/// Where files named by a template are looked for.
pub trait Files: Send + Sync {
    /// The text of a file; `path` is as the template has it.
    ///
    /// # Errors
    /// It cannot be read, is no UTF-8, or is larger than [`TEXT_BYTES_MAX`].
    fn text(&self, path: &str) -> Result<String, String>;

    /// A folder of code: where it lies, and a hash over what is in it.
    ///
    /// # Errors
    /// It is no folder or cannot be read.
    fn code(&self, path: &str) -> Result<Code, String>;
}

/// A folder of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The absolute path.
    pub folder: String,
    /// Changes with the names and contents of its files.
    pub hash: String,
}

/// Files relative to the folder of a template.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn text(&self, path: &str) -> Result<String, String> {
        let place = self.0.join(path);
        let told = |error: io::Error| format!("{}: {error}", place.display());
        let size = std::fs::metadata(&place).map_err(told)?.len();
        if size > TEXT_BYTES_MAX {
            return Err(format!(
                "{} is larger than {TEXT_BYTES_MAX} bytes",
                place.display()
            ));
        }
        std::fs::read_to_string(&place).map_err(told)
    }

    fn code(&self, path: &str) -> Result<Code, String> {
        let place = self.0.join(path);
        let told = |error: io::Error| format!("{}: {error}", place.display());
        let folder = std::fs::canonicalize(&place).map_err(told)?;
        if !folder.is_dir() {
            return Err(format!(
                "{} is not a folder; code is run from folders, not from archives",
                place.display()
            ));
        }
        let hash = hash_of(&folder).map_err(told)?;
        let folder = folder
            .into_os_string()
            .into_string()
            .map_err(|_| format!("the path of {} is not UTF-8", place.display()))?;
        Ok(Code { folder, hash })
    }
}

fn hash_of(folder: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    for path in files {
        let content = std::fs::read(&path)?;
        bytes += content.len() as u64;
        if bytes > CODE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "more than {CODE_BYTES_MAX} bytes of code"
            )));
        }
        let name = path.strip_prefix(folder).unwrap_or(&path);
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        if PASSED_OVER.iter().any(|passed| name == *passed) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
        if files.len() > CODE_FILES_MAX {
            return Err(io::Error::other(format!(
                "more than {CODE_FILES_MAX} files"
            )));
        }
    }
    Ok(())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash of a text, shortened to what names need.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}
