//! Turns that run code, and turns that are given files.

use std::sync::Arc;

use expect_test::expect;
use outcrop_engine::files::{FilePurpose, SessionFile};
use outcrop_engine::orchestration::{
    Budget, CodeExecuted, Effect, Effects, Event, EventKind, ReturnedResult, ReturnedTarget, Run,
};
use outcrop_engine::port::{CodeError, CodeOutputFile, CodeReply};
use outcrop_model::blob::Blob;
use outcrop_model::converse::{
    ContentBlock, ImageBlock, ImageFormat, ImageSource, ToolResultBlock, ToolResultContentBlock,
    ToolResultStatus,
};
use outcrop_model::timestamp::Timestamp;
use serde_json::json;

use crate::harness::{Bench, call, code_plan, lambda_reply, lines, text};

const RUN: &str = "get__codeinterpreteraction__execute";

fn bench() -> Bench {
    Bench::new(code_plan(), Vec::new())
}

fn data(name: &str, content: &str) -> Arc<SessionFile> {
    Arc::new(SessionFile {
        name: name.to_owned(),
        media_type: "text/csv".to_owned(),
        purpose: FilePurpose::CodeInterpreter,
        content: Blob::from(content.to_owned()),
    })
}

fn printed(output: &str) -> CodeReply {
    CodeReply {
        output: output.to_owned(),
        ..CodeReply::default()
    }
}

fn executed(bench: &mut Bench, index: usize, result: Result<CodeReply, CodeError>) -> Effects {
    let at = Timestamp::from_nanos(1);
    bench.feed(EventKind::CodeExecuted(Box::new(CodeExecuted {
        index,
        started_at: at,
        ended_at: at,
        result,
    })))
}

