//! Routing over the real tables, collisions included.

use outcrop_model::{bedrock, control, converse, lambda, runtime};

use super::*;

fn specs() -> Vec<&'static OperationSpec> {
    let operations = control::tables::OPERATIONS
        .iter()
        .chain(runtime::tables::OPERATIONS)
        .chain(converse::tables::OPERATIONS)
        .chain(bedrock::tables::OPERATIONS)
        .chain(lambda::tables::OPERATIONS);
    operations.copied().collect()
}

fn found(method: &str, path: &str, host: Option<&str>) -> Option<(Service, &'static str)> {
    let specs = specs();
    let table = Table::new(specs.iter().copied());
    let index = table.find(method, path, host)?.index;
    Some((specs[index].service, specs[index].name))
}

#[test]
fn routes_both_forms_of_every_path() {
    for spec in specs() {
        let mut path = String::new();
        for segment in spec.uri {
            path.push('/');
            match segment {
                Segment::Literal(literal) => path.push_str(literal),
                Segment::Label("resourceArn") if spec.service == Service::Runtime => {
                    path.push_str("arn:aws:bedrock:us-west-2:111111111111:session%2Fx");
                }
                Segment::Label(_) | Segment::GreedyLabel(_) => path.push_str("ABCDEFGHIJ"),
            }
        }
        let modelled = if spec.trailing_slash {
            format!("{path}/")
        } else {
            path.clone()
        };
        let expected = Some((spec.service, spec.name));
        assert_eq!(found(spec.method, &modelled, None), expected, "{modelled}");

        let other = if spec.trailing_slash {
            path
        } else {
            format!("{path}/")
        };
        let collides = COLLISIONS.iter().any(|collision| {
            collision.by == Tell::TrailingSlash
                && (collision.control == spec.name || collision.runtime == spec.name)
        });
        if !collides {
            assert_eq!(found(spec.method, &other, None), expected, "{other}");
        }
    }
}

#[test]
fn tells_collisions_apart() {
    let control = Service::Control;
    let runtime = Service::Runtime;
    for (method, path, host, expected) in [
        (
            "POST",
            "/agents/ABCDEFGHIJ/",
            None,
            (control, "PrepareAgent"),
        ),
        (
            "POST",
            "/agents/ABCDEFGHIJ",
            None,
            (runtime, "InvokeInlineAgent"),
        ),
        (
            "POST",
            "/agents/ABCDEFGHIJ",
            Some("bedrock-agent.us-west-2.localhost:8474"),
            (control, "PrepareAgent"),
        ),
        (
            "POST",
            "/agents/ABCDEFGHIJ/",
            Some("bedrock-agent-runtime.us-west-2.localhost"),
            (runtime, "InvokeInlineAgent"),
        ),
        (
            "POST",
            "/agents/ABCDEFGHIJ/",
            Some("127.0.0.1:8474"),
            (control, "PrepareAgent"),
        ),
        ("POST", "/agents/", None, (control, "ListAgents")),
        (
            "POST",
            "/flows/validate-definition",
            None,
            (control, "ValidateFlowDefinition"),
        ),
        ("POST", "/flows/ABCDEFGHIJ/", None, (control, "PrepareFlow")),
        (
            "GET",
            "/tags/arn%3Aaws%3Abedrock%3Aus-west-2%3A111111111111%3Aagent%2FABCDEFGHIJ",
            None,
            (control, "ListTagsForResource"),
        ),
        (
            "DELETE",
            "/tags/arn%3Aaws%3Abedrock%3Aus-west-2%3A111111111111%3Asession%2Fx",
            None,
            (runtime, "UntagResource"),
        ),
        (
            "POST",
            "/agents/ABCDEFGHIJ/agentAliases/TSTALIASID/sessions/s-1/text",
            None,
            (runtime, "InvokeAgent"),
        ),
    ] {
        assert_eq!(
            found(method, path, host),
            Some(expected),
            "{method} {path} {host:?}"
        );
    }
}

#[test]
fn finds_nothing_where_nothing_is() {
    for (method, path) in [
        ("GET", "/"),
        ("GET", ""),
        ("BREW", "/agents/"),
        ("POST", "/agents//agentversions/1/actiongroups/"),
        ("GET", "/no/such/path"),
        ("PATCH", "/agents/"),
    ] {
        assert_eq!(found(method, path, None), None, "{method} {path}");
    }
    let runtime_only = Some("bedrock-agent-runtime.us-west-2.localhost");
    assert_eq!(found("PUT", "/agents/", runtime_only), None);
}

#[test]
fn labels_stay_encoded() {
    let specs = specs();
    let table = Table::new(specs.iter().copied());
    let found = table.find("GET", "/tags/a%2Fb", None).unwrap();
    assert_eq!(found.labels, [("resourceArn", "a%2Fb")]);
}

/// A new collision in a future model must be settled on purpose.
#[test]
fn the_list_of_collisions_is_complete() {
    let specs = specs();
    let mut collisions = Vec::new();
    for (index, a) in specs.iter().enumerate() {
        for b in &specs[index + 1..] {
            let same_length = a.method == b.method && a.uri.len() == b.uri.len();
            let overlap = a.uri.iter().zip(b.uri).all(|pair| match pair {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                _ => true,
            });
            if same_length && overlap && specificity(a) == specificity(b) {
                assert_ne!(a.service, b.service, "{} and {}", a.name, b.name);
                collisions.push((a.name, b.name, a.trailing_slash != b.trailing_slash));
            }
        }
    }
    collisions.sort_unstable();
    let mut known: Vec<_> = COLLISIONS
        .iter()
        .map(|collision| {
            let by_slash = collision.by == Tell::TrailingSlash;
            (collision.control, collision.runtime, by_slash)
        })
        .collect();
    known.sort_unstable();
    assert_eq!(collisions, known);
    for spec in specs {
        assert!(
            spec.literal_query.is_empty(),
            "{}: routes ignore queries",
            spec.name
        );
        let greedy = spec
            .uri
            .iter()
            .any(|segment| matches!(segment, Segment::GreedyLabel(_)));
        assert!(!greedy, "{}: greedy labels are not routed", spec.name);
    }
}
