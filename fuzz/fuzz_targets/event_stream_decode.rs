//! Any bytes, in parts of any size: frames come out, or an error, never a panic.
//!
//! The first byte is the size of the parts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outcrop_wire::event_stream::FrameReader;

fuzz_target!(|data: &[u8]| {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    let mut reader = FrameReader::default();
    for part in data.chunks(usize::from(size).max(1)) {
        reader.push(part);
        loop {
            match reader.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let _ = reader.finish();
});
