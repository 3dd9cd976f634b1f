//! Verification against AWS's own signing test suite, and against tampering.

use serde_json::Value;

use super::*;

const NOW: u64 = 1_748_626_089;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key() -> AccessKey {
    AccessKey {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        account_id: Some("222222222222".to_owned()),
    }
}

/// Cases of the suite that cannot be run here, each with its reason. May only shrink.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    (
        "double-encode-path header-signed-request",
        "no signature there, only the canonical request",
    ),
    (
        "double-url-encode header-signed-request",
        "no signature there, only the canonical request",
    ),
    (
        "get-header-value-multiline header-signed-request",
        "HTTP libraries refuse folded lines",
    ),
    (
        "get-header-value-multiline query-signed-request",
        "HTTP libraries refuse folded lines",
    ),
    (
        "get-space-normalized header-signed-request",
        "HTTP libraries refuse a raw space",
    ),
    (
        "get-space-normalized query-signed-request",
        "HTTP libraries refuse a raw space",
    ),
    (
        "post-sts-header-after query-signed-request",
        "the token is added after signing, which these services do not take",
    ),
];

/// A request as the suite writes it.
fn parse(text: &str) -> Option<Request<Bytes>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let target = rest.rsplit_once(' ')?.0;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).ok()
}

/// Whether the signature of a request of the suite is found again.
fn verifies(text: &str) -> bool {
    let Some(request) = parse(text) else {
        return false;
    };
    let Ok(Some(claim)) = Claim::read(&request) else {
        return false;
    };
    signature(&request, &claim, &key()).is_ok_and(|signature| signature == claim.signature)
}

#[test]
fn signing_test_suite() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../conformance/third_party/aws-sigv4/signing-test-suite.json"
    );
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut failed = Vec::new();
    let mut run = 0;
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        for form in ["header-signed-request", "query-signed-request"] {
            if let Some(text) = case[form].as_str() {
                run += 1;
                if !verifies(text) {
                    failed.push(format!("{name} {form}"));
                }
            }
        }
    }
    let excused: Vec<_> = NOT_APPLICABLE
        .iter()
        .map(|(case, _)| (*case).to_owned())
        .collect();
    assert_eq!(failed, excused, "of {run} signatures");
    assert_eq!(run, 64);
}

