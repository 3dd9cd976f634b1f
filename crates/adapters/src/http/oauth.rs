//! OAuth 2.0 client credentials (RFC 6749, section 4.4): a token for calls of an API, kept until
//! shortly before it expires.
//!
//! One request for a token is under way at a time, whoever waits for it. A token that an API refuses
//! is replaced once per refusal. Neither secret nor token appears in a text.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use tokio::time::Instant;

use super::egress::Guarded;
use super::{Deadline, Flight, HttpFailure, Secret, Timeouts, host_of, read_body};

/// The most bytes of a token response. Signed tokens with many claims have some thousand.
const RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// How long the token endpoint may take: it is somebody's login page's backend, not a batch job.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// A token is replaced this long before it expires, so that it does not expire on its way. Of a
/// shorter-lived token a tenth of its life.
const MARGIN: Duration = Duration::from_mins(1);
/// Life of a token whose response does not tell it.
const UNTOLD_LIFE: Duration = Duration::from_mins(5);
/// Longest life that is believed: a mistaken unit must not keep a token for ever.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// The most of an error response that is quoted.
const QUOTED_CHARS_MAX: usize = 300;

/// How to get tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The token endpoint.
    pub token_url: Url,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: Secret,
    /// Requested scopes; empty for the client's default.
    pub scopes: Vec<String>,
    /// `audience`, which some authorization servers want.
    pub audience: Option<String>,
    /// How the client proves who it is.
    pub authentication: ClientAuthentication,
}

/// How a client proves who it is to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: in the header `Authorization`, which every server must take.
    #[default]
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The endpoint was not reached.
    #[error("no token from {host}: {failure}")]
    Http {
        /// The token endpoint's host.
        host: String,
        /// Cause.
        failure: HttpFailure,
    },
    /// The endpoint refused.
    #[error("no token from {host}: it answered {status}: {said}")]
    Refused {
        /// The token endpoint's host.
        host: String,
        /// HTTP status.
        status: u16,
        /// `error` and `error_description`, else the beginning of the body.
        said: String,
    },
    /// The answer holds no bearer token.
    #[error("no token from {host}: {detail}")]
    Malformed {
        /// The token endpoint's host.
        host: String,
        /// What is wrong.
        detail: String,
    },
}

/// An access token.
#[derive(Clone, Debug)]
pub struct Token {
    value: Secret,
    /// Tells one token from the next.
    number: u64,
    good_until: Instant,
}

impl Token {
    /// The token itself.
    pub fn secret(&self) -> &Secret {
        &self.value
    }

    /// The header `Authorization` with this token.
    ///
    /// # Errors
    /// The token holds characters a header cannot.
    pub fn header(&self) -> Result<HeaderValue, HttpFailure> {
        self.value
            .header("Bearer ")
            .map_err(|_| HttpFailure::Setup {
                detail: "the access token is no header text".to_owned(),
            })
    }
}

/// Gives tokens, fetching them when needed.
#[derive(Clone, Debug)]
pub struct TokenSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    credentials: ClientCredentials,
    guarded: Arc<Guarded>,
    current: Mutex<Option<Token>>,
    fetch: Flight<Result<Token, TokenError>>,
}

impl TokenSource {
    /// Nothing is fetched before the first token is asked for.
    pub fn new(credentials: ClientCredentials, guarded: Arc<Guarded>) -> Self {
        Self(Arc::new(Inner {
            credentials,
            guarded,
            current: Mutex::default(),
            fetch: Flight::default(),
        }))
    }

    /// A token that is good for now.
    ///
    /// # Errors
    /// None is at hand and none could be fetched.
    pub async fn token(&self) -> Result<Token, TokenError> {
        if let Some(token) = self.0.current()
            && Instant::now() < token.good_until
        {
            return Ok(token);
        }
        self.fetch().await
    }

    /// A token in place of one that was refused; another caller may have fetched it already.
    ///
    /// # Errors
    /// None could be fetched.
    pub async fn replace(&self, refused: &Token) -> Result<Token, TokenError> {
        if let Some(token) = self.0.current()
            && token.number != refused.number
        {
            return Ok(token);
        }
        self.fetch().await
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        let inner = Arc::clone(&self.0);
        self.0
            .fetch
            .join(|| async move { inner.fetch().await }.boxed())
            .await
    }
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
}

/// Some servers send the seconds as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    error_description: Option<String>,
}

