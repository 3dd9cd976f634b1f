//! Connections of this crate's own client, whatever `object_store` would make; and keys as they are.
//!
//! `object_store` fails a whole page of a listing for one key that it has no path for, such as `a//b`
//! or `./a`, and takes a slash off the ends of others. So the keys of a listing go through it
//! percent-encoded, which makes a plain path of every key; [`listed_key`] decodes them again.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::path::Path;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Largest page of a listing: a thousand keys of a kilobyte, each of whose bytes may take six in XML.
const LISTING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// See the module.
#[derive(Clone)]
pub(super) struct Connections(pub(super) reqwest::Client);

impl Connections {
    async fn answer(self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_listing = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair == "list-type=2"));
        let answer = self.0.call(request).await?;
        if !is_listing || !answer.status().is_success() {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let xml = listing(body).await?;
        let body = match std::str::from_utf8(&xml) {
            Ok(xml) => HttpResponseBody::from(with_encoded_keys(xml)),
            // Its reader says what is wrong with it.
            Err(_) => HttpResponseBody::from(xml),
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

async fn listing(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    match Limited::new(body, LISTING_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(match error.downcast::<HttpError>() {
            Ok(error) => *error,
            Err(error) => HttpError::new_boxed(HttpErrorKind::Decode, error),
        }),
    }
}

/// A listing in S3's XML, its keys percent-encoded. A key that is no XML text stays as it is.
fn with_encoded_keys(xml: &str) -> String {
    const BEGIN: &str = "<Key>";
    const END: &str = "</Key>";
    let mut encoded = String::with_capacity(xml.len() + xml.len() / 4);
    let mut rest = xml;
    while let Some((before, (key, after))) = rest
        .split_once(BEGIN)
        .and_then(|(before, behind)| Some((before, behind.split_once(END)?)))
    {
        encoded.push_str(before);
        encoded.push_str(BEGIN);
        match quick_xml::escape::unescape(key) {
            Ok(key) => encoded.extend(utf8_percent_encode(&key, NON_ALPHANUMERIC)),
            Err(_) => encoded.push_str(key),
        }
        encoded.push_str(END);
        rest = after;
    }
    encoded.push_str(rest);
    encoded
}

/// The key of an object that a listing has told.
pub(super) fn listed_key(location: &Path) -> String {
    let key = percent_decode_str(location.as_ref());
    key.decode_utf8_lossy().into_owned()
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl HttpConnector for Connections {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Connections {
    // The trait is made by a macro that writes its async functions so.
    fn call<'life, 'future>(
        &'life self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        Box::pin(self.clone().answer(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back_as_it_was() {
        for (told, key) in [
            ("a/b.yaml", "a/b.yaml"),
            ("a//b", "a//b"),
            ("./a/../b/", "./a/../b/"),
            ("/a", "/a"),
            ("100%20 &amp; &lt;ä&gt;&#x1;&#13;+", "100%20 & <ä>\u{1}\r+"),
        ] {
            let xml = format!("<C><Key>{told}</Key><Size>1</Size></C><C><Key>z</Key></C>");
            let encoded = with_encoded_keys(&xml);
            let path = encoded
                .split("<Key>")
                .nth(1)
                .and_then(|rest| rest.split("</Key>").next())
                .map(Path::parse)
                .expect("a key")
                .expect("a plain path");
            assert_eq!(listed_key(&path), key);
            assert!(encoded.ends_with("</Key><Size>1</Size></C><C><Key>z</Key></C>"));
        }
    }

    #[test]
    fn what_is_no_listing_stays_as_it_is() {
        for xml in [
            "",
            "<Error/>",
            "<Key>",
            "</Key><Key>",
            "<Key>&nothing;</Key>",
        ] {
            assert_eq!(with_encoded_keys(xml), xml);
        }
    }
}
