"""InvokeInlineAgent: agents that a request defines, the sessions they share, and what is refused."""

import pytest
from botocore.exceptions import ClientError
from conftest import EXAMPLE

from outcrop_e2e import agents
from outcrop_e2e.inline import CALENDAR, ORDERS, collaborator, configuration, invoke, result, state
from outcrop_e2e.process import texts
from outcrop_e2e.turn import Background, await_event

PLAIN = ["modelInvocationInput", "modelInvocationOutput", "observation(FINISH)", "chunk"]
CALL = ["modelInvocationInput", "modelInvocationOutput", "rationale"]
TOOL = [*CALL, "invocationInput(ACTION_GROUP)", "observation(ACTION_GROUP)"]
LAST = [*CALL, "observation(FINISH)", "chunk"]
ALIAS = "arn:aws:bedrock:us-west-2:111111111111:agent-alias/INLINE_AGENT"
OPENAPI = (EXAMPLE / "buckets" / "my-agent-schemas" / "order-tools" / "openapi.yaml").read_text()


def refused(runtime, *args, **more):
    """The exception's name and message."""
    with pytest.raises(ClientError) as error:
        invoke(runtime, *args, **more)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_plain_answer_in_the_envelope_of_inline_agents(runtime, stub):
    session = agents.session_id()
    turn = invoke(runtime, session, "Good morning.").ok()
    assert turn.order == PLAIN
    assert (turn.session_id, turn.content_type) == (session, "application/json")
    for envelope in turn.traces:
        assert set(envelope) == {"callerChain", "eventTime", "sessionId", "trace"}
        assert envelope["callerChain"] == [{"agentAliasArn": f"{ALIAS}/TSTALIASID"}]
        assert envelope["sessionId"] == session
    asked = turn.parts[0][1]
    assert asked["traceId"] == f"{turn.request_id}-0"
    assert asked["foundationModel"] == agents.MODEL
    assert "inferenceConfiguration" not in asked
    (call,) = stub.model_calls()
    assert call["model"] == agents.MODEL
    assert "online shop" in call["system"]


def test_without_trace_only_the_answer_comes(runtime):
    assert invoke(runtime, agents.session_id(), "Good morning.", trace=False).ok().order == ["chunk"]


def test_functions_of_a_lambda(runtime, stub):
    turn = invoke(
        runtime, agents.session_id(), "Where is order A-482?", actionGroups=[ORDERS], agentName="shop",
        inlineSessionState={"sessionAttributes": {"user": "u-1"}, "promptSessionAttributes": {"day": "Monday"}},
    ).ok()
    assert turn.order == [*TOOL, *LAST]
    assert "shipped" in turn.observations[0]
    assert turn.observations[0] in turn.text
    (event,) = stub.tool_events()
    assert event["agent"] == {"name": "shop", "id": "INLINE_AGENT", "alias": "TSTALIASID", "version": "DRAFT"}
    assert event["function"] == "get_order_status"
    assert event["parameters"] == [{"name": "order_id", "type": "string", "value": "A-482"}]
    assert event["sessionAttributes"] == {"user": "u-1"}
    assert event["promptSessionAttributes"] == {"day": "Monday"}


