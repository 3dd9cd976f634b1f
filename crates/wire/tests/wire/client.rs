//! The client against the server of the same crate, signatures included.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use outcrop_model::control::{self, ops as control_ops};
use outcrop_model::exception::ExceptionKind;
use outcrop_model::operation::Service;
use outcrop_model::runtime::{self, ops as runtime_ops};
use outcrop_wire::client::{CallError, Client, Signer};
use outcrop_wire::sigv4::{AccessKey, Verifier};

use crate::recorder::{send, stream_frames};

fn client(service: Service) -> Client {
    let signer = Signer {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: Some("a/token+with=signs".to_owned()),
        region: "eu-central-1".to_owned(),
    };
    Client::new(service, "http://127.0.0.1:8474/", signer)
}

fn verifier() -> Verifier {
    Verifier::new([AccessKey {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        account_id: Some("222222222222".to_owned()),
    }])
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_748_626_089)
}

fn token() -> String {
    "7f1c1b4e-4d4f-4c57-9d4b-6f3a2c8e1a00".to_owned()
}

#[test]
fn a_call_is_signed_read_and_answered() {
    let client = client(Service::Control);
    let input = control::CreateAgentRequest {
        agent_name: "support".to_owned(),
        ..control::CreateAgentRequest::default()
    };
    let request = client
        .request::<control_ops::CreateAgent>(&input, now(), token)
        .unwrap();
    let identity = verifier().verify(&request, now()).unwrap();
    assert_eq!(identity.account_id.as_deref(), Some("222222222222"));
    assert_eq!(identity.region.as_deref(), Some("eu-central-1"));
    let body = std::str::from_utf8(request.body()).unwrap();
    assert!(body.contains(&token()), "{body}");

    let (_, response) = send(request);
    let (head, body) = response.into_parts();
    let body = body.as_full().unwrap();
    let output = client.output::<control_ops::CreateAgent>(head.status, &head.headers, body);
    assert_eq!(output.unwrap().agent.agent_name, "support");
}

#[test]
fn an_arn_in_the_path_survives_encoding_and_signing() {
    let client = client(Service::Control);
    let input = control::UntagResourceRequest {
        resource_arn: "arn:aws:bedrock:eu-central-1:222222222222:agent/ABCDEFGHIJ".to_owned(),
        tag_keys: vec!["team a".to_owned(), "a+b=c".to_owned()],
    };
    let request = client
        .request::<control_ops::UntagResource>(&input, now(), token)
        .unwrap();
    assert_eq!(
        request.uri().path_and_query().unwrap().as_str(),
        "/tags/arn%3Aaws%3Abedrock%3Aeu-central-1%3A222222222222%3Aagent%2FABCDEFGHIJ?tagKeys=team%20a&tagKeys=a%2Bb%3Dc"
    );
    verifier().verify(&request, now()).unwrap();
    let (service, _) = send(request);
    assert_eq!(service.seen(), ["UntagResource"]);
}

#[test]
fn a_stream_is_read_to_its_exception() {
    let client = client(Service::Runtime);
    let input = runtime::InvokeAgentRequest {
        agent_id: "ABCDEFGHIJ".to_owned(),
        agent_alias_id: "TSTALIASID".to_owned(),
        session_id: "session-1".to_owned(),
        input_text: Some("hello".to_owned()),
        ..runtime::InvokeAgentRequest::default()
    };
    let request = client
        .request::<runtime_ops::InvokeAgent>(&input, now(), token)
        .unwrap();
    let (_, response) = send(request);
    let head = client
        .output::<runtime_ops::InvokeAgent>(response.status(), response.headers(), b"")
        .unwrap();
    assert_eq!(head.session_id, "session-1");
    let events = stream_frames(response)
        .into_iter()
        .map(|frame| client.event::<runtime_ops::InvokeAgent>(frame));
    let events: Vec<_> = events.collect();
    assert_eq!(events.len(), 3);
    let Ok(runtime::ResponseStream::Trace(trace)) = &events[0] else {
        panic!("{:?}", events[0]);
    };
    assert_eq!(
        trace.event_time.unwrap().to_iso9(),
        "2025-05-30T17:28:09.251741423Z"
    );
    let Ok(runtime::ResponseStream::Chunk(chunk)) = &events[1] else {
        panic!("{:?}", events[1]);
    };
    assert_eq!(chunk.bytes.as_ref().unwrap().as_bytes(), b"hello");
    let Err(CallError::Exception { name, exception }) = &events[2] else {
        panic!("{:?}", events[2]);
    };
    assert_eq!(
        (name.as_str(), exception.kind()),
        ("throttlingException", ExceptionKind::Throttling)
    );
}

#[test]
fn an_exception_of_the_real_service_is_understood() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-amzn-errortype",
        HeaderValue::from_static(
            "ResourceNotFoundException:http://internal.amazon.com/coral/com.amazon.coral.service/",
        ),
    );
    let body = Bytes::from_static(br#"{"message":"no such agent"}"#);
    let error = client(Service::Control)
        .output::<control_ops::GetAgent>(StatusCode::NOT_FOUND, &headers, &body)
        .unwrap_err();
    let CallError::Exception { name, exception } = error else {
        panic!("{error:?}");
    };
    assert_eq!(name, "ResourceNotFoundException");
    assert_eq!(exception.kind(), ExceptionKind::ResourceNotFound);
    assert_eq!(exception.message(), "no such agent");
}

#[test]
fn leaked_type_tags_do_not_disturb() {
    let frame = outcrop_wire::event_stream::Frame::Event {
        name: "trace".to_owned(),
        payload: Bytes::from_static(
            br#"{"trace":{"orchestrationTrace":{"modelInvocationOutput":{"reasoningContent":{"__type":"com.amazon.bedrock#ReasoningContentBlock","reasoningText":{"text":"hm"}}}}}}"#,
        ),
    };
    let event = client(Service::Runtime)
        .event::<runtime_ops::InvokeAgent>(frame)
        .unwrap();
    let json = serde_json::to_string(&event).unwrap();
    assert!(
        json.contains(r#""reasoningContent":{"reasoningText":{"text":"hm"}}"#),
        "{json}"
    );
}
