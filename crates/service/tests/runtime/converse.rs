//! `Converse` and `ConverseStream` over the doubles.

use futures_util::StreamExt;
use outcrop_engine::port::{Delivery, Latency, ModelError, PromptCache};
use outcrop_model::bedrock::ops::CreateGuardrail;
use outcrop_model::control::ops::{CreatePrompt, CreatePromptVersion};
use outcrop_model::converse::ops::{Converse, ConverseStream};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{Handle, HandleStream};
use serde_json::{Value, json};

use crate::bench::{Bench, Say};

fn throttled() -> ModelError {
    ModelError::Throttled {
        detail: "slow down".to_owned(),
        retry_after_ms: Some(2_500),
    }
}

async fn converse(bench: &Bench, input: Value) -> Result<Value, Exception> {
    let input = serde_json::from_value(input).expect("of the shape");
    let output = Handle::<Converse>::handle(&bench.service, &bench.context(), input).await?;
    Ok(serde_json::to_value(output).expect("JSON"))
}

/// The events, and the exception that ended them.
async fn stream(bench: &Bench, input: Value) -> Result<(Vec<Value>, Option<Exception>), Exception> {
    let input = serde_json::from_value(input).expect("of the shape");
    let cx = bench.context();
    let answer = HandleStream::<ConverseStream>::handle_stream(&bench.service, &cx, input);
    let (_, mut events) = answer.await?;
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => seen.push(serde_json::to_value(event).expect("JSON")),
            Err(exception) => return Ok((seen, Some(exception))),
        }
    }
    Ok((seen, None))
}

fn question(text: &str) -> Value {
    json!({"modelId": "anthropic.claude", "messages": [{"role": "user", "content": [{"text": text}]}]})
}

#[tokio::test]
async fn a_whole_answer() {
    let bench = Bench::new().await;
    bench.model.says([Say::Call("get_order", json!({"id": 1}))]);
    let mut input = question("Where is it?");
    let more = json!({
        "system": [{"text": "Be kind."}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.25, "stopSequences": ["x"]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "get_order", "inputSchema": {"json": {"type": "object"}}}}],
            "toolChoice": {"any": {}}},
        "additionalModelRequestFields": {"seed": 7},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"team": "x"}
    });
    let members = input.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let output = converse(&bench, input).await.expect("an answer");
    assert_eq!(
        output,
        json!({
            "metrics": {"latencyMs": 1},
            "output": {"message": {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": "t1", "name": "get_order", "input": {"id": 1}}}]}},
            "performanceConfig": {"latency": "optimized"},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
        })
    );
    let request = bench.model.request(0);
    assert_eq!(&*request.system, "Be kind.");
    assert!(request.system_blocks.is_empty() && request.tool_choice.is_some());
    assert_eq!(request.inference.max_tokens, Some(5));
    assert_eq!(request.inference.top_p, Some(0.25));
    assert_eq!(request.additional_fields, Some(json!({"seed": 7})));
    assert_eq!(request.latency, Some(Latency::Optimized));
    assert_eq!(request.cache, PromptCache::AsGiven);
    assert_eq!(request.delivery, Delivery::Whole);
    let fields = request.fields.expect("fields");
    assert_eq!(fields.request_metadata["team"], "x");
}

#[tokio::test]
async fn a_streamed_answer_and_one_that_breaks_off() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Text("fine"),
        Say::BreakOff("half", throttled()),
        Say::BreakOff("", throttled()),
    ]);
    let (events, end) = stream(&bench, question("a")).await.expect("begins");
    assert!(end.is_none());
    assert_eq!(
        events[0],
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "fine"}}})
    );
    assert_eq!(
        events[1],
        json!({"messageStop": {"stopReason": "end_turn"}})
    );
    assert_eq!(
        events[2],
        json!({"metadata": {"metrics": {"latencyMs": 1},
            "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}}})
    );
    assert_eq!(bench.model.request(0).delivery, Delivery::Streamed);

    let (events, end) = stream(&bench, question("b")).await.expect("begins");
    assert_eq!(events.len(), 1);
    assert_eq!(
        end.map(|exception| exception.kind()),
        Some(ExceptionKind::Throttling)
    );
    // Before any output it is the call that fails.
    let refused = stream(&bench, question("c")).await.expect_err("refused");
    assert_eq!(refused.kind(), ExceptionKind::Throttling);
    assert_eq!(refused.retry_after_s(), Some(3));
}

#[tokio::test]
async fn a_fallback_answers_and_is_named() {
    let bench = Bench::new().await;
    let fallbacks = vec!["spare".to_owned()];
    bench.model.fallbacks.set(fallbacks).expect("set once");
    bench.model.says([
        Say::Fail(throttled()),
        Say::Text("fine"),
        Say::Fail(throttled()),
        Say::Text("fine"),
    ]);
    let router = json!({"promptRouter": {"invokedModelId": "spare"}});
    let output = converse(&bench, question("a")).await.expect("an answer");
    assert_eq!(output["trace"], router);
    let (events, _) = stream(&bench, question("a")).await.expect("begins");
    let last = events.last().expect("metadata");
    assert_eq!(last["metadata"]["trace"], router);
}

#[tokio::test]
async fn what_an_answer_rests_on_comes_with_it() {
    let bench = Bench::new().await;
    let cite = || Say::Cite("fine", "paper");
    bench.model.says([cite(), cite()]);
    let output = converse(&bench, question("a")).await.expect("an answer");
    assert_eq!(
        output["output"]["message"]["content"],
        json!([{"citationsContent": {"content": [{"text": "fine"}], "citations": [{"title": "paper"}]}}])
    );
    let (events, _) = stream(&bench, question("a")).await.expect("begins");
    assert_eq!(
        events[1],
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"citation": {"title": "paper"}}}})
    );
}

