//! What web data sources need from the outside: pages of the web (behaviour.md 9.2).

use std::sync::Arc;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use outcrop_model::control::WebDataSourceConfiguration;

/// A page as it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPage {
    /// Its address in its canonical form, which it is known by. It is in the scope of the crawl.
    pub url: String,
    /// What the server says it is, without parameters; in lower case.
    pub mime_type: Option<String>,
    /// Its bytes.
    pub content: Bytes,
}

/// What a crawl comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrawlEvent {
    /// A page; each at most once.
    Page(WebPage),
    /// A page that should be there and could not be fetched.
    Failed {
        /// Its address.
        url: String,
        /// Why; for people.
        reason: String,
        /// Whether this crawl misses what else the page leads to. What it does not find must not be
        /// taken for gone then.
        hides: bool,
    },
}

/// Why a crawl ends before its time. The texts are told to clients, as the reason why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrawlError {
    /// This server does not crawl a host that the crawl begins with.
    #[error("{0}")]
    NotAllowed(String),
    /// The configuration is not one that can be followed.
    #[error("the web data source cannot be crawled: {0}")]
    Invalid(String),
    /// There are more pages than the data source allows (`maxPages`).
    #[error("the crawl found more pages than its limit of {max}")]
    TooManyPages {
        /// The limit.
        max: usize,
    },
    /// It broke off, by no fault of the configuration; worth another try.
    #[error("the crawl broke off before it was done")]
    Interrupted,
}

/// Fetches the pages of web data sources, politely.
pub trait Crawler: Send + Sync {
    /// Crawls from the seeds. Pages are fetched only a little ahead of who reads the stream; an error
    /// is its last item. Dropping it ends all requests.
    fn crawl(
        &self,
        configuration: Arc<WebDataSourceConfiguration>,
    ) -> BoxStream<'static, Result<CrawlEvent, CrawlError>>;
}
