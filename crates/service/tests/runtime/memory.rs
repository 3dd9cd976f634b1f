//! Memory: summaries when sessions end, what later sessions and clients are shown of them.

mod stores;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outcrop_engine::converse::text_of;
use outcrop_engine::port::ModelError;
use outcrop_model::control::ops::{
    CreateAgentAlias, DeleteAgent, DeleteAgentAlias, PrepareAgent, UpdateAgent,
};
use outcrop_model::exception::ExceptionKind;
use outcrop_model::handle::{Handle, HandleStream};
use outcrop_model::runtime::ops::{DeleteAgentMemory, GetAgentMemory, InvokeAgent};
use outcrop_store::Store;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Say};
use stores::{Gated, PLENTY};

/// The idle time of the bench's agent, and a second.
const IDLE: Duration = Duration::from_secs(601);
const DAY: Duration = Duration::from_hours(24);

/// Gives the bench's agent a memory.
async fn remember(bench: &Bench, configuration: Value) {
    define(bench, json!({"memoryConfiguration": configuration})).await;
}

/// Updates and prepares the bench's agent.
async fn define(bench: &Bench, more: Value) {
    let id = &bench.agent_id;
    let mut input = json!({
        "agentId": id, "agentName": "support-bot", "foundationModel": "anthropic.claude",
        "agentResourceRoleArn": "arn:aws:iam::111111111111:role/AgentRole",
        "instruction": "You are a helpful customer support assistant."});
    let members = input.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    bench.control::<UpdateAgent>(input).await;
    bench.control::<PrepareAgent>(json!({"agentId": id})).await;
}

fn thirty_days() -> Value {
    json!({"enabledMemoryTypes": ["SESSION_SUMMARY"], "storageDays": 30})
}

async fn remembering() -> Bench {
    let bench = Bench::new().await;
    remember(&bench, thirty_days()).await;
    bench
}

fn say(text: &str) -> Value {
    json!({"inputText": text, "memoryId": "user-1"})
}

fn text(text: &str) -> Answer {
    Answer::Text(text.to_owned())
}

fn pass(bench: &Bench, time: Duration) {
    let nanos = i64::try_from(time.as_nanos()).expect("days");
    bench.clock.0.fetch_add(nanos, Ordering::SeqCst);
}

async fn summarise(bench: &Bench) -> usize {
    bench.service.summarise_due().await.expect("answers")
}

/// A page of what is remembered of `user-1`, and the token of the next.
async fn page(bench: &Bench, more: Value) -> (Vec<Value>, Option<String>) {
    let mut input = json!({"agentId": bench.agent_id, "agentAliasId": "TSTALIASID",
        "memoryId": "user-1", "memoryType": "SESSION_SUMMARY"});
    let members = input.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let answer = bench.control::<GetAgentMemory>(input).await;
    let found = answer["memoryContents"].as_array().expect("a list");
    let summaries = found.iter().map(|memory| memory["sessionSummary"].clone());
    let token = answer["nextToken"].as_str().map(ToOwned::to_owned);
    (summaries.collect(), token)
}

/// The summaries of `user-1`, the latest session first.
async fn texts(bench: &Bench) -> Vec<String> {
    let (summaries, _) = page(bench, json!({})).await;
    let text = |summary: &Value| summary["summaryText"].as_str().expect("text").to_owned();
    summaries.iter().map(text).collect()
}

async fn forget(bench: &Bench, more: Value) {
    let mut input = json!({"agentId": bench.agent_id, "agentAliasId": "TSTALIASID"});
    let members = input.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    bench.control::<DeleteAgentMemory>(input).await;
}

/// A session of one turn that ends and is summarised.
async fn session(bench: &Bench, id: &str, summary: &'static str) {
    bench.model.says([Say::Text("done"), Say::Text(summary)]);
    let more = json!({"inputText": format!("about {id}"), "memoryId": "user-1",
        "sessionId": id, "endSession": true});
    assert_eq!(bench.ask(more).await, text("done"));
    assert_eq!(summarise(bench).await, 1);
}

