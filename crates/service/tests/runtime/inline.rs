//! Inline agents: their definitions are those of stored agents, kept once, and found by whoever goes on.

use std::sync::Arc;

use futures_util::StreamExt;
use outcrop_engine::converse::text_of;
use outcrop_model::exception::ExceptionKind;
use outcrop_model::handle::HandleStream;
use outcrop_model::runtime::InlineAgentResponseStream;
use outcrop_model::runtime::ops::InvokeInlineAgent;
use outcrop_store::{MemoryStore, Order, Page, Record, Scan, Store};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Say};

/// The request that defines what [`Bench`] stores as an agent.
fn request(more: &Value) -> Value {
    let functions = ["ok", "slow", "bad"].map(|name| json!({"name": name}));
    let mut request = json!({
        "sessionId": "session", "foundationModel": "anthropic.claude", "enableTrace": true,
        "instruction": "You are a helpful customer support assistant.",
        "actionGroups": [
            {"actionGroupName": "Orders",
             "actionGroupExecutor": {"lambda": "arn:aws:lambda:us-west-2:111111111111:function:orders"},
             "functionSchema": {"functions": functions}},
            {"actionGroupName": "Client", "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
             "functionSchema": {"functions": [{"name": "open"}]}}]});
    let members = request.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    request
}

async fn ask(bench: &Bench, more: &Value) -> Answer {
    let input = serde_json::from_value(request(more)).expect("of the shape");
    let cx = bench.context();
    let started = HandleStream::<InvokeInlineAgent>::handle_stream(&bench.service, &cx, input);
    let mut events = match started.await {
        Ok((_, events)) => events,
        Err(exception) => {
            return Answer::Refused(exception.kind(), exception.message().to_owned());
        }
    };
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(InlineAgentResponseStream::Chunk(part)) => {
                let bytes = part.bytes.expect("bytes");
                text.push_str(std::str::from_utf8(bytes.as_bytes()).expect("text"));
            }
            Ok(InlineAgentResponseStream::ReturnControl(payload)) => {
                return Answer::Control(serde_json::to_value(payload).expect("JSON"));
            }
            Ok(_) => {}
            Err(exception) => {
                return Answer::Failed(exception.kind(), exception.message().to_owned());
            }
        }
    }
    Answer::Text(text)
}

fn text(text: &str) -> Answer {
    Answer::Text(text.to_owned())
}

/// The definitions in the store.
async fn plans(store: &MemoryStore) -> Vec<Record> {
    let scan = Scan {
        scope: "111111111111/us-west-2".into(),
        kind: "plan",
        parent: "".into(),
        order: Order::Id,
        now_ms: 0,
    };
    let page = Page {
        limit: 100,
        after: None,
    };
    store.list(scan, page).await.expect("lists").records
}

#[tokio::test]
async fn a_request_defines_what_prepare_agent_would_have_made() {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::over(Arc::clone(&store) as Arc<dyn Store>, "anthropic.claude").await;
    let prepared = plans(&store).await;
    assert_eq!(prepared.len(), 1);
    bench.model.says([Say::Text("one")]);
    assert_eq!(ask(&bench, &json!({"inputText": "1"})).await, text("one"));
    let after = plans(&store).await;
    assert_eq!(after.len(), 1, "the same content has the same name");
    assert_eq!(after[0].key.id, prepared[0].key.id);
}

#[tokio::test]
async fn a_definition_is_written_once() {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::over(Arc::clone(&store) as Arc<dyn Store>, "anthropic.claude").await;
    bench.model.says(["1", "2", "3"].map(Say::Text));
    let terse =
        json!({"inputText": "say", "instruction": "Answer in one word, whatever you are asked."});
    for answer in ["1", "2"] {
        assert_eq!(ask(&bench, &terse).await, text(answer));
    }
    let records = plans(&store).await;
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record.revision == 1));
    assert_eq!(ask(&bench, &json!({"inputText": "say"})).await, text("3"));
    let shown = bench.model.request(2).messages;
    let shown: Vec<String> = shown.iter().map(|message| text_of(message)).collect();
    assert_eq!(shown, ["say", "1", "say", "2", "say"], "one session");
}

#[tokio::test]
async fn another_process_goes_on_with_the_definition_that_returned_control() {
    let mut a = Bench::new().await;
    let b = a.two_processes();
    a.model
        .says([Say::Call("Client__open", json!({})), Say::Text("opened")]);
    let Answer::Control(payload) = ask(&a, &json!({"inputText": "open it"})).await else {
        panic!("control is returned");
    };
    let call = &payload["invocationInputs"][0]["functionInvocationInput"];
    assert_eq!(call["agentId"], "INLINE_AGENT");
    let results = json!({
        "actionGroups": [], "foundationModel": "another.model",
        "inlineSessionState": {"invocationId": payload["invocationId"],
            "returnControlInvocationResults": [{"functionResult": {
                "actionGroup": "Client", "function": "open", "agentId": "INLINE_AGENT",
                "responseBody": {"TEXT": {"body": "it is open"}}}}]}});
    assert_eq!(ask(&b, &results).await, text("opened"));
    let resumed = a.model.request(1);
    assert_eq!(resumed.model, "anthropic.claude");
    assert_eq!(resumed.tools.len(), 4);
}

#[tokio::test]
async fn refusals_speak_of_the_members_of_this_operation() {
    let bench = Bench::new().await;
    let cases = [
        (
            json!({}),
            "inlineSessionState.returnControlInvocationResults",
        ),
        (
            json!({"inputText": "go", "inlineSessionState": {"files": [{"name": "a.txt", "useCase": "CHAT",
                "source": {"sourceType": "S3"}}]}}),
            "inlineSessionState.files[0].source",
        ),
        (
            json!({"inputText": "go", "foundationModel": "unmapped"}),
            "unmapped",
        ),
    ];
    for (more, said) in cases {
        let Answer::Refused(kind, message) = ask(&bench, &more).await else {
            panic!("refused: {said}");
        };
        assert_eq!(kind, ExceptionKind::Validation);
        assert!(message.contains(said), "{message}");
    }
    assert_eq!(bench.model.calls(), 0);
}
