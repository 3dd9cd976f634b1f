//! Requests as input: labels, query, headers and body to one JSON object. The way back, for clients,
//! is in [`encode`].
//!
//! This half refuses: what comes out of [`Codec::decode_request`] has the types of its shapes
//! and keeps every constraint. A bound member that a client also puts into the body is ignored
//! there, since AWS binds it elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use outcrop_model::operation::Binding;
use serde_json::{Map, Value};

use crate::check::{Origin, check};
use crate::codec::{Codec, Layout, PayloadForm};
use crate::header;
use crate::path::Path;
use crate::rejection::Rejection;
use crate::schema::{Kind, Member};
use crate::text::{self, Place};
use crate::validate::validate;

mod encode;

pub use encode::EncodedRequest;

/// The parts of a request that carry input.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// The labels the router found, still percent-encoded.
    pub labels: &'a [(&'static str, &'a str)],
    /// The query string without its question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

impl Codec {
    /// Reads a request into the operation's input.
    ///
    /// # Errors
    /// When the body is no JSON object, a part has the wrong type, or a constraint is broken.
    pub fn decode_request(&self, request: &RequestParts<'_>) -> Result<Value, Rejection> {
        let Some(layout) = self.input else {
            return Ok(Value::Null);
        };
        let mut input = self.read_body(layout, request.body)?;
        if layout.has_bound {
            let query = self.read_query(layout, request.query)?;
            for member in self.members(layout) {
                if member.binding == Binding::Payload || member.binding == Binding::Body {
                    continue;
                }
                input.remove(member.name);
                if let Some(value) = self.read_bound(member, request, &query)? {
                    input.insert(member.name.to_owned(), value);
                }
            }
        }
        let mut input = Value::Object(input);
        check(
            &self.schema,
            layout.shape,
            &mut input,
            Path::ROOT,
            Origin::Client,
        )?;
        validate(&self.schema, layout.shape, &input).map_err(Rejection::Constraint)?;
        Ok(input)
    }

    fn read_body(&self, layout: Layout, body: &[u8]) -> Result<Map<String, Value>, Rejection> {
        let members = self.members(layout);
        if let Some(payload) = members
            .iter()
            .find(|member| member.binding == Binding::Payload)
        {
            return self.read_payload(payload, body);
        }
        if !layout.has_body || body.is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(body).map_err(|error| Rejection::Body {
            detail: error.to_string(),
        })
    }

    pub(crate) fn read_payload(
        &self,
        member: &Member,
        body: &[u8],
    ) -> Result<Map<String, Value>, Rejection> {
        let mut members = Map::new();
        if body.is_empty() {
            return Ok(members);
        }
        let value = match PayloadForm::of(&self.schema, member.target) {
            PayloadForm::Bytes => Value::from(STANDARD.encode(body)),
            PayloadForm::Text => {
                let text = std::str::from_utf8(body).map_err(|error| Rejection::Unreadable {
                    path: member.name.to_owned(),
                    detail: error.to_string(),
                })?;
                Value::from(text)
            }
            PayloadForm::Json => serde_json::from_slice(body).map_err(|error| Rejection::Body {
                detail: error.to_string(),
            })?,
        };
        members.insert(member.name.to_owned(), value);
        Ok(members)
    }

    /// The query parameters, decoded, if any member wants them.
    fn read_query(&self, layout: Layout, query: &str) -> Result<Vec<(String, String)>, Rejection> {
        let is_query =
            |member: &Member| matches!(member.binding, Binding::Query(_) | Binding::QueryMap);
        if query.is_empty() || !self.members(layout).iter().any(is_query) {
            return Ok(Vec::new());
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let decode = |text: &str| {
                    text::decode(text).map_err(|detail| Rejection::Unreadable {
                        path: name.to_owned(),
                        detail,
                    })
                };
                Ok((decode(name)?, decode(value)?))
            })
            .collect()
    }

    fn read_bound(
        &self,
        member: &Member,
        request: &RequestParts<'_>,
        query: &[(String, String)],
    ) -> Result<Option<Value>, Rejection> {
        let value = match member.binding {
            Binding::Label => self.read_label(member, request.labels),
            Binding::Query(name) => self.read_parameter(member, query, name),
            Binding::QueryMap => Ok(self.read_parameters(member, query)),
            Binding::Header(name) => {
                header::read(&self.schema, member.target, request.headers, name)
            }
            Binding::PrefixHeaders(prefix) => Ok(header::read_prefixed(request.headers, prefix)),
            Binding::StatusCode | Binding::Payload | Binding::Body => Ok(None),
        };
        value.map_err(|detail| Rejection::Unreadable {
            path: member.name.to_owned(),
            detail,
        })
    }

    fn read_label(
        &self,
        member: &Member,
        labels: &[(&'static str, &str)],
    ) -> Result<Option<Value>, String> {
        let Some((_, raw)) = labels.iter().find(|(name, _)| *name == member.name) else {
            return Ok(None);
        };
        let label = text::decode(raw)?;
        text::read(&self.schema, member.target, &label, Place::Label).map(Some)
    }

    fn read_parameter(
        &self,
        member: &Member,
        query: &[(String, String)],
        name: &str,
    ) -> Result<Option<Value>, String> {
        let mut values = query
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        if let Kind::List {
            member: element, ..
        } = self.schema.shape(member.target).kind
        {
            let elements = values
                .map(|value| text::read(&self.schema, element, value, Place::Query))
                .collect::<Result<Vec<_>, _>>()?;
            return Ok((!elements.is_empty()).then_some(Value::Array(elements)));
        }
        values
            .next()
            .map(|value| text::read(&self.schema, member.target, value, Place::Query))
            .transpose()
    }

    /// All parameters as a map of strings or of lists of strings.
    fn read_parameters(&self, member: &Member, query: &[(String, String)]) -> Option<Value> {
        let Kind::Map { value: target, .. } = self.schema.shape(member.target).kind else {
            return None;
        };
        let is_list = matches!(self.schema.shape(target).kind, Kind::List { .. });
        let mut entries = Map::new();
        for (key, value) in query {
            if !is_list {
                entries
                    .entry(key.clone())
                    .or_insert_with(|| Value::from(value.as_str()));
                continue;
            }
            let entry = entries
                .entry(key.clone())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(elements) = entry {
                elements.push(Value::from(value.as_str()));
            }
        }
        (!entries.is_empty()).then_some(Value::Object(entries))
    }
}
