"""Agents of AWS's public samples whose prompts and parsers are their own, over an OpenAI-compatible model.

The prompts were written for Claude 3, which writes its calls as XML, or for a model with a syntax of the sample's
own; the parsers are the samples' Lambda functions, unchanged. The stub's model knows chat completions only and
writes what the prompts ask for. Nothing of the samples is kept here; `test_samples.py` says how they are read.
"""

import json

import pytest
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.cast import override
from outcrop_e2e.process import texts
from outcrop_e2e.recorder import Recorder
from outcrop_e2e.samples import clones
from outcrop_e2e.samples.reading import Reading, typescript_text, written_file
from outcrop_e2e.samples.sample import known
from outcrop_e2e.samples.staff import employee_database
from outcrop_e2e.turn import invoke

LACKING = clones.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

BEDROCK_AGENTS = "agents-and-function-calling/bedrock-agents/"
STAFF = (
    f"{BEDROCK_AGENTS}features-examples/07-advanced-prompts-and-custom-parsers/"
    "07-custom-prompt-and-lambda-parsers.ipynb"
)
PROMPTS = f"{BEDROCK_AGENTS}agent-blueprint-templates/lib/prompt_library/prompts.ts"
HARDENED = f"{BEDROCK_AGENTS}agent-blueprint-templates/lib/prompt_library/prompt-injection-mitigation-prompts.ts"
OTHER_MODELS = "examples/agents/agent_with_models_not_yet_optimized_for_bedrock_agents/"

CLAUDE_3 = "anthropic.claude-3-sonnet-20240229-v1:0"
INFERENCE = {
    "maximumLength": 2048, "temperature": 0.0, "topP": 1.0, "topK": 250,
    "stopSequences": ["</invoke>", "</answer>", "</error>"],
}
GROUP = "VacationsActionGroup"
REFUSED = "Sorry, I don't have enough information to answer that."


def arn(name):
    return f"arn:aws:lambda:us-west-2:111111111111:function:{name}"


def invoking(tool, **parameters):
    """A call as Claude 3 writes it; the stop sequence has cut off its end."""
    inner = "\n".join(f"<{name}>{value}</{name}>" for name, value in parameters.items())
    return (
        f"<function_calls>\n<invoke>\n<tool_name>{tool}</tool_name>\n<parameters>\n{inner}\n</parameters>\n"
    )


def says(*replies):
    """Steps of a model that says these texts."""
    return [{"content": [{"text": reply}]} for reply in replies]


@pytest.fixture(scope="module")
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture(scope="module")
def world(stub, launch, recorder, tmp_path_factory):
    """A server with the samples' functions, each in a folder as it would be zipped."""
    notebook = clones.read("samples", STAFF)
    sources = {
        "staff": ("lambda_function", written_file(notebook, "lambda_function.py")),
        "staff-parser": ("lambda_function", written_file(notebook, "lambda_function.py", 1)),
        "booking-parser": ("parser_lambda", clones.read("agent-samples", f"{OTHER_MODELS}parser_lambda.py")),
    }
    entries = []
    for name, (module, code) in sources.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{module}.py").write_text(code)
        if name == "staff":
            employee_database(folder / "employee_database.db")
        handler, environment = recorder.install(folder, f"{module}.lambda_handler")
        variables = ", ".join(f'{key} = "{value}"' for key, value in environment.items())
        entries.append(
            f'[[functions]]\nmatch = "{name}"\nruntime = "python"\nhandler = "{handler}"\n'
            f'code = "{folder}"\ntimeout_s = 20\nenvironment = {{ {variables} }}\n'
        )
    bookings = f'[[functions]]\nmatch = "bookings"\nruntime = "lambda"\nendpoint = "{stub.url}"\n'
    return launch(config(stub, "openai", functions="".join(entries) + bookings))


@pytest.fixture
def clients(world, connect):
    return connect(world)