impl Inner {
    fn current(&self) -> Option<Token> {
        let current = self.current.lock();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        let host = host_of(&self.credentials.token_url);
        let (status, body) = self.ask().await.map_err(|failure| TokenError::Http {
            host: host.clone(),
            failure,
        })?;
        if !(200..300).contains(&status) {
            let said = self.credentials.client_secret.redact(said(&body));
            return Err(TokenError::Refused { host, status, said });
        }
        let malformed = |detail: &str| TokenError::Malformed {
            host: host.clone(),
            detail: detail.to_owned(),
        };
        let response: TokenResponse = serde_json::from_slice(&body)
            .map_err(|_| malformed("its answer is not the JSON of a token"))?;
        if !response
            .token_type
            .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
        {
            return Err(malformed("its token is no bearer token"));
        }
        let value = response
            .access_token
            .filter(|token| !token.is_empty())
            .ok_or_else(|| malformed("its answer has no access_token"))?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let token = Token {
            value: Secret::new(value),
            number: current.as_ref().map_or(0, |token| token.number + 1),
            good_until: Instant::now() + good_for(response.expires_in.as_ref()),
        };
        *current = Some(token.clone());
        Ok(token)
    }

    async fn ask(&self) -> Result<(u16, bytes::Bytes), HttpFailure> {
        let ClientCredentials {
            token_url,
            client_id,
            client_secret,
            scopes,
            audience,
            authentication,
        } = &self.credentials;
        let scope = scopes.join(" ");
        let mut form = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        if let Some(audience) = audience {
            form.push(("audience", audience));
        }
        let client = self.guarded.client(token_url)?;
        let mut request = client
            .post(token_url.clone())
            .header(ACCEPT, "application/json");
        match authentication {
            // RFC 6749, 2.3.1: both are form-encoded before they are joined.
            ClientAuthentication::Basic => {
                let encode = |text: &str| form_encoded(&[("", text)])[1..].to_owned();
                let (id, secret) = (encode(client_id), encode(client_secret.expose()));
                request = request.basic_auth(id, Some(secret));
            }
            ClientAuthentication::Post => {
                form.push(("client_id", client_id));
                form.push(("client_secret", client_secret.expose()));
            }
        }
        let sent = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form_encoded(&form))
            .send();
        let deadline = Deadline::start(Timeouts {
            connect: FETCH_TIMEOUT,
            response: FETCH_TIMEOUT,
            idle: FETCH_TIMEOUT,
            overall: FETCH_TIMEOUT,
        });
        let sent = deadline.response(sent).await?;
        let mut response = sent.map_err(|error| HttpFailure::of(&error))?;
        let body = read_body(&mut response, RESPONSE_BYTES_MAX, &deadline).await?;
        Ok((response.status().as_u16(), body))
    }
}

/// `pairs` as a form.
pub fn form_encoded(pairs: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn good_for(expires_in: Option<&Seconds>) -> Duration {
    let seconds = match expires_in {
        Some(Seconds::Number(seconds)) => Some(*seconds),
        Some(Seconds::Text(text)) => text.trim().parse().ok(),
        None => None,
    };
    let life = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(UNTOLD_LIFE)
        .min(LONGEST_LIFE);
    life.saturating_sub(MARGIN.min(life / 10))
}

/// What an error response says.
fn said(body: &[u8]) -> String {
    if let Ok(error) = serde_json::from_slice::<ErrorResponse>(body) {
        return match error.error_description {
            Some(description) => format!("{}: {description}", error.error),
            None => error.error,
        };
    }
    let text = String::from_utf8_lossy(body);
    text.trim().chars().take(QUOTED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_until_shortly_before_they_expire() {
        for (told, kept) in [
            (Some(Seconds::Number(3600.0)), 3540.0),
            (Some(Seconds::Text("600".to_owned())), 540.0),
            (Some(Seconds::Number(10.0)), 9.0),
            (Some(Seconds::Number(-1.0)), 270.0),
            (Some(Seconds::Number(1e12)), 86_340.0),
            (None, 270.0),
        ] {
            assert!((good_for(told.as_ref()).as_secs_f64() - kept).abs() < 0.001);
        }
    }

    #[test]
    fn refusals_are_told_in_their_own_words() {
        assert_eq!(
            said(br#"{"error": "invalid_client", "error_description": "no such client"}"#),
            "invalid_client: no such client"
        );
        assert_eq!(said(b"<html>"), "<html>");
        assert_eq!(form_encoded(&[("", "a:b c")]), "=a%3Ab+c");
    }
}
