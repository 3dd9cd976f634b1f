//! What filters are refused, what they mean, how they explain themselves.

use outcrop_model::runtime::RetrievalFilter;
use serde_json::{Value, json};

use super::{Condition, Filter, Limits};
use crate::metadata::{Metadata, MetadataValue};

fn parse(filter: Value, limits: Limits) -> Result<Filter, String> {
    let filter: RetrievalFilter = serde_json::from_value(filter).expect("it has the API's shape");
    Filter::parse(&filter, limits).map_err(|error| error.to_string())
}

fn relaxed(filter: Value) -> Filter {
    parse(filter, Limits::RELAXED).expect("it is valid")
}

fn document(attributes: Value) -> Metadata {
    serde_json::from_value(attributes).expect("they are attributes")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn condition(operator: &str, key: &str, value: Value) -> Value {
    json!({operator: {"key": key, "value": value}})
}

#[test]
fn every_operator_on_every_kind_of_value() {
    let cat = document(json!({
        "animal": "cat", "year": 2020, "wild": false, "tags": ["big cat", "pet"], "code": "7",
    }));
    let cases = [
        ("equals", "animal", json!("cat"), true),
        ("equals", "animal", json!("Cat"), false),
        ("equals", "year", json!(2020.0), true),
        ("equals", "code", json!(7), false),
        ("equals", "wild", json!(false), true),
        ("equals", "tags", json!(["big cat", "pet"]), true),
        ("equals", "tags", json!("pet"), false),
        ("equals", "missing", json!("cat"), false),
        ("notEquals", "animal", json!("cat"), false),
        ("notEquals", "animal", json!("dog"), true),
        ("notEquals", "year", json!("2020"), true),
        ("notEquals", "missing", json!("cat"), true),
        ("greaterThan", "year", json!(2019), true),
        ("greaterThan", "year", json!(2020), false),
        ("greaterThan", "code", json!(1), false),
        ("greaterThan", "missing", json!(1), false),
        ("greaterThanOrEquals", "year", json!(2020), true),
        ("greaterThanOrEquals", "year", json!(2020.5), false),
        ("lessThan", "year", json!(2021), true),
        ("lessThan", "year", json!(2020), false),
        ("lessThan", "missing", json!(2020), false),
        ("lessThanOrEquals", "year", json!(2020), true),
        ("lessThanOrEquals", "year", json!(2019), false),
        ("in", "animal", json!(["dog", "cat"]), true),
        ("in", "animal", json!(["dog"]), false),
        ("in", "year", json!([1, 2020]), true),
        ("in", "tags", json!(["pet"]), false),
        ("in", "missing", json!(["dog"]), false),
        ("notIn", "animal", json!(["dog", "cat"]), false),
        ("notIn", "animal", json!(["dog"]), true),
        ("notIn", "missing", json!(["dog"]), true),
        ("startsWith", "animal", json!("ca"), true),
        ("startsWith", "animal", json!("at"), false),
        ("startsWith", "animal", json!("CA"), false),
        ("startsWith", "tags", json!("pe"), false),
        ("listContains", "tags", json!("pet"), true),
        ("listContains", "tags", json!("pe"), false),
        ("listContains", "animal", json!("cat"), false),
        ("stringContains", "animal", json!("at"), true),
        ("stringContains", "tags", json!("cat"), true),
        ("stringContains", "tags", json!("dog"), false),
        ("stringContains", "year", json!("2"), false),
        ("stringContains", "missing", json!(""), false),
    ];
    for (operator, key, value, expected) in cases {
        let filter = relaxed(condition(operator, key, value.clone()));
        assert_eq!(filter.matches(&cat), expected, "{operator} {key} {value}");
        assert_eq!(
            filter.explain(&cat).is_empty(),
            expected,
            "{operator} {key} {value}"
        );
    }
}

#[test]
fn groups_and_their_explanations() {
    let old_dog = document(json!({"animal": "dog", "year": 1990}));
    let filter = relaxed(json!({"andAll": [
        {"orAll": [
            {"equals": {"key": "animal", "value": "cat"}},
            {"equals": {"key": "tame", "value": true}},
        ]},
        {"greaterThan": {"key": "year", "value": 2000}},
        {"notIn": {"key": "animal", "value": ["dog", 3]}},
    ]}));
    assert!(!filter.matches(&old_dog));
    let told: Vec<String> = filter
        .explain(&old_dog)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            r#"andAll[0].orAll[0]: animal equals "cat", but the document has "dog""#,
            "andAll[0].orAll[1]: tame equals true, but the document has no such attribute",
            "andAll[1]: year greaterThan 2000, but the document has 1990",
            r#"andAll[2]: animal notIn ["dog", 3], but the document has "dog""#,
        ]
    );
    let tame = document(json!({"tame": true, "year": 2001}));
    assert!(filter.matches(&tame));
    assert!(filter.explain(&tame).is_empty());
    assert_eq!(
        filter.keys().into_iter().collect::<Vec<_>>(),
        ["animal", "tame", "year"]
    );
}

