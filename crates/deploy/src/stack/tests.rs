//! Whole templates: what they ask for, and everything wrong with them at once.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::files::Code;

struct Disk;

impl Files for Disk {
    fn text(&self, path: &str) -> Result<String, String> {
        Ok(format!("text of {path}"))
    }

    fn code(&self, path: &str) -> Result<Code, String> {
        if path.contains("missing") {
            return Err(format!("{path}: not there"));
        }
        Ok(Code {
            folder: format!("/code/{path}"),
            hash: "0".repeat(64),
        })
    }
}

fn read(text: &str) -> Result<Stack<'static>, Vec<String>> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let given = Given {
        parameters: &NONE,
        ids: &NONE,
        pseudo: Pseudo {
            account_id: "111111111111".to_owned(),
            region: "us-west-2".to_owned(),
            stack_name: "shop".to_owned(),
        },
        exports: Some(BTreeMap::new()),
        files: &Disk,
    };
    Stack::read(text, given).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

const GUIDE: &str = include_str!("../../tests/templates/guide.yaml");
const CDK: &str = include_str!("../../tests/templates/cdk.template.json");

#[test]
fn the_guides_template() {
    let stack = read(GUIDE).expect("reads");
    let names: Vec<&str> = stack.resources().iter().map(Wanted::logical).collect();
    assert_eq!(
        names,
        [
            "AgentRole",
            "OrderToolsFn",
            "SupportAgent",
            "SupportAgentAlias"
        ]
    );
    let plan = crate::plan::plan(&stack, &crate::state::State::default()).expect("plans");
    let agent = plan.steps[2].after.clone().expect("an agent");
    assert_eq!(
        agent["agentResourceRoleArn"],
        json!("arn:aws:iam::111111111111:role/AgentRole")
    );
    assert_eq!(
        agent["actionGroups"][0]["actionGroupExecutor"],
        json!({"lambda": "arn:aws:lambda:us-west-2:111111111111:function:order-tools"})
    );
    let alias = plan.steps[3].after.clone().expect("an alias");
    assert_eq!(alias["agentId"], json!({"$later": "SupportAgent"}));
    assert!(alias[ALIAS_CONTENT].is_string());
}

#[test]
fn what_cdk_synth_writes() {
    let stack = read(CDK).expect("reads");
    let plan = crate::plan::plan(&stack, &crate::state::State::default()).expect("plans");
    let function = plan
        .steps
        .iter()
        .find(|step| step.type_name == "AWS::Lambda::Function")
        .and_then(|step| step.after.clone())
        .expect("a function");
    let folder = function["folder"].as_str().expect("a folder");
    assert!(folder.starts_with("/code/asset."), "{folder}");
    assert_eq!(function["timeout"], json!(20));
    let paper = plan.steps.iter().filter(|step| step.is_paper).count();
    assert_eq!(paper, 5);
}

#[test]
fn everything_wrong_is_named_with_its_line_at_once() {
    let problems = read(
        "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n  A:\n    Type: AWS::Bedrock::Agent\n    Properties:\n      \
         AgentName: !Cidr [a]\n  B:\n    Type: AWS::Bedrock::Agent\n    Properties:\n      AgentName: b\n      \
         Instructions: x\n      ActionGroups:\n        - ActionGroupName: g\n          ApiSchema: {Payloads: x}\n  \
         F:\n    Type: AWS::Lambda::Function\n    Properties:\n      Runtime: java21\n      Handler: a.b\n      \
         Code: {ZipFile: 'def'}\n  G:\n    Type: AWS::Lambda::Function\n    DependsOn: Nobody\n    Properties:\n      \
         Runtime: python3.12\n      Handler: a.b\n      Code: missing\nOutputs:\n  O:\n    Value: !GetAtt B.Nothing\n",
    )
    .err()
    .expect("is refused");
    assert_eq!(
        problems,
        [
            "line 3: the resource type AWS::SQS::Queue is not supported",
            "line 7: the intrinsic Fn::Cidr is not supported; there are Ref, Fn::GetAtt, Fn::Sub, \
             Fn::Join, Fn::Select, Fn::Split, Fn::If, Fn::FindInMap, Fn::ImportValue, Fn::File, Fn::Base64",
            "line 12: the property Instructions is not supported here (did you mean Instruction?)",
            "line 15: the property Payloads is not supported here (did you mean Payload?)",
            "line 19: the runtime java21 is not supported; there are python3.*, nodejs*, and provided.* for a folder \
             with an executable bootstrap",
            "line 21: code inside the template (ZipFile) is not supported; put it into a folder",
            "line 24: DependsOn: there is no resource Nobody",
            "line 28: the code cannot be read: missing: not there",
            "line 31: B has no attribute Nothing",
        ]
    );
}

#[test]
fn resources_that_need_each_other() {
    let problems = read(
        "Resources:\n  A:\n    Type: AWS::Bedrock::Agent\n    Properties: {AgentName: !GetAtt B.Arn}\n  B:\n    \
         Type: AWS::IAM::Role\n    DependsOn: A\n",
    )
    .err()
    .expect("is refused");
    assert_eq!(problems, ["line 2: resources need each other: A -> B -> A"]);
}
