//! Input as requests, the client's half of binding.
//!
//! Trusts its input to have the right types; what cannot stand where the model puts it is an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outcrop_model::operation::{Binding, Segment};
use serde_json::{Map, Value};

use crate::codec::{Codec, PayloadForm, into_object};
use crate::header;
use crate::rejection::Rejection;
use crate::schema::{Kind, Member};
use crate::text::{self, Place};

/// A request without host and signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRequest {
    /// The method.
    pub method: &'static str,
    /// Path and query, percent-encoded.
    pub path_and_query: String,
    /// Headers bound to input members.
    pub headers: Vec<(String, String)>,
    /// The body and its content type, if it has one.
    pub body: Option<(Bytes, &'static str)>,
}

impl Codec {
    /// Writes input as a request. `fresh_token` fills an absent idempotency token.
    ///
    /// # Errors
    /// When a label is absent or empty, or a bound member is no scalar.
    pub fn encode_request(
        &self,
        input: Value,
        fresh_token: impl FnOnce() -> String,
    ) -> Result<EncodedRequest, Rejection> {
        let mut input = into_object(input);
        input.retain(|_, value| !value.is_null());
        if let Some(token) = self.spec.idempotency_token
            && !input.contains_key(token)
        {
            input.insert(token.to_owned(), Value::from(fresh_token()));
        }
        let members = self.input.map_or(&[][..], |layout| self.members(layout));
        let unreadable = |name: &str, detail: String| Rejection::Unreadable {
            path: name.to_owned(),
            detail,
        };
        let mut headers = Vec::new();
        for member in members {
            let Some(value) = input.get(member.name) else {
                continue;
            };
            match member.binding {
                Binding::Header(name) => {
                    let text = header::write(&self.schema, member.target, value)
                        .map_err(|detail| unreadable(member.name, detail))?;
                    headers.push((name.to_owned(), text));
                }
                Binding::PrefixHeaders(prefix) => {
                    let entries = value.as_object().into_iter().flatten();
                    let entries = entries.filter_map(|(key, value)| Some((key, value.as_str()?)));
                    headers.extend(
                        entries.map(|(key, value)| (format!("{prefix}{key}"), value.to_owned())),
                    );
                }
                _ => {}
            }
        }
        let mut path_and_query = self.write_path(members, &input)?;
        let query = self.write_query(members, &input)?;
        if !query.is_empty() {
            path_and_query.push('?');
            path_and_query.push_str(&query);
        }
        Ok(EncodedRequest {
            method: self.spec.method,
            path_and_query,
            headers,
            body: self.write_body(members, input)?,
        })
    }

    fn write_path(
        &self,
        members: &[Member],
        input: &Map<String, Value>,
    ) -> Result<String, Rejection> {
        let mut path = String::new();
        for segment in self.spec.uri {
            path.push('/');
            match segment {
                Segment::Literal(literal) => path.push_str(literal),
                Segment::Label(name) => {
                    path.push_str(&text::encode(&self.write_label(members, input, name)?));
                }
                Segment::GreedyLabel(name) => {
                    path.push_str(&text::encode_greedy(
                        &self.write_label(members, input, name)?,
                    ));
                }
            }
        }
        if self.spec.trailing_slash || path.is_empty() {
            path.push('/');
        }
        Ok(path)
    }

    fn write_label(
        &self,
        members: &[Member],
        input: &Map<String, Value>,
        name: &str,
    ) -> Result<String, Rejection> {
        let unreadable = |detail: String| Rejection::Unreadable {
            path: name.to_owned(),
            detail,
        };
        let member = members.iter().find(|member| member.name == name);
        let (Some(member), Some(value)) = (member, input.get(name)) else {
            return Err(unreadable("a part of the path is absent".to_owned()));
        };
        let label =
            text::write(&self.schema, member.target, value, Place::Label).map_err(unreadable)?;
        if label.is_empty() {
            return Err(unreadable("a part of the path is empty".to_owned()));
        }
        Ok(label)
    }

    fn write_query(
        &self,
        members: &[Member],
        input: &Map<String, Value>,
    ) -> Result<String, Rejection> {
        let literal = self.spec.literal_query.iter();
        let mut pairs: Vec<(String, String)> = literal
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for member in members {
            let (Binding::Query(name), Some(value)) = (member.binding, input.get(member.name))
            else {
                continue;
            };
            let (shape, values) = match (&self.schema.shape(member.target).kind, value) {
                (Kind::List { member, .. }, Value::Array(elements)) => {
                    (*member, elements.as_slice())
                }
                _ => (member.target, std::slice::from_ref(value)),
            };
            for value in values {
                let text = text::write(&self.schema, shape, value, Place::Query);
                let text = text.map_err(|detail| Rejection::Unreadable {
                    path: member.name.to_owned(),
                    detail,
                })?;
                pairs.push((name.to_owned(), text));
            }
        }
        for member in members
            .iter()
            .filter(|member| member.binding == Binding::QueryMap)
        {
            let entries = input.get(member.name).and_then(Value::as_object);
            for (key, value) in entries.into_iter().flatten() {
                if pairs.iter().any(|(name, _)| name == key) {
                    continue;
                }
                let values = value
                    .as_array()
                    .map_or(std::slice::from_ref(value), Vec::as_slice);
                let texts: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                pairs.extend(texts.into_iter().map(|text| (key.clone(), text.to_owned())));
            }
        }
        let literal = self.spec.literal_query.len();
        let pairs = pairs.iter().enumerate().map(|(index, (name, value))| {
            let name = text::encode(name);
            if index < literal && value.is_empty() {
                name
            } else {
                format!("{name}={}", text::encode(value))
            }
        });
        Ok(pairs.collect::<Vec<_>>().join("&"))
    }

    fn write_body(
        &self,
        members: &[Member],
        mut input: Map<String, Value>,
    ) -> Result<Option<(Bytes, &'static str)>, Rejection> {
        if let Some(member) = members
            .iter()
            .find(|member| member.binding == Binding::Payload)
        {
            let value = input.remove(member.name);
            return self.write_payload(member, value);
        }
        if !members.iter().any(|member| member.binding == Binding::Body) {
            return Ok(None);
        }
        for member in members
            .iter()
            .filter(|member| member.binding != Binding::Body)
        {
            input.remove(member.name);
        }
        let body = Value::Object(input).to_string();
        Ok(Some((body.into(), "application/json")))
    }

    /// Writes a payload member; an absent structure is an empty one, anything else absent is nothing.
    pub(crate) fn write_payload(
        &self,
        member: &Member,
        value: Option<Value>,
    ) -> Result<Option<(Bytes, &'static str)>, Rejection> {
        let form = PayloadForm::of(&self.schema, member.target);
        let is_structure = matches!(self.schema.shape(member.target).kind, Kind::Structure(_));
        let bytes = match (form, value) {
            (PayloadForm::Json, Some(value)) => Bytes::from(value.to_string()),
            (PayloadForm::Json, None) if is_structure => Bytes::from_static(b"{}"),
            (PayloadForm::Text, Some(Value::String(text))) => text.into(),
            (PayloadForm::Bytes, Some(Value::String(text))) => {
                let bytes = STANDARD
                    .decode(text)
                    .map_err(|error| Rejection::Unreadable {
                        path: member.name.to_owned(),
                        detail: format!("not Base64: {error}"),
                    })?;
                bytes.into()
            }
            (PayloadForm::Json, None) | (PayloadForm::Text | PayloadForm::Bytes, _) => {
                return Ok(None);
            }
        };
        Ok(Some((bytes, form.content_type())))
    }
}
