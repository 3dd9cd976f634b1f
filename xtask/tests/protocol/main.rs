//! The restJson1 protocol cases of botocore, run through the generator's reader and wire's codec in
//! both directions: as a client and as a server.
//!
//! A case that cannot be run stands in a list with its reason, and the list may only shrink: one
//! that passes by now, or is no longer a case, fails the test.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cases;
mod lower;
mod values;

use std::collections::BTreeSet;

use cases::{Case, Direction};

/// How many of the 204 cases pass, each counted in both directions. May only grow.
const PASSED: usize = 363;

/// What is not run in a direction, and why. May only shrink.
const NOT_APPLICABLE: &[(Direction, &str, &[&str])] = &[
    (
        Direction::Client,
        "hosts are the caller's business; these services bind none",
        &[
            "RestJsonEndpointTrait",
            "RestJsonEndpointTraitWithHostLabel",
            "RestJsonHostWithPath",
        ],
    ),
    (
        Direction::Server,
        "these services have no path before their own",
        &["RestJsonHostWithPath"],
    ),
    (
        Direction::Client,
        "no operation of these services requires a checksum",
        &["RestJsonHttpChecksumRequired"],
    ),
    (
        Direction::Client,
        "no operation of these services compresses its requests",
        &[
            "SDKAppliedContentEncoding_restJson1",
            "SDKAppendedGzipAfterProvidedEncoding_restJson1",
        ],
    ),
    (
        Direction::Server,
        "no operation of these services takes compressed requests",
        &[
            "SDKAppliedContentEncoding_restJson1",
            "SDKAppendedGzipAfterProvidedEncoding_restJson1",
        ],
    ),
    (
        Direction::Server,
        "no route of these services is greedy; a test of the router asserts it",
        &["RestJsonHttpRequestWithGreedyLabelInPath"],
    ),
    (
        Direction::Client,
        "no header of these services is JSON",
        &["MediaTypeHeaderInputBase64", "MediaTypeHeaderOutputBase64"],
    ),
    (
        Direction::Server,
        "no header of these services is JSON",
        &["MediaTypeHeaderInputBase64", "MediaTypeHeaderOutputBase64"],
    ),
    (
        Direction::Server,
        "an empty map leaves no trace in headers",
        &["RestJsonHttpPrefixHeadersAreNotPresent"],
    ),
    (
        Direction::Server,
        "an empty list leaves no trace in the query",
        &["RestJsonOmitsEmptyListQueryValues"],
    ),
    (
        Direction::Server,
        "a server's map holds the parameters bound by name too",
        &[
            "RestJsonQueryParamsStringListMap",
            "RestJsonQueryPrecedence",
        ],
    ),
    (
        Direction::Server,
        "an empty structure and none look alike",
        &[
            "RestJsonHttpWithEmptyStructurePayload",
            "RestJsonHttpWithHeadersButNoPayload",
        ],
    ),
    (
        Direction::Server,
        "instants are written in UTC",
        &[
            "RestJsonDateTimeWithNegativeOffset",
            "RestJsonDateTimeWithPositiveOffset",
        ],
    ),
    (
        Direction::Server,
        "an empty output is written as an empty object, which other cases ask for",
        &[
            "RestJsonEmptyInputAndEmptyOutputJsonObjectOutput",
            "RestJsonGreetingWithErrorsNoPayload",
            "RestJsonHttpResponseCodeWithNoPayload",
            "RestJsonIgnoreQueryParamsInResponseNoPayload",
            "RestJsonNoInputAndNoOutput",
            "RestJsonNoInputAndOutputNoPayload",
            "RestJsonUnitInputAndOutputNoOutput",
        ],
    ),
    (
        Direction::Server,
        "a server writes the exceptions of its tables, tested there",
        &[
            "RestJsonFooErrorUsingXAmznErrorType",
            "RestJsonFooErrorUsingXAmznErrorTypeWithUri",
            "RestJsonFooErrorUsingXAmznErrorTypeWithUriAndNamespace",
            "RestJsonFooErrorUsingCode",
            "RestJsonFooErrorUsingCodeAndNamespace",
            "RestJsonFooErrorUsingCodeUriAndNamespace",
            "RestJsonFooErrorWithDunderType",
            "RestJsonFooErrorWithDunderTypeAndNamespace",
            "RestJsonFooErrorWithDunderTypeUriAndNamespace",
            "RestJsonComplexErrorWithNoMessage",
            "RestJsonEmptyComplexErrorWithNoMessage",
            "RestJsonInvalidGreetingError",
        ],
    ),
    (
        Direction::Client,
        "no exception of these services has members in headers",
        &["RestJsonComplexErrorWithNoMessage"],
    ),
    (
        Direction::Server,
        "what a client must overlook, a server does not write",
        &[
            "RestJsonDeserializesDenseSetMapAndSkipsNull",
            "RestJsonDoesntDeserializeNullStructureValues",
            "RestJsonDeserializeIgnoreType",
        ],
    ),
];

#[test]
fn botocore_protocol_cases() {
    let cases = Case::all();
    assert_eq!(cases.len(), 204);
    let mut failures = Vec::new();
    let mut failed = BTreeSet::new();
    let mut passed = 0;
    for case in &cases {
        for direction in [Direction::Client, Direction::Server] {
            match case.run(direction) {
                Ok(()) => passed += 1,
                Err(why) => {
                    failed.insert((direction, case.id.as_str()));
                    if !excused(direction, &case.id) {
                        failures.push(format!("{} {direction:?}: {why}", case.id));
                    }
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of 408:\n{}",
        failures.len(),
        failures.join("\n")
    );
    for (direction, reason, ids) in NOT_APPLICABLE {
        for id in *ids {
            let still = failed.contains(&(*direction, *id));
            assert!(still, "{id} {direction:?} passes by now: {reason}");
        }
    }
    assert_eq!((passed, failed.len()), (PASSED, 2 * cases.len() - PASSED));
}

fn excused(direction: Direction, id: &str) -> bool {
    let rows = NOT_APPLICABLE.iter().filter(|row| row.0 == direction);
    rows.into_iter().any(|(_, _, ids)| ids.contains(&id))
}
