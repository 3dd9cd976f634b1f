//! The web crawler: pages of sites whose hosts the operator allows (behaviour.md 9.2).
//!
//! Polite: robots.txt as RFC 9309 has it, with `Crawl-delay`; one request at a time to a host, at the
//! rate of the data source; a site that is overloaded is left alone for as long as it asks. Nothing is
//! fetched that is out of scope, by link or by redirect, and only hosts of `[crawler] allow` are ever
//! called, at public addresses unless listed otherwise. It reads no site maps, runs no scripts, sends no
//! cookies and logs in nowhere.
//!
//! A crawl is a task of its own behind a short queue, so that pages under way are read to their end
//! while the reader is busy. Dropping the stream ends the task and its requests.
//!
//! Invariant: the stream ends without an error only after all pages in scope were tried.

mod fetch;
mod frontier;
mod links;
mod scope;

use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use outcrop_engine::port::{CrawlError, CrawlEvent, Crawler, WebPage};
use outcrop_model::control::WebDataSourceConfiguration;
use reqwest::Url;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info};

use self::fetch::{Client, Fetched, TIMEOUTS, refused};
use self::frontier::{Frontier, Next, Origin, Rules, Visit, Work};
use self::scope::Plan;
use crate::http::egress::{Egress, Guarded};
use crate::http::{HttpFailure, Timeouts};

/// Requests under way at once, each to another host.
const REQUESTS_MAX: usize = 4;
/// Pages that wait for the reader.
const PAGES_AHEAD: usize = 2;
/// Redirects that are followed one after another.
const REDIRECTS_MAX: u8 = 5;
/// How often a page is asked for before it has failed.
const TRIES_MAX: u8 = 3;
/// URLs in scope that a crawl may know for each page that it may have: many are redirects or missing.
const URLS_PER_PAGE: usize = 4;

/// Crawls the sites that it is allowed to.
#[derive(Clone, Debug)]
pub struct WebCrawler {
    egress: Egress,
    pace: Pace,
}

/// How fast time passes; tests cannot wait as long as polite people do.
#[derive(Clone, Copy, Debug)]
struct Pace {
    minute: Duration,
    /// Before the second try; before the third, twice as long.
    retry: Duration,
    timeouts: Timeouts,
}

impl WebCrawler {
    /// A crawler that calls only what `egress` allows; without any entry it calls nothing.
    pub fn new(egress: Egress) -> Self {
        Self {
            egress,
            pace: Pace {
                minute: Duration::from_mins(1),
                retry: Duration::from_secs(2),
                timeouts: TIMEOUTS,
            },
        }
    }

    fn start(&self, configuration: &WebDataSourceConfiguration) -> Result<Crawl, CrawlError> {
        let plan = Plan::of(configuration)?;
        let guarded = self
            .egress
            .guard(&[], self.pace.timeouts.connect)
            .map_err(|error| CrawlError::Invalid(error.to_string()))?;
        for seed in &plan.seeds {
            check_host(&guarded, seed)?;
        }
        let now = Instant::now();
        let mut frontier = Frontier::new(
            plan.interval(self.pace.minute),
            plan.pages_max
                .saturating_mul(URLS_PER_PAGE)
                .max(plan.seeds.len()),
        );
        for url in plan.seeds.clone() {
            let visit = Visit {
                url,
                seed: true,
                hops: 0,
                tries: 0,
            };
            frontier
                .add(visit, now)
                .expect("there is room for the seeds");
        }
        Ok(Crawl {
            client: Client {
                guarded: Arc::new(guarded),
                user_agent: plan.user_agent.as_str().into(),
                timeouts: self.pace.timeouts,
            },
            pace: self.pace,
            plan,
            frontier,
            pages: 0,
        })
    }
}

fn check_host(guarded: &Guarded, seed: &Url) -> Result<(), CrawlError> {
    match guarded.client(seed) {
        Ok(_) => Ok(()),
        Err(HttpFailure::Refused(refusal)) => Err(CrawlError::NotAllowed(refused(&refusal))),
        Err(failure) => Err(CrawlError::Invalid(failure.to_string())),
    }
}

