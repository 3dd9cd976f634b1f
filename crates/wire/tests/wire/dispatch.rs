//! Whole requests through the router, against a service that records what reached it.

use bytes::Bytes;
use http::Request;
use outcrop_model::exception::ExceptionKind;
use outcrop_wire::Answered;
use outcrop_wire::event_stream::Frame;
use serde_json::json;

use crate::recorder::{call, json_body, send, stream_frames};

#[test]
fn a_json_answer_has_its_status_headers_and_sorted_body() {
    let (service, response) = call(
        "PUT",
        "/agents/",
        r#"{"agentName":"support","foundationModel":"m"}"#,
    );
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(
        response.headers()["x-amzn-requestid"],
        "8f2c9a4e-0000-4000-8000-000000000000"
    );
    assert_eq!(
        response.extensions().get(),
        Some(&Answered {
            operation: Some("CreateAgent"),
            exception: None
        })
    );
    let body = json_body(response);
    assert_eq!(body["agent"]["agentName"], "support");
    assert_eq!(body["agent"]["createdAt"], "2025-03-14T09:26:53.589793Z");
    assert_eq!(service.seen(), ["CreateAgent support"]);
}

#[test]
fn labels_win_over_the_body() {
    let body = r#"{"agentId":"XXXXXXXXXX","agentName":"a","agentResourceRoleArn":"arn:aws:iam::111111111111:role/r","foundationModel":"m"}"#;
    let (service, response) = call("PUT", "/agents/ABCDEFGHIJ/", body);
    assert_eq!(response.status(), 202, "{:?}", json_body(response));
    assert_eq!(service.seen(), ["UpdateAgent ABCDEFGHIJ"]);
}

#[test]
fn an_empty_answer_has_no_body() {
    let path = "/agents/ABCDEFGHIJ/agentversions/DRAFT/actiongroups/ABCDEFGHIJ/?skipResourceInUseCheck=true";
    let (service, response) = call("DELETE", path, "");
    assert_eq!(response.status(), 204);
    assert!(!response.headers().contains_key("content-type"));
    assert_eq!(response.body().as_full(), Some(&Bytes::new()));
    assert_eq!(service.seen(), ["DeleteAgentActionGroup Some(true)"]);
}

