//! The Bedrock provider against a server on the loopback interface that speaks its event stream.

#[path = "support/loopback.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod loopback;

use std::process::Command;
use std::sync::Arc;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use futures_util::StreamExt;
use loopback::{Answer, End, Server};
use outcrop_adapters::http::{Secret, Timeouts};
use outcrop_adapters::model::bedrock::{Bedrock, Settings};
use outcrop_engine::port::{Delivery, Inference, ModelError, ModelProvider, ModelRequest};
use outcrop_model::converse::{ContentBlock, ConversationRole, Message};
use serde_json::{Value, json};

const EVENTS: &str = "application/vnd.amazon.eventstream";
const JSON: &str = "content-type: application/json\r\n";

fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let frame = Frame::new(payload.to_string())
        .add_header(Header::new(":message-type", text(kind)))
        .add_header(Header::new(format!(":{kind}-type"), text(name)))
        .add_header(Header::new(":content-type", text("application/json")));
    let mut bytes = Vec::new();
    write_message_to(&frame, &mut bytes).expect("a frame");
    bytes
}

fn event(name: &str, payload: &Value) -> Vec<u8> {
    frame("event", name, payload)
}

fn answer() -> Vec<Vec<u8>> {
    vec![
        event("messageStart", &json!({"role": "assistant", "p": "abcdef"})),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}}),
        ),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 1, "delta": {"text": "Hello"}}),
        ),
        event("contentBlockStop", &json!({"contentBlockIndex": 1})),
        event(
            "contentBlockStart",
            &json!({"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "get_order"}}}),
        ),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{\"id\":1}"}}}),
        ),
        event("contentBlockStop", &json!({"contentBlockIndex": 2})),
        event("messageStop", &json!({"stopReason": "tool_use"})),
        event(
            "metadata",
            &json!({"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 12}}),
        ),
    ]
}

/// The events of [`answer`], and of the same answer unstreamed.
const EXPECTED: &str = r#"{"messageStart":{"role":"assistant"}}
{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm"}}}}
{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}}
{"contentBlockStop":{"contentBlockIndex":0}}
{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"Hello"}}}
{"contentBlockStop":{"contentBlockIndex":1}}
{"contentBlockStart":{"contentBlockIndex":2,"start":{"toolUse":{"name":"get_order","toolUseId":"t1"}}}}
{"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"id\":1}"}}}}
{"contentBlockStop":{"contentBlockIndex":2}}
{"messageStop":{"stopReason":"tool_use"}}
{"metadata":{"metrics":{"latencyMs":12},"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}}
"#;

fn streamed(pieces: &[Vec<u8>], end: End) -> Answer {
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    Answer::chunked(EVENTS, &pieces, end)
}

fn request(delivery: Delivery) -> ModelRequest {
    ModelRequest {
        model: "us.anthropic.claude-3-haiku-20240307-v1:0".to_owned(),
        system: Arc::from("Be kind."),
        messages: vec![Arc::new(Message {
            role: ConversationRole::User,
            content: vec![ContentBlock::Text("Hi".to_owned())],
        })],
        tools: Arc::from([]),
        vendor_tools: Arc::from([]),
        tool_choice: None,
        inference: Inference::default(),
        additional_fields: None,
        delivery,
        ..ModelRequest::default()
    }
}

fn provider(url: &str, api_key: Option<&str>) -> Bedrock {
    Bedrock::new(Settings {
        endpoint: Some(url.parse().expect("a URL")),
        region: Some("eu-central-1".to_owned()),
        api_key: api_key.map(Secret::new),
        timeouts: Timeouts::default(),
    })
}

async fn call(provider: &Bedrock, delivery: Delivery) -> (String, Option<ModelError>) {
    let mut stream = match provider.converse(request(delivery)).await {
        Ok(stream) => stream,
        Err(error) => return (String::new(), Some(error)),
    };
    let mut events = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                events.push_str(&serde_json::to_string(&event).expect("JSON"));
                events.push('\n');
            }
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

#[tokio::test]
async fn streamed_and_whole() {
    let whole = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}},
            {"text": "Hello"},
            {"toolUse": {"toolUseId": "t1", "name": "get_order", "input": {"id": 1}}}
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
        "metrics": {"latencyMs": 12}
    });
    let server = Server::start([
        streamed(&answer(), End::Body),
        Answer::whole(200, JSON, &whole.to_string()),
    ])
    .await;
    let provider = provider(&server.url(""), Some("key"));
    assert_eq!(
        call(&provider, Delivery::Streamed).await,
        (EXPECTED.to_owned(), None)
    );
    assert_eq!(
        call(&provider, Delivery::Whole).await,
        (EXPECTED.to_owned(), None)
    );

    let received = server.received();
    let model = "us.anthropic.claude-3-haiku-20240307-v1%3A0";
    assert!(
        received[0]
            .head
            .starts_with(&format!("POST /model/{model}/converse-stream ")),
        "{}",
        received[0].head
    );
    assert!(
        received[1]
            .head
            .starts_with(&format!("POST /model/{model}/converse "))
    );
    assert!(received[0].head.contains("authorization: Bearer key\r\n"));
    let body: Value = serde_json::from_slice(&received[0].body).expect("a JSON body");
    assert_eq!(
        body,
        json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "system": [{"text": "Be kind."}]})
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn refusals() {
    let refusal = |status: u16, name: &str, message: &str| {
        let body = json!({"message": message}).to_string();
        let headers = format!("{JSON}x-amzn-errortype: {name}\r\nretry-after: 2\r\n");
        Answer::whole(status, &headers, &body)
    };
    let refusals = || {
        [
            refusal(403, "AccessDeniedException", "denied"),
            refusal(429, "ThrottlingException", "slow"),
            refusal(400, "ValidationException", "invalid"),
            refusal(404, "ResourceNotFoundException", "no model"),
            refusal(408, "ModelTimeoutException", "late"),
            refusal(429, "ModelNotReadyException", "warming up"),
            refusal(424, "ModelErrorException", "broken"),
            refusal(503, "ServiceUnavailableException", "down"),
            refusal(403, "UnrecognizedClientException", "who"),
            Answer::whole(502, "content-type: text/html\r\n", "<html>"),
        ]
    };
    for delivery in [Delivery::Whole, Delivery::Streamed] {
        let server = Server::start(refusals()).await;
        let host = server.url("");
        let provider = provider(&host, Some("key"));
        let said = |status: u16, message: &str| format!("{host} answered {status}: {message}");
        for expected in [
            ModelError::Auth {
                detail: said(403, "denied"),
            },
            ModelError::Throttled {
                detail: said(429, "slow"),
                retry_after_ms: Some(2_000),
            },
            ModelError::Rejected {
                detail: said(400, "invalid"),
            },
            ModelError::NotServed {
                detail: said(404, "no model"),
            },
            ModelError::Timeout {
                detail: said(408, "late"),
            },
            ModelError::Loading {
                detail: format!("{host}: warming up"),
            },
            ModelError::Unavailable {
                detail: said(500, "broken"),
            },
            ModelError::Unavailable {
                detail: said(500, "down"),
            },
            ModelError::Auth {
                detail: said(403, "who"),
            },
            ModelError::Unavailable {
                detail: said(502, "no explanation"),
            },
        ] {
            assert_eq!(
                call(&provider, delivery).await,
                (String::new(), Some(expected))
            );
        }
        // Nothing was tried twice.
        assert_eq!(server.received().len(), 10);
    }
}

