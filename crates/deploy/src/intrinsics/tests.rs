//! Each function, what it gives and how it is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::files::Code;
use crate::template::parse;

struct Fixed;

impl Lookup for Fixed {
    fn reference(&self, resource: &str) -> Option<Found> {
        match resource {
            "Made" => Some(Found::Value(Node::text(Mark::default(), "made-id"))),
            "New" => Some(Found::Later("New".to_owned())),
            _ => None,
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<Found, String> {
        match (resource, attribute) {
            ("Made", "Arn" | "Nested.Name") => Ok(Found::Value(Node::text(
                Mark::default(),
                format!("{attribute}-of-made"),
            ))),
            ("New", _) => Ok(Found::Later(format!("New.{attribute}"))),
            _ => Err(format!("{resource} has no attribute {attribute}")),
        }
    }
}

impl Files for Fixed {
    fn text(&self, path: &str) -> Result<String, String> {
        if path == "a.txt" {
            Ok("text of a\n".to_owned())
        } else {
            Err(format!("{path}: not there"))
        }
    }

    fn code(&self, path: &str) -> Result<Code, String> {
        Err(path.to_owned())
    }
}

fn evaluate(text: &str) -> (Value, Vec<String>) {
    let root = parse(text).expect("reads");
    let parameters = BTreeMap::from([
        ("Stage".to_owned(), Node::text(Mark::default(), "dev")),
        (
            "Zones".to_owned(),
            Node::new(
                Mark::default(),
                Content::List(
                    ["a", "b"]
                        .map(|zone| Node::text(Mark::default(), zone))
                        .into(),
                ),
            ),
        ),
    ]);
    let pseudo = Pseudo {
        account_id: "111111111111".to_owned(),
        region: "us-west-2".to_owned(),
        stack_name: "shop".to_owned(),
    };
    let exports = BTreeMap::from([("shared-kb".to_owned(), "KB12345678".to_owned())]);
    let mut scope = Scope {
        parameters: &parameters,
        mappings: root.get("Mappings"),
        conditions: &BTreeMap::new(),
        pseudo: &pseudo,
        exports: Some(&exports),
        imported: &RefCell::default(),
        files: &Fixed,
        lookup: &Fixed,
    };
    let mut problems = Vec::new();
    let outcomes = conditions(root.get("Conditions"), &scope, &mut problems);
    scope.conditions = &outcomes;
    let value = root.get("V").expect("V");
    let value = scope.evaluate(value, &mut problems);
    let problems = problems.iter().map(ToString::to_string).collect();
    (value.to_json(), problems)
}

#[test]
fn values() {
    for (text, expected) in [
        ("!Ref Stage", json!("dev")),
        ("!Ref Made", json!("made-id")),
        ("!Ref AWS::Region", json!("us-west-2")),
        ("!Ref AWS::Partition", json!("aws")),
        ("!Ref AWS::URLSuffix", json!("amazonaws.com")),
        ("!GetAtt Made.Arn", json!("Arn-of-made")),
        ("!GetAtt Made.Nested.Name", json!("Nested.Name-of-made")),
        (
            "!Sub 'arn:${AWS::AccountId}:${Made.Arn}/${Stage}-${!x}'",
            json!("arn:111111111111:Arn-of-made/dev-${x}"),
        ),
        (
            "!Sub ['${a}-${Stage}', {a: !Ref Made}]",
            json!("made-id-dev"),
        ),
        ("!Join ['-', [a, !Ref Stage, 3]]", json!("a-dev-3")),
        ("!Join [',', !Ref Zones]", json!("a,b")),
        ("!Select [1, !Ref Zones]", json!("b")),
        ("!Select ['0', !Split [':', 'x:y']]", json!("x")),
        ("!Split ['|', 'a|b']", json!(["a", "b"])),
        ("!ImportValue shared-kb", json!("KB12345678")),
        ("!ImportValue {'Fn::Sub': 'shared-kb'}", json!("KB12345678")),
        ("!File a.txt", json!("text of a\n")),
        ("!Base64 light work.", json!("bGlnaHQgd29yay4=")),
        (
            "{a: !Ref AWS::NoValue, b: [!Ref AWS::NoValue, 1]}",
            json!({"b": [1]}),
        ),
        (
            "!FindInMap [Models, !Ref AWS::Region, id]",
            json!("anthropic.x"),
        ),
        (
            "!FindInMap [Models, elsewhere, id, {DefaultValue: !Ref Stage}]",
            json!("dev"),
        ),
        ("!If [IsDev, !Ref Stage, !Ref Missing]", json!("dev")),
        ("!If [Both, 1, {a: !If [IsDev, 2, 3]}]", json!({"a": 2})),
        ("!Ref New", json!({"$later": "New"})),
        ("!Sub '${New.Arn}/x'", json!({"$later": "New.Arn"})),
        (
            "!Join ['', [a, !GetAtt New.Arn]]",
            json!({"$later": "New.Arn"}),
        ),
        (
            "!Select [0, !Split ['|', !Ref New]]",
            json!({"$later": "New"}),
        ),
    ] {
        let sections = "Mappings: {Models: {us-west-2: {id: anthropic.x}}}\n\
            Conditions:\n  IsDev: !Equals [!Ref Stage, dev]\n  Not: !Not [!Condition IsDev]\n  \
            Both: !And [!Condition IsDev, !Condition Not]\n  Any: !Or [!Condition Both, !Condition IsDev]\n";
        let (value, problems) = evaluate(&format!("{sections}V: {text}\n"));
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        assert_eq!(value, expected, "{text}");
    }
}

#[test]
fn problems_have_lines_and_come_all_at_once() {
    let (_, problems) = evaluate(
        "V:\n  a: !Ref Missing\n  b: !GetAtt Made.Nothing\n  c: !Cidr [a, b]\n  d: !ImportValue none\n  \
         e: !Select [4, [a]]\n  f: !If [NoSuch, 1, 2]\n  g: !File b.txt\n  h: !Sub '${x'\n  i: !Join [a]\n  \
         j: !FindInMap [M, a, b]\n  k: !Sub '${Zones}'\n",
    );
    assert_eq!(
        problems,
        [
            "line 2: there is no parameter or resource Missing",
            "line 3: Made has no attribute Nothing",
            "line 4: the intrinsic Fn::Cidr is not supported; there are Ref, Fn::GetAtt, Fn::Sub, \
             Fn::Join, Fn::Select, Fn::Split, Fn::If, Fn::FindInMap, Fn::ImportValue, Fn::File, Fn::Base64",
            "line 5: no stack of this server exports none",
            "line 6: Fn::Select asks for element 4 of 1",
            "line 7: there is no condition NoSuch",
            "line 8: the file cannot be read: b.txt: not there",
            "line 9: Fn::Sub: a ${ has no closing brace",
            "line 10: Fn::Join takes a separator and a list of texts",
            "line 11: the mapping M has no value for a, b",
            "line 12: Fn::Sub: ${Zones} is a list, not text",
        ]
    );
}

#[test]
fn conditions_that_cannot_be_known() {
    let (_, problems) = evaluate(
        "Conditions:\n  A: !Condition B\n  B: !Condition A\n  C: !Condition None\n  D: !Cidr [a]\n  E: yes\nV: 1\n",
    );
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert_eq!(problems[0], "line 3: the condition A depends on itself");
    assert_eq!(problems[2], "line 4: there is no condition None");
}
