//! `promptOverrideConfiguration`: what is refused, what is shown.

use outcrop_engine::prompt::default;
use outcrop_engine::prompt::family::Family;
use outcrop_model::control::{PromptType, ops as op};
use serde_json::{Value, json};

use crate::support::{LAMBDA, World, definition, each, validation, with};

const TYPES: [PromptType; 5] = [
    PromptType::PreProcessing,
    PromptType::Orchestration,
    PromptType::KnowledgeBaseResponseGeneration,
    PromptType::PostProcessing,
    PromptType::MemorySummarization,
];

fn overriding(prompts: &Value) -> Value {
    let change = json!({"promptOverrideConfiguration": {"promptConfigurations": prompts}});
    with(definition("one"), change)
}

/// A type nobody has overridden, as `GetAgent` shows it.
fn default_of(prompt_type: PromptType, state: &str) -> Value {
    json!({
        "basePromptTemplate": default::template(prompt_type),
        "inferenceConfiguration": default::inference(prompt_type),
        "parserMode": "DEFAULT",
        "promptCreationMode": "DEFAULT",
        "promptState": state,
        "promptType": prompt_type,
    })
}

async fn shown(world: &World, agent: &str) -> Value {
    world.get_agent(agent).await["promptOverrideConfiguration"]["promptConfigurations"].take()
}

#[tokio::test]
async fn a_prepared_agent_shows_every_default() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    assert_eq!(shown(&world, &agent).await, json!([]));
    world.prepare(&agent).await;
    let states = ["DISABLED", "ENABLED", "ENABLED", "DISABLED", "DISABLED"];
    let expected: Vec<Value> = TYPES
        .into_iter()
        .zip(states)
        .map(|(prompt_type, state)| default_of(prompt_type, state))
        .collect();
    assert_eq!(shown(&world, &agent).await, json!(expected));
}

#[tokio::test]
async fn memory_enables_its_summaries() {
    let world = World::relaxed();
    let input = with(
        definition("one"),
        json!({"memoryConfiguration": {"enabledMemoryTypes": ["SESSION_SUMMARY"]}}),
    );
    world.call::<op::CreateAgent>(input).await;
    world.prepare("ID00000001").await;
    let prompts = shown(&world, "ID00000001").await;
    assert_eq!(
        prompts[4],
        default_of(PromptType::MemorySummarization, "ENABLED")
    );
}

#[tokio::test]
async fn overrides_are_shown_as_they_were_given_among_the_defaults() {
    let world = World::relaxed();
    let pre = json!({
        "promptType": "PRE_PROCESSING", "promptCreationMode": "OVERRIDDEN", "promptState": "DISABLED",
    });
    let orchestration = json!({
        "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
        "basePromptTemplate": "{\"system\": \"$instruction$\nand more\", \"messages\": []}",
        "inferenceConfiguration": {"temperature": 0.5, "maximumLength": 2048},
    });
    let router = json!({
        "promptType": "ROUTING_CLASSIFIER", "promptCreationMode": "DEFAULT", "promptState": "DISABLED",
        "foundationModel": "small.model",
    });
    let input = overriding(&json!([router, orchestration, pre]));
    world.call::<op::CreateAgent>(input).await;
    let prompts = shown(&world, "ID00000001").await;
    assert_eq!(
        prompts,
        json!([
            pre,
            orchestration,
            default_of(PromptType::KnowledgeBaseResponseGeneration, "ENABLED"),
            default_of(PromptType::PostProcessing, "DISABLED"),
            default_of(PromptType::MemorySummarization, "DISABLED"),
            with(
                default_of(PromptType::RoutingClassifier, "DISABLED"),
                json!({"foundationModel": "small.model"})
            ),
        ])
    );
    world.prepare("ID00000001").await;
    assert_eq!(shown(&world, "ID00000001").await, prompts);
    // An update without overrides brings the defaults back.
    let update = with(definition("one"), json!({"agentId": "ID00000001"}));
    world.call::<op::UpdateAgent>(update).await;
    let modes = each(&shown(&world, "ID00000001").await, "promptCreationMode");
    assert_eq!(modes, ["DEFAULT"; 5]);
}

