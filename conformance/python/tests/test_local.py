"""The demo's own turn over the embedded model: no network, no configuration of a model."""

import pytest
from conftest import EXAMPLE

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke


@pytest.mark.slow
def test_the_demos_turn_over_the_embedded_model(launch, connect):
    text = (
        'region = "us-west-2"\naccount_id = "111111111111"\n'
        '[[models]]\nmatch = "*"\nprovider = "local"\n'
        '[[functions]]\nmatch = "order-tools"\nruntime = "python"\nhandler = "app.lambda_handler"\n'
        f'code = "{EXAMPLE / "functions" / "order-tools"}"\n'
    )
    clients = connect(launch(text))
    agent = agents.create(clients.control)
    agents.add_group(clients.control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.add_group(
        clients.control, agent, "ClientSideTools", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS
    )
    agents.prepare(clients.control, agent)
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    called = next(part for name, part in turn.parts if name == "invocationInput")["actionGroupInvocationInput"]
    assert called["function"] == "get_order_status"
    assert called["parameters"] == [{"name": "order_id", "type": "string", "value": "A-482"}]
    assert "shipped" in turn.observations[0]
    assert "A-482" in turn.text or "shipped" in turn.text
