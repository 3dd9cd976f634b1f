"""The guide's agents, made with boto3."""

import itertools
import time
import uuid

LAMBDA = "arn:aws:lambda:us-west-2:111111111111:function:order-tools"
ROLE = "arn:aws:iam::111111111111:role/AgentRole"
INSTRUCTION = "You are a helpful customer support assistant."
MODEL = "anthropic.claude-opus-4-7"

ORDER_FUNCTIONS = [
    {
        "name": "get_order_status",
        "description": "Look up the shipping status of a customer order by ID.",
        "parameters": {
            "order_id": {
                "type": "string",
                "description": "The customer-facing order ID, e.g. A-482.",
                "required": True,
            }
        },
    },
    {
        "name": "cancel_order",
        "description": "Cancel an order if it has not yet shipped.",
        "parameters": {
            "order_id": {"type": "string", "required": True},
            "reason": {"type": "string", "required": False},
        },
    },
]

CALENDAR_FUNCTIONS = [
    {
        "name": "open_calendar",
        "description": "Open the user's local calendar to a specific date.",
        "parameters": {"date": {"type": "string", "required": True}},
    }
]

_numbers = itertools.count(1)

# How long a resource may stay in a passing state.
SETTLE_S = 10


def unique(prefix):
    """A name no other test uses."""
    return f"{prefix}-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


def session_id():
    """A fresh session id."""
    return str(uuid.uuid4())


def settle(read, passing=("CREATING", "PREPARING", "UPDATING", "VERSIONING")):
    """Reads until the status is no passing one; returns it."""
    deadline = time.monotonic() + SETTLE_S
    while (status := read()) in passing:
        assert time.monotonic() < deadline, f"still {status} after {SETTLE_S} s"
        time.sleep(0.01)
    return status


def agent_status(control, agent):
    """The settled status of an agent."""
    return settle(lambda: control.get_agent(agentId=agent)["agent"]["agentStatus"])


def alias_status(control, agent, alias):
    """The settled status of an alias."""
    return settle(
        lambda: control.get_agent_alias(agentId=agent, agentAliasId=alias)["agentAlias"]["agentAliasStatus"]
    )


def create(control, name=None, **more):
    """An agent of its own, settled; returns its id."""
    arguments = {
        "agentName": name or unique("agent"),
        "foundationModel": MODEL,
        "instruction": INSTRUCTION,
        "agentResourceRoleArn": ROLE,
        **more,
    }
    agent = control.create_agent(**arguments)["agent"]["agentId"]
    assert agent_status(control, agent) == "NOT_PREPARED"
    return agent


def add_group(control, agent, name, executor, functions=None, **more):
    """An action group on the draft; returns its id."""
    arguments = {
        "agentId": agent,
        "agentVersion": "DRAFT",
        "actionGroupName": name,
        "actionGroupExecutor": executor,
        **more,
    }
    if functions is not None:
        arguments["functionSchema"] = {"functions": functions}
    return control.create_agent_action_group(**arguments)["agentActionGroup"]["actionGroupId"]


def prepare(control, agent):
    """Prepares the draft."""
    answer = control.prepare_agent(agentId=agent)
    assert answer["agentStatus"] in ("PREPARING", "PREPARED")
    assert agent_status(control, agent) == "PREPARED"


def order_agent(control, functions=None, executor=None, **more):
    """A prepared agent with the order tools behind a Lambda."""
    agent = create(control, **more)
    add_group(control, agent, "OrderTools", executor or {"lambda": LAMBDA}, functions or ORDER_FUNCTIONS)
    prepare(control, agent)
    return agent


def control_agent(control, functions=None, **more):
    """A prepared agent whose tools are the caller's."""
    agent = create(control, **more)
    add_group(
        control, agent, "ClientSideTools", {"customControl": "RETURN_CONTROL"}, functions or CALENDAR_FUNCTIONS
    )
    prepare(control, agent)
    return agent
