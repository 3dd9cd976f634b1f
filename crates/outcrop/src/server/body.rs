//! Reading a request's body whole, within bounds of size, time and shared memory.
//!
//! Invariant: the bytes held for all bodies together never exceed the budget, from the first frame
//! until [`Received`] is dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::config::HttpLimits;

/// The budget is counted in these: a permit a byte would not fit a semaphore's counter.
const UNIT: usize = 1024;

/// Lambda's limit of a request that carries an archive, in bytes: 50 MB in Base64 and some JSON. A
/// document of a knowledge base has the same limit.
const CODE_BODY_BYTES: usize = 70_167_211;

/// What all requests share.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    budget: Arc<Semaphore>,
    limit_bytes: usize,
    timeout: Duration,
}

/// A whole body, and its share of the budget.
#[derive(Debug)]
pub(crate) struct Received {
    /// The bytes.
    pub(crate) bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl BodyReader {
    /// One for the whole server.
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        let units = (limits.buffered_body_bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            budget: Arc::new(Semaphore::new(units)),
            limit_bytes: limits.request_body_bytes,
            timeout: limits.body_timeout,
        }
    }

    /// Reads the body of the request whose head is `head`.
    pub(crate) async fn read(&self, head: &Parts, body: Body) -> Result<Received, Refusal> {
        tokio::time::timeout(self.timeout, self.read_untimed(head, body))
            .await
            .unwrap_or(Err(Refusal::Slow {
                seconds: self.timeout.as_secs(),
            }))
    }

    async fn read_untimed(&self, head: &Parts, mut body: Body) -> Result<Received, Refusal> {
        let limit_bytes = self.limit_bytes(head);
        let announced = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let too_large = Refusal::TooLarge { limit_bytes };
        if announced.is_some_and(|length| length > limit_bytes) {
            // A client that waits for "100 Continue" hears the answer instead and sends nothing.
            if !head.headers.contains_key(EXPECT) {
                self.discard(&mut body).await;
            }
            return Err(too_large);
        }

        let mut share = self.reserve(0, announced.unwrap_or(0))?;
        let mut first: Option<Bytes> = None;
        let mut collected = BytesMut::new();
        let mut length = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else {
                continue;
            };
            let before = length;
            length += data.len();
            if length > limit_bytes {
                drop((collected, share));
                self.discard(&mut body).await;
                return Err(too_large);
            }
            if length > announced.unwrap_or(0) {
                share.merge(self.reserve(before.max(announced.unwrap_or(0)), length)?);
            }
            // Most bodies come in one frame, which then is the body without a copy.
            match first.take() {
                None if before == 0 => first = Some(data),
                None => collected.extend_from_slice(&data),
                Some(earlier) => {
                    collected.reserve(announced.unwrap_or(length));
                    collected.extend_from_slice(&earlier);
                    collected.extend_from_slice(&data);
                }
            }
        }
        Ok(Received {
            bytes: first.unwrap_or_else(|| collected.freeze()),
            _share: share,
        })
    }

    /// How many bytes this request may bring: more where it may bring an archive or a document.
    fn limit_bytes(&self, head: &Parts) -> usize {
        let path = head.uri.path().trim_end_matches('/');
        let bucket = path.strip_prefix("/_outcrop/v1/buckets/");
        let brings_object = bucket.is_some_and(|rest| rest.ends_with("/objects"));
        let rest = path.strip_prefix("/2015-03-31/functions");
        let brings_code = match (head.method.as_str(), rest) {
            ("POST", Some("")) => true,
            ("PUT", Some(rest)) => rest.ends_with("/code"),
            _ => false,
        };
        if brings_code || brings_object {
            self.limit_bytes.max(CODE_BODY_BYTES)
        } else {
            self.limit_bytes
        }
    }

    /// Takes the units between two lengths out of the budget. Never waits: many half-read bodies
    /// waiting for each other's room would all run into the timeout.
    fn reserve(&self, from: usize, to: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = to.div_ceil(UNIT) - from.div_ceil(UNIT);
        let units = u32::try_from(units).map_err(|_| Refusal::Busy)?;
        Arc::clone(&self.budget)
            .try_acquire_many_owned(units)
            .map_err(|_| Refusal::Busy)
    }

    /// Reads on for a while and keeps nothing: a client that is still sending when the connection
    /// closes would see a reset instead of the answer.
    async fn discard(&self, body: &mut Body) {
        let mut left = self.limit_bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}
