//! Requests that break a rule every model has.

use outcrop_engine::port::Documents;
use serde_json::{Value, json};

use super::*;
use crate::model::fixture::{full_request, messages, request};

const EVERYTHING: Capabilities = Capabilities {
    tools: true,
    parallel_tools: true,
    prefill: false,
    top_k: true,
    stop_sequences: true,
    sampling: true,
    temperature_with_top_p: true,
    images: true,
    documents: Documents::All,
    prompt_cache: true,
    latency: true,
};

fn fault(conversation: &Value) -> String {
    let mut request = request("m");
    request.messages = messages(conversation);
    check(&request, EVERYTHING).expect_err("a fault")
}

#[test]
fn a_good_request_passes() {
    assert_eq!(check(&full_request("m"), EVERYTHING), Ok(()));
}

#[test]
fn conversations() {
    let user = json!({"role": "user", "content": [{"text": "a"}]});
    let call = |id: &str| json!({"toolUse": {"toolUseId": id, "name": "f", "input": {}}});
    let result = |id: &str| json!({"toolResult": {"toolUseId": id, "content": [{"text": "r"}]}});
    let assistant = |blocks: Value| json!({"role": "assistant", "content": blocks});
    let by_user = |blocks: Value| json!({"role": "user", "content": blocks});
    for (conversation, expected) in [
        (json!([]), "there are no messages"),
        (
            json!([assistant(json!([{"text": "a"}]))]),
            "the first message is of assistant",
        ),
        (json!([user, user]), "a second message of user"),
        (json!([by_user(json!([]))]), "no content"),
        (json!([by_user(json!([{"text": " "}]))]), "an empty text"),
        (
            json!([user, assistant(json!([call("t")])), user]),
            "no result for the tool calls {\"t\"}",
        ),
        (
            json!([
                user,
                assistant(json!([call("t")])),
                by_user(json!([result("t"), result("t")]))
            ]),
            "a result for t, not called",
        ),
        (
            json!([user, assistant(json!([call("t"), call("t")]))]),
            "two calls have the id t",
        ),
        (
            json!([by_user(json!([result("t")]))]),
            "a result for t, not called",
        ),
        (json!([by_user(json!([call("t")]))]), "the user calls f"),
        (
            json!([user, assistant(json!([{"text": "a"}]))]),
            "takes no prefill",
        ),
        (
            json!([
                user,
                assistant(json!([{"toolUse": {"toolUseId": "t", "name": "a.b", "input": {}}}]))
            ]),
            "\"a.b\" is no name of a tool",
        ),
        (
            json!([
                user,
                assistant(json!([{"toolUse": {"toolUseId": "t", "name": "f", "input": "x"}}]))
            ]),
            "the input of t is no object",
        ),
    ] {
        let fault = fault(&conversation);
        assert!(fault.contains(expected), "{fault} / {expected}");
    }
}

#[test]
fn parameters_follow_the_capabilities() {
    let limited = Capabilities {
        top_k: false,
        ..EVERYTHING
    };
    assert_eq!(
        check(&full_request("m"), limited),
        Err("topK is not taken".to_owned())
    );
    let limited = Capabilities {
        tools: false,
        ..EVERYTHING
    };
    assert_eq!(
        check(&full_request("m"), limited),
        Err("tools are not taken".to_owned())
    );
}
