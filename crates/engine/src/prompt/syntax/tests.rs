//! Calls in each syntax: written, read, refused.

use outcrop_model::converse::ToolResultStatus;
use serde_json::json;

use super::*;
use crate::converse::{assistant_text, tool_result};

const TOOLS: [&str; 5] = [
    "AgentCommunication__sendMessage",
    "Vacations__reserve",
    "GET__Claims__list",
    "get__codeinterpreteraction__execute",
    "user__askuser",
];

fn known(name: &str) -> bool {
    TOOLS.contains(&name)
}

fn read(syntax: CallSyntax, text: &str) -> Decoded {
    decode(syntax, &assistant_text(text), &known, "call")
}

/// The text before the calls, and the calls.
fn parts(decoded: &Decoded) -> (String, Vec<(String, Value)>) {
    assert_eq!(decoded.malformed, None);
    let calls = crate::converse::tool_uses(&decoded.message)
        .map(|call| (call.name.clone(), call.input.clone()))
        .collect();
    (text_of(&decoded.message), calls)
}

#[test]
fn a_template_tells_its_syntax() {
    let xml = "<function_calls><invoke><tool_name>$TOOL_NAME<\\/tool_name>";
    for (text, syntax) in [
        (format!("{xml} $tools$"), CallSyntax::Xml),
        (format!("{xml} $functions$"), CallSyntax::Xml),
        (xml.to_owned(), CallSyntax::Native),
        (
            "$functions$ <function_call>f(a=1)</function_call>".to_owned(),
            CallSyntax::Function,
        ),
        (
            r#"$tools$ {\"name\": f, \"parameters\": {}}"#.to_owned(),
            CallSyntax::Json,
        ),
        ("$instruction$ $question$".to_owned(), CallSyntax::Native),
        (
            "<functions>$tools$</functions>".to_owned(),
            CallSyntax::Native,
        ),
    ] {
        assert_eq!(of_template(&text), syntax, "{text}");
    }
}

#[test]
fn xml_calls_are_read_as_models_write_them() {
    let recorded = "<thinking>\nTo find the sum I will ask.\n</thinking>\n\n<function_calls>\n  <invoke>\n    <tool_name>AgentCommunication::sendMessage</tool_name>\n    <parameters>\n      <recipient>SimpleSupervisor</recipient>\n      <content>Please calculate 1 < 2.</content>\n    </parameters>\n";
    let (text, calls) = parts(&read(CallSyntax::Xml, recorded));
    assert_eq!(text, "<thinking>\nTo find the sum I will ask.\n</thinking>");
    assert_eq!(
        calls,
        [(
            "AgentCommunication__sendMessage".to_owned(),
            json!({"recipient": "SimpleSupervisor", "content": "Please calculate 1 < 2."})
        )]
    );
    for (text, name, input) in [
        (
            "<function_calls><invoke><tool_name>get::Claims::list</tool_name></invoke></function_calls> made up",
            "GET__Claims__list",
            json!({}),
        ),
        (
            "<invoke><tool_name>Vacations__reserve</tool_name><parameters><day>1</day><day>2</day><half/></parameters>",
            "Vacations__reserve",
            json!({"day": ["1", "2"], "half": ""}),
        ),
        (
            "<function_calls><invoke name=\"Vacations::reserve\"><parameter name=\"day\">\n1\n</parameter></invoke>",
            "Vacations__reserve",
            json!({"day": "1"}),
        ),
        (
            "<thinking>never closed <function_calls><invoke><tool_name>get::codeinterpreteraction::execute</tool_name><parameters><code>\nif a:\n    b()\n</code></parameters></invoke>",
            "get__codeinterpreteraction__execute",
            json!({"code": "if a:\n    b()"}),
        ),
    ] {
        let (_, calls) = parts(&read(CallSyntax::Xml, text));
        assert_eq!(calls, [(name.to_owned(), input)], "{text}");
    }
    let two = "<function_calls><invoke><tool_name>user::askuser</tool_name></invoke><invoke><tool_name>Vacations::reserve</tool_name></invoke></function_calls>";
    let decoded = read(CallSyntax::Xml, two);
    let ids: Vec<&str> = crate::converse::tool_uses(&decoded.message)
        .map(|call| call.tool_use_id.as_str())
        .collect();
    assert_eq!(ids, ["call-0", "call-1"]);
}

