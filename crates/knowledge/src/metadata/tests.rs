//! Metadata files in both forms, and what is wrong with others.

use std::sync::Arc;

use outcrop_model::control::MetadataAttribute;
use serde_json::{Value, json};

use super::{Attributes, FILE_BYTES_MAX, MetadataFile, MetadataValue};

fn parse(file: &Value) -> Result<MetadataFile, String> {
    MetadataFile::parse(file.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn both_forms_side_by_side() {
    let file = parse(&json!({"metadataAttributes": {
        "year": 2024,
        "tag": "x",
        "tags": ["a", "b"],
        "public": true,
        "title": {"value": {"type": "STRING", "stringValue": "Leave"}, "includeForEmbedding": true},
        "pages": {"value": {"type": "NUMBER", "numberValue": 3.5}},
        "draft": {"value": {"type": "BOOLEAN", "booleanValue": false}, "includeForEmbedding": false},
        "teams": {
            "value": {"type": "STRING_LIST", "stringListValue": ["hr", "it"]},
            "includeForEmbedding": true,
        },
    }}))
    .expect("it is valid");
    assert_eq!(file.records, None);
    let expected = json!({
        "year": 2024.0, "tag": "x", "tags": ["a", "b"], "public": true, "title": "Leave",
        "pages": 3.5, "draft": false, "teams": ["hr", "it"],
    });
    assert_eq!(
        serde_json::to_value(&file.attributes.metadata).expect("it is JSON"),
        expected
    );
    let text: Arc<str> = "All staff.".into();
    assert_eq!(
        &*file.attributes.text_to_embed(&text),
        "teams: hr, it\ntitle: Leave\n\nAll staff."
    );
}

#[test]
fn a_text_with_nothing_to_embed_before_it_is_the_same_one() {
    let text: Arc<str> = "All staff.".into();
    let same = Attributes::default().text_to_embed(&text);
    assert!(Arc::ptr_eq(&text, &same));
}

#[test]
fn faults_name_the_attribute() {
    let cases = [
        (json!({"a": null}), r#""a" is not valid: it is null"#),
        (
            json!({"a": ["x", 1]}),
            r#""a" is not valid: a list may hold strings only"#,
        ),
        (
            json!({"a": {"x": 1}}),
            r#""a" is not valid: neither a plain value nor an object with type"#,
        ),
        (
            json!({"a": {"value": {"type": "NUMBER", "stringValue": "1"}}}),
            r#""a" is not valid: type is NUMBER but numberValue is missing"#,
        ),
        (
            json!({"a": {"value": {"type": "DATE", "stringValue": "1"}}}),
            r#""a" is not valid: neither a plain value nor an object with type and value"#,
        ),
        (
            json!({"": 1}),
            r#""" is not valid: a name has 1 to 200 characters, not 0"#,
        ),
        (
            json!({"x-amz-bedrock-kb-x": 1}),
            "names that begin with x-amz-bedrock are the service's own",
        ),
    ];
    for (attributes, problem) in cases {
        let error = parse(&json!({"metadataAttributes": attributes})).expect_err(problem);
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn files_that_are_none() {
    for (bytes, problem) in [
        (&b"{"[..], "EOF"),
        (b"[]", "it has no metadataAttributes"),
        (b"\xff\xfe", "expected value"),
        (br#"{"other": 1}"#, "it has no metadataAttributes"),
        (
            br#"{"metadataAttributes": {"a": 1e999}}"#,
            "number out of range",
        ),
    ] {
        let error = MetadataFile::parse(bytes).expect_err(problem).to_string();
        assert!(error.contains(problem), "{error}");
    }
    let large = vec![b' '; FILE_BYTES_MAX + 1];
    let error = MetadataFile::parse(&large)
        .expect_err("too large")
        .to_string();
    assert_eq!(
        error,
        "the metadata file has 10241 bytes, more than the 10240 that are allowed"
    );
    MetadataFile::parse(b"\xef\xbb\xbf{\"metadataAttributes\":{}}").expect("a mark is passed over");
}

#[test]
fn the_columns_of_a_csv_file() {
    let structure = |records: Value| {
        json!({"documentStructureConfiguration": {
            "type": "RECORD_BASED_STRUCTURE_METADATA", "recordBasedStructureMetadata": records,
        }})
    };
    let records = parse(&structure(json!({
        "contentFields": [{"fieldName": "review"}],
        "metadataFieldsSpecification": {
            "fieldsToInclude": [{"fieldName": "stars"}], "fieldsToExclude": [{"fieldName": "id"}],
        },
    })))
    .expect("it is valid")
    .records
    .expect("it has columns");
    assert_eq!(records.content, "review");
    assert_eq!(records.include, Some(vec!["stars".to_owned()]));
    assert_eq!(records.exclude, ["id"]);

    let all = parse(&structure(
        json!({"contentFields": [{"fieldName": "review"}]}),
    ))
    .expect("it is valid")
    .records
    .expect("it has columns");
    assert_eq!((all.include, all.exclude.len()), (None, 0));

    for (fields, got) in [
        (json!([]), 0),
        (json!([{"fieldName": "a"}, {"fieldName": "b"}]), 2),
    ] {
        let error = parse(&structure(json!({"contentFields": fields}))).expect_err("not one");
        assert!(
            error.ends_with(&format!("contentFields must have one member, not {got}")),
            "{error}"
        );
    }
}

#[test]
fn inline_attributes() {
    let attributes = |value: Value| -> Vec<MetadataAttribute> {
        serde_json::from_value(value).expect("it has the API's shape")
    };
    let all = Attributes::inline(&attributes(json!([
        {"key": "year", "value": {"type": "NUMBER", "numberValue": 2024}},
        {"key": "tags", "value": {"type": "STRING_LIST", "stringListValue": ["a"]}},
    ])))
    .expect("they are valid");
    assert_eq!(all.metadata["year"], MetadataValue::Number(2024.0));
    assert_eq!(
        all.metadata["tags"],
        MetadataValue::StringList(vec!["a".to_owned()])
    );
    assert!(all.embedded.is_empty());

    let twice = attributes(json!([
        {"key": "a", "value": {"type": "BOOLEAN", "booleanValue": true}},
        {"key": "a", "value": {"type": "BOOLEAN", "booleanValue": false}},
    ]));
    assert_eq!(
        Attributes::inline(&twice).expect_err("twice").to_string(),
        r#"the metadata attribute "a" is not valid: it is given twice"#
    );
}
