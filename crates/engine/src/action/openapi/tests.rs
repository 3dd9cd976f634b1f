//! Documents that AWS takes, that only relaxed limits take, and that nobody takes.

use serde_json::json;

use super::*;
use crate::action::{ActionParameter, ActionTarget, ParameterType};

/// The `OpenAPI` sample of the public guide, which has no descriptions.
const GUIDE: &str = r#"
openapi: 3.0.0
info:
  title: Order Tools
  version: "1.0"
paths:
  /orders/{order_id}/status:
    get:
      summary: Get shipping status of an order
      operationId: getOrderStatus
      parameters:
        - name: order_id
          in: path
          required: true
          schema: { type: string }
      responses:
        "200":
          description: OK
"#;

fn read(document: &str, strictness: Strictness) -> Result<Vec<Action>, SchemaError> {
    actions("OrderApi", document, &Executor::ReturnControl, strictness)
}

#[test]
fn the_guides_document_needs_relaxed_limits() {
    let actions = read(GUIDE, Strictness::Relaxed).expect("clear enough");
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].tool_name, "GET__OrderApi__getOrderStatus");
    assert_eq!(
        actions[0].description.as_deref(),
        Some("Get shipping status of an order")
    );
    assert_eq!(
        actions[0].parameters,
        [ActionParameter {
            name: "order_id".to_owned(),
            type_: ParameterType::String,
            required: true,
            in_body: false,
            also_in_body: false,
            schema: json!({"type": "string"}),
        }]
    );
    let error = read(GUIDE, Strictness::Strict).expect_err("no descriptions");
    assert_eq!(
        error.to_string(),
        "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: OrderApi {APISchemaException=['description' is missing for path: /orders/{order_id}/status, attribute paths.'/orders/{order_id}/status'(get).parameters.[order_id].description is missing]}"
    );
}

#[test]
fn bodies_references_and_confirmation_are_read() {
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Notes", "version": "1"},
        "paths": {"/notify": {"post": {
            "operationId": "notify", "description": "Remind",
            "x-requireConfirmation": "ENABLED",
            "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}},
            "responses": {}
        }}},
        "components": {"schemas": {"Note": {
            "type": "object", "required": ["claimId"],
            "properties": {
                "claimId": {"type": "string"},
                "documents": {"type": "array"},
                "parent": {"$ref": "#/components/schemas/Note"}
            }
        }}}
    });
    let actions = read(&document.to_string(), Strictness::Strict).expect("valid");
    let action = &actions[0];
    assert!(action.requires_confirmation);
    assert_eq!(
        action.target,
        ActionTarget::Api {
            path: "/notify".to_owned(),
            method: "POST".to_owned(),
            body_media_type: Some("application/json".to_owned()),
        }
    );
    let shapes: Vec<(&str, &str, bool, bool)> = action
        .parameters
        .iter()
        .map(|parameter| {
            (
                parameter.name.as_str(),
                parameter.type_.as_str(),
                parameter.required,
                parameter.in_body,
            )
        })
        .collect();
    assert_eq!(
        shapes,
        [
            ("claimId", "string", true, true),
            ("documents", "array", false, true),
            ("parent", "object", false, true),
        ]
    );
}

/// What is wrong with a document, in one text.
fn details(document: &str, strictness: Strictness) -> Vec<String> {
    match read(document, strictness) {
        Ok(_) => Vec::new(),
        Err(SchemaError::OpenApi { details, .. }) => details,
        Err(other) => vec![other.to_string()],
    }
}

/// A document that strict limits take.
fn complete() -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Orders", "version": "1"},
        "paths": {"/x": {"post": {
            "operationId": "x",
            "description": "Does it.",
            "parameters": [{"name": "id", "in": "query", "description": "Which.", "schema": {"type": "string"}}],
            "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
            "responses": {"200": {"description": "Done."}},
        }}},
    })
}

