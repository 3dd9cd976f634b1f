//! Prompts and their versions.

use outcrop_model::control::ops as op;
use outcrop_model::exception::ExceptionKind;
use serde_json::{Value, json};

use crate::support::{
    GONE, World, conflict, context, each, not_found, quota, text, validation, with,
};

const TOKEN: &str = "11111111-1111-4111-8111-111111111111";

fn variant(name: &str) -> Value {
    json!({
        "name": name,
        "templateType": "TEXT",
        "modelId": "amazon.nova-lite-v1:0",
        "templateConfiguration": {"text": {
            "text": "Make a {{genre}} playlist of {{number}} songs.",
            "inputVariables": [{"name": "genre"}, {"name": "number"}],
        }},
        "inferenceConfiguration": {"text": {"temperature": 0.5, "maxTokens": 2048, "stopSequences": ["User:"]}},
        "metadata": [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}],
        "additionalModelRequestFields": {"top_k": 50},
    })
}

fn chat(name: &str) -> Value {
    json!({
        "name": name,
        "templateType": "CHAT",
        "genAiResource": {"agent": {
            "agentIdentifier": "arn:aws:bedrock:us-west-2:111111111111:agent-alias/ABCDEFGHIJ/ABCDEFGHIJ",
        }},
        "templateConfiguration": {"chat": {
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "messages": [{"role": "user", "content": [{"text": "Hello {{name}}."}]}],
            "toolConfiguration": {
                "tools": [{"toolSpec": {"name": "look_up", "inputSchema": {"json": {"type": "object"}}}}],
                "toolChoice": {"auto": {}},
            },
        }},
    })
}

fn playlist(name: &str) -> Value {
    json!({
        "name": name,
        "description": "Makes playlists.",
        "defaultVariant": "first",
        "customerEncryptionKeyArn":
            "arn:aws:kms:us-west-2:111111111111:key/11111111-2222-3333-4444-555555555555",
        "variants": [variant("first")],
    })
}

impl World {
    async fn prompt(&self, name: &str) -> Value {
        self.call::<op::CreatePrompt>(playlist(name)).await
    }

    async fn get_prompt(&self, identifier: &Value) -> Value {
        let input = json!({"promptIdentifier": identifier});
        self.call::<op::GetPrompt>(input).await
    }

    async fn version(&self, identifier: &Value) -> Value {
        let input = json!({"promptIdentifier": identifier});
        self.call::<op::CreatePromptVersion>(input).await
    }

    async fn versions(&self, identifier: &Value) -> Vec<String> {
        let input = json!({"promptIdentifier": identifier});
        let listed = self.call::<op::ListPrompts>(input).await;
        each(&listed["promptSummaries"], "version")
    }
}

#[tokio::test]
async fn a_prompt_is_kept_as_it_was_given() {
    let world = World::relaxed();
    let mut given = playlist("playlists");
    given["variants"] = json!([variant("first"), chat("second")]);
    let created = world.call::<op::CreatePrompt>(given.clone()).await;
    let id = text(&created["id"]);
    let expected = with(
        given,
        json!({
            "id": id,
            "arn": format!("arn:aws:bedrock:us-west-2:111111111111:prompt/{id}"),
            "version": "DRAFT",
            "createdAt": created["createdAt"],
            "updatedAt": created["createdAt"],
        }),
    );
    assert_eq!(created, expected);
    for identifier in [&created["id"], &created["arn"]] {
        assert_eq!(world.get_prompt(identifier).await, created);
    }
    let input = json!({"promptIdentifier": id, "promptVersion": "DRAFT"});
    assert_eq!(world.call::<op::GetPrompt>(input).await, created);
    let input = json!({"promptIdentifier": id, "includedData": "METADATA_ONLY"});
    assert_eq!(
        world.call::<op::GetPrompt>(input).await,
        with(created, json!({"variants": null}))
    );
}

#[tokio::test]
async fn an_update_clears_what_it_leaves_out() {
    let world = World::relaxed();
    let created = world.prompt("one").await;
    let input = json!({"promptIdentifier": created["arn"], "name": "two"});
    let updated = world.call::<op::UpdatePrompt>(input).await;
    assert_eq!(
        updated,
        json!({
            "id": created["id"],
            "arn": created["arn"],
            "name": "two",
            "version": "DRAFT",
            "variants": [],
            "createdAt": created["createdAt"],
            "updatedAt": updated["updatedAt"],
        })
    );
    assert_ne!(updated["updatedAt"], created["updatedAt"]);
    assert_eq!(world.get_prompt(&created["id"]).await, updated);
    // The old name is free again.
    world.prompt("one").await;
}

