//! From a request to an operation and its input, for every modelled operation, without handlers.
//!
//! What [`crate::dispatch::Router`] does first; apart from it because nothing here depends on the
//! type that serves, so that fuzzers and tests can run it alone.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header};
use outcrop_model::operation::OperationSpec;
use outcrop_model::{bedrock, control, converse, lambda, runtime};
use serde_json::Value;

use crate::bind::RequestParts;
use crate::codec::Codec;
use crate::rejection::Rejection;
use crate::router::{Match, Table};
use crate::schema::Schema;

/// The operations of all services.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    codecs: Vec<Codec>,
}

impl Decoder {
    /// A decoder for every modelled operation.
    pub fn new() -> Self {
        let services = [
            &control::tables::SERVICE,
            &runtime::tables::SERVICE,
            &converse::tables::SERVICE,
            &bedrock::tables::SERVICE,
            &lambda::tables::SERVICE,
        ];
        let codecs = services.into_iter().flat_map(|service| {
            let schema = Arc::new(Schema::new(service));
            let operations = service.operations.iter();
            operations.map(move |operation| Codec::new(&schema, operation))
        });
        let codecs: Vec<_> = codecs.collect();
        Self {
            table: Table::new(codecs.iter().map(|codec| codec.spec)),
            codecs,
        }
    }

    /// Every operation, in the order of [`Match::index`].
    pub fn operations(&self) -> impl Iterator<Item = &'static OperationSpec> {
        self.codecs.iter().map(|codec| codec.spec)
    }

    /// The operation a request is for.
    ///
    /// # Errors
    /// [`Rejection::UnknownOperation`] when there is none.
    pub fn find<'r>(&self, request: &'r Request<Bytes>) -> Result<(&Codec, Match<'r>), Rejection> {
        let uri = request.uri();
        let host = request.headers().get(header::HOST);
        let host = host
            .and_then(|host| host.to_str().ok())
            .or_else(|| uri.host());
        let method = request.method().as_str();
        let found = self.table.find(method, uri.path(), host);
        let found = found.ok_or_else(|| Rejection::UnknownOperation {
            method: method.to_owned(),
            path: uri.path().to_owned(),
        })?;
        Ok((&self.codecs[found.index], found))
    }

    /// The operation of a request and its input.
    ///
    /// # Errors
    /// When the request has no operation, or its input is not what the model asks for.
    pub fn decode(&self, request: &Request<Bytes>) -> Result<(&Codec, Value), Rejection> {
        let (codec, found) = self.find(request)?;
        let input = read(codec, &found, request)?;
        Ok((codec, input))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The input of a request whose operation is known.
pub(crate) fn read(
    codec: &Codec,
    found: &Match<'_>,
    request: &Request<Bytes>,
) -> Result<Value, Rejection> {
    codec.decode_request(&RequestParts {
        labels: &found.labels,
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        body: request.body(),
    })
}
