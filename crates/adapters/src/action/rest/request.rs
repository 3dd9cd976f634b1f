//! The HTTP request of an operation: URL, headers and body from typed arguments.
//!
//! Arguments come from a model, and the schema from whoever defined the agent, who need not be the
//! operator. Invariant: the URL begins with the operator's base, whatever both say; an argument fills
//! the place its parameter names and no other.

mod body;
mod style;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use outcrop_engine::action::call::{ApiOperation, ApiParameter, Location, TypedArgument};
use percent_encoding::utf8_percent_encode;
use reqwest::Url;
use serde_json::Value;

use super::super::upstream::is_reserved;
use crate::http::host_of;
use style::PATH_LITERAL;

/// The longest URL that is sent: what common servers take.
const URL_BYTES_MAX: usize = 16 * 1024;

/// A request ready to be sent, save for what the operator adds.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// Why there is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The model can correct it.
    Argument(String),
    /// The schema or the configuration must be corrected.
    Schema(String),
}

impl Prepared {
    /// What was called, for a message. The query may hold what nobody should read in a log.
    pub(super) fn place(&self) -> String {
        format!("{} {}{}", self.method, host_of(&self.url), self.url.path())
    }
}

/// Makes the request of one call.
pub(super) fn prepare(
    base: &Url,
    method: &str,
    path: &str,
    operation: &ApiOperation,
    arguments: &[TypedArgument],
) -> Result<Prepared, Mistake> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Mistake::Schema(format!("{method} is not an HTTP method")))?;
    let arguments_at = |location: Location| {
        operation
            .parameters
            .iter()
            .filter(move |parameter| parameter.location == location)
            .filter_map(|parameter| Some((parameter, value_of(arguments, &parameter.name)?)))
    };
    let path_arguments: Vec<_> = arguments_at(Location::Path).collect();
    let query: Vec<String> = arguments_at(Location::Query)
        .map(|(parameter, value)| style::query(parameter, value))
        .filter(|pairs| !pairs.is_empty())
        .collect();
    let url = url(base, path, &path_arguments, &query.join("&"))?;
    let mut headers = HeaderMap::new();
    for (parameter, value) in arguments_at(Location::Header) {
        let (name, value) = header(parameter, value)?;
        headers.insert(name, value);
    }
    let body = match &operation.body {
        Some(described) => body::body(described, arguments)?,
        None => None,
    };
    let body = body.map(|(content_type, bytes)| {
        headers.insert(CONTENT_TYPE, content_type);
        bytes
    });
    Ok(Prepared {
        method,
        url,
        headers,
        body,
    })
}

fn value_of<'a>(arguments: &'a [TypedArgument], name: &str) -> Option<&'a Value> {
    arguments
        .iter()
        .find(|argument| !argument.in_body && argument.name == name)
        .map(|argument| &argument.value)
}

fn url(
    base: &Url,
    template: &str,
    arguments: &[(&ApiParameter, &Value)],
    query: &str,
) -> Result<Url, Mistake> {
    let own = expand(template, arguments)?;
    let path = format!("{}{own}", base.path().trim_end_matches('/'));
    if let Some(segment) = path.split('/').find(|segment| is_dots(segment)) {
        return Err(Mistake::Argument(format!(
            "The call was not made: the path would hold the segment '{segment}', which leads elsewhere. Correct the arguments."
        )));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url.set_query((!query.is_empty()).then_some(query));
    // Whatever the URL's own rules change would not be what was checked.
    if url.path() != path || url.origin() != base.origin() {
        return Err(Mistake::Schema(format!(
            "the path {template} cannot be called as it is written: it would become {}",
            url.path()
        )));
    }
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(Mistake::Argument(format!(
            "The call was not made: its URL would have more than {URL_BYTES_MAX} bytes. Use shorter arguments."
        )));
    }
    Ok(url)
}

/// The template with its parameters filled in.
fn expand(template: &str, arguments: &[(&ApiParameter, &Value)]) -> Result<String, Mistake> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once('{') {
        let Some((name, tail)) = tail.split_once('}') else {
            return Err(Mistake::Schema(format!(
                "the path {template} has a brace that is not closed"
            )));
        };
        out.extend(utf8_percent_encode(literal, PATH_LITERAL));
        let Some((parameter, value)) = arguments
            .iter()
            .find(|(parameter, _)| parameter.name == name)
        else {
            return Err(Mistake::Schema(format!(
                "the path {template} needs a value for {{{name}}}, and no path parameter of the operation gives one"
            )));
        };
        let filled = style::path(parameter, value);
        if filled.is_empty() || is_dots(&filled) {
            return Err(Mistake::Argument(format!(
                "The call was not made: the parameter '{name}' stands in the path and must not be empty or consist of dots. Correct the arguments, or ask the user for what is missing."
            )));
        }
        out.push_str(&filled);
        rest = tail;
    }
    out.extend(utf8_percent_encode(rest, PATH_LITERAL));
    Ok(out)
}

/// Whether a URL would take the segment for "here" or "one up". Dots may come encoded.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

fn header(parameter: &ApiParameter, value: &Value) -> Result<(HeaderName, HeaderValue), Mistake> {
    let name = HeaderName::from_bytes(parameter.name.as_bytes())
        .ok()
        .filter(|name| !is_reserved(name) && name.as_str() != "cookie")
        .ok_or_else(|| {
            Mistake::Schema(format!(
                "the header parameter {:?} is not one that an argument can set",
                parameter.name
            ))
        })?;
    let value = HeaderValue::from_str(&style::header(parameter, value)).map_err(|_| {
        Mistake::Argument(format!(
            "The call was not made: the parameter '{}' travels in a header and can only hold plain ASCII text on one line. Correct the arguments.",
            parameter.name
        ))
    })?;
    Ok((name, value))
}

#[cfg(test)]
mod tests;
