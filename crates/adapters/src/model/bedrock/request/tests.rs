//! Request bodies of Converse, whole.

use expect_test::{Expect, expect};
use outcrop_engine::port::{ConverseFields, Delivery, PromptCache};
use serde_json::json;

use super::*;
use crate::model::fixture::{full_request, messages, pretty, request};

fn check(request: &ModelRequest, expected: &Expect) {
    expected.assert_eq(&pretty(&body(request).expect("a body")));
}

/// The members of a body that bring cache points.
fn cached(model: &str) -> Value {
    let mut request = full_request(model);
    request.cache = PromptCache::StablePrefix;
    let body: Value = serde_json::from_slice(&body(&request).expect("a body")).expect("JSON");
    let lasts: Vec<&Value> = body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| {
            message["content"]
                .as_array()
                .expect("content")
                .last()
                .expect("a block")
        })
        .collect();
    json!([
        body["toolConfig"]["tools"][2],
        body["system"][1],
        lasts[0],
        lasts[2]
    ])
}

#[test]
fn cache_points_end_what_comes_again() {
    let point = json!({"cachePoint": {"type": "default"}});
    assert_eq!(
        cached("anthropic.claude-sonnet-4-20250514-v1:0"),
        json!([point, point, point, point])
    );
    assert_eq!(
        cached("us.amazon.nova-lite-v1:0"),
        json!([null, point, point, point])
    );
}

#[test]
fn what_only_converse_says_is_passed() {
    let mut request = request("amazon.nova-lite-v1:0");
    request.latency = Some(Latency::Optimized);
    request.system_blocks = serde_json::from_value(
        json!([{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]),
    )
    .expect("blocks");
    request.fields = Some(Box::new(ConverseFields {
        request_metadata: BTreeMap::from([("team".to_owned(), "x".to_owned())]),
        response_field_paths: vec!["/stop_sequence".to_owned()],
        ..ConverseFields::default()
    }));
    check(
        &request,
        &expect![[r#"
        {
          "additionalModelResponseFieldPaths": [
            "/stop_sequence"
          ],
          "messages": [
            {
              "content": [
                {
                  "text": "Hello"
                }
              ],
              "role": "user"
            }
          ],
          "performanceConfig": {
            "latency": "optimized"
          },
          "requestMetadata": {
            "team": "x"
          },
          "system": [
            {
              "text": "a"
            },
            {
              "cachePoint": {
                "type": "default"
              }
            },
            {
              "text": "b"
            }
          ]
        }
    "#]],
    );
}

/// Claude takes what its vendor has signed, the others what nobody has.
#[test]
fn reasoning_goes_back_to_its_own_kind() {
    for (model, signed, kept) in [
        ("anthropic.claude-sonnet-4-20250514-v1:0", true, true),
        ("anthropic.claude-sonnet-4-20250514-v1:0", false, false),
        ("amazon.nova-lite-v1:0", true, false),
        ("openai.gpt-oss-120b-1:0", false, true),
    ] {
        let mut text = json!({"text": "hm"});
        if signed {
            text["signature"] = json!("c2ln");
        }
        let mut request = request(model);
        request.messages = messages(&json!([
            {"role": "user", "content": [{"text": "a"}]},
            {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": text}}, {"text": "b"}]},
            {"role": "user", "content": [{"text": "c"}]}
        ]));
        let body = String::from_utf8(body(&request).expect("a body")).expect("UTF-8");
        assert_eq!(
            body.contains("reasoningText"),
            kept,
            "{model}, signed: {signed}"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a whole body")]
fn a_turn_with_tools() {
    check(
        &full_request("us.anthropic.claude-3-haiku-20240307-v1:0"),
        &expect![[r#"
        {
          "additionalModelRequestFields": {
            "seed": 7,
            "top_k": 250
          },
          "inferenceConfig": {
            "maxTokens": 512,
            "stopSequences": [
              "</answer>"
            ],
            "temperature": 0.1,
            "topP": 0.9
          },
          "messages": [
            {
              "content": [
                {
                  "text": "Where is order A-482?"
                }
              ],
              "role": "user"
            },
            {
              "content": [
                {
                  "reasoningContent": {
                    "reasoningText": {
                      "signature": "c2ln",
                      "text": "Look it up."
                    }
                  }
                },
                {
                  "text": "Let me look."
                },
                {
                  "toolUse": {
                    "input": {
                      "deep": {
                        "a": [
                          1.5,
                          true,
                          null
                        ],
                        "b": 1
                      },
                      "id": "A-482"
                    },
                    "name": "get_order",
                    "toolUseId": "t1"
                  }
                },
                {
                  "toolUse": {
                    "input": {},
                    "name": "get_user",
                    "toolUseId": "t2"
                  }
                }
              ],
              "role": "assistant"
            },
            {
              "content": [
                {
                  "toolResult": {
                    "content": [
                      {
                        "json": {
                          "status": "shipped"
                        }
                      }
                    ],
                    "toolUseId": "t1"
                  }
                },
                {
                  "toolResult": {
                    "content": [
                      {
                        "text": "no such user"
                      }
                    ],
                    "status": "error",
                    "toolUseId": "t2"
                  }
                },
                {
                  "text": "Please hurry."
                }
              ],
              "role": "user"
            }
          ],
          "system": [
            {
              "text": "You are support."
            }
          ],
          "toolConfig": {
            "toolChoice": {
              "auto": {}
            },
            "tools": [
              {
                "toolSpec": {
                  "description": "Looks an order up",
                  "inputSchema": {
                    "json": {
                      "properties": {
                        "id": {
                          "type": "string"
                        }
                      },
                      "required": [
                        "id"
                      ],
                      "type": "object"
                    }
                  },
                  "name": "get_order"
                }
              },
              {
                "toolSpec": {
                  "inputSchema": {
                    "json": {
                      "type": "object"
                    }
                  },
                  "name": "get_user"
                }
              }
            ]
          }
        }
    "#]],
    );
}

#[test]
fn the_form_does_not_depend_on_delivery() {
    let mut request = request("meta.llama3-1-8b-instruct-v1:0");
    let streamed = body(&request).expect("a body");
    request.delivery = Delivery::Whole;
    assert_eq!(body(&request).expect("a body"), streamed);
    expect![[r#"
        {
          "messages": [
            {
              "content": [
                {
                  "text": "Hello"
                }
              ],
              "role": "user"
            }
          ]
        }
    "#]]
    .assert_eq(&pretty(&streamed));
}

#[test]
fn what_bedrock_refuses_is_put_right() {
    let mut request = request("amazon.nova-lite-v1:0");
    request.inference.top_k = Some(1);
    request.messages = messages(&json!([
        {"role": "user", "content": [{"text": "a"}, {"text": " "}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": 1}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"json": {"y": 2}}]}}]}
    ]));
    check(
        &request,
        &expect![[r#"
        {
          "additionalModelRequestFields": {
            "inferenceConfig": {
              "topK": 1
            }
          },
          "messages": [
            {
              "content": [
                {
                  "text": "a"
                }
              ],
              "role": "user"
            },
            {
              "content": [
                {
                  "text": "[called f with {\"x\":1}]"
                }
              ],
              "role": "assistant"
            },
            {
              "content": [
                {
                  "text": "[result: {\"y\":2}]"
                }
              ],
              "role": "user"
            }
          ]
        }
    "#]],
    );
    request.additional_fields = Some(json!({"inferenceConfig": {"topK": 3}}));
    assert!(matches!(body(&request), Err(ModelError::Rejected { .. })));
}
