//! Requests from arguments, friendly and hostile.

use outcrop_engine::action::call::{ApiBody, Style};
use serde_json::{Map, json};

use super::*;

const BASE: &str = "https://api.example.com/v1/";
const FORM: &str = "application/x-www-form-urlencoded";

fn parameter(name: &str, location: Location, style: Style, explode: bool) -> ApiParameter {
    ApiParameter {
        name: name.to_owned(),
        location,
        style,
        explode,
        allow_reserved: false,
    }
}

fn arguments(values: &Value, in_body: bool) -> Vec<TypedArgument> {
    let members = values.as_object().expect("an object");
    members
        .iter()
        .map(|(name, value)| TypedArgument {
            name: name.clone(),
            value: value.clone(),
            in_body,
        })
        .collect()
}

fn made(path: &str, parameters: Vec<ApiParameter>, values: &Value) -> Result<Prepared, Mistake> {
    let operation = ApiOperation {
        id: "op".to_owned(),
        parameters,
        body: None,
    };
    let base = BASE.parse().expect("a url");
    prepare(&base, "GET", path, &operation, &arguments(values, false))
}

/// What follows the base.
fn tail(path: &str, parameters: Vec<ApiParameter>, values: &Value) -> String {
    let prepared = made(path, parameters, values).expect("a request");
    let url = prepared.url.to_string();
    url.strip_prefix(BASE).unwrap_or(&url).to_owned()
}

#[test]
fn path_styles_follow_the_specification() {
    let array = json!({"p": ["a", "b c"]});
    let object = json!({"p": {"x": 1, "y": "é"}});
    for (style, explode, value, expected) in [
        (Style::Simple, false, json!({"p": "A-482"}), "o/A-482/s"),
        (Style::Simple, false, json!({"p": 17}), "o/17/s"),
        (
            Style::Simple,
            false,
            json!({"p": "a/b?c#d%&é"}),
            "o/a%2Fb%3Fc%23d%25%26%C3%A9/s",
        ),
        (
            Style::Simple,
            false,
            json!({"p": "..\\..\\x"}),
            "o/..%5C..%5Cx/s",
        ),
        (Style::Simple, false, array.clone(), "o/a,b%20c/s"),
        (Style::Simple, false, object.clone(), "o/x,1,y,%C3%A9/s"),
        (Style::Simple, true, object.clone(), "o/x=1,y=%C3%A9/s"),
        (Style::Label, false, array.clone(), "o/.a,b%20c/s"),
        (Style::Label, true, array.clone(), "o/.a.b%20c/s"),
        (Style::Label, true, object.clone(), "o/.x=1.y=%C3%A9/s"),
        (Style::Matrix, false, array.clone(), "o/;p=a,b%20c/s"),
        (Style::Matrix, true, array.clone(), "o/;p=a;p=b%20c/s"),
        (Style::Matrix, true, json!({"p": 5}), "o/;p=5/s"),
        (Style::Matrix, true, object.clone(), "o/;x=1;y=%C3%A9/s"),
        (
            Style::Json,
            false,
            json!({"p": {"x": 1}}),
            "o/%7B%22x%22%3A1%7D/s",
        ),
    ] {
        let parameters = vec![parameter("p", Location::Path, style, explode)];
        assert_eq!(
            tail("/o/{p}/s", parameters, &value),
            expected,
            "{style:?} {explode}"
        );
    }
}

#[test]
fn query_styles_follow_the_specification() {
    let array = json!({"p": ["a", "b&c"]});
    let object = json!({"p": {"x": 1, "y": {"z": ["u", "v"]}}});
    for (style, explode, value, expected) in [
        (
            Style::Form,
            true,
            json!({"p": "a=b&c d+"}),
            "o?p=a%3Db%26c%20d%2B",
        ),
        (Style::Form, true, json!({"p": true}), "o?p=true"),
        (Style::Form, true, array.clone(), "o?p=a&p=b%26c"),
        (Style::Form, false, array.clone(), "o?p=a,b%26c"),
        (Style::Form, true, json!({"p": []}), "o"),
        (Style::Form, false, json!({"p": []}), "o"),
        (
            Style::Form,
            true,
            json!({"p": {"x": 1, "y": 2}}),
            "o?x=1&y=2",
        ),
        (
            Style::Form,
            false,
            json!({"p": {"x": 1, "y": 2}}),
            "o?p=x,1,y,2",
        ),
        (Style::SpaceDelimited, false, array.clone(), "o?p=a%20b%26c"),
        (Style::PipeDelimited, false, array.clone(), "o?p=a%7Cb%26c"),
        (Style::PipeDelimited, true, array.clone(), "o?p=a&p=b%26c"),
        (
            Style::DeepObject,
            true,
            object,
            "o?p%5Bx%5D=1&p%5By%5D%5Bz%5D=u&p%5By%5D%5Bz%5D=v",
        ),
        (Style::Json, false, json!({"p": [1]}), "o?p=%5B1%5D"),
    ] {
        let parameters = vec![parameter("p", Location::Query, style, explode)];
        assert_eq!(
            tail("/o", parameters, &value),
            expected,
            "{style:?} {explode}"
        );
    }
    let mut reserved = parameter("p", Location::Query, Style::Form, true);
    reserved.allow_reserved = true;
    assert_eq!(
        tail("/o", vec![reserved], &json!({"p": "a/b?c:d&e#f"})),
        "o?p=a/b?c:d%26e%23f"
    );
}

