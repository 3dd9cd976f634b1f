"""Sessions: what carries over from turn to turn, what does not, and who may speak."""

import os
import time

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.turn import Background, invoke


@pytest.fixture
def agent(control):
    return agents.order_agent(control)


def all_text(call):
    """System and messages as one string."""
    return call["system"] + "\n" + "\n".join(text for _, text in texts(call))


def test_history_carries_tool_use(runtime, agent, stub):
    session = agents.session_id()
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    invoke(runtime, agent, session, "Thank you.").ok()
    messages = stub.model_calls()[-1]["messages"]
    kinds = [(message["role"], [block["kind"] for block in message["content"]]) for message in messages]
    assert kinds == [
        ("user", ["text"]),
        ("assistant", ["text", "tool_use"]),
        ("user", ["tool_result"]),
        ("assistant", ["text"]),
        ("user", ["text"]),
    ]
    assert "Where is order A-482?" in messages[0]["content"][0]["text"]
    assert messages[1]["content"][1]["input"] == {"order_id": "A-482"}
    assert "shipped" in messages[2]["content"][0]["text"]
    assert "Thank you." in messages[4]["content"][0]["text"]


def test_history_grows_over_many_turns(runtime, agent, stub):
    session = agents.session_id()
    for number in range(8):
        invoke(runtime, agent, session, f"Remark number {number}.", trace=False).ok()
    said = all_text(stub.model_calls()[-1])
    assert all(f"Remark number {number}." in said for number in range(8))


def test_sessions_do_not_mix(runtime, agent, stub):
    invoke(runtime, agent, agents.session_id(), "The first secret.").ok()
    invoke(runtime, agent, agents.session_id(), "Another talk.").ok()
    assert "The first secret." not in all_text(stub.model_calls()[-1])


def test_history_survives_a_restart(server, runtime, agent, stub):
    session = agents.session_id()
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    server.stop()
    server.start()
    invoke(runtime, agent, session, "Thank you.").ok()
    said = all_text(stub.model_calls()[-1])
    assert "Where is order A-482?" in said and "shipped" in said


def test_session_attributes_stay_and_reach_tools_only(runtime, agent, stub):
    session = agents.session_id()
    invoke(
        runtime, agent, session, "Hello.",
        sessionState={"sessionAttributes": {"user_id": "u-9921", "tier": "enterprise"}},
    ).ok()
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    event = stub.tool_events()[-1]
    assert event["sessionAttributes"] == {"user_id": "u-9921", "tier": "enterprise"}
    assert event["promptSessionAttributes"] == {}
    assert all("u-9921" not in all_text(call) for call in stub.model_calls())


def test_prompt_session_attributes_last_one_turn(runtime, agent, stub):
    session = agents.session_id()
    state = {"promptSessionAttributes": {"current_date": "2026-04-25"}}
    invoke(runtime, agent, session, "Where is order A-482?", sessionState=state).ok()
    assert all("2026-04-25" in all_text(call) for call in stub.model_calls())
    assert stub.tool_events()[-1]["promptSessionAttributes"] == {"current_date": "2026-04-25"}
    invoke(runtime, agent, session, "Where is order B-203?").ok()
    assert "2026-04-25" not in stub.model_calls()[-1]["system"]
    assert stub.tool_events()[-1]["promptSessionAttributes"] == {}


def test_a_tool_can_change_the_attributes(runtime, agent, stub):
    session = agents.session_id()
    stub.script(tool=[{"envelope": {"sessionAttributes": {"last": "A-482"}}}])
    invoke(runtime, agent, session, "Where is order A-482?", sessionState={"sessionAttributes": {"t": "1"}}).ok()
    invoke(runtime, agent, session, "Where is order B-203?").ok()
    assert stub.tool_events()[-1]["sessionAttributes"]["last"] == "A-482"


def test_the_event_a_tool_receives(runtime, agent, control, stub):
    session = agents.session_id()
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    name = control.get_agent(agentId=agent)["agent"]["agentName"]
    assert stub.tool_events() == [
        {
            "messageVersion": "1.0",
            "agent": {"name": name, "id": agent, "alias": "TSTALIASID", "version": "DRAFT"},
            "sessionId": session,
            "inputText": "Where is order A-482?",
            "actionGroup": "OrderTools",
            "function": "get_order_status",
            "parameters": [{"name": "order_id", "type": "string", "value": "A-482"}],
            "sessionAttributes": {},
            "promptSessionAttributes": {},
        }
    ]


def test_conversation_history_comes_before_the_question(runtime, agent, stub):
    history = {
        "messages": [
            {"role": "user", "content": [{"text": "My name is Ada."}]},
            {"role": "assistant", "content": [{"text": "Good day, Ada."}]},
        ]
    }
    invoke(runtime, agent, agents.session_id(), "Who am I?", sessionState={"conversationHistory": history}).ok()
    said = [text for _, text in texts(stub.model_calls()[-1])]
    assert "My name is Ada." in said[0]
    assert "Good day, Ada." in said[1]
    assert "Who am I?" in said[2]


