//! Agents that search by the service's own retrieval.

use outcrop_model::control::ops::{
    AssociateAgentKnowledgeBase, CreateAgent, CreateAgentActionGroup, PrepareAgent, UpdateAgent,
};
use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::ops::{InvokeAgent, InvokeInlineAgent};
use serde_json::{Value, json};

use crate::bench::{Bench, MODEL};
use crate::index::s3;
use crate::says::{Say, answer};

const DESCRIPTION: &str = "Policies on leave.";

/// An agent with the knowledge base; it may ask the user, so that it plans its searches.
async fn agent(bench: &Bench, overrides: Value) -> String {
    let mut request = json!({"agentName": "hr", "foundationModel": MODEL,
        "agentResourceRoleArn": "arn:aws:iam::111111111111:role/AgentRole",
        "instruction": "You are a helpful assistant of the HR department."});
    let made = bench.call::<CreateAgent>(request.clone()).await;
    let id = made["agent"]["agentId"].as_str().expect("an id").to_owned();
    if !overrides.is_null() {
        request["agentId"] = json!(id);
        request["promptOverrideConfiguration"] = overrides;
        bench.call::<UpdateAgent>(request).await;
    }
    bench
        .call::<AssociateAgentKnowledgeBase>(json!({"agentId": id, "agentVersion": "DRAFT",
            "knowledgeBaseId": bench.knowledge_base, "description": DESCRIPTION}))
        .await;
    id
}

async fn with_user_input(bench: &Bench, id: &str) {
    bench
        .call::<CreateAgentActionGroup>(json!({"agentId": id, "agentVersion": "DRAFT",
            "actionGroupName": "UserInputAction", "parentActionGroupSignature": "AMAZON.UserInput",
            "actionGroupState": "ENABLED"}))
        .await;
}

async fn prepared(bench: &Bench, id: &str) {
    bench.call::<PrepareAgent>(json!({"agentId": id})).await;
}

fn turn(id: &str, state: Value) -> Value {
    let mut request = json!({"agentId": id, "agentAliasId": "TSTALIASID", "sessionId": "s-1",
        "inputText": "How many days of leave?", "enableTrace": true});
    if !state.is_null() {
        request["sessionState"] = state;
    }
    request
}

fn search_call(bench: &Bench) -> Say {
    Say::Call {
        name: format!("GET__x_amz_knowledgebase_{}__Search", bench.knowledge_base),
        input: json!({"searchQuery": "days of leave"}),
    }
}

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.index.add("c1", s3("other.md"), 0.5, "Nothing.");
    bench.index.add(
        "c2",
        s3("leave.md"),
        0.9,
        "Staff have 30 days of annual leave.",
    );
    bench
}

/// The one chunk: its text, and where its citations lead.
fn cited(events: &[(String, Value)]) -> (String, Vec<String>) {
    let chunks: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| name == "chunk")
        .map(|(_, event)| event)
        .collect();
    let [chunk] = chunks.as_slice() else {
        panic!("{events:?}");
    };
    let citations = chunk["attribution"]["citations"].as_array();
    let uris = citations
        .into_iter()
        .flatten()
        .flat_map(|citation| citation["retrievedReferences"].as_array().expect("a list"))
        .map(|reference| reference["location"]["s3Location"]["uri"].as_str())
        .map(|uri| uri.expect("a URI").to_owned())
        .collect();
    let blob: outcrop_model::blob::Blob =
        serde_json::from_value(chunk["bytes"].clone()).expect("base64");
    let text = String::from_utf8(blob.as_bytes().to_vec()).expect("UTF-8");
    (text.trim().to_owned(), uris)
}

#[tokio::test]
async fn an_agent_searches_and_cites() {
    let bench = bench().await;
    let id = agent(&bench, Value::Null).await;
    with_user_input(&bench, &id).await;
    prepared(&bench, &id).await;
    bench.model.says([
        search_call(&bench),
        Say::Text(answer(&[("30 days.", &["1"])])),
    ]);
    let state = json!({"knowledgeBaseConfigurations": [{"knowledgeBaseId": bench.knowledge_base,
        "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 1,
            "overrideSearchType": "SEMANTIC"}}}]});
    let (_, events) = bench
        .stream::<InvokeAgent>(turn(&id, state))
        .await
        .expect("a stream");
    assert_eq!(
        cited(&events),
        (
            "30 days.".to_owned(),
            vec!["s3://policies/leave.md".to_owned()]
        )
    );
    let searches = bench.index.searches.lock().expect("unpoisoned");
    assert_eq!(searches.len(), 1, "as the session says");
    assert_eq!(searches[0].limit, 1);
    let requests = bench.model.requests.lock().expect("unpoisoned");
    let tools = serde_json::to_string(&*requests[0].tools).expect("JSON");
    assert!(
        tools.contains(DESCRIPTION) && tools.contains("searchQuery"),
        "{tools}"
    );
    let found = serde_json::to_string(&requests[1].messages).expect("JSON");
    assert!(
        found.contains("Here are search results in numbered order")
            && found.contains("30 days of annual")
    );
}

