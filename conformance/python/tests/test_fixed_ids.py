"""Ids that stay: what client code has written down goes on working."""

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e.agents import INSTRUCTION, MODEL, ROLE, agent_status, alias_status, session_id, unique
from outcrop_e2e.turn import invoke

AGENT = "KEPTAGENT1"
ALIAS = "KEPTALIAS1"


def definition(**more):
    return {
        "agentName": unique("kept"),
        "foundationModel": MODEL,
        "instruction": INSTRUCTION,
        "agentResourceRoleArn": ROLE,
        **more,
    }


def test_an_agent_and_its_alias_are_invoked_by_the_ids_they_were_given(control, runtime):
    made = control.create_agent(**definition(tags={"outcrop:id": AGENT, "team": "support"}))["agent"]
    assert made["agentId"] == AGENT
    assert agent_status(control, AGENT) == "NOT_PREPARED"
    control.prepare_agent(agentId=AGENT)
    assert agent_status(control, AGENT) == "PREPARED"
    alias = control.create_agent_alias(agentId=AGENT, agentAliasName="PROD", tags={"outcrop:id": ALIAS})
    assert alias["agentAlias"]["agentAliasId"] == ALIAS
    assert alias_status(control, AGENT, ALIAS) == "PREPARED"
    tags = control.list_tags_for_resource(resourceArn=made["agentArn"])["tags"]
    assert tags == {"outcrop:id": AGENT, "team": "support"}
    for name in (ALIAS, "PROD"):
        turn = invoke(runtime, AGENT, session_id(), "Hello", alias=name).ok()
        assert turn.text
    with pytest.raises(ClientError) as caught:
        control.create_agent(**definition(tags={"outcrop:id": AGENT}))
    assert caught.value.response["Error"]["Code"] == "ConflictException"


@pytest.mark.parametrize("bad", ["TSTALIASID", "lowercase1", "SHORT"])
def test_what_is_no_id_is_refused(control, bad):
    with pytest.raises(ClientError) as caught:
        control.create_agent(**definition(tags={"outcrop:id": bad}))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "outcrop:id" in caught.value.response["Error"]["Message"]