def staff_agent(control, *prompts, parser=False):
    """The agent of the staff sample with these prompts on top of the sample's own."""
    reading = Reading.of_notebook(clones.read("samples", STAFF))
    described, group = known(reading.calls("create_agent")[-1]), known(reading.calls("create_agent_action_group")[-1])
    overrides = {"promptConfigurations": list(prompts)}
    if parser:
        overrides["overrideLambda"] = arn("staff-parser")
    described |= {
        "agentName": agents.unique("staff"), "agentResourceRoleArn": agents.ROLE, "foundationModel": CLAUDE_3,
        "promptOverrideConfiguration": overrides,
    }
    agent = control.create_agent(**described)["agent"]["agentId"]
    agents.agent_status(control, agent)
    assert group["actionGroupName"] == GROUP
    control.create_agent_action_group(
        **{**group, "agentId": agent, "agentVersion": "DRAFT", "actionGroupExecutor": {"lambda": arn("staff")}}
    )
    agents.prepare(control, agent)
    return agent, described["agentName"]


def orchestration(path, name):
    """A prompt of the samples' library."""
    return override("ORCHESTRATION", typescript_text(clones.read("samples", path), name), INFERENCE)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (PROMPTS, "orchestrationPrompt"),
        (HARDENED, "claude3SonnetPromptInjectionOrchestrationPrompt"),
        (HARDENED, "claude3HaikuPromptInjectionOrchestrationPrompt"),
    ],
)
def test_claude_3_prompts(clients, stub, recorder, path, name):
    agent, agent_name = staff_agent(clients.control, orchestration(path, name))
    session = agents.session_id()
    thought = "<thinking>I look it up.</thinking>\n\n"
    call = thought + invoking(f"{GROUP}::get_available_vacations_days", employee_id=1)
    stub.script(model=says(call, "<thinking>25.</thinking>\n\n<answer>You have 25 days left."))
    question = "How many vacation days does employee 1 have?"
    turn = invoke(clients.runtime, agent, session, question).ok()
    assert turn.text == "You have 25 days left."
    assert turn.order == [
        "modelInvocationInput", "modelInvocationOutput", "rationale",
        "invocationInput(ACTION_GROUP)", "observation(ACTION_GROUP)",
        "modelInvocationInput", "modelInvocationOutput", "rationale", "observation(FINISH)", "chunk",
    ]
    assert turn.parts[2][1]["text"] == "I look it up."
    (event,) = recorder.take("staff")
    assert event["parameters"] == [{"name": "employee_id", "type": "integer", "value": "1"}]
    assert event["agent"]["name"] == agent_name

    first, second = stub.model_calls()
    for asked in (first, second):
        # The syntax is the prompt's: the model is offered nothing by other means.
        assert not asked["tools"]
        assert f"<tool_name>{GROUP}::get_available_vacations_days</tool_name>" in asked["system"]
        assert "$TOOL_NAME" in asked["system"] and "$tools$" not in asked["system"]
        assert "$ask_user_missing_information$" not in asked["system"]
        assert asked["inference"]["stop"] == INFERENCE["stopSequences"]
    assert texts(first) == [("user", question)]
    asked, called, answered = texts(second)
    assert asked == ("user", question)
    assert called[0] == "assistant" and called[1].split()[: len(call.split())] == call.split()
    assert answered[0] == "user" and "<function_results>" in answered[1]
    assert f"<tool_name>{GROUP}::get_available_vacations_days</tool_name>" in answered[1]
    assert turn.observations[0] in answered[1]
    assert second["system"] == first["system"]

    stub.reset()
    stub.script(model=says("<answer>As I said, 25."))
    assert invoke(clients.runtime, agent, session, "Again, please?").ok().text == "As I said, 25."
    (third,) = stub.model_calls()
    assert texts(third)[0] == ("user", question) and texts(third)[-1] == ("user", "Again, please?")