/// The caller's SDK repeats what may be repeated; twice would be too often.
#[tokio::test]
async fn a_call_is_made_once() {
    let bench = Bench::new().await;
    bench.model.says([Say::Fail(throttled())]);
    let refused = converse(&bench, question("a")).await.expect_err("refused");
    assert_eq!(refused.kind(), ExceptionKind::Throttling);
    assert_eq!(bench.model.calls(), 1);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_name() {
    let bench = Bench::new().await;
    let with = |member: &str, value: Value| {
        let mut input = question("a");
        input[member] = value;
        input
    };
    for (input, kind, text) in [
        (
            with("modelId", json!("unmapped")),
            ExceptionKind::Validation,
            "The provided model identifier is invalid.",
        ),
        (
            with(
                "guardrailConfig",
                json!({"guardrailIdentifier": "g", "guardrailVersion": "1"}),
            ),
            ExceptionKind::ResourceNotFound,
            "guardrail g version 1 does not exist",
        ),
        (
            with("guardrailConfig", json!({"guardrailIdentifier": "g"})),
            ExceptionKind::Validation,
            "guardrailConfig needs guardrailIdentifier and guardrailVersion",
        ),
        (
            with("promptVariables", json!({"a": {"text": "b"}})),
            ExceptionKind::Validation,
            "promptVariables can only be given",
        ),
        (
            with("messages", json!([])),
            ExceptionKind::Validation,
            "The messages field is empty",
        ),
        (
            with(
                "modelId",
                json!("arn:aws:bedrock:us-west-2:111111111111:prompt/ABCDEFGHIJ"),
            ),
            ExceptionKind::ResourceNotFound,
            "",
        ),
    ] {
        let refused = converse(&bench, input).await.expect_err("refused");
        assert_eq!(refused.kind(), kind, "{refused}");
        assert!(refused.message().contains(text), "{refused}");
    }
    assert_eq!(bench.model.calls(), 0);
}

#[tokio::test]
async fn a_guardrail_stands_on_both_sides_of_the_model() {
    let bench = Bench::new().await;
    let created = bench
        .control::<CreateGuardrail>(json!({
            "name": "g", "blockedInputMessaging": "not this", "blockedOutputsMessaging": "not that",
            "wordPolicyConfig": {"wordsConfig": [{"text": "forbidden"}]},
            "sensitiveInformationPolicyConfig": {"piiEntitiesConfig": [{"type": "EMAIL", "action": "ANONYMIZE"}]}
        }))
        .await;
    let guarded = |text: &str| {
        let mut input = question(text);
        input["guardrailConfig"] = json!({"guardrailIdentifier": created["guardrailId"],
            "guardrailVersion": "DRAFT", "trace": "enabled"});
        input
    };
    let id = created["guardrailId"].as_str().expect("an id");

    let output = converse(&bench, guarded("a forbidden thing")).await;
    let output = output.expect("an answer");
    assert_eq!(output["stopReason"], "guardrail_intervened");
    assert_eq!(
        output["output"]["message"]["content"],
        json!([{"text": "not this"}])
    );
    let seen = &output["trace"]["guardrail"]["inputAssessment"][id];
    assert_eq!(seen["wordPolicy"]["customWords"][0]["match"], "forbidden");
    assert_eq!(output["usage"]["totalTokens"], 0);
    assert_eq!(bench.model.calls(), 0);

    bench.model.says([
        Say::Text("a forbidden answer"),
        Say::Text("write to b@example.com"),
        Say::Text("fine"),
    ]);
    let output = converse(&bench, guarded("I am a@example.com")).await;
    let output = output.expect("an answer");
    assert_eq!(
        output["output"]["message"]["content"],
        json!([{"text": "not that"}])
    );
    assert_eq!(output["stopReason"], "guardrail_intervened");
    let seen = &output["trace"]["guardrail"];
    assert_eq!(seen["modelOutput"], json!(["a forbidden answer"]));
    assert_eq!(seen["actionReason"], "Guardrail blocked.");
    let asked = serde_json::to_value(&bench.model.request(0).messages).expect("JSON");
    assert_eq!(asked[0]["content"][0]["text"], "I am {EMAIL}");

    let (events, end) = stream(&bench, guarded("Hello")).await.expect("begins");
    assert!(end.is_none());
    assert_eq!(
        events[1],
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "write to {EMAIL}"}}})
    );
    assert_eq!(
        events[3],
        json!({"messageStop": {"stopReason": "guardrail_intervened"}})
    );
    let (events, _) = stream(&bench, guarded("Hello")).await.expect("begins");
    assert_eq!(
        events[3],
        json!({"messageStop": {"stopReason": "end_turn"}})
    );
}