/// What is done to a complete document, the place that is changed, and what is then said of it.
type Change = (
    &'static str,
    Value,
    &'static [&'static str],
    &'static [&'static str],
);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_missing_or_wrong_attribute_is_named_by_its_place() {
    let operation = "/paths/~1x/post";
    let none: &[&str] = &[];
    let both = |text: &'static [&'static str]| (text, text);
    let strict = |text: &'static [&'static str]| (text, none);
    let change =
        |at: &'static str, to: Value, (strict, relaxed)| -> Change { (at, to, strict, relaxed) };
    let at = |member: &str| -> &'static str { format!("{operation}/{member}").leak() };
    for (at, to, when_strict, when_relaxed) in [
        change("", complete(), both(&[])),
        change(
            "/openapi",
            Value::Null,
            both(&["attribute openapi is missing"]),
        ),
        change(
            "/openapi",
            json!("3.1.0"),
            strict(&["attribute openapi is 3.1.0, expected 3.0.0"]),
        ),
        change("/openapi", json!("3.0.3"), both(&[])),
        change(
            "/openapi",
            json!(3.1),
            strict(&["attribute openapi is 3.1, expected 3.0.0"]),
        ),
        change(
            "/openapi",
            json!("2.0"),
            both(&["attribute openapi is 2.0, expected 3.0.0"]),
        ),
        change("/info", Value::Null, strict(&["attribute info is missing"])),
        change(
            "/info",
            json!({}),
            strict(&[
                "attribute info.title is missing",
                "attribute info.version is missing",
            ]),
        ),
        change("/paths", Value::Null, both(&["attribute paths is missing"])),
        change(
            "/paths",
            json!({}),
            both(&["attribute paths holds no operation"]),
        ),
        change(
            "/paths/~1x/post",
            json!("do it"),
            both(&["attribute paths.'/x'(post) is not of type `object`"]),
        ),
        change(
            at("responses"),
            Value::Null,
            both(&["attribute paths.'/x'(post).responses is missing"]),
        ),
        change(
            at("responses"),
            json!({"200": {}}),
            strict(&["attribute paths.'/x'(post).responses.200.description is missing"]),
        ),
        change(
            at("description"),
            Value::Null,
            strict(&["'description' is missing for path: /x"]),
        ),
        change(
            at("operationId"),
            Value::Null,
            strict(&["attribute paths.'/x'(post).operationId is missing"]),
        ),
        change(
            at("parameters"),
            json!([{"in": "query"}]),
            both(&["attribute paths.'/x'(post).parameters.['unknown'].name is missing"]),
        ),
        change(
            at("parameters"),
            json!([{"name": "id", "description": "Which."}]),
            strict(&["attribute paths.'/x'(post).parameters.[id].in is missing"]),
        ),
        change(
            at("parameters"),
            json!([{"name": "id", "in": "query"}]),
            strict(&["attribute paths.'/x'(post).parameters.[id].description is missing"]),
        ),
        change(
            at("parameters"),
            json!([{"name": "id", "in": "cookie"}]),
            strict(&[
                "attribute paths.'/x'(post).parameters.[id].in is cookie, which an agent cannot send",
                "attribute paths.'/x'(post).parameters.[id].description is missing",
            ]),
        ),
        change(
            at("parameters"),
            json!([{"name": "id", "in": "body", "description": "Which."}]),
            both(&[
                "attribute paths.'/x'(post).parameters.[id].in is body, expected path, query, header or cookie",
            ]),
        ),
        change(
            at("parameters"),
            json!({"name": "id"}),
            both(&["attribute paths.'/x'(post).parameters is not of type `array`"]),
        ),
        change(
            at("parameters"),
            json!([{"name": "id", "in": "query", "description": "d", "schema": {"type": "int"}}]),
            strict(&[
                "attribute paths.'/x'(post).parameters.[id] type of id is \"int\", expected string, number, integer, boolean, array or object",
            ]),
        ),
        change(
            at("x-requireConfirmation"),
            json!("always"),
            both(&[
                "attribute paths.'/x'(post).x-requireConfirmation is \"always\", expected ENABLED or DISABLED",
            ]),
        ),
        change(
            at("x-requireConfirmation"),
            json!(true),
            strict(&[
                "attribute paths.'/x'(post).x-requireConfirmation is true, expected ENABLED or DISABLED",
            ]),
        ),
        change(
            "/paths/~1y~1{id}",
            json!({"get": {"operationId": "y", "description": "d", "responses": {}}}),
            strict(&[
                "attribute paths.'/y/{id}'. Declared path parameter id needs to be defined as a path or operation level parameter",
            ]),
        ),
        change(
            at("requestBody"),
            json!({}),
            both(&["attribute paths.'/x'(post).requestBody.content is missing"]),
        ),
        change(
            at("requestBody"),
            json!({"content": {"application/json": {"schema": {"properties": {"id": {"type": "integer"}}}}}}),
            both(&[
                "attribute paths.'/x'(post).requestBody property id of type integer has the name of a parameter of type string",
            ]),
        ),
        change(
            "/paths/x",
            json!({"get": {"operationId": "y", "description": "d", "responses": {}}}),
            both(&["attribute paths. Resource x should start with /"]),
        ),
        change(
            "/paths/~1y",
            json!({"get": {"operationId": "x", "description": "d", "responses": {}}}),
            strict(&["attribute paths.'/y'(get).operationId is repeated"]),
        ),
        change(
            "/paths/~1y",
            json!({"delete": {
                "operationId": "y", "description": "d", "responses": {},
                "requestBody": {"content": {"application/json": {"schema": {}}}},
            }}),
            strict(&["attribute paths.'/y'(delete).requestBody is unsupported"]),
        ),
        change(
            "/paths/~1y",
            json!({"$ref": "#/nowhere"}),
            both(&["reference #/nowhere does not lead to a place in this document"]),
        ),
    ] {
        let mut document = complete();
        set(&mut document, at, to);
        let document = document.to_string();
        assert_eq!(
            details(&document, Strictness::Strict),
            when_strict,
            "{at}, strict"
        );
        assert_eq!(
            details(&document, Strictness::Relaxed),
            when_relaxed,
            "{at}, relaxed"
        );
    }
}

