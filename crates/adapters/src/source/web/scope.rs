//! What a crawl may fetch and what it keeps: the data source's configuration, checked.
//!
//! Scopes (behaviour.md 9.2, and AWS's texts on `scope`): without one, pages of a seed's host at and
//! below the seed's path, or below the folder of a seed that is a file; `HOST_ONLY`, pages of a seed's host; `SUBDOMAINS`, pages of a seed's host without
//! its `www.` and of hosts below it.

use std::time::Duration;

use outcrop_engine::port::CrawlError;
use outcrop_model::control::{WebDataSourceConfiguration, WebScopeType};
use regex::{Regex, RegexBuilder};
use reqwest::Url;
use url::Host;

/// Most pages of a crawl, and how many where the data source does not say (AWS's own limit).
const PAGES_MAX: usize = 25_000;
/// Most pages a minute from one host, and how many where the data source does not say.
const RATE_MAX: i32 = 300;
/// Longest URL that is followed; longer ones are made by loops of relative links.
const URL_BYTES_MAX: usize = 2_048;
/// Largest compiled form of one filter.
const FILTER_BYTES_MAX: usize = 1024 * 1024;
/// Parameters that tell where a visitor came from, and not which page is meant.
const TRACKING: [&str; 4] = ["fbclid", "gclid", "msclkid", "mc_eid"];
/// Endings of files that no text is read from. They are not fetched at all.
const PASSED_OVER: [&str; 36] = [
    "7z", "apk", "avi", "avif", "bin", "bmp", "bz2", "css", "dmg", "eot", "exe", "gif", "gz",
    "ico", "iso", "jpeg", "jpg", "js", "map", "mjs", "mov", "mp3", "mp4", "mpeg", "ogg", "otf",
    "png", "rar", "svg", "tar", "tgz", "ttf", "wav", "webm", "webp", "woff2",
];

/// What a crawl is to do.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where it begins, in canonical form.
    pub(super) seeds: Vec<Url>,
    scope: Scope,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    /// Most pages.
    pub(super) pages_max: usize,
    /// Most requests a minute to one host.
    pub(super) rate: u32,
    /// `User-Agent`.
    pub(super) user_agent: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Path,
    Host,
    Subdomains,
}

impl Plan {
    /// Checks a configuration.
    pub(super) fn of(configuration: &WebDataSourceConfiguration) -> Result<Self, CrawlError> {
        let urls = &configuration.source_configuration.url_configuration;
        let seeds = urls
            .seed_urls
            .iter()
            .flatten()
            .filter_map(|seed| seed.url.as_deref())
            .map(seed)
            .collect::<Result<Vec<_>, _>>()?;
        if seeds.is_empty() {
            return Err(CrawlError::Invalid("it has no seed URL".to_owned()));
        }
        let crawler = configuration.crawler_configuration.as_ref();
        let limits = crawler.and_then(|crawler| crawler.crawler_limits.as_ref());
        let filters = |given: Option<&Vec<String>>| {
            let given = given.map(Vec::as_slice).unwrap_or_default();
            given
                .iter()
                .map(|text| filter(text))
                .collect::<Result<Vec<_>, _>>()
        };
        let pages = limits.and_then(|limits| limits.max_pages);
        let rate = limits.and_then(|limits| limits.rate_limit);
        Ok(Self {
            seeds,
            scope: match crawler.and_then(|crawler| crawler.scope) {
                None => Scope::Path,
                Some(WebScopeType::HostOnly) => Scope::Host,
                Some(WebScopeType::Subdomains) => Scope::Subdomains,
                Some(other) => {
                    let problem = format!("the scope {other} is not known here");
                    return Err(CrawlError::Invalid(problem));
                }
            },
            include: filters(crawler.and_then(|crawler| crawler.inclusion_filters.as_ref()))?,
            exclude: filters(crawler.and_then(|crawler| crawler.exclusion_filters.as_ref()))?,
            pages_max: pages
                .and_then(|pages| usize::try_from(pages).ok())
                .map_or(PAGES_MAX, |pages| pages.clamp(1, PAGES_MAX)),
            rate: u32::try_from(rate.unwrap_or(RATE_MAX).clamp(1, RATE_MAX))
                .expect("it is from 1 to 300"),
            user_agent: user_agent(
                crawler.and_then(|crawler| crawler.user_agent_header.as_deref()),
                crawler.and_then(|crawler| crawler.user_agent.as_deref()),
            )?,
        })
    }

