//! Two hundred writers of one agent at once: whatever answered well is there, whatever did not is a
//! conflict, and a single process makes none.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use outcrop_model::control::ops as op;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::Handle;
use outcrop_model::operation::Operation;
use outcrop_service::Service;
use outcrop_store::{MemoryStore, SqliteOptions, SqliteStore, Store};
use serde_json::{Value, json};

use crate::support::{context, definition, each, group, processes, text, with};

const WRITERS: usize = 200;
const CONFLICT: &str =
    "Exceeded the number of retries on OptLock failure. Too many concurrent requests.";

async fn call<Op: Operation>(service: &Service, input: Value) -> Result<Value, Exception>
where
    Service: Handle<Op>,
{
    let input = serde_json::from_value(input).expect("of the shape");
    let output = Handle::<Op>::handle(service, &context("us-west-2"), input).await?;
    Ok(serde_json::to_value(output).expect("JSON"))
}

/// What one of the crowd does, and what must be there if it was told that it was done.
enum Done {
    Group(String),
    Alias(String),
    Description(String),
    Prepared,
    Removed(String),
}

async fn write(service: Service, agent: String, number: usize) -> Result<Done, Exception> {
    match number % 5 {
        0 => {
            let name = format!("group-{number}");
            call::<op::CreateAgentActionGroup>(&service, group(&agent, &name)).await?;
            Ok(Done::Group(name))
        }
        1 => {
            let name = format!("alias-{number}");
            let input = json!({"agentId": agent, "agentAliasName": name});
            call::<op::CreateAgentAlias>(&service, input).await?;
            Ok(Done::Alias(name))
        }
        2 => {
            let description = format!("description {number}");
            let input = with(
                definition("one"),
                json!({"agentId": agent, "description": description}),
            );
            call::<op::UpdateAgent>(&service, input).await?;
            Ok(Done::Description(description))
        }
        3 => {
            let input = json!({"agentId": agent});
            call::<op::PrepareAgent>(&service, input).await?;
            Ok(Done::Prepared)
        }
        _ => {
            // Made and deleted by the same writer: two writes among all the others.
            let name = format!("passing-{number}");
            let input = json!({"agentId": agent, "agentAliasName": name});
            let made = call::<op::CreateAgentAlias>(&service, input).await?;
            let alias = made["agentAlias"]["agentAliasId"].clone();
            let input = json!({"agentId": agent, "agentAliasId": alias});
            call::<op::DeleteAgentAlias>(&service, input).await?;
            Ok(Done::Removed(name))
        }
    }
}

/// Lets the crowd loose on one agent, spread over the processes, and compares what they were told
/// with what is there. Returns how many were told of a conflict.
async fn crowd(services: &[Service]) -> usize {
    let service = &services[0];
    let made = call::<op::CreateAgent>(service, definition("one"))
        .await
        .expect("an agent");
    let agent = text(&made["agent"]["agentId"]);
    let writers = (0..WRITERS).map(|number| {
        let service = services[number % services.len()].clone();
        tokio::spawn(write(service, agent.clone(), number))
    });
    let mut groups = BTreeSet::new();
    let mut aliases = BTreeSet::from(["AgentTestAlias".to_owned()]);
    let mut removed = Vec::new();
    let mut descriptions = Vec::new();
    let mut conflicts = 0;
    for done in join_all(writers).await {
        match done.expect("no writer panics") {
            Ok(Done::Group(name)) => assert!(groups.insert(name)),
            Ok(Done::Alias(name)) => assert!(aliases.insert(name)),
            Ok(Done::Description(text)) => descriptions.push(text),
            Ok(Done::Removed(name)) => removed.push(name),
            Ok(Done::Prepared) => {}
            Err(refusal) => {
                assert_eq!(refusal.kind(), ExceptionKind::Conflict, "{refusal:?}");
                assert_eq!(refusal.message(), CONFLICT);
                conflicts += 1;
            }
        }
    }
    let input = json!({"agentId": agent, "agentVersion": "DRAFT"});
    let listed = call::<op::ListAgentActionGroups>(service, input).await;
    let listed = each(
        &listed.expect("listed")["actionGroupSummaries"],
        "actionGroupName",
    );
    assert_eq!(BTreeSet::from_iter(listed), groups);

    let input = json!({"agentId": agent});
    let listed = call::<op::ListAgentAliases>(service, input.clone()).await;
    let listed = listed.expect("listed")["agentAliasSummaries"].take();
    let names: BTreeSet<String> = each(&listed, "agentAliasName").into_iter().collect();
    // Who met a conflict between its two writes has left its alias behind.
    assert!(removed.iter().all(|name| !names.contains(name)));
    let left = |name: &&String| !name.starts_with("passing-");
    assert_eq!(names.iter().filter(left).count(), aliases.len());
    assert!(aliases.is_subset(&names));

    // Each alias has a version of its own, and none was given twice.
    let routes: Vec<&Value> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|alias| &alias["routingConfiguration"][0]["agentVersion"])
        .collect();
    let versions: BTreeSet<&str> = routes.iter().filter_map(|route| route.as_str()).collect();
    assert_eq!(versions.len(), routes.len());

    let got = call::<op::GetAgent>(service, input).await.expect("there");
    let description = text(&got["agent"]["description"]);
    assert!(descriptions.contains(&description), "{description}");
    conflicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_memory() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    assert_eq!(crowd(&processes(&store, 1)).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions::new(folder.path());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&options).expect("opens"));
    assert_eq!(crowd(&processes(&store, 1)).await, 0);
}

/// Processes know of each other's writers only by the revisions they find.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_between_processes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let conflicts = crowd(&processes(&store, 4)).await;
    assert!(conflicts < WRITERS / 2, "{conflicts}");
}