def test_a_broken_call_goes_back_to_the_model(clients, stub, recorder):
    agent, _ = staff_agent(clients.control, orchestration(PROMPTS, "orchestrationPrompt"))
    stub.script(model=says(
        "<thinking>Perhaps so.</thinking>" + invoking(f"{GROUP}::take_a_day_off", employee_id=1),
        "<thinking>Or so.</thinking>\n<function_calls>\n<invoke>\n<tool>vacation</tool>\n",
        "<thinking>No.</thinking><answer>I cannot do that.",
    ))
    turn = invoke(clients.runtime, agent, agents.session_id(), "A day off for employee 1.").ok()
    assert turn.text == "I cannot do that."
    asking = ["modelInvocationInput", "modelInvocationOutput", "rationale"]
    assert turn.order == asking * 3 + ["observation(FINISH)", "chunk"]
    assert [part["traceId"][-1] for _, part in turn.parts] == list("0001112222")
    assert not recorder.take("staff")
    for call in stub.model_calls()[1:]:
        assert "406: The function call format is incorrect." in texts(call)[-1][1]


def sample_pre_processing(parser):
    """The sample's own prompt for PRE_PROCESSING, with or without its parser."""
    reading = Reading.of_notebook(clones.read("samples", STAFF))
    (configuration,) = reading.calls("update_agent")[-1]["promptOverrideConfiguration"]["promptConfigurations"]
    assert configuration["parserMode"] == "OVERRIDDEN"
    return configuration if parser else {**configuration, "parserMode": "DEFAULT"}


def test_every_step_and_a_parser(clients, stub, recorder):
    """Pre-processing with the sample's parser, the XML loop, and a rewritten answer."""
    rewriting = override(
        "POST_PROCESSING", typescript_text(clones.read("samples", PROMPTS), "customPostProcessingPrompt"), INFERENCE
    )
    agent, name = staff_agent(
        clients.control, sample_pre_processing(True), orchestration(PROMPTS, "orchestrationPrompt"), rewriting,
        parser=True,
    )
    sorted_ = "<thinking>One question about days.</thinking>\n<category>D</category>"
    stub.script(model=says(
        sorted_,
        invoking(f"{GROUP}::get_available_vacations_days", employee_id=1),
        "<answer>25</answer>",
        "<final_response>I have looked: 25 days are left.</final_response>",
    ))
    question = "How many available vacation days does employee_id 1 have?"
    turn = invoke(clients.runtime, agent, agents.session_id(), question).ok()
    assert turn.text == "I have looked: 25 days are left."
    kinds = [next(iter(envelope["trace"])) for envelope in turn.traces]
    assert kinds == ["preProcessingTrace"] * 2 + ["orchestrationTrace"] * 7 + ["postProcessingTrace"] * 2
    sorting, parsed = turn.parts[0][1], turn.parts[1][1]
    assert sorting["parserMode"] == "OVERRIDDEN" and sorting["promptCreationMode"] == "OVERRIDDEN"
    assert sorting["overrideLambda"] == arn("staff-parser")
    assert parsed["parsedResponse"] == {"isValid": True, "rationale": "One question about days."}
    (event,) = recorder.take("staff-parser")
    assert event == {
        "messageVersion": "1.0",
        "agent": {"name": name, "id": agent, "alias": "TSTALIASID", "version": "DRAFT"},
        "invokeModelRawResponse": sorted_,
        "promptType": "PRE_PROCESSING",
        "overrideType": "OUTPUT_PARSER",
    }
    asked = stub.model_calls()
    assert f"{GROUP}::get_available_vacations_days" in asked[0]["system"]
    assert "Category F" in asked[0]["system"]
    assert f"<user_input>{question}</user_input>" in texts(asked[3])[-1][1]
    assert "<latest_response>25 </latest_response>" in texts(asked[3])[-1][1]


def test_the_parser_refuses(clients, stub, recorder):
    """Category F is the sample's own; its parser takes only D and E for valid."""
    agent, _ = staff_agent(clients.control, sample_pre_processing(True), parser=True)
    stub.script(model=says("<thinking>Two questions.</thinking>\n<category>F</category>"))
    text = "How many available vacation days does employee_id 1 have? When is my next meeting?"
    turn = invoke(clients.runtime, agent, agents.session_id(), text).ok()
    assert turn.text == REFUSED
    assert len(stub.model_calls()) == 1
    assert len(recorder.take("staff-parser")) == 1
    assert turn.parts[1][1]["parsedResponse"] == {"isValid": False, "rationale": "Two questions."}


