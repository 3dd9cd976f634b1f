//! Buckets in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentSource, ObjectInfo, ObjectPage, SourceError};

use crate::fuse::Fuse;

/// The objects of a bucket: version and content by key.
type Objects = BTreeMap<String, (u64, Bytes)>;

/// Buckets: content by bucket and key, listed few at a time.
pub(crate) struct Buckets {
    pub(crate) objects: Mutex<BTreeMap<String, Objects>>,
    versions: AtomicUsize,
    page: usize,
    pub(crate) reads: AtomicUsize,
    /// Reads going on, and the most there were.
    reading: AtomicUsize,
    pub(crate) reading_most: AtomicUsize,
    fuse: Arc<Fuse>,
}

impl Buckets {
    pub(crate) fn new(fuse: Arc<Fuse>, page: usize) -> Self {
        Self {
            objects: Mutex::default(),
            versions: AtomicUsize::new(0),
            page,
            reads: AtomicUsize::new(0),
            reading: AtomicUsize::new(0),
            reading_most: AtomicUsize::new(0),
            fuse,
        }
    }

    pub(crate) fn make(&self, bucket: &str) {
        let mut objects = self.objects.lock().expect("whole");
        objects.entry(bucket.to_owned()).or_default();
    }

    /// Puts an object into `docs`.
    pub(crate) fn put(&self, key: &str, content: impl Into<Bytes>) {
        self.put_in("docs", key, content);
    }

    pub(crate) fn put_in(&self, bucket: &str, key: &str, content: impl Into<Bytes>) {
        let version = self.versions.fetch_add(1, Ordering::SeqCst) as u64;
        let mut objects = self.objects.lock().expect("whole");
        let bucket = objects.entry(bucket.to_owned()).or_default();
        bucket.insert(key.to_owned(), (version, content.into()));
    }

    pub(crate) fn delete(&self, key: &str) {
        let mut objects = self.objects.lock().expect("whole");
        objects.get_mut("docs").expect("is there").remove(key);
    }

    fn found(&self, bucket: &str) -> Result<BTreeMap<String, (u64, Bytes)>, SourceError> {
        let objects = self.objects.lock().expect("whole");
        objects
            .get(bucket)
            .cloned()
            .ok_or_else(|| SourceError::NotFound {
                bucket: bucket.to_owned(),
                key: String::new(),
                detail: "there is no such folder".to_owned(),
            })
    }
}

impl DocumentSource for Buckets {
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ObjectPage, SourceError>> {
        Box::pin(async move {
            let found = self.fuse.around(async { self.found(bucket) }).await?;
            let mut objects: Vec<ObjectInfo> = found
                .iter()
                .filter(|(key, _)| {
                    key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
                })
                .take(self.page + 1)
                .map(|(key, (version, content))| ObjectInfo {
                    key: key.clone(),
                    size: content.len() as u64,
                    version: version.to_string(),
                })
                .collect();
            let more = objects.len() > self.page;
            objects.truncate(self.page);
            let next = objects.last().filter(|_| more).map(|last| last.key.clone());
            Ok(ObjectPage { objects, next })
        })
    }

    fn write<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        content: Bytes,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            self.put_in(bucket, key, content);
            Ok(())
        })
    }

    fn remove<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut objects = self.objects.lock().expect("whole");
            if let Some(bucket) = objects.get_mut(bucket) {
                bucket.remove(key);
            }
            Ok(())
        })
    }

    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
            self.reading_most.fetch_max(reading, Ordering::SeqCst);
            let found = {
                let objects = self.objects.lock().expect("whole");
                let bucket = objects.get(bucket);
                bucket.and_then(|bucket| bucket.get(key)).cloned()
            };
            let found = self.fuse.around(async { found }).await;
            self.reading.fetch_sub(1, Ordering::SeqCst);
            let Some((_, content)) = found else {
                return Err(SourceError::NotFound {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    detail: "there is no such file".to_owned(),
                });
            };
            if content.len() as u64 > limit_bytes {
                return Err(SourceError::TooLarge {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    limit_bytes,
                });
            }
            Ok(content)
        })
    }
}
