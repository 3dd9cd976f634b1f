//! One request: a page, or a robots.txt.
//!
//! Redirects are not followed here but told, since whoever follows them has to ask whether the target
//! is in scope. A page is read only if text can be read from its type.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::{Response, Url};
use robotxt::{Agent, BYTE_LIMIT, Robots};
use tracing::debug;

use super::frontier::Rules;
use super::links::links;
use super::scope::canonical;
use crate::http::egress::{EgressError, Guarded};
use crate::http::{Deadline, HttpFailure, Timeouts, read_body};

/// Largest page or file. Web pages are far smaller; long reports in PDF are not.
pub(super) const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most redirects before a robots.txt is taken for missing (RFC 9309, 2.3.1.2).
const ROBOTS_REDIRECTS_MAX: usize = 5;
/// How long a site may ask us to wait before another try.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(2);
/// What is read, and in which order it is liked best.
const ACCEPTED: &str = "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.9,\
                        application/pdf;q=0.8,*/*;q=0.5";

/// Time limits of one request. A page that takes longer is not one that people read.
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    response: Duration::from_secs(30),
    idle: Duration::from_secs(15),
    overall: Duration::from_secs(90),
};

/// How requests are made.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) guarded: Arc<Guarded>,
    pub(super) user_agent: Arc<str>,
    pub(super) timeouts: Timeouts,
}

/// What became of a request for a page.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A page, and where it leads to.
    Page {
        mime_type: Option<String>,
        content: Bytes,
        links: Vec<Url>,
    },
    /// It is elsewhere. `None`: somewhere that cannot be fetched.
    Moved(Option<Url>),
    /// There is nothing to read: no such page, not for us, no text.
    Nothing(String),
    /// This server does not call that host.
    Refused(String),
    /// Worth another try, after the time that the site asks for.
    Later {
        reason: String,
        wait: Option<Duration>,
    },
    /// It cannot be read, and would not the next time.
    Failed(String),
}

impl Client {
    async fn get(&self, url: &Url, deadline: &Deadline) -> Result<Response, HttpFailure> {
        let request = self
            .guarded
            .client(url)?
            .get(url.clone())
            .header(USER_AGENT, &*self.user_agent)
            .header(ACCEPT, ACCEPTED)
            .send();
        let response = deadline.response(request).await?;
        response.map_err(|error| HttpFailure::of(&error))
    }

    /// Fetches a page.
    pub(super) async fn page(&self, url: &Url) -> Fetched {
        let deadline = Deadline::start(self.timeouts);
        let mut response = match self.get(url, &deadline).await {
            Ok(response) => response,
            Err(failure) => return failed(&failure),
        };
        let status = response.status();
        if status.is_redirection() {
            return Fetched::Moved(location(&response));
        }
        if status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
        {
            return Fetched::Later {
                reason: format!("the site answers {status}"),
                wait: retry_after(&response),
            };
        }
        if status != StatusCode::OK {
            return Fetched::Nothing(format!("the site answers {status}"));
        }
        let mime_type = mime_type(&response);
        if !mime_type.as_deref().is_none_or(is_text) {
            let kind = mime_type.unwrap_or_default();
            return Fetched::Nothing(format!("no text is read from {kind}"));
        }
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
            && encoding != "identity"
        {
            return Fetched::Failed(format!("it is encoded as {encoding:?}, unasked"));
        }
        match read_body(&mut response, PAGE_BYTES_MAX, &deadline).await {
            Ok(content) => page(url.clone(), mime_type, content).await,
            Err(failure) => failed(&failure),
        }
    }

