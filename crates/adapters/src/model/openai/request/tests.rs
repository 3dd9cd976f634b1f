//! Request bodies of chat completions, whole.

use expect_test::{Expect, expect};
use outcrop_engine::port::{ConverseFields, Inference};
use serde_json::{Value, json};

use super::*;
use crate::model::fixture::{choice, full_request, messages, pretty, request, tools};

fn check(request: &ModelRequest, dialect: Dialect, expected: &Expect) {
    expected.assert_eq(&pretty(&body(request, dialect).expect("a body")));
}

fn refusal(request: &ModelRequest) -> String {
    match body(request, Dialect::Compatible) {
        Err(ModelError::Rejected { detail }) => detail,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_form_of_the_answer() {
    let mut request = request("gpt-5");
    request.fields = Some(Box::new(ConverseFields {
        output_config: serde_json::from_value(json!({
            "effort": "low",
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "order", "schema": "{\"type\":\"object\"}"}}}
        }))
        .expect("an outputConfig"),
        ..ConverseFields::default()
    }));
    request.system_blocks = serde_json::from_value(
        json!([{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]),
    )
    .expect("blocks");
    let written: Value =
        serde_json::from_slice(&body(&request, Dialect::OpenAi).expect("a body")).expect("JSON");
    assert_eq!(
        written["response_format"],
        json!({"type": "json_schema", "json_schema": {"name": "order", "schema": {"type": "object"}, "strict": true}})
    );
    assert_eq!(written["reasoning_effort"], "low");
    assert_eq!(
        written["messages"][0],
        json!({"role": "system", "content": "a\nb"})
    );
}