/// Sets the member a pointer names, or removes it.
fn set(document: &mut Value, pointer: &str, to: Value) {
    let Some((holder, member)) = pointer.rsplit_once('/') else {
        *document = to;
        return;
    };
    let holder = document
        .pointer_mut(holder)
        .expect("a place of the document");
    let holder = holder.as_object_mut().expect("an object");
    let member = member.replace("~1", "/");
    match to {
        Value::Null => holder.remove(&member),
        to => holder.insert(member, to),
    };
}

#[test]
fn what_is_no_document_is_refused_with_the_place() {
    for (document, detail) in [
        ("[1, 2]", "the document is not an object"),
        ("just text", "the document is not an object"),
        (
            "{\"openapi\": ",
            "EOF while parsing a value at line 1 column 12",
        ),
        (
            "{\n  \"openapi\" \"3.0.0\"}",
            "expected `:` at line 2 column 13",
        ),
        (
            "openapi: 3.0.0\npaths:\n  /x: [",
            "did not find expected node content at line 4 column 1, while parsing a flow node",
        ),
        (
            "openapi: 2.0\npaths: {}",
            "attribute openapi is 2.0, expected 3.0.0",
        ),
    ] {
        let said = details(document, Strictness::Relaxed).join(", ");
        assert!(said.starts_with(detail), "{document}: {said}");
    }
}

#[test]
fn an_expansion_bomb_is_refused() {
    let mut schemas = Map::new();
    schemas.insert("L0".to_owned(), json!({"type": "string"}));
    for level in 1..12 {
        let reference = json!({"$ref": format!("#/components/schemas/L{}", level - 1)});
        let properties: Map<String, Value> = (0..10)
            .map(|index| (format!("p{index}"), reference.clone()))
            .collect();
        schemas.insert(format!("L{level}"), json!({"properties": properties}));
    }
    let document = json!({
        "openapi": "3.0.0",
        "paths": {"/x": {"post": {
            "operationId": "x", "description": "d", "responses": {},
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/L11"}}}}
        }}},
        "components": {"schemas": schemas}
    });
    let error = read(&document.to_string(), Strictness::Relaxed).expect_err("a bomb");
    assert!(
        error
            .to_string()
            .contains("too large once its references are resolved")
    );
}