    /// Reads the robots.txt of a URL's site. An error is worth another try; it says why.
    pub(super) async fn robots(&self, url: &Url) -> Result<Rules, String> {
        let mut url = robotxt::robots_url(url).map_err(|error| error.to_string())?;
        let deadline = Deadline::start(self.timeouts);
        for hops in 0..=ROBOTS_REDIRECTS_MAX {
            let mut response = match self.get(&url, &deadline).await {
                Ok(response) => response,
                // The page would be refused as well, and then for the better reason.
                Err(HttpFailure::Refused(_)) if hops == 0 => break,
                // There are rules, and they are not known.
                Err(HttpFailure::Refused(refusal)) => {
                    return Ok(Rules::Unreachable(refused(&refusal)));
                }
                Err(failure) => return Err(failure.to_string()),
            };
            let status = response.status();
            if status.is_redirection() {
                match location(&response) {
                    Some(target) => url = target,
                    None => break,
                }
                continue;
            }
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(format!("the site answers {status}"));
            }
            if !status.is_success() {
                break;
            }
            let text = robots_text(&mut response, &deadline).await?;
            let agent = self.user_agent.split(['/', ' ']).next().unwrap_or_default();
            return Ok(Rules::Known(Robots::parse(&text, Agent::Prefix(agent))));
        }
        Ok(Rules::Known(Robots::allow_all()))
    }
}

/// As much of a robots.txt as counts.
async fn robots_text(response: &mut Response, deadline: &Deadline) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    loop {
        match crate::http::next_chunk(response, deadline).await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            Ok(None) => return Ok(text),
            Err(failure) => return Err(failure.to_string()),
        }
        if text.len() > BYTE_LIMIT {
            return Ok(text);
        }
    }
}

/// A page with its links, which are looked for where nobody waits.
async fn page(url: Url, mime_type: Option<String>, content: Bytes) -> Fetched {
    let is_html = match mime_type.as_deref() {
        Some("text/html" | "application/xhtml+xml") => true,
        Some(_) => false,
        None => content.trim_ascii_start().starts_with(b"<"),
    };
    let links = if is_html {
        let html = content.clone();
        let found = tokio::task::spawn_blocking(move || links(&url, &html)).await;
        match found {
            Ok(links) => links,
            Err(error) => return Fetched::Failed(format!("its links could not be read: {error}")),
        }
    } else {
        Vec::new()
    };
    Fetched::Page {
        mime_type,
        content,
        links,
    }
}

fn failed(failure: &HttpFailure) -> Fetched {
    match failure {
        HttpFailure::Refused(EgressError::Unresolved { .. })
        | HttpFailure::Unreachable { .. }
        | HttpFailure::Timeout { .. } => Fetched::Later {
            reason: failure.to_string(),
            wait: None,
        },
        HttpFailure::Refused(refusal) => Fetched::Refused(refused(refusal)),
        HttpFailure::TooLarge { .. } | HttpFailure::Setup { .. } => {
            Fetched::Failed(failure.to_string())
        }
    }
}

/// A refusal, with the setting that would allow it.
pub(super) fn refused(refusal: &EgressError) -> String {
    match refusal {
        EgressError::NotAllowed { host, port } => format!(
            "{host}:{port} is not a host that this server crawls; if it should be, add \"{host}\" to \
             allow in [crawler]"
        ),
        EgressError::NotPublic {
            host,
            address,
            kind,
            ..
        } => format!(
            "{host} leads to {address}, {kind}, which is not crawled unless it is listed; if it should \
             be, add \"{host}\" or \"{address}\" to allow in [crawler]"
        ),
        EgressError::NotHttp { .. }
        | EgressError::Unresolved { .. }
        | EgressError::TooManyPorts => refusal.to_string(),
    }
}

/// Where a redirect leads to.
fn location(response: &Response) -> Option<Url> {
    let target = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = response.url().join(target);
    if let Err(error) = &url {
        debug!(%error, "a redirect leads nowhere");
    }
    canonical(url.ok()?)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn mime_type(response: &Response) -> Option<String> {
    let text = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = text.split(';').next()?.trim().to_ascii_lowercase();
    (!kind.is_empty()).then_some(kind)
}

/// Whether there is text in files of this type that extractors know.
fn is_text(kind: &str) -> bool {
    match kind.split_once('/') {
        Some(("text", kind)) => !matches!(kind, "css" | "javascript"),
        Some(("application", kind)) => {
            matches!(
                kind,
                "xhtml+xml" | "pdf" | "json" | "msword" | "vnd.ms-excel" | "octet-stream"
            ) || kind.starts_with("vnd.openxmlformats-officedocument.")
        }
        _ => false,
    }
}