#[test]
fn no_argument_and_no_template_leaves_its_place() {
    let simple = || vec![parameter("p", Location::Path, Style::Simple, false)];
    for value in ["", ".", ".."] {
        let mistake = made("/o/{p}/s", simple(), &json!({"p": value})).expect_err("refused");
        assert!(
            matches!(mistake, Mistake::Argument(text) if text.contains("'p' stands in the path"))
        );
    }
    // An encoded dot stays what it is: encoded once more.
    assert_eq!(
        tail("/{p}", simple(), &json!({"p": "%2e%2e"})),
        "%252e%252e"
    );
    assert_eq!(
        tail("/{p}", simple(), &json!({"p": "//evil.example/"})),
        "%2F%2Fevil.example%2F"
    );
    for template in ["/../admin", "/a/./b", "/a/%2e%2E/b", "/a/.%2e"] {
        assert!(made(template, vec![], &json!({})).is_err(), "{template}");
    }
    assert_eq!(tail("/a?b#c", vec![], &json!({})), "a%3Fb%23c");
    assert_eq!(
        tail("//evil.example/x", vec![], &json!({})),
        "/evil.example/x"
    );
    assert_eq!(tail("/@evil.example", vec![], &json!({})), "@evil.example");
    for template in ["/a/{b", "/a/{missing}"] {
        let mistake = made(template, simple(), &json!({"p": "x"})).expect_err("refused");
        assert!(matches!(mistake, Mistake::Schema(_)), "{template}");
    }
    let halves = vec![
        parameter("p", Location::Path, Style::Simple, false),
        parameter("q", Location::Path, Style::Simple, false),
    ];
    let mistake = made("/{p}{q}/x", halves, &json!({"p": ".", "q": "."}));
    assert!(matches!(mistake, Err(Mistake::Argument(_))));
    let long = json!({"p": "x".repeat(URL_BYTES_MAX)});
    assert!(matches!(
        made("/{p}", simple(), &long),
        Err(Mistake::Argument(_))
    ));
}

#[test]
fn headers_hold_one_line_and_no_more() {
    let header = |name: &str, value: Value| {
        let parameters = vec![parameter(name, Location::Header, Style::Simple, false)];
        let mut values = Map::new();
        values.insert(name.to_owned(), value);
        made("/o", parameters, &Value::Object(values)).map(|prepared| prepared.headers)
    };
    let headers = header("X-Tags", json!(["a", "b"])).expect("fine");
    assert_eq!(headers.get("x-tags").expect("set"), "a,b");
    for value in [
        "a\r\nX-Admin: 1",
        "a\nb",
        "a\0b",
        "caf\u{e9}\u{1F600}\u{7f}",
    ] {
        let mistake = header("X-Tags", json!(value)).expect_err("refused");
        assert!(
            matches!(mistake, Mistake::Argument(text) if text.contains("'X-Tags' travels in a header"))
        );
    }
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Cookie",
        "a b",
        "a\r\nb",
    ] {
        let mistake = header(name, json!("x")).expect_err("refused");
        assert!(matches!(mistake, Mistake::Schema(_)), "{name}");
    }
}

#[test]
fn bodies_keep_their_types() {
    let made = |media_type: &str, is_whole, values: Value| {
        let operation = ApiOperation {
            id: "op".to_owned(),
            parameters: vec![],
            body: Some(ApiBody {
                media_type: media_type.to_owned(),
                is_whole,
            }),
        };
        let base = BASE.parse().expect("a url");
        let prepared = prepare(&base, "POST", "/o", &operation, &arguments(&values, true))?;
        let body = prepared
            .body
            .map(|body| String::from_utf8(body.to_vec()).expect("text"));
        Ok::<_, Mistake>((prepared.headers.get(CONTENT_TYPE).cloned(), body))
    };
    for (media_type, is_whole, values, expected) in [
        (
            "application/json",
            false,
            json!({"n": 1, "o": {"a": [true]}}),
            Some(r#"{"n":1,"o":{"a":[true]}}"#),
        ),
        ("application/json", false, json!({}), Some("{}")),
        (
            "application/json",
            true,
            json!({"body": [1, 2]}),
            Some("[1,2]"),
        ),
        ("application/json", true, json!({}), None),
        (
            "application/merge-patch+json; charset=utf-8",
            false,
            json!({"a": null}),
            Some(r#"{"a":null}"#),
        ),
        (
            FORM,
            false,
            json!({"a": "x y&z", "b": [1, 2], "c": {"d": 1}}),
            Some("a=x+y%26z&b=1&b=2&c=%7B%22d%22%3A1%7D"),
        ),
        ("text/plain", true, json!({"body": "hello"}), Some("hello")),
    ] {
        let (content_type, body) = made(media_type, is_whole, values).expect("a body");
        assert_eq!(body.as_deref(), expected, "{media_type}");
        assert_eq!(content_type.is_some(), expected.is_some());
    }
    for (media_type, is_whole, values) in [
        ("multipart/form-data", false, json!({"a": 1})),
        ("application/xml", true, json!({"body": "<a/>"})),
        ("text/plain", false, json!({"a": 1})),
        (FORM, true, json!({"body": "a=b"})),
    ] {
        let mistake = made(media_type, is_whole, values).expect_err("refused");
        assert!(matches!(mistake, Mistake::Schema(text) if text.contains(media_type)));
    }
}