@pytest.fixture
def booking_agent(clients):
    """The sample's agent for a model that AWS had not prepared prompts for: a call syntax and a parser of its own."""
    described = json.loads(clones.read("agent-samples", f"{OTHER_MODELS}restaurant_agent_description.json"))
    notebook = clones.read("agent-samples", f"{OTHER_MODELS}create_agents.ipynb")
    given = {"kb_id": "KBKBKBKBKB", "parser_arn": arn("booking-parser")}
    template = Reading.of_notebook(notebook, **given).names["custom_orchestration_prompt"]
    # The prompt names another group than the sample makes; the call goes by what the parser says.
    template = template.replace("restaurant-booking::", f"{described['agent_action_group_name']}::")
    functions = described["agent_functions"]
    for function in functions:
        for parameter in function["parameters"].values():
            parameter["required"] = bool(parameter["required"])
    control = clients.control
    agent = agents.create(
        control, instruction=described["agent_instruction"], foundationModel="us.deepseek.r1-v1:0",
        promptOverrideConfiguration={
            "overrideLambda": arn("booking-parser"),
            "promptConfigurations": [override("ORCHESTRATION", template, INFERENCE, parserMode="OVERRIDDEN")],
        },
    )
    agents.add_group(
        control, agent, described["agent_action_group_name"], {"lambda": arn("bookings")}, functions,
    )
    agents.prepare(control, agent)
    return agent


def test_a_syntax_of_the_samples_own(clients, stub, recorder, booking_agent):
    stub.script(
        model=says(
            "<thinking>A table for two.</thinking>\n<fnCall>\n<invoke>\n"
            "<tool_name>TableBookingsActionGroup::create_booking</tool_name>\n<parameters>\n<date>2026-05-05</date>\n"
            "<name>John</name>\n<hour>20:00</hour>\n<num_guests>2</num_guests>\n</parameters>\n",
            "<answer>The Regrettable Experience expects you.",
        ),
        tool=[{"text": "booking 042fa5dd"}],
    )
    turn = invoke(clients.runtime, booking_agent, agents.session_id(), "A table for 2 at 8pm, for John.").ok()
    assert turn.text == "The Regrettable Experience expects you."
    assert turn.observations == ["booking 042fa5dd"]
    assert turn.parts[2] == ("rationale", turn.parts[2][1]) and turn.parts[2][1]["text"] == "A table for two."
    called = next(part for name, part in turn.parts if name == "invocationInput")["actionGroupInvocationInput"]
    assert called["function"] == "create_booking"
    assert {one["name"]: one["value"] for one in called["parameters"]} == {
        "date": "2026-05-05", "hour": "20:00", "name": "John", "num_guests": "2",
    }
    assert len(recorder.take("booking-parser")) == 2
    *_, called, answered = texts(stub.model_calls()[-1])
    # The model is shown its call once, as it wrote it or as the prompt's syntax has it.
    assert called[0] == "assistant" and called[1].count("::create_booking") == 1
    assert "booking 042fa5dd" in answered[1]


def test_the_samples_parser_asks_again(clients, stub, recorder, booking_agent):
    """What the parser cannot read goes back with the parser's words."""
    stub.script(model=says(
        "<thinking>Which day?</thinking>\n<fnCall>\n<invoke>\n<tool_name>user::askuser</tool_name>\n<parameters>\n"
        "</parameters>\n",
        "<answer>Which day?",
    ))
    turn = invoke(clients.runtime, booking_agent, agents.session_id(), "Book something.").ok()
    assert turn.text == "Which day?"
    assert "Missing the parameter 'question' for user::askuser" in texts(stub.model_calls()[-1])[-1][1]
    recorder.take("booking-parser")
