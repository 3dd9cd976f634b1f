//! Frames by hand; the vectors of smithy-rs run in `tests/event_stream_vectors.rs`.

use outcrop_model::operation::Operation as _;
use outcrop_model::runtime::{PayloadPart, ResponseStream, ops, tables};

use super::*;

fn chunk(text: &str) -> ResponseStream {
    ResponseStream::Chunk(PayloadPart {
        attribution: None,
        bytes: Some(text.to_owned().into()),
    })
}

#[test]
fn an_event_is_its_name_and_its_own_structure() {
    let event = EncodedEvent::new(&chunk("Your order is on its way.")).unwrap();
    assert_eq!(event.name(), "chunk");
    assert_eq!(
        event.payload(),
        r#"{"bytes":"WW91ciBvcmRlciBpcyBvbiBpdHMgd2F5Lg=="}"#
    );

    let message = read_message_from(event.to_frame().unwrap()).unwrap();
    let headers: Vec<_> = message
        .headers()
        .iter()
        .map(|header| {
            (
                header.name().as_str(),
                header.value().as_string().unwrap().as_str(),
            )
        })
        .collect();
    assert_eq!(
        headers,
        [
            (":event-type", "chunk"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ]
    );
    assert_eq!(message.payload(), event.payload());
}

#[test]
fn refuses_what_is_no_tagged_structure() {
    for value in [
        serde_json::json!({}),
        serde_json::json!([]),
        serde_json::json!("chunk"),
        serde_json::json!({"chunk": 1}),
        serde_json::json!(null),
    ] {
        assert!(EncodedEvent::new(&value).is_err(), "{value}");
    }
}

#[test]
fn an_exception_has_its_member_name_and_body() {
    let stream = ops::InvokeAgent::SPEC.event_stream.unwrap();
    let exception = Exception::new(ExceptionKind::DependencyFailed, "The function failed.")
        .with_resource_name("order-tools");
    let mut reader = FrameReader::default();
    reader.push(&exception_frame(&tables::SERVICE, &stream, &exception));
    assert_eq!(
        reader.next_frame(),
        Ok(Some(Frame::Exception {
            name: "dependencyFailedException".to_owned(),
            payload: Bytes::from_static(
                br#"{"message":"The function failed.","resourceName":"order-tools"}"#
            ),
        }))
    );
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(
        kind_of_event(&tables::SERVICE, "dependencyFailedException"),
        ExceptionKind::DependencyFailed
    );
}

#[test]
fn reads_frames_however_they_arrive() {
    let frames: Vec<Bytes> = ["one", "two", "three"]
        .into_iter()
        .map(|text| EncodedEvent::new(&chunk(text)).unwrap().to_frame().unwrap())
        .collect();
    let bytes: Vec<u8> = frames.concat();
    for size in [1, 7, 100, bytes.len()] {
        let mut reader = FrameReader::default();
        let mut count = 0;
        for part in bytes.chunks(size) {
            reader.push(part);
            while let Some(frame) = reader.next_frame().unwrap() {
                assert!(matches!(frame, Frame::Event { name, .. } if name == "chunk"));
                count += 1;
            }
        }
        assert_eq!((count, reader.finish()), (3, Ok(())), "in parts of {size}");
    }
}

#[test]
fn refuses_broken_frames() {
    let frame = EncodedEvent::new(&chunk("one"))
        .unwrap()
        .to_frame()
        .unwrap();
    let read = |bytes: &[u8]| {
        let mut reader = FrameReader::default();
        reader.push(bytes);
        reader
            .next_frame()
            .and_then(|frame| reader.finish().map(|()| frame))
    };
    for index in 0..frame.len() {
        let mut broken = frame.to_vec();
        broken[index] ^= 0x01;
        assert!(read(&broken).is_err(), "byte {index}");
    }
    assert_eq!(read(&frame[..frame.len() - 1]), Err(FrameError::Truncated));
    assert_eq!(read(&[0xff; 12]), Err(FrameError::TooLarge(0xffff_ffff)));
    assert!(matches!(read(&[0; 12]), Err(FrameError::Malformed(_))));
}