#[tokio::test]
async fn failures_inside_the_answer() {
    let start = || answer()[..1].to_vec();
    let with = |extra: Vec<u8>| {
        let mut pieces = start();
        pieces.push(extra);
        streamed(&pieces, End::Body)
    };
    let exception = |name: &str| frame("exception", name, &json!({"message": "m"}));
    let mut garbled = answer()[4].clone();
    garbled[20] ^= 0xff;
    let server = Server::start([
        with(exception("throttlingException")),
        with(exception("modelStreamErrorException")),
        with(exception("validationException")),
        streamed(&start(), End::Break),
        streamed(&start(), End::Body),
        with(garbled),
        // Only the metadata is missing: nothing that matters.
        streamed(&answer()[..10], End::Break),
    ])
    .await;
    let provider = provider(&server.url(""), Some("key"));
    let first = "{\"messageStart\":{\"role\":\"assistant\"}}\n";
    for kind in [
        "Throttled",
        "Unavailable",
        "Rejected",
        "Unreachable",
        "Unreachable",
        "Unreachable",
    ] {
        let (events, error) = call(&provider, Delivery::Streamed).await;
        assert_eq!(events, first);
        let told = format!("{:?}", error.expect("an error"));
        assert!(told.starts_with(kind), "{kind}: {told}");
    }
    let (events, error) = call(&provider, Delivery::Streamed).await;
    assert_eq!(error, None);
    assert!(EXPECTED.starts_with(&events) && events.contains("messageStop"));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let server = Server::start([streamed(&answer()[..5], End::Silence)]).await;
    let provider = provider(&server.url(""), Some("key"));
    let mut stream = provider
        .converse(request(Delivery::Streamed))
        .await
        .expect("a stream");
    assert!(stream.next().await.is_some());
    drop(stream);
    server.client_left().await;
}

#[tokio::test]
async fn nobody_listens() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = taken.local_addr().expect("an address");
    drop(taken);
    let provider = provider(&format!("http://{closed}"), Some("key"));
    let (_, error) = call(&provider, Delivery::Whole).await;
    let error = error.expect("an error");
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .to_lowercase()
            .contains("connection refused"),
        "{error}"
    );
}

/// The credential chain reads the environment, which a test must not change: a child process has its
/// own. It runs [`child`] and prints what came of the call.
fn in_child(url: &str, credentials: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env("CHILD_URL", url)
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(credentials.iter().copied())
        .output()
        .expect("a child process");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
#[ignore = "started by other tests, with an environment of its own"]
async fn child() {
    let Ok(url) = std::env::var("CHILD_URL") else {
        return;
    };
    let (events, error) = call(&provider(&url, None), Delivery::Streamed).await;
    println!("events: {}\nerror: {error:?}", events.lines().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_chain_signs() {
    let server = Server::start([streamed(&answer(), End::Body)]).await;
    let url = server.url("");
    let credentials = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let told = tokio::task::spawn_blocking(move || in_child(&url, &credentials)).await;
    let told = told.expect("no panic");
    assert!(told.contains("events: 11\nerror: None"), "{told}");
    let received = server.received();
    assert!(
        received[0].head.contains("Credential=AKIDEXAMPLE/"),
        "{}",
        received[0].head
    );
    assert!(
        received[0]
            .head
            .contains("/eu-central-1/bedrock/aws4_request")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_cause_is_told() {
    let server = Server::start([]).await;
    let url = server.url("");
    let told = tokio::task::spawn_blocking(move || in_child(&url, &[])).await;
    let told = told.expect("no panic");
    assert!(told.contains("Auth"), "{told}");
    assert!(server.received().is_empty());
}
