//! Exceptions on the wire, for both services and every kind.

use outcrop_model::{control, runtime};

use super::*;

const ALL: [ExceptionKind; 15] = [
    ExceptionKind::AccessDenied,
    ExceptionKind::BadGateway,
    ExceptionKind::Conflict,
    ExceptionKind::DependencyFailed,
    ExceptionKind::InternalServer,
    ExceptionKind::ModelNotReady,
    ExceptionKind::ResourceNotFound,
    ExceptionKind::ServiceQuotaExceeded,
    ExceptionKind::Throttling,
    ExceptionKind::Validation,
    ExceptionKind::Serialization,
    ExceptionKind::UnknownOperation,
    ExceptionKind::UnrecognizedClient,
    ExceptionKind::InvalidSignature,
    ExceptionKind::MissingAuthenticationToken,
];

fn line(
    service: &'static ServiceSpec,
    modelled: &[ExceptionKind],
    kind: ExceptionKind,
) -> (u16, &'static str) {
    let row = exception_row(service, modelled, kind);
    (row.status, row.shape)
}

#[test]
fn status_belongs_to_the_service() {
    let control = &control::tables::SERVICE;
    let runtime = &runtime::tables::SERVICE;
    for (kind, in_control, in_runtime) in [
        (ExceptionKind::Validation, 400, 400),
        (ExceptionKind::AccessDenied, 403, 403),
        (ExceptionKind::ResourceNotFound, 404, 404),
        (ExceptionKind::Conflict, 409, 409),
        (ExceptionKind::Throttling, 429, 429),
        (ExceptionKind::ServiceQuotaExceeded, 402, 400),
        (ExceptionKind::InternalServer, 500, 500),
        (ExceptionKind::DependencyFailed, 500, 424),
        (ExceptionKind::BadGateway, 500, 502),
        (ExceptionKind::ModelNotReady, 500, 424),
        (ExceptionKind::Serialization, 400, 400),
        (ExceptionKind::UnknownOperation, 403, 403),
        (ExceptionKind::UnrecognizedClient, 403, 403),
        (ExceptionKind::InvalidSignature, 403, 403),
        (ExceptionKind::MissingAuthenticationToken, 403, 403),
    ] {
        assert_eq!(
            line(control, &ALL, kind).0,
            in_control,
            "{kind:?} in control"
        );
        assert_eq!(
            line(runtime, &ALL, kind).0,
            in_runtime,
            "{kind:?} in runtime"
        );
    }
}

#[test]
fn an_operation_answers_only_what_it_models() {
    for service in [&control::tables::SERVICE, &runtime::tables::SERVICE] {
        for operation in service.operations {
            for kind in ALL {
                let row = exception_row(service, operation.errors, kind);
                let front_end = FRONT_END.iter().any(|front_end| front_end.kind == kind);
                let last_resort = matches!(
                    row.kind,
                    ExceptionKind::InternalServer | ExceptionKind::Validation
                );
                assert!(
                    front_end || operation.errors.contains(&row.kind) || last_resort,
                    "{} answers {}",
                    operation.name,
                    row.shape
                );
                if operation.errors.contains(&kind) && !front_end {
                    assert_eq!(row.kind, kind, "{}", operation.name);
                }
            }
        }
    }
}

#[test]
fn bodies_have_the_members_of_their_shape() {
    let given = Exception::validation("1 validation error detected: …")
        .with_field("agentId", "too long")
        .with_retry_after_s(3);
    let answer = exception(&control::tables::SERVICE, &ALL, &given, "4e0e2a40-0000");
    assert_eq!(answer.status(), 400);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-amzn-errortype"), "ValidationException");
    assert_eq!(header("x-amzn-requestid"), "4e0e2a40-0000");
    assert_eq!(header("retry-after"), "3");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(
        answer.body().as_full().unwrap(),
        r#"{"fieldList":[{"message":"too long","name":"agentId"}],"message":"1 validation error detected: …"}"#
    );

    let answer = exception(&runtime::tables::SERVICE, &ALL, &given, "id");
    assert_eq!(
        answer.body().as_full().unwrap(),
        r#"{"message":"1 validation error detected: …"}"#
    );
}

#[test]
fn no_internal_text_reaches_the_client() {
    let given = Exception::internal("the disk is full");
    let answer = exception(&control::tables::SERVICE, &ALL, &given, "id");
    let body = answer.body().as_full().unwrap();
    assert_eq!(
        body,
        r#"{"message":"An internal server error occurred. Retry your request."}"#
    );
}
