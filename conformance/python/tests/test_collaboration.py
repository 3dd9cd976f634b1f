"""Supervisors at work: collaborators asked, routed to, nested, and heard when they need their caller."""

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents
from outcrop_e2e.inline import collaborator, configuration
from outcrop_e2e.inline import invoke as invoke_inline
from outcrop_e2e.inline import result as inline_result
from outcrop_e2e.inline import state as inline_state
from outcrop_e2e.process import texts
from outcrop_e2e.team import asks, associate, calls, chose, conversations, model, relayed, says, spoken, worker
from outcrop_e2e.turn import Background, invoke

ORDERS = ("OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
CALENDAR = ("ClientSideTools", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS)

ASK = ["modelInvocationInput", "modelInvocationOutput", "invocationInput(AGENT_COLLABORATOR)"]
ANSWER = ["modelInvocationInput", "modelInvocationOutput", "observation(FINISH)"]
BACK = ["observation(AGENT_COLLABORATOR)"]
ROUTED = [*ASK, *ANSWER, *BACK, "observation(FINISH)", "chunk"]


def run(runtime, agent, session, text=None, **more):
    """A turn of an agent at its alias."""
    return invoke(runtime, agent["id"], session, text, alias=agent["alias"], **more)


def observed(turn):
    """(name, payload) of what collaborators gave back, in order."""
    outputs = (
        value["agentCollaboratorInvocationOutput"]
        for part, value in turn.parts
        if part == "observation" and "agentCollaboratorInvocationOutput" in value
    )
    return [(output["agentCollaboratorName"], output["output"]) for output in outputs]


def give_back(turn, body, **more):
    """The results for every call of a turn's returned control."""
    results = []
    for call in turn.control["invocationInputs"]:
        asked = call["functionInvocationInput"]
        results.append({"functionResult": {
            "actionGroup": asked["actionGroup"], "function": asked["function"], "agentId": asked["agentId"],
            "responseBody": {"TEXT": {"body": body}}, **more}})
    return {"invocationId": turn.control["invocationId"], "returnControlInvocationResults": results}


def test_a_collaborator_is_asked(control, runtime, stub):
    orders = worker(control, "orders", [ORDERS])
    lead = worker(control, "lead", collaborators=[orders])
    stub.script(
        model=[
            asks("lead", ("orders", "Where is order A-482?")),
            calls("orders", "get_order_status", order_id="A-482"),
            says("orders", "It has shipped."),
            says("lead", "Your order has shipped."),
        ]
    )
    session = agents.session_id()
    turn = run(
        runtime, lead, session, "Where is my order?",
        sessionState={"sessionAttributes": {"user": "u-1"}, "promptSessionAttributes": {"day": "Monday"}},
    ).ok()
    assert turn.order == [
        *ASK,
        "modelInvocationInput", "modelInvocationOutput",
        "invocationInput(ACTION_GROUP)", "observation(ACTION_GROUP)",
        *ANSWER, *BACK, *ANSWER, "chunk",
    ]
    assert turn.text == "Your order has shipped."

    # The collaborator speaks under its own name, id, request and session.
    for envelope in spoken(turn, 2):
        assert envelope["collaboratorName"] == "orders"
        assert envelope["callerChain"] == [{"agentAliasArn": lead["arn"]}, {"agentAliasArn": orders["arn"]}]
        assert (envelope["agentId"], envelope["agentAliasId"]) == (orders["id"], orders["alias"])
        assert envelope["sessionId"] != session
    for envelope in spoken(turn, 1):
        assert "collaboratorName" not in envelope and envelope["sessionId"] == session
    asked = turn.parts[2][1]["agentCollaboratorInvocationInput"]
    assert asked == {
        "agentCollaboratorAliasArn": orders["arn"],
        "agentCollaboratorName": "orders",
        "input": {"text": "Where is order A-482?", "type": "TEXT"},
    }
    (_, answered), = [part for part in turn.parts if "agentCollaboratorInvocationOutput" in str(part)]
    output = answered["agentCollaboratorInvocationOutput"]
    assert output["output"] == {"text": "It has shipped.", "type": "TEXT"}
    first = turn.parts[3][1]["traceId"]
    assert first == f"{output['metadata']['clientRequestId']}-0"
    assert not first.startswith(turn.request_id)

    (event,) = stub.tool_events()
    assert event["agent"]["id"] == orders["id"]
    assert event["sessionAttributes"] == {"user": "u-1"}
    assert event["promptSessionAttributes"] == {}
    lead_saw, orders_saw = conversations(stub, "lead")[0], conversations(stub, "orders")[0]
    assert "Ask orders about orders." in lead_saw["system"] or "Ask orders about orders." in str(lead_saw["tools"])
    assert [text for _, text in texts(orders_saw)] == ["Where is order A-482?"]


def test_a_collaborator_remembers_what_it_was_asked(control, runtime, stub):
    orders = worker(control, "orders")
    lead = worker(control, "lead", collaborators=[orders])
    session = agents.session_id()
    for number in ("one", "two"):
        stub.script(
            model=[asks("lead", ("orders", f"Question {number}")), says("orders", f"Answer {number}"),
                   says("lead", "Done.")]
        )
        run(runtime, lead, session, "Ask.").ok()
    seen = [text for _, text in texts(conversations(stub, "orders")[-1])]
    assert seen[0] == "Question one" and "Answer one" in seen[1] and seen[2] == "Question two"
    # It is the supervisor's alone: a client's session of the same id is another one.
    run(runtime, orders, session, "Who am I?").ok()
    assert len(conversations(stub, "orders")[-1]["messages"]) == 1


def test_several_at_once(control, runtime, stub):
    orders, weather = worker(control, "orders"), worker(control, "weather")
    lead = worker(control, "lead", collaborators=[orders, weather])
    stub.script(
        model=[
            asks("lead", ("orders", "Where is it?"), ("weather", "Will it rain?")),
            {**says("orders", "On its way."), "hold": "orders"},
            {**says("weather", "It will."), "hold": "weather"},
            says("lead", "It comes, and it rains."),
        ]
    )
    asked = Background(run, runtime, lead, agents.session_id(), "Order and weather?")
    # Both are at their models before either of them answers.
    stub.wait(held="orders")
    stub.wait(held="weather")
    stub.release("weather")
    stub.release("orders")
    turn = asked.join().ok()
    assert sorted(name for name, _ in observed(turn)) == ["orders", "weather"]
    assert turn.text == "It comes, and it rains."
    results = [text for _, text in texts(conversations(stub, "lead")[-1])]
    assert any("On its way." in text for text in results) and any("It will." in text for text in results)


def test_one_that_is_asked_twice_answers_in_turn(control, runtime, stub):
    orders = worker(control, "orders")
    lead = worker(control, "lead", collaborators=[orders])
    stub.script(
        model=[
            asks("lead", ("orders", "First?"), ("orders", "Second?")),
            says("orders", "One."),
            says("orders", "Two."),
            says("lead", "Both."),
        ]
    )
    turn = run(runtime, lead, agents.session_id(), "Ask twice.").ok()
    assert [output["text"] for _, output in observed(turn)] == ["One.", "Two."]
    seen = [text for _, text in texts(conversations(stub, "orders")[-1])]
    assert seen[0] == "First?" and seen[-1] == "Second?"


def test_the_supervisor_speaks_to_the_user_by_the_same_tool(control, runtime, stub):
    lead = worker(control, "lead", collaborators=[worker(control, "orders")])
    stub.script(model=[asks("lead", ("User", "Which order do you mean?"))])
    turn = run(runtime, lead, agents.session_id(), "Where is it?").ok()
    assert turn.text == "Which order do you mean?"
    assert turn.order == [*ANSWER, "chunk"]


def test_the_conversation_is_relayed_where_that_is_wanted(control, runtime, stub):
    orders, weather = worker(control, "orders"), worker(control, "weather")
    lead = worker(control, "lead", collaborators=[relayed(orders), weather])
    session = agents.session_id()
    stub.script(model=[says("lead", "Hello Ada.")])
    run(runtime, lead, session, "My name is Ada.").ok()
    stub.script(
        model=[
            asks("lead", ("orders", "What did she order?"), ("weather", "Will it rain?")),
            says("orders", "Tea."),
            says("weather", "It will."),
            says("lead", "Tea, and rain."),
        ]
    )
    run(runtime, lead, session, "What did I order, and will it rain?").ok()
    (orders_saw,), (weather_saw,) = conversations(stub, "orders"), conversations(stub, "weather")
    assert "My name is Ada." in str(orders_saw) and "Hello Ada." in str(orders_saw)
    assert texts(orders_saw)[-1][1].endswith("What did she order?")
    assert "Ada" not in str(weather_saw)


def test_three_levels(control, runtime, stub):
    stock = worker(control, "stock", [ORDERS])
    orders = worker(control, "orders", collaborators=[stock])
    lead = worker(control, "lead", collaborators=[orders])
    stub.script(
        model=[
            asks("lead", ("orders", "Is it there?")),
            asks("orders", ("stock", "How many?")),
            says("stock", "Seven."),
            says("orders", "There are seven."),
            says("lead", "Yes, seven."),
        ]
    )
    turn = run(runtime, lead, agents.session_id(), "Is it there?").ok()
    assert turn.order == [*ASK, *ASK, *ANSWER, *BACK, *ANSWER, *BACK, *ANSWER, "chunk"]
    assert turn.text == "Yes, seven."
    chain = [{"agentAliasArn": agent["arn"]} for agent in (lead, orders, stock)]
    assert {len(envelope["callerChain"]) for envelope in turn.traces} == {1, 2, 3}
    for envelope in spoken(turn, 3):
        assert envelope["callerChain"] == chain
        # AWS names the collaborator of the first level on all levels below it.
        assert envelope["collaboratorName"] == "orders"
        assert envelope["agentId"] == stock["id"]


@pytest.mark.parametrize("depth", [2, 3])
def test_control_comes_up_from_below_and_goes_back_down(control, runtime, stub, depth):
    office = worker(control, "office", [CALENDAR])
    below = [asks("lead", ("office", "Open her calendar."))]
    after = [says("office", "It is open."), says("lead", "Your calendar is open.")]
    top = office
    if depth == 3:
        top = worker(control, "desk", collaborators=[office])
        below = [asks("lead", ("desk", "Open it.")), asks("desk", ("office", "Open her calendar."))]
        after = [after[0], says("desk", "Done."), after[1]]
    lead = worker(control, "lead", collaborators=[top])
    session = agents.session_id()
    stub.script(model=[*below, calls("office", "open_calendar", date="2026-04-27")])
    first = run(runtime, lead, session, "Open my calendar.").ok()
    assert first.order[-1] == "returnControl" and "chunk" not in first.order
    (call,) = (item["functionInvocationInput"] for item in first.control["invocationInputs"])
    assert call["agentId"] == office["id"]
    assert call["collaboratorName"] == "office"
    assert call["parameters"] == [{"name": "date", "type": "string", "value": "2026-04-27"}]

    wrong = give_back(first, "opened", agentId=lead["id"])
    with pytest.raises(ClientError) as refused:
        run(runtime, lead, session, sessionState=wrong)
    assert refused.value.response["Error"]["Code"] == "ValidationException"

    stub.script(model=after)
    second = run(runtime, lead, session, sessionState=give_back(first, "opened on Monday")).ok()
    assert second.text == "Your calendar is open."
    told = texts(conversations(stub, "office")[-1])
    assert any("opened on Monday" in text for _, text in told)
    assert second.request_id != first.request_id


def test_control_of_two_collaborators_is_returned_together(control, runtime, stub):
    home, office = worker(control, "home", [CALENDAR]), worker(control, "office", [CALENDAR])
    lead = worker(control, "lead", collaborators=[home, office])
    session = agents.session_id()
    stub.script(
        model=[
            asks("lead", ("home", "Open it."), ("office", "Open it.")),
            calls("home", "open_calendar", date="2026-04-27"),
            calls("office", "open_calendar", date="2026-04-28"),
        ]
    )
    first = run(runtime, lead, session, "Open both calendars.").ok()
    asked = [item["functionInvocationInput"] for item in first.control["invocationInputs"]]
    assert [call["agentId"] for call in asked] == [home["id"], office["id"]]
    assert [call["collaboratorName"] for call in asked] == ["home", "office"]
    stub.script(model=[says("home", "Open."), says("office", "Open."), says("lead", "Both are open.")])
    second = run(runtime, lead, session, sessionState=give_back(first, "opened")).ok()
    assert second.text == "Both are open."
    assert sorted(name for name, _ in observed(second)) == ["home", "office"]


def test_a_user_confirms_what_a_collaborator_does(control, runtime, stub):
    functions = [{**agents.ORDER_FUNCTIONS[0], "requireConfirmation": "ENABLED"}]
    orders = worker(control, "orders", [("OrderTools", {"lambda": agents.LAMBDA}, functions)])
    lead = worker(control, "lead", collaborators=[orders])
    session = agents.session_id()
    stub.script(
        model=[asks("lead", ("orders", "Look it up.")), calls("orders", "get_order_status", order_id="A-482")]
    )
    first = run(runtime, lead, session, "Where is it?").ok()
    (call,) = (item["functionInvocationInput"] for item in first.control["invocationInputs"])
    assert call["actionInvocationType"] == "USER_CONFIRMATION"
    assert stub.tool_events() == []
    stub.script(model=[says("orders", "Shipped."), says("lead", "It has shipped.")])
    confirmed = give_back(first, "", confirmationState="CONFIRM")
    assert run(runtime, lead, session, sessionState=confirmed).ok().text == "It has shipped."
    assert len(stub.tool_events()) == 1


def test_a_collaborator_that_fails_is_told_to_the_supervisor(control, runtime, stub):
    orders = worker(control, "orders", [ORDERS])
    lead = worker(control, "lead", collaborators=[orders])
    stub.script(
        model=[
            asks("lead", ("orders", "Where is it?")),
            calls("orders", "get_order_status", order_id="A-482"),
            says("lead", "I cannot tell right now."),
        ],
        tool=[{"function_error": "Unhandled", "payload": {"errorMessage": "no order book"}}],
    )
    turn = run(runtime, lead, agents.session_id(), "Where is my order?").ok()
    assert turn.text == "I cannot tell right now."
    kinds = [next(iter(envelope["trace"])) for envelope in spoken(turn, 2)]
    assert kinds == ["orchestrationTrace", "orchestrationTrace", "failureTrace", "orchestrationTrace"]
    assert turn.order.count("observation(FINISH)") == 2
    assert any("failed" in text for _, text in texts(conversations(stub, "lead")[-1]))


def test_an_agent_above_in_the_chain_is_not_called_again(control, runtime, stub):
    """Two agents that work for each other: whoever is above is told to be out of reach."""
    draft = agents.create(control, name=agents.unique("orders"), foundationModel=model("orders"),
                          agentCollaboration="SUPERVISOR")
    orders = {"name": "orders", "id": draft, "alias": "TSTALIASID",
              "arn": f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{draft}/TSTALIASID"}
    lead = worker(control, "lead", collaborators=[orders])
    associate(control, draft, lead)
    agents.prepare(control, draft)
    stub.script(
        model=[
            asks("lead", ("orders", "Where is it?")),
            asks("orders", ("lead", "Where is it?")),
            says("orders", "I do not know."),
            says("lead", "Nobody knows."),
        ]
    )
    turn = run(runtime, lead, agents.session_id(), "Where is it?").ok()
    assert turn.text == "Nobody knows."
    # All that is seen of it is why it does not run.
    (third,) = spoken(turn, 3)
    said = third["trace"]["orchestrationTrace"]["observation"]["finalResponse"]["text"]
    assert "above it in the chain" in said
    assert any("above it in the chain" in text for _, text in texts(conversations(stub, "orders")[-1]))


def test_an_unknown_recipient_is_told_to_the_model(control, runtime, stub):
    lead = worker(control, "lead", collaborators=[worker(control, "orders")])
    stub.script(model=[asks("lead", ("nobody", "Hello?")), says("lead", "There is nobody.")])
    turn = run(runtime, lead, agents.session_id(), "Ask nobody.").ok()
    assert turn.text == "There is nobody."
    assert any("orders" in text for _, text in texts(conversations(stub, "lead")[-1]))


def test_a_router_hands_the_request_over(control, runtime, stub):
    orders, weather = worker(control, "orders"), worker(control, "weather")
    lead = worker(control, "lead", collaborators=[orders, weather], mode="SUPERVISOR_ROUTER")
    session = agents.session_id()
    stub.script(model=[chose("lead", "orders"), says("orders", "It has shipped.")])
    turn = run(runtime, lead, session, "Where is my order?").ok()
    assert turn.order == ROUTED
    assert turn.text == "It has shipped."
    for envelope in spoken(turn, 1):
        ((kind, part),) = envelope["trace"].items()
        assert kind == "routingClassifierTrace"
        ((_, detail),) = part.items()
        assert detail["traceId"] == f"{turn.request_id}-routing-0"
    assert turn.parts[2][1]["agentCollaboratorInvocationInput"]["input"]["text"] == "Where is my order?"
    (classified,) = conversations(stub, "lead")
    assert "weather" in str(classified) and "Where is my order?" in str(classified)
    assert [text for _, text in texts(conversations(stub, "orders")[0])] == ["Where is my order?"]

    # The same agent goes on where the classifier says so.
    stub.script(model=[chose("lead", "keep_previous_agent"), says("orders", "On Monday.")])
    again = run(runtime, lead, session, "And when?").ok()
    assert again.order == ROUTED and again.text == "On Monday."
    assert "It has shipped." in str(conversations(stub, "lead")[-1])


def test_a_router_that_cannot_decide_supervises(control, runtime, stub):
    orders, weather = worker(control, "orders"), worker(control, "weather")
    lead = worker(control, "lead", collaborators=[orders, weather], mode="SUPERVISOR_ROUTER")
    stub.script(
        model=[
            chose("lead", "undecidable"),
            asks("lead", ("orders", "Where is it?")),
            says("orders", "It has shipped."),
            says("lead", "It has shipped, and it rains."),
        ]
    )
    turn = run(runtime, lead, agents.session_id(), "Order and weather?").ok()
    assert turn.order == [
        "modelInvocationInput", "modelInvocationOutput", *ASK, *ANSWER, *BACK, *ANSWER, "chunk",
    ]
    kinds = [next(iter(envelope["trace"])) for envelope in spoken(turn, 1)]
    assert kinds[:2] == ["routingClassifierTrace"] * 2
    assert set(kinds[2:]) == {"orchestrationTrace"}


def test_control_of_a_routed_collaborator(control, runtime, stub):
    office = worker(control, "office", [CALENDAR])
    lead = worker(control, "lead", collaborators=[office], mode="SUPERVISOR_ROUTER")
    session = agents.session_id()
    stub.script(model=[chose("lead", "office"), calls("office", "open_calendar", date="2026-04-27")])
    first = run(runtime, lead, session, "Open my calendar.").ok()
    assert first.control["invocationInputs"][0]["functionInvocationInput"]["agentId"] == office["id"]
    stub.script(model=[says("office", "It is open.")])
    assert run(runtime, lead, session, sessionState=give_back(first, "opened")).ok().text == "It is open."


def test_without_trace_only_the_answer_comes(control, runtime, stub):
    lead = worker(control, "lead", collaborators=[worker(control, "orders")])
    stub.script(model=[asks("lead", ("orders", "Where?")), says("orders", "Here."), says("lead", "Here.")])
    assert run(runtime, lead, agents.session_id(), "Where?", trace=False).ok().order == ["chunk"]


def test_collaborators_of_an_inline_agent(control, runtime, stub):
    """Inline and stored collaborators side by side, and one inline collaborator below another."""
    orders = worker(control, "orders")
    team = {
        "agentCollaboration": "SUPERVISOR",
        "foundationModel": model("lead"),
        "agentName": "lead",
        "collaborators": [
            collaborator("desk", agentCollaboration="SUPERVISOR", collaboratorConfigurations=[configuration("office")]),
            collaborator("office", actionGroups=[{
                "actionGroupName": CALENDAR[0], "actionGroupExecutor": CALENDAR[1],
                "functionSchema": {"functions": CALENDAR[2]}}]),
        ],
        "collaboratorConfigurations": [
            configuration("desk", relayConversationHistory="TO_COLLABORATOR"),
            configuration("orders", agentAliasArn=orders["arn"]),
        ],
    }
    session = agents.session_id()
    stub.script(
        model=[
            asks("lead", ("orders", "Where is it?"), ("desk", "Open her calendar.")),
            says("orders", "It has shipped."),
            asks("desk", ("office", "Open it.")),
            calls("office", "open_calendar", date="2026-04-27"),
        ]
    )
    first = invoke_inline(runtime, session, "Order and calendar, please.", **team).ok()
    (call,) = (item["functionInvocationInput"] for item in first.control["invocationInputs"])
    assert (call["agentId"], call["collaboratorName"]) == ("INLINE_AGENT", "office")
    inline = "arn:aws:bedrock:us-west-2:111111111111:agent-alias/INLINE_AGENT"
    chains = {tuple(link["agentAliasArn"] for link in envelope["callerChain"]) for envelope in first.traces}
    root = f"{inline}/TSTALIASID"
    assert chains == {
        (root,), (root, orders["arn"]), (root, f"{inline}/desk"), (root, f"{inline}/desk", f"{inline}/office"),
    }
    assert all("agentId" not in envelope for envelope in first.traces)

    stub.script(model=[says("office", "Open."), says("desk", "It is open."), says("lead", "Shipped, and open.")])
    second = invoke_inline(
        runtime, session, **team, inlineSessionState=inline_state(first, inline_result(first, "opened"))
    ).ok()
    assert second.text == "Shipped, and open."
