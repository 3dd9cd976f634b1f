//! An ingestion job over the pages of web sites.
//!
//! A crawl has no order and no place to go on from: it begins anew after a crash, and what is as it
//! was costs no more than being fetched. Pages that are not found any more are taken out only after a
//! crawl that found all it could: behind a page that failed there may be others.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use outcrop_engine::port::{CrawlEvent, Crawler, ObjectInfo, WebPage};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::control::{DocumentStatus, WebDataSourceConfiguration};

use super::kitchen::Kitchen;
use super::ledger::Ledger;
use super::listing::Known;
use super::plan::{Page, Window, Work};
use super::stored::{DocumentDoc, document_id, hash};
use super::sync::{index, remove};
use super::{Shared, Trouble};

/// Pages taken from the crawler at once, as many as are there.
const PAGES_TOGETHER: usize = 16;
/// Documents taken out at once.
const REMOVED_TOGETHER: usize = 256;

/// Crawls and indexes.
pub(super) async fn run(
    kitchen: &Kitchen,
    ledger: &mut Ledger,
    crawler: &dyn Crawler,
    configuration: Arc<WebDataSourceConfiguration>,
) -> Result<(), Trouble> {
    ledger.look_anew();
    let mut events = crawler.crawl(configuration).ready_chunks(PAGES_TOGETHER);
    let mut seen = HashSet::new();
    let mut is_whole = true;
    while let Some(some) = events.next().await {
        let mut window = Window::default();
        for event in some {
            match event.map_err(|cause| Trouble::Failed(cause.to_string()))? {
                CrawlEvent::Page(page) => {
                    window.counts.scanned += 1;
                    let work = work(kitchen, page).await?;
                    seen.insert(document_id(&work.location));
                    if !is_done(kitchen, &work) {
                        window.index.push(work);
                    }
                }
                CrawlEvent::Failed { url, reason, hides } => {
                    is_whole &= !hides;
                    window.counts.scanned += 1;
                    ledger.unfetched(&url, &reason);
                }
            }
        }
        index(kitchen, ledger, &mut window).await?;
        ledger.close(window).await?;
    }
    if is_whole {
        take_out(kitchen, ledger, &seen).await?;
    }
    Ok(())
}

async fn work(kitchen: &Kitchen, page: WebPage) -> Result<Work, Trouble> {
    let location = DocumentLocation::Web {
        url: page.url.clone(),
    };
    let shared: &Arc<Shared> = &kitchen.shared;
    let key = kitchen.source.document_key(&location);
    let known = shared.load::<DocumentDoc>(key).await?;
    Ok(Work {
        location,
        object: ObjectInfo {
            key: page.url,
            size: page.content.len() as u64,
            version: hash(&page.content),
        },
        metadata: None,
        known,
        page: Some(Page {
            mime_type: page.mime_type,
            content: page.content,
        }),
    })
}

/// Whether nothing is to be done about a page.
fn is_done(kitchen: &Kitchen, work: &Work) -> bool {
    let Some(known) = &work.known else {
        return false;
    };
    match known.body.status {
        DocumentStatus::Indexed => known.body.indexed.as_ref().is_some_and(|mark| {
            (&mark.content, &mark.recipe) == (&work.object.version, &kitchen.recipe)
        }),
        DocumentStatus::Failed => known.body.failed_in.as_ref() == Some(&kitchen.job_id),
        _ => false,
    }
}

async fn take_out(
    kitchen: &Kitchen,
    ledger: &mut Ledger,
    seen: &HashSet<String>,
) -> Result<(), Trouble> {
    let mut known = Known::new(&kitchen.shared, &kitchen.source, None);
    let mut window = Window::default();
    while let Some(document) = known.next_to(None).await? {
        if !seen.contains(&*document.key.id) {
            window.remove.push(document);
        }
        if window.remove.len() == REMOVED_TOGETHER {
            remove(kitchen, ledger, &mut window).await?;
        }
    }
    remove(kitchen, ledger, &mut window).await
}
