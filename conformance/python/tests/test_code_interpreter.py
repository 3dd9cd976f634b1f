"""AMAZON.CodeInterpreter: code in, state between runs, files in and out, and what it cannot do."""

import time

import pytest
from botocore.exceptions import ClientError
from conftest import config
from urllib3.exceptions import ReadTimeoutError

from outcrop_e2e import agents, inline
from outcrop_e2e.clients import Clients
from outcrop_e2e.process import texts
from outcrop_e2e.turn import invoke

TOOL = "get__codeinterpreteraction__execute"
SALES = b"region,amount\nnorth,10\nsouth,5\nnorth,7\n"
# Short, for the test of what takes too long.
TIMEOUT_S = 3
# How long the packages may take to come.
ENVIRONMENT_S = 600

RUN = ["invocationInput(ACTION_GROUP_CODE_INTERPRETER)", "observation(ACTION_GROUP_CODE_INTERPRETER)"]
END = ["modelInvocationInput", "modelInvocationOutput", "observation(FINISH)", "chunk"]


@pytest.fixture(scope="module")
def server(stub, launch, environment):
    return launch(config(stub) + f"\n[code_interpreter]\ntimeout_s = {TIMEOUT_S}\n")


@pytest.fixture(scope="module")
def environment(stub, launch):
    """Makes the Python environment, should this machine not have it yet: the downloads take minutes."""
    server = launch(config(stub))
    clients = Clients(server.url)
    agent = make(clients.control)
    deadline = time.monotonic() + ENVIRONMENT_S
    while True:
        runs(stub, "import pandas, matplotlib.pyplot")
        try:
            invoke(clients.runtime, agent, agents.session_id(), "Go.").ok()
            break
        except ReadTimeoutError:
            assert time.monotonic() < deadline, f"no environment within {ENVIRONMENT_S} s"
            stub.reset()
    stub.reset()
    server.stop()


@pytest.fixture
def agent(control):
    return make(control)


def make(control, **more):
    """A prepared agent that may run code."""
    agent = agents.create(control, **more)
    control.create_agent_action_group(
        agentId=agent, agentVersion="DRAFT", actionGroupName="CodeInterpreterAction",
        parentActionGroupSignature="AMAZON.CodeInterpreter",
    )
    agents.prepare(control, agent)
    return agent


def runs(stub, *codes):
    """The model runs these, one a step, and then answers."""
    calls = [{"content": [{"tool": TOOL, "input": {"code": code}}]} for code in codes]
    stub.script(model=[*calls, {"content": [{"text": "<answer>Done.</answer>"}]}])


def outputs(turn):
    """What the observations of code show."""
    return [
        value["codeInterpreterInvocationOutput"]
        for part, value in turn.parts
        if part == "observation" and value["type"] == "ACTION_GROUP_CODE_INTERPRETER"
    ]


def told(stub):
    """The tool results that the last model call brought, oldest first."""
    blocks = (block for message in stub.model_calls()[-1]["messages"] for block in message["content"])
    return [block["text"] for block in blocks if block["kind"] == "tool_result"]


def csv(name="sales.csv", data=SALES, use_case="CODE_INTERPRETER"):
    """A file of a request."""
    source = {"sourceType": "BYTE_CONTENT", "byteContent": {"mediaType": "text/csv", "data": data}}
    return {"name": name, "source": source, "useCase": use_case}


def test_an_inline_agent_runs_code(runtime, stub):
    runs(stub, "print(open('$BASE_PATH$/sales.csv').readline())")
    group = {"actionGroupName": "CodeInterpreterAction", "parentActionGroupSignature": "AMAZON.CodeInterpreter"}
    turn = inline.invoke(
        runtime, agents.session_id(), "Which columns are there?", actionGroups=[group],
        inlineSessionState={"files": [csv()]},
    ).ok()
    assert turn.order == ["modelInvocationInput", "modelInvocationOutput", *RUN, *END]
    assert outputs(turn)[0]["executionOutput"].strip() == "region,amount"


