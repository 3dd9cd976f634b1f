//! Keys that stay inside the root, and keys that must not leave it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bytes::Bytes;
use outcrop_engine::port::{DocumentSource, SourceError};

use super::BucketFolder;

const LIMIT: u64 = 16;

fn buckets() -> (tempfile::TempDir, BucketFolder) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("buckets");
    write(
        &root.join("schemas/order-tools/openapi.yaml"),
        b"openapi: 3.0.0",
    );
    write(&root.join("schemas/long"), &[b'x'; 17]);
    write(&root.join("other/object"), b"other");
    write(&folder.path().join("secret"), b"secret");
    symlink(folder.path().join("secret"), root.join("schemas/out")).expect("a link");
    symlink(root.join("other/object"), root.join("schemas/across")).expect("a link");
    symlink("order-tools/openapi.yaml", root.join("schemas/latest.yaml")).expect("a link");
    symlink(folder.path(), root.join("linked")).expect("a link");
    let source = BucketFolder::new(&root).expect("the path is absolute");
    (folder, source)
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("it has a parent")).expect("the folder");
    fs::write(path, content).expect("the file");
}

async fn read(source: &BucketFolder, bucket: &str, key: &str) -> Result<Bytes, SourceError> {
    DocumentSource::read(source, bucket, key, LIMIT).await
}

#[tokio::test]
async fn an_object_is_a_file_below_its_bucket() {
    let (_folder, source) = buckets();
    let content = Ok(Bytes::from_static(b"openapi: 3.0.0"));
    assert_eq!(
        read(&source, "schemas", "order-tools/openapi.yaml").await,
        content
    );
    assert_eq!(read(&source, "schemas", "latest.yaml").await, content);
}

#[tokio::test]
async fn what_is_missing_is_named_by_its_path() {
    let (folder, source) = buckets();
    let root = folder.path().join("buckets");
    for (bucket, key, path) in [
        ("schemas", "nothing.yaml", "schemas/nothing.yaml"),
        ("schemas", "long/below", "schemas/long/below"),
        ("nowhere", "key", "nowhere"),
    ] {
        let detail = format!("there is no {}", root.join(path).display());
        let expected = SourceError::NotFound {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            detail,
        };
        assert_eq!(read(&source, bucket, key).await, Err(expected));
    }
    let folder = read(&source, "schemas", "order-tools").await;
    assert!(
        matches!(folder, Err(SourceError::NotFound { .. })),
        "{folder:?}"
    );
}