    /// The time from one request to a host to the next, of minutes of this length.
    pub(super) fn interval(&self, minute: Duration) -> Duration {
        minute / self.rate
    }

    /// Whether the scope has this URL.
    pub(super) fn covers(&self, url: &Url) -> bool {
        self.seeds.iter().any(|seed| match self.scope {
            Scope::Path => same_host(seed, url) && is_at_or_below(folder(seed), url.path()),
            Scope::Host => same_host(seed, url),
            Scope::Subdomains => same_port(seed, url) && is_below(seed, url),
        })
    }

    /// Whether the filters keep this URL. Exclusion goes before inclusion.
    pub(super) fn keeps(&self, url: &Url) -> bool {
        let any = |filters: &[Regex]| filters.iter().any(|filter| filter.is_match(url.as_str()));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// Whether a link leads to a page that is to be fetched.
    pub(super) fn follows(&self, url: &Url) -> bool {
        let name = url.path().rsplit('/').next().unwrap_or_default();
        let ending = name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase());
        let passed_over = ending.is_some_and(|ending| PASSED_OVER.contains(&ending.as_str()));
        !passed_over && self.covers(url) && self.keeps(url)
    }
}

fn seed(text: &str) -> Result<Url, CrawlError> {
    let url = Url::parse(text.trim())
        .map_err(|error| CrawlError::Invalid(format!("the seed URL {text}: {error}")))?;
    canonical(url).ok_or_else(|| {
        CrawlError::Invalid(format!(
            "the seed URL {text} is no http or https URL that can be read"
        ))
    })
}

fn filter(text: &str) -> Result<Regex, CrawlError> {
    RegexBuilder::new(text)
        .size_limit(FILTER_BYTES_MAX)
        .build()
        .map_err(|error| CrawlError::Invalid(format!("the filter {text}: {error}")))
}

fn user_agent(header: Option<&str>, suffix: Option<&str>) -> Result<String, CrawlError> {
    const OWN: &str = concat!("outcropbot/", env!("CARGO_PKG_VERSION"));
    let text = match (header, suffix) {
        (Some(header), _) => header.to_owned(),
        (None, Some(suffix)) => format!("{OWN} {suffix}"),
        (None, None) => OWN.to_owned(),
    };
    if http::HeaderValue::from_str(&text).is_ok() {
        Ok(text)
    } else {
        Err(CrawlError::Invalid(format!(
            "the user agent {text:?} cannot be sent"
        )))
    }
}

/// The form in which a URL is known: without fragment, credentials and tracking parameters. `None` for
/// what cannot be fetched.
pub(super) fn canonical(mut url: Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https") || url.as_str().len() > URL_BYTES_MAX {
        return None;
    }
    url.host()?;
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    if let Some(query) = url.query() {
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                !(pair.is_empty() || name.starts_with("utm_") || TRACKING.contains(&name))
            })
            .collect();
        let kept = (!kept.is_empty()).then(|| kept.join("&"));
        url.set_query(kept.as_deref());
    }
    Some(url)
}

/// The path of a seed without a slash at its end; of a file, such as `/docs/index.html`, that of its
/// folder.
fn folder(seed: &Url) -> &str {
    match seed.path().rsplit_once('/') {
        Some((folder, name)) if name.is_empty() || name.contains('.') => folder,
        _ => seed.path(),
    }
}

fn is_at_or_below(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn same_host(a: &Url, b: &Url) -> bool {
    a.host() == b.host() && same_port(a, b)
}

/// A site at its usual ports is one site, with and without TLS.
fn same_port(a: &Url, b: &Url) -> bool {
    a.port() == b.port() && (a.port().is_none() || a.scheme() == b.scheme())
}

fn is_below(seed: &Url, url: &Url) -> bool {
    match (seed.host(), url.host()) {
        (Some(Host::Domain(seed)), Some(Host::Domain(host))) => {
            let site = seed.strip_prefix("www.").unwrap_or(seed);
            host.strip_suffix(site)
                .is_some_and(|below| below.is_empty() || below.ends_with('.'))
        }
        (seed, host) => seed == host,
    }
}
