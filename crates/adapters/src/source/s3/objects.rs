//! Listing, writing and removing the objects of S3's buckets.
//!
//! A page begins behind a key (`start-after`), not at a token of S3's, so that a listing can go on
//! after a restart. All keys are told, those too that cannot be read here: reading them says why.

use bytes::Bytes;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::{Error, ObjectMeta, ObjectStoreExt, PutPayload};
use outcrop_engine::port::{ObjectInfo, ObjectPage, SourceError};

use super::connections::listed_key;
use super::{READ_LIMIT, S3Buckets, plain_name};
use crate::source::folder::Object;

/// Objects of one page, S3's own limit.
const PAGE: usize = 1_000;

impl S3Buckets {
    pub(in crate::source) async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<ObjectPage, SourceError> {
        let object = Object {
            bucket,
            key: prefix,
        };
        self.in_time(object, async {
            let store = self.store(named(object)?);
            let store = store.map_err(|error| self.failure(object, &error))?;
            let options = PaginatedListOptions {
                offset: after.map(ToOwned::to_owned),
                max_keys: Some(PAGE),
                ..PaginatedListOptions::default()
            };
            let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
            let page = store.list_paginated(prefix, options).await;
            let page = page.map_err(|error| self.failure(object, &error))?;
            // A page may be shown empty of objects and yet not be the last.
            let last = page.result.objects.last();
            let last = last.map(|meta| listed_key(&meta.location));
            let next = page.page_token.and(last);
            let objects = page.result.objects.into_iter().filter_map(info);
            Ok(ObjectPage {
                objects: objects.collect(),
                next,
            })
        })
        .await
    }

    pub(in crate::source) async fn write(
        &self,
        bucket: &str,
        key: &str,
        content: Bytes,
    ) -> Result<(), SourceError> {
        let object = Object { bucket, key };
        self.in_time(object, async {
            let path = object.path()?;
            let store = self.store(named(object)?);
            let store = store.map_err(|error| self.failure(object, &error))?;
            let written = store.put(&path, PutPayload::from_bytes(content)).await;
            written.map_err(|error| self.failure(object, &error))?;
            Ok(())
        })
        .await
    }

    pub(in crate::source) async fn delete(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<(), SourceError> {
        let object = Object { bucket, key };
        self.in_time(object, async {
            let path = object.path()?;
            let store = self.store(named(object)?);
            let store = store.map_err(|error| self.failure(object, &error))?;
            match store.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failure(object, &error)),
            }
        })
        .await
    }

    async fn in_time<T>(
        &self,
        object: Object<'_>,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        match tokio::time::timeout(READ_LIMIT, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(object.unreadable(format!(
                "{self} did not answer within {} seconds",
                READ_LIMIT.as_secs()
            ))),
        }
    }
}

/// The name becomes part of a URL.
fn named(object: Object<'_>) -> Result<&str, SourceError> {
    plain_name(object.bucket)
        .ok_or_else(|| object.unreadable("the bucket is not named as a bucket can be".to_owned()))
}

/// What a listing says of an object; nothing of those that consoles make to show a folder.
fn info(meta: ObjectMeta) -> Option<ObjectInfo> {
    let key = listed_key(&meta.location);
    if meta.size == 0 && key.ends_with('/') {
        return None;
    }
    let version = meta
        .e_tag
        .unwrap_or_else(|| meta.last_modified.to_rfc3339());
    Some(ObjectInfo {
        size: meta.size,
        version,
        key,
    })
}