def test_a_table_in_and_a_plot_out(runtime, agent, stub):
    code = (
        "import pandas as pd\nimport matplotlib.pyplot as plt\n"
        "sales = pd.read_csv('$BASE_PATH$/sales.csv')\n"
        "sales.groupby('region').amount.sum().plot.bar()\nplt.show()\n"
        "int(sales.amount.sum())"
    )
    runs(stub, code)
    state = {"files": [csv()]}
    turn = invoke(runtime, agent, agents.session_id(), "Plot my sales.", sessionState=state).ok()
    assert turn.order == ["modelInvocationInput", "modelInvocationOutput", *RUN, "files", *END]

    (_, invoked), (_, observed) = turn.parts[2:4]
    assert invoked["codeInterpreterInvocationInput"] == {"code": code, "files": ["sales.csv"]}
    output = observed["codeInterpreterInvocationOutput"]
    assert output["executionOutput"] == "22" and output["files"] == ["plot_1.png"]
    assert set(output["metadata"]) == {"startTime", "endTime", "totalTimeMs"}
    assert turn.traces[2]["eventTime"] == turn.traces[3]["eventTime"]

    (file,) = next(event["files"]["files"] for event in turn.events if "files" in event)
    assert (file["name"], file["type"]) == ("plot_1.png", "image/png")
    assert file["bytes"].startswith(b"\x89PNG\r\n")

    first, second = stub.model_calls()
    assert "$BASE_PATH$/sales.csv (text/csv, 39 bytes)" in first["system"]
    assert any(tool["name"] == TOOL for tool in first["tools"])
    (result,) = told(stub)
    assert result.startswith("'code_execution_output': ") and "'files': ['plot_1.png']" in result
    assert second["system"] == first["system"]


def test_the_state_lasts_for_the_session(runtime, agent, stub):
    session = agents.session_id()
    runs(stub, "x = 20", "x += 1\nx * 2")
    assert outputs(invoke(runtime, agent, session, "Go.").ok())[1]["executionOutput"] == "42"
    runs(stub, "x")
    assert outputs(invoke(runtime, agent, session, "Again.").ok())[0]["executionOutput"] == "21"
    runs(stub, "x")
    other = invoke(runtime, agent, agents.session_id(), "Other.").ok()
    assert "NameError: name 'x' is not defined" in outputs(other)[0]["executionError"]
    invoke(runtime, agent, session, endSession=True).ok()
    runs(stub, "x")
    assert "executionError" in outputs(invoke(runtime, agent, session, "Anew.").ok())[0]


def test_an_error_goes_to_the_model_as_on_aws(runtime, agent, stub):
    runs(stub, "a = float(input('Enter value for a: '))")
    turn = invoke(runtime, agent, agents.session_id(), "Ask.").ok()
    (output,) = outputs(turn)
    assert output["executionError"].startswith("Traceback (most recent call last):\n  File \"<ipython-input-1-")
    assert output["executionError"].endswith("EOFError: EOF when reading a line")
    assert "executionOutput" not in output
    (result,) = told(stub)
    assert "'code_execution_output': Enter value for a: ,\n'code_execution_error': Traceback" in result
    assert result.endswith("EOFError: EOF when reading a line\n\n,\n'is_error': True")


def test_what_takes_too_long_is_stopped_and_the_state_stays(runtime, agent, stub):
    runs(stub, "kept = 1\nwhile True: pass", "kept")
    stopped, after = outputs(invoke(runtime, agent, agents.session_id(), "Loop.").ok())
    assert stopped["executionTimeout"] is True
    assert f"stopped after {TIMEOUT_S} seconds" in stopped["executionError"]
    assert after["executionOutput"] == "1"