#[test]
fn several_filters_are_one() {
    let a = relaxed(condition("equals", "a", json!(1)));
    let b = relaxed(condition("equals", "b", json!(2)));
    assert_eq!(Filter::all_of([]), None);
    assert_eq!(Filter::all_of([a.clone()]), Some(a.clone()));
    assert_eq!(
        Filter::all_of([a.clone(), b.clone()]),
        Some(Filter::All(vec![a, b]))
    );
}

#[test]
fn faults_are_told_with_their_path() {
    let one = condition("equals", "a", json!(1));
    let cases = [
        (
            json!({"andAll": [one, {"greaterThan": {"key": "year", "value": "2019"}}]}),
            "andAll[1].greaterThan.value must be a number, not a string",
        ),
        (
            json!({"orAll": [{"andAll": [one]}, one]}),
            "orAll[0].andAll must have at least 2 members",
        ),
        (
            condition("in", "a", json!("cat")),
            "in.value must be a list of strings, numbers or booleans, not a string",
        ),
        (
            condition("in", "a", json!([])),
            "in.value must have 1 to 1000 values, not 0",
        ),
        (
            condition("notIn", "a", json!(["x", {}])),
            "notIn.value[1] is an object; the value must be a list of strings, numbers or booleans",
        ),
        (
            condition("equals", "a", json!(null)),
            "equals.value must be a string, a number, a boolean or a list of strings, not null",
        ),
        (
            condition("equals", "a", json!([1])),
            "equals.value[0] is a number; the value must be a list of strings",
        ),
        (
            condition("startsWith", "a", json!(1)),
            "startsWith.value must be a string, not a number",
        ),
        (
            condition("equals", "", json!(1)),
            "equals.key must have 1 to 100 characters, not 0",
        ),
        (
            condition("equals", &"k".repeat(101), json!(1)),
            "equals.key must have 1 to 100 characters, not 101",
        ),
    ];
    for (filter, problem) in cases {
        assert_eq!(
            parse(filter, Limits::AWS).expect_err(problem),
            format!("The filter is not valid: {problem}.")
        );
    }
}

#[test]
fn the_limits_of_aws_and_the_relaxed_ones() {
    let one = condition("equals", "a", json!(1));
    let six = json!({"andAll": vec![one.clone(); 6]});
    let problem = "The filter is not valid: andAll must have at most 5 members, not 6.";
    assert_eq!(
        parse(six.clone(), Limits::AWS).expect_err("too many"),
        problem
    );
    relaxed(six);

    let nest = |inner: Value| json!({"orAll": [inner, one]});
    let two = nest(nest(one.clone()));
    parse(two.clone(), Limits::AWS).expect("a group of groups is fine");
    let problem = "The filter is not valid: orAll[0].orAll[0].orAll is nested too deeply: at most 2 \
                   groups within one another are allowed.";
    assert_eq!(
        parse(nest(two.clone()), Limits::AWS).expect_err("too deep"),
        problem
    );
    relaxed(nest(two));
    let deep = (0..11).fold(one.clone(), |inner, _| nest(inner));
    parse(deep, Limits::RELAXED).expect_err("deeper than ten");

    let wide = json!({"andAll": [
        {"orAll": vec![one.clone(); 600]}, {"orAll": vec![one.clone(); 600]},
    ]});
    let error = parse(wide, Limits::RELAXED).expect_err("too many conditions");
    assert!(
        error.contains("andAll[1].orAll[400].equals is one condition too many"),
        "{error}"
    );
}

#[test]
fn what_a_filter_is_stored_as_stays() {
    let filter = Filter::Any(vec![
        Filter::Attribute {
            key: "a".to_owned(),
            condition: Condition::In(vec![MetadataValue::Number(1.0)]),
        },
        Filter::Attribute {
            key: "b".to_owned(),
            condition: Condition::StartsWith("x".to_owned()),
        },
    ]);
    let stored = json!({"Any": [
        {"Attribute": {"key": "a", "condition": {"In": [1.0]}}},
        {"Attribute": {"key": "b", "condition": {"StartsWith": "x"}}},
    ]});
    assert_eq!(serde_json::to_value(&filter).expect("it is JSON"), stored);
    assert_eq!(
        serde_json::from_value::<Filter>(stored).expect("it is a filter"),
        filter
    );
}
