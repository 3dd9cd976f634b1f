//! Streams of chat completions, cut at every byte.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::model::fixture;

fn decoder() -> ChatDecoder {
    ChatDecoder::new(|number| format!("fresh-{number}"))
}

fn check(stream: &str, expected: &Expect) {
    expected.assert_eq(&fixture::stream(decoder, stream));
}

fn check_whole(body: &Value, expected: &Expect) {
    expected.assert_eq(&fixture::whole(decoder(), body));
}

#[test]
fn text_of_openai() {
    check(
        r#": keep-alive

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"choices":[{"index":0,"delta":{"content":"Grüße"},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":", \"you\""},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":3,"total_tokens":23,"prompt_tokens_details":{"cached_tokens":8}}}

data: [DONE]

"#,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Grüße"}}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":", \"you\""}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"messageStop":{"stopReason":"end_turn"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"cacheReadInputTokens":8,"inputTokens":12,"outputTokens":3,"totalTokens":23}}}
        "#]],
    );
}

#[test]
fn parallel_calls_interleaved_after_reasoning_and_text() {
    check(
        r#"data: {"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":"Think"}}]}

data: {"choices":[{"delta":{"reasoning":" more"}}]}

data: {"choices":[{"delta":{"content":"Looking."}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_order","arguments":""}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"get_user","arguments":"{\"n\":"}},{"index":0,"function":{"arguments":"{\"id\":"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":" \"A\"}"}},{"index":1,"id":"b","function":{"name":"get_user","arguments":"1"}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Think"}}}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":" more"}}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"Looking."}}}
            {"contentBlockStop":{"contentBlockIndex":1}}
            {"contentBlockStart":{"contentBlockIndex":2,"start":{"toolUse":{"name":"get_order","toolUseId":"a"}}}}
            {"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"id\": \"A\"}"}}}}
            {"contentBlockStop":{"contentBlockIndex":2}}
            {"contentBlockStart":{"contentBlockIndex":3,"start":{"toolUse":{"name":"get_user","toolUseId":"b"}}}}
            {"contentBlockDelta":{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"n\":1"}}}}
            {"contentBlockStop":{"contentBlockIndex":3}}
            {"messageStop":{"stopReason":"tool_use"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}
        "#]],
    );
}

/// Ollama has given every call the index 0, others give no index, no id, or an object as arguments.
#[test]
fn calls_without_index_or_id() {
    check(
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}

data: [DONE]

"#,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockStart":{"contentBlockIndex":0,"start":{"toolUse":{"name":"f","toolUseId":"a"}}}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"name":"f","toolUseId":"b"}}}}
            {"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}}
            {"contentBlockStop":{"contentBlockIndex":1}}
            {"messageStop":{"stopReason":"tool_use"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}
        "#]],
    );
    check(
        r#"data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":2}},"id":""},{"function":{"name":"g","arguments":null}}]},"finish_reason":"tool_calls"}]}

"#,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockStart":{"contentBlockIndex":0,"start":{"toolUse":{"name":"f","toolUseId":"fresh-0"}}}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"a\":2,\"b\":1}"}}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"name":"g","toolUseId":"fresh-1"}}}}
            {"contentBlockStop":{"contentBlockIndex":1}}
            {"messageStop":{"stopReason":"tool_use"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}
        "#]],
    );
}

#[test]
fn arguments_pass_as_the_model_wrote_them() {
    let body = json!({"choices": [{"message": {"tool_calls": [
        {"id": "same", "function": {"name": "f", "arguments": "{id: 'A'"}},
        {"id": "same", "function": {"name": "f", "arguments": ""}}
    ]}, "finish_reason": "length"}]});
    check_whole(
        &body,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockStart":{"contentBlockIndex":0,"start":{"toolUse":{"name":"f","toolUseId":"same"}}}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{id: 'A'"}}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"name":"f","toolUseId":"fresh-1"}}}}
            {"contentBlockStop":{"contentBlockIndex":1}}
            {"messageStop":{"stopReason":"max_tokens"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}
        "#]],
    );
}

#[test]
fn an_unstreamed_answer_gives_the_same_events() {
    let body = json!({
        "id": "c1", "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "stop_reason": "</answer>", "message": {
            "role": "assistant", "reasoning_content": "Think", "refusal": null, "tool_calls": null,
            "content": [{"type": "text", "text": "Hel"}, {"type": "thinking", "thinking": []}, {"type": "text", "text": "lo"}]
        }}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "prompt_tokens_details": null}
    });
    check_whole(
        &body,
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Think"}}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"Hello"}}}
            {"contentBlockStop":{"contentBlockIndex":1}}
            {"messageStop":{"stopReason":"stop_sequence"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":9,"outputTokens":2,"totalTokens":11}}}
        "#]],
    );
}

#[test]
fn reasons() {
    for (reason, expected) in [
        ("stop", StopReason::EndTurn),
        ("length", StopReason::MaxTokens),
        ("tool_calls", StopReason::ToolUse),
        ("function_call", StopReason::ToolUse),
        ("content_filter", StopReason::ContentFiltered),
        ("eos", StopReason::EndTurn),
    ] {
        assert_eq!(stop_reason(reason, false).expect("a reason"), expected);
    }
    assert!(stop_reason("error", false).is_err());
}

#[test]
fn what_is_missing_shows() {
    check("", &expect!["incomplete\n"]);
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hel"}}}
            incomplete
        "#]],
    );
    // Neither a finish reason nor usage, but the end is marked.
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"!\"}}]}\n\n",
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hi"}}}
            {"contentBlockStop":{"contentBlockIndex":0}}
            {"messageStop":{"stopReason":"end_turn"}}
            {"metadata":{"metrics":{"latencyMs":0},"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}
        "#]],
    );
    check("data: {\"choices\":[{\n\n", &expect!["malformed\n"]);
    check(
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n",
        &expect!["incomplete\n"],
    );
    check_whole(&json!({"choices": []}), &expect!["malformed\n"]);
    check_whole(&json!({"object": "list"}), &expect!["malformed\n"]);
}

#[test]
fn errors_inside_an_answer() {
    check(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"error\":{\"code\":502,\"message\":\"gone\"}}\n\n",
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hi"}}}
            vendor: the model provider failed: host answered 502: gone
        "#]],
    );
    check_whole(
        &json!({"error": {"message": "slow down", "type": "rate_limit_error"}}),
        &expect![[r"
            vendor: the model provider is throttling: host answered 429: slow down
        "]],
    );
}

#[test]
fn tool_calls_are_bounded() {
    let calls: Vec<Value> = (0..=TOOL_CALL_LIMIT)
        .map(|index| json!({"index": index, "function": {"name": "f", "arguments": "{}"}}))
        .collect();
    check_whole(
        &json!({"choices": [{"message": {"tool_calls": calls}}]}),
        &expect![[r#"
            {"messageStart":{"role":"assistant"}}
            malformed
        "#]],
    );
}
