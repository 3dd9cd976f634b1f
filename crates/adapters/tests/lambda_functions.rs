//! Functions behind Lambda's Invoke operation and behind a Runtime Interface Emulator, both played by
//! a server on loopback that records what it is sent.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use outcrop_adapters::action::{
    EmulatedFunction, FunctionMapping, FunctionRegistry, FunctionRuntime, FunctionSettings,
    LambdaFunction, WorkerSettings,
};
use outcrop_adapters::http::egress::Egress;
use outcrop_engine::port::{ActionCall, ActionError, ActionExecutor, ActionReply};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ARN: &str = "arn:aws:lambda:eu-west-1:222222222222:function:order-tools";

/// What the server answers to every request.
#[derive(Clone, Copy)]
struct Script {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const FINE: Script = Script {
    status: 200,
    headers: &[],
    body: "{\"fine\":true}",
};

struct Seen {
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn idempotency_key(&self) -> Value {
        let context = STANDARD
            .decode(self.header("x-amz-client-context"))
            .unwrap();
        let context: Value = serde_json::from_slice(&context).unwrap();
        context["custom"]["outcrop-idempotency-key"].clone()
    }
}

/// Starts a server that answers by `script`; its address and what it has been sent.
async fn server(script: Script) -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let record = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let record = Arc::clone(&record);
            let service = service_fn(move |request: Request<Incoming>| {
                answer(request, script, Arc::clone(&record))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, seen)
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    record: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = format!("{} {}", parts.method, parts.uri);
    record.lock().unwrap().push(Seen {
        target,
        headers: parts.headers,
        body,
    });
    let mut response = Response::builder().status(script.status);
    for (name, value) in script.headers {
        response = response.header(*name, *value);
    }
    Ok(response
        .body(Full::new(Bytes::from_static(script.body.as_bytes())))
        .unwrap())
}

fn registry(runtime: FunctionRuntime) -> FunctionRegistry {
    let settings = FunctionSettings {
        region: "us-west-2".to_owned(),
        account_id: "111111111111".to_owned(),
        workers: WorkerSettings::new("unused"),
        egress: Egress::default(),
    };
    let mapping = FunctionMapping {
        pattern: "order-tools".to_owned(),
        runtime,
    };
    FunctionRegistry::new(vec![mapping], settings).unwrap()
}

fn lambda(address: SocketAddr) -> LambdaFunction {
    LambdaFunction {
        endpoint: Some(format!("http://{address}")),
        region: None,
        function: None,
        timeout: Duration::from_secs(20),
    }
}

fn emulated(url: String, timeout: Duration) -> FunctionRegistry {
    registry(FunctionRuntime::Http(EmulatedFunction { url, timeout }))
}

async fn invoke(registry: &FunctionRegistry) -> Result<ActionReply, ActionError> {
    let call = ActionCall {
        function: ARN.to_owned(),
        event: Bytes::from_static(b"{\"a\":1}"),
        idempotency_key: "run-1/4".to_owned(),
        client_context: None,
        request_id: "0d5c2f0e-6f5e-4b53-9b0a-6a7f8f1c2d3e".to_owned(),
        action: None,
    };
    ActionExecutor::invoke(registry, call).await
}

fn fine() -> ActionReply {
    let payload = Bytes::from_static(FINE.body.as_bytes());
    ActionReply {
        payload,
        function_error: None,
        log_tail: None,
        request_id: None,
    }
}

#[tokio::test]
async fn lambda_is_invoked_as_its_api_has_it() {
    let script = Script {
        headers: &[("x-amz-log-result", "dGhlIGxvZwo=")],
        ..FINE
    };
    let (address, seen) = server(script).await;
    let registry = registry(FunctionRuntime::Lambda(lambda(address)));
    let log_tail = Some("the log\n".to_owned());
    assert_eq!(
        invoke(&registry).await,
        Ok(ActionReply { log_tail, ..fine() })
    );
    let seen = seen.lock().unwrap();
    let [request] = seen.as_slice() else {
        panic!("{} requests", seen.len())
    };
    let function = ARN.replace(':', "%3A");
    assert_eq!(
        request.target,
        format!("POST /2015-03-31/functions/{function}/invocations")
    );
    assert_eq!(request.header("x-amz-invocation-type"), "RequestResponse");
    assert_eq!(request.header("x-amz-log-type"), "Tail");
    assert_eq!(request.idempotency_key(), json!("run-1/4"));
    assert_eq!(request.body, Bytes::from_static(b"{\"a\":1}"));
    // Signed for the region of the function, not of the server.
    let signature = request.header("authorization");
    assert!(
        signature.contains("/eu-west-1/lambda/aws4_request"),
        "{signature}"
    );
}

#[tokio::test]
async fn a_mapping_may_name_another_function_and_region() {
    let (address, seen) = server(FINE).await;
    let registry = registry(FunctionRuntime::Lambda(LambdaFunction {
        region: Some("ap-south-1".to_owned()),
        function: Some("order-tools-dev".to_owned()),
        ..lambda(address)
    }));
    assert_eq!(invoke(&registry).await, Ok(fine()));
    let seen = seen.lock().unwrap();
    let request = seen.first().unwrap();
    assert_eq!(
        request.target,
        "POST /2015-03-31/functions/order-tools-dev/invocations"
    );
    let signature = request.header("authorization");
    assert!(
        signature.contains("/ap-south-1/lambda/aws4_request"),
        "{signature}"
    );
}

#[tokio::test]
async fn a_function_error_is_passed_on() {
    let script = Script {
        headers: &[
            ("x-amz-function-error", "Unhandled"),
            ("x-amz-log-result", "Ym9vbQ=="),
        ],
        body: "{\"errorMessage\":\"boom\"}",
        ..FINE
    };
    let expected = ActionReply {
        payload: Bytes::from_static(b"{\"errorMessage\":\"boom\"}"),
        function_error: Some("Unhandled".to_owned()),
        log_tail: Some("boom".to_owned()),
        request_id: None,
    };
    let (address, _) = server(script).await;
    let real = registry(FunctionRuntime::Lambda(lambda(address)));
    assert_eq!(invoke(&real).await, Ok(expected.clone()));
    let emulator = emulated(format!("http://{address}/"), Duration::from_secs(20));
    assert_eq!(
        invoke(&emulator).await,
        Ok(ActionReply {
            log_tail: None,
            request_id: None,
            ..expected
        })
    );
}

#[tokio::test]
async fn lambdas_refusals_are_told_apart_and_nothing_is_sent_twice() {
    let function = || ARN.to_owned();
    let denied = ActionError::AccessDenied {
        function: function(),
        detail: "AccessDeniedException: no".to_owned(),
    };
    let unknown = ActionError::NotFound {
        function: function(),
        detail: "no".to_owned(),
    };
    let failed = |code: &str| ActionError::Failed {
        function: function(),
        detail: format!("lambda answered {code}: no"),
    };
    for (status, code, expected) in [
        (403, "AccessDeniedException", denied),
        (404, "ResourceNotFoundException", unknown),
        (
            429,
            "TooManyRequestsException",
            failed("TooManyRequestsException"),
        ),
        (500, "ServiceException", failed("ServiceException")),
    ] {
        let headers: &'static [(&str, &str)] = Vec::leak(vec![("x-amzn-errortype", code)]);
        let script = Script {
            status,
            headers,
            body: "{\"Message\":\"no\",\"message\":\"no\"}",
        };
        let (address, seen) = server(script).await;
        let registry = registry(FunctionRuntime::Lambda(lambda(address)));
        assert_eq!(invoke(&registry).await, Err(expected));
        assert_eq!(seen.lock().unwrap().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn an_emulator_is_invoked_as_its_protocol_has_it() {
    let (address, seen) = server(FINE).await;
    let registry = emulated(format!("http://{address}"), Duration::from_secs(20));
    assert_eq!(invoke(&registry).await, Ok(fine()));
    let seen = seen.lock().unwrap();
    let request = seen.first().unwrap();
    assert_eq!(
        request.target,
        "POST /2015-03-31/functions/function/invocations"
    );
    assert_eq!(request.idempotency_key(), json!("run-1/4"));
    assert_eq!(request.body, Bytes::from_static(b"{\"a\":1}"));
}

#[tokio::test]
async fn what_cannot_be_reached_fails_with_its_cause() {
    let detail = async |registry: FunctionRegistry| match invoke(&registry).await {
        Err(ActionError::Failed { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    // Bound and closed again: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let refused = detail(registry(FunctionRuntime::Lambda(lambda(closed)))).await;
    assert!(refused.contains("refused"), "{refused}");
    let refused = detail(emulated(
        format!("http://{closed}"),
        Duration::from_secs(20),
    ))
    .await;
    assert!(refused.contains("refused"), "{refused}");

    // Bound and never accepted from: the connection stands, and nothing comes.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let timeout = Duration::from_millis(50);
    let late = LambdaFunction {
        timeout,
        ..lambda(silent)
    };
    let late = detail(registry(FunctionRuntime::Lambda(late))).await;
    assert!(late.contains("timeout"), "{late}");
    let late = detail(emulated(format!("http://{silent}"), timeout)).await;
    assert!(late.contains("0.05 s"), "{late}");

    let (address, _) = server(Script {
        status: 502,
        body: "bad gateway",
        ..FINE
    })
    .await;
    let failing = detail(emulated(
        format!("http://{address}"),
        Duration::from_secs(20),
    ))
    .await;
    assert!(
        failing.contains("answered 502 Bad Gateway: bad gateway"),
        "{failing}"
    );
}
