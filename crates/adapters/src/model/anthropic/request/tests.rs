//! Request bodies of the messages API, whole.

use expect_test::{Expect, expect};
use outcrop_engine::port::{ConverseFields, PromptCache};
use serde_json::json;

use super::*;
use crate::model::fixture::{full_request, messages, pretty, request};

fn check(request: &ModelRequest, expected: &Expect) {
    expected.assert_eq(&pretty(&body(request).expect("a body")));
}

/// What a body says of caching: its system text, its last tool, and the last block of each message.
#[test]
fn cache_points_end_what_comes_again() {
    let mut request = full_request("claude-sonnet-4-5");
    request.cache = PromptCache::StablePrefix;
    let body: Value = serde_json::from_slice(&body(&request).expect("a body")).expect("JSON");
    let point = json!({"type": "ephemeral"});
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "You are support.", "cache_control": point}])
    );
    assert_eq!(body["tools"][0]["cache_control"], Value::Null);
    assert_eq!(body["tools"][1]["cache_control"], point);
    let marked: Vec<bool> = body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| {
            let last = message["content"].as_array().expect("content").last();
            last.expect("a block")["cache_control"] == point
        })
        .collect();
    assert_eq!(marked, [true, false, true]);
}

#[test]
fn given_points_keep_their_lifetime_and_given_blocks_their_order() {
    let mut request = request("claude-sonnet-4-5");
    request.system_blocks = serde_json::from_value(json!([
        {"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "b"}
    ]))
    .expect("blocks");
    let body: Value = serde_json::from_slice(&body(&request).expect("a body")).expect("JSON");
    assert_eq!(
        body["system"],
        json!([
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": "b"}
        ])
    );
}

#[test]
fn thinking_and_the_form_of_the_answer_go_by_the_vendors_names() {
    let mut request = request("claude-sonnet-4-5");
    request.additional_fields =
        Some(json!({"reasoning_config": {"type": "enabled", "budget_tokens": 1024}}));
    request.fields = Some(Box::new(ConverseFields {
        output_config: serde_json::from_value(json!({
            "effort": "low",
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{\"type\":\"object\"}"}}}
        }))
        .expect("an outputConfig"),
        ..ConverseFields::default()
    }));
    let written: Value = serde_json::from_slice(&body(&request).expect("a body")).expect("JSON");
    assert_eq!(
        written["thinking"],
        json!({"type": "enabled", "budget_tokens": 1024})
    );
    assert_eq!(
        written["output_config"],
        json!({"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}})
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a whole body")]
fn a_turn_with_tools() {
    check(
        &full_request("anthropic.claude-3-haiku-20240307-v1:0"),
        &expect![[r#"
        {
          "max_tokens": 512,
          "messages": [
            {
              "content": [
                {
                  "text": "Where is order A-482?",
                  "type": "text"
                }
              ],
              "role": "user"
            },
            {
              "content": [
                {
                  "signature": "c2ln",
                  "thinking": "Look it up.",
                  "type": "thinking"
                },
                {
                  "text": "Let me look.",
                  "type": "text"
                },
                {
                  "id": "t1",
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
                  "type": "tool_use"
                },
                {
                  "id": "t2",
                  "input": {},
                  "name": "get_user",
                  "type": "tool_use"
                }
              ],
              "role": "assistant"
            },
            {
              "content": [
                {
                  "content": [
                    {
                      "text": "{\"status\":\"shipped\"}",
                      "type": "text"
                    }
                  ],
                  "tool_use_id": "t1",
                  "type": "tool_result"
                },
                {
                  "content": [
                    {
                      "text": "no such user",
                      "type": "text"
                    }
                  ],
                  "is_error": true,
                  "tool_use_id": "t2",
                  "type": "tool_result"
                },
                {
                  "text": "Please hurry.",
                  "type": "text"
                }
              ],
              "role": "user"
            }
          ],
          "model": "claude-3-haiku-20240307",
          "seed": 7,
          "stop_sequences": [
            "</answer>"
          ],
          "stream": false,
          "system": "You are support.",
          "temperature": 0.1,
          "tool_choice": {
            "type": "auto"
          },
          "tools": [
            {
              "description": "Looks an order up",
              "input_schema": {
                "properties": {
                  "id": {
                    "type": "string"
                  }
                },
                "required": [
                  "id"
                ],
                "type": "object"
              },
              "name": "get_order"
            },
            {
              "input_schema": {
                "type": "object"
              },
              "name": "get_user"
            }
          ],
          "top_k": 250,
          "top_p": 0.9
        }
    "#]],
    );
}

#[test]
fn the_least_request() {
    check(
        &request("claude-sonnet-4-5"),
        &expect![[r#"
        {
          "max_tokens": 4096,
          "messages": [
            {
              "content": [
                {
                  "text": "Hello",
                  "type": "text"
                }
              ],
              "role": "user"
            }
          ],
          "model": "claude-sonnet-4-5",
          "stream": true
        }
    "#]],
    );
}

/// Empty messages vanish and neighbours become one; unsigned reasoning is left out; a prefill loses the
/// white space at its end; calls become text where there are no tools.
#[test]
fn what_the_vendor_refuses_is_put_right() {
    let mut request = request("m");
    request.system = "  ".into();
    request.messages = messages(&json!([
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [{"text": " \n"}, {"reasoningContent": {"reasoningText": {"text": "r"}}}]},
        {"role": "user", "content": [{"text": "b"}, {"cachePoint": {"type": "default"}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": 1}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "done"}]}}]},
        {"role": "system", "content": [{"text": "Be brief."}]},
        {"role": "assistant", "content": [{"reasoningContent": {"redactedContent": "eDB4"}}, {"text": "So: \n"}]}
    ]));
    check(
        &request,
        &expect![[r#"
        {
          "max_tokens": 4096,
          "messages": [
            {
              "content": [
                {
                  "text": "a",
                  "type": "text"
                },
                {
                  "cache_control": {
                    "type": "ephemeral"
                  },
                  "text": "b",
                  "type": "text"
                }
              ],
              "role": "user"
            },
            {
              "content": [
                {
                  "text": "[called f with {\"x\":1}]",
                  "type": "text"
                }
              ],
              "role": "assistant"
            },
            {
              "content": [
                {
                  "text": "[result: done]",
                  "type": "text"
                }
              ],
              "role": "user"
            },
            {
              "content": [
                {
                  "data": "x0x",
                  "type": "redacted_thinking"
                },
                {
                  "text": "So:",
                  "type": "text"
                }
              ],
              "role": "assistant"
            }
          ],
          "model": "m",
          "stream": true,
          "system": "Be brief."
        }
    "#]],
    );
}

#[test]
fn images_and_documents() {
    let mut request = request("m");
    request.messages = messages(&json!([{"role": "user", "content": [
        {"image": {"format": "png", "source": {"bytes": "AQID"}}},
        {"document": {"name": "note", "format": "md", "source": {"text": "hi"}}},
        {"document": {"name": "paper", "format": "pdf", "source": {"bytes": "AQID"}}}
    ]}]));
    check(
        &request,
        &expect![[r#"
        {
          "max_tokens": 4096,
          "messages": [
            {
              "content": [
                {
                  "source": {
                    "data": "AQID",
                    "media_type": "image/png",
                    "type": "base64"
                  },
                  "type": "image"
                },
                {
                  "source": {
                    "data": "hi",
                    "media_type": "text/plain",
                    "type": "text"
                  },
                  "title": "note",
                  "type": "document"
                },
                {
                  "source": {
                    "data": "AQID",
                    "media_type": "application/pdf",
                    "type": "base64"
                  },
                  "title": "paper",
                  "type": "document"
                }
              ],
              "role": "user"
            }
          ],
          "model": "m",
          "stream": true
        }
    "#]],
    );
}

#[test]
fn conflicts_are_refused() {
    let mut request = request("m");
    request.additional_fields =
        Some(json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}));
    assert!(body(&request).is_ok());
    request.additional_fields = Some(json!({"max_tokens": 1}));
    assert!(matches!(body(&request), Err(ModelError::Rejected { .. })));
}
