"""Supervisors, their collaborators, knowledge bases of agents, and what an agent keeps that no turn runs yet."""

import uuid

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

GONE = "Failed to retrieve resource because it doesn't exist."
INSTRUCTION = "Use it for everything about orders."


def refused(call, code, **arguments):
    """The message of a call that must fail with this code."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    assert answer["Code"] == code, answer
    return answer["Message"]


def worker(control):
    """A prepared agent with an alias: its id, the alias's, and the alias's ARN."""
    agent = agents.order_agent(control)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]
    return agent, alias["agentAliasId"], alias["agentAliasArn"]


def associate(control, supervisor, arn, name="Orders", **more):
    """The collaborator that is made."""
    return control.associate_agent_collaborator(
        agentId=supervisor, agentVersion="DRAFT", agentDescriptor={"aliasArn": arn}, collaboratorName=name,
        collaborationInstruction=INSTRUCTION, **more,
    )["agentCollaborator"]


@pytest.mark.parametrize("mode", ["SUPERVISOR", "SUPERVISOR_ROUTER"])
def test_the_life_of_a_supervisor(control, runtime, mode):
    agent, alias, arn = worker(control)
    lead = agents.create(control, agentCollaboration=mode)
    message = refused(control.prepare_agent, "ValidationException", agentId=lead)
    assert message == f"The AgentCollaboration attribute is set to {mode} but no agent collaborators are added."

    token = str(uuid.uuid4())
    made = associate(control, lead, arn, clientToken=token)
    assert made["relayConversationHistory"] == "DISABLED"
    assert made["createdAt"] == made["lastUpdatedAt"]
    assert associate(control, lead, arn, clientToken=token) == made
    one = {"agentId": lead, "agentVersion": "DRAFT", "collaboratorId": made["collaboratorId"]}
    assert control.get_agent_collaborator(**one)["agentCollaborator"] == made
    updated = control.update_agent_collaborator(
        **one, agentDescriptor={"aliasArn": arn}, collaboratorName="Shipping",
        collaborationInstruction="Use it for shipping.", relayConversationHistory="TO_COLLABORATOR",
    )["agentCollaborator"]
    assert updated["collaboratorName"] == "Shipping"
    assert updated["relayConversationHistory"] == "TO_COLLABORATOR"

    agents.prepare(control, lead)
    live = control.create_agent_alias(agentId=lead, agentAliasName="LIVE")["agentAlias"]["agentAliasId"]
    for version in ("DRAFT", "1"):
        listed = control.list_agent_collaborators(agentId=lead, agentVersion=version)["agentCollaboratorSummaries"]
        assert [(item["collaboratorName"], item["agentVersion"]) for item in listed] == [("Shipping", version)]
    assert control.get_agent_version(agentId=lead, agentVersion="1")["agentVersion"]["agentCollaboration"] == mode
    assert control.get_agent_collaborator(**{**one, "agentVersion": "1"})["agentCollaborator"]["agentVersion"] == "1"

    in_use = refused(control.delete_agent_alias, "ValidationException", agentId=agent, agentAliasId=alias)
    assert "is in use as a collaborator by the agent" in in_use
    assert invoke(runtime, lead, agents.session_id(), "Hello.").ok().text

    control.disassociate_agent_collaborator(**one)
    assert refused(control.get_agent_collaborator, "ResourceNotFoundException", **one).startswith(GONE)
    control.delete_agent(agentId=lead, skipResourceInUseCheck=True)
    control.delete_agent_alias(agentId=agent, agentAliasId=alias)
    refused(control.get_agent_alias, "ResourceNotFoundException", agentId=lead, agentAliasId=live)


def test_who_can_be_a_collaborator(control, unchecked):
    agent, _, arn = worker(control)
    lead = agents.create(control, agentCollaboration="SUPERVISOR")
    arguments = {
        "agentId": lead, "agentVersion": "DRAFT", "collaboratorName": "Orders",
        "collaborationInstruction": INSTRUCTION,
    }
    call = unchecked.control.associate_agent_collaborator
    agent_arn = f"arn:aws:bedrock:us-west-2:111111111111:agent/{agent}"
    message = refused(call, "ValidationException", **arguments, agentDescriptor={"aliasArn": agent_arn})
    assert message.startswith(
        f"1 validation error detected: Value '{agent_arn}' at 'agentDescriptor.aliasArn' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern:"
    )
    missing = arn[:-10] + "ZZZZZZZZZZ"
    refused(call, "ResourceNotFoundException", **arguments, agentDescriptor={"aliasArn": missing})
    own = f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{lead}/TSTALIASID"
    refused(call, "ValidationException", **arguments, agentDescriptor={"aliasArn": own})
    associate(control, lead, arn)
    message = refused(call, "ConflictException", **arguments, agentDescriptor={"aliasArn": arn})
    assert message.startswith("Could not perform Create operation, since the Orders (id: ")


def test_an_agent_keeps_everything(control, runtime, stub):
    custom = {"executor": {"lambda": agents.LAMBDA}}
    guardrail = {"guardrailIdentifier": "abc123", "guardrailVersion": "1"}
    memory = {"enabledMemoryTypes": ["SESSION_SUMMARY"], "sessionSummaryConfiguration": {"maxRecentSessions": 5}}
    prompts = {
        "overrideLambda": agents.LAMBDA,
        "promptConfigurations": [
            {"promptType": "PRE_PROCESSING", "promptState": "ENABLED", "parserMode": "OVERRIDDEN"}
        ],
    }
    agent = agents.create(
        control, orchestrationType="CUSTOM_ORCHESTRATION", customOrchestration=custom,
        guardrailConfiguration=guardrail, memoryConfiguration=memory, promptOverrideConfiguration=prompts,
    )
    types = {"Computer": "computer_20241022", "Bash": "bash_20241022", "TextEditor": "text_editor_20241022"}
    for number, signature in enumerate(
        ["AMAZON.CodeInterpreter", "ANTHROPIC.Computer", "ANTHROPIC.Bash", "ANTHROPIC.TextEditor"]
    ):
        type_ = types.get(signature.partition(".")[2])
        more = {"parentActionGroupSignatureParams": {"type": type_}} if type_ else {}
        group = control.create_agent_action_group(
            agentId=agent, agentVersion="DRAFT", actionGroupName=f"BuiltIn{number}",
            parentActionGroupSignature=signature, **more,
        )["agentActionGroup"]
        assert group["parentActionSignature"] == signature
    seen = control.get_agent(agentId=agent)["agent"]
    assert seen["orchestrationType"] == "CUSTOM_ORCHESTRATION"
    assert seen["customOrchestration"] == custom
    assert seen["guardrailConfiguration"] == guardrail
    assert seen["memoryConfiguration"] == {**memory, "storageDays": 30}
    assert seen["promptOverrideConfiguration"]["overrideLambda"] == agents.LAMBDA
    by_type = {prompt["promptType"]: prompt for prompt in seen["promptOverrideConfiguration"]["promptConfigurations"]}
    assert by_type["PRE_PROCESSING"]["promptState"] == "ENABLED"
    assert by_type["PRE_PROCESSING"]["parserMode"] == "OVERRIDDEN"
    agents.prepare(control, agent)
    control.create_agent_alias(agentId=agent, agentAliasName="PROD")
    version = control.get_agent_version(agentId=agent, agentVersion="1")["agentVersion"]
    for name in ("guardrailConfiguration", "memoryConfiguration"):
        assert version[name] == seen[name]
    listed = control.list_agent_action_groups(agentId=agent, agentVersion="1")["actionGroupSummaries"]
    assert [item["actionGroupName"] for item in listed] == [f"BuiltIn{number}" for number in range(4)]
    summary = control.list_agent_versions(agentId=agent)["agentVersionSummaries"][1]
    assert summary["guardrailConfiguration"] == guardrail
    planned = {"version": "1.0", "actionEvent": "FINISH", "output": {"text": "Planned."}}
    stub.script(tool=[{"payload": planned}, {"payload": planned}])
    for alias in ("TSTALIASID", "PROD"):
        assert invoke(runtime, agent, agents.session_id(), "Hello.", alias=alias).ok().text == "Planned."