/// The one action of a document made of one operation, its path's own members and components.
#[expect(clippy::needless_pass_by_value, reason = "callers write them in place")]
fn one(path: &str, item: Value, components: Value) -> Action {
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "t", "version": "1"},
        "paths": {path: item}, "components": components});
    let mut actions =
        read(&document.to_string(), Strictness::Strict).expect("strict limits take it");
    assert_eq!(actions.len(), 1);
    actions.remove(0)
}

fn shapes(action: &Action) -> Vec<(&str, &str, bool, bool, bool)> {
    action
        .parameters
        .iter()
        .map(|parameter| {
            (
                parameter.name.as_str(),
                parameter.type_.as_str(),
                parameter.required,
                parameter.in_body,
                parameter.also_in_body,
            )
        })
        .collect()
}

#[test]
fn references_lead_everywhere() {
    let action = one(
        "/orders/{id}",
        json!({"$ref": "#/components/x-items/Order"}),
        json!({
            "x-items": {"Order": {
                "parameters": [{"$ref": "#/components/parameters/Id"}],
                "put": {
                    "operationId": "putOrder", "description": "Puts.",
                    "parameters": [{"name": "X-Tenant", "in": "header", "description": "Whose.",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/My%20Tenant"}}}}],
                    "requestBody": {"$ref": "#/components/requestBodies/Order"},
                    "responses": {"200": {"$ref": "#/components/responses/Done"}},
                },
            }},
            "parameters": {"Id": {"name": "id", "in": "path", "required": true, "description": "Which.",
                "schema": {"type": "string"}}},
            "requestBodies": {"Order": {"content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/vnd.order+json": {"schema": {"$ref": "#/components/schemas/Order"}}}}},
            "responses": {"Done": {"description": "Done."}},
            "schemas": {
                "My Tenant": {"type": "integer", "enum": [1, 2], "default": 1, "x-more": true},
                "Order": {"required": ["lines"], "properties": {
                    "id": {"type": "string"},
                    "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
                    "parent": {"$ref": "#/components/schemas/Order", "description": "The one before."}}},
                "Line": {"type": "object", "properties": {"count": {"type": "integer", "nullable": true}}},
            },
        }),
    );
    assert_eq!(
        shapes(&action),
        [
            ("X-Tenant", "integer", false, false, false),
            ("id", "string", true, false, true),
            ("lines", "array", true, true, false),
            ("parent", "object", false, true, false),
        ]
    );
    let schema = |index: usize| &action.parameters[index].schema;
    assert_eq!(
        schema(0),
        &json!({"type": "integer", "enum": [1, 2], "default": 1, "description": "Whose."})
    );
    assert_eq!(
        schema(2),
        &json!({"type": "array", "items": {"type": "object", "properties": {"count": {"type": "integer"}}}})
    );
    assert_eq!(
        schema(3),
        &json!({"type": "object", "description": "The one before."})
    );
    let ActionTarget::Api {
        body_media_type, ..
    } = &action.target
    else {
        panic!("an operation");
    };
    assert_eq!(
        body_media_type.as_deref(),
        Some("application/vnd.order+json")
    );
}

#[test]
fn combined_schemas_are_made_one_where_that_is_clear() {
    let action = one(
        "/orders",
        json!({"post": {
            "operationId": "order", "description": "Orders.", "responses": {},
            "requestBody": {"content": {"application/json": {"schema": {"allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"type": "object", "required": ["note"], "properties": {
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Note"},
                    "size": {"oneOf": [{"type": "integer"}, {"enum": ["S", "M"]}]},
                    "since": {"type": ["integer", "null"], "minimum": 0, "exclusiveMinimum": true},
                    "kind": {"const": "new"},
                    "when": {"type": "string", "required": true},
                    "tags": {"type": "array"}}}]}}}}}}),
        json!({"schemas": {"Base": {"type": "object", "required": ["base"], "properties": {
            "base": {"type": "boolean"}, "note": {"type": "integer", "description": "first"}}}}}),
    );
    assert_eq!(
        shapes(&action),
        [
            ("base", "boolean", true, true, false),
            ("kind", "string", false, true, false),
            ("note", "integer", true, true, false),
            ("since", "integer", false, true, false),
            ("size", "integer", false, true, false),
            ("tags", "array", false, true, false),
            ("when", "string", true, true, false),
        ]
    );
    let schema = |name: &str| {
        let mut found = action.parameters.iter().filter(|it| it.name == name);
        &found.next().expect("it is there").schema
    };
    assert_eq!(schema("kind"), &json!({"enum": ["new"], "type": "string"}));
    assert_eq!(
        schema("since"),
        &json!({"type": "integer", "exclusiveMinimum": 0})
    );
    assert_eq!(
        schema("size"),
        &json!({"oneOf": [{"type": "integer"}, {"enum": ["S", "M"]}]})
    );
    assert_eq!(schema("tags"), &json!({"type": "array", "items": {}}));
    assert_eq!(schema("when"), &json!({"type": "string"}));
}

