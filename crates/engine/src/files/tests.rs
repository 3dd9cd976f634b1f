//! What files of a session become, and which are refused.

use super::*;

const EVERYTHING: Capabilities = Capabilities {
    tools: true,
    parallel_tools: true,
    prefill: true,
    top_k: true,
    stop_sequences: true,
    sampling: true,
    temperature_with_top_p: true,
    images: true,
    documents: Documents::All,
    prompt_cache: true,
    latency: true,
};

fn file(name: &str, media_type: &str, content: &[u8]) -> Arc<SessionFile> {
    Arc::new(SessionFile {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        purpose: FilePurpose::Chat,
        content: Blob::from(content.to_vec()),
    })
}

#[test]
fn what_cannot_be_used_is_said_before_the_turn_begins() {
    let text_only = Capabilities {
        images: false,
        documents: Documents::Text,
        ..EVERYTHING
    };
    let strict = Strictness::Strict;
    let relaxed = Strictness::Relaxed;
    for (file, strictness, model, problem) in [
        (file("a.csv", "text/csv", b"a,b"), strict, text_only, None),
        (
            file("a.pdf", "application/pdf", b"%PDF"),
            strict,
            EVERYTHING,
            None,
        ),
        (
            file("a.pdf", "application/octet-stream", b"%PDF"),
            relaxed,
            text_only,
            Some("takes no documents in pdf format"),
        ),
        (
            file("a.docx", "", b"PK"),
            relaxed,
            Capabilities {
                documents: Documents::Pdf,
                ..EVERYTHING
            },
            Some("takes no documents in docx format"),
        ),
        (
            file("a.png", "image/png", b"x"),
            strict,
            EVERYTHING,
            Some("expected one of the types CSV"),
        ),
        (
            file("a.png", "image/png", b"x"),
            relaxed,
            text_only,
            Some("takes no images"),
        ),
        (
            file("notes", "application/x-odd", b"words"),
            relaxed,
            text_only,
            None,
        ),
        (
            file("a.bin", "application/x-odd", &[0xff, 0xfe]),
            relaxed,
            EVERYTHING,
            Some("cannot be shown to a model"),
        ),
        (
            file("a.txt", "text/plain", &[0xff]),
            relaxed,
            EVERYTHING,
            Some("in UTF-8"),
        ),
        (
            file("../a.txt", "text/plain", b"x"),
            relaxed,
            EVERYTHING,
            Some("without a folder"),
        ),
        (
            file("a.txt", "text/plain", b""),
            relaxed,
            EVERYTHING,
            Some("is empty"),
        ),
    ] {
        let checked = file.check(strictness, model);
        match problem {
            None => assert_eq!(checked, Ok(()), "{}", file.name),
            Some(problem) => {
                let said = checked.expect_err(problem);
                assert!(said.contains(problem), "{said}");
            }
        }
    }
}

#[test]
fn text_is_shown_as_text_and_documents_under_names_of_their_own() {
    let pdf = file("Q1 report.v2.pdf", "application/pdf", b"%PDF");
    let earlier = shown(std::slice::from_ref(&pdf), &[]).expect("a message");
    let ContentBlock::Document(first) = &earlier.content[1] else {
        panic!("a document");
    };
    assert_eq!(first.name, "Q1 report v2");
    let history = [Utterance::new(earlier)];
    let message = shown(&[file("a.csv", "text/csv", b"a,b"), pdf], &history).expect("a message");
    assert_eq!(
        message.content[0],
        ContentBlock::Text("The user's file a.csv:\n<file>\na,b\n</file>".to_owned())
    );
    let ContentBlock::Document(second) = &message.content[2] else {
        panic!("a document");
    };
    assert_eq!(second.name, "Q1 report v2 (2)");
}

#[test]
fn a_file_of_the_same_name_replaces_the_old_one() {
    let data = |content: &[u8]| {
        let mut file = Arc::unwrap_or_clone(file("a.csv", "text/csv", content));
        file.purpose = FilePurpose::CodeInterpreter;
        Arc::new(file)
    };
    let kept = joined(&[data(b"old")], &[data(b"newer"), file("b.txt", "", b"x")]);
    assert_eq!(kept, [data(b"newer")]);
    assert!(listed(&kept).contains("$BASE_PATH$/a.csv (text/csv, 5 bytes)"));
    assert_eq!(listed(&[]), "");
}
