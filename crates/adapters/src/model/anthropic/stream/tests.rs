//! Streams of the messages API, cut at every byte.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::model::fixture;

fn check(stream: &str, expected: &Expect) {
    expected.assert_eq(&fixture::stream(MessagesDecoder::default, stream));
}

fn check_whole(body: &Value, expected: &Expect) {
    expected.assert_eq(&fixture::whole(MessagesDecoder::default(), body));
}

#[test]
fn citations_follow_their_text() {
    let cited = json!({"type": "char_location", "cited_text": "The grass is green.", "document_index": 0,
        "document_title": "Facts", "start_char_index": 0, "end_char_index": 20, "file_id": null});
    let bytes = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": []}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It is green."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": cited}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]
    .map(|event| format!("data: {event}\n\n"))
    .concat();
    let streamed = fixture::stream(MessagesDecoder::default, &bytes);
    let expected = r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"citation":{"location":{"documentChar":{"documentIndex":0,"end":20,"start":0}},"sourceContent":[{"text":"The grass is green."}],"title":"Facts"}}}}"#;
    assert_eq!(streamed.lines().nth(2), Some(expected), "{streamed}");
    let whole = fixture::whole(
        MessagesDecoder::default(),
        &json!({"content": [{"type": "text", "text": "It is green.", "citations": [cited]}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}}),
    );
    assert_eq!(whole.lines().nth(2), Some(expected), "{whole}");
}

#[test]
fn thinking_text_and_a_call() {
    check(
        r#"event: message_start
data: {"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":7,"cache_read_input_tokens":11,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"x0x"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Sí"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: content_block_start
data: {"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_1","name":"get_order","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"id\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":" \"A\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":4}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42}}

event: message_stop
data: {"type":"message_stop"}

"#,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm"}}}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"contentBlockDelta":{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"eDB4"}}}}
            {"contentBlockStop":{"contentBlockIndex":1}}
            {"contentBlockDelta":{"contentBlockIndex":2,"delta":{"text":"Sí"}}}
            {"contentBlockStop":{"contentBlockIndex":2}}
            {"contentBlockStart":{"contentBlockIndex":3,"start":{"toolUse":{"name":"get_order","toolUseId":"toolu_1"}}}}
            {"contentBlockDelta":{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"id\":"}}}}
            {"contentBlockDelta":{"contentBlockIndex":3,"delta":{"toolUse":{"input":" \"A\"}"}}}}
            {"contentBlockStop":{"contentBlockIndex":3}}
            {"messageStop":{"stopReason":"tool_use"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"cacheReadInputTokens":11,"cacheWriteInputTokens":7,"inputTokens":25,"outputTokens":42,"totalTokens":85}}}
        "#]],
    );
}

#[test]
fn an_unstreamed_answer_gives_the_same_events() {
    let body = json!({
        "id": "m1", "type": "message", "role": "assistant", "stop_reason": "stop_sequence", "stop_sequence": "</answer>",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            {"type": "text", "text": "Hello"},
            {"type": "web_search_tool_result", "content": [], "tool_use_id": "s1"},
            {"type": "tool_use", "id": "toolu_1", "name": "get_order", "input": {"id": "A"}}
        ],
        "usage": {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": null}
    });
    check_whole(
        &body,
        &expect![[r#"
        {"messageStart":{"role":"assistant"}}
        {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm"}}}}
        {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}}
        {"contentBlockStop":{"contentBlockIndex":0}}
        {"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"Hello"}}}
        {"contentBlockStop":{"contentBlockIndex":1}}
        {"contentBlockStart":{"contentBlockIndex":2,"start":{"toolUse":{"name":"get_order","toolUseId":"toolu_1"}}}}
        {"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"id\":\"A\"}"}}}}
        {"contentBlockStop":{"contentBlockIndex":2}}
        {"messageStop":{"stopReason":"stop_sequence"}}
        {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":5,"outputTokens":6,"totalTokens":11}}}
    "#]],
    );
}

#[test]
fn errors_and_ends() {
    check(
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        &expect![[r"
            vendor: the model provider failed: host answered 529: Overloaded
        "]],
    );
    check(
        "data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"Hi\"}}\n\n",
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hi"}}}
            incomplete
        "#]],
    );
    // The connection may close right after the stop reason.
    check(
        "data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"}}\n\n",
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"messageStop":{"stopReason":"max_tokens"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}
        "#]],
    );
    check(
        "data: {\"typ\":1}\n\n",
        &expect![[r"
        malformed
    "]],
    );
    check_whole(
        &json!({"type": "error", "error": {"type": "api_error", "message": "m"}}),
        &expect![[r"
            vendor: the model provider failed: host answered 500: m
        "]],
    );
    check_whole(
        &json!({"type": "message"}),
        &expect![[r"
        malformed
    "]],
    );
}

#[test]
fn reasons() {
    for (reason, expected) in [
        ("end_turn", StopReason::EndTurn),
        ("max_tokens", StopReason::MaxTokens),
        ("tool_use", StopReason::ToolUse),
        ("stop_sequence", StopReason::StopSequence),
        ("refusal", StopReason::ContentFiltered),
        (
            "model_context_window_exceeded",
            StopReason::ModelContextWindowExceeded,
        ),
        ("pause_turn", StopReason::EndTurn),
    ] {
        assert_eq!(stop_reason(reason), expected);
    }
}