#[tokio::test]
async fn names_are_unique() {
    let world = World::relaxed();
    let one = text(&world.prompt("one").await["id"]);
    let two = text(&world.prompt("two").await["id"]);
    let taken = |verb: &str| {
        conflict(&format!(
            "Could not perform {verb} operation, since the one (id: {one}) with the same name one already exists"
        ))
    };
    let create = world.refused::<op::CreatePrompt>(playlist("one")).await;
    assert_eq!(create, taken("Create"));
    let update = json!({"promptIdentifier": two, "name": "one"});
    assert_eq!(
        world.refused::<op::UpdatePrompt>(update).await,
        taken("Update")
    );
    world
        .call_from::<op::CreatePrompt>(&context("eu-central-1"), playlist("one"))
        .await
        .expect("another region");
}

#[tokio::test]
async fn versions_hold_what_the_draft_was() {
    let world = World::relaxed();
    let created = world.prompt("playlists").await;
    let id = &created["id"];
    let input = json!({"promptIdentifier": id, "description": "The first."});
    let first = world.call::<op::CreatePromptVersion>(input).await;
    let arn = format!("{}:1", text(&created["arn"]));
    let expected = with(
        created.clone(),
        json!({
            "arn": arn,
            "description": "The first.",
            "version": "1",
            "createdAt": first["createdAt"],
            "updatedAt": first["createdAt"],
        }),
    );
    assert_eq!(first, expected);
    assert_eq!(world.get_prompt(id).await, created);

    let input = json!({"promptIdentifier": id, "name": "renamed"});
    world.call::<op::UpdatePrompt>(input).await;
    let second = world.version(&created["arn"]).await;
    assert_eq!(
        (&second["version"], &second["name"]),
        (&json!("2"), &json!("renamed"))
    );
    assert_eq!(second.get("description"), None);
    for (identifier, version) in [
        (id, Some("1")),
        (&json!(arn), None),
        (&json!(arn), Some("1")),
    ] {
        let input = json!({"promptIdentifier": identifier, "promptVersion": version});
        assert_eq!(world.call::<op::GetPrompt>(input).await, first);
    }
    assert_eq!(world.versions(id).await, ["DRAFT", "1", "2"]);
}

#[tokio::test]
async fn lists_show_drafts_or_one_prompts_versions() {
    let world = World::relaxed();
    let one = world.prompt("one").await;
    world.prompt("two").await;
    world.version(&one["id"]).await;
    let listed = world.call::<op::ListPrompts>(json!({})).await;
    assert_eq!(each(&listed["promptSummaries"], "name"), ["one", "two"]);
    assert_eq!(
        listed["promptSummaries"][0],
        json!({
            "id": one["id"],
            "arn": one["arn"],
            "name": "one",
            "description": "Makes playlists.",
            "version": "DRAFT",
            "createdAt": one["createdAt"],
            "updatedAt": one["updatedAt"],
        })
    );

    // Page by page.
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let input = json!({"promptIdentifier": one["arn"], "maxResults": 1, "nextToken": token});
        let page = world.call::<op::ListPrompts>(input).await;
        seen.extend(each(&page["promptSummaries"], "version"));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
        // The token belongs to this list.
        let elsewhere = json!({"nextToken": token});
        let refusal = world.refused::<op::ListPrompts>(elsewhere).await;
        assert_eq!(refusal.0, ExceptionKind::Validation);
    }
    assert_eq!(seen, ["DRAFT", "1"]);
}

