"""Supervisors and their collaborators, made with boto3, and what a script has their models say.

Each agent's model is called after the agent, so that a script can tell whose turn it is.
"""

from . import agents

TOOL = "AgentCommunication__sendMessage"


def model(name):
    """The model of the agent of this name."""
    return f"model.{name}"


def worker(control, name, groups=(), collaborators=(), mode="SUPERVISOR", **more):
    """A prepared agent behind an alias. `groups` are (name, executor, functions); `collaborators` are workers."""
    if collaborators:
        more["agentCollaboration"] = mode
    agent = agents.create(control, name=agents.unique(name), foundationModel=model(name), **more)
    for group, executor, functions in groups:
        agents.add_group(control, agent, group, executor, functions)
    for other in collaborators:
        associate(control, agent, other)
    agents.prepare(control, agent)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="LIVE")["agentAlias"]
    return {"name": name, "id": agent, "alias": alias["agentAliasId"], "arn": alias["agentAliasArn"]}


def associate(control, supervisor, other, **more):
    """Makes a worker a collaborator of a supervisor's draft."""
    arguments = {
        "agentId": supervisor,
        "agentVersion": "DRAFT",
        "agentDescriptor": {"aliasArn": other["arn"]},
        "collaboratorName": other["name"],
        "collaborationInstruction": f"Ask {other['name']} about {other['name']}.",
        **other.get("association", {}),
        **more,
    }
    return control.associate_agent_collaborator(**arguments)["agentCollaborator"]


def relayed(other):
    """The worker, shown its supervisor's conversation."""
    return {**other, "association": {"relayConversationHistory": "TO_COLLABORATOR"}}


def says(name, text):
    """The model of `name` answers."""
    return {"for_model": model(name), "content": [{"text": f"<answer>{text}</answer>"}]}


def asks(name, *messages, **more):
    """The model of `name` sends messages: (recipient, content) pairs."""
    calls = [{"tool": TOOL, "input": {"recipient": to, "content": content}} for to, content in messages]
    return {"for_model": model(name), "content": calls, **more}


def calls(name, tool, **arguments):
    """The model of `name` calls a tool."""
    return {"for_model": model(name), "content": [{"tool": tool, "input": arguments}]}


def chose(name, choice):
    """The model of `name` classifies the request."""
    return {"for_model": model(name), "content": [{"text": f"<a>{choice}</a>"}]}


def conversations(stub, name):
    """What the model of `name` was shown, call by call."""
    return [call for call in stub.model_calls() if call["model"] == model(name)]


def spoken(turn, depth):
    """The traces of the agents at a depth of the caller chain, the supervisor's being 1."""
    return [envelope for envelope in turn.traces if len(envelope["callerChain"]) == depth]