#[tokio::test]
async fn a_prompt_of_the_library_stands_for_its_model() {
    let bench = Bench::new().await;
    let created = bench
        .control::<CreatePrompt>(json!({
            "name": "trip", "defaultVariant": "v",
            "variants": [{
                "name": "v", "modelId": "anthropic.claude", "templateType": "CHAT",
                "inferenceConfiguration": {"text": {"maxTokens": 9}},
                "templateConfiguration": {"chat": {
                    "inputVariables": [{"name": "city"}],
                    "system": [{"text": "You know {{city}}."}],
                    "messages": [{"role": "user", "content": [{"text": "What of {{city}}?"}]}]}}}]
        }))
        .await;
    let id = created["id"].as_str().expect("an id");
    let version = bench
        .control::<CreatePromptVersion>(json!({"promptIdentifier": id}))
        .await;
    for arn in [&created["arn"], &version["arn"]] {
        bench.model.says([Say::Text("fine")]);
        let output = converse(
            &bench,
            json!({"modelId": arn, "promptVariables": {"city": {"text": "Oslo"}}}),
        )
        .await;
        assert_eq!(
            output.expect("an answer")["stopReason"],
            "end_turn",
            "{arn}"
        );
        let request = bench.model.request(bench.model.calls() - 1);
        assert_eq!(request.model, "anthropic.claude");
        assert_eq!(&*request.system, "You know Oslo.");
        assert_eq!(request.inference.max_tokens, Some(9));
        let said = serde_json::to_value(&request.messages).expect("JSON");
        assert_eq!(said[0]["content"][0]["text"], "What of Oslo?");
    }
    let refused = converse(&bench, json!({"modelId": created["arn"]})).await;
    let refused = refused.expect_err("a variable is missing");
    assert!(refused.message().contains("variable city"), "{refused}");
    let refused = converse(
        &bench,
        json!({"modelId": created["arn"], "inferenceConfig": {"maxTokens": 1}}),
    )
    .await;
    let refused = refused.expect_err("the prompt brings its own");
    assert!(refused.message().contains("inferenceConfig"), "{refused}");
}