#[test]
fn a_body_is_its_alternatives_or_itself() {
    let body = |schema: Value| {
        one(
            "/x",
            json!({"post": {"operationId": "x", "description": "d", "responses": {},
                "requestBody": {"required": true, "content": {"text/csv": {"schema": schema}}}}}),
            json!({}),
        )
    };
    let either = body(json!({"oneOf": [
        {"type": "object", "required": ["id", "kind"], "properties": {"id": {"type": "string"}, "kind": {"type": "string"}}},
        {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}, "size": {"type": "number"}}}]}));
    assert_eq!(
        shapes(&either),
        [
            ("id", "string", false, true, false),
            ("kind", "string", true, true, false),
            ("size", "number", false, true, false),
        ]
    );
    let list = body(json!({"type": "array", "items": {"type": "string"}}));
    assert_eq!(shapes(&list), [("body", "array", true, true, false)]);
    assert_eq!(
        shapes(&body(json!({}))),
        [("body", "string", true, true, false)]
    );
}

#[test]
fn what_relaxed_limits_take_instead_is_said() {
    let reading = super::read("OrderApi", GUIDE, &Executor::ReturnControl);
    let said: Vec<(Option<&str>, Option<&str>)> = reading
        .problems
        .iter()
        .map(|problem| (problem.action.as_deref(), problem.instead.as_deref()))
        .collect();
    let action = Some("GET /orders/{order_id}/status");
    assert_eq!(
        said,
        [
            (action, Some("its summary serves as description")),
            (action, Some("its name has to say it all")),
        ]
    );
}

#[test]
fn yaml_with_numbers_as_keys_and_a_mark_in_front_is_read() {
    let document = "\u{feff}openapi: 3.0.0\ninfo: {title: t, version: 1}\nx-more: 1\npaths:\n  x-note: text\n  /x:\n    get:\n      operationId: x\n      description: d\n      responses:\n        200:\n          description: ok\n";
    assert_eq!(details(document, Strictness::Strict), Vec::<String>::new());
}

#[test]
fn references_in_a_circle_end() {
    let document = json!({
        "openapi": "3.0.0",
        "paths": {"/x": {"post": {
            "operationId": "x", "description": "d", "responses": {},
            "parameters": [{"$ref": "#/components/parameters/A"}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}}},
        "components": {
            "parameters": {"A": {"$ref": "#/components/parameters/B"}, "B": {"$ref": "#/components/parameters/A"}},
            "schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}}});
    assert_eq!(
        details(&document.to_string(), Strictness::Relaxed),
        ["references lead from one to the next without an end"]
    );
}