def test_what_cannot_be_stopped_costs_its_session_the_state(runtime, agent, stub):
    runs(stub, "kept = 1", "import os\nos._exit(7)", "kept")
    _, ended, after = outputs(invoke(runtime, agent, agents.session_id(), "End.").ok())
    assert "The interpreter ended during the run" in ended["executionError"]
    assert "NameError" in after["executionError"]
    results = told(stub)
    assert "The interpreter has ended with this run" in results[1]
    assert "was started anew" in results[2]


def test_files_of_the_user_outlive_the_interpreter(runtime, agent, stub):
    session = agents.session_id()
    runs(stub, "import os\nos._exit(1)")
    invoke(runtime, agent, session, "End.", sessionState={"files": [csv()]}).ok()
    runs(stub, "open('$BASE_PATH$/sales.csv').readline()")
    (output,) = outputs(invoke(runtime, agent, session, "Read.").ok())
    assert output["executionOutput"] == repr("region,amount\n")


def test_the_outside_cannot_be_reached(runtime, agent, stub, server):
    attempts = [
        "import socket\nsocket.create_connection(('1.1.1.1', 53), timeout=1)",
        f"import urllib.request\nurllib.request.urlopen('{server.url}/_outcrop/health', timeout=1).read()",
        f"open('{server.config}').read()",
        f"open('{server.data}/x', 'w')",
        "import os\nos.environ['STUB_API_KEY']",
        "open('/etc/outcrop-was-here', 'w')",
    ]
    runs(stub, *attempts)
    turn = invoke(runtime, agent, agents.session_id(), "Try.").ok()
    for attempt, output in zip(attempts, outputs(turn), strict=True):
        assert "executionError" in output, attempt


def test_too_many_and_too_large_files_are_named(runtime, agent, stub):
    code = (
        "for n in range(6): open(f'$BASE_PATH$/{n}.txt', 'w').write('x')\n"
        "open('$BASE_PATH$/big.bin', 'wb').write(b'x' * 1_000_001);"
    )
    runs(stub, code)
    turn = invoke(runtime, agent, agents.session_id(), "Write.", trace=False).ok()
    assert turn.order == ["files", "chunk"]
    assert len(turn.events[0]["files"]["files"]) == 5
    (result,) = told(stub)
    assert "5.txt: only 5 files are given after one run" in result
    assert "big.bin (1000001 bytes) is larger than 1000000 bytes" in result


def test_several_runs_of_one_step_come_one_after_the_other(runtime, agent, stub):
    codes = ["n = 1", "n += 1", "n"]
    calls = [{"tool": TOOL, "input": {"code": code}} for code in codes]
    stub.script(model=[{"content": calls}, {"content": [{"text": "<answer>Done.</answer>"}]}])
    turn = invoke(runtime, agent, agents.session_id(), "Go.").ok()
    assert turn.order == ["modelInvocationInput", "modelInvocationOutput", *RUN * 3, *END]
    assert outputs(turn)[2]["executionOutput"] == "2"


def test_files_are_streamed_before_the_answer(runtime, agent, stub):
    runs(stub, "open('$BASE_PATH$/a.txt', 'w').write('x');")
    turn = invoke(
        runtime, agent, agents.session_id(), "Go.", streamingConfigurations={"streamFinalResponse": True}
    ).ok()
    assert turn.order.index("files") < turn.order.index("chunk")


def test_the_rule_is_in_the_prompt_only_with_the_tool(control, runtime, agent, stub):
    stub.script(model=[{"content": [{"text": "<answer>Hi.</answer>"}]}] * 2)
    invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    invoke(runtime, agents.order_agent(control), agents.session_id(), "Hello.").ok()
    with_it, without = (call["system"] for call in stub.model_calls())
    assert "at most 3 times in a row" in with_it
    assert "$BASE_PATH$" not in without and TOOL not in without


def refused(runtime, agent, files, **more):
    with pytest.raises(ClientError) as error:
        invoke(runtime, agent, agents.session_id(), "Read.", sessionState={"files": files}, **more)
    answer = error.value.response["Error"]
    assert answer["Code"] == "ValidationException"
    return answer["Message"]


