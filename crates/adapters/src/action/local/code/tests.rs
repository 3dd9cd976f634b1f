//! Which changes of a folder count as changes of its code.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CodeFolder, CodeWatch, Watching};

/// Far longer than the system takes to tell of a change.
const PATIENCE: Duration = Duration::from_secs(20);

async fn next(folder: &Arc<CodeFolder>, after: u64) -> u64 {
    let begun = Instant::now();
    loop {
        let generation = folder.settled().await;
        if generation > after {
            return generation;
        }
        assert!(begun.elapsed() < PATIENCE, "the change was not noticed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

/// The life of a folder, however its changes are noticed.
async fn live(root: &Path, folder: &Arc<CodeFolder>) {
    let first = folder.settled().await;
    write(&root.join("app.py"), "two");
    let second = next(folder, first).await;
    std::fs::create_dir(root.join("later")).expect("made");
    let third = next(folder, second).await;
    write(&root.join("later/helper.py"), "1");
    let fourth = next(folder, third).await;
    std::fs::rename(root.join("later"), root.join("renamed")).expect("renamed");
    let fifth = next(folder, fourth).await;
    write(&root.join("renamed/helper.py"), "three");
    let sixth = next(folder, fifth).await;
    assert_eq!(folder.settled().await, sixth);
}

fn prepared() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().expect("a folder");
    write(&scratch.path().join("app.py"), "1");
    scratch
}

#[tokio::test]
async fn the_system_tells_of_changes() {
    let scratch = prepared();
    let watch = CodeWatch::new();
    let folder = watch.folder(scratch.path(), Vec::new()).await;
    assert!(matches!(
        folder.watched.state().watching,
        Watching::Events(_)
    ));
    assert_eq!(folder.settled().await, 0);
    live(scratch.path(), &folder).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_watched_is_looked_through() {
    let scratch = prepared();
    let watch = CodeWatch::new();
    let folder = watch.fixed(scratch.path());
    folder.watched.state().watching = Watching::Stamps {
        last: None,
        due: Instant::now(),
        missing: false,
    };
    live(scratch.path(), &folder).await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_again() {
    let scratch = tempfile::tempdir().expect("a folder");
    let root = scratch.path().join("code");
    let make = |text: &str| {
        std::fs::create_dir(&root).expect("made");
        write(&root.join("app.py"), text);
    };
    make("1");
    let watch = CodeWatch::new();
    let folder = watch.folder(&root, Vec::new()).await;
    std::fs::remove_dir_all(&root).expect("removed");
    make("2");
    let replaced = next(&folder, 0).await;
    write(&root.join("app.py"), "three");
    next(&folder, replaced).await;
}

#[tokio::test]
async fn watches_end_with_the_last_folder_that_wants_them() {
    let scratch = prepared();
    let watch = CodeWatch::new();
    let one = watch.folder(scratch.path(), Vec::new()).await;
    let two = watch.folder(scratch.path(), Vec::new()).await;
    drop(one);
    write(&scratch.path().join("app.py"), "two");
    next(&two, 0).await;
    drop(two);
    assert!(super::lock(&watch.inner.watches).wanted.is_empty());
}
