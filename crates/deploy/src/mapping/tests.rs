//! Both directions of the table, over whole resources.

use serde_json::{Value, json};

use super::*;
use crate::node::Mark;

fn definition(form: &Form, properties: &Value) -> (Value, Vec<String>) {
    let mut problems = Vec::new();
    let node = Node::of_json(Mark::default(), properties);
    let definition = to_definition(form, &node, &mut problems);
    let problems = problems.iter().map(ToString::to_string).collect();
    (definition, problems)
}

#[test]
fn every_form_names_shapes_that_exist() {
    for form in [
        AGENT,
        ACTION_GROUP,
        KNOWLEDGE_BASE_ASSOCIATION,
        COLLABORATOR,
        AGENT_ALIAS,
        KNOWLEDGE_BASE,
        DATA_SOURCE,
        PROMPT,
        PROMPT_VERSION,
        GUARDRAIL,
        GUARDRAIL_VERSION,
    ] {
        assert!(!members(form.shape).is_empty(), "{}", form.shape);
        for hidden in form.hidden {
            assert!(member(form.shape, hidden).is_some(), "{hidden}");
        }
        for extra in form.extra {
            if let ExtraKind::Shape(name) = extra.kind {
                shape(name);
            }
        }
    }
    for (of, property, renamed) in RENAMED {
        assert!(member(of, renamed).is_some(), "{of}.{renamed}");
        assert_eq!(member_of(of, property), renamed);
        assert_eq!(property_of(of, renamed), property);
    }
}

#[test]
fn an_agent_goes_both_ways() {
    let properties = json!({
        "AgentName": "support-bot",
        "IdleSessionTTLInSeconds": 1800,
        "AutoPrepare": true,
        "Tags": {"team Name": "x"},
        "GuardrailConfiguration": {"GuardrailIdentifier": "abc", "GuardrailVersion": "1"},
        "ActionGroups": [{
            "ActionGroupName": "OrderTools",
            "ActionGroupExecutor": {"Lambda": "arn:aws:lambda:us-west-2:111111111111:function:f"},
            "FunctionSchema": {"Functions": [{
                "Name": "get_order_status",
                "Parameters": {"order_id": {"Type": "string", "Required": true}}
            }]}
        }],
        "KnowledgeBases": [{"KnowledgeBaseId": "KB1234ABCD", "Description": "policies"}],
        "PromptOverrideConfiguration": {"PromptConfigurations": [{
            "PromptType": "ORCHESTRATION",
            "InferenceConfiguration": {"Temperature": 0.5, "StopSequences": ["x"]},
            "AdditionalModelRequestFields": {"Keep_as": {"written": 1}}
        }]}
    });
    let (definition, problems) = definition(&AGENT, &properties);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        definition["actionGroups"][0]["functionSchema"]["functions"][0]["parameters"]["order_id"],
        json!({"type": "string", "required": true})
    );
    assert_eq!(definition["tags"], json!({"team Name": "x"}));
    assert_eq!(
        definition["promptOverrideConfiguration"]["promptConfigurations"][0]["additionalModelRequestFields"],
        json!({"Keep_as": {"written": 1}})
    );
    assert_eq!(to_template(&AGENT, &definition), properties);
}

#[test]
fn renamed_members_go_both_ways() {
    let properties = json!({
        "KnowledgeBaseId": "KB1234ABCD",
        "Name": "docs",
        "DataSourceConfiguration": {"Type": "S3", "S3Configuration": {"BucketArn": "arn:aws:s3:::b"}},
        "VectorIngestionConfiguration": {"CustomTransformationConfiguration": {
            "IntermediateStorage": {"S3Location": {"URI": "s3://b/k"}},
            "Transformations": [{
                "StepToApply": "POST_CHUNKING",
                "TransformationFunction": {"TransformationLambdaConfiguration": {"LambdaArn": "a"}}
            }]
        }}
    });
    let (definition, problems) = definition(&DATA_SOURCE, &properties);
    assert_eq!(problems, Vec::<String>::new());
    let storage = &definition["vectorIngestionConfiguration"]["customTransformationConfiguration"];
    assert_eq!(
        storage["intermediateStorage"]["s3Location"],
        json!({"uri": "s3://b/k"})
    );
    assert_eq!(to_template(&DATA_SOURCE, &definition), properties);
}

#[test]
fn scalars_get_the_type_of_their_shape() {
    let (definition, problems) = definition(
        &AGENT,
        &json!({"AgentName": 7, "IdleSessionTTLInSeconds": "600", "AutoPrepare": "true"}),
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        definition,
        json!({"agentName": "7", "idleSessionTTLInSeconds": 600, "autoPrepare": true})
    );
}

#[test]
fn what_is_wrong_is_named_all_at_once() {
    let (_, problems) = definition(
        &AGENT,
        &json!({
            "AgentNames": "x",
            "ClientToken": "x",
            "agentName": "x",
            "IdleSessionTTLInSeconds": "soon",
            "ActionGroups": {"a": 1},
            "Tags": ["x"]
        }),
    );
    assert_eq!(
        problems,
        [
            "a list is expected here, not a mapping",
            "the property AgentNames is not supported here (did you mean AgentName?)",
            "the property ClientToken is not supported here",
            "a whole number is expected here, not \"soon\"",
            "a mapping is expected here, not a list",
            "the property agentName is not supported here (did you mean AgentName?)",
            "the property AgentName is missing",
        ]
    );
}

#[test]
fn a_value_known_later_stands_for_any_shape() {
    let node = Node::new(
        Mark::default(),
        Content::Map(vec![(
            Key {
                mark: Mark::default(),
                text: "AgentId".to_owned(),
            },
            Node::new(Mark::default(), Content::Later("Agent.AgentId".to_owned())),
        )]),
    );
    let mut problems = Vec::new();
    let definition = to_definition(&AGENT_ALIAS, &node, &mut problems);
    assert_eq!(definition, json!({"agentId": later("Agent.AgentId")}));
    assert_eq!(problems.len(), 1, "{problems:?}");
}