#[test]
fn code_runs_one_after_the_other_and_its_files_come_with_its_traces() {
    let mut bench = bench();
    bench.start_with("Plot it.", vec![data("sales.csv", "r,v")]);
    let mut out = lines(&bench.reply(vec![
        call("t1", RUN, json!({"code": "x = 1"})),
        call("t2", "Orders__status", json!({"order_id": "A"})),
        call("t3", RUN, json!({"code": "x / 0"})),
    ]));
    out += "-- the first has run\n";
    let first = CodeReply {
        files: vec![CodeOutputFile {
            name: "plot_1.png".to_owned(),
            media_type: "image/png".to_owned(),
            bytes: 3,
            content: Blob::from("png".to_owned()),
        }],
        fresh: true,
        ..printed("done\n")
    };
    out += &lines(&executed(&mut bench, 0, Ok(first)));
    out += "-- the second has run\n";
    let second = CodeReply {
        error: Some("ZeroDivisionError: division by zero".to_owned()),
        ..CodeReply::default()
    };
    out += &lines(&executed(&mut bench, 2, Ok(second)));
    out += "-- the Lambda returns\n";
    out += &lines(&bench.returned(1, &lambda_reply("status", "shipped"), None));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        call action 1 [run/1/1]: "status" [{"name":"order_id","type":"string","value":"A"}]
        run code 0 ["sales.csv"]: x = 1
        -- the first has run
        run code 2 ["sales.csv"]: x / 0
        trace: {"orchestrationTrace":{"invocationInput":{"codeInterpreterInvocationInput":{"code":"x = 1","files":["sales.csv"]},"invocationType":"ACTION_GROUP_CODE_INTERPRETER","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"codeInterpreterInvocationOutput":{"executionOutput":"done","files":["plot_1.png"]},"traceId":"req-1-0","type":"ACTION_GROUP_CODE_INTERPRETER"}}}
        files: plot_1.png image/png 3
        -- the second has run
        -- the Lambda returns
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"status","parameters":[{"name":"order_id","type":"string","value":"A"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"shipped"},"traceId":"req-1-0","type":"ACTION_GROUP"}}}
        trace: {"orchestrationTrace":{"invocationInput":{"codeInterpreterInvocationInput":{"code":"x / 0","files":["sales.csv"]},"invocationType":"ACTION_GROUP_CODE_INTERPRETER","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"codeInterpreterInvocationOutput":{"executionError":"ZeroDivisionError: division by zero"},"traceId":"req-1-0","type":"ACTION_GROUP_CODE_INTERPRETER"}}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-1","type":"ORCHESTRATION"}}}
        call model: user "Plot it." | assistant use t1 + use t2 + use t3 | user result t1 "success" "'code_execution_output': done\n,\n'files': ['plot_1.png']" + result t2 "success" "shipped" + result t3 "error" "'code_execution_output': ,\n'code_execution_error': ZeroDivisionError: division by zero\n\n,\n'is_error': True"
    "#]].assert_eq(&out);
}

#[test]
fn a_lost_state_is_told_to_the_model_that_counts_on_it() {
    let mut bench = bench();
    bench.start("Go.", Budget::default());
    let mut said = Vec::new();
    for reply in [
        CodeReply {
            fresh: true,
            ..printed("1\n")
        },
        CodeReply {
            fresh: true,
            ..printed("2\n")
        },
        CodeReply {
            error: Some("It ended.".to_owned()),
            timed_out: true,
            ended: true,
            ..CodeReply::default()
        },
        CodeReply {
            withheld: vec!["big.bin (2000000 bytes) is larger than 1000000 bytes".to_owned()],
            ..printed("")
        },
    ] {
        bench.reply(vec![call("t", RUN, json!({"code": "1"}))]);
        let effects = executed(&mut bench, 0, Ok(reply));
        said.push(result_of(&effects));
    }
    expect![[r"
        'code_execution_output': 1

        --
        'code_execution_output': 2
        ,
        'note': The interpreter was started anew before this run: variables, imports and files of earlier runs were gone. Files that the user gave are in place.
        --
        error: 'code_execution_output': ,
        'code_execution_error': It ended.

        ,
        'is_error': True,
        'note': The interpreter has ended with this run: the next one begins without the variables, imports and files of earlier runs. Files that the user gave stay.
        --
        'code_execution_output': ,
        'note': Not given to the user: big.bin (2000000 bytes) is larger than 1000000 bytes."]].assert_eq(&said.join("\n--\n"));
}

#[test]
fn a_later_turn_knows_of_the_code_and_the_files_of_an_earlier_one() {
    let mut first = bench();
    first.start_with("Go.", vec![data("a.csv", "old"), data("b.csv", "b")]);
    first.reply(vec![call("t", RUN, json!({"code": "1"}))]);
    executed(&mut first, 0, Ok(printed("1\n")));
    first.reply(vec![text("<answer>done")]);
    let mut second = Bench::new(code_plan(), first.run.conversation());
    second.start_with("Again.", vec![data("a.csv", "new")]);
    let effects = second.reply(vec![call("t", RUN, json!({"code": "2"}))]);
    let pending = effects.iter().find_map(|effect| match effect {
        Effect::ExecuteCode(pending) => Some(pending),
        _ => None,
    });
    assert_eq!(
        pending.expect("code").files,
        [data("b.csv", "b"), data("a.csv", "new")]
    );
    let effects = executed(
        &mut second,
        0,
        Ok(CodeReply {
            fresh: true,
            ..printed("2\n")
        }),
    );
    assert!(result_of(&effects).contains("was started anew"));
}

#[test]
fn without_an_interpreter_the_turn_fails_and_a_crowd_is_told_to_the_model() {
    let mut bench = bench();
    bench.start("Go.", Budget::default());
    bench.reply(vec![call("t", RUN, json!({"code": "1"}))]);
    let effects = executed(&mut bench, 0, Err(CodeError::Busy { limit: 25 }));
    assert!(result_of(&effects).contains("all 25 sessions"));
    bench.reply(vec![call("t", RUN, json!({"code": "1"}))]);
    let gone = CodeError::Unavailable {
        detail: "no network".to_owned(),
    };
    let effects = executed(&mut bench, 0, Err(gone));
    expect![[r#"
        trace: {"failureTrace":{"failureCode":424,"failureReason":"The code interpreter encountered a problem while processing the request. Retry the request later. Cause: the code interpreter is not available: no network","traceId":"req-1-1"}}
        finish: DependencyFailed The code interpreter encountered a problem while processing the request. Retry the request later. Cause: the code interpreter is not available: no network
    "#]].assert_eq(&lines(&effects));
}

#[test]
fn a_replay_gives_the_run_back_without_the_bytes_that_were_sent() {
    let mut live = bench();
    live.start_with("Go.", vec![data("a.csv", "a")]);
    live.reply(vec![call("t", RUN, json!({"code": "1"}))]);
    let reply = CodeReply {
        files: vec![CodeOutputFile {
            name: "x.csv".to_owned(),
            media_type: "text/csv".to_owned(),
            bytes: 1_000_000,
            content: Blob::from(vec![0; 1_000_000]),
        }],
        ..printed("1\n")
    };
    executed(&mut live, 0, Ok(reply));
    let journal: Vec<Vec<u8>> = live.journal.iter().map(Event::encode).collect();
    assert!(journal.iter().all(|entry| entry.len() < 10_000));
    let events: Vec<Event> = journal
        .iter()
        .map(|entry| Event::decode(entry).expect("readable"))
        .collect();
    let mut replayed = Bench::new(code_plan(), Vec::new());
    replayed.run = Run::replay(code_plan(), Vec::new(), &events);
    let answer = || vec![text("<answer>done")];
    live.reply(answer());
    replayed.reply(answer());
    assert_eq!(replayed.run.conversation(), live.run.conversation());
}

#[test]
fn code_that_is_missing_is_explained_and_not_run() {
    let mut bench = bench();
    bench.start("Go.", Budget::default());
    let effects = bench.reply(vec![call("t", RUN, json!({"source": "1"}))]);
    assert!(result_of(&effects).contains("the required parameter 'code' is missing"));
}

#[test]
fn an_image_answers_a_computer_use_call() {
    let mut bench = bench();
    bench.start("Look.", Budget::default());
    let out = lines(&bench.reply(vec![call(
        "t",
        "computer",
        json!({"action": "left_click", "coordinate": [512, 384]}),
    )]));
    let image = ImageBlock {
        error: None,
        format: ImageFormat::Png,
        source: ImageSource::Bytes(Blob::from("png".to_owned())),
    };
    let effects = bench.control(vec![ReturnedResult {
        action_group: "Screen".to_owned(),
        target: ReturnedTarget::Function("computer".to_owned()),
        agent_id: None,
        confirmation: None,
        body: None,
        image: Some(image.clone()),
        failed: false,
        reprompt: true,
    }]);
    let request = effects.iter().find_map(|effect| match effect {
        Effect::CallModel(call) => Some(&call.request),
        _ => None,
    });
    let request = request.expect("a model call");
    let result = &request.messages.last().expect("a message").content[0];
    assert_eq!(
        *result,
        ContentBlock::ToolResult(ToolResultBlock {
            tool_use_id: "t".to_owned(),
            content: vec![ToolResultContentBlock::Image(image)],
            status: Some(ToolResultStatus::Success),
            type_: None,
        })
    );
    assert_eq!(
        request.vendor_tools[0].definition["type"],
        "computer_20250124"
    );
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Screen","executionType":"RETURN_CONTROL","function":"computer","invocationId":"uuid","parameters":[{"name":"action","type":"string","value":"left_click"},{"name":"coordinate","type":"array","value":"[512, 384]"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        return control: {"invocationId":"uuid","invocationInputs":[{"functionInvocationInput":{"actionGroup":"Screen","actionInvocationType":"RESULT","agentId":"AGENTAGENT","function":"computer","parameters":[{"name":"action","type":"string","value":"left_click"},{"name":"coordinate","type":"array","value":"[512, 384]"}]}}]}
    "#]].assert_eq(&out);
}

#[test]
fn a_question_that_is_missing_is_explained() {
    let mut bench = bench();
    bench.start("Go.", Budget::default());
    let effects = bench.reply(vec![call("t", "user__askuser", json!({}))]);
    assert!(result_of(&effects).contains("Missing the parameter 'question'"));
}

/// The last tool result that the next model call brings.
fn result_of(effects: &Effects) -> String {
    let request = effects.iter().find_map(|effect| match effect {
        Effect::CallModel(call) => Some(&call.request),
        _ => None,
    });
    let message = request
        .expect("a model call")
        .messages
        .last()
        .expect("a message")
        .clone();
    let ContentBlock::ToolResult(result) = &message.content[0] else {
        panic!("a result");
    };
    let json = serde_json::to_value(result).expect("JSON");
    let status = if result.status == Some(ToolResultStatus::Error) {
        "error: "
    } else {
        ""
    };
    format!(
        "{status}{}",
        json["content"][0]["text"].as_str().unwrap_or_default()
    )
}
