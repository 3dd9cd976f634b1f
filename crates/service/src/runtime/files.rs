//! The files of a request (`sessionState.files`, behaviour.md 3.5): counted, fetched and checked
//! before anything of the turn is begun, so that a file which cannot be used leaves no trace in the
//! session.

use std::sync::Arc;

use futures_util::future::try_join_all;
use outcrop_engine::files::{
    FILES_BYTES_MAX, FILES_MAX, FilePurpose, SESSION_FILES_BYTES_MAX, SESSION_FILES_MAX,
    SessionFile, media_type,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::port::Capabilities;
use outcrop_model::blob::Blob;
use outcrop_model::exception::Exception;
use outcrop_model::runtime::{FileSourceType, FileUseCase, InputFile};

use super::Shared;

/// A file as the request names it.
#[derive(Clone, Debug)]
pub(crate) struct GivenFile {
    name: String,
    purpose: FilePurpose,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Bytes { media_type: String, content: Blob },
    S3 { bucket: String, key: String },
}

/// Reads the list.
///
/// # Errors
/// A `ValidationException` naming the member that is missing or wrong, or the limit that is passed.
pub(crate) fn read(files: Vec<InputFile>) -> Result<Vec<GivenFile>, Exception> {
    if files.len() > FILES_MAX {
        return Err(refused(
            "",
            &format!("expected at most {FILES_MAX} files, got {}", files.len()),
        ));
    }
    let mut given: Vec<GivenFile> = Vec::with_capacity(files.len());
    for (index, file) in files.into_iter().enumerate() {
        let file = read_one(index, file)?;
        if given.iter().any(|other| other.name == file.name) {
            return Err(refused(
                &format!("[{index}].name"),
                &format!("the name {} is given twice", file.name),
            ));
        }
        given.push(file);
    }
    Ok(given)
}

fn read_one(index: usize, file: InputFile) -> Result<GivenFile, Exception> {
    let missing = |member: &str, source: &str| {
        refused(
            &format!("[{index}].source"),
            &format!("expected {member} for the sourceType {source}, got none"),
        )
    };
    let source = if file.source.source_type == FileSourceType::ByteContent {
        let Some(content) = file.source.byte_content else {
            return Err(missing("byteContent", "BYTE_CONTENT"));
        };
        Source::Bytes {
            media_type: content.media_type,
            content: content.data,
        }
    } else {
        let Some(location) = file.source.s3_location else {
            return Err(missing("s3Location", "S3"));
        };
        let place = location.uri.strip_prefix("s3://");
        let Some((bucket, key)) = place.and_then(|place| place.split_once('/')) else {
            return Err(refused(
                &format!("[{index}].source.s3Location.uri"),
                &format!("expected s3://BUCKET/KEY, got {}", location.uri),
            ));
        };
        Source::S3 {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    };
    Ok(GivenFile {
        name: file.name,
        purpose: match file.use_case {
            FileUseCase::CodeInterpreter => FilePurpose::CodeInterpreter,
            _ => FilePurpose::Chat,
        },
        source,
    })
}

impl Shared {
    /// Fetches what lies in buckets, all at once.
    ///
    /// # Errors
    /// A `ValidationException` for an object that cannot be read, and for too many bytes in all.
    pub(super) async fn fetch_files(
        &self,
        given: &[GivenFile],
    ) -> Result<Vec<Arc<SessionFile>>, Exception> {
        let files = given
            .iter()
            .enumerate()
            .map(|(index, file)| self.fetch_file(index, file));
        let files = try_join_all(files).await?;
        let bytes: u64 = files.iter().map(|file| length(file)).sum();
        if bytes > FILES_BYTES_MAX {
            return Err(refused(
                "",
                &format!("expected at most {FILES_BYTES_MAX} bytes in all files, got {bytes}"),
            ));
        }
        Ok(files)
    }

    async fn fetch_file(
        &self,
        index: usize,
        file: &GivenFile,
    ) -> Result<Arc<SessionFile>, Exception> {
        let (media_type, content) = match &file.source {
            Source::Bytes {
                media_type,
                content,
            } => (media_type.clone(), content.clone()),
            Source::S3 { bucket, key } => {
                let read = self.ports.documents.read(bucket, key, FILES_BYTES_MAX);
                let content = read.await.map_err(|cause| {
                    let place = format!("[{index}].source.s3Location.uri");
                    refused(&place, &cause.to_string())
                })?;
                // Where the name says nothing, the key may.
                let by_name = media_type(&file.name);
                let by_key = media_type(key);
                let known = if by_name == media_type("") {
                    by_key
                } else {
                    by_name
                };
                (known.to_owned(), Blob(content))
            }
        };
        Ok(Arc::new(SessionFile {
            name: file.name.clone(),
            media_type,
            purpose: file.purpose,
            content,
        }))
    }
}

/// Refuses files that the agent cannot use, and more than its session keeps.
pub(super) fn check(
    files: &[Arc<SessionFile>],
    kept: &[Arc<SessionFile>],
    plan: &AgentPlan,
    model: Capabilities,
) -> Result<(), Exception> {
    for (index, file) in files.iter().enumerate() {
        if file.purpose == FilePurpose::CodeInterpreter && !plan.runs_code {
            return Err(refused(
                &format!("[{index}].useCase"),
                "CODE_INTERPRETER needs an enabled action group with the parentActionGroupSignature AMAZON.CodeInterpreter, and the agent has none",
            ));
        }
        file.check(plan.strictness, model).map_err(|problem| {
            refused(&format!("[{index}]"), &format!("{}: {problem}", file.name))
        })?;
    }
    let added = files
        .iter()
        .filter(|file| file.purpose == FilePurpose::CodeInterpreter);
    let (count, bytes) = added.chain(kept).fold((0, 0), |(count, bytes), file| {
        (count + 1, bytes + length(file))
    });
    if count > SESSION_FILES_MAX || bytes > SESSION_FILES_BYTES_MAX {
        return Err(refused(
            "",
            &format!(
                "a session keeps at most {SESSION_FILES_MAX} files for CODE_INTERPRETER with {SESSION_FILES_BYTES_MAX} bytes in all; with these it would keep {count} with {bytes}. Begin a new session"
            ),
        ));
    }
    Ok(())
}

fn length(file: &SessionFile) -> u64 {
    file.content.as_bytes().len() as u64
}

fn refused(place: &str, problem: &str) -> Exception {
    let member = format!("sessionState.files{place}");
    let message = format!("Validation failed: {member}: {problem}.");
    Exception::validation(message.clone()).with_field(member, message)
}