impl Crawler for WebCrawler {
    fn crawl(
        &self,
        configuration: Arc<WebDataSourceConfiguration>,
    ) -> BoxStream<'static, Result<CrawlEvent, CrawlError>> {
        let crawler = self.clone();
        let begin = async move {
            let crawl = match crawler.start(&configuration) {
                Ok(crawl) => crawl,
                Err(error) => return stream::once(async { Err(error) }).boxed(),
            };
            let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
            let task = AbortOnDropHandle::new(tokio::spawn(crawl.run(sender)));
            stream::unfold(Some((receiver, task)), receive).boxed()
        };
        stream::once(begin).flatten().boxed()
    }
}

/// What the task tells: events, an error, or that it is done, which nothing follows.
type Told = Result<Option<CrawlEvent>, CrawlError>;
type Receiving = (mpsc::Receiver<Told>, AbortOnDropHandle<()>);

async fn receive(
    receiving: Option<Receiving>,
) -> Option<(Result<CrawlEvent, CrawlError>, Option<Receiving>)> {
    let (mut receiver, task) = receiving?;
    match receiver.recv().await {
        Some(Ok(Some(event))) => Some((Ok(event), Some((receiver, task)))),
        Some(Ok(None)) => None,
        Some(Err(error)) => Some((Err(error), None)),
        None => Some((Err(CrawlError::Interrupted), None)),
    }
}

/// A crawl under way.
struct Crawl {
    client: Client,
    pace: Pace,
    plan: Plan,
    frontier: Frontier,
    pages: usize,
}

/// A request that is done.
enum Done {
    Robots(Origin, Result<Rules, String>),
    Page(Origin, Visit, Fetched),
}

/// The reader has gone.
struct Gone;

type Sender = mpsc::Sender<Told>;