#[test]
fn what_is_thought_or_answered_is_no_call() {
    for text in [
        "plain words",
        "<answer>Write <function_calls><invoke>.",
        "<thinking>Shall I <invoke><tool_name>x</tool_name></invoke>?</thinking><answer>No.",
        "",
    ] {
        let decoded = read(CallSyntax::Xml, text);
        assert_eq!(decoded.message, assistant_text(text));
        assert_eq!(decoded.malformed, None, "{text}");
    }
}

#[test]
fn a_bad_xml_call_is_answered_as_aws_does() {
    let invoke = "<invoke>\n    <tool_name>calculator</tool_name>\n    <parameters>\n      <n>10</n>\n    </parameters>";
    let decoded = read(
        CallSyntax::Xml,
        &format!("<thinking>x</thinking>\n<function_calls>\n  {invoke}\n"),
    );
    assert_eq!(
        decoded.malformed,
        Some(format!(
            "<function_results>\n<error>\n<tool_name>{invoke}</tool_name>\n<stdout>406: The function call format is incorrect. The format for function calls must be: <invoke> <tool_name>$TOOL_NAME</tool_name> <parameters> <$PARAMETER_NAME>$PARAMETER_VALUE</$PARAMETER_NAME>...</parameters></invoke>.</stdout>\n</error>\n</function_results>"
        ))
    );
    for text in [
        "<function_calls>",
        "<function_calls>{\"name\": \"x\"}</function_calls>",
        "<function_calls><invoke>no name</invoke>",
        "<invoke><tool_name>Vacations::reserve</tool_name><parameters><day>1",
        "<invoke><tool_name>Vacations::reserve</tool_name><parameters>words</parameters></invoke>",
        "<invoke",
    ] {
        assert!(read(CallSyntax::Xml, text).malformed.is_some(), "{text}");
    }
}

#[test]
fn function_calls_of_claude_2_are_read() {
    let text = "I see.\n<function_call>Vacations::reserve(day=\"4, (June)\", days=3, notes=['a', {\"b\": 1}], half=True, kind = 'it\\'s')";
    let (said, calls) = parts(&read(CallSyntax::Function, text));
    assert_eq!(said, "I see.");
    assert_eq!(
        calls,
        [(
            "Vacations__reserve".to_owned(),
            json!({"day": "4, (June)", "days": 3, "notes": "['a', {\"b\": 1}]", "half": true, "kind": "it's"})
        )]
    );
    let (_, calls) = parts(&read(
        CallSyntax::Function,
        "<function_call>user::askuser()</function_call><function_call>get::Claims::list()</function_call>",
    ));
    assert_eq!(calls.len(), 2);
    for text in [
        "<function_call>",
        "<function_call>calculator(n=1)</function_call>",
        "<function_call>Vacations::reserve(day=\"1",
        "<function_call>Vacations::reserve(day)</function_call>",
        "<function_call>Vacations::reserve(day=1) and then",
    ] {
        assert!(
            read(CallSyntax::Function, text).malformed.is_some(),
            "{text}"
        );
    }
}

