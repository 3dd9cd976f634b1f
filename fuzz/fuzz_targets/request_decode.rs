//! Any request: routing, binding, type checks and validation must refuse or read, never panic.
//!
//! Input: a method's first letter, a path with query up to the first line feed, `name:value`
//! headers up to an empty line, then the body.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use libfuzzer_sys::fuzz_target;
use outcrop_wire::decoder::Decoder;

static DECODER: LazyLock<Decoder> = LazyLock::new(Decoder::new);

fuzz_target!(|data: &[u8]| {
    if let Some(request) = request(data) {
        if let Err(rejection) = DECODER.decode(&request) {
            let exception = rejection.into_exception();
            assert!(!exception.message().is_empty());
        }
    }
});

fn request(data: &[u8]) -> Option<Request<Bytes>> {
    let (letter, rest) = data.split_first()?;
    let method = match letter {
        b'G' => http::Method::GET,
        b'P' => http::Method::PUT,
        b'D' => http::Method::DELETE,
        b'A' => http::Method::PATCH,
        _ => http::Method::POST,
    };
    let (path, mut rest) = line(rest)?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(path).ok()?;
    while let Some((header, after)) = line(rest) {
        rest = after;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|&byte| byte == b':')?;
        let (name, value) = header.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(&value[1..]).ok()?;
        request.headers_mut().append(name, value);
    }
    *request.body_mut() = Bytes::copy_from_slice(rest);
    Some(request)
}

fn line(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = data.iter().position(|&byte| byte == b'\n')?;
    Some((&data[..end], &data[end + 1..]))
}
