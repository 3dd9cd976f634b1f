//! Uploaded functions: whose code is kept for how long, and who may change what meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_model::exception::ExceptionKind;
use outcrop_model::lambda::ops as op;
use serde_json::{Value, json};

use crate::support::{World, text};

/// Code of some pieces; the stand-in for unpacking takes anything.
fn code(mark: u8) -> String {
    STANDARD.encode(vec![mark; 2_000_000])
}

fn definition(name: &str) -> Value {
    json!({
        "FunctionName": name,
        "Role": "arn:aws:iam::111111111111:role/r",
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Code": {"ZipFile": code(1)},
    })
}

/// How many archives the store holds.
fn archives(world: &World) -> usize {
    world.store.archives.lock().expect("not poisoned").len()
}

#[tokio::test]
async fn code_stays_as_long_as_something_names_it() {
    let world = World::relaxed();
    world.call::<op::CreateFunction>(definition("tools")).await;
    assert_eq!(archives(&world), 1);
    let update = |mark| json!({"FunctionName": "tools", "ZipFile": code(mark)});
    world.call::<op::UpdateFunctionCode>(update(2)).await;
    assert_eq!(archives(&world), 1, "the first code is gone");
    let version = world
        .call::<op::PublishVersion>(json!({"FunctionName": "tools"}))
        .await;
    assert_eq!(version["Version"], "1");
    world.call::<op::UpdateFunctionCode>(update(3)).await;
    assert_eq!(archives(&world), 2, "version 1 keeps the second code");
    world
        .call::<op::DeleteFunction>(json!({"FunctionName": "tools", "Qualifier": "1"}))
        .await;
    assert_eq!(archives(&world), 1);
    world
        .call::<op::DeleteFunction>(json!({"FunctionName": "tools"}))
        .await;
    assert_eq!(archives(&world), 0);
}

#[tokio::test]
async fn code_that_comes_to_nothing_is_taken_back() {
    let world = World::relaxed();
    world.call::<op::CreateFunction>(definition("tools")).await;
    let (kind, message) = world
        .refused::<op::CreateFunction>(definition("tools"))
        .await;
    assert_eq!(kind, ExceptionKind::Conflict);
    assert_eq!(message, "Function already exist: tools");
    let update = json!({"FunctionName": "tools", "ZipFile": code(2), "RevisionId": "another"});
    let (kind, _) = world.refused::<op::UpdateFunctionCode>(update).await;
    assert_eq!(kind, ExceptionKind::PreconditionFailed);
    assert_eq!(archives(&world), 1);
    let no_zip = json!({"FunctionName": "tools", "ZipFile": STANDARD.encode("no zip")});
    let (kind, message) = world.refused::<op::UpdateFunctionCode>(no_zip).await;
    assert_eq!(kind, ExceptionKind::InvalidParameterValue);
    assert!(
        message.starts_with("Could not unzip uploaded file."),
        "{message}"
    );
    assert_eq!(archives(&world), 1);
}

#[tokio::test]
async fn publishing_the_same_twice_gives_one_version() {
    let world = World::relaxed();
    world.call::<op::CreateFunction>(definition("tools")).await;
    let publish = json!({"FunctionName": "tools"});
    let first = world.call::<op::PublishVersion>(publish.clone()).await;
    let again = world.call::<op::PublishVersion>(publish.clone()).await;
    assert_eq!(first, again);
    let change = json!({"FunctionName": "tools", "Timeout": 9});
    world.call::<op::UpdateFunctionConfiguration>(change).await;
    let second = world.call::<op::PublishVersion>(publish).await;
    assert_eq!(
        (text(&second["Version"]), &second["Timeout"]),
        ("2".to_owned(), &json!(9))
    );
    let wrong = json!({"FunctionName": "tools", "CodeSha256": "another"});
    let (kind, _) = world.refused::<op::PublishVersion>(wrong).await;
    assert_eq!(kind, ExceptionKind::InvalidParameterValue);
}

#[tokio::test]
async fn a_name_is_uploaded_or_registered() {
    let world = World::relaxed();
    world.call::<op::CreateFunction>(definition("tools")).await;
    let folder = serde_json::from_value(json!({
        "runtime": "python", "handler": "app.handler", "code": "/srv", "timeoutSeconds": 3, "memoryMb": 128,
    }));
    let folder = folder.expect("a function");
    let cx = crate::support::context("us-west-2");
    let refused = world.service.put_function(&cx, "tools", &folder).await;
    assert_eq!(refused.expect_err("taken").kind(), ExceptionKind::Conflict);
    let put = world.service.put_function(&cx, "other", &folder).await;
    put.expect("the name is free");
    let (kind, message) = world
        .refused::<op::CreateFunction>(definition("other"))
        .await;
    assert_eq!(kind, ExceptionKind::Conflict);
    assert!(
        message.contains("registered by `outcrop deploy`"),
        "{message}"
    );
}
