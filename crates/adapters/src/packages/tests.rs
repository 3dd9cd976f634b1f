//! Archives as people make them, and as attackers do.

use std::io::{Cursor, Write as _};
use std::path::Path;

use bytes::Bytes;
use outcrop_engine::port::PackageError;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{PackageFolders, unpack};

const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
}

/// An archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Bytes {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, options()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner().into()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_archive_is_unpacked_once() {
    let root = tempfile::tempdir().unwrap();
    let folders = PackageFolders::new(root.path().join("code"));
    assert_eq!(folders.find(HASH).await, None);
    let files = archive(&[("app.py", b"x = 1\n"), ("lib/deep/__init__.py", b"")]);
    let folder = folders.unpack(HASH, files.clone()).await.unwrap();
    assert_eq!(std::fs::read(folder.join("app.py")).unwrap(), b"x = 1\n");
    assert!(folder.join("lib/deep/__init__.py").is_file());
    assert_eq!(folders.find(HASH).await, Some(folder.clone()));

    std::fs::write(folder.join("marker"), "").unwrap();
    folders.unpack(HASH, files).await.unwrap();
    assert!(folder.join("marker").is_file());
    // Another process finds what this one has unpacked.
    let other = PackageFolders::new(root.path().join("code"));
    assert_eq!(other.find(HASH).await, Some(folder));
    assert_eq!(names(&root.path().join("code")), [HASH]);
}

#[tokio::test]
async fn a_crowd_of_first_calls_agrees() {
    let root = tempfile::tempdir().unwrap();
    let folders = PackageFolders::new(root.path());
    let files = archive(&[("app.py", b"")]);
    let unpacked =
        futures_util::future::join_all((0..8).map(|_| folders.unpack(HASH, files.clone()))).await;
    assert!(unpacked.iter().all(Result::is_ok));
    assert_eq!(names(root.path()), [HASH]);
}

#[tokio::test]
async fn executables_stay_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", options().unix_permissions(0o4777))
        .unwrap();
    zip.write_all(b"#!/bin/sh\n").unwrap();
    zip.start_file("data", options().unix_permissions(0o600))
        .unwrap();
    let files = zip.finish().unwrap().into_inner().into();
    let folder = PackageFolders::new(root.path())
        .unpack(HASH, files)
        .await
        .unwrap();
    let mode = |name: &str| {
        let found = std::fs::metadata(folder.join(name)).unwrap();
        found.permissions().mode() & 0o7777
    };
    assert_eq!(mode("bootstrap") & 0o7111, 0o111);
    assert_eq!(mode("data") & 0o7111, 0);
}

#[tokio::test]
async fn archives_that_must_not_be_unpacked_are_not() {
    let root = tempfile::tempdir().unwrap();
    let code = root.path().join("code");
    let folders = PackageFolders::new(&code);
    let mut link = ZipWriter::new(Cursor::new(Vec::new()));
    link.add_symlink("link", "/etc/passwd", options()).unwrap();
    let link = link.finish().unwrap().into_inner();
    for (files, expected) in [
        (Bytes::from_static(b"no zip"), "this is no zip archive"),
        (archive(&[]), "it is empty"),
        (archive(&[("../out.py", b"x")]), "is no plain relative path"),
        (
            archive(&[("a/../../out.py", b"x")]),
            "is no plain relative path",
        ),
        (archive(&[("/out.py", b"x")]), "is no plain relative path"),
        (
            archive(&[("a\\..\\out.py", b"x")]),
            "is no plain relative path",
        ),
        (archive(&[("a", b"x"), ("a/b", b"x")]), "cannot be written"),
        (archive(&[("A", b"x"), ("./A", b"y")]), "cannot be written"),
        (link.into(), "is a symbolic link"),
    ] {
        let error = folders.unpack(HASH, files).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert_eq!(names(&code), [] as [&str; 0]);
    assert_eq!(names(root.path()), ["code"]);
}

/// The bytes that come out count, not those the archive claims.
#[tokio::test]
async fn content_is_bounded() {
    let root = tempfile::tempdir().unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let megabyte = vec![0_u8; 1 << 20];
    zip.start_file("zeros", options()).unwrap();
    for _ in 0..=(unpack::CONTENT_BYTES_MAX >> 20) {
        zip.write_all(&megabyte).unwrap();
    }
    let files = zip.finish().unwrap().into_inner().into();
    let refused = PackageFolders::new(root.path()).unpack(HASH, files).await;
    assert_eq!(
        refused,
        Err(PackageError::TooLarge {
            limit_bytes: unpack::CONTENT_BYTES_MAX
        })
    );
    assert_eq!(names(root.path()), [] as [&str; 0]);
}