#[tokio::test]
async fn nothing_outside_the_bucket_is_read() {
    let (_folder, source) = buckets();
    for (bucket, key) in [
        ("schemas", "../other/object"),
        ("schemas", "order-tools/../../other/object"),
        ("schemas", "/etc/hostname"),
        ("schemas", "./latest.yaml"),
        ("schemas", "order-tools//openapi.yaml"),
        ("schemas", "order-tools\\openapi.yaml"),
        ("schemas", "latest.yaml\0"),
        ("schemas", ""),
        ("schemas", "out"),
        ("schemas", "across"),
        ("linked", "secret"),
        ("..", "secret"),
        (".", "secret"),
        ("", "secret"),
        ("schemas/order-tools", "openapi.yaml"),
    ] {
        let result = read(&source, bucket, key).await;
        assert!(
            matches!(
                result,
                Err(SourceError::Unreadable { .. } | SourceError::BadKey { .. })
            ),
            "{bucket} {key}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_no_key_can_name_is_told_and_fails_alone() {
    let (folder, source) = buckets();
    let root = folder.path().join("buckets/docs");
    let long = format!("{}/{0}/{0}/{0}/{0}/x", "x".repeat(250));
    for key in ["a.md", "b\\c.md", &long, "z.md"] {
        write(&root.join(key), b"text");
    }
    let keys = listed(&source, "docs", "").await;
    assert_eq!(keys, ["a.md", "b\\c.md", &long, "z.md"]);
    for (key, is_read) in [
        ("a.md", true),
        ("b\\c.md", false),
        (&*long, false),
        ("z.md", true),
    ] {
        let content = read(&source, "docs", key).await;
        assert_eq!(content.is_ok(), is_read, "{key}");
        let is_bad = matches!(content, Err(SourceError::BadKey { .. }));
        assert_eq!(is_bad, !is_read, "{content:?}");
    }
}

#[tokio::test]
async fn size_is_bounded() {
    let (_folder, source) = buckets();
    let expected = SourceError::TooLarge {
        bucket: "schemas".to_owned(),
        key: "long".to_owned(),
        limit_bytes: LIMIT,
    };
    assert_eq!(read(&source, "schemas", "long").await, Err(expected));
    let whole = DocumentSource::read(&source, "schemas", "long", 17).await;
    assert_eq!(whole.map(|content| content.len()), Ok(17));
}

/// All keys below a prefix, behind `after`, a page at a time.
async fn listed(source: &BucketFolder, bucket: &str, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = DocumentSource::list(source, bucket, prefix, after.as_deref()).await;
        let page = page.expect("it lists");
        assert!(page.objects.len() <= 1_000);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

#[tokio::test]
async fn objects_are_listed_in_the_order_of_their_keys() {
    let (folder, source) = buckets();
    let root = folder.path().join("buckets");
    // What S3's order makes of folders: `a-b`, `a.txt`, `a/x`, `a0`.
    for key in [
        "a/x",
        "a/y/z",
        "a-b",
        "a.txt",
        "a0",
        "a.txt.metadata.json",
        ".git/config",
        "a/.hidden",
    ] {
        write(&root.join("docs").join(key), b"text");
    }
    symlink(folder.path().join("secret"), root.join("docs/out")).expect("a link");
    symlink("../docs", root.join("docs/around")).expect("a link");
    symlink("a.txt", root.join("docs/also.txt")).expect("a link");
    symlink("nowhere", root.join("docs/dangling")).expect("a link");
    let all = [
        "a-b",
        "a.txt",
        "a.txt.metadata.json",
        "a/x",
        "a/y/z",
        "a0",
        "also.txt",
    ];
    assert_eq!(listed(&source, "docs", "").await, all);
    assert_eq!(listed(&source, "docs", "a/").await, ["a/x", "a/y/z"]);
    assert_eq!(
        listed(&source, "docs", "a.t").await,
        ["a.txt", "a.txt.metadata.json"]
    );
    assert_eq!(listed(&source, "docs", "a/y/z").await, ["a/y/z"]);
    assert!(listed(&source, "docs", "b").await.is_empty());
    for (place, key) in all.iter().enumerate() {
        let page = DocumentSource::list(&source, "docs", "", Some(key)).await;
        let keys = page
            .expect("it lists")
            .objects
            .into_iter()
            .map(|object| object.key);
        assert_eq!(keys.collect::<Vec<_>>(), all[place + 1..], "behind {key}");
    }
    let missing = DocumentSource::list(&source, "nowhere", "", None).await;
    assert!(
        matches!(missing, Err(SourceError::NotFound { .. })),
        "{missing:?}"
    );
    let outside = DocumentSource::list(&source, "linked", "", None).await;
    assert!(
        matches!(outside, Err(SourceError::Unreadable { .. })),
        "{outside:?}"
    );
}

#[tokio::test]
async fn long_listings_come_in_pages() {
    let (folder, source) = buckets();
    let root = folder.path().join("buckets/many");
    for number in 0..2_500 {
        write(&root.join(format!("{}/{number:04}", number % 3)), b"x");
    }
    let keys = listed(&source, "many", "").await;
    assert_eq!(keys.len(), 2_500);
    assert!(keys.is_sorted());
}

#[tokio::test]
async fn objects_are_written_and_removed() {
    let (_folder, source) = buckets();
    let write = |key: &'static str, content: &'static [u8]| {
        DocumentSource::write(&source, "schemas", key, Bytes::from_static(content))
    };
    write("new/deep/object", b"one").await.expect("is written");
    let version = async || {
        let page = DocumentSource::list(&source, "schemas", "new/", None).await;
        let mut objects = page.expect("it lists").objects;
        assert_eq!(objects.len(), 1, "nothing half-written is seen");
        objects.remove(0).version
    };
    let first = version().await;
    assert_eq!(version().await, first);
    write("new/deep/object", b"two").await.expect("is replaced");
    assert_ne!(version().await, first);
    assert_eq!(
        read(&source, "schemas", "new/deep/object").await,
        Ok(Bytes::from_static(b"two"))
    );
    for _ in 0..2 {
        let removed = DocumentSource::remove(&source, "schemas", "new/deep/object").await;
        removed.expect("is removed, or was");
    }
    assert!(read(&source, "schemas", "new/deep/object").await.is_err());
    for key in ["../other/object", "", "/etc/x", "across/x"] {
        write(key, b"x").await.expect_err(key);
    }
}

#[tokio::test]
async fn buckets_are_made_and_removed_when_they_are_empty() {
    let (folder, source) = buckets();
    source.create("made").await.expect("is made");
    source.create("made").await.expect("may be there already");
    std::fs::write(folder.path().join("buckets/made/object"), "x").unwrap();
    let full = source.remove("made").await.expect_err("it holds an object");
    assert_eq!(full.to_string(), "the bucket made is not empty");
    std::fs::remove_file(folder.path().join("buckets/made/object")).unwrap();
    source.remove("made").await.expect("is removed");
    let gone = source.remove("made").await.expect_err("it is gone");
    assert_eq!(gone.to_string(), "there is no bucket made");
    for name in ["", "..", "a/b", "a\\b"] {
        source.create(name).await.expect_err(name);
        source.remove(name).await.expect_err(name);
    }
}

#[tokio::test]
async fn a_bucket_may_be_a_folder_elsewhere() {
    let (folder, source) = buckets();
    let source = source.with_links(folder.path().join("links"));
    let policies = folder.path().join("policies");
    write(&policies.join("leave/parental.md"), b"16 weeks");
    symlink(folder.path().join("secret"), policies.join("out")).expect("a link");
    source.link("hr", &policies).await.expect("is linked");
    source.link("hr", &policies).await.expect("may be already");
    source.create("hr").await.expect("is there already");
    let content = Ok(Bytes::from_static(b"16 weeks"));
    assert_eq!(read(&source, "hr", "leave/parental.md").await, content);
    for key in ["out", "../secret", "leave/../../secret"] {
        let refused = read(&source, "hr", key).await;
        assert!(
            matches!(
                refused,
                Err(SourceError::Unreadable { .. } | SourceError::BadKey { .. })
            ),
            "{key}"
        );
    }
    write(&policies.join("leave/parental.md"), b"18 weeks");
    let content = Ok(Bytes::from_static(b"18 weeks"));
    assert_eq!(read(&source, "hr", "leave/parental.md").await, content);
    source.remove("hr").await.expect("is removed");
    assert!(policies.join("leave/parental.md").exists());
    assert!(read(&source, "hr", "leave/parental.md").await.is_err());
}

#[tokio::test]
async fn what_cannot_be_linked() {
    let (folder, source) = buckets();
    let policies = folder.path().join("policies");
    write(&policies.join("a.md"), b"a");
    let refused = source.link("hr", &policies).await;
    assert!(matches!(refused, Err(super::BucketError::NoLinks)));
    let source = source.with_links(folder.path().join("links"));
    for (bucket, place, expected) in [
        ("a/b", "policies", "\"a/b\" is no name of a bucket"),
        ("hr", "nowhere", "is no folder on the server's machine"),
        ("hr", "secret", "is no folder on the server's machine"),
        ("schemas", "policies", "exists, and is not that folder"),
    ] {
        let refused = source.link(bucket, &folder.path().join(place)).await;
        let text = refused.expect_err(bucket).to_string();
        assert!(text.contains(expected), "{text}");
    }
    source.link("hr", &policies).await.expect("is linked");
    let other = source.link("hr", folder.path()).await;
    assert!(matches!(other, Err(super::BucketError::Exists(_))));
}