def test_files_that_cannot_be_used_are_refused_before_the_turn(control, runtime, agent, stub):
    numbered = [csv(f"{number}.csv") for number in range(6)]
    large = csv(data=b"x" * (6 << 20))
    s3 = {"sourceType": "S3", "s3Location": {"uri": "s3://my-agent-schemas/no/such.csv"}}
    cases = [
        (numbered, "sessionState.files: expected at most 5 files, got 6."),
        ([csv(), csv()], "sessionState.files[1].name: the name sales.csv is given twice."),
        ([csv("a/b.csv")], "sessionState.files[0]: a/b.csv: expected the name of a file without a folder"),
        ([{**csv(), "source": s3}], "s3://my-agent-schemas/no/such.csv does not exist"),
        ([large, csv("b.csv", large["source"]["byteContent"]["data"])], "at most 10485760 bytes in all files, got 12582912"),
        ([{**csv(), "source": {"sourceType": "S3"}}], "expected s3Location for the sourceType S3, got none"),
    ]
    for files, message in cases:
        assert message in refused(runtime, agent, files)
    plain = agents.order_agent(control)
    assert "AMAZON.CodeInterpreter, and the agent has none" in refused(runtime, plain, [csv()])
    assert stub.model_calls() == []


def test_a_file_for_chat_is_read_by_the_model(control, runtime, stub):
    agent = agents.order_agent(control)
    session = agents.session_id()
    schema = {"sourceType": "S3", "s3Location": {"uri": "s3://my-agent-schemas/order-tools/openapi.yaml"}}
    files = [csv(use_case="CHAT"), {"name": "openapi.yaml", "source": schema, "useCase": "CHAT"}]
    answer = {"content": [{"text": "<answer>Read.</answer>"}]}
    stub.script(model=[answer, answer])
    invoke(runtime, agent, session, "What do the files say?", sessionState={"files": files}).ok()
    invoke(runtime, agent, session, "And now?").ok()
    for call in stub.model_calls():
        said = "\n".join(text for _, text in texts(call))
        assert "The user's file sales.csv:" in said and SALES.decode() in said
        assert "The user's file openapi.yaml:" in said and "/orders/{order_id}/status" in said
        assert said.index("sales.csv") < said.index("What do the files say?")


def test_what_the_model_cannot_take_is_refused(control, runtime, stub):
    agent = agents.order_agent(control)
    word = {
        "name": "letter.docx", "useCase": "CHAT",
        "source": {"sourceType": "BYTE_CONTENT", "byteContent": {"mediaType": "application/msword", "data": b"PK"}},
    }
    assert "letter.docx: the agent's model takes no documents in doc format" in refused(runtime, agent, [word])
    assert stub.model_calls() == []


def test_sessions_survive_a_restart_without_their_state(stub, launch, connect):
    server = launch(config(stub))
    clients = connect(server)
    agent = make(clients.control)
    session = agents.session_id()
    runs(stub, "x = 1")
    invoke(clients.runtime, agent, session, "Go.", sessionState={"files": [csv()]}).ok()
    server.stop()
    server.start()
    runs(stub, "open('$BASE_PATH$/sales.csv').readline() + str('x' in globals())")
    (output,) = outputs(invoke(connect(server).runtime, agent, session, "Again.").ok())
    assert output["executionOutput"] == repr("region,amount\nFalse")
    assert "was started anew" in told(stub)[-1]


def test_without_an_environment_the_turn_says_why(stub, launch, connect, tmp_path):
    text = config(stub) + f'\n[python]\ninterpreter = "/no/such/python"\nenvironments = "{tmp_path}"\n'
    clients = connect(launch(text))
    agent = make(clients.control)
    runs(stub, "1")
    turn = invoke(clients.runtime, agent, agents.session_id(), "Go.")
    assert turn.error_code == "dependencyFailedException"
    assert "/no/such/python cannot be started" in turn.error_message
    # What was scripted for after the run is not asked for.
    stub.reset()