#[test]
fn a_turn_with_tools() {
    check(
        &full_request("qwen3:8b"),
        Dialect::Compatible,
        &expect![[r#"
        {
          "max_tokens": 512,
          "messages": [
            {
              "content": "You are support.",
              "role": "system"
            },
            {
              "content": "Where is order A-482?",
              "role": "user"
            },
            {
              "content": "Let me look.",
              "role": "assistant",
              "tool_calls": [
                {
                  "function": {
                    "arguments": "{\"deep\":{\"a\":[1.5,true,null],\"b\":1},\"id\":\"A-482\"}",
                    "name": "get_order"
                  },
                  "id": "t1",
                  "type": "function"
                },
                {
                  "function": {
                    "arguments": "{}",
                    "name": "get_user"
                  },
                  "id": "t2",
                  "type": "function"
                }
              ]
            },
            {
              "content": "{\"status\":\"shipped\"}",
              "role": "tool",
              "tool_call_id": "t1"
            },
            {
              "content": "Error:\nno such user",
              "role": "tool",
              "tool_call_id": "t2"
            },
            {
              "content": "Please hurry.",
              "role": "user"
            }
          ],
          "model": "qwen3:8b",
          "seed": 7,
          "stop": [
            "</answer>"
          ],
          "stream": false,
          "temperature": 0.1,
          "tool_choice": "auto",
          "tools": [
            {
              "function": {
                "description": "Looks an order up",
                "name": "get_order",
                "parameters": {
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
              "type": "function"
            },
            {
              "function": {
                "name": "get_user",
                "parameters": {
                  "type": "object"
                }
              },
              "type": "function"
            }
          ],
          "top_p": 0.9
        }
    "#]],
    );
}

#[test]
fn a_streamed_request_to_openai() {
    let mut request = request("gpt-4o");
    request.inference = Inference {
        max_tokens: Some(64),
        ..Inference::default()
    };
    check(
        &request,
        Dialect::OpenAi,
        &expect![[r#"
        {
          "max_completion_tokens": 64,
          "messages": [
            {
              "content": "Hello",
              "role": "user"
            }
          ],
          "model": "gpt-4o",
          "stream": true,
          "stream_options": {
            "include_usage": true
          }
        }
    "#]],
    );
}

#[test]
fn tool_choices() {
    let mut request = request("m");
    for (given, sent) in [
        (json!({"auto": {}}), json!("auto")),
        (json!({"any": {}}), json!("required")),
        (
            json!({"tool": {"name": "f"}}),
            json!({"type": "function", "function": {"name": "f"}}),
        ),
    ] {
        request.tool_choice = Some(choice(&given));
        request.tools = tools();
        let sent_body: Value =
            serde_json::from_slice(&body(&request, Dialect::Compatible).expect("a body"))
                .expect("JSON");
        assert_eq!(sent_body["tool_choice"], sent);
    }
    // Vendors refuse a choice where there is nothing to choose from.
    request.tools = [].into();
    let sent: Value = serde_json::from_slice(&body(&request, Dialect::Compatible).expect("a body"))
        .expect("JSON");
    assert_eq!(sent.get("tool_choice"), None);
}

#[test]
fn images_and_documents() {
    let mut request = request("m");
    request.messages = messages(&json!([
        {"role": "user", "content": [
            {"text": "What is this?"},
            {"image": {"format": "png", "source": {"bytes": "AQID"}}},
            {"document": {"name": "note", "format": "txt", "source": {"bytes": "aGk="}}},
            {"document": {"name": "paper", "format": "pdf", "source": {"bytes": "AQID"}}},
            {"text": ""}
        ]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "shot", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [
            {"text": "taken"}, {"image": {"format": "jpeg", "source": {"bytes": "BAU="}}}
        ]}}]}
    ]));
    check(
        &request,
        Dialect::Compatible,
        &expect![[r#"
        {
          "messages": [
            {
              "content": [
                {
                  "text": "What is this?",
                  "type": "text"
                },
                {
                  "image_url": {
                    "url": "data:image/png;base64,AQID"
                  },
                  "type": "image_url"
                },
                {
                  "text": "hi",
                  "type": "text"
                },
                {
                  "file": {
                    "file_data": "data:application/pdf;base64,AQID",
                    "filename": "paper.pdf"
                  },
                  "type": "file"
                }
              ],
              "role": "user"
            },
            {
              "content": null,
              "role": "assistant",
              "tool_calls": [
                {
                  "function": {
                    "arguments": "{}",
                    "name": "shot"
                  },
                  "id": "t",
                  "type": "function"
                }
              ]
            },
            {
              "content": "taken",
              "role": "tool",
              "tool_call_id": "t"
            },
            {
              "content": [
                {
                  "image_url": {
                    "url": "data:image/jpeg;base64,BAU="
                  },
                  "type": "image_url"
                }
              ],
              "role": "user"
            }
          ],
          "model": "m",
          "stream": true,
          "stream_options": {
            "include_usage": true
          }
        }
    "#]],
    );
}

#[test]
fn several_texts_become_one() {
    let mut request = request("m");
    request.messages = messages(&json!([
        {"role": "user", "content": [{"text": "a"}, {"guardContent": {"text": {"text": "b"}}}, {"cachePoint": {"type": "default"}}]},
        {"role": "assistant", "content": [{"text": "c"}, {"text": "d"}, {"reasoningContent": {"reasoningText": {"text": "r"}}}]},
        {"role": "user", "content": [{"text": "e"}]}
    ]));
    check(
        &request,
        Dialect::Compatible,
        &expect![[r#"
        {
          "messages": [
            {
              "content": "a\nb",
              "role": "user"
            },
            {
              "content": "c\nd",
              "role": "assistant"
            },
            {
              "content": "e",
              "role": "user"
            }
          ],
          "model": "m",
          "stream": true,
          "stream_options": {
            "include_usage": true
          }
        }
    "#]],
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut request = request("m");
    request.messages = messages(&json!([{"role": "user", "content": [
        {"video": {"format": "mp4", "source": {"bytes": ""}}}
    ]}]));
    assert_eq!(
        refusal(&request),
        "this provider's protocol has no form for video in a user message"
    );
    request.messages = messages(&json!([{"role": "user", "content": [
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}
    ]}]));
    assert_eq!(
        refusal(&request),
        "an image given as an S3 location is sent to Bedrock only"
    );
    request.messages.clear();
    request.additional_fields = Some(json!([1]));
    assert_eq!(
        refusal(&request),
        "additionalModelRequestFields must be a JSON object"
    );
    request.inference.temperature = Some(0.0);
    request.additional_fields = Some(json!({"seed": 1, "temperature": 1}));
    assert_eq!(
        refusal(&request),
        "additionalModelRequestFields sets temperature, which the request sets already"
    );
}