/// All that the model was shown at one of its calls.
fn shown(bench: &Bench, call: usize) -> String {
    let request = bench.model.request(call);
    let said = request.messages.iter().map(|message| text_of(message));
    std::iter::once(request.system.to_string())
        .chain(said)
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn a_session_that_is_ended_is_summarised_once() {
    for with_text in [true, false] {
        let bench = remembering().await;
        bench.model.says([
            Say::Call("Orders__ok", json!({})),
            Say::Text("<thinking>easy</thinking><answer>It is on its way."),
        ]);
        bench.ask(say("Where is my parcel?")).await;
        assert_eq!(summarise(&bench).await, 0, "it has not ended");
        if with_text {
            bench.model.says([Say::Text("Good bye.")]);
            let end = json!({"inputText": "end", "endSession": true, "memoryId": "user-1"});
            assert_eq!(bench.ask(end).await, text("Good bye."));
        } else {
            assert_eq!(bench.ask(json!({"endSession": true})).await, text(""));
        }
        bench.model.says([Say::Text(
            "<summary><topic name='user goals'>A parcel.</topic><topic name='assistant actions'>Looked it up.</topic></summary>",
        )]);
        assert_eq!(summarise(&bench).await, 1);
        assert_eq!(summarise(&bench).await, 0);
        let (summaries, token) = page(&bench, json!({})).await;
        assert_eq!((summaries.len(), token), (1, None));
        assert_eq!(summaries[0]["summaryText"], "A parcel.\nLooked it up.");
        assert_eq!(summaries[0]["sessionId"], "session");
        assert_eq!(summaries[0]["memoryId"], "user-1");
        let last = bench.model.calls() - 1;
        let prompt = shown(&bench, last);
        for part in [
            "Where is my parcel?",
            "Orders__ok",
            "shipped",
            "It is on its way.",
        ] {
            assert!(prompt.contains(part), "{part}: {prompt}");
        }
        assert!(!prompt.contains("easy"), "{prompt}");
        assert_eq!(prompt.contains("Good bye."), with_text);
        assert!(bench.model.request(last).tools.is_empty());
        // And never again, though the session's own time passes.
        pass(&bench, IDLE);
        assert_eq!(summarise(&bench).await, 0);
    }
}

#[tokio::test]
async fn an_idle_session_is_summarised_when_its_time_has_passed_since_the_last_turn() {
    let bench = remembering().await;
    bench.model.says([Say::Text("a"), Say::Text("b")]);
    bench.ask(say("one")).await;
    pass(&bench, IDLE / 2);
    bench.ask(say("two")).await;
    pass(&bench, IDLE / 2 + Duration::from_secs(10));
    assert_eq!(
        summarise(&bench).await,
        0,
        "the second turn moved the end on"
    );
    pass(&bench, IDLE / 2);
    bench.model.says([Say::Text("Both were asked.")]);
    assert_eq!(summarise(&bench).await, 1);
    assert_eq!(texts(&bench).await, ["Both were asked."]);
    // The next session of the same name is another life with a summary of its own.
    session(&bench, "session", "A third was asked.").await;
    assert_eq!(
        texts(&bench).await,
        ["A third was asked.", "Both were asked."]
    );
}

#[tokio::test]
async fn a_later_session_is_told_the_newest_summaries_and_keeps_them() {
    let bench = Bench::new().await;
    let configuration = json!({"enabledMemoryTypes": ["SESSION_SUMMARY"], "storageDays": 2,
        "sessionSummaryConfiguration": {"maxRecentSessions": 2}});
    remember(&bench, configuration).await;
    for (id, summary) in [
        ("s1", "First thing."),
        ("s2", "Second thing."),
        ("s3", "Third thing."),
    ] {
        session(&bench, id, summary).await;
        pass(&bench, Duration::from_secs(1));
    }
    // What was remembered before goes into the next summary, but for what is too old.
    let past = shown(&bench, bench.model.calls() - 1);
    assert!(past.contains("First thing.\n\nSecond thing."), "{past}");

    let first = bench.model.calls();
    bench.model.says(["a", "b", "c"].map(Say::Text));
    bench.ask(say("one")).await;
    let other =
        json!({"inputText": "x", "memoryId": "user-1", "sessionId": "other", "endSession": true});
    bench.ask(other).await;
    bench.model.says([Say::Text("Fourth thing.")]);
    assert_eq!(summarise(&bench).await, 1);
    bench.model.says([Say::Text("d")]);
    bench.ask(say("two")).await;
    for call in [first, bench.model.calls() - 1] {
        let prompt = shown(&bench, call);
        assert!(
            prompt.contains("Second thing.") && prompt.contains("Third thing."),
            "{prompt}"
        );
        assert!(
            !prompt.contains("First thing.") && !prompt.contains("Fourth thing."),
            "{prompt}"
        );
    }
    // Another user, and the same user after the days of storage, is told nothing.
    let stranger = json!({"inputText": "x", "memoryId": "user-2", "sessionId": "stranger"});
    bench.model.says(["e", "f"].map(Say::Text));
    bench.ask(stranger).await;
    assert!(!shown(&bench, bench.model.calls() - 1).contains("thing."));
    pass(&bench, 2 * DAY);
    let late = json!({"inputText": "x", "memoryId": "user-1", "sessionId": "late"});
    bench.ask(late).await;
    assert!(!shown(&bench, bench.model.calls() - 1).contains("thing."));
    assert_eq!(texts(&bench).await, [""; 0]);
}

#[tokio::test]
async fn summaries_tell_their_times_and_come_in_pages() {
    let bench = remembering().await;
    for (id, summary) in [("s1", "one"), ("s2", "two"), ("s3", "three")] {
        session(&bench, id, summary).await;
        pass(&bench, Duration::from_secs(1));
    }
    let (first, token) = page(&bench, json!({"maxItems": 2})).await;
    let token = token.expect("more follow");
    let (rest, end) = page(&bench, json!({"maxItems": 2, "nextToken": token})).await;
    let ids: Vec<&Value> = first
        .iter()
        .chain(&rest)
        .map(|one| &one["sessionId"])
        .collect();
    assert_eq!(
        (ids, end),
        (vec![&json!("s3"), &json!("s2"), &json!("s1")], None)
    );
    let [start, expiry] = ["sessionStartTime", "sessionExpiryTime"].map(|member| {
        let time = rest[0][member].as_str().expect("a time").to_owned();
        time.parse::<outcrop_model::timestamp::Timestamp>()
            .expect("a time")
    });
    assert_eq!(expiry.saturating_since(start), 30 * DAY);

    let input = json!({"agentId": bench.agent_id, "agentAliasId": "TSTALIASID",
        "memoryId": "user-2", "memoryType": "SESSION_SUMMARY", "nextToken": token});
    let input = serde_json::from_value(input).expect("of the shape");
    let refused = Handle::<GetAgentMemory>::handle(&bench.service, &bench.context(), input).await;
    let refused = refused.expect_err("a token of another memory");
    assert!(
        refused.message().contains("nextToken"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn memories_are_deleted_by_alias_by_user_and_by_session() {
    let bench = remembering().await;
    for (id, summary) in [("s1", "one"), ("s2", "two"), ("s2", "two again")] {
        session(&bench, id, summary).await;
        pass(&bench, Duration::from_secs(1));
    }
    forget(&bench, json!({"memoryId": "user", "sessionId": "s1"})).await;
    assert_eq!(
        texts(&bench).await,
        ["two again", "two", "one"],
        "another memory"
    );
    forget(&bench, json!({"memoryId": "user-1", "sessionId": "s2"})).await;
    assert_eq!(texts(&bench).await, ["one"]);
    forget(&bench, json!({"memoryId": "user-1"})).await;
    assert_eq!(texts(&bench).await, [""; 0]);
    session(&bench, "s4", "four").await;
    forget(&bench, json!({})).await;
    assert_eq!(texts(&bench).await, [""; 0]);
    let input = json!({"agentId": bench.agent_id, "agentAliasId": "TSTALIASID", "sessionId": "s1"});
    let input = serde_json::from_value(input).expect("of the shape");
    let refused =
        Handle::<DeleteAgentMemory>::handle(&bench.service, &bench.context(), input).await;
    assert_eq!(
        refused.expect_err("no memory").kind(),
        ExceptionKind::Validation
    );
}

#[tokio::test]
async fn what_an_alias_remembers_goes_with_it() {
    let bench = remembering().await;
    let alias = bench
        .control::<CreateAgentAlias>(json!({"agentId": bench.agent_id, "agentAliasName": "live"}))
        .await;
    let alias = alias["agentAlias"]["agentAliasId"]
        .as_str()
        .expect("an id")
        .to_owned();
    bench.model.says(["a", "b", "summary"].map(Say::Text));
    for id in ["s1", "s2"] {
        let more = json!({"inputText": "x", "memoryId": "user-1", "sessionId": id,
            "agentAliasId": alias, "endSession": id == "s1"});
        bench.ask(more).await;
    }
    assert_eq!(summarise(&bench).await, 1);
    let (found, _) = page(&bench, json!({"agentAliasId": alias})).await;
    assert_eq!(found.len(), 1);
    assert_eq!(texts(&bench).await, [""; 0], "aliases share nothing");
    bench
        .control::<DeleteAgentAlias>(json!({"agentId": bench.agent_id, "agentAliasId": alias}))
        .await;
    // The second session ends after its alias: there is nobody left to remember it for.
    pass(&bench, IDLE);
    assert_eq!(summarise(&bench).await, 1);
    assert_eq!(bench.model.calls(), 3);

    session(&bench, "s3", "c").await;
    bench
        .control::<DeleteAgent>(json!({"agentId": bench.agent_id}))
        .await;
    let input = json!({"agentId": bench.agent_id, "agentAliasId": "TSTALIASID",
        "memoryId": "user-1", "memoryType": "SESSION_SUMMARY"});
    let input = serde_json::from_value(input).expect("of the shape");
    let gone = Handle::<GetAgentMemory>::handle(&bench.service, &bench.context(), input).await;
    assert_eq!(
        gone.expect_err("gone").kind(),
        ExceptionKind::ResourceNotFound
    );
}

#[tokio::test]
async fn a_memory_id_is_echoed_and_a_session_keeps_its_own() {
    let bench = Bench::new().await;
    bench.model.says(["a", "b", "c"].map(Say::Text));
    // Without a memory it has no effect.
    let input = json!({"agentId": bench.agent_id, "agentAliasId": "TSTALIASID",
        "sessionId": "session", "inputText": "one", "memoryId": "user-1"});
    let input = serde_json::from_value(input).expect("of the shape");
    let cx = bench.context();
    let answer = HandleStream::<InvokeAgent>::handle_stream(&bench.service, &cx, input).await;
    let (response, events) = answer.expect("starts");
    assert_eq!(response.memory_id.as_deref(), Some("user-1"));
    assert_eq!(crate::bench::collect(events).await, text("a"));
    pass(&bench, IDLE);
    assert_eq!(summarise(&bench).await, 0);
    assert_eq!(texts(&bench).await, [""; 0]);

    remember(&bench, thirty_days()).await;
    bench.ask(say("two")).await;
    let other = json!({"inputText": "three", "memoryId": "user-2"});
    let Answer::Refused(ExceptionKind::Validation, message) = bench.ask(other).await else {
        panic!("a session has one memory");
    };
    assert!(message.contains("belongs to another memoryId"), "{message}");
    assert_eq!(
        bench.ask(say("four")).await,
        text("c"),
        "the session goes on"
    );
}

#[tokio::test]
async fn a_turn_without_a_memory_id_is_not_remembered() {
    let bench = remembering().await;
    bench.model.says(["a", "b", "c", "summary"].map(Say::Text));
    bench.ask(json!({"inputText": "between us"})).await;
    bench.ask(say("remember this")).await;
    bench.ask(json!({"inputText": "not this"})).await;
    bench.ask(json!({"endSession": true})).await;
    assert_eq!(summarise(&bench).await, 1);
    let prompt = shown(&bench, 3);
    assert!(prompt.contains("remember this"), "{prompt}");
    assert!(
        !prompt.contains("between us") && !prompt.contains("not this"),
        "{prompt}"
    );
}

#[tokio::test]
async fn running_summaries_are_replaced_by_the_last_one() {
    let mut bench = remembering().await;
    bench.make_live();
    bench
        .model
        .says(["a", "so far one", "b", "so far two", "c", "at the end"].map(Say::Text));
    for (input, running) in [("one", "so far one"), ("two", "so far two")] {
        bench.ask(say(input)).await;
        assert_eq!(summarise(&bench).await, 1);
        assert_eq!(texts(&bench).await, [running]);
    }
    // The last turn leaves both jobs due; only one of them asks the model.
    let end = json!({"inputText": "three", "endSession": true, "memoryId": "user-1"});
    bench.ask(end).await;
    summarise(&bench).await;
    assert_eq!(texts(&bench).await, ["at the end"]);
    assert_eq!(bench.model.calls(), 6);
    pass(&bench, IDLE);
    assert_eq!(summarise(&bench).await, 0);
}

#[tokio::test]
async fn a_running_summary_that_comes_too_late_changes_nothing() {
    let mut bench = remembering().await;
    bench.make_live();
    bench.model.says(["a", "at the end"].map(Say::Text));
    bench.ask(say("one")).await;
    bench.ask(json!({"endSession": true})).await;
    assert_eq!(summarise(&bench).await, 2);
    assert_eq!(texts(&bench).await, ["at the end"]);
    assert_eq!(bench.model.calls(), 2);
}

#[tokio::test]
async fn a_failed_summary_is_tried_again_later_and_in_the_end_given_up() {
    let rejected = || {
        Say::Fail(ModelError::Rejected {
            detail: "no".to_owned(),
        })
    };
    let store = Arc::new(Gated::new());
    let bench = Bench::over(Arc::clone(&store) as Arc<dyn Store>, "anthropic.claude").await;
    remember(&bench, thirty_days()).await;
    bench
        .model
        .says([Say::Text("a"), rejected(), Say::Text("at last")]);
    bench
        .ask(json!({"inputText": "x", "memoryId": "user-1", "endSession": true}))
        .await;
    assert_eq!(summarise(&bench).await, 1);
    assert_eq!(summarise(&bench).await, 0, "not before its time");
    pass(&bench, Duration::from_secs(11));
    assert_eq!(summarise(&bench).await, 1);
    assert_eq!(texts(&bench).await, ["at last"]);

    bench.model.says([Say::Text("b")]);
    bench
        .ask(json!({"inputText": "y", "memoryId": "user-1", "endSession": true}))
        .await;
    let before = bench.model.calls();
    bench.model.says([0; 10].map(|_| rejected()));
    for _ in 0..10 {
        assert_eq!(summarise(&bench).await, 1);
        pass(&bench, Duration::from_hours(6));
    }
    assert_eq!(summarise(&bench).await, 0, "it is given up");
    assert_eq!(bench.model.calls() - before, 10);
    assert_eq!(texts(&bench).await, ["at last"]);
    let parent = format!("{}/TSTALIASID", bench.agent_id);
    let left = store.below("summary-failure", &parent).await;
    assert_eq!(left.len(), 1);
    assert!(left[0].contains("rejected the request: no"), "{}", left[0]);
}

#[tokio::test]
async fn one_of_two_processes_makes_a_summary() {
    let mut a = remembering().await;
    let b = a.two_processes();
    a.model.says(["a", "summary"].map(Say::Text));
    a.ask(say("one")).await;
    pass(&a, IDLE);
    let (by_a, by_b) = tokio::join!(summarise(&a), summarise(&b));
    assert_eq!(by_a + by_b, 1);
    assert_eq!(texts(&b).await, ["summary"]);
}

#[tokio::test]
async fn a_session_that_goes_on_elsewhere_is_summarised_when_that_has_ended() {
    let store = Arc::new(Gated::new());
    let mut a = Bench::over(Arc::clone(&store) as Arc<dyn Store>, "anthropic.claude").await;
    remember(&a, thirty_days()).await;
    let b = a.two_processes();
    a.model.says(["1", "too early", "2"].map(Say::Text));
    a.ask(say("one")).await;
    pass(&a, IDLE);
    let held = store.hold_summaries();
    let summarising = tokio::spawn({
        let service = a.service.clone();
        async move { service.summarise_due().await }
    });
    held.reached().await;
    // The other process's clock is behind: to it the session still lives.
    a.clock.0.fetch_sub(10_000_000_000, Ordering::SeqCst);
    assert_eq!(b.ask(say("two")).await, text("2"));
    a.clock.0.fetch_add(10_000_000_000, Ordering::SeqCst);
    held.release();
    summarising.await.expect("ends").expect("answers");
    assert_eq!(texts(&a).await, [""; 0], "the session had not ended");
    pass(&a, IDLE);
    a.model.says([Say::Text("in time")]);
    assert_eq!(summarise(&b).await, 1);
    assert_eq!(texts(&a).await, ["in time"]);
    let prompt = shown(&a, a.model.calls() - 1);
    assert!(prompt.contains("one") && prompt.contains("two"), "{prompt}");
}

#[tokio::test]
async fn wherever_the_process_dies_a_session_has_one_summary() {
    // A turn, the end of the session, the summary: no more than eight commits.
    for commits in 0..=8 {
        let store = Arc::new(Gated::new());
        let mut bench = Bench::over(Arc::clone(&store) as Arc<dyn Store>, "anthropic.claude").await;
        remember(&bench, thirty_days()).await;
        let turns = [
            "zero", "one", "end", "summary", "summary", "summary", "summary",
        ];
        bench.model.says(turns.map(Say::Text));
        bench.ask(say("turn 0")).await;
        store.allow(commits);
        bench.ask(say("turn 1")).await;
        bench
            .ask(json!({"inputText": "end", "memoryId": "user-1", "endSession": true}))
            .await;
        let _ = bench.service.summarise_due().await;

        store.allow(PLENTY);
        bench.restart();
        // A claim of a dead process lapses, a session that it left open expires.
        for _ in 0..4 {
            pass(&bench, 3 * IDLE);
            bench
                .model
                .says([Say::Text("summary"), Say::Text("summary")]);
            summarise(&bench).await;
        }
        let (summaries, _) = page(&bench, json!({})).await;
        assert_eq!(summaries.len(), 1, "{commits}: {summaries:?}");
        assert_eq!(summarise(&bench).await, 0, "{commits}");
    }
}

#[tokio::test]
async fn the_prompt_for_summaries_has_a_model_and_parameters_of_its_own_or_is_off() {
    let bench = Bench::new().await;
    let prompts = |prompt: Value| {
        json!({"memoryConfiguration": thirty_days(),
            "promptOverrideConfiguration": {"promptConfigurations": [prompt]}})
    };
    let own = json!({"promptType": "MEMORY_SUMMARIZATION", "promptCreationMode": "OVERRIDDEN",
        "promptState": "ENABLED", "foundationModel": "meta.small",
        "basePromptTemplate": "$past_conversation_summary$ Sum up: $conversation$",
        "inferenceConfiguration": {"maximumLength": 300, "temperature": 0.5}});
    define(&bench, prompts(own)).await;
    session(&bench, "s1", "<topic name='user goals'>It is short.").await;
    assert_eq!(texts(&bench).await, ["It is short."]);
    let request = bench.model.request(bench.model.calls() - 1);
    assert_eq!(request.model, "meta.small");
    assert_eq!(request.inference.max_tokens, Some(300));
    assert_eq!(request.inference.temperature, Some(0.5));
    assert!(shown(&bench, 1).contains("Sum up: User: about s1"));

    let off = json!({"promptType": "MEMORY_SUMMARIZATION", "promptState": "DISABLED"});
    define(&bench, prompts(off)).await;
    bench.model.says([Say::Text("a")]);
    let more = json!({"inputText": "x", "memoryId": "user-1", "endSession": true});
    assert_eq!(bench.ask(more).await, text("a"));
    assert_eq!(summarise(&bench).await, 0);
    let told = shown(&bench, bench.model.calls() - 1);
    assert!(told.contains("It is short."), "what there was is recalled");
}
