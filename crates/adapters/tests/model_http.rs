//! The chat-completions and messages providers against a server on the loopback interface.

#[path = "support/loopback.rs"]
mod loopback;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use loopback::{Answer, End, Server};
use outcrop_adapters::http::{Secret, Timeouts};
use outcrop_adapters::model::registry::{ModelMapping, ModelRegistry, ProviderKind};
use outcrop_engine::port::{
    Delivery, Inference, ModelError, ModelProvider, ModelRequest, ModelStream,
};
use outcrop_model::converse::{
    ContentBlock, ContentBlockDelta, ConversationRole, ConverseStreamOutput, Message,
};
use serde_json::{Value, json};

const KEY: &str = "sk-very-secret";

const CHAT_EVENTS: [&[u8]; 4] = [
    b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"choi",
    b"ces\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
    b"data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n",
    b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
];

const MESSAGE_EVENTS: [&[u8]; 3] = [
    b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

const SSE: &str = "text/event-stream; charset=utf-8";

fn request(delivery: Delivery) -> ModelRequest {
    ModelRequest {
        model: "m".to_owned(),
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

fn provider(kind: ProviderKind, url: String) -> ModelRegistry {
    provider_within(kind, url, Timeouts::default())
}

fn provider_within(kind: ProviderKind, url: String, timeouts: Timeouts) -> ModelRegistry {
    let mapping = ModelMapping {
        base_url: Some(url),
        api_key: Some(Secret::new(KEY)),
        timeouts,
        ..ModelMapping::new("*", kind)
    };
    ModelRegistry::new(&[mapping], None).expect("a registry")
}

async fn collect(stream: ModelStream) -> Result<String, ModelError> {
    let mut stream = stream;
    let mut text = String::new();
    let mut complete = false;
    while let Some(event) = stream.next().await {
        match event? {
            ConverseStreamOutput::ContentBlockDelta(event) => {
                if let ContentBlockDelta::Text(delta) = event.delta {
                    text.push_str(&delta);
                }
            }
            ConverseStreamOutput::Metadata(metadata) => {
                assert_eq!(metadata.usage.input_tokens, 4);
                assert_eq!(metadata.usage.output_tokens, 2);
                complete = true;
            }
            _ => {}
        }
    }
    assert!(complete, "no metadata");
    Ok(text)
}

async fn call(provider: &ModelRegistry, delivery: Delivery) -> Result<String, ModelError> {
    collect(provider.converse(request(delivery)).await?).await
}

fn body(received: &loopback::Received) -> Value {
    serde_json::from_slice(&received.body).expect("a JSON body")
}

#[tokio::test]
async fn chat_completions_streamed_and_whole() {
    let whole = json!({
        "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2}
    });
    let server = Server::start([
        Answer::chunked(SSE, &CHAT_EVENTS, End::Body),
        Answer::whole(
            200,
            "content-type: application/json\r\n",
            &whole.to_string(),
        ),
        // A gateway that streams although it was not asked to, and one that does not although it was.
        Answer::chunked(SSE, &CHAT_EVENTS, End::Body),
        Answer::whole(
            200,
            "content-type: application/json\r\n",
            &whole.to_string(),
        ),
    ])
    .await;
    let provider = provider(ProviderKind::OpenAi, server.url("/v1/"));
    for delivery in [
        Delivery::Streamed,
        Delivery::Whole,
        Delivery::Whole,
        Delivery::Streamed,
    ] {
        assert_eq!(call(&provider, delivery).await.as_deref(), Ok("Hello"));
    }
    let received = server.received();
    assert!(
        received[0]
            .head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n")
    );
    assert!(
        received[0]
            .head
            .contains(&format!("authorization: Bearer {KEY}\r\n"))
    );
    assert!(
        received[0]
            .head
            .contains("content-type: application/json\r\n")
    );
    assert_eq!(body(&received[0])["stream"], json!(true));
    assert_eq!(body(&received[1])["stream"], json!(false));
    // The rest of a finished stream is read, so that one connection serves all calls.
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn messages_streamed_and_whole() {
    let whole = json!({
        "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 4, "output_tokens": 2}
    });
    let server = Server::start([
        Answer::chunked(SSE, &MESSAGE_EVENTS, End::Body),
        Answer::whole(
            200,
            "content-type: application/json\r\n",
            &whole.to_string(),
        ),
    ])
    .await;
    let provider = provider(ProviderKind::Anthropic, server.url(""));
    assert_eq!(
        call(&provider, Delivery::Streamed).await.as_deref(),
        Ok("Hello")
    );
    assert_eq!(
        call(&provider, Delivery::Whole).await.as_deref(),
        Ok("Hello")
    );
    let received = server.received();
    assert!(
        received[0]
            .head
            .starts_with("POST /v1/messages HTTP/1.1\r\n")
    );
    assert!(received[0].head.contains(&format!("x-api-key: {KEY}\r\n")));
    assert!(
        received[0]
            .head
            .contains("anthropic-version: 2023-06-01\r\n")
    );
    assert_eq!(body(&received[0])["system"], json!("Be kind."));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn refusals() {
    let json = "content-type: application/json\r\n";
    let refused = json!({"error": {"message": format!("bad key {KEY}"), "type": "x"}}).to_string();
    let server = Server::start([
        Answer::whole(429, "retry-after: 3\r\n", "slow down"),
        Answer::whole(500, json, r#"{"error":{"message":"boom"}}"#),
        Answer::whole(401, json, &refused),
        Answer::whole(400, json, r#"{"error":{"message":"too long"}}"#),
        Answer::whole(404, "content-type: text/html\r\n", "<html>"),
        Answer::whole(503, json, r#"{"error":{"message":"Loading model"}}"#),
        Answer::whole(
            307,
            "location: http://elsewhere/v1/chat/completions\r\n",
            "",
        ),
        Answer::whole(
            200,
            json,
            r#"{"error":{"message":"over there","code":429}}"#,
        ),
        Answer::whole(200, json, "{"),
    ])
    .await;
    let host = server.url("");
    let provider = provider(ProviderKind::OpenAi, host.clone());
    let mut errors = Vec::new();
    for _ in 0..9 {
        errors.push(
            call(&provider, Delivery::Whole)
                .await
                .expect_err("a refusal"),
        );
    }
    let said = |status: u16, message: &str| format!("{host} answered {status}: {message}");
    let expected = [
        ModelError::Throttled {
            detail: said(429, "slow down"),
            retry_after_ms: Some(3_000),
        },
        ModelError::Unavailable {
            detail: said(500, "boom"),
        },
        ModelError::Auth {
            detail: said(401, "bad key [redacted]"),
        },
        ModelError::Rejected {
            detail: said(400, "too long"),
        },
        ModelError::NotServed {
            detail: said(404, "<html> (POST /chat/completions; is base_url right?)"),
        },
        ModelError::Loading {
            detail: said(503, "Loading model"),
        },
        ModelError::Rejected {
            detail: said(
                307,
                "it redirects to http://elsewhere/v1/chat/completions; correct base_url",
            ),
        },
        ModelError::Throttled {
            detail: said(429, "over there"),
            retry_after_ms: None,
        },
        ModelError::Malformed {
            detail: format!("{host}: EOF while parsing an object at line 1 column 1"),
        },
    ];
    assert_eq!(errors, expected);
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::start([]).await;
    let url = server.url("/v1");
    // Nobody answers: the script is at its end, so the connection closes.
    let provider = provider(ProviderKind::OpenAi, url);
    for delivery in [Delivery::Whole, Delivery::Streamed] {
        let error = call(&provider, delivery).await.expect_err("an error");
        assert!(matches!(error, ModelError::Unreachable { .. }), "{error:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = taken.local_addr().expect("an address");
    drop(taken);
    let provider = self::provider(ProviderKind::Anthropic, format!("http://{closed}"));
    let error = call(&provider, Delivery::Whole)
        .await
        .expect_err("an error");
    let ModelError::Unreachable { detail } = error else {
        panic!("{error:?}");
    };
    assert!(
        detail.starts_with(&format!("http://{closed}: ")),
        "{detail}"
    );
    assert!(
        detail.to_lowercase().contains("connection refused"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_inside_the_answer() {
    let server = Server::start([
        Answer::chunked(SSE, &CHAT_EVENTS[..2], End::Break),
        Answer::chunked(SSE, &CHAT_EVENTS[..2], End::Body),
        Answer::chunked("application/json", &[b"{\"choices\":"], End::Break),
    ])
    .await;
    let provider = provider(ProviderKind::OpenAi, server.url("/v1"));
    for _ in 0..2 {
        let mut stream = provider
            .converse(request(Delivery::Streamed))
            .await
            .expect("a stream");
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            events.push(event);
        }
        // What came before the break is there, then the failure, then nothing.
        assert_eq!(events.len(), 3);
        assert!(events[..2].iter().all(Result::is_ok));
        assert!(
            matches!(events[2], Err(ModelError::Unreachable { .. })),
            "{:?}",
            events[2]
        );
    }
    let error = call(&provider, Delivery::Whole)
        .await
        .expect_err("an error");
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_break_after_the_last_word_loses_nothing() {
    let server = Server::start([Answer::chunked(SSE, &CHAT_EVENTS, End::Break)]).await;
    let provider = provider(ProviderKind::OpenAi, server.url("/v1"));
    assert_eq!(
        call(&provider, Delivery::Streamed).await.as_deref(),
        Ok("Hello")
    );
}

#[tokio::test]
async fn time_limits() {
    let short = Duration::from_millis(60);
    let long = Duration::from_mins(1);
    let limits = |response, idle, overall| Timeouts {
        connect: long,
        response,
        idle,
        overall,
    };
    for (timeouts, answer, said) in [
        (
            limits(short, long, long),
            Answer::nothing(End::Silence),
            "no response within 0.06 s",
        ),
        (
            limits(long, long, short),
            Answer::nothing(End::Silence),
            "not finished within 0.06 s",
        ),
        (
            limits(long, short, long),
            Answer::chunked(SSE, &CHAT_EVENTS[..2], End::Silence),
            "silent for 0.06 s",
        ),
        (
            limits(long, short, long),
            Answer::chunked("application/json", &[b"{"], End::Silence),
            "silent for 0.06 s",
        ),
    ] {
        let server = Server::start([answer]).await;
        let provider = provider_within(ProviderKind::OpenAi, server.url("/v1"), timeouts);
        let error = call(&provider, Delivery::Streamed)
            .await
            .expect_err("an error");
        assert_eq!(
            error,
            ModelError::Timeout {
                detail: format!("{}: {said}", server.url(""))
            }
        );
        server.client_left().await;
    }
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    let server = Server::start([
        Answer::chunked(SSE, &CHAT_EVENTS[..2], End::Silence),
        Answer::nothing(End::Silence),
    ])
    .await;
    let provider = provider(ProviderKind::OpenAi, server.url("/v1"));
    let mut stream = provider
        .converse(request(Delivery::Streamed))
        .await
        .expect("a stream");
    assert!(stream.next().await.is_some());
    drop(stream);
    server.client_left().await;

    let waiting = provider.converse(request(Delivery::Whole));
    let cancelled = tokio::time::timeout(Duration::from_millis(60), waiting).await;
    assert!(cancelled.is_err());
    server.client_left().await;
}
