//! The files that a caller gives to a session (`sessionState.files`, behaviour.md 3.5): what kind each
//! is, and how it reaches the model or the code interpreter.
//!
//! A file for CHAT becomes part of the conversation: text as text, which every model reads; pictures
//! and other documents as Converse blocks. A file for `CODE_INTERPRETER` is named in the prompt and
//! laid down beside the code. Nothing is fetched or converted here.

use std::fmt::Write as _;
use std::sync::Arc;

use outcrop_model::blob::Blob;
use outcrop_model::converse::{
    ContentBlock, ConversationRole, DocumentBlock, DocumentFormat, DocumentSource, ImageBlock,
    ImageFormat, ImageSource, Message,
};
use serde::{Deserialize, Serialize};

use crate::action::Strictness;
use crate::history::Utterance;
use crate::port::{BASE_PATH, Capabilities, CodeFile, Documents};

/// Most files of one request (AWS's limit).
pub const FILES_MAX: usize = 5;
/// Most bytes of the files of one request together (AWS's limit).
pub const FILES_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Most bytes of code-interpreter files that a session keeps; four full requests. They stay in memory
/// and in the journal as long as the session.
pub const SESSION_FILES_BYTES_MAX: u64 = 4 * FILES_BYTES_MAX;
/// Most files that a session keeps, so that their list in the prompt stays short.
pub const SESSION_FILES_MAX: usize = 50;
/// Longest name of a file: that of common file systems.
pub const NAME_BYTES_MAX: usize = 255;

/// A file of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its media type, as given or by its name.
    pub media_type: String,
    /// What it is for.
    pub purpose: FilePurpose,
    /// Its bytes.
    pub content: Blob,
}

/// What a file is for (`useCase`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilePurpose {
    /// The model reads it in the prompt.
    Chat,
    /// Code reads it.
    CodeInterpreter,
}

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Document(DocumentFormat),
    Image(ImageFormat),
    Other,
}

/// A kind of file that is known: by its extensions and its media type.
struct Known {
    extensions: &'static [&'static str],
    media_type: &'static str,
    kind: Kind,
    /// Whether AWS takes it as well.
    aws: bool,
}

const fn known(
    extensions: &'static [&'static str],
    media_type: &'static str,
    kind: Kind,
    aws: bool,
) -> Known {
    Known {
        extensions,
        media_type,
        kind,
        aws,
    }
}

const KNOWN: [Known; 22] = [
    known(&["csv"], "text/csv", Kind::Text, true),
    known(&["txt"], "text/plain", Kind::Text, true),
    known(&["md"], "text/markdown", Kind::Text, true),
    known(&["json"], "application/json", Kind::Text, true),
    known(&["yaml", "yml"], "application/yaml", Kind::Text, true),
    known(&["yaml"], "application/x-yaml", Kind::Text, true),
    known(&["yaml"], "text/yaml", Kind::Text, true),
    known(&["html", "htm"], "text/html", Kind::Text, true),
    known(
        &["pdf"],
        "application/pdf",
        Kind::Document(DocumentFormat::Pdf),
        true,
    ),
    known(
        &["doc"],
        "application/msword",
        Kind::Document(DocumentFormat::Doc),
        true,
    ),
    known(
        &["docx"],
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Kind::Document(DocumentFormat::Docx),
        true,
    ),
    known(
        &["xls"],
        "application/vnd.ms-excel",
        Kind::Document(DocumentFormat::Xls),
        true,
    ),
    known(
        &["xlsx"],
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Kind::Document(DocumentFormat::Xlsx),
        true,
    ),
    known(&["png"], "image/png", Kind::Image(ImageFormat::Png), false),
    known(
        &["jpg", "jpeg"],
        "image/jpeg",
        Kind::Image(ImageFormat::Jpeg),
        false,
    ),
    known(&["gif"], "image/gif", Kind::Image(ImageFormat::Gif), false),
    known(
        &["webp"],
        "image/webp",
        Kind::Image(ImageFormat::Webp),
        false,
    ),
    known(&["svg"], "image/svg+xml", Kind::Text, false),
    known(&["xml"], "application/xml", Kind::Text, false),
    known(&["tsv"], "text/tab-separated-values", Kind::Text, false),
    known(&["py"], "text/x-python", Kind::Text, false),
    known(&["zip"], "application/zip", Kind::Other, false),
];

/// What AWS takes, for messages.
const AWS_TYPES: &str = "CSV, XLS, XLSX, YAML, JSON, DOC, DOCX, HTML, MD, TXT, PDF";

/// The media type that a name stands for.
pub fn media_type(name: &str) -> &'static str {
    by_name(name).map_or("application/octet-stream", |known| known.media_type)
}

fn by_name(name: &str) -> Option<&'static Known> {
    let (_, extension) = name.rsplit_once('.')?;
    KNOWN.iter().find(|known| {
        known
            .extensions
            .iter()
            .any(|one| one.eq_ignore_ascii_case(extension))
    })
}

