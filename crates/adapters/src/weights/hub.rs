//! Fetches weights from a model hub over HTTPS.
//!
//! Follows the hub's redirects itself, since the shared client follows none, and checks what arrives:
//! length and checksum as the hub announces them. No hub can be reached where this project is tested,
//! so only its parts have been exercised.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, StatusCode, Url};
use sha2::{Digest, Sha256};

use super::{WeightsError, hex, unwritable};
use crate::http::{self, Deadline, Timeouts};

/// Redirects followed: the hub sends to its store, which may send on.
const REDIRECTS_LIMIT: usize = 5;
/// The largest file taken; a model that runs on a processor is smaller.
const FILE_LIMIT: u64 = 16 << 30;
/// Time limits of the transfer: a minute of silence, two hours in all.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    response: Duration::from_mins(1),
    idle: Duration::from_mins(1),
    overall: Duration::from_hours(2),
};
/// Where the files are.
const HUB: &str = "https://huggingface.co";

/// A file of a repository on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    repository: String,
    file: String,
}

impl HubFile {
    /// `owner/repository/file`; the file may lie in folders. `None`: it is nothing like that.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(name), Some(file))
                if plain(owner) && plain(name) && file.split('/').all(plain) =>
            {
                Some(Self {
                    repository: format!("{owner}/{name}"),
                    file: file.to_owned(),
                })
            }
            _ => None,
        }
    }

    /// The file's path in the repository.
    #[cfg_attr(
        not(feature = "local"),
        expect(
            dead_code,
            reason = "only the language model wants a certain kind of file"
        )
    )]
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The name in the cache, without folders.
    #[cfg_attr(
        not(feature = "local"),
        expect(dead_code, reason = "only the language model's file stands alone")
    )]
    pub(crate) fn cache_name(&self) -> String {
        format!("{}/{}", self.repository, self.file).replace('/', "--")
    }

    fn url(&self) -> String {
        format!("{HUB}/{}/resolve/main/{}", self.repository, self.file)
    }
}

fn plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

/// What a file is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The checksum that the hub announces of large files; it must announce one.
    Checksum,
    /// Of small files the hub announces none: what came over TLS is taken.
    Transport,
}

/// What the hub says of a file before sending to its store.
#[derive(Debug, Default, PartialEq, Eq)]
struct Announced {
    sha256: Option<String>,
    length: Option<u64>,
}

impl Announced {
    fn read(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sum = text("x-linked-etag").map(|tag| tag.trim_matches('"').to_lowercase());
        self.sha256 = self.sha256.take().or(sum.filter(|sum| sum.len() == 64));
        self.length = self.length.or_else(|| text("x-linked-size")?.parse().ok());
    }
}

/// Whether a file is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It is.
    Whole,
    /// The hub has no such file.
    Absent,
}

/// Fetches `file` to `target`, once `accept` finds nothing wrong with it.
pub(crate) fn fetch(
    file: &HubFile,
    target: &Path,
    checked: Checked,
    accept: fn(&Path) -> Result<(), String>,
    progress: &mut dyn FnMut(&str),
) -> Result<Fetched, WeightsError> {
    let failed = |detail: String| WeightsError::Fetch {
        detail: format!("{}: {detail}", file.url()),
        remedy: format!("put the file at {}", target.display()),
    };
    progress(&format!("fetching {}", file.url()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut part =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(folder, &error))?;
    let fetched = runtime
        .block_on(transfer(&file.url(), checked, part.as_file_mut()))
        .map_err(failed)?;
    if fetched == Fetched::Absent {
        return Ok(fetched);
    }
    accept(part.path()).map_err(failed)?;
    part.persist(target)
        .map_err(|error| unwritable(folder, &error.error))?;
    Ok(fetched)
}

async fn transfer(url: &str, checked: Checked, into: &mut File) -> Result<Fetched, String> {
    let deadline = Deadline::start(TIMEOUTS);
    let Some((mut response, announced)) = open(url, &deadline).await? else {
        return Ok(Fetched::Absent);
    };
    let mut hash = Sha256::new();
    let mut length = 0_u64;
    loop {
        let chunk = http::next_chunk(&mut response, &deadline).await;
        let Some(chunk) = chunk.map_err(|failure| failure.to_string())? else {
            break;
        };
        length += chunk.len() as u64;
        if length > FILE_LIMIT {
            return Err(format!("it is longer than {FILE_LIMIT} bytes"));
        }
        hash.update(&chunk);
        into.write_all(&chunk).map_err(|error| error.to_string())?;
    }
    into.sync_all().map_err(|error| error.to_string())?;
    verify(&announced, checked, length, &hex(&hash.finalize()))?;
    Ok(Fetched::Whole)
}

fn verify(announced: &Announced, checked: Checked, length: u64, sum: &str) -> Result<(), String> {
    if announced
        .length
        .is_some_and(|announced| announced != length)
    {
        return Err(format!(
            "{length} bytes arrived, which is not the announced length"
        ));
    }
    match &announced.sha256 {
        Some(announced) if announced != sum => {
            Err(format!("the SHA-256 is {sum}, announced was {announced}"))
        }
        Some(_) => Ok(()),
        None if checked == Checked::Transport => Ok(()),
        None => Err("the hub announced no checksum".to_owned()),
    }
}

/// Follows redirects to the response that carries the file; `None` where there is no such file.
async fn open(url: &str, deadline: &Deadline) -> Result<Option<(Response, Announced)>, String> {
    let client = http::client(TIMEOUTS.connect).map_err(|failure| failure.to_string())?;
    let mut announced = Announced::default();
    let mut url = Url::parse(url).map_err(|error| error.to_string())?;
    for _ in 0..=REDIRECTS_LIMIT {
        if url.scheme() != "https" {
            return Err("it redirects away from HTTPS".to_owned());
        }
        let sent = deadline.idle(client.get(url.clone()).send()).await;
        let response = sent
            .map_err(|failure| failure.to_string())?
            .map_err(|error| error.without_url().to_string())?;
        announced.read(response.headers());
        if response.status().is_success() {
            return Ok(Some((response, announced)));
        }
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !response.status().is_redirection() {
            return Err(format!("the hub answered {}", response.status()));
        }
        let next = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let next = next.ok_or("it redirects to nowhere")?;
        url = url.join(next).map_err(|error| error.to_string())?;
    }
    Err(format!("it redirects more than {REDIRECTS_LIMIT} times"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_checked_against_what_was_announced() {
        let mut headers = HeaderMap::new();
        let sum = "ab".repeat(32);
        headers.insert(
            "x-linked-etag",
            format!("\"{sum}\"").parse().expect("a header"),
        );
        headers.insert("x-linked-size", "12".parse().expect("a header"));
        let mut announced = Announced::default();
        announced.read(&headers);
        announced.read(&HeaderMap::new());
        assert_eq!(verify(&announced, Checked::Checksum, 12, &sum), Ok(()));
        assert!(verify(&announced, Checked::Transport, 11, &sum).is_err());
        assert!(verify(&announced, Checked::Transport, 12, &"cd".repeat(32)).is_err());
        assert!(verify(&Announced::default(), Checked::Checksum, 12, &sum).is_err());
        assert!(verify(&Announced::default(), Checked::Transport, 12, &sum).is_ok());
    }
}
