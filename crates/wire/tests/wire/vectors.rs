//! The event-stream vectors of smithy-rs.

use std::fs;
use std::path::Path;

use outcrop_wire::event_stream::{FrameError, FrameReader};

#[test]
fn smithy_event_stream_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance/third_party/smithy-rs/event_stream");
    let mut valid = 0;
    let mut invalid = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let mut reader = FrameReader::default();
        reader.push(&bytes);
        let read = reader.next_frame();
        if name.starts_with("valid") {
            // Sound frames, but no messages of a service: they have no `:message-type`.
            assert_eq!(
                read,
                Err(FrameError::MissingHeader(":message-type")),
                "{name}"
            );
            assert_eq!(reader.finish(), Ok(()), "{name}");
            valid += 1;
        } else {
            assert!(
                matches!(read, Err(FrameError::Malformed(_))),
                "{name}: {read:?}"
            );
            invalid += 1;
        }
    }
    assert_eq!((valid, invalid), (3, 8));
}
