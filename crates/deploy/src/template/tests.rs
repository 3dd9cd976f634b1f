//! Sections, parameters and SAM.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn read(text: &str) -> (Template, Vec<String>) {
    let mut problems = Vec::new();
    let template = Template::read(&parse(text).expect("reads"), &mut problems);
    (template, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn everything_wrong_with_the_form_is_told_at_once() {
    let (_, problems) = read(
        "Hooks: {}\nTransform: AWS::LanguageExtensions\nResources:\n  A: {Properties: {}}\n  b-c: {Type: x}\n  \
         D: {Type: AWS::Serverless::Function, CreationPolicy: {}, DeletionPolicy: Snapshot}\nOutputs:\n  O: {}\n",
    );
    assert_eq!(
        problems,
        [
            "line 1: the section Hooks is not supported",
            "line 2: the transform AWS::LanguageExtensions is not supported; there is AWS::Serverless-2016-10-31",
            "line 4: the resource A has no Type",
            "line 5: a logical id has letters and digits only, b-c has others",
            "line 6: the attribute CreationPolicy is not supported",
            "line 6: DeletionPolicy is Delete or Retain",
            "line 6: AWS::Serverless::Function needs `Transform: AWS::Serverless-2016-10-31`",
            "line 8: the output O has no Value",
        ]
    );
}

#[test]
fn sam_merges_globals_and_makes_roles() {
    let (template, problems) = read(
        "Transform: AWS::Serverless-2016-10-31\nGlobals:\n  Function:\n    Runtime: python3.12\n    \
         Environment: {Variables: {A: 1, B: 2}}\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    \
         Properties: {Handler: app.h, Environment: {Variables: {B: 3}}}\n  G:\n    \
         Type: AWS::Serverless::Function\n    Properties: {Role: arn, Runtime: python3.13}\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let shown: Vec<_> = template
        .resources
        .iter()
        .map(|one| (one.logical.text.as_str(), one.properties.to_json()))
        .collect();
    assert_eq!(
        shown,
        [
            (
                "F",
                json!({"Handler": "app.h", "Runtime": "python3.12", "Environment": {"Variables": {"A": 1, "B": 3}}})
            ),
            (
                "G",
                json!({"Role": "arn", "Runtime": "python3.13", "Environment": {"Variables": {"A": 1, "B": 2}}})
            ),
            ("FRole", json!({})),
        ]
    );
}

#[test]
fn parameters() {
    let text = "P:\n  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}\n  \
        Ttl: {Type: Number, Default: 600, MinValue: 60, MaxValue: 3600}\n  \
        Zones: {Type: CommaDelimitedList, Default: 'a, b'}\n  \
        Name: {Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: small letters only}\n  \
        Boot: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /cdk-bootstrap/version}\n  \
        Secret: {Type: String, NoEcho: true, MinLength: 4, Default: long enough}\n";
    let root = parse(text).expect("reads");
    let check = |given: &[(&str, &str)]| {
        let given: BTreeMap<String, String> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut problems = Vec::new();
        let values = parameter_values(root.get("P"), &given, &mut problems);
        let values: BTreeMap<String, serde_json::Value> = values
            .into_iter()
            .map(|(name, node)| (name, node.to_json()))
            .collect();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        (json!(values), problems)
    };
    assert_eq!(
        check(&[("Name", "x"), ("Ttl", "60")]),
        (
            json!({"Stage": "dev", "Ttl": "60", "Zones": ["a", "b"], "Name": "x", "Secret": "long enough"}),
            vec![]
        )
    );
    let (_, problems) = check(&[
        ("Stage", "test"),
        ("Ttl", "5000"),
        ("Name", "X"),
        ("None", "1"),
        ("Secret", "x"),
    ]);
    assert_eq!(
        problems,
        [
            "the template has no parameter None",
            "line 2: the parameter Stage: test is not one of dev, prod",
            "line 3: the parameter Ttl: 5000 is above 3600",
            "line 5: the parameter Name: X is refused: small letters only",
            "line 7: the parameter Secret: its value has the wrong length",
        ]
    );
    let (_, problems) = check(&[]);
    assert_eq!(
        problems,
        ["line 5: the parameter Name has no value and no default"]
    );
}
