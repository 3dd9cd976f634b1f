//! The two things a job compares: the objects of a bucket, and the documents that the Store knows.
//! Both come in the order of their ids, a page at a time.
//!
//! An object's `.metadata.json` stands behind it in that order, sometimes far behind. So objects wait
//! until the listing has come to where it would be; where too many wait, the bucket is asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use outcrop_engine::port::{DocumentSource, ObjectInfo, SourceError};
use outcrop_knowledge::metadata::FILE_SUFFIX;
use outcrop_store::{Cursor, Order, Page, Scan};

use super::stored::{DocumentDoc, SourceRef};
use super::{Shared, Trouble};
use crate::records::{self, Stored, kind};

/// Most objects that wait: some megabytes of names.
const WAITING_MAX: usize = 10_000;
/// Documents read from the Store at once.
const KNOWN_PAGE: u32 = 500;

/// The objects of a bucket below a prefix.
pub(super) struct Listing {
    documents: Arc<dyn DocumentSource>,
    bucket: String,
    prefix: String,
    after: Option<String>,
    has_ended: bool,
    waiting: VecDeque<ObjectInfo>,
    /// Versions of the `.metadata.json` among them, by key.
    metadata: BTreeMap<String, String>,
    /// Where the listing has come to.
    listed_to: String,
}

/// What comes next in a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// A document.
    Document {
        object: ObjectInfo,
        /// The version of its `.metadata.json`, if there is one.
        metadata: Option<String>,
    },
    /// The `.metadata.json` of a document, or of none.
    Metadata { key: String },
}

impl Listing {
    /// The objects whose keys begin with `prefix`, those behind `after`.
    pub(super) fn new(
        documents: Arc<dyn DocumentSource>,
        bucket: &str,
        prefix: &str,
        after: Option<String>,
    ) -> Self {
        Self {
            documents,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            after,
            has_ended: false,
            waiting: VecDeque::new(),
            metadata: BTreeMap::new(),
            listed_to: String::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Listed>, SourceError> {
        loop {
            let Some(head) = self.waiting.front() else {
                if self.has_ended {
                    return Ok(None);
                }
                self.read_on().await?;
                continue;
            };
            if is_metadata(&head.key) {
                let key = self.pop().key;
                self.metadata.remove(&key);
                return Ok(Some(Listed::Metadata { key }));
            }
            let beside = format!("{}{FILE_SUFFIX}", head.key);
            let mut metadata = self.metadata.get(&beside).cloned();
            if metadata.is_none() && !self.has_ended && self.listed_to < beside {
                if self.waiting.len() < WAITING_MAX {
                    self.read_on().await?;
                    continue;
                }
                metadata = self.version_of(&beside).await?;
            }
            let object = self.pop();
            return Ok(Some(Listed::Document { object, metadata }));
        }
    }

    fn pop(&mut self) -> ObjectInfo {
        self.waiting
            .pop_front()
            .expect("the caller has just looked at it")
    }

    async fn read_on(&mut self) -> Result<(), SourceError> {
        let after = self.after.as_deref();
        let page = self
            .documents
            .list(&self.bucket, &self.prefix, after)
            .await?;
        for object in page.objects {
            // Consoles show such objects as folders.
            if object.key.ends_with('/') {
                continue;
            }
            if is_metadata(&object.key) {
                self.metadata
                    .insert(object.key.clone(), object.version.clone());
            }
            self.listed_to.clone_from(&object.key);
            self.waiting.push_back(object);
        }
        self.has_ended = page.next.is_none();
        self.after = page.next;
        Ok(())
    }

    async fn version_of(&self, key: &str) -> Result<Option<String>, SourceError> {
        let page = self.documents.list(&self.bucket, key, None).await?;
        let found = page.objects.into_iter().find(|object| object.key == key);
        Ok(found.map(|object| object.version))
    }
}

fn is_metadata(key: &str) -> bool {
    key.strip_suffix(FILE_SUFFIX)
        .is_some_and(|document| !document.is_empty() && !document.ends_with('/'))
}

/// The documents of a data source that the Store knows.
pub(super) struct Known {
    shared: Arc<Shared>,
    source: SourceRef,
    after: Option<Cursor>,
    has_ended: bool,
    page: VecDeque<Stored<DocumentDoc>>,
}

impl Known {
    /// Those with an id behind `after`.
    pub(super) fn new(shared: &Arc<Shared>, source: &SourceRef, after: Option<&str>) -> Self {
        Self {
            shared: Arc::clone(shared),
            source: source.clone(),
            after: after.map(|id| Cursor {
                sort: 0,
                id: id.into(),
            }),
            has_ended: false,
            page: VecDeque::new(),
        }
    }

    /// The next, unless its id is behind `limit`.
    pub(super) async fn next_to(
        &mut self,
        limit: Option<&str>,
    ) -> Result<Option<Stored<DocumentDoc>>, Trouble> {
        if self.page.is_empty() && !self.has_ended {
            self.read_on().await?;
        }
        let is_within = |stored: &Stored<DocumentDoc>| limit.is_none_or(|to| &*stored.key.id <= to);
        if self.page.front().is_some_and(is_within) {
            return Ok(self.page.pop_front());
        }
        Ok(None)
    }

    async fn read_on(&mut self) -> Result<(), Trouble> {
        let scan = Scan {
            scope: self.source.scope().0,
            kind: kind::KB_DOCUMENT,
            parent: self.source.parent().into(),
            order: Order::Id,
            now_ms: self.shared.now().as_millis(),
        };
        let page = Page {
            limit: KNOWN_PAGE,
            after: self.after.take(),
        };
        let listing = self.shared.ports.store.list(scan, page).await?;
        self.has_ended = listing.next.is_none();
        self.after = listing.next;
        for record in listing.records {
            self.page.push_back(records::read(record)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
