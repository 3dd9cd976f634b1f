//! Which function an ARN or a name leads to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use outcrop_engine::port::{ActionCall, ActionError, ActionExecutor};

use crate::http::egress::Egress;

use super::{
    EmulatedFunction, FunctionMapping, FunctionRegistry, FunctionRuntime, FunctionSettings,
    FunctionsError, LocalFunction, LocalRuntime, WorkerSettings, client_context,
};

const ARN: &str = "arn:aws:lambda:us-west-2:111111111111:function:order-tools";

fn settings() -> FunctionSettings {
    FunctionSettings {
        region: "us-west-2".to_owned(),
        account_id: "111111111111".to_owned(),
        workers: WorkerSettings::new("unused"),
        egress: Egress::default(),
    }
}

fn emulated(pattern: &str, port: u16) -> FunctionMapping {
    FunctionMapping {
        pattern: pattern.to_owned(),
        runtime: FunctionRuntime::Http(EmulatedFunction {
            url: format!("http://127.0.0.1:{port}"),
            timeout: Duration::from_secs(5),
        }),
    }
}

fn call(function: &str) -> ActionCall {
    ActionCall {
        function: function.to_owned(),
        event: Bytes::from_static(b"{}"),
        idempotency_key: "run/1".to_owned(),
        client_context: None,
        request_id: "0d5c2f0e-6f5e-4b53-9b0a-6a7f8f1c2d3e".to_owned(),
        action: None,
    }
}

/// The index of the mapping that serves `function`.
fn served_by(patterns: &[&str], function: &str) -> Option<usize> {
    let mappings = patterns
        .iter()
        .map(|pattern| emulated(pattern, 9))
        .collect();
    let registry = FunctionRegistry::new(mappings, settings()).expect("valid patterns");
    let name = super::FunctionName::parse(function, &registry.region, &registry.account_id);
    registry
        .mappings
        .iter()
        .position(|mapping| mapping.fits(function, &name))
}

#[test]
fn a_function_is_found_by_name_arn_or_glob_and_the_first_fit_wins() {
    assert_eq!(served_by(&["order-tools"], ARN), Some(0));
    assert_eq!(served_by(&["order-tools"], &format!("{ARN}:PROD")), Some(0));
    assert_eq!(served_by(&[ARN], &format!("{ARN}:PROD")), Some(0));
    assert_eq!(served_by(&[ARN], "order-tools"), Some(0));
    assert_eq!(served_by(&[&format!("{ARN}:PROD")], ARN), None);
    assert_eq!(served_by(&["other", "order-*", "*"], ARN), Some(1));
    assert_eq!(
        served_by(&["arn:aws:lambda:*:111111111111:*"], ARN),
        Some(0)
    );
    assert_eq!(served_by(&["arn:aws:lambda:*:222222222222:*"], ARN), None);
    assert_eq!(served_by(&["order-tools"], "order-tools-2"), None);
}

#[tokio::test]
async fn an_unknown_function_is_answered_with_the_setting_to_add() {
    let registry = FunctionRegistry::new(Vec::new(), settings()).expect("no mappings are valid");
    let error = ActionExecutor::invoke(&registry, call(ARN))
        .await
        .expect_err("nothing serves it");
    let detail = "no [[functions]] entry of the configuration fits it. Add one, such as\n\n\
                  [[functions]]\nmatch = \"order-tools\"\nruntime = \"python\"\n\
                  handler = \"app.lambda_handler\"\ncode = \"functions/order-tools\"\n";
    assert_eq!(
        error,
        ActionError::NotFound {
            function: ARN.to_owned(),
            detail: detail.to_owned()
        }
    );
}

#[test]
fn mappings_are_checked() {
    let refusal = |mapping| match FunctionRegistry::new(vec![mapping], settings()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        refusal(emulated("order-[", 9)),
        "the function pattern \"order-[\" is not valid: error parsing glob 'order-[': unclosed \
         character class; missing ']'"
    );
    let mut url = emulated("f", 9);
    if let FunctionRuntime::Http(function) = &mut url.runtime {
        "ftp://host".clone_into(&mut function.url);
    }
    assert_eq!(
        refusal(url),
        "the url of function \"f\" is not valid: ftp://host is not an http url"
    );
    let mut local = LocalFunction::new(LocalRuntime::Python, "code", "app.handler");
    local.environment = BTreeMap::from([("_HANDLER".to_owned(), "x".to_owned())]);
    let reserved = FunctionMapping {
        pattern: "f".to_owned(),
        runtime: FunctionRuntime::Local(local),
    };
    assert!(matches!(
        FunctionRegistry::new(vec![reserved], settings()),
        Err(FunctionsError::Environment { .. })
    ));
}

#[test]
fn the_client_context_is_ascii() {
    assert_eq!(
        client_context(None, "run/é😀"),
        r#"{"client":{},"custom":{"outcrop-idempotency-key":"run/\u00e9\ud83d\ude00"},"env":{}}"#
    );
}
