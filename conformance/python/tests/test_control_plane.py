"""Agents, action groups, aliases, versions and tags: states, snapshots, and AWS's own error texts."""

import uuid

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

GONE = "Failed to retrieve resource because it doesn't exist."
OPENAPI = {"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "order-tools/openapi.yaml"}}


def refused(call, code, **arguments):
    """The message of a call that must fail with this code."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    assert answer["Code"] == code, answer
    return answer["Message"]


def test_the_life_of_an_agent(control):
    name = agents.unique("life")
    created = control.create_agent(
        agentName=name, foundationModel=agents.MODEL, instruction=agents.INSTRUCTION,
        agentResourceRoleArn=agents.ROLE,
    )["agent"]
    assert created["agentStatus"] == "CREATING"
    assert created["agentVersion"] == "DRAFT"
    assert created["orchestrationType"] == "DEFAULT"
    assert created["idleSessionTTLInSeconds"] == 600
    assert created["createdAt"] == created["updatedAt"]
    assert "promptOverrideConfiguration" not in created
    agent = created["agentId"]
    assert agent.isalnum() and agent.isupper() or agent.isdigit()
    assert len(agent) == 10
    assert created["agentArn"] == f"arn:aws:bedrock:us-west-2:111111111111:agent/{agent}"
    assert agents.agent_status(control, agent) == "NOT_PREPARED"
    prepared = control.prepare_agent(agentId=agent)
    assert prepared["agentStatus"] == "PREPARING"
    assert prepared["agentVersion"] == "DRAFT"
    assert agents.agent_status(control, agent) == "PREPARED"
    assert "preparedAt" in control.get_agent(agentId=agent)["agent"]
    deleted = control.delete_agent(agentId=agent)
    assert deleted["agentStatus"] == "DELETING"
    message = refused(control.get_agent, "ResourceNotFoundException", agentId=agent)
    assert message.startswith(GONE)


def test_get_agent_always_carries_prompts(control):
    agent = agents.create(control)
    assert control.get_agent(agentId=agent)["agent"]["promptOverrideConfiguration"] == {"promptConfigurations": []}
    agents.prepare(control, agent)
    prompts = control.get_agent(agentId=agent)["agent"]["promptOverrideConfiguration"]["promptConfigurations"]
    by_type = {prompt["promptType"]: prompt for prompt in prompts}
    assert {
        "PRE_PROCESSING", "ORCHESTRATION", "KNOWLEDGE_BASE_RESPONSE_GENERATION", "POST_PROCESSING"
    } <= set(by_type)
    for prompt in prompts:
        assert prompt["basePromptTemplate"]
        assert prompt["parserMode"] == "DEFAULT"
        assert prompt["promptCreationMode"] == "DEFAULT"
    assert by_type["ORCHESTRATION"]["promptState"] == "ENABLED"
    assert "$instruction$" in by_type["ORCHESTRATION"]["basePromptTemplate"]
    assert by_type["PRE_PROCESSING"]["promptState"] == "DISABLED"
    assert by_type["POST_PROCESSING"]["promptState"] == "DISABLED"


def test_duplicate_names(control):
    name = agents.unique("twice")
    agent = agents.create(control, name=name)
    message = refused(control.create_agent, "ConflictException", agentName=name)
    assert message == (
        f"Could not perform Create operation, since the {name} (id: {agent}) with the same name {name} already exists"
    )
    agents.prepare(control, agent)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    message = refused(control.create_agent_alias, "ConflictException", agentId=agent, agentAliasName="PROD")
    assert message == (
        f"Could not perform Create operation, since the PROD (id: {alias}) with the same name PROD already exists"
    )
    agents.add_group(control, agent, "Tools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    refused(
        control.create_agent_action_group, "ConflictException",
        agentId=agent, agentVersion="DRAFT", actionGroupName="Tools",
        actionGroupExecutor={"lambda": agents.LAMBDA}, functionSchema={"functions": agents.ORDER_FUNCTIONS},
    )


def test_an_update_clears_what_it_leaves_out(control):
    agent = agents.create(control, description="first", idleSessionTTLInSeconds=900)
    updated = control.update_agent(
        agentId=agent, agentName=agents.unique("renamed"), foundationModel=agents.MODEL,
        agentResourceRoleArn=agents.ROLE,
    )["agent"]
    assert updated["agentStatus"] in ("UPDATING", "NOT_PREPARED")
    agents.agent_status(control, agent)
    seen = control.get_agent(agentId=agent)["agent"]
    assert "description" not in seen and "instruction" not in seen
    assert seen["idleSessionTTLInSeconds"] == 600
    assert seen["updatedAt"] > seen["createdAt"]


def test_what_prepare_needs(control):
    agent = control.create_agent(agentName=agents.unique("bare"))["agent"]["agentId"]
    agents.agent_status(control, agent)
    control.update_agent(
        agentId=agent, agentName=agents.unique("bare"), foundationModel=agents.MODEL,
        agentResourceRoleArn=agents.ROLE,
    )
    agents.agent_status(control, agent)
    message = refused(control.prepare_agent, "ValidationException", agentId=agent)
    assert "Agent Instruction cannot be null" in message


def test_drafts_are_not_served_before_prepare(control, runtime, stub):
    agent = agents.create(control, instruction="You speak in the first manner, always and only.")
    agents.prepare(control, agent)
    control.update_agent(
        agentId=agent, agentName=agents.unique("changed"), foundationModel=agents.MODEL,
        agentResourceRoleArn=agents.ROLE, instruction="You speak in the second manner, always and only.",
    )
    agents.agent_status(control, agent)
    invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    assert "first manner" in stub.model_calls()[-1]["system"]
    agents.prepare(control, agent)
    invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    assert "second manner" in stub.model_calls()[-1]["system"]


def test_an_unprepared_agent_cannot_be_invoked(control, runtime):
    agent = agents.create(control)
    with pytest.raises(ClientError) as error:
        invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    assert error.value.response["Error"]["Code"] in ("ValidationException", "ResourceNotFoundException")


def test_the_test_alias(control):
    agent = agents.create(control)
    alias = control.get_agent_alias(agentId=agent, agentAliasId="TSTALIASID")["agentAlias"]
    assert alias["agentAliasName"] == "AgentTestAlias"
    assert alias["agentAliasStatus"] == "PREPARED"
    assert alias["routingConfiguration"] == [{"agentVersion": "DRAFT"}]
    listed = control.list_agent_aliases(agentId=agent)["agentAliasSummaries"]
    assert [summary["agentAliasId"] for summary in listed] == ["TSTALIASID"]
    message = refused(control.delete_agent_alias, "ValidationException", agentId=agent, agentAliasId="TSTALIASID")
    assert message.startswith(
        "1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern:"
    )


def test_versions_and_aliases(control, runtime, stub):
    agent = agents.create(control, instruction="You speak in the first manner, always and only.")
    agents.prepare(control, agent)
    created = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]
    assert created["agentAliasStatus"] == "CREATING"
    assert created["routingConfiguration"] == [{}]
    alias = created["agentAliasId"]
    assert created["agentAliasArn"] == f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{agent}/{alias}"
    assert agents.alias_status(control, agent, alias) == "PREPARED"
    seen = control.get_agent_alias(agentId=agent, agentAliasId=alias)["agentAlias"]
    assert seen["routingConfiguration"] == [{"agentVersion": "1"}]

    change_instruction(control, agent, "You speak in the second manner, always and only.")
    invoke(runtime, agent, agents.session_id(), "Hello.", alias=alias).ok()
    assert "first manner" in stub.model_calls()[-1]["system"]
    control.update_agent_alias(agentId=agent, agentAliasId=alias, agentAliasName="PROD")
    assert agents.alias_status(control, agent, alias) == "PREPARED"
    seen = control.get_agent_alias(agentId=agent, agentAliasId=alias)["agentAlias"]
    assert seen["routingConfiguration"] == [{"agentVersion": "2"}]
    assert len(seen["agentAliasHistoryEvents"]) == 2
    turn = invoke(runtime, agent, agents.session_id(), "Hello.", alias="PROD").ok()
    assert "second manner" in stub.model_calls()[-1]["system"]
    assert turn.traces[0]["agentVersion"] == "2"
    assert turn.traces[0]["agentAliasId"] == alias

    control.update_agent_alias(
        agentId=agent, agentAliasId=alias, agentAliasName="PROD", routingConfiguration=[{"agentVersion": "1"}]
    )
    agents.alias_status(control, agent, alias)
    invoke(runtime, agent, agents.session_id(), "Hello.", alias="PROD").ok()
    assert "first manner" in stub.model_calls()[-1]["system"]

    listed = control.list_agent_versions(agentId=agent)["agentVersionSummaries"]
    assert {summary["agentVersion"] for summary in listed} == {"DRAFT", "1", "2"}
    version = control.get_agent_version(agentId=agent, agentVersion="1")["agentVersion"]
    assert version["version"] == "1"
    assert version["instruction"] == "You speak in the first manner, always and only."
    refused(control.delete_agent_version, "ConflictException", agentId=agent, agentVersion="1")
    assert control.delete_agent_version(agentId=agent, agentVersion="2")["agentVersion"] == "2"
    refused(control.get_agent_version, "ResourceNotFoundException", agentId=agent, agentVersion="2")
    refused(control.delete_agent, "ConflictException", agentId=agent)
    control.delete_agent_alias(agentId=agent, agentAliasId=alias)
    refused(control.get_agent_alias, "ResourceNotFoundException", agentId=agent, agentAliasId=alias)
    control.delete_agent(agentId=agent, skipResourceInUseCheck=True)
    refused(control.get_agent, "ResourceNotFoundException", agentId=agent)


def change_instruction(control, agent, instruction):
    """Gives the draft another instruction and prepares it."""
    name = control.get_agent(agentId=agent)["agent"]["agentName"]
    control.update_agent(
        agentId=agent, agentName=name, foundationModel=agents.MODEL, agentResourceRoleArn=agents.ROLE,
        instruction=instruction,
    )
    agents.agent_status(control, agent)
    agents.prepare(control, agent)


def test_version_numbers_are_never_used_again(control):
    agent = agents.create(control)
    agents.prepare(control, agent)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="one")["agentAlias"]["agentAliasId"]
    agents.alias_status(control, agent, alias)
    control.delete_agent_version(agentId=agent, agentVersion="1", skipResourceInUseCheck=True)
    dissociated = control.get_agent_alias(agentId=agent, agentAliasId=alias)["agentAlias"]
    assert dissociated["agentAliasStatus"] == "DISSOCIATED"
    second = control.create_agent_alias(agentId=agent, agentAliasName="two")["agentAlias"]["agentAliasId"]
    agents.alias_status(control, agent, second)
    seen = control.get_agent_alias(agentId=agent, agentAliasId=second)["agentAlias"]
    assert seen["routingConfiguration"] == [{"agentVersion": "2"}]


def test_an_alias_of_an_unprepared_agent_prepares_it(control, runtime):
    agent = agents.create(control)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    assert agents.alias_status(control, agent, alias) == "PREPARED"
    assert invoke(runtime, agent, agents.session_id(), "Hello.", alias="PROD").ok().text


def test_an_alias_to_a_version_that_is_not_there(control):
    agent = agents.create(control)
    agents.prepare(control, agent)
    message = refused(
        control.create_agent_alias, "ResourceNotFoundException",
        agentId=agent, agentAliasName="PROD", routingConfiguration=[{"agentVersion": "7"}],
    )
    assert message.startswith(
        f"Failed to retrieve parent resource Agent Version {agent}/7 because it doesn't exist."
    )


def test_a_paused_alias_refuses(control, runtime):
    agent = agents.create(control)
    agents.prepare(control, agent)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    agents.alias_status(control, agent, alias)
    control.update_agent_alias(
        agentId=agent, agentAliasId=alias, agentAliasName="PROD", routingConfiguration=[{"agentVersion": "1"}],
        aliasInvocationState="REJECT_INVOCATIONS",
    )
    agents.alias_status(control, agent, alias)
    with pytest.raises(ClientError) as error:
        invoke(runtime, agent, agents.session_id(), "Hello.", alias=alias)
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_action_groups(control):
    agent = agents.create(control)
    created = control.create_agent_action_group(
        agentId=agent, agentVersion="DRAFT", actionGroupName="OrderTools", description="orders",
        actionGroupExecutor={"lambda": agents.LAMBDA}, functionSchema={"functions": agents.ORDER_FUNCTIONS},
    )["agentActionGroup"]
    assert created["agentId"] == agent
    assert created["agentVersion"] == "DRAFT"
    assert created["actionGroupState"] == "ENABLED"
    assert created["createdAt"] == created["updatedAt"]
    returned = created["functionSchema"]["functions"]
    assert [function["name"] for function in returned] == ["get_order_status", "cancel_order"]
    group = created["actionGroupId"]
    got = control.get_agent_action_group(agentId=agent, agentVersion="DRAFT", actionGroupId=group)
    assert got["agentActionGroup"] == created
    listed = control.list_agent_action_groups(agentId=agent, agentVersion="DRAFT")["actionGroupSummaries"]
    assert [(item["actionGroupId"], item["actionGroupName"]) for item in listed] == [(group, "OrderTools")]
    updated = control.update_agent_action_group(
        agentId=agent, agentVersion="DRAFT", actionGroupId=group, actionGroupName="OrderApi",
        actionGroupExecutor={"customControl": "RETURN_CONTROL"}, apiSchema=OPENAPI,
    )["agentActionGroup"]
    assert "functionSchema" not in updated and "description" not in updated
    assert updated["apiSchema"] == OPENAPI
    message = refused(
        control.delete_agent_action_group, "ConflictException",
        agentId=agent, agentVersion="DRAFT", actionGroupId=group,
    )
    assert "OrderApi" in message and "cannot be deleted when it is Enabled" in message
    control.update_agent_action_group(
        agentId=agent, agentVersion="DRAFT", actionGroupId=group, actionGroupName="OrderApi",
        actionGroupExecutor={"customControl": "RETURN_CONTROL"}, apiSchema=OPENAPI, actionGroupState="DISABLED",
    )
    control.delete_agent_action_group(agentId=agent, agentVersion="DRAFT", actionGroupId=group)
    message = refused(
        control.get_agent_action_group, "ResourceNotFoundException",
        agentId=agent, agentVersion="DRAFT", actionGroupId=group,
    )
    assert message.startswith(GONE)


def test_a_group_needs_exactly_one_schema(control):
    agent = agents.create(control)
    both = {"apiSchema": OPENAPI, "functionSchema": {"functions": agents.ORDER_FUNCTIONS}}
    for more in ({}, both):
        message = refused(
            control.create_agent_action_group, "ValidationException",
            agentId=agent, agentVersion="DRAFT", actionGroupName="OrderTools",
            actionGroupExecutor={"lambda": agents.LAMBDA}, **more,
        )
        assert message == (
            "Failed to create or update ActionGroup. Try providing either apiSchema or functionSchema."
        )


@pytest.mark.parametrize(
    "schema",
    [
        {"payload": "{ this is neither"},
        {"payload": '{"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {"/x": {"post": {}}}}'},
        {"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "no/such/key.yaml"}},
        {"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "../../outcrop.toml"}},
    ],
    ids=["no document", "no responses", "no object", "outside the root"],
)
def test_a_schema_that_cannot_be_used(control, schema):
    agent = agents.create(control)
    message = refused(
        control.create_agent_action_group, "ValidationException",
        agentId=agent, agentVersion="DRAFT", actionGroupName="OrderApi",
        actionGroupExecutor={"lambda": agents.LAMBDA}, apiSchema=schema,
    )
    assert message.startswith(
        "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: OrderApi"
    )


def test_a_disabled_group_is_invisible_to_the_model(control, runtime, stub):
    agent = agents.create(control)
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.add_group(
        control, agent, "Hidden", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS,
        actionGroupState="DISABLED",
    )
    agents.prepare(control, agent)
    invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    assert [tool["name"] for tool in stub.model_calls()[-1]["tools"]] == [
        "OrderTools__get_order_status", "OrderTools__cancel_order",
    ]


def test_tool_names_and_schemas(control, runtime, stub):
    agent = agents.create(control)
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.add_group(control, agent, "OrderApi", {"lambda": agents.LAMBDA}, apiSchema=OPENAPI)
    agents.prepare(control, agent)
    invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    tools = {tool["name"]: tool for tool in stub.model_calls()[-1]["tools"]}
    assert set(tools) == {
        "OrderTools__get_order_status", "OrderTools__cancel_order", "GET__OrderApi__getOrderStatus",
    }
    function = tools["OrderTools__get_order_status"]
    assert function["description"] == "Look up the shipping status of a customer order by ID."
    assert function["schema"]["required"] == ["order_id"]
    assert function["schema"]["properties"]["order_id"]["type"] == "string"
    operation = tools["GET__OrderApi__getOrderStatus"]
    assert operation["description"] == "Get shipping status of an order"
    assert operation["schema"]["required"] == ["order_id"]


def test_things_that_are_not_there(control, runtime):
    missing = "ZZZZZZZZZZ"
    for call in (control.get_agent, control.prepare_agent, control.delete_agent):
        assert refused(call, "ResourceNotFoundException", agentId=missing).startswith(GONE), call
    for call, more in (
        (control.delete_agent_action_group, {"agentVersion": "DRAFT", "actionGroupId": missing}),
        (control.list_agent_action_groups, {"agentVersion": "DRAFT"}),
    ):
        message = refused(call, "ResourceNotFoundException", agentId=missing, **more)
        assert message.startswith(
            f"Failed to retrieve Agent with ID: {missing} and Version: DRAFT because it doesn't exist."
        )
    agent = agents.create(control)
    agents.prepare(control, agent)
    message = refused(
        control.delete_agent_alias, "ResourceNotFoundException", agentId=agent, agentAliasId=missing
    )
    assert message.startswith(GONE)
    for target, alias in ((missing, "TSTALIASID"), (agent, missing)):
        with pytest.raises(ClientError) as error:
            invoke(runtime, target, agents.session_id(), "Hello.", alias=alias)
        assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"
        assert error.value.response["Error"]["Message"].startswith(GONE)


def test_another_region_is_named(server, connect, control):
    agent = agents.create(control)
    elsewhere = connect(server, region="eu-central-1")
    message = refused(elsewhere.control.get_agent, "ResourceNotFoundException", agentId=agent)
    assert message.startswith(GONE)
    assert "us-west-2" in message
    assert elsewhere.control.list_agents()["agentSummaries"] == []


def test_constraint_texts(unchecked):
    control = unchecked.control
    message = refused(control.get_agent, "ValidationException", agentId="BAUJICP7L10")
    assert message == (
        "1 validation error detected: Value 'BAUJICP7L10' at 'agentId' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [0-9a-zA-Z]{10}"
    )
    message = refused(control.create_agent, "ValidationException")
    assert message == (
        "1 validation error detected: Value null at 'agentName' failed to satisfy constraint: Member must not be null"
    )
    message = refused(
        control.create_agent, "ValidationException",
        agentName="no spaces here", idleSessionTTLInSeconds=10, instruction="short",
    )
    assert message.startswith("3 validation errors detected: ")
    assert message.count("; ") == 2
    assert (
        "Value '10' at 'idleSessionTTLInSeconds' failed to satisfy constraint: "
        "Member must have value greater than or equal to 60"
    ) in message
    assert "at 'instruction' failed to satisfy constraint: Member must have length greater than or equal to 40" in message
    message = refused(
        control.create_agent, "ValidationException", agentName="x", agentCollaboration="ENABLED"
    )
    assert message.startswith(
        "1 validation error detected: Value 'ENABLED' at 'agentCollaboration' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )
    assert set(message.rpartition("[")[2].rstrip("]").split(", ")) == {"SUPERVISOR_ROUTER", "SUPERVISOR", "DISABLED"}
    message = refused(
        control.create_agent_action_group, "ValidationException",
        agentId="ABCDEFGHIJ", agentVersion="1", actionGroupName="x",
    )
    assert "at 'agentVersion' failed to satisfy constraint" in message


def test_runtime_constraint_texts(unchecked):
    message = refused(
        unchecked.runtime.invoke_agent, "ValidationException",
        agentId="ABCDEFGHIJ", agentAliasId="TSTALIASID", sessionId="x", inputText="Hello.",
    )
    assert message == (
        "1 validation error detected: Value 'x' at 'sessionId' failed to satisfy constraint: "
        "Member must have length greater than or equal to 2"
    )


def test_wrong_types(unchecked):
    for body in ({"agentName": 7}, {"agentName": "x", "idleSessionTTLInSeconds": "many"}, {"agentName": ["x"]}):
        with pytest.raises(Exception):
            # boto3 may refuse to serialise some of these; the server's own refusal is in test_malformed.
            unchecked.control.create_agent(**body)


def test_client_tokens(control):
    token = str(uuid.uuid4())
    name = agents.unique("token")
    first = control.create_agent(agentName=name, clientToken=token)["agent"]
    second = control.create_agent(agentName=name, clientToken=token)["agent"]
    assert first["agentId"] == second["agentId"]
    agents.agent_status(control, first["agentId"])
    arguments = {
        "agentId": first["agentId"], "agentVersion": "DRAFT", "actionGroupName": "Tools",
        "actionGroupExecutor": {"lambda": agents.LAMBDA},
        "functionSchema": {"functions": agents.ORDER_FUNCTIONS}, "clientToken": str(uuid.uuid4()),
    }
    groups = {
        control.create_agent_action_group(**arguments)["agentActionGroup"]["actionGroupId"] for _ in range(2)
    }
    assert len(groups) == 1


def test_pages(server, connect):
    # A region of its own keeps other tests' agents out.
    control = connect(server, region="ap-south-1").control
    made = {agents.create(control) for _ in range(5)}
    seen, pages, token = [], 0, {}
    while True:
        page = control.list_agents(maxResults=2, **token)
        seen += [summary["agentId"] for summary in page["agentSummaries"]]
        pages += 1
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert set(seen) == made and len(seen) == 5
    assert pages == 3
    refused(control.list_agents, "ValidationException", nextToken="no-such-token")
    everything = control.get_paginator("list_agents").paginate().build_full_result()["agentSummaries"]
    assert len(everything) == 5


def test_summaries(control):
    name = agents.unique("summary")
    agent = agents.create(control, name=name, description="what it is for")
    found = [
        summary
        for page in control.get_paginator("list_agents").paginate()
        for summary in page["agentSummaries"]
        if summary["agentId"] == agent
    ]
    assert [(item["agentName"], item["agentStatus"], item["description"]) for item in found] == [
        (name, "NOT_PREPARED", "what it is for")
    ]


def test_tags(control):
    agent = agents.create(control, tags={"team": "support", "stage": "dev"})
    arn = control.get_agent(agentId=agent)["agent"]["agentArn"]
    assert control.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "support", "stage": "dev"}
    control.tag_resource(resourceArn=arn, tags={"stage": "prod", "cost": "42"})
    control.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert control.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "prod", "cost": "42"}
    agents.prepare(control, agent)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD", tags={"a": "b"})["agentAlias"]
    assert control.list_tags_for_resource(resourceArn=alias["agentAliasArn"])["tags"] == {"a": "b"}
    refused(
        control.list_tags_for_resource, "ResourceNotFoundException",
        resourceArn="arn:aws:bedrock:us-west-2:111111111111:agent/ZZZZZZZZZZ",
    )


def test_everything_survives_a_restart(server, control):
    agent = agents.order_agent(control)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    agents.alias_status(control, agent, alias)
    before = strip(control.get_agent(agentId=agent))
    server.kill()
    server.start()
    assert strip(control.get_agent(agentId=agent)) == before
    versions = control.list_agent_versions(agentId=agent)["agentVersionSummaries"]
    assert {version["agentVersion"] for version in versions} == {"DRAFT", "1"}


def strip(answer):
    """An answer without what differs from call to call."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_unsupported_operations_say_so(control):
    message = refused(control.list_flows, "ValidationException")
    assert "not supported by Outcrop" in message