def test_an_empty_text_in_conversation_history_is_refused(runtime, agent):
    history = {"messages": [{"role": "user", "content": [{"text": ""}]}]}
    with pytest.raises(ClientError) as refused:
        invoke(runtime, agent, agents.session_id(), "Who am I?", sessionState={"conversationHistory": history})
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "The conversation history that you provided is incorrectly formatted. "
        "The text in content block cannot be null or empty.",
    }


def test_end_session_forgets(runtime, agent, stub):
    session = agents.session_id()
    invoke(
        runtime, agent, session, "The first secret.", sessionState={"sessionAttributes": {"user_id": "u-1"}}
    ).ok()
    ended = invoke(runtime, agent, session, "end", endSession=True)
    ended.ok()
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    assert "The first secret." not in all_text(stub.model_calls()[-1])
    assert stub.tool_events()[-1]["sessionAttributes"] == {}


def test_end_session_needs_no_text(runtime, agent, stub):
    session = agents.session_id()
    invoke(runtime, agent, session, "The first secret.").ok()
    invoke(runtime, agent, session, endSession=True).ok()
    invoke(runtime, agent, session, "Hello.").ok()
    assert "The first secret." not in all_text(stub.model_calls()[-1])


def test_missing_input_text_is_refused(runtime, agent):
    with pytest.raises(ClientError) as refused:
        invoke(runtime, agent, agents.session_id())
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_second_call_at_the_same_time_is_refused(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=[{"hold": "first"}])
    first = Background(invoke, runtime, agent, session, "Where is order A-482?")
    stub.wait(held="first")
    with pytest.raises(ClientError) as refused:
        invoke(runtime, agent, session, "Hello.")
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    # Another session of the same agent is free.
    assert "Hello." in invoke(runtime, agent, agents.session_id(), "Hello.").ok().text
    stub.release("first")
    assert "shipped" in first.join().ok().text
    assert "Hello." in invoke(runtime, agent, session, "Hello.").ok().text


def test_many_sessions_at_once(runtime, agent):
    calls = [
        Background(invoke, runtime, agent, agents.session_id(), f"Where is order A-{100 + number}?")
        for number in range(24)
    ]
    for number, call in enumerate(calls):
        assert f"A-{100 + number}" in call.join().ok().text


def test_how_much_of_the_conversation_is_shown(runtime, agent, stub):
    session = agents.session_id()
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    invoke(runtime, agent, session, "The second remark.").ok()

    def shown(**configuration):
        stub.reset()
        more = {"promptCreationConfigurations": configuration} if configuration else {}
        invoke(runtime, agent, session, "And now?", **more).ok()
        return all_text(stub.model_calls()[0])

    thought = "The user asks about order A-482"
    whole = shown()
    assert "Where is order A-482?" in whole and "The second remark." in whole and thought in whole
    last = shown(previousConversationTurnsToInclude=1)
    assert "Where is order A-482?" not in last and "The second remark." not in last and "And now?" in last
    none = shown(previousConversationTurnsToInclude=0)
    assert none.count("And now?") == 1
    silent = shown(excludePreviousThinkingSteps=True)
    assert "Where is order A-482?" in silent and "shipped" in silent and thought not in silent
    assert thought in shown(), "only the turn that asks for it is shown less"


def test_configurations_of_knowledge_bases_that_are_not_there(runtime, agent):
    search = {"vectorSearchConfiguration": {"numberOfResults": 3}}
    state = {"knowledgeBaseConfigurations": [{"knowledgeBaseId": "KBKBKBKBKB", "retrievalConfiguration": search}]}
    turn = invoke(runtime, agent, agents.session_id(), "Hello.", sessionState=state)
    assert turn.error_code == "validationException"
    assert turn.error_message == (
        "You can only provide configurations for up to 0 knowledge bases in the session state. "
        "Reduce the number of configurations and retry your request."
    )


def test_a_file_for_the_chat_reaches_the_model(runtime, agent, stub):
    content = {"mediaType": "text/csv", "data": b"city,rain\nOslo,42 mm\n"}
    file = {
        "name": "rain.csv", "useCase": "CHAT", "source": {"sourceType": "BYTE_CONTENT", "byteContent": content},
    }
    invoke(runtime, agent, agents.session_id(), "How wet is it?", sessionState={"files": [file]}).ok()
    said = all_text(stub.model_calls()[-1])
    assert "Oslo,42 mm" in said and "rain.csv" in said


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("OUTCROP_SLOW"), reason="waits a real idle TTL of 60 s; set OUTCROP_SLOW=1")
def test_an_idle_session_ends(control, runtime, stub):
    agent = agents.order_agent(control, idleSessionTTLInSeconds=60)
    session = agents.session_id()
    invoke(runtime, agent, session, "The first secret.").ok()
    time.sleep(62)
    invoke(runtime, agent, session, "Hello.").ok()
    assert "The first secret." not in all_text(stub.model_calls()[-1])