#[tokio::test]
async fn one_version_or_all_is_deleted() {
    let world = World::relaxed();
    let created = world.prompt("one").await;
    let id = text(&created["id"]);
    for _ in 0..3 {
        world.version(&created["id"]).await;
    }
    let input = json!({"promptIdentifier": id, "promptVersion": "2"});
    assert_eq!(
        world.call::<op::DeletePrompt>(input.clone()).await,
        json!({"id": id, "version": "2"})
    );
    assert_eq!(
        world.refused::<op::DeletePrompt>(input.clone()).await,
        not_found(GONE)
    );
    assert_eq!(world.refused::<op::GetPrompt>(input).await, not_found(GONE));
    // The ARN of a version names that version only.
    let input = json!({"promptIdentifier": format!("{}:1", text(&created["arn"]))});
    assert_eq!(
        world.call::<op::DeletePrompt>(input).await,
        json!({"id": id, "version": "1"})
    );
    assert_eq!(world.versions(&created["id"]).await, ["DRAFT", "3"]);
    // Numbers are never used again.
    assert_eq!(world.version(&created["id"]).await["version"], "4");

    let input = json!({"promptIdentifier": created["arn"]});
    assert_eq!(
        world.call::<op::DeletePrompt>(input.clone()).await,
        json!({"id": id})
    );
    for refusal in [
        world.refused::<op::GetPrompt>(input.clone()).await,
        world.refused::<op::DeletePrompt>(input.clone()).await,
        world
            .refused::<op::CreatePromptVersion>(input.clone())
            .await,
        world.refused::<op::ListPrompts>(input.clone()).await,
        world
            .refused::<op::UpdatePrompt>(with(input, json!({"name": "x"})))
            .await,
        world
            .refused::<op::ListTagsForResource>(json!({"resourceArn": created["arn"]}))
            .await,
        world
            .refused::<op::ListTagsForResource>(
                json!({"resourceArn": format!("{}:3", text(&created["arn"]))}),
            )
            .await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
    let scope = "111111111111/us-west-2";
    for (kind, parent) in [
        ("prompt", ""),
        ("prompt-version", id.as_str()),
        ("tags", ""),
    ] {
        assert_eq!(
            world.stored(scope, kind, parent).await,
            Vec::<Value>::new(),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn prompts_of_other_places_are_not_here() {
    let world = World::relaxed();
    let id = text(&world.prompt("one").await["id"]);
    for arn in [
        format!("arn:aws:bedrock:us-west-2:222222222222:prompt/{id}"),
        format!("arn:aws:bedrock:eu-central-1:111111111111:prompt/{id}"),
        "arn:aws:bedrock:us-west-2:111111111111:prompt/ZZZZZZZZZZ".to_owned(),
    ] {
        let input = json!({"promptIdentifier": arn});
        assert_eq!(
            world.refused::<op::GetPrompt>(input).await,
            not_found(GONE),
            "{arn}"
        );
    }
}

#[tokio::test]
async fn a_version_cannot_be_changed_or_versioned() {
    let world = World::relaxed();
    let created = world.prompt("one").await;
    world.version(&created["id"]).await;
    let input = json!({"promptIdentifier": format!("{}:1", text(&created["arn"]))});
    let fixed = validation(
        "The promptIdentifier names version 1, which cannot change. Give the id or ARN of the prompt without a version.",
    );
    let update = with(input.clone(), json!({"name": "x"}));
    assert_eq!(world.refused::<op::UpdatePrompt>(update).await, fixed);
    assert_eq!(
        world
            .refused::<op::CreatePromptVersion>(input.clone())
            .await,
        fixed
    );
    let input = with(input, json!({"promptVersion": "2"}));
    let differs = validation("The promptVersion 2 differs from version 1 in the promptIdentifier");
    assert_eq!(world.refused::<op::GetPrompt>(input.clone()).await, differs);
    assert_eq!(world.refused::<op::DeletePrompt>(input).await, differs);
}

#[tokio::test]
async fn rules() {
    let world = World::relaxed();
    let id = text(&world.prompt("one").await["id"]);
    let twice = json!([{"name": "a"}, {"name": "a"}]);
    let mut doubled = variant("first");
    doubled["templateConfiguration"]["text"]["inputVariables"] = twice;
    for (changes, message) in [
        (
            json!({"defaultVariant": "second"}),
            "The defaultVariant second is not the name of a variant of the prompt",
        ),
        (
            json!({"variants": null}),
            "The defaultVariant first is not the name of a variant of the prompt",
        ),
        (
            json!({"variants": [variant("first"), chat("first")]}),
            "The variant name first is used more than once",
        ),
        (
            json!({"variants": [with(variant("first"), json!({"templateType": "CHAT"}))]}),
            "The templateType of variant first is CHAT, but its templateConfiguration is that of TEXT",
        ),
        (
            json!({"variants": [doubled]}),
            "The input variable a of variant first is listed more than once",
        ),
    ] {
        let given = with(playlist("two"), changes);
        let update = with(given.clone(), json!({"promptIdentifier": id}));
        assert_eq!(
            world.refused::<op::CreatePrompt>(given).await,
            validation(message)
        );
        assert_eq!(
            world.refused::<op::UpdatePrompt>(update).await,
            validation(message)
        );
    }
}

#[tokio::test]
async fn strict_limits() {
    let world = World::strict();
    let id = world.prompt("p0").await["id"].clone();
    for _ in 0..10 {
        world.version(&id).await;
    }
    let version = json!({"promptIdentifier": id});
    assert_eq!(
        world
            .refused::<op::CreatePromptVersion>(version.clone())
            .await,
        quota("The number of versions per prompt exceeds the limit. Limit: 10.")
    );
    let oldest = with(version.clone(), json!({"promptVersion": "1"}));
    world.call::<op::DeletePrompt>(oldest).await;
    assert_eq!(
        world.call::<op::CreatePromptVersion>(version).await["version"],
        "11"
    );
    for n in 1..500 {
        world
            .call::<op::CreatePrompt>(json!({"name": format!("p{n}")}))
            .await;
    }
    assert_eq!(
        world
            .refused::<op::CreatePrompt>(json!({"name": "more"}))
            .await,
        quota("The number of prompts per account exceeds the limit. Limit: 500.")
    );
}

#[tokio::test]
async fn prompts_and_versions_have_tags_of_their_own() {
    let world = World::relaxed();
    let input = with(playlist("one"), json!({"tags": {"team": "music"}}));
    let created = world.call::<op::CreatePrompt>(input).await;
    let input = json!({"promptIdentifier": created["id"], "tags": {"stage": "prod"}});
    let version = world.call::<op::CreatePromptVersion>(input).await;
    for (prompt, tags) in [
        (&created, json!({"team": "music"})),
        (&version, json!({"stage": "prod"})),
    ] {
        let input = json!({"resourceArn": prompt["arn"]});
        let listed = world.call::<op::ListTagsForResource>(input).await;
        assert_eq!(listed, json!({"tags": tags}));
        assert_eq!(prompt.get("tags"), None);
    }
    let reserved = json!({"aws:x": "y"});
    let refusal = validation("The tag key aws:x begins with aws:, which is reserved");
    let create = json!({"name": "two", "tags": reserved});
    assert_eq!(world.refused::<op::CreatePrompt>(create).await, refusal);
    let version = json!({"promptIdentifier": created["id"], "tags": reserved});
    assert_eq!(
        world.refused::<op::CreatePromptVersion>(version).await,
        refusal
    );
}

#[tokio::test]
async fn the_same_request_again_makes_nothing_new() {
    let world = World::relaxed();
    let input = with(playlist("one"), json!({"clientToken": TOKEN}));
    let created = world.call::<op::CreatePrompt>(input.clone()).await;
    assert_eq!(world.call::<op::CreatePrompt>(input).await, created);
    let input = json!({"promptIdentifier": created["id"], "clientToken": TOKEN});
    let first = world.call::<op::CreatePromptVersion>(input.clone()).await;
    assert_eq!(
        world.call::<op::CreatePromptVersion>(input.clone()).await,
        first
    );
    assert_eq!(world.versions(&created["id"]).await, ["DRAFT", "1"]);
    let used = conflict(
        "The clientToken has already been used with a different request. Retry the request with a new clientToken.",
    );
    let other = with(input, json!({"description": "Another."}));
    assert_eq!(world.refused::<op::CreatePromptVersion>(other).await, used);
    let other = with(playlist("two"), json!({"clientToken": TOKEN}));
    assert_eq!(world.refused::<op::CreatePrompt>(other).await, used);
}

#[tokio::test]
async fn versions_cut_at_once_get_numbers_of_their_own() {
    let world = World::relaxed();
    let id = world.prompt("one").await["id"].clone();
    let cut = (0..200).map(|_| world.version(&id));
    let cut = futures_util::future::join_all(cut).await;
    let mut numbers: Vec<u32> = cut
        .iter()
        .map(|version| text(&version["version"]).parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
}
