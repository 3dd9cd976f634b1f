//! Mutated requests and frames: whatever comes in, something well-formed goes out and nothing
//! panics. The fuzz targets in `fuzz/` drive the same entry points without end.

use bytes::Bytes;
use http::{Method, Request, Uri};
use outcrop_wire::Body;
use outcrop_wire::event_stream::FrameReader;

use crate::recorder::{call, now, send};

const ITERATIONS: usize = 10_000;

/// Requests that succeed, as seeds.
const SEEDS: [(&str, &str, &str); 6] = [
    (
        "PUT",
        "/agents/",
        r#"{"agentName":"support","idleSessionTTLInSeconds":600,"promptOverrideConfiguration":{"promptConfigurations":[{"promptType":"ORCHESTRATION","inferenceConfiguration":{"temperature":0.5,"stopSequences":["a"]}}]},"tags":{"a":"b"}}"#,
    ),
    (
        "PUT",
        "/agents/ABCDEFGHIJ/agentversions/DRAFT/actiongroups/",
        r#"{"actionGroupName":"orders","actionGroupExecutor":{"customControl":"RETURN_CONTROL"},"functionSchema":{"functions":[{"name":"f","parameters":{"p":{"type":"string","required":true}}}]}}"#,
    ),
    (
        "POST",
        "/agents/support/agentAliases/PROD/sessions/session-1/text",
        r#"{"inputText":"größe","enableTrace":true,"sessionState":{"sessionAttributes":{"a":"b"},"returnControlInvocationResults":[{"functionResult":{"actionGroup":"a","responseBody":{"TEXT":{"body":"x"}}}}],"files":[{"name":"f","useCase":"CHAT","source":{"sourceType":"BYTE_CONTENT","byteContent":{"data":"aGk=","mediaType":"text/plain"}}}]}}"#,
    ),
    (
        "DELETE",
        "/tags/arn%3Aaws%3Abedrock%3Aus-west-2%3A111111111111%3Aagent%2FABCDEFGHIJ?tagKeys=a&tagKeys=b%20c",
        "",
    ),
    ("GET", "/agents/ABCDEFGHIJ/", ""),
    (
        "POST",
        "/tags/arn%3Aaws%3Abedrock%3Aus-west-2%3A111111111111%3Aagent%2FABCDEFGHIJ",
        r#"{"tags":{"a":"b"}}"#,
    ),
];

const FRAGMENTS: [&[u8]; 14] = [
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"1e999",
    b"-1",
    b"true",
    b"{\"a\":",
    b"[[[[[[[[",
    b"\xff\xfe",
    b"%2F",
    b"%zz",
    b"\\u0000",
    b"__type",
];

/// The generator of Knuth's MMIX: enough to shuffle bytes, and a seed is a bug report.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => {
                    let end = at + self.below(bytes.len() - at + 1);
                    bytes.drain(at..end);
                }
                3 => {
                    let end = at + self.below(bytes.len() - at + 1);
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                _ => {
                    let fragment = FRAGMENTS[self.below(FRAGMENTS.len())];
                    bytes.splice(at..at, fragment.iter().copied());
                }
            }
        }
    }
}

#[test]
fn mutated_requests_are_answered() {
    let mut random = Random(20_250_314);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for iteration in 0..ITERATIONS {
        let (method, uri, body) = SEEDS[random.below(SEEDS.len())];
        let mut uri = uri.as_bytes().to_vec();
        let mut body = body.as_bytes().to_vec();
        if random.below(3) == 0 {
            random.mutate(&mut uri);
        } else {
            random.mutate(&mut body);
        }
        let Ok(uri) = Uri::try_from(uri) else {
            continue;
        };
        let mut request = Request::new(Bytes::from(body));
        *request.uri_mut() = uri;
        *request.method_mut() = method.parse::<Method>().unwrap();
        let (_, response) = send(request);
        *statuses.entry(response.status().as_u16()).or_default() += 1;
        if let Body::Full(bytes) = response.body()
            && !bytes.is_empty()
        {
            let json: serde_json::Result<serde_json::Value> = serde_json::from_slice(bytes);
            assert!(json.is_ok(), "iteration {iteration}: {bytes:?}");
        }
        assert_ne!(response.status(), 500, "iteration {iteration}");
    }
    assert!(
        statuses.get(&400).is_some_and(|&count| count > 1_000),
        "{statuses:?}"
    );
    assert!(
        statuses.iter().any(|(status, _)| *status < 300),
        "{statuses:?}"
    );
}

#[test]
fn mutated_frames_are_refused_or_read() {
    let path = "/agents/support/agentAliases/PROD/sessions/session-1/text";
    let (_, response) = call("POST", path, r#"{"inputText":"hello"}"#);
    let Body::Stream(stream) = response.into_body() else {
        panic!("not a stream");
    };
    let frames: Vec<Bytes> = now(futures_util::StreamExt::collect(stream));
    let frames = frames.concat();
    let mut random = Random(20_250_530);
    for _ in 0..ITERATIONS {
        let mut bytes = frames.clone();
        random.mutate(&mut bytes);
        let mut reader = FrameReader::default();
        for part in bytes.chunks(1 + random.below(200)) {
            reader.push(part);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }
}
