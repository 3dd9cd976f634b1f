//! Converse's events and answers.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use serde_json::json;

use super::*;

#[test]
fn documents_become_json() {
    let document = Document::Object(HashMap::from([
        (
            "b".to_owned(),
            Document::Array(vec![Document::Null, Document::Bool(true)]),
        ),
        ("a".to_owned(), Document::Number(Number::PosInt(u64::MAX))),
        ("c".to_owned(), Document::Number(Number::NegInt(-1))),
        ("d".to_owned(), Document::Number(Number::Float(1.5))),
    ]));
    assert_eq!(
        of_document(document),
        json!({"a": u64::MAX, "b": [null, true], "c": -1, "d": 1.5})
    );
}

#[test]
fn reasons_newer_than_the_sdk_end_the_turn() {
    assert_eq!(stop_reason(&sdk::StopReason::ToolUse), StopReason::ToolUse);
    assert_eq!(stop_reason(&"brand_new".into()), StopReason::EndTurn);
}

#[tokio::test]
async fn an_answer_without_message_is_malformed() {
    let response = ConverseResponse::builder()
        .stop_reason(sdk::StopReason::EndTurn)
        .build()
        .expect("a response");
    let refused = of_whole(response, Instant::now(), "host");
    assert!(matches!(refused.err(), Some(ModelError::Malformed { .. })));
}

#[tokio::test]
async fn an_unstreamed_answer_becomes_events() {
    let message = sdk::Message::builder()
        .role(sdk::ConversationRole::Assistant)
        .content(sdk::ContentBlock::Text("Hi".to_owned()))
        .content(sdk::ContentBlock::Text("there".to_owned()))
        .build()
        .expect("a message");
    let response = ConverseResponse::builder()
        .stop_reason(sdk::StopReason::EndTurn)
        .output(sdk::ConverseOutput::Message(message))
        .build()
        .expect("a response");
    let stream = of_whole(response, Instant::now(), "host").expect("a stream");
    let events: Vec<_> = stream.collect().await;
    assert_eq!(events.len(), 7);
    let second = events.get(3).cloned().expect("an event").expect("no error");
    assert_eq!(
        serde_json::to_value(second).expect("JSON"),
        json!({"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "there"}}})
    );
}
