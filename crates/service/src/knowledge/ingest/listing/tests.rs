//! Documents and their metadata files, however far apart a bucket lists them.

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::ObjectPage;

use super::*;

/// A bucket that gives `page` objects at a time.
struct Bucket {
    keys: Vec<String>,
    page: usize,
}

impl DocumentSource for Bucket {
    fn list<'a>(
        &'a self,
        _bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ObjectPage, SourceError>> {
        let mut behind = self
            .keys
            .iter()
            .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .cloned()
            .collect::<Vec<_>>();
        let more = behind.len() > self.page;
        behind.truncate(self.page);
        let next = behind.last().filter(|_| more).cloned();
        let objects = behind.into_iter().map(|key| ObjectInfo {
            version: format!("v of {key}"),
            size: 1,
            key,
        });
        let objects = objects.collect();
        Box::pin(std::future::ready(Ok(ObjectPage { objects, next })))
    }

    fn read<'a>(
        &'a self,
        _bucket: &'a str,
        _key: &'a str,
        _limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        unreachable!("a listing reads nothing")
    }
}

async fn listed(keys: &[&str], page: usize) -> Vec<String> {
    let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    keys.sort();
    let bucket = Arc::new(Bucket { keys, page });
    let mut listing = Listing::new(bucket, "docs", "", None);
    let mut all = Vec::new();
    while let Some(next) = listing.next().await.expect("it lists") {
        all.push(match next {
            Listed::Metadata { key } => format!("({key})"),
            Listed::Document { object, metadata } => match metadata {
                Some(version) => {
                    assert_eq!(version, format!("v of {}.metadata.json", object.key));
                    format!("{}+", object.key)
                }
                None => object.key,
            },
        });
    }
    all
}

#[tokio::test]
async fn metadata_is_found_whatever_stands_between() {
    let keys = [
        "a.txt",
        "a.txt-1",
        "a.txt-2",
        "a.txt.bak",
        "a.txt.metadata.json",
        "b/",
        "b/c.pdf",
        "b/c.pdf.metadata.json",
        "lost.metadata.json",
        ".metadata.json",
        "z",
    ];
    let expected = [
        ".metadata.json",
        "a.txt+",
        "a.txt-1",
        "a.txt-2",
        "a.txt.bak",
        "(a.txt.metadata.json)",
        "b/c.pdf+",
        "(b/c.pdf.metadata.json)",
        "(lost.metadata.json)",
        "z",
    ];
    for page in [1, 2, 3, 100] {
        assert_eq!(listed(&keys, page).await, expected, "pages of {page}");
    }
}

#[tokio::test]
async fn a_bucket_is_asked_where_too_many_objects_would_wait() {
    let mut keys: Vec<String> = (0..2 * WAITING_MAX)
        .map(|number| format!("a-{number:06}"))
        .collect();
    keys.push("a".to_owned());
    keys.push("a.metadata.json".to_owned());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let listed = listed(&keys, 1_000).await;
    assert_eq!(listed.first().map(String::as_str), Some("a+"));
    assert_eq!(listed.len(), keys.len());
}
