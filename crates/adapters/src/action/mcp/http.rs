//! Streamable HTTP through the guarded client, with the operator's headers and tokens.
//!
//! A request that is refused for its token is sent again with a new one, once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_core::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::Sse;

use crate::action::upstream::Reach;
use crate::http::oauth::{Token, TokenError, TokenSource};

/// The longest message of a server.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most of an error response that is read.
const ERROR_BYTES_MAX: usize = 1_000;

/// Opens the transport; nothing is sent yet.
pub(super) fn transport(
    reach: &Reach,
) -> Result<StreamableHttpClientTransport<Authorized>, String> {
    let client = reach.guarded.client(&reach.url);
    let client = client.map_err(|failure| failure.to_string())?;
    let headers: HashMap<HeaderName, HeaderValue> = reach
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let config = StreamableHttpClientTransportConfig::with_uri(reach.url.as_str())
        .custom_headers(headers)
        .max_sse_event_size(MESSAGE_BYTES_MAX)
        .max_json_response_size(MESSAGE_BYTES_MAX)
        .max_error_response_size(ERROR_BYTES_MAX);
    let authorized = Authorized {
        client,
        tokens: reach.tokens.clone(),
    };
    Ok(StreamableHttpClientTransport::with_client(
        authorized, config,
    ))
}

/// An HTTP client that knows its tokens.
#[derive(Clone)]
pub(super) struct Authorized {
    client: reqwest::Client,
    tokens: Option<TokenSource>,
}

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
}

type Failure = StreamableHttpError<SendError>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl Authorized {
    /// Makes a request with a token, and once more with a new one if that is refused.
    async fn with_token<T, F>(&self, request: impl Fn(Option<String>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, StreamableHttpError<reqwest::Error>>>,
    {
        let Some(tokens) = &self.tokens else {
            return request(None).await.map_err(ours);
        };
        let token = tokens
            .token()
            .await
            .map_err(SendError::Token)
            .map_err(Failure::Client)?;
        let refused = match request(Some(text(&token))).await {
            Err(error) if is_unauthorized(&error) => token,
            other => return other.map_err(ours),
        };
        let token = tokens
            .replace(&refused)
            .await
            .map_err(SendError::Token)
            .map_err(Failure::Client)?;
        request(Some(text(&token))).await.map_err(ours)
    }
}

fn text(token: &Token) -> String {
    token.secret().expose().to_owned()
}

fn is_unauthorized(error: &StreamableHttpError<reqwest::Error>) -> bool {
    match error {
        StreamableHttpError::AuthRequired(_) => true,
        StreamableHttpError::Client(error) => {
            error.status() == Some(reqwest::StatusCode::UNAUTHORIZED)
        }
        // A refusal without a challenge keeps its status only in the text.
        StreamableHttpError::UnexpectedServerResponse(said) => said.starts_with("HTTP 401"),
        _ => false,
    }
}

/// The SDK's error with the client's part put into ours.
fn ours(error: StreamableHttpError<reqwest::Error>) -> Failure {
    match error {
        StreamableHttpError::Client(error) => Failure::Client(SendError::Http(error.without_url())),
        StreamableHttpError::Sse(error) => Failure::Sse(error),
        StreamableHttpError::Io(error) => Failure::Io(error),
        StreamableHttpError::HttpStatus(error) => Failure::HttpStatus(error),
        StreamableHttpError::UnexpectedEndOfStream => Failure::UnexpectedEndOfStream,
        StreamableHttpError::UnexpectedServerResponse(said) => {
            Failure::UnexpectedServerResponse(said)
        }
        StreamableHttpError::ResponseBodyTooLarge { max_size } => {
            Failure::ResponseBodyTooLarge { max_size }
        }
        StreamableHttpError::UnexpectedContentType(kind) => Failure::UnexpectedContentType(kind),
        StreamableHttpError::ServerDoesNotSupportSse => Failure::ServerDoesNotSupportSse,
        StreamableHttpError::ServerDoesNotSupportDeleteSession => {
            Failure::ServerDoesNotSupportDeleteSession
        }
        StreamableHttpError::Deserialize(error) => Failure::Deserialize(error),
        StreamableHttpError::AuthRequired(error) => Failure::AuthRequired(error),
        StreamableHttpError::InsufficientScope(error) => Failure::InsufficientScope(error),
        StreamableHttpError::ReservedHeaderConflict(name) => Failure::ReservedHeaderConflict(name),
        StreamableHttpError::SessionExpired => Failure::SessionExpired,
        other => Failure::UnexpectedServerResponse(other.to_string().into()),
    }
}

impl StreamableHttpClient for Authorized {
    type Error = SendError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            StreamableHttpResponseLimits::default(),
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.with_token(|token| {
            self.client.post_message_with_response_limits(
                Arc::clone(&uri),
                message.clone(),
                session_id.clone(),
                token,
                custom_headers.clone(),
                limits,
            )
        })
        .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Failure> {
        self.with_token(|token| {
            self.client.delete_session(
                Arc::clone(&uri),
                Arc::clone(&session_id),
                token,
                custom_headers.clone(),
            )
        })
        .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            MESSAGE_BYTES_MAX,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.with_token(|token| {
            self.client.get_stream_with_max_sse_event_size(
                Arc::clone(&uri),
                session_id.clone(),
                last_event_id.clone(),
                token,
                custom_headers.clone(),
                max_sse_event_size,
            )
        })
        .await
    }
}