@pytest.mark.parametrize(
    "schema",
    [
        {"payload": OPENAPI},
        {"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "order-tools/openapi.yaml"}},
    ],
    ids=["payload", "s3"],
)
def test_operations_of_an_api(runtime, stub, schema):
    group = {"actionGroupName": "OrderApi", "actionGroupExecutor": {"lambda": agents.LAMBDA}, "apiSchema": schema}
    turn = invoke(runtime, agents.session_id(), "Where is order A-482?", actionGroups=[group]).ok()
    assert turn.order == [*TOOL, *LAST]
    called = turn.parts[3][1]["actionGroupInvocationInput"]
    assert (called["apiPath"], called["verb"]) == ("/orders/{order_id}/status", "get")
    (event,) = stub.tool_events()
    assert event["apiPath"] == "/orders/{order_id}/status"


def test_control_is_returned_and_taken_back(runtime, stub):
    session = agents.session_id()
    first = invoke(runtime, session, "Open my calendar.", actionGroups=[CALENDAR]).ok()
    assert first.order == [*CALL, "invocationInput(ACTION_GROUP)", "returnControl"]
    assert first.control["invocationInputs"] == [
        {
            "functionInvocationInput": {
                "actionGroup": "ClientSideTools",
                "actionInvocationType": "RESULT",
                "agentId": "INLINE_AGENT",
                "function": "open_calendar",
                "parameters": [{"name": "date", "type": "string", "value": "2026-04-27"}],
            }
        }
    ]
    # AWS's own samples send the text again with the results; it is ignored.
    second = invoke(
        runtime, session, "Open my calendar.", actionGroups=[CALENDAR],
        inlineSessionState=state(first, result(first, "opened on Monday")),
    ).ok()
    assert second.order[-1] == "chunk" and "opened on Monday" in second.text
    said = texts(stub.model_calls()[-1])
    assert [text for _, text in said].count("Open my calendar.") == 1


def test_results_go_on_with_the_agent_that_asked_for_them(runtime, stub):
    session = agents.session_id()
    first = invoke(runtime, session, "Open my calendar.", actionGroups=[CALENDAR]).ok()
    second = invoke(
        runtime, session, foundationModel="model.other", inlineSessionState=state(first, result(first, "opened")),
    ).ok()
    assert "opened" in second.text
    last = stub.model_calls()[-1]
    assert last["model"] == agents.MODEL
    assert [tool["name"] for tool in last["tools"]] == ["ClientSideTools__open_calendar"]


@pytest.mark.parametrize(("answer", "calls"), [("CONFIRM", 1), ("DENY", 0)])
def test_a_user_confirms_a_call_of_a_lambda(runtime, stub, answer, calls):
    functions = [{**agents.ORDER_FUNCTIONS[0], "requireConfirmation": "ENABLED"}]
    group = {**ORDERS, "functionSchema": {"functions": functions}}
    session = agents.session_id()
    first = invoke(runtime, session, "Where is order A-482?", actionGroups=[group]).ok()
    asked = first.control["invocationInputs"][0]["functionInvocationInput"]
    assert asked["actionInvocationType"] == "USER_CONFIRMATION"
    assert first.control["invocationId"].endswith("-uc")
    assert stub.tool_events() == []
    second = invoke(
        runtime, session, actionGroups=[group],
        inlineSessionState=state(first, result(first, confirmationState=answer)),
    ).ok()
    assert second.order[-1] == "chunk"
    assert len(stub.tool_events()) == calls


def test_the_answer_streams(runtime, stub):
    answer = "One, two, three, four, five, six."
    stub.script(model=[{"content": [{"text": f"<answer>{answer}</answer>"}], "hold_middle": "half"}])
    seen = []
    call = Background(
        invoke, runtime, agents.session_id(), "Count.", seen=seen,
        streamingConfigurations={"streamFinalResponse": True},
    )
    # Half of it is there before the model has said the rest.
    await_event(seen, "chunk")
    stub.release("half")
    turn = call.join().ok()
    assert len(turn.chunks) > 1
    assert turn.text == answer


def test_a_session_outlives_the_configuration(runtime, stub):
    session = agents.session_id()
    invoke(runtime, session, "My name is Ada.", inlineSessionState={"sessionAttributes": {"user": "ada"}}).ok()
    turn = invoke(
        runtime, session, "Where is order A-482?", actionGroups=[ORDERS], foundationModel="model.other",
        instruction="You are a terse assistant who knows all orders of the shop.",
    ).ok()
    assert turn.order == [*TOOL, *LAST]
    last = stub.model_calls()[-1]
    assert last["model"] == "model.other" and "terse" in last["system"]
    assert any("My name is Ada." in text for _, text in texts(last))
    assert stub.tool_events()[-1]["sessionAttributes"] == {"user": "ada"}
    # The tools are those of the last request alone; what was said with others stays.
    third = invoke(runtime, session, "Thank you.").ok()
    assert third.order == PLAIN
    assert any("A-482" in text for _, text in texts(stub.model_calls()[-1]))


def test_names_keep_sessions_apart(runtime, stub):
    session = agents.session_id()
    for name in ({}, {"agentName": "one"}, {"agentName": "two"}):
        invoke(runtime, session, "My name is Ada.", **name).ok()
        assert len(stub.model_calls()[-1]["messages"]) == 1
    invoke(runtime, session, "Who am I?", agentName="one").ok()
    assert len(stub.model_calls()[-1]["messages"]) == 3


def test_a_session_ends(runtime, stub):
    session = agents.session_id()
    invoke(runtime, session, "My name is Ada.").ok()
    assert invoke(runtime, session, endSession=True).ok().text == ""
    invoke(runtime, session, "Who am I?").ok()
    assert len(stub.model_calls()[-1]["messages"]) == 1


def test_a_given_conversation_comes_before_the_question(runtime, stub):
    history = {
        "messages": [
            {"role": "user", "content": [{"text": "My name is Ada."}]},
            {"role": "assistant", "content": [{"text": "Hello Ada."}]},
        ]
    }
    invoke(runtime, agents.session_id(), "Who am I?", inlineSessionState={"conversationHistory": history}).ok()
    said = [text for _, text in texts(stub.model_calls()[-1])]
    assert [text for text in said if "Ada" in text] == ["My name is Ada.", "Hello Ada."]


def test_an_overridden_prompt_shows_its_parameters(runtime, stub):
    template = '{"system": "Speak like a sailor. $instruction$", "messages": [{"role": "user", "content": "$question$"}]}'
    prompt = {
        "promptType": "ORCHESTRATION",
        "promptCreationMode": "OVERRIDDEN",
        "basePromptTemplate": template,
        "inferenceConfiguration": {"temperature": 0.5, "topP": 0.5, "topK": 10, "maximumLength": 300},
    }
    turn = invoke(
        runtime, agents.session_id(), "Good morning.", promptOverrideConfiguration={"promptConfigurations": [prompt]}
    ).ok()
    asked = turn.parts[0][1]
    assert asked["promptCreationMode"] == "OVERRIDDEN"
    assert asked["inferenceConfiguration"]["maximumLength"] == 300
    assert stub.model_calls()[-1]["system"].startswith("Speak like a sailor.")


def test_the_steps_around_the_loop(runtime, stub):
    prompts = [
        {"promptType": step, "promptState": "ENABLED", "promptCreationMode": "DEFAULT"}
        for step in ("PRE_PROCESSING", "POST_PROCESSING")
    ]
    stub.script(
        model=[
            {"content": [{"text": "<thinking>It can be answered.</thinking><category>D</category>"}]},
            {"content": [{"text": "<answer>Good morning.</answer>"}]},
            {"content": [{"text": "<final_response>A very good morning.</final_response>"}]},
        ]
    )
    turn = invoke(
        runtime, agents.session_id(), "Good morning.", promptOverrideConfiguration={"promptConfigurations": prompts}
    ).ok()
    assert turn.text == "A very good morning."
    kinds = [next(iter(envelope["trace"])) for envelope in turn.traces]
    assert kinds == ["preProcessingTrace"] * 2 + ["orchestrationTrace"] * 3 + ["postProcessingTrace"] * 2
    inputs = [value for part, value in turn.parts if part == "modelInvocationInput"]
    assert len(inputs) == 3 and not any("inferenceConfiguration" in asked for asked in inputs)


@pytest.mark.parametrize("name", ["guardrailId", "guardrailArn"])
def test_a_guardrail(clients, stub, name):
    made = clients.guardrails.create_guardrail(
        name=agents.unique("guard"), blockedInputMessaging="You cannot ask that.",
        blockedOutputsMessaging="I cannot say that.",
        wordPolicyConfig={"wordsConfig": [{"text": "gold"}]},
    )
    guardrail = {"guardrailIdentifier": made[name], "guardrailVersion": "DRAFT"}
    session = agents.session_id()
    blocked = invoke(clients.runtime, session, "Where is the gold?", guardrailConfiguration=guardrail).ok()
    assert blocked.order == ["guardrailTrace", "chunk"]
    assert blocked.text == "You cannot ask that."
    assert stub.model_calls() == []
    stub.script(model=[{"content": [{"text": "<answer>There is gold.</answer>"}]}])
    asked = invoke(clients.runtime, session, "What is there?", guardrailConfiguration=guardrail).ok()
    assert asked.text == "I cannot say that."
    # The next request of the session may do without.
    stub.script(model=[{"content": [{"text": "<answer>There is gold.</answer>"}]}])
    assert invoke(clients.runtime, session, "What is there?").ok().text == "There is gold."


def test_a_function_plans(runtime, stub):
    stub.script(tool=[{"payload": {
        "version": "1.0", "actionEvent": "FINISH",
        "output": {"text": "Planned elsewhere.", "trace": {"event": {"text": "That was easy."}}},
    }}])
    turn = invoke(
        runtime, agents.session_id(), "Good morning.", orchestrationType="CUSTOM_ORCHESTRATION",
        customOrchestration={"executor": {"lambda": agents.LAMBDA}}, actionGroups=[ORDERS],
    ).ok()
    assert turn.order == ["customOrchestrationTrace", "chunk"]
    assert turn.text == "Planned elsewhere."
    (event,) = stub.tool_events()
    assert event["context"]["agentConfiguration"]["defaultModelId"] == agents.MODEL
    assert len(event["context"]["agentConfiguration"]["tools"]) == 2


def test_earlier_turns_can_be_left_out(runtime, stub):
    session = agents.session_id()
    for text in ("My name is Ada.", "I like tea."):
        invoke(runtime, session, text).ok()
    for turns, messages in ((0, 1), (1, 3)):
        invoke(
            runtime, session, "Who am I?", endSession=False,
            promptCreationConfigurations={"previousConversationTurnsToInclude": turns},
        ).ok()
        assert len(stub.model_calls()[-1]["messages"]) == messages


def test_a_knowledge_base_that_cannot_be_searched_is_named(control, runtime):
    made = control.create_knowledge_base(
        name=agents.unique("kb"), roleArn=agents.ROLE,
        knowledgeBaseConfiguration={"type": "KENDRA", "kendraKnowledgeBaseConfiguration": {
            "kendraIndexArn": "arn:aws:kendra:us-west-2:111111111111:index/11111111-2222-3333-4444-555555555555"}},
    )["knowledgeBase"]["knowledgeBaseId"]
    base = {
        "knowledgeBaseId": made, "description": "What we know.",
        "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 3}},
    }
    turn = invoke(runtime, agents.session_id(), "What do we know?", knowledgeBases=[base])
    assert turn.error_code == "dependencyFailedException"
    assert made in turn.error_message and "KENDRA" in turn.error_message
    managed = {**base, "retrievalConfiguration": {"managedSearchConfiguration": {"numberOfResults": 3}}}
    code, message = refused(runtime, agents.session_id(), "What do we know?", knowledgeBases=[managed])
    assert code == "ValidationException" and "managedSearchConfiguration is not supported" in message


def test_a_file_is_shown_to_the_model(runtime, stub):
    file = {
        "name": "note.txt",
        "useCase": "CHAT",
        "source": {"sourceType": "BYTE_CONTENT", "byteContent": {"mediaType": "text/plain", "data": b"Ada was here."}},
    }
    invoke(runtime, agents.session_id(), "What does the note say?", inlineSessionState={"files": [file]}).ok()
    assert any("Ada was here." in text for _, text in texts(stub.model_calls()[-1]))


def test_settings_without_effect_are_taken(runtime):
    key = "arn:aws:kms:us-west-2:111111111111:key/11111111-2222-3333-4444-555555555555"
    turn = invoke(
        runtime, agents.session_id(), "Good morning.", customerEncryptionKeyArn=key, idleSessionTTLInSeconds=60,
        bedrockModelConfigurations={"performanceConfig": {"latency": "standard"}}, orchestrationType="DEFAULT",
        agentCollaboration="DISABLED",
    ).ok()
    assert turn.order == PLAIN


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({"instruction": "Too short."}, "ValidationException", "length greater than or equal to 40"),
        ({"idleSessionTTLInSeconds": 3601}, "ValidationException", "less than or equal to 3600"),
        ({"text": None}, "ValidationException", "inputText is required unless inlineSessionState.returnControl"),
        ({"actionGroups": [ORDERS, ORDERS]}, "ValidationException", "The action group OrderTools is given more than once"),
        ({"actionGroups": [{"actionGroupName": "Empty"}]}, "ValidationException", "either apiSchema or functionSchema"),
        (
            {"actionGroups": [{**ORDERS, "parentActionGroupSignature": "AMAZON.UserInput"}]},
            "ValidationException",
            "must be absent when parentActionGroupSignature is AMAZON.UserInput",
        ),
        (
            {"actionGroups": [{**ORDERS, "functionSchema": None, "apiSchema": {"payload": "openapi: 2"}}]},
            "ValidationException",
            "OrderTools",
        ),
        (
            {"knowledgeBases": [{"knowledgeBaseId": "KB12345678", "description": "What we know."}]},
            "ResourceNotFoundException",
            "KnowledgeBase with id KB12345678 is not found.",
        ),
        ({"orchestrationType": "CUSTOM_ORCHESTRATION"}, "ValidationException", "customOrchestration.executor cannot be null"),
        (
            {"promptOverrideConfiguration": {"promptConfigurations": [
                {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN", "basePromptTemplate": '{"system": 1'}]}},
            "ValidationException",
            "The provided BasePromptTemplate for the ORCHESTRATION prompt type has failed validation",
        ),
        ({"agentCollaboration": "SUPERVISOR"}, "ValidationException", "is set to SUPERVISOR but no agent collaborators"),
        (
            {"collaborators": [collaborator("low")], "collaboratorConfigurations": [configuration("low")]},
            "ValidationException",
            "The AgentCollaboration attribute is set to DISABLED.",
        ),
        (
            {"agentCollaboration": "SUPERVISOR", "collaborators": [collaborator("low")],
             "collaboratorConfigurations": [configuration("law")]},
            "ValidationException",
            "no inline collaborator has the agentName law",
        ),
        (
            {"agentCollaboration": "SUPERVISOR", "collaboratorConfigurations": [
                configuration("gone", agentAliasArn="arn:aws:bedrock:us-west-2:111111111111:agent-alias/AAAAAAAAAA/BBBBBBBBBB")]},
            "ValidationException",
            "The collaborator gone cannot be used",
        ),
        (
            {"inlineSessionState": {"invocationId": "nothing", "returnControlInvocationResults": [
                {"functionResult": {"actionGroup": "OrderTools", "function": "get_order_status"}}]}},
            "ValidationException",
            "nothing",
        ),
    ],
)
def test_refusals(unchecked, more, code, message):
    more = dict(more)
    groups = more.get("actionGroups", [])
    more["actionGroups"] = [{key: value for key, value in group.items() if value is not None} for group in groups]
    text = more.pop("text", "Good morning.")
    name, said = refused(unchecked.runtime, agents.session_id(), text, **more)
    assert name == code
    assert message in said


def test_a_failing_tool_ends_the_stream(runtime, stub):
    stub.script(tool=[{"function_error": "Unhandled", "payload": {"errorMessage": "no order book"}}])
    turn = invoke(runtime, agents.session_id(), "Where is order A-482?", actionGroups=[ORDERS])
    assert turn.error_code == "dependencyFailedException"
    assert turn.events and "chunk" not in turn.events[-1]


def test_a_definition_is_kept_for_whoever_goes_on(launch, stub, connect):
    """A server that never saw the definition takes the results of a call that it asks for."""
    from conftest import config

    server = launch(config(stub))
    session = agents.session_id()
    clients = connect(server)
    first = invoke(clients.runtime, session, "Open my calendar.", actionGroups=[CALENDAR]).ok()
    server.kill()
    server.start()
    clients = connect(server)
    second = invoke(clients.runtime, session, inlineSessionState=state(first, result(first, "opened"))).ok()
    assert "opened" in second.text
    assert [tool["name"] for tool in stub.model_calls()[-1]["tools"]] == ["ClientSideTools__open_calendar"]
