//! What is written for which schema. That it runs is the business of `conformance/python`.

use expect_test::expect;
use serde_json::{Value, json};

use super::*;

fn parameter(name: &str, required: bool, schema: Value) -> Parameter {
    Parameter {
        name: name.to_owned(),
        required,
        schema,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write it in place")]
fn function(name: &str, parameters: Vec<Parameter>, example: Value) -> Operation {
    Operation {
        kind: OperationKind::Function {
            name: name.to_owned(),
        },
        name: name.to_owned(),
        description: Some("Reserves \"days\".".to_owned()),
        parameters,
        example: example.as_object().cloned().unwrap_or_default(),
        event: "{}".to_owned(),
    }
}

fn reserve() -> Uses {
    let parameters = vec![
        parameter(
            "notes",
            false,
            json!({"type": "array", "items": {"type": "string"}}),
        ),
        parameter(
            "start-date",
            true,
            json!({"type": "string", "description": "The first day."}),
        ),
        parameter("days", false, json!({"type": "integer", "default": 7})),
        parameter(
            "kind",
            true,
            json!({"type": "string", "enum": ["paid", "unpaid"]}),
        ),
    ];
    let example = json!({"notes": ["text"], "start-date": "text", "days": 7, "kind": "paid"});
    let mut uses = Uses::default();
    uses.add("Vacations", function("reserve", parameters, example));
    uses
}

/// What stands below the part that knows no schema.
fn types(uses: &Uses) -> String {
    plain::types(&types::shape(uses))
}

#[test]
fn arguments_have_the_types_of_the_schema() {
    expect![[r#"


        @dataclass(frozen=True)
        class ReserveArguments:
            """What `reserve` of Vacations is called with."""

            start_date: str
            """The first day."""
            kind: Literal["paid", "unpaid"]
            notes: Optional[list[str]] = None
            days: int = 7

            @classmethod
            def read(cls, given: Given) -> ReserveArguments:
                return cls(
                    start_date=given.required("start-date", text),
                    kind=given.required("kind", one_of(text, "paid", "unpaid")),
                    notes=given.optional("notes", array(text)),
                    days=given.optional("days", integer, 7),
                )
    "#]]
    .assert_eq(&types(&reserve()));
}

#[test]
fn nested_objects_are_types_of_their_own() {
    let filter = json!({"type": "object", "properties": {
        "tags": {"type": "array", "items": {"type": "object", "properties": {"a-b": {"type": "number"}}}},
        "open": {"type": "boolean"}
    }});
    let mut uses = Uses::default();
    uses.add(
        "G",
        function("find", vec![parameter("filter", true, filter)], json!({})),
    );
    let text = types(&uses);
    for line in [
        "FindFilterTagsItem = TypedDict(\"FindFilterTagsItem\", {\"a-b\": \"float\"}, total=False)\n",
        "class FindFilter(TypedDict, total=False):\n    open: bool\n    tags: list[FindFilterTagsItem]\n",
        "    filter: FindFilter\n",
        "structure({\"open\": boolean, \"tags\": array(structure({\"a-b\": number}))})",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_handler_has_a_place_for_each_operation() {
    let files = files("vacations", &reserve(), Style::Plain).unwrap();
    let names: Vec<&String> = files.keys().collect();
    assert_eq!(
        names,
        [
            "actions.py",
            "events/Vacations.reserve.json",
            "handler.py",
            "test_handler.py"
        ]
    );
    let handler = &files[HANDLER];
    let work = handler.split_once("from actions").unwrap().1;
    expect![[r#"
         import answer, Call, ReserveArguments


        def reserve(arguments: ReserveArguments, call: Call):
            """Reserves 'days'."""
            return "reserve of Vacations is a stub"


        OPERATIONS = {
            ("Vacations", "reserve"): (ReserveArguments, reserve),
        }


        def handle(event, context):
            return answer(event, OPERATIONS)
    "#]]
    .assert_eq(work);
    let tests = &files["test_handler.py"];
    assert!(tests.ends_with(
        "    assert arguments == actions.ReserveArguments(\n        start_date=\"text\",\n        kind=\"paid\",\n        notes=[\"text\"],\n        days=7,\n    )\n"
    ), "{tests}");
}

#[test]
fn powertools_dispatches_by_itself() {
    let files = files("vacations", &reserve(), Style::Powertools).unwrap();
    let handler = &files[HANDLER];
    let work = handler.split_once("app = ").unwrap().1;
    expect![[r#"
        BedrockAgentFunctionResolver()


        @app.tool(name="reserve")
        def reserve():
            """Reserves 'days'."""
            arguments = ReserveArguments.read(Given(app.current_event.raw_event))
            return "reserve of Vacations is a stub"


        def handle(event, context):
            return app.resolve(event, context)
    "#]]
    .assert_eq(work);
    assert!(files["requirements.txt"].starts_with("aws-lambda-powertools=="));
}

#[test]
fn what_a_resolver_cannot_tell_apart_is_refused() {
    let mut uses = reserve();
    uses.add("Holidays", function("reserve", Vec::new(), json!({})));
    let same = files("f", &uses, Style::Powertools).unwrap_err();
    assert!(matches!(same, ScaffoldError::SameKey { .. }), "{same}");
    // Told apart by their group in the plain style, each under a name of its own.
    let files = super::files("f", &uses, Style::Plain).unwrap();
    assert!(files[HANDLER].contains("def reserve_2("));
    let mut uses = reserve();
    let mut api = function("x", Vec::new(), json!({}));
    api.kind = OperationKind::Api {
        path: "/x".to_owned(),
        method: "GET".to_owned(),
    };
    uses.add("Api", api);
    let mixed = super::files("f", &uses, Style::Powertools).unwrap_err();
    assert_eq!(mixed, ScaffoldError::MixedKinds);
}

#[test]
fn other_calls_have_their_place() {
    let mut uses = Uses::default();
    let key = ("support-bot".to_owned(), "A1B2C3D4E5".to_owned());
    uses.parses.insert(key, vec!["ORCHESTRATION".to_owned()]);
    let files = files("parser", &uses, Style::Plain).unwrap();
    assert!(files[HANDLER].contains("OUTPUT_PARSER"));
    assert!(files.contains_key("events/parser.support-bot.ORCHESTRATION.json"));
    assert!(!files.contains_key("test_handler.py"));
}

#[test]
fn names_that_differ_in_capitals_get_files_of_their_own() {
    let mut uses = Uses::default();
    uses.add("G", function("find", Vec::new(), json!({})));
    uses.add("G", function("Find", Vec::new(), json!({})));
    let files = files("f", &uses, Style::Plain).unwrap();
    let events: Vec<&String> = files
        .keys()
        .filter(|path| path.starts_with("events/"))
        .collect();
    assert_eq!(events, ["events/G.Find.json", "events/G.find.2.json"]);
}
