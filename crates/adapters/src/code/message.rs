//! What is said between the server and a session's process: a JSON object a line each way.
//!
//! The process runs foreign code, so that an answer is checked like any other input: its length, its
//! numbers of files, their sizes and names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_engine::files::{NAME_BYTES_MAX, media_type};
use outcrop_engine::port::{
    CodeFile, CodeOutputFile, CodeReply, OUTPUT_FILE_BYTES_MAX, OUTPUT_FILES_MAX,
};
use outcrop_model::blob::Blob;
use serde::{Deserialize, Serialize};

/// Longest answer: the files in Base64 and the texts, escaped at worst six times their length.
pub(super) const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest text of an answer; the process keeps to less.
const TEXT_BYTES_MAX: usize = 128 * 1024;
/// Most notes on files that were not given back; more say nothing new.
const WITHHELD_MAX: usize = 20;

#[derive(Serialize)]
struct Request<'a> {
    code: &'a str,
    files: Vec<Sent<'a>>,
    limit_s: f64,
}

#[derive(Serialize)]
struct Sent<'a> {
    name: &'a str,
    data: String,
}

#[derive(Deserialize)]
struct Answer {
    output: String,
    error: Option<String>,
    timed_out: bool,
    files: Vec<Given>,
    withheld: Vec<String>,
}

#[derive(Deserialize)]
struct Given {
    name: String,
    data: String,
}

/// A request as a line.
pub(super) fn request(code: &str, files: &[&CodeFile], limit_s: f64) -> Vec<u8> {
    let files = files
        .iter()
        .map(|file| Sent {
            name: &file.name,
            data: STANDARD.encode(&file.content),
        })
        .collect();
    let request = Request {
        code,
        files,
        limit_s,
    };
    let mut line = serde_json::to_vec(&request).expect("a request holds only texts and a number");
    line.push(b'\n');
    line
}

/// Reads an answer.
///
/// # Errors
/// What is wrong with it.
pub(super) fn answer(line: &[u8]) -> Result<CodeReply, String> {
    let answer: Answer = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if answer.files.len() > OUTPUT_FILES_MAX {
        return Err(format!("{} files", answer.files.len()));
    }
    let files = answer
        .files
        .into_iter()
        .map(output_file)
        .collect::<Result<_, _>>()?;
    let mut withheld = answer.withheld;
    withheld.truncate(WITHHELD_MAX);
    withheld.iter_mut().for_each(shorten);
    let mut output = answer.output;
    shorten(&mut output);
    let mut error = answer.error;
    error.iter_mut().for_each(shorten);
    Ok(CodeReply {
        output,
        error,
        timed_out: answer.timed_out,
        fresh: false,
        ended: false,
        files,
        withheld,
    })
}

fn output_file(file: Given) -> Result<CodeOutputFile, String> {
    let content = STANDARD
        .decode(&file.data)
        .map_err(|error| format!("a file's content: {error}"))?;
    if content.len() > OUTPUT_FILE_BYTES_MAX {
        return Err(format!("a file of {} bytes", content.len()));
    }
    let plain = !file.name.is_empty()
        && file.name.len() <= NAME_BYTES_MAX
        && !file.name.chars().any(char::is_control);
    if !plain {
        return Err("the name of a file".to_owned());
    }
    Ok(CodeOutputFile {
        media_type: media_type(&file.name).to_owned(),
        name: file.name,
        bytes: content.len() as u64,
        content: Blob::from(content),
    })
}

fn shorten(text: &mut String) {
    let mut end = TEXT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(files: &serde_json::Value) -> Result<CodeReply, String> {
        let line = json!({"output": "o", "error": null, "timed_out": false, "files": files, "withheld": []});
        answer(line.to_string().as_bytes())
    }

    #[test]
    fn an_answer_is_believed_within_its_bounds() {
        let reply = read(&json!([{"name": "plot_1.png", "data": "iVBORw=="}])).expect("good");
        assert_eq!(reply.files.len(), 1);
        assert_eq!(reply.files[0].media_type, "image/png");
        assert_eq!(reply.files[0].bytes, 4);
        let many = vec![json!({"name": "a", "data": ""}); OUTPUT_FILES_MAX + 1];
        let large = STANDARD.encode(vec![0; OUTPUT_FILE_BYTES_MAX + 1]);
        for files in [
            json!(many),
            json!([{"name": "a", "data": large}]),
            json!([{"name": "", "data": ""}]),
            json!([{"name": "a\nb", "data": ""}]),
            json!([{"name": "a", "data": "not base64"}]),
            json!(5),
        ] {
            assert!(read(&files).is_err(), "{files:.80}");
        }
        assert!(answer(b"not json").is_err());
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let line = json!({"output": "é".repeat(TEXT_BYTES_MAX), "error": null,
            "timed_out": false, "files": [], "withheld": []});
        let reply = answer(line.to_string().as_bytes()).expect("good");
        assert_eq!(reply.output.len(), TEXT_BYTES_MAX);
    }
}
