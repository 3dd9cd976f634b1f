//! Listings of any key, and which keys are read.

use outcrop_engine::port::ObjectInfo;

use super::*;

#[path = "../../../tests/support/loopback.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod loopback;
use loopback::{Answer, Server};

const LIMIT: u64 = 16;

/// A page of a listing as S3 writes it: keys in XML, and whether there are more.
fn page(keys: &[&str], is_truncated: bool) -> Answer {
    use std::fmt::Write as _;
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>docs</Name>",
    );
    for key in keys {
        let size = if key.ends_with('/') { 0 } else { 5 };
        let _ = write!(
            xml,
            "<Contents><Key>{key}</Key><LastModified>2026-11-23T10:00:00.000Z</LastModified>\
             <ETag>&quot;tag of {}&quot;</ETag><Size>{size}</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>",
            key.len()
        );
    }
    if is_truncated {
        xml.push_str("<NextContinuationToken>opaque/+=</NextContinuationToken>");
    }
    let _ = write!(
        xml,
        "<IsTruncated>{is_truncated}</IsTruncated></ListBucketResult>"
    );
    Answer::whole(200, "content-type: application/xml\r\n", &xml)
}

fn buckets(server: &Server) -> S3Buckets {
    let settings = S3Settings {
        endpoint: Some(server.url("")),
        region: "us-west-2".to_owned(),
    };
    S3Buckets::new(settings).expect("a client")
}

#[tokio::test]
async fn one_odd_key_does_not_hide_the_others() {
    let odd = [
        "./x",
        "/a",
        "a",
        "a&amp;b",
        "a/",
        "a/../b",
        "a//b",
        "b/c.md",
        "z%2F&#x1;",
    ];
    let server = Server::start([page(&odd, true), page(&["z/"], false)]).await;
    let buckets = buckets(&server);
    let first = buckets.list("docs", "", None).await.expect("it lists");
    let keys: Vec<&str> = first.objects.iter().map(|object| &*object.key).collect();
    // The folder that a console shows is no object.
    assert_eq!(
        keys,
        [
            "./x",
            "/a",
            "a",
            "a&b",
            "a/../b",
            "a//b",
            "b/c.md",
            "z%2F\u{1}"
        ]
    );
    let known = ObjectInfo {
        key: "a//b".to_owned(),
        size: 5,
        version: "\"tag of 4\"".to_owned(),
    };
    assert_eq!(first.objects[5], known);
    let next = first.next.as_deref();
    assert_eq!(next, Some("z%2F\u{1}"));
    let last = buckets.list("docs", "z", next).await.expect("it lists");
    assert_eq!((last.objects.len(), last.next), (0, None));
    let asked = server.received()[1].head.clone();
    for part in [
        "GET /docs?",
        "list-type=2",
        "prefix=z",
        "start-after=z%252F%01",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_asked_for_fails_alone() {
    let whole = Answer::whole(
        200,
        "etag: \"x\"\r\nlast-modified: Mon, 23 Nov 2026 10:00:00 GMT\r\n",
        "text",
    );
    let server = Server::start([whole]).await;
    let buckets = buckets(&server);
    for key in ["a//b", "./x", "a/", "/a", "a\u{1}b"] {
        let refused = buckets.read("docs", key, LIMIT).await;
        let expected = SourceError::BadKey {
            bucket: "docs".to_owned(),
            key: key.to_owned(),
        };
        let text = expected.to_string();
        assert!(text.starts_with(&format!("s3://docs/{key} cannot be read: the key is not")));
        assert_eq!(refused, Err(expected));
    }
    let content = buckets.read("docs", "a%2F &b", LIMIT).await;
    assert_eq!(content, Ok(Bytes::from_static(b"text")));
    let asked = server.received()[0].head.clone();
    assert!(asked.starts_with("GET /docs/a%252F%20%26b "), "{asked}");
}

#[tokio::test]
async fn a_listing_that_is_none_is_told() {
    let wrong = |body: &str| Answer::whole(200, "", body);
    let endless = "<Key>".repeat(2 * 1024 * 1024);
    let server = Server::start([wrong("<ListBucketResult>"), wrong(&endless)]).await;
    let buckets = buckets(&server);
    for _ in 0..2 {
        let failed = buckets.list("docs", "", None).await;
        assert!(
            matches!(failed, Err(SourceError::Unreadable { .. })),
            "{failed:?}"
        );
    }
}

#[test]
fn keys_are_taken_as_they_are_or_not_at_all() {
    let path = |key| Object { bucket: "b", key }.path();
    for key in ["a", "a/b.yaml", "with space/ä+%20.json"] {
        assert_eq!(path(key).map(|path| path.to_string()), Ok(key.to_owned()));
    }
    for key in ["", "/", "/a", "a/", "a//b", "../a", "a/./b", "a\nb"] {
        let refused = path(key);
        assert!(
            matches!(refused, Err(SourceError::BadKey { .. })),
            "{key:?}"
        );
    }
}

#[test]
fn the_code_is_found_in_the_answer() {
    let said = "404: <Error><Code>NoSuchBucket</Code><Message>x</Message></Error>";
    assert_eq!(code(said), Some("NoSuchBucket"));
    assert_eq!(code("404"), None);
}