impl SessionFile {
    /// The kind: by the media type where that says something, else by the name.
    fn known(&self) -> Option<&'static Known> {
        let given = self.media_type.split(';').next().unwrap_or_default().trim();
        let by_type = KNOWN
            .iter()
            .find(|known| known.media_type.eq_ignore_ascii_case(given));
        by_type.or_else(|| by_name(&self.name))
    }

    fn kind(&self) -> Kind {
        match self.known() {
            Some(known) => known.kind,
            None if std::str::from_utf8(self.content.as_bytes()).is_ok() => Kind::Text,
            None => Kind::Other,
        }
    }

    /// Whether the file can be used for what it is given for, by a model that can do so much.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn check(&self, strictness: Strictness, model: Capabilities) -> Result<(), String> {
        check_name(&self.name)?;
        if self.content.as_bytes().is_empty() {
            return Err("the file is empty".to_owned());
        }
        if strictness == Strictness::Strict && !self.known().is_some_and(|known| known.aws) {
            return Err(format!(
                "expected one of the types {AWS_TYPES}, got {}",
                self.media_type
            ));
        }
        if self.purpose == FilePurpose::CodeInterpreter {
            return Ok(());
        }
        match self.kind() {
            Kind::Text if std::str::from_utf8(self.content.as_bytes()).is_err() => Err(format!(
                "expected {} in UTF-8, got other bytes",
                self.media_type
            )),
            Kind::Text => Ok(()),
            Kind::Image(_) if model.images => Ok(()),
            Kind::Image(_) => Err("the agent's model takes no images".to_owned()),
            Kind::Document(DocumentFormat::Pdf) if model.documents != Documents::Text => Ok(()),
            Kind::Document(_) if model.documents == Documents::All => Ok(()),
            Kind::Document(format) => Err(format!(
                "the agent's model takes no documents in {format} format; give text, or use the file with CODE_INTERPRETER"
            )),
            Kind::Other => Err(format!(
                "files of type {} cannot be shown to a model; use CODE_INTERPRETER",
                self.media_type
            )),
        }
    }

    /// The file as the code interpreter takes it.
    pub fn code_file(&self) -> CodeFile {
        CodeFile {
            name: self.name.clone(),
            content: self.content.0.clone(),
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control);
    if plain {
        return Ok(());
    }
    Err(format!(
        "expected the name of a file without a folder, at most {NAME_BYTES_MAX} bytes long, got {:?}",
        name.chars().take(80).collect::<String>()
    ))
}

/// The session's files after new ones have come: one of the same name replaces the old.
pub(crate) fn joined(
    kept: &[Arc<SessionFile>],
    added: &[Arc<SessionFile>],
) -> Vec<Arc<SessionFile>> {
    let mut all = kept.to_vec();
    for file in added {
        if file.purpose != FilePurpose::CodeInterpreter {
            continue;
        }
        all.retain(|other| other.name != file.name);
        all.push(Arc::clone(file));
    }
    all
}

/// `$code_interpreter_files$`: one line a file, nothing where there are none.
pub(crate) fn listed(files: &[Arc<SessionFile>]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let mut text =
        String::from("The user has given you these files, to be read with code:\n<files>\n");
    for file in files {
        let _ = writeln!(
            text,
            "{BASE_PATH}/{} ({}, {} bytes)",
            file.name,
            file.media_type,
            file.content.as_bytes().len()
        );
    }
    text.push_str("</files>");
    text
}

/// The user's message that shows the files for CHAT, if there are any.
pub(crate) fn shown(files: &[Arc<SessionFile>], history: &[Arc<Utterance>]) -> Option<Message> {
    let mut taken: Vec<String> = history
        .iter()
        .flat_map(|utterance| &utterance.message().content)
        .filter_map(|block| match block {
            ContentBlock::Document(document) => Some(document.name.clone()),
            _ => None,
        })
        .collect();
    let chat = files
        .iter()
        .filter(|file| file.purpose == FilePurpose::Chat);
    let mut content = Vec::new();
    for file in chat {
        let intro = |more: &str| ContentBlock::Text(format!("The user's file {}{more}", file.name));
        match file.kind() {
            Kind::Document(format) => {
                let name = document_name(&file.name, &taken);
                taken.push(name.clone());
                content.push(intro(":"));
                content.push(ContentBlock::Document(DocumentBlock {
                    citations: None,
                    context: None,
                    format: Some(format),
                    name,
                    source: DocumentSource::Bytes(file.content.clone()),
                }));
            }
            Kind::Image(format) => {
                content.push(intro(":"));
                content.push(ContentBlock::Image(ImageBlock {
                    error: None,
                    format,
                    source: ImageSource::Bytes(file.content.clone()),
                }));
            }
            Kind::Text | Kind::Other => {
                let text = String::from_utf8_lossy(file.content.as_bytes());
                content.push(intro(&format!(":\n<file>\n{text}\n</file>")));
            }
        }
    }
    (!content.is_empty()).then_some(Message {
        role: ConversationRole::User,
        content,
    })
}

/// A name as Converse takes it: letters, digits, single spaces, hyphens, parentheses and brackets,
/// and no two of one name in a conversation.
fn document_name(name: &str, taken: &[String]) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut plain = String::new();
    for character in stem.chars() {
        let character = if character.is_ascii_alphanumeric() || "-()[]".contains(character) {
            character
        } else {
            ' '
        };
        if character != ' ' || !(plain.is_empty() || plain.ends_with(' ')) {
            plain.push(character);
        }
    }
    let plain = match plain.trim() {
        "" => "document",
        plain => plain,
    };
    let mut unique = plain.to_owned();
    let mut number = 2;
    while taken.contains(&unique) {
        unique = format!("{plain} ({number})");
        number += 1;
    }
    unique
}

#[cfg(test)]
mod tests;