#[tokio::test]
async fn a_function_says_how_the_rest_of_the_turn_searches() {
    let bench = bench().await;
    let id = agent(&bench, Value::Null).await;
    bench
        .call::<CreateAgentActionGroup>(json!({"agentId": id, "agentVersion": "DRAFT",
            "actionGroupName": "Who", "functionSchema": {"functions": [{"name": "am_i"}]},
            "actionGroupExecutor": {"lambda": "arn:aws:lambda:us-west-2:111111111111:function:who"}}))
        .await;
    prepared(&bench, &id).await;
    *bench.functions.0.lock().expect("unpoisoned") = json!([{"knowledgeBaseId": bench.knowledge_base,
        "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 1,
            "overrideSearchType": "SEMANTIC"}}}]);
    let who = Say::Call {
        name: "Who__am_i".to_owned(),
        input: json!({}),
    };
    bench
        .model
        .says([who, search_call(&bench), Say::Text("30 days.".to_owned())]);
    let (_, events) = bench
        .stream::<InvokeAgent>(turn(&id, Value::Null))
        .await
        .expect("a stream");
    assert_eq!(cited(&events).0, "30 days.");
    let searches = bench.index.searches.lock().expect("unpoisoned");
    assert_eq!((searches.len(), searches[0].limit), (1, 1));
}

#[tokio::test]
async fn an_answer_may_be_generated_from_each_search() {
    let bench = bench().await;
    let on = json!({"promptConfigurations": [{"promptType": "KNOWLEDGE_BASE_RESPONSE_GENERATION",
        "promptState": "ENABLED", "promptCreationMode": "OVERRIDDEN", "parserMode": "DEFAULT",
        "basePromptTemplate": "Answer $query$ from $search_results$", "inferenceConfiguration": {"temperature": 0.0}}]});
    let id = agent(&bench, on).await;
    with_user_input(&bench, &id).await;
    prepared(&bench, &id).await;
    let generated = answer(&[("Thirty days.", &["1"])]);
    bench.model.says([
        search_call(&bench),
        Say::Text(generated.clone()),
        Say::Text(answer(&[("Thirty days!", &["1"])])),
    ]);
    let (_, events) = bench
        .stream::<InvokeAgent>(turn(&id, Value::Null))
        .await
        .expect("a stream");
    let (text, uris) = cited(&events);
    assert_eq!((text.as_str(), uris.len()), ("Thirty days!", 1));
    let prompts = bench.model.prompts();
    assert!(prompts[1].contains("30 days of annual"));
    assert!(
        prompts[2].contains("USE THIS RESULT VERBATIM"),
        "{}",
        prompts[2]
    );
}

#[tokio::test]
async fn an_agent_with_one_knowledge_base_and_nothing_else_answers_from_it() {
    let bench = bench().await;
    let id = agent(&bench, Value::Null).await;
    prepared(&bench, &id).await;
    bench
        .model
        .says([Say::Text(answer(&[("30 days.", &["1"])]))]);
    let (_, events) = bench
        .stream::<InvokeAgent>(turn(&id, Value::Null))
        .await
        .expect("a stream");
    assert_eq!(
        cited(&events),
        (
            "30 days.".to_owned(),
            vec!["s3://policies/leave.md".to_owned()]
        )
    );
    assert_eq!(bench.model.prompts().len(), 1);
}

#[tokio::test]
async fn inline_agents_search_too() {
    let bench = bench().await;
    bench
        .model
        .says([Say::Text(answer(&[("30 days.", &["1"])]))]);
    let request = json!({"foundationModel": MODEL, "sessionId": "s-2", "inputText": "How many days?",
        "instruction": "You are a helpful assistant of the HR department.", "enableTrace": true,
        "knowledgeBases": [{"knowledgeBaseId": bench.knowledge_base, "description": DESCRIPTION}]});
    let (_, events) = bench
        .stream::<InvokeInlineAgent>(request)
        .await
        .expect("a stream");
    assert_eq!(cited(&events).1, ["s3://policies/leave.md"]);
}

#[tokio::test]
async fn a_search_that_fails_ends_the_turn() {
    let bench = bench().await;
    let id = agent(&bench, Value::Null).await;
    prepared(&bench, &id).await;
    bench
        .index
        .fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let failed = bench.stream::<InvokeAgent>(turn(&id, Value::Null)).await;
    let exception = failed.expect_err("an exception");
    assert_eq!(exception.kind(), ExceptionKind::DependencyFailed);
    assert!(
        exception.message().contains("it is being woken"),
        "{exception}"
    );
    let managed = json!({"knowledgeBaseConfigurations": [{"knowledgeBaseId": bench.knowledge_base,
        "retrievalConfiguration": {"managedSearchConfiguration": {"numberOfResults": 1}}}]});
    let refused = bench
        .stream::<InvokeAgent>(turn(&id, managed))
        .await
        .expect_err("a refusal");
    assert_eq!(refused.kind(), ExceptionKind::Validation);
    assert!(
        refused.message().contains("managedSearchConfiguration"),
        "{refused}"
    );
}