#[tokio::test]
async fn rules_of_overriding() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let template = "{\"system\": \"x\"}";
    let cases: [(Value, &str); 8] = [
        (
            json!([{"promptType": "ORCHESTRATION", "promptCreationMode": "DEFAULT", "basePromptTemplate": template}]),
            "basePromptTemplate and inferenceConfiguration of the ORCHESTRATION prompt type must be absent while its promptCreationMode is DEFAULT. Set promptCreationMode to OVERRIDDEN to use them.",
        ),
        (
            json!([{"promptType": "ORCHESTRATION", "inferenceConfiguration": {"topK": 1}}]),
            "basePromptTemplate and inferenceConfiguration of the ORCHESTRATION prompt type must be absent while its promptCreationMode is DEFAULT. Set promptCreationMode to OVERRIDDEN to use them.",
        ),
        (
            json!([{"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN"}]),
            "The basePromptTemplate of the ORCHESTRATION prompt type cannot be null while its promptCreationMode is OVERRIDDEN",
        ),
        (
            json!([{"promptType": "ORCHESTRATION"}, {"promptType": "ORCHESTRATION"}]),
            "The prompt type ORCHESTRATION is configured more than once",
        ),
        (
            json!([{"promptCreationMode": "DEFAULT"}]),
            "The promptType of a prompt configuration cannot be null",
        ),
        (
            json!([{"promptType": "ORCHESTRATION", "parserMode": "OVERRIDDEN"}]),
            "The overrideLambda cannot be null while the parserMode of the ORCHESTRATION prompt type is OVERRIDDEN",
        ),
        (
            json!([{
                "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
                "basePromptTemplate": "{\n  \"system\": oops}",
            }]),
            "The provided BasePromptTemplate for the ORCHESTRATION prompt type has failed validation with  the following message: Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. (line 2, column 13: expected value)",
        ),
        (
            json!([
                {
                    "promptType": "PRE_PROCESSING", "promptCreationMode": "OVERRIDDEN",
                    "promptState": "DISABLED", "basePromptTemplate": "{]",
                },
                {
                    "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
                    "basePromptTemplate": "{\"messages\": 7}",
                },
            ]),
            "The provided BasePromptTemplate for the PRE_PROCESSING prompt type has failed validation with  the following message: Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. (line 1, column 2: key must be a string);The provided BasePromptTemplate for the ORCHESTRATION prompt type has failed validation with  the following message: Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. (messages: expected a list of messages)",
        ),
    ];
    for (prompts, message) in cases {
        let create = overriding(&prompts);
        assert_eq!(
            world.refused::<op::CreateAgent>(create.clone()).await,
            validation(message)
        );
        let update = with(create, json!({"agentId": agent}));
        assert_eq!(
            world.refused::<op::UpdateAgent>(update).await,
            validation(message)
        );
    }
    let unused = with(
        definition("two"),
        json!({"promptOverrideConfiguration": {"overrideLambda": LAMBDA, "promptConfigurations": []}}),
    );
    assert_eq!(
        world.refused::<op::CreateAgent>(unused).await,
        validation(
            "At least one prompt configuration must have the parserMode OVERRIDDEN when overrideLambda is given"
        )
    );
}

#[tokio::test]
async fn a_router_shows_its_classifier_and_the_prompt_of_a_supervisor() {
    let world = World::relaxed();
    let input = with(
        definition("router"),
        json!({
            "agentCollaboration": "SUPERVISOR_ROUTER",
            "promptOverrideConfiguration": {"promptConfigurations": [
                {"promptType": "PRE_PROCESSING", "promptState": "ENABLED"},
            ]},
        }),
    );
    world.call::<op::CreateAgent>(input).await;
    let prompts = shown(&world, "ID00000001").await;
    let mut supervisor = default_of(PromptType::Orchestration, "ENABLED");
    supervisor["basePromptTemplate"] = json!(default::template_for(
        PromptType::Orchestration,
        default::Kind {
            supervises: true,
            ..default::Kind::default()
        },
    ));
    assert_eq!(
        prompts,
        json!([
            default_of(PromptType::PreProcessing, "ENABLED"),
            supervisor,
            default_of(PromptType::KnowledgeBaseResponseGeneration, "ENABLED"),
            default_of(PromptType::PostProcessing, "DISABLED"),
            default_of(PromptType::MemorySummarization, "DISABLED"),
            default_of(PromptType::RoutingClassifier, "ENABLED"),
        ])
    );
}

#[tokio::test]
async fn the_defaults_are_those_of_the_model_s_family() {
    let world = World::relaxed();
    let input = with(
        definition("nova"),
        json!({
            "foundationModel": "amazon.nova-pro-v1:0",
            "promptOverrideConfiguration": {"promptConfigurations": [
                {"promptType": "ORCHESTRATION", "promptState": "ENABLED"},
            ]},
        }),
    );
    world.call::<op::CreateAgent>(input).await;
    let orchestration = shown(&world, "ID00000001").await[1].take();
    let kind = default::Kind {
        family: Family::Nova,
        supervises: false,
    };
    assert_eq!(
        orchestration["basePromptTemplate"],
        default::template_for(PromptType::Orchestration, kind)
    );
    assert_eq!(
        orchestration["inferenceConfiguration"]["maximumLength"],
        1024
    );
}