impl Crawl {
    async fn run(mut self, sender: Sender) {
        let last = match self.all(&sender).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(Gone) => return,
        };
        info!(pages = self.pages, complete = last.is_ok(), "crawl ended");
        // Nobody is left to be told.
        let _ = sender.send(last).await;
    }

    async fn all(&mut self, sender: &Sender) -> Result<Result<(), CrawlError>, Gone> {
        let mut requests = JoinSet::new();
        loop {
            let mut wake = None;
            while requests.len() < REQUESTS_MAX {
                match self.frontier.next(Instant::now()) {
                    Next::Now(origin, work) => {
                        self.begin(origin, work, &mut requests, sender).await?;
                    }
                    Next::At(at) => {
                        wake = Some(at);
                        break;
                    }
                    Next::Busy => break,
                    Next::Done => return Ok(Ok(())),
                }
            }
            let done = tokio::select! {
                Some(done) = requests.join_next() => done,
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    continue;
                }
            };
            let Ok(done) = done else {
                return Ok(Err(CrawlError::Interrupted));
            };
            if let Err(error) = self.finish(done, sender).await? {
                return Ok(Err(error));
            }
        }
    }

    /// Begins a request, if the site's rules allow it.
    async fn begin(
        &mut self,
        origin: Origin,
        work: Work,
        requests: &mut JoinSet<Done>,
        sender: &Sender,
    ) -> Result<(), Gone> {
        let client = self.client.clone();
        match work {
            Work::Robots(url) => {
                requests.spawn(async move { Done::Robots(origin, client.robots(&url).await) });
            }
            Work::Page(visit, rules) => {
                if let Some(reason) = forbidden(&visit.url, &rules) {
                    self.frontier.unused(&origin, Instant::now());
                    // What robots.txt keeps back is no fault, unless nothing else was asked for.
                    if visit.seed || matches!(*rules, Rules::Unreachable(_)) {
                        return tell_failed(visit.url, reason, true, sender).await;
                    }
                    debug!(url = %visit.url, "robots.txt does not allow a page");
                    return Ok(());
                }
                requests.spawn(async move {
                    let fetched = client.page(&visit.url).await;
                    Done::Page(origin, visit, fetched)
                });
            }
        }
        Ok(())
    }

    async fn finish(
        &mut self,
        done: Done,
        sender: &Sender,
    ) -> Result<Result<(), CrawlError>, Gone> {
        let now = Instant::now();
        match done {
            Done::Robots(origin, Ok(rules)) => {
                self.frontier.learn(&origin, rules, self.pace.minute, now);
                Ok(Ok(()))
            }
            Done::Robots(origin, Err(reason)) => {
                let tries = self.frontier.robots_failed(&origin, self.pace.retry, now);
                if tries >= TRIES_MAX {
                    let rules = Rules::Unreachable(reason);
                    self.frontier.learn(&origin, rules, self.pace.minute, now);
                }
                Ok(Ok(()))
            }
            Done::Page(origin, visit, fetched) => {
                self.frontier.free(&origin);
                self.fetched(&origin, visit, fetched, sender).await
            }
        }
    }

    async fn fetched(
        &mut self,
        origin: &str,
        mut visit: Visit,
        fetched: Fetched,
        sender: &Sender,
    ) -> Result<Result<(), CrawlError>, Gone> {
        let now = Instant::now();
        match fetched {
            Fetched::Page {
                mime_type,
                content,
                links,
            } => {
                for url in links.into_iter().filter(|url| self.plan.follows(url)) {
                    let link = Visit {
                        url,
                        seed: false,
                        hops: 0,
                        tries: 0,
                    };
                    if self.frontier.add(link, now).is_err() {
                        return Ok(Err(self.too_many()));
                    }
                }
                // A seed that the filters leave out is read for its links.
                if content.is_empty() || !self.plan.keeps(&visit.url) {
                    return Ok(Ok(()));
                }
                if self.pages == self.plan.pages_max {
                    return Ok(Err(self.too_many()));
                }
                self.pages += 1;
                let page = CrawlEvent::Page(WebPage {
                    url: visit.url.into(),
                    mime_type,
                    content,
                });
                tell(page, sender).await.map(Ok)
            }
            Fetched::Moved(target) => match self.moved(&visit, target) {
                Ok(Some(next)) => match self.frontier.add(next, now) {
                    Ok(()) => Ok(Ok(())),
                    Err(_) => Ok(Err(self.too_many())),
                },
                Ok(None) => Ok(Ok(())),
                Err(reason) => tell_failed(visit.url, reason, visit.seed, sender)
                    .await
                    .map(Ok),
            },
            Fetched::Later { reason, wait } => {
                visit.tries += 1;
                if visit.tries >= TRIES_MAX {
                    return tell_failed(visit.url, reason, true, sender).await.map(Ok);
                }
                let wait = wait.unwrap_or(self.pace.retry * u32::from(visit.tries));
                self.frontier.again(origin, visit, wait, now);
                Ok(Ok(()))
            }
            Fetched::Nothing(reason) | Fetched::Refused(reason) if !visit.seed => {
                debug!(url = %visit.url, reason, "a link leads to nothing that is read");
                Ok(Ok(()))
            }
            Fetched::Nothing(reason) | Fetched::Refused(reason) | Fetched::Failed(reason) => {
                tell_failed(visit.url, reason, visit.seed, sender)
                    .await
                    .map(Ok)
            }
        }
    }

    /// Where to go on after a redirect; nowhere if that is out of scope.
    fn moved(&self, from: &Visit, target: Option<Url>) -> Result<Option<Visit>, String> {
        let Some(url) = target else {
            return Err("it is moved to where nothing can be fetched".to_owned());
        };
        if from.hops >= REDIRECTS_MAX {
            return Err(format!("it is moved more than {REDIRECTS_MAX} times"));
        }
        if !self.plan.covers(&url) || !(from.seed || self.plan.follows(&url)) {
            if from.seed {
                return Err(format!("it is moved to {url}, which is out of scope"));
            }
            return Ok(None);
        }
        Ok(Some(Visit {
            url,
            seed: from.seed,
            hops: from.hops + 1,
            tries: 0,
        }))
    }

    fn too_many(&self) -> CrawlError {
        CrawlError::TooManyPages {
            max: self.plan.pages_max,
        }
    }
}

/// Why a site's rules forbid a page, if they do.
fn forbidden(url: &Url, rules: &Rules) -> Option<String> {
    match rules {
        Rules::Known(robots) if robots.is_url_allowed(url) => None,
        Rules::Known(_) => Some("the site's robots.txt does not allow it".to_owned()),
        Rules::Unreachable(reason) => {
            Some(format!("the site's robots.txt could not be read: {reason}"))
        }
    }
}

async fn tell(event: CrawlEvent, sender: &Sender) -> Result<(), Gone> {
    sender.send(Ok(Some(event))).await.map_err(|_| Gone)
}

async fn tell_failed(url: Url, reason: String, hides: bool, sender: &Sender) -> Result<(), Gone> {
    let failed = CrawlEvent::Failed {
        url: url.into(),
        reason,
        hides,
    };
    tell(failed, sender).await
}

#[cfg(test)]
mod tests;
