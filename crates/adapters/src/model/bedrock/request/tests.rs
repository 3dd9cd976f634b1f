//! Request bodies of Converse, whole.

use expect_test::{Expect, expect};
use outcrop_engine::port::Delivery;
use serde_json::json;

use super::*;
use crate::model::fixture::{full_request, messages, pretty, request};

fn check(request: &ModelRequest, expected: &Expect) {
    expected.assert_eq(&pretty(&body(request).expect("a body")));
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