#[test]
fn a_stream_has_its_headers_and_events_and_ends_with_its_exception() {
    let path = "/agents/support/agentAliases/PROD/sessions/session-1/text";
    let (service, response) = call("POST", path, r#"{"inputText":"hello","enableTrace":true}"#);
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(
        headers["content-type"],
        "application/vnd.amazon.eventstream"
    );
    assert_eq!(
        headers["x-amzn-bedrock-agent-content-type"],
        "application/json"
    );
    assert_eq!(headers["x-amz-bedrock-agent-session-id"], "session-1");
    assert!(!headers.contains_key("x-amz-bedrock-agent-memory-id"));
    assert_eq!(service.seen(), ["InvokeAgent support PROD"]);
    let frames = stream_frames(response);
    assert_eq!(
        frames,
        [
            Frame::Event {
                name: "trace".to_owned(),
                payload: Bytes::from_static(
                    r#"{"agentId":"support","eventTime":"2025-05-30T17:28:09.251741423Z","sessionId":"größe"}"#
                        .as_bytes()
                ),
            },
            Frame::Event {
                name: "chunk".to_owned(),
                payload: Bytes::from_static(br#"{"bytes":"aGVsbG8="}"#),
            },
            Frame::Exception {
                name: "throttlingException".to_owned(),
                payload: Bytes::from_static(br#"{"message":"slow down"}"#),
            },
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn refusals_name_what_is_wrong() {
    let delete_test_alias = "/agents/ABCDEFGHIJ/agentaliases/TSTALIASID/";
    for (method, path, body, status, error_type, message) in [
        (
            "GET",
            "/nowhere",
            "",
            403,
            "AccessDeniedException",
            "Unable to determine service/operation name to be authorized: no operation answers GET /nowhere",
        ),
        (
            "PUT",
            "/agents/",
            "{\"agentName\"",
            400,
            "SerializationException",
            "the request body is not a JSON object: EOF while parsing an object at line 1 column 12",
        ),
        (
            "PUT",
            "/agents/",
            "[]",
            400,
            "SerializationException",
            "the request body is not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
        ),
        (
            "PUT",
            "/agents/",
            r#"{"agentName":7}"#,
            400,
            "SerializationException",
            "'agentName' must be a string, but is a number",
        ),
        (
            "PUT",
            "/agents/",
            r#"{"agentName":"a","idleSessionTTLInSeconds":"60"}"#,
            400,
            "SerializationException",
            "'idleSessionTTLInSeconds' must be an integer, but is a string",
        ),
        (
            "PUT",
            "/agents/",
            "",
            400,
            "ValidationException",
            "1 validation error detected: Value null at 'agentName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "DELETE",
            delete_test_alias,
            "",
            400,
            "ValidationException",
            r"1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!\bTSTALIASID\b)[0-9a-zA-Z]+",
        ),
        (
            "POST",
            "/flows/",
            "not even json",
            400,
            "ValidationException",
            "CreateFlow is not supported by Outcrop",
        ),
        (
            "GET",
            "/tags/arn%3Aaws%3Abedrock%3Aus-west-2%3A111111111111%3Asession%2Fx",
            "",
            400,
            "ValidationException",
            "ListTagsForResource is not supported by Outcrop",
        ),
        (
            "DELETE",
            "/agents/ABCDEFGHIJ/?skipResourceInUseCheck=perhaps",
            "",
            400,
            "SerializationException",
            "'skipResourceInUseCheck' cannot be read: `perhaps` is not true or false",
        ),
        (
            "GET",
            "/agents/%FF%FE%FF%FE/",
            "",
            400,
            "SerializationException",
            "'agentId' cannot be read: not UTF-8 after percent-decoding",
        ),
    ] {
        let (service, response) = call(method, path, body);
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(
            response.headers()["x-amzn-errortype"],
            error_type,
            "{method} {path}"
        );
        assert_eq!(json_body(response)["message"], message, "{method} {path}");
        assert!(service.seen().is_empty(), "{method} {path}");
    }
}

#[test]
fn constraint_errors_carry_a_field_list_in_control_only() {
    let (_, response) = call("GET", "/agents/short/", "");
    let body = json_body(response);
    assert_eq!(
        body["fieldList"],
        json!([{
            "message": "Value 'short' at 'agentId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9a-zA-Z]{10}",
            "name": "agentId"
        }])
    );
    let path = "/agents/a/agentAliases/b/sessions/!/text";
    let (_, response) = call("POST", path, "{}");
    let body = json_body(response);
    assert!(body.get("fieldList").is_none(), "{body}");
}

#[test]
fn a_handlers_exception_is_rendered_for_its_operation() {
    let (_, response) = call("GET", "/agents/MISSINGAAA/", "");
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.headers()["x-amzn-errortype"],
        "ResourceNotFoundException"
    );
    assert_eq!(
        response.extensions().get(),
        Some(&Answered {
            operation: Some("GetAgent"),
            exception: Some(ExceptionKind::ResourceNotFound)
        })
    );
}

#[test]
fn lambda_calls_travel_as_bytes_and_headers() {
    let uri = "/2015-03-31/functions/tools/invocations?Qualifier=PROD";
    let request = Request::post(uri)
        .header("x-amz-log-type", "Tail")
        .body(Bytes::from_static(b"[1, 2]"))
        .unwrap();
    let (recorder, response) = send(request);
    assert_eq!(recorder.seen(), ["Invoke tools Some(\"PROD\") Some(Tail)"]);
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-amz-function-error"), "Unhandled");
    assert_eq!(header("x-amz-log-result"), "bG9n");
    assert_eq!(header("x-amz-executed-version"), "$LATEST");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(response.body().as_full().unwrap().as_ref(), b"[1, 2]");
}

#[test]
fn lambda_says_whose_fault_it_is() {
    let (_, response) = call("GET", "/2015-03-31/functions/tools", "");
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.headers()["x-amzn-errortype"],
        "ResourceNotFoundException"
    );
    assert_eq!(
        json_body(response),
        json!({"Message": "Function not found: tools", "Type": "User"})
    );
    let (_, response) = call("GET", "/2015-03-31/functions/a%20b", "");
    assert_eq!(
        response.headers()["x-amzn-errortype"],
        "ValidationException"
    );
    let message = json_body(response)["message"].to_string();
    assert!(
        message.contains("Value 'a b' at 'functionName' failed to satisfy constraint"),
        "{message}"
    );
    let (_, response) = call("GET", "/2015-03-31/event-source-mappings", "");
    assert_eq!(
        json_body(response)["message"],
        "ListEventSourceMappings is not supported by Outcrop"
    );
}
