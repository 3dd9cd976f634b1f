//! Documents that AWS takes, that only relaxed limits take, and that nobody takes.

use super::*;

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
            schema: json!({"type": "string"}),
        }]
    );
    let error = read(GUIDE, Strictness::Strict).expect_err("no descriptions");
    assert_eq!(
        error.to_string(),
        "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: OrderApi {APISchemaException=['description' is missing for path: /orders/{order_id}/status, attribute paths.'/orders/{order_id}/status'(get).parameters[0].description is missing]}"
    );
}

#[test]
fn bodies_references_and_confirmation_are_read() {
    let document = json!({
        "openapi": "3.0.0",
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

#[test]
fn what_is_wrong_is_named() {
    for (document, fragment) in [
        ("openapi: 3.0.0", "attribute paths is missing"),
        ("[1, 2]", "the document is not an object"),
        (
            "openapi: 2.0\npaths: {}",
            "attribute openapi is missing, expected 3.0.0",
        ),
        (
            "{\"openapi\": \"3.0.0\", \"paths\": {\"/x\": {\"post\": {\"operationId\": \"x\", \"description\": \"d\"}}}}",
            "attribute paths.'/x'(post).responses is missing",
        ),
        (
            "{\"openapi\": \"3.0.0\", \"paths\": {\"/x\": {\"$ref\": \"#/nowhere\"}}}",
            "reference #/nowhere does not lead to a place",
        ),
        ("{\"openapi\": ", "EOF while parsing"),
    ] {
        let error = read(document, Strictness::Relaxed)
            .expect_err(fragment)
            .to_string();
        assert!(error.contains(fragment), "{error}");
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
