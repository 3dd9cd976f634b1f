//! Every status and vendor error, and the class it falls into.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

fn kind(error: &ModelError) -> &'static str {
    match error {
        ModelError::Unmapped { .. } => "unmapped",
        ModelError::Auth { .. } => "auth",
        ModelError::Throttled { .. } => "throttled",
        ModelError::Queued { .. } => "queued",
        ModelError::NotServed { .. } => "not served",
        ModelError::Rejected { .. } => "rejected",
        ModelError::Timeout { .. } => "timeout",
        ModelError::Loading { .. } => "loading",
        ModelError::Unavailable { .. } => "unavailable",
        ModelError::Unreachable { .. } => "unreachable",
        ModelError::Malformed { .. } => "malformed",
    }
}

#[test]
fn statuses() {
    for (status, body, expected) in [
        (400, r#"{"error":{"message":"no"}}"#, "rejected"),
        (401, "", "auth"),
        (402, "", "not served"),
        (403, "", "auth"),
        (404, "", "not served"),
        (408, "", "timeout"),
        (409, "", "rejected"),
        (413, "", "rejected"),
        (422, "", "rejected"),
        (429, "", "throttled"),
        (
            429,
            r#"{"error":{"type":"insufficient_quota","message":"pay"}}"#,
            "not served",
        ),
        (500, "", "unavailable"),
        (502, "<html>bad gateway</html>", "unavailable"),
        (503, "", "unavailable"),
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            "loading",
        ),
        (504, "", "timeout"),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "unavailable",
        ),
    ] {
        let error = Fault::read(body.as_bytes()).into_error(status, None, "host");
        assert_eq!(kind(&error), expected, "{status} {body}");
    }
}

#[test]
fn messages_of_all_vendors() {
    for (body, message) in [
        (
            r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#,
            "m",
        ),
        (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#,
            "m",
        ),
        (
            r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#,
            "m",
        ),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        (
            r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#,
            r#"[{"loc":["body"],"msg":"m"}]"#,
        ),
        (r#"{"message":"m"}"#, "m"),
        ("  plain text \n", "plain text"),
        ("{}", ""),
        ("", ""),
    ] {
        assert_eq!(Fault::read(body.as_bytes()).message, message, "{body}");
    }
    let long = "ä".repeat(QUOTE_LIMIT + 1);
    assert_eq!(
        Fault::read(long.as_bytes()).message.chars().count(),
        QUOTE_LIMIT + 1
    );
}

#[test]
fn errors_inside_a_stream() {
    for (error, expected) in [
        (
            r#"{"type":"overloaded_error","message":"m"}"#,
            "unavailable",
        ),
        (r#"{"type":"rate_limit_error","message":"m"}"#, "throttled"),
        (
            r#"{"type":"invalid_request_error","message":"m"}"#,
            "rejected",
        ),
        (r#"{"code":429,"message":"m"}"#, "throttled"),
        (
            r#"{"code":"rate_limit_exceeded","type":"requests","message":"m"}"#,
            "throttled",
        ),
        (r#"{"code":400,"message":"m"}"#, "rejected"),
        (r#"{"code":7,"message":"m"}"#, "unavailable"),
        (r#""m""#, "unavailable"),
    ] {
        let object = serde_json::from_str(error).expect("JSON");
        let error = Fault::of_object(&object).into_stream_error("host");
        assert_eq!(kind(&error), expected, "{object}");
        assert!(error.to_string().ends_with(": m"), "{error}");
    }
}

#[test]
fn retry_advice() {
    let advice = |headers: &[(&'static str, &'static str)]| {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        retry_after_ms(&headers.collect())
    };
    let date = ("date", "Sun, 06 Nov 1994 08:49:30 GMT");
    assert_eq!(advice(&[]), None);
    assert_eq!(advice(&[("retry-after", "2")]), Some(2_000));
    assert_eq!(advice(&[("retry-after", "0.5")]), Some(500));
    assert_eq!(
        advice(&[("retry-after", "2"), ("retry-after-ms", "150")]),
        Some(150)
    );
    let later = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(advice(&[date, later]), Some(7_000));
    assert_eq!(advice(&[later]), None);
    let earlier = ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT");
    assert_eq!(advice(&[date, earlier]), Some(0));
    assert_eq!(advice(&[("retry-after", "-1")]), None);
    assert_eq!(advice(&[("retry-after", "NaN")]), None);
    assert_eq!(advice(&[("retry-after", "soon")]), None);
}