/// A request signed by the AWS signer the way the SDKs do.
fn signed(service: &str, presigned: bool) -> Request<Bytes> {
    let mut settings = SigningSettings::default();
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_mins(1));
    }
    let key = key();
    let token = Some("a/session+token".to_owned());
    let credentials = Credentials::new(
        &key.access_key_id,
        &key.secret_access_key,
        token,
        None,
        "test",
    );
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name(service)
        .time(at(NOW))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = "http://localhost:8474/tags/arn%3Aaws%3Abedrock%3Aeu-central-1%3A222222222222%3Aagent%2FABCDEFGHIJ?tagKeys=a%20b&tagKeys=c";
    let mut request = Request::builder()
        .method("POST")
        .uri(uri)
        .header("host", "localhost:8474")
        .header("content-type", "application/json")
        .header("user-agent", "aws-cli")
        .body(Bytes::from_static(br#"{"tags":{"a":"b"}}"#))
        .unwrap();
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new("POST", uri, headers, body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

fn verify(request: &Request<Bytes>, seconds: u64) -> Result<Identity, String> {
    let verifier = Verifier::new([key()]);
    let outcome = verifier.verify(request, at(seconds));
    outcome.map_err(|rejection| {
        let exception = rejection.into_exception();
        format!("{:?}: {}", exception.kind(), exception.message())
    })
}

#[test]
fn accepts_what_the_aws_signer_signs() {
    for (service, presigned) in [("bedrock", false), ("lambda", false), ("bedrock", true)] {
        let identity = verify(&signed(service, presigned), NOW + 30).unwrap();
        assert_eq!(identity.access_key_id.as_deref(), Some("AKIDEXAMPLE"));
        assert_eq!(identity.account_id.as_deref(), Some("222222222222"));
        assert_eq!(identity.region.as_deref(), Some("eu-central-1"));
    }
    let wrong = verify(&signed("s3", false), NOW).unwrap_err();
    assert_eq!(
        wrong,
        "InvalidSignature: the signature is incomplete: Credential should be scoped to correct service: 'bedrock'."
    );
}

#[test]
fn a_change_anywhere_is_noticed() {
    type Change = fn(&mut Request<Bytes>);
    let changes: [(&str, Change); 7] = [
        ("method", |request| {
            *request.method_mut() = http::Method::PUT;
        }),
        ("path", |request| {
            let uri = request
                .uri()
                .to_string()
                .replace("ABCDEFGHIJ", "ABCDEFGHIK");
            *request.uri_mut() = uri.parse().unwrap();
        }),
        ("query", |request| {
            let uri = request.uri().to_string().replace("tagKeys=c", "tagKeys=d");
            *request.uri_mut() = uri.parse().unwrap();
        }),
        ("body", |request| {
            *request.body_mut() = Bytes::from_static(b"{}");
        }),
        ("host", |request| {
            request
                .headers_mut()
                .insert("host", "elsewhere:8474".parse().unwrap());
        }),
        ("header", |request| {
            request
                .headers_mut()
                .insert("content-type", "text/plain".parse().unwrap());
        }),
        ("missing header", |request| {
            request.headers_mut().remove("content-type");
        }),
    ];
    for presigned in [false, true] {
        for (what, change) in changes {
            // A presigned body is its hash: the aws signer binds it like the rest.
            let mut request = signed("bedrock", presigned);
            change(&mut request);
            let refused = verify(&request, NOW).unwrap_err();
            assert!(
                refused.starts_with(
                    "InvalidSignature: The request signature we calculated does not match"
                ),
                "{what}: {refused}"
            );
        }
    }
}

#[test]
fn unsigned_headers_may_change() {
    let mut request = signed("bedrock", false);
    request
        .headers_mut()
        .insert("user-agent", "a proxy".parse().unwrap());
    assert!(verify(&request, NOW).is_ok());
}

#[test]
fn time_counts() {
    let header = signed("bedrock", false);
    let presigned = signed("bedrock", true);
    for (request, seconds, expected) in [
        (&header, NOW + 300, None),
        (&header, NOW - 300, None),
        (
            &header,
            NOW + 301,
            Some(
                "InvalidSignature: Signature expired: 20250530T172809Z is now earlier than 20250530T172810Z (20250530T173310Z - 5 min.)",
            ),
        ),
        (
            &header,
            NOW - 301,
            Some(
                "InvalidSignature: Signature not yet current: 20250530T172809Z is still later than 20250530T172808Z (20250530T172308Z + 5 min.)",
            ),
        ),
        (&presigned, NOW + 60, None),
        (
            &presigned,
            NOW + 61,
            Some(
                "InvalidSignature: Signature expired: 20250530T172909Z is now earlier than 20250530T172910Z",
            ),
        ),
    ] {
        let refused = verify(request, seconds).err();
        assert_eq!(refused.as_deref(), expected, "at {seconds}");
    }
}

#[test]
fn refuses_strangers_and_the_unsigned() {
    let unsigned = Request::builder()
        .uri("/agents/")
        .header("host", "h")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(
        verify(&unsigned, NOW).unwrap_err(),
        "MissingAuthenticationToken: Missing Authentication Token"
    );
    let mut bearer = unsigned.clone();
    bearer
        .headers_mut()
        .insert("authorization", "Bearer abc".parse().unwrap());
    assert!(
        verify(&bearer, NOW)
            .unwrap_err()
            .starts_with("MissingAuthenticationToken")
    );

    let stranger = Verifier::new([AccessKey {
        access_key_id: "ANOTHER".to_owned(),
        ..key()
    }]);
    let refused = stranger
        .verify(&signed("bedrock", false), at(NOW))
        .unwrap_err();
    let exception = refused.into_exception();
    assert_eq!(
        exception.kind(),
        outcrop_model::exception::ExceptionKind::UnrecognizedClient
    );
    assert_eq!(
        exception.message(),
        "The security token included in the request is invalid."
    );
}

#[test]
fn refuses_half_a_signature() {
    let whole = signed("bedrock", false);
    let authorization = whole.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    for (from, to) in [
        ("Signature=", "Sig="),
        ("SignedHeaders=", "Headers="),
        ("Credential=", "Cred="),
        ("aws4_request", "aws5_request"),
        ("/20250530/", "/20250531/"),
        ("eu-central-1", "../../etc"),
        ("content-type;host;", "content-type;"),
    ] {
        let mut request = whole.clone();
        let broken = authorization.replace(from, to);
        assert_ne!(broken, authorization, "{from}");
        request
            .headers_mut()
            .insert("authorization", broken.parse().unwrap());
        let refused = verify(&request, NOW).unwrap_err();
        assert!(
            refused.starts_with("InvalidSignature: the signature is incomplete"),
            "{from}: {refused}"
        );
    }
    let mut undated = whole;
    undated.headers_mut().remove("x-amz-date");
    assert!(verify(&undated, NOW).is_err());
}

#[test]
fn an_open_verifier_reads_only_the_scope() {
    let open = Verifier::default();
    let mut request = signed("bedrock", false);
    *request.body_mut() = Bytes::from_static(b"changed");
    let identity = open.verify(&request, at(0)).unwrap();
    assert_eq!(identity.region.as_deref(), Some("eu-central-1"));
    assert_eq!(identity.account_id, None);
    let unsigned = Request::builder()
        .uri("/agents/")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(open.verify(&unsigned, at(0)).unwrap(), Identity::default());
}

#[test]
fn secrets_stay_out_of_logs() {
    assert!(!format!("{:?}", Verifier::new([key()])).contains("wJalr"));
}
