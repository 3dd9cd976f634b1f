//! What the Store holds of data sources and knowledge bases that go: found, and deleted.

use std::sync::Arc;

use outcrop_model::control::{DataSource, KnowledgeBase};
use outcrop_store::{Expect, Job, Key, Order, Page, Scan, Write};

use super::super::stored::{SourceRef, indexed_key};
use super::super::{Shared, Trouble};
use super::BaseRef;
use crate::background::finish;
use crate::records::{self, Scope, Stored, kind, put};

/// Documents deleted in one batch.
const PAGE: u32 = 500;
/// Kinds of what belongs to a data source, each below `knowledgeBaseId/dataSourceId`.
const OF_SOURCE: [&str; 3] = [kind::KB_UPLOAD, kind::KB_DOCUMENT, kind::INGESTION_JOB];
/// Kinds of what belongs to a knowledge base, each below its id.
const OF_BASE: [&str; 2] = [kind::DATA_SOURCE, kind::KB_RETAINED];

impl Shared {
    /// The data sources of a knowledge base.
    pub(super) async fn sources(&self, base: &BaseRef) -> Result<Vec<Stored<DataSource>>, Trouble> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let scan = self.scan(base.scope(), kind::DATA_SOURCE, &base.knowledge_base_id);
            let page = Page { limit: PAGE, after };
            let listing = self.ports.store.list(scan, page).await?;
            for record in listing.records {
                found.push(records::read(record)?);
            }
            if listing.next.is_none() {
                return Ok(found);
            }
            after = listing.next;
        }
    }

    /// Whether a data source of the knowledge base has gone and left its chunks behind.
    pub(super) async fn has_retained(&self, base: &BaseRef) -> Result<bool, Trouble> {
        let scan = self.scan(base.scope(), kind::KB_RETAINED, &base.knowledge_base_id);
        let page = Page {
            limit: 1,
            after: None,
        };
        let listing = self.ports.store.list(scan, page).await?;
        Ok(!listing.records.is_empty())
    }

    /// Deletes all that the Store holds below a data source, some at a time: nobody else can write
    /// while a batch is written.
    pub(super) async fn forget(&self, source: &SourceRef) -> Result<(), Trouble> {
        for kind in OF_SOURCE {
            loop {
                let scan = self.scan(source.scope(), kind, &source.parent());
                let page = Page {
                    limit: PAGE,
                    after: None,
                };
                let listing = self.ports.store.list(scan, page).await?;
                let is_last = listing.next.is_none();
                let keys = listing.records.into_iter().map(|record| record.key);
                let deletes: Vec<Write> = keys.map(delete).collect();
                if !deletes.is_empty() {
                    self.commit(deletes).await?;
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The same for a data source whose chunks stay. That they do is written first, so that no document's
    /// job that is late takes any out.
    pub(super) async fn forget_but_for_chunks(&self, source: &SourceRef) -> Result<(), Trouble> {
        let retained = put(source.retained_key(), &(), Expect::Any, None);
        self.commit(vec![retained]).await?;
        self.forget(source).await
    }

    /// Deletes a knowledge base, of which nothing else is left, and ends the job.
    pub(super) async fn forget_base(
        &self,
        claim: &Job,
        base: &BaseRef,
        found: &Stored<KnowledgeBase>,
    ) -> Result<(), Trouble> {
        let scope = base.scope();
        let region = Key {
            scope: base.account_id.as_str().into(),
            kind: kind::KNOWLEDGE_BASE_REGION,
            parent: "".into(),
            id: base.knowledge_base_id.as_str().into(),
        };
        let children = OF_BASE.map(|kind| Write::DeleteChildren {
            scope: Arc::clone(&scope.0),
            kind,
            parent: base.knowledge_base_id.as_str().into(),
        });
        let mut writes = Vec::from(children);
        writes.extend([
            delete(scope.key(kind::TAGS, "", &found.body.knowledge_base_arn)),
            delete(region),
            delete(indexed_key(&scope, &base.knowledge_base_id)),
            delete(found.key.clone()),
            finish(claim),
        ]);
        self.commit(writes).await?;
        Ok(())
    }

    fn scan(&self, scope: Scope, kind: &'static str, parent: &str) -> Scan {
        Scan {
            scope: scope.0,
            kind,
            parent: parent.into(),
            order: Order::Id,
            now_ms: self.now().as_millis(),
        }
    }
}

fn delete(key: Key) -> Write {
    Write::Delete {
        key,
        expect: Expect::Any,
    }
}
