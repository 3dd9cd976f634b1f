//! The failure matrix of behaviour.md 1.6, and the two event forms of 1.2 and 1.3.

use serde_json::json;

use super::reply::GENERIC_FAULT;
use super::*;
use crate::action::Strictness;

fn function() -> ActionTarget {
    ActionTarget::Function {
        name: "reserve".to_owned(),
    }
}

fn api() -> ActionTarget {
    ActionTarget::Api {
        path: "/notify/{claimId}".to_owned(),
        method: "POST".to_owned(),
        body_media_type: Some("application/json".to_owned()),
    }
}

fn function_reply(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut reply = json!({
        "messageVersion": "1.0",
        "response": {
            "actionGroup": "Vacations",
            "function": "reserve",
            "functionResponse": {"responseBody": {"TEXT": {"body": "booked"}}}
        }
    });
    change(&mut reply);
    reply.to_string().into_bytes()
}

fn api_reply(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut reply = json!({
        "messageVersion": "1.0",
        "response": {
            "actionGroup": "Claims", "apiPath": "/notify/{claimId}", "httpMethod": "post",
            "httpStatusCode": 200, "responseBody": {"application/json": {"body": "{}"}}
        }
    });
    change(&mut reply);
    reply.to_string().into_bytes()
}

#[test]
fn good_replies_are_read() {
    let reply = read_reply(
        &function_reply(|reply| {
            reply["response"]["functionResponse"]["responseState"] = json!("REPROMPT");
            reply["sessionAttributes"] = json!({"a": "b"});
        }),
        "Vacations",
        &function(),
        Strictness::Strict,
    )
    .expect("keeps the contract");
    assert_eq!(
        reply,
        Reply {
            text: "booked".to_owned(),
            reprompt: true,
            client_error: false,
            session_attributes: Some(Attributes::from([("a".to_owned(), "b".to_owned())])),
            prompt_session_attributes: None,
            knowledge_bases: Vec::new(),
        }
    );
    let payload = api_reply(|reply| {
        reply["knowledgeBasesConfiguration"] = json!([{"knowledgeBaseId": "KBKBKBKBKB",
            "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 3}}}]);
    });
    let reply = read_reply(&payload, "Claims", &api(), Strictness::Strict).expect("keeps it");
    let search = &reply.knowledge_bases[0].retrieval_configuration;
    let search = search.vector_search_configuration.as_ref();
    assert_eq!(search.and_then(|search| search.number_of_results), Some(3));
    let reply = read_reply(&api_reply(|_| {}), "Claims", &api(), Strictness::Strict)
        .expect("keeps the contract");
    assert_eq!(reply.text, "{}");
}

#[test]
fn a_function_reply_keyed_by_media_type_depends_on_the_limits() {
    let payload = function_reply(|reply| {
        reply["response"]["functionResponse"]["responseBody"] =
            json!({"application/json": {"body": "x"}});
    });
    assert!(read_reply(&payload, "Vacations", &function(), Strictness::Relaxed).is_ok());
    let fault = read_reply(&payload, "Vacations", &function(), Strictness::Strict)
        .expect_err("AWS wants TEXT");
    assert_eq!(fault.message, GENERIC_FAULT);
    assert_eq!(
        fault.detail.as_deref(),
        Some("response.functionResponse.responseBody: expected the key TEXT, got application/json")
    );
}

#[test]
fn a_reply_need_not_tell_its_version() {
    let payload = function_reply(|reply| {
        reply
            .as_object_mut()
            .expect("an object")
            .remove("messageVersion");
    });
    for strictness in [Strictness::Strict, Strictness::Relaxed] {
        assert!(read_reply(&payload, "Vacations", &function(), strictness).is_ok());
    }
}

#[test]
fn an_operation_may_answer_with_json_itself() {
    let payload = api_reply(|reply| {
        reply["response"]["responseBody"] = json!({"application/json": {"body": {"a": [1, true]}}});
    });
    let reply = read_reply(&payload, "Claims", &api(), Strictness::Strict).expect("accepted");
    assert_eq!(reply.text, r#"{"a":[1,true]}"#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn broken_replies_give_awss_sentence_and_the_exact_place() {
    let cases: Vec<(Vec<u8>, ActionTarget, &str, &str)> = vec![
        (
            b"oops".to_vec(),
            function(),
            GENERIC_FAULT,
            "the reply is not JSON",
        ),
        (
            b"[]".to_vec(),
            function(),
            GENERIC_FAULT,
            "the reply: expected an object, got []",
        ),
        (
            function_reply(|reply| reply["messageVersion"] = json!("2.0")),
            function(),
            GENERIC_FAULT,
            "messageVersion: expected \"1.0\", got \"2.0\"",
        ),
        (
            function_reply(|reply| reply["response"]["actionGroup"] = json!("Other")),
            function(),
            "ActionGroup in Lambda response doesn't match input. Check that the ActionGroup in the input and response match and retry the request.",
            "response.actionGroup: expected \"Vacations\", got \"Other\"",
        ),
        (
            function_reply(|reply| reply["response"]["function"] = json!("cancel")),
            function(),
            "Function in Lambda response doesn't match input. Check that the Function in the input and response match and retry the request.",
            "response.function",
        ),
        (
            function_reply(|reply| {
                reply["response"]["functionResponse"]["responseState"] = json!("FAILURE");
            }),
            function(),
            "Received failed response from API execution. Retry the request later.",
            "responseState is FAILURE",
        ),
        (
            function_reply(|reply| reply["sessionAttributes"] = json!({"a": {"b": 1}})),
            function(),
            GENERIC_FAULT,
            "sessionAttributes.a: expected a string, got {\"b\":1}",
        ),
        (
            function_reply(|reply| {
                reply["response"]["functionResponse"]["responseBody"]["TEXT"]["body"] = json!(5);
            }),
            function(),
            GENERIC_FAULT,
            "responseBody.TEXT.body: expected a string, got 5",
        ),
        (
            b"".to_vec(),
            function(),
            GENERIC_FAULT,
            "the reply is not JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            b"null".to_vec(),
            function(),
            GENERIC_FAULT,
            "the reply: expected an object, got null",
        ),
        (
            function_reply(|reply| {
                reply.as_object_mut().expect("an object").remove("response");
            }),
            function(),
            GENERIC_FAULT,
            "response: expected an object, got nothing",
        ),
        (
            function_reply(|reply| {
                reply["response"]["functionResponse"]["responseBody"]["TEXT"]["body"] =
                    json!({"order": 1});
            }),
            function(),
            GENERIC_FAULT,
            "responseBody.TEXT.body: expected a string, got {\"order\":1}; serialise it first, in Python with json.dumps",
        ),
        (
            function_reply(|reply| {
                reply["response"]["functionResponse"]["responseBody"] = json!({});
            }),
            function(),
            GENERIC_FAULT,
            "responseBody: expected the key TEXT, got none",
        ),
        (
            function_reply(|reply| {
                reply["response"]["functionResponse"]["responseState"] = json!("DONE");
            }),
            function(),
            GENERIC_FAULT,
            "responseState: expected FAILURE or REPROMPT, got \"DONE\"",
        ),
        (
            function_reply(|reply| reply["promptSessionAttributes"] = json!(["a"])),
            function(),
            GENERIC_FAULT,
            "promptSessionAttributes: expected an object of strings, got [\"a\"]",
        ),
        (
            function_reply(|reply| reply["knowledgeBasesConfiguration"] = json!([{"id": "x"}])),
            function(),
            GENERIC_FAULT,
            "knowledgeBasesConfiguration[0].knowledgeBaseId: expected a string, got nothing",
        ),
        (
            api_reply(|reply| reply["response"]["apiPath"] = json!("/notify/claim-006")),
            api(),
            "APIPath in Lambda response doesn't match input. Check that the APIPath in the input and response match and retry the request.",
            "response.apiPath: expected \"/notify/{claimId}\", got \"/notify/claim-006\"",
        ),
        (
            api_reply(|reply| reply["response"]["httpMethod"] = json!("GET")),
            api(),
            "HttpMethod in Lambda response doesn't match input. Check that the HttpMethod in the input and response match and retry the request.",
            "response.httpMethod: expected \"POST\", got \"GET\"",
        ),
        (
            api_reply(|reply| reply["response"]["httpStatusCode"] = json!(-1)),
            api(),
            GENERIC_FAULT,
            "response.httpStatusCode: expected a status from 100 to 599, got -1",
        ),
        (
            api_reply(|reply| reply["response"]["httpStatusCode"] = json!("fine")),
            api(),
            GENERIC_FAULT,
            "response.httpStatusCode: expected a status from 100 to 599, got \"fine\"",
        ),
        (
            api_reply(|reply| reply["response"]["httpStatusCode"] = json!(503)),
            api(),
            "Received failed response from API execution. Retry the request later.",
            "response.httpStatusCode is 503",
        ),
    ];
    for (payload, target, message, detail) in cases {
        let group = if matches!(target, ActionTarget::Api { .. }) {
            "Claims"
        } else {
            "Vacations"
        };
        let fault = read_reply(&payload, group, &target, Strictness::Strict).expect_err(detail);
        assert_eq!(fault.message, message);
        let got = fault.detail.unwrap_or_default();
        assert!(got.contains(detail), "{got}");
    }
}

#[test]
fn an_api_reply_without_json_and_a_large_one_have_texts_of_their_own() {
    let fault = read_reply(
        &api_reply(|reply| {
            reply["response"]["responseBody"] = json!({"text/plain": {"body": "x"}});
        }),
        "Claims",
        &api(),
        Strictness::Relaxed,
    )
    .expect_err("no JSON body");
    assert!(
        fault
            .message
            .ends_with("must be of type 'application/json', but 'null' was returned.")
    );
    let fault = read_reply(&vec![b' '; 66_945], "Claims", &api(), Strictness::Strict)
        .expect_err("too large");
    assert_eq!(
        fault.message,
        "Lambda response exceeds maximum size 25KB: 66945"
    );
}

#[test]
fn a_client_error_status_goes_to_the_model() {
    let reply = read_reply(
        &api_reply(|reply| reply["response"]["httpStatusCode"] = json!("404")),
        "Claims",
        &api(),
        Strictness::Strict,
    )
    .expect("4xx is an answer");
    assert!(reply.client_error && !reply.reprompt);
}

#[test]
fn events_have_the_two_documented_forms() {
    let argument = |name: &str, value: &str, in_body| Argument {
        name: name.to_owned(),
        type_: "string".to_owned(),
        value: value.to_owned(),
        in_body,
        json: json!([value]),
    };
    let attributes = Attributes::new();
    let arguments = [
        argument("claimId", "c-6", false),
        argument("documents", "[photo]", true),
    ];
    let target = api();
    let input = EventInput {
        agent: EventAgent {
            alias: "TSTALIASID",
            id: "A1B2C3D4E5",
            name: "claims",
            version: "DRAFT",
        },
        session_id: "s-1",
        input_text: "remind",
        action_group: "Claims",
        target: &target,
        arguments: &arguments,
        typed_arguments: false,
        session_attributes: &attributes,
        prompt_session_attributes: &attributes,
    };
    let json: Value = serde_json::from_slice(&event(&input)).expect("JSON");
    assert_eq!(
        json,
        json!({
            "messageVersion": "1.0",
            "agent": {"name": "claims", "id": "A1B2C3D4E5", "alias": "TSTALIASID", "version": "DRAFT"},
            "sessionId": "s-1", "inputText": "remind", "actionGroup": "Claims",
            "apiPath": "/notify/{claimId}", "httpMethod": "POST",
            "parameters": [{"name": "claimId", "type": "string", "value": "c-6"}],
            "requestBody": {"content": {"application/json": {"properties": [
                {"name": "documents", "type": "string", "value": "[photo]"}]}}},
            "sessionAttributes": {}, "promptSessionAttributes": {}
        })
    );
    let json: Value = serde_json::from_slice(&event(&EventInput {
        typed_arguments: true,
        ..input.clone()
    }))
    .expect("JSON");
    assert_eq!(
        json["parameters"],
        json!([{"name": "claimId", "type": "string", "value": ["c-6"]}])
    );
    let target = function();
    let json: Value = serde_json::from_slice(&event(&EventInput {
        target: &target,
        arguments: &[],
        ..input
    }))
    .expect("JSON");
    assert_eq!(json["function"], json!("reserve"));
    assert_eq!(json["parameters"], json!([]));
    assert!(json.get("requestBody").is_none() && json.get("apiPath").is_none());
}