#[test]
fn json_calls_are_read_in_their_many_dresses() {
    let input = json!({"day": "1"});
    for text in [
        r#"{"name": "Vacations__reserve", "parameters": {"day": "1"}}"#,
        r#"<|python_tag|>{"name": "Vacations__reserve", "arguments": {"day": "1"}}"#,
        "```json\n{\"type\": \"function\", \"function\": {\"name\": \"Vacations__reserve\", \"arguments\": \"{\\\"day\\\": \\\"1\\\"}\"}}\n```",
        r#"<thinking>{"name": "no", "parameters": {}}</thinking> [{"name": "Vacations::reserve", "parameters": {"day": "1"}}] <answer>"#,
        r#"{"function_calls": [{"name": "Vacations__reserve", "parameters": {"day": "1"}}]}"#,
    ] {
        let (_, calls) = parts(&read(CallSyntax::Json, text));
        assert_eq!(
            calls,
            [("Vacations__reserve".to_owned(), input.clone())],
            "{text}"
        );
    }
    for text in [
        "{\"total\": 3}",
        "{",
        "[1, 2]",
        "<answer>{\"name\": \"a\", \"parameters\": {}}",
    ] {
        let decoded = read(CallSyntax::Json, text);
        assert_eq!(parts(&decoded), (text.to_owned(), Vec::new()));
    }
    let unknown = read(CallSyntax::Json, r#"{"name": "nope", "parameters": {}}"#);
    assert!(unknown.malformed.is_some_and(|text| text.contains("nope")));
}

#[test]
fn a_native_reply_whose_text_is_a_call_is_one() {
    for text in [
        "{\"name\": \"Vacations__reserve\", \"parameters\": {\"day\": \"1\"}}",
        "<thinking>x</thinking>\n```json\n{\"name\": \"Vacations__reserve\", \"arguments\": {\"day\": \"1\"}}\n```",
        "<tool_call>\n{\"name\": \"Vacations__reserve\", \"arguments\": {\"day\": \"1\"}}\n</tool_call>",
        "I will.\n<function_calls><invoke name=\"Vacations__reserve\"><parameter name=\"day\">1</parameter></invoke></function_calls>",
    ] {
        let (_, calls) = parts(&read(CallSyntax::Native, text));
        assert_eq!(
            calls,
            [("Vacations__reserve".to_owned(), json!({"day": "1"}))],
            "{text}"
        );
    }
    for text in [
        "{\"name\": \"unknown\", \"parameters\": {}}",
        "Call {\"name\": \"Vacations__reserve\", \"parameters\": {}} to book.",
        "<answer>{\"name\": \"Vacations__reserve\", \"parameters\": {}}",
        "{\"total\": 3}",
        "<invoke><tool_name>unknown</tool_name>",
    ] {
        let decoded = read(CallSyntax::Native, text);
        assert_eq!(parts(&decoded), (text.to_owned(), Vec::new()), "{text}");
    }
}

fn conversation() -> Vec<Arc<Message>> {
    let call = |id: &str, name: &str, input: Value| {
        ContentBlock::ToolUse(ToolUseBlock {
            input,
            name: name.to_owned(),
            tool_use_id: id.to_owned(),
            type_: None,
        })
    };
    let asked = Message {
        role: ConversationRole::Assistant,
        content: vec![
            ContentBlock::Text("<thinking>a</thinking>\n".to_owned()),
            call(
                "1",
                "Vacations__reserve",
                json!({"days": 3, "note": "x \"y\""}),
            ),
            call("2", "user__askuser", json!({})),
        ],
    };
    let results = Message {
        role: ConversationRole::User,
        content: vec![
            tool_result("1", "booked", ToolResultStatus::Success),
            tool_result("2", "no such user", ToolResultStatus::Error),
            ContentBlock::Text("go on".to_owned()),
        ],
    };
    vec![Arc::new(asked), Arc::new(results)]
}

#[test]
fn blocks_become_text_as_recorded() {
    let encoded = encode_all(CallSyntax::Xml, &conversation());
    assert_eq!(
        encoded[0].content,
        [ContentBlock::Text("<thinking>a</thinking>\n<function_calls>\n<invoke>\n<tool_name>Vacations::reserve</tool_name>\n<parameters>\n<days>3</days>\n<note>x \"y\"</note>\n</parameters>\n</invoke>\n<invoke>\n<tool_name>user::askuser</tool_name>\n<parameters>\n</parameters>\n</invoke>\n</function_calls>".to_owned())]
    );
    assert_eq!(
        encoded[1].content,
        [
            ContentBlock::Text("<function_results>\n<result>\n<tool_name>Vacations::reserve</tool_name>\n<stdout>booked</stdout>\n</result>\n<error>\n<tool_name>user::askuser</tool_name>\n<stdout>no such user</stdout>\n</error>\n</function_results>".to_owned()),
            ContentBlock::Text("go on".to_owned()),
        ]
    );
    assert_eq!(
        encode_all(CallSyntax::Native, &conversation()),
        conversation()
    );
}

#[test]
fn what_is_encoded_is_decoded_again() {
    for syntax in [CallSyntax::Xml, CallSyntax::Function, CallSyntax::Json] {
        let encoded = encode_all(syntax, &conversation());
        let decoded = decode(syntax, &encoded[0], &known, "t");
        let (text, calls) = parts(&decoded);
        assert_eq!(text, "<thinking>a</thinking>", "{syntax:?}");
        assert_eq!(calls.len(), 2, "{syntax:?}");
        assert_eq!(calls[0].0, "Vacations__reserve");
        assert_eq!(calls[0].1["note"], "x \"y\"", "{syntax:?}");
        assert!(
            encoded
                .iter()
                .all(|message| !message.content.iter().any(is_tool_block))
        );
    }
}

#[test]
fn tools_are_described_as_the_templates_expect() {
    let tools = [crate::action::tool(
        "Vacations__reserve",
        Some("Reserves days.".to_owned()),
        json!({"type": "object", "required": ["days"], "properties": {
            "days": {"type": "integer", "description": "How many."},
            "kind": {"type": "string", "enum": ["paid"]},
        }}),
    )];
    assert_eq!(
        tools_text(CallSyntax::Xml, &tools),
        "<tool_description>\n<tool_name>Vacations::reserve</tool_name>\n<description>Reserves days.</description>\n<parameters>\n<parameter>\n<name>days</name>\n<type>integer</type>\n<description>How many.</description>\n<is_required>true</is_required>\n</parameter>\n<parameter>\n<name>kind</name>\n<type>string</type>\n<description></description>\n<is_required>false</is_required>\n<schema>{\"enum\":[\"paid\"],\"type\":\"string\"}</schema>\n</parameter>\n</parameters>\n</tool_description>"
    );
    assert!(tools_text(CallSyntax::Native, &tools).contains("<tool_name>Vacations__reserve<"));
    assert!(
        tools_text(CallSyntax::Function, &tools)
            .contains("<required_argument>days (integer): How many.<")
    );
    let json: Value = serde_json::from_str(&tools_text(CallSyntax::Json, &tools)).expect("JSON");
    assert_eq!(json["function"]["name"], "Vacations__reserve");
    assert_eq!(any_tool_name(CallSyntax::Xml, &tools), "Vacations::reserve");
}

const EACH: [CallSyntax; 4] = [
    CallSyntax::Native,
    CallSyntax::Xml,
    CallSyntax::Function,
    CallSyntax::Json,
];

/// Pieces of every syntax, put together at random by a seeded generator.
const PIECES: [&str; 26] = [
    "<function_calls>",
    "</function_calls>",
    "<invoke>",
    "<invoke name=\"",
    "</invoke>",
    "<tool_name>",
    "</tool_name>",
    "<parameters>",
    "</parameters>",
    "<parameter name='a'>",
    "user::askuser",
    "<q>",
    "</q>",
    "<function_call>",
    "(",
    ")",
    "a=",
    "\"",
    ",",
    "{",
    "[",
    "{\"name\": \"user__askuser\", \"parameters\": ",
    "}",
    "<thinking>",
    "</thinking>",
    "\u{e9}<",
];

#[test]
fn no_text_can_break_it() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let piece = usize::try_from(state % 26).expect("small");
            text.push_str(PIECES[piece]);
        }
        for syntax in EACH {
            let decoded = read(syntax, &text);
            if decoded.malformed.is_some() {
                assert_eq!(decoded.message, assistant_text(text.clone()));
            }
        }
    }
}

#[test]
fn long_nonsense_takes_no_longer_than_its_length() {
    let nonsense: Vec<String> = [
        "<thinking>",
        "<invoke>",
        "{\"a\":[",
        "<function_call>f(a=",
        "<a",
        "\"{",
    ]
    .iter()
    .map(|piece| piece.repeat(100_000))
    .collect();
    for text in &nonsense {
        for syntax in EACH {
            read(syntax, text);
        }
    }
}
