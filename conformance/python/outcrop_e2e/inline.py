"""One InvokeInlineAgent call: the agent in the request, the stream read whole."""

from . import agents
from .turn import Turn

INSTRUCTION = "You are a helpful customer support assistant for an online shop."

ORDERS = {
    "actionGroupName": "OrderTools",
    "actionGroupExecutor": {"lambda": agents.LAMBDA},
    "functionSchema": {"functions": agents.ORDER_FUNCTIONS},
}
CALENDAR = {
    "actionGroupName": "ClientSideTools",
    "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
    "functionSchema": {"functions": agents.CALENDAR_FUNCTIONS},
}


def invoke(runtime, session, text=None, trace=True, seen=None, **more):
    """Calls InvokeInlineAgent and reads it to its end."""
    arguments = {
        "sessionId": session,
        "foundationModel": agents.MODEL,
        "instruction": INSTRUCTION,
        "enableTrace": trace,
        **more,
    }
    if text is not None:
        arguments["inputText"] = text
    return Turn(runtime.invoke_inline_agent(**arguments), seen)


def collaborator(name, **more):
    """An inline collaborator with a model of its own, so that a script can tell it from others."""
    return {"agentName": name, "foundationModel": f"model.{name}", "instruction": INSTRUCTION, **more}


def configuration(name, **more):
    """How a supervisor knows a collaborator."""
    return {"collaboratorName": name, "collaboratorInstruction": f"Ask {name} about {name}.", **more}


def result(turn, body=None, index=0, **more):
    """The result of one returned function call, sent back as the SDK's samples do."""
    call = turn.control["invocationInputs"][index]["functionInvocationInput"]
    given = {"actionGroup": call["actionGroup"], "function": call["function"], "agentId": call["agentId"], **more}
    if body is not None:
        given["responseBody"] = {"TEXT": {"body": body}}
    return {"functionResult": given}


def state(turn, *results):
    """What answers a turn's returned control."""
    return {
        "invocationId": turn.control["invocationId"],
        "returnControlInvocationResults": list(results) or [result(turn, "done")],
    }
