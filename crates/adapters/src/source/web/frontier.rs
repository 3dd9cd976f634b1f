//! Which page is fetched next, and when.
//!
//! Each host has a queue. One request at a time goes to a host, and the next one not before its
//! interval has passed; the hosts take turns. Pure: times are given.
//!
//! Invariant: a URL is queued at most once, but for another try of the same request.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use robotxt::Robots;
use tokio::time::Instant;

/// Longest that a site may make us wait between two requests. Some ask for hours to keep everybody out;
/// that is what `Disallow` is for.
const INTERVAL_MAX: Duration = Duration::from_mins(1);

/// Scheme, host and port: what a robots.txt holds for.
pub(super) type Origin = String;

/// A page to fetch.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) url: Url,
    /// Whether the crawl begins with it, or was sent on from where it begins.
    pub(super) seed: bool,
    /// How many redirects have led here.
    pub(super) hops: u8,
    /// How often it has been tried.
    pub(super) tries: u8,
}

/// What is to be done for a host.
#[derive(Debug)]
pub(super) enum Work {
    /// Its robots.txt is to be read, which is at the root of this URL.
    Robots(Url),
    /// A page is to be fetched, if these rules allow it.
    Page(Visit, Arc<Rules>),
}

/// What a site says of crawlers.
#[derive(Clone, Debug)]
pub(super) enum Rules {
    /// Its robots.txt. One that is missing allows everything.
    Known(Robots),
    /// It could not be read: nothing may be fetched (RFC 9309, 2.3.1.4).
    Unreachable(String),
}

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Next {
    /// This, for this host, now. The host is busy from now on.
    Now(Origin, Work),
    /// Nothing before then.
    At(Instant),
    /// Nothing until a busy host is done.
    Busy,
    /// Nothing any more.
    Done,
}

/// The pages that are known and not fetched yet.
#[derive(Debug)]
pub(super) struct Frontier {
    seen: HashSet<Box<str>>,
    seen_max: usize,
    interval: Duration,
    hosts: BTreeMap<Origin, Host>,
    /// The host that was served last.
    turn: Option<Origin>,
}

#[derive(Debug)]
struct Host {
    /// Those of one name share its rate.
    name: Box<str>,
    queue: VecDeque<Visit>,
    rules: Option<Arc<Rules>>,
    robots_tries: u8,
    interval: Duration,
    next: Instant,
    busy: bool,
}

/// More pages are known than the crawl may have.
#[derive(Debug)]
pub(super) struct Full;

impl Frontier {
    pub(super) fn new(interval: Duration, seen_max: usize) -> Self {
        Self {
            seen: HashSet::new(),
            seen_max,
            interval,
            hosts: BTreeMap::new(),
            turn: None,
        }
    }

    /// Queues a page, unless it was queued before.
    pub(super) fn add(&mut self, visit: Visit, now: Instant) -> Result<(), Full> {
        if self.seen.contains(visit.url.as_str()) {
            return Ok(());
        }
        if self.seen.len() >= self.seen_max {
            return Err(Full);
        }
        self.seen.insert(visit.url.as_str().into());
        let interval = self.interval;
        let host = self
            .hosts
            .entry(origin(&visit.url))
            .or_insert_with(|| Host {
                name: visit.url.host_str().unwrap_or_default().into(),
                queue: VecDeque::new(),
                rules: None,
                robots_tries: 0,
                interval,
                next: now,
                busy: false,
            });
        host.queue.push_back(visit);
        Ok(())
    }

    /// What to do now. A host that has something to do is served before any is served again.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let mut busy = false;
        let mut earliest: Option<(Instant, bool, &Origin)> = None;
        for (origin, host) in &self.hosts {
            if host.busy {
                busy = true;
            } else if !host.queue.is_empty() {
                let served = self.turn.as_ref().is_some_and(|turn| origin <= turn);
                let key = (host.next.max(now), served, origin);
                if earliest.is_none_or(|earliest| key < earliest) {
                    earliest = Some(key);
                }
            }
        }
        match earliest {
            None if busy => Next::Busy,
            None => Next::Done,
            Some((at, _, _)) if at > now => Next::At(at),
            Some((_, _, origin)) => {
                let origin = origin.clone();
                self.start(origin, now)
            }
        }
    }

    fn start(&mut self, origin: Origin, now: Instant) -> Next {
        let host = self
            .hosts
            .get_mut(&origin)
            .expect("it was found among them");
        let work = match &host.rules {
            Some(rules) => {
                let visit = host.queue.pop_front().expect("its queue is not empty");
                Work::Page(visit, Arc::clone(rules))
            }
            None => Work::Robots(
                host.queue
                    .front()
                    .expect("its queue is not empty")
                    .url
                    .clone(),
            ),
        };
        host.busy = true;
        let next = now + host.interval;
        let name = host.name.clone();
        // The same host may serve both http and https, each with a robots.txt of its own.
        for host in self.hosts.values_mut().filter(|host| host.name == name) {
            host.next = host.next.max(next);
        }
        self.turn = Some(origin.clone());
        Next::Now(origin, work)
    }

    /// Tells what a host's robots.txt says. `minute` is how long a minute is.
    pub(super) fn learn(&mut self, origin: &str, rules: Rules, minute: Duration, now: Instant) {
        if let Some(host) = self.hosts.get_mut(origin) {
            if let Rules::Known(robots) = &rules
                && let Some(delay) = robots.crawl_delay()
            {
                let delay = delay.min(INTERVAL_MAX).mul_f64(minute.as_secs_f64() / 60.0);
                host.interval = host.interval.max(delay);
            }
            host.rules = Some(Arc::new(rules));
            host.busy = false;
            host.next = now + host.interval;
        }
    }

    /// The rules could not be read and may be tried again after `wait`; how often they were.
    pub(super) fn robots_failed(&mut self, origin: &str, wait: Duration, now: Instant) -> u8 {
        self.hosts.get_mut(origin).map_or(0, |host| {
            host.robots_tries += 1;
            host.busy = false;
            host.next = now + wait.max(host.interval);
            host.robots_tries
        })
    }

    /// A host's request is done.
    pub(super) fn free(&mut self, origin: &str) {
        if let Some(host) = self.hosts.get_mut(origin) {
            host.busy = false;
        }
    }

    /// A request that was turned down, or skipped: the host need not be waited for.
    pub(super) fn unused(&mut self, origin: &str, now: Instant) {
        if let Some(host) = self.hosts.get_mut(origin) {
            host.busy = false;
            host.next = now;
        }
    }

    /// A page is to be tried again, after `wait`; until then the host is left alone.
    pub(super) fn again(&mut self, origin: &str, visit: Visit, wait: Duration, now: Instant) {
        if let Some(host) = self.hosts.get_mut(origin) {
            host.queue.push_front(visit);
            host.busy = false;
            host.next = now + wait.max(host.interval);
        }
    }
}

/// Scheme, host and port of a URL.
pub(super) fn origin(url: &Url) -> Origin {
    url.origin().ascii_serialization()
}
