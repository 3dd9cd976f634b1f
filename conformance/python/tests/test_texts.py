"""The texts a client may match on, each with a request that brings it about, under both kinds of limits.

A row gives the exception and its whole message; `None` where the request is taken. What AWS says word for word
is known from public reports; texts of Outcrop's own stand here as well, for a client may come to rely on them.
Messages about single constraints are in `test_constraints.py`.
"""

import json

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.process import request

GONE = "Failed to retrieve resource because it doesn't exist. Retry the request with a different resource identifier."
NOBODY = "ZZZZZZZZZZ"
DRAFT = {"agentVersion": "DRAFT"}
RETURN_CONTROL = {"customControl": "RETURN_CONTROL"}
EXISTS = "Could not perform {} operation, since the {} (id: {}) with the same name {} already exists"

ROWS = {}


class Row:
    """What a row expects: (exception, message) by mode, or one for both."""

    def __init__(self, call, exception, message, relaxed=True, strict=True):
        self.call = call
        self.exception = exception
        self.message = message
        self.modes = {"relaxed": relaxed, "strict": strict}


def row(make):
    ROWS[make.__name__] = make
    return make


def invalid(call, message, **modes):
    return Row(call, "ValidationException", message, **modes)


def conflict(call, message, **modes):
    return Row(call, "ConflictException", message, **modes)


def missing(call, message=GONE, **modes):
    return Row(call, "ResourceNotFoundException", message, **modes)


def quota(call, what, limit, **modes):
    return Row(call, "ServiceQuotaExceededException", f"The number of {what} exceeds the limit. Limit: {limit}.", **modes)


@pytest.fixture(scope="module", params=["relaxed", "strict"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def limited(mode, stub, launch):
    """A server whose limits are of this mode."""
    return launch(config(stub, top=f'aws_limits = "{mode}"'))


# Agents.


@row
def agent_of_the_same_name(control):
    name = agents.unique("same")
    agent = agents.create(control, name=name)
    return conflict(lambda: control.create_agent(agentName=name), EXISTS.format("Create", name, agent, name))


@row
def agent_renamed_to_another(control):
    name = agents.unique("same")
    first, second = agents.create(control, name=name), agents.create(control)
    return conflict(
        lambda: control.update_agent(
            agentId=second, agentName=name, foundationModel=agents.MODEL, agentResourceRoleArn=agents.ROLE
        ),
        EXISTS.format("Update", name, first, name),
    )


@row
def token_of_another_request(control):
    token = "11111111-1111-4111-8111-111111111111"
    name = agents.unique("token")
    control.create_agent(agentName=name, clientToken=token)
    return conflict(
        lambda: control.create_agent(agentName=agents.unique("token"), clientToken=token),
        "The clientToken has already been used with a different request. Retry the request with a new clientToken.",
    )


@row
def unknown_agent(control):
    return missing(lambda: control.get_agent(agentId=NOBODY))


@row
def unknown_agent_prepared(control):
    return missing(lambda: control.prepare_agent(agentId=NOBODY))


@row
def unknown_agent_deleted(control):
    return missing(lambda: control.delete_agent(agentId=NOBODY))


@row
def prepared_without_instruction(control):
    agent = control.create_agent(
        agentName=agents.unique("bare"), foundationModel=agents.MODEL, agentResourceRoleArn=agents.ROLE
    )["agent"]["agentId"]
    return invalid(lambda: control.prepare_agent(agentId=agent), "Agent Instruction cannot be null")


@row
def prepared_without_model(control):
    agent = control.create_agent(agentName=agents.unique("bare"))["agent"]["agentId"]
    return invalid(lambda: control.prepare_agent(agentId=agent), "Agent foundation model cannot be null")


@row
def prepared_without_role(control):
    agent = control.create_agent(
        agentName=agents.unique("bare"), foundationModel=agents.MODEL, instruction=agents.INSTRUCTION
    )["agent"]["agentId"]
    return invalid(
        lambda: control.prepare_agent(agentId=agent), "Agent resource role ARN cannot be null", relaxed=False
    )


@row
def agent_in_use(control):
    name = agents.unique("used")
    agent = agents.create(control, name=name)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    return conflict(
        lambda: control.delete_agent(agentId=agent),
        f"Could not perform Delete operation, since the agent {name} (id: {agent}) is in use by the alias PROD (id: {alias})",
    )


# Versions and aliases.


@row
def alias_of_the_same_name(control):
    agent = agents.create(control)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    return conflict(
        lambda: control.create_agent_alias(agentId=agent, agentAliasName="PROD"),
        EXISTS.format("Create", "PROD", alias, "PROD"),
    )


@row
def alias_of_no_version(control):
    agent = agents.create(control)
    return missing(
        lambda: control.create_agent_alias(
            agentId=agent, agentAliasName="PROD", routingConfiguration=[{"agentVersion": "1"}]
        ),
        f"Failed to retrieve parent resource Agent Version {agent}/1 because it doesn't exist. "
        "Retry the request with a different resource identifier.",
    )


@row
def alias_of_the_draft(control):
    agent = agents.create(control)
    return invalid(
        lambda: control.create_agent_alias(
            agentId=agent, agentAliasName="PROD", routingConfiguration=[{"agentVersion": "DRAFT"}]
        ),
        "An alias cannot route to the agent version DRAFT. Use the number of a version, or leave "
        "routingConfiguration out to create one.",
    )


@row
def deletion_of_the_test_alias(control):
    agent = agents.create(control)
    return invalid(
        lambda: control.delete_agent_alias(agentId=agent, agentAliasId="TSTALIASID"),
        "1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: (?!\bTSTALIASID\b)[0-9a-zA-Z]+",
    )


@row
def update_of_the_test_alias(control):
    agent = agents.create(control)
    return invalid(
        lambda: control.update_agent_alias(agentId=agent, agentAliasId="TSTALIASID", agentAliasName="x"),
        "1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: (?!\bTSTALIASID\b)[0-9a-zA-Z]+",
    )


@row
def unknown_alias(control):
    agent = agents.create(control)
    return missing(lambda: control.delete_agent_alias(agentId=agent, agentAliasId=NOBODY))


@row
def unknown_version(control):
    agent = agents.create(control)
    return missing(lambda: control.get_agent_version(agentId=agent, agentVersion="7"))


@row
def version_in_use(control):
    agent = agents.create(control)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    return conflict(
        lambda: control.delete_agent_version(agentId=agent, agentVersion="1"),
        f"Could not perform Delete operation, since the agent version {agent}/1 is in use by the alias PROD (id: {alias})",
    )


@row
def eleven_aliases(control):
    agent = agents.create(control)
    for number in range(10):
        control.create_agent_alias(agentId=agent, agentAliasName=f"a{number}")
    return quota(
        lambda: control.create_agent_alias(agentId=agent, agentAliasName="more"), "aliases per agent", 10, relaxed=False
    )


# Action groups.


def group(control, agent, name="Tools", **more):
    """The call that makes a group."""
    arguments = {"agentId": agent, **DRAFT, "actionGroupName": name, "actionGroupExecutor": RETURN_CONTROL, **more}
    arguments = {member: value for member, value in arguments.items() if value is not None}
    return lambda: control.create_agent_action_group(**arguments)


def functions(count):
    return {"functions": [{"name": f"f{number}", "description": "Does it."} for number in range(count)]}


def openapi_group(control, document):
    """The call that makes a group of a document, and what begins the text that refuses it."""
    agent = agents.create(control)
    payload = document if isinstance(document, str) else json.dumps(document)
    return group(control, agent, name="web-research", apiSchema={"payload": payload})


def refused_document(*details):
    return (
        "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: web-research "
        f"{{APISchemaException=[{', '.join(details)}]}}"
    )


def document(**changes):
    """A document that strict limits take, its one operation changed."""
    operation = {
        "operationId": "createTask",
        "description": "Creates a task.",
        "responses": {"200": {"description": "Done."}},
        **changes,
    }
    operation = {member: value for member, value in operation.items() if value is not None}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Tasks", "version": "1"},
        "paths": {"/create-task": {"post": operation}},
    }


@row
def group_of_no_agent(control):
    return missing(
        lambda: control.delete_agent_action_group(agentId=NOBODY, **DRAFT, actionGroupId=NOBODY),
        f"Failed to retrieve Agent with ID: {NOBODY} and Version: DRAFT because it doesn't exist. "
        "Retry the request with a different resource identifier.",
    )


@row
def unknown_group(control):
    agent = agents.create(control)
    return missing(lambda: control.get_agent_action_group(agentId=agent, **DRAFT, actionGroupId=NOBODY))


@row
def group_of_the_same_name(control):
    agent = agents.create(control)
    first = agents.add_group(control, agent, "Tools", RETURN_CONTROL, agents.ORDER_FUNCTIONS)
    return conflict(
        group(control, agent, functionSchema=functions(1)), EXISTS.format("Create", "Tools", first, "Tools")
    )


@row
def enabled_group_deleted(control):
    agent = agents.create(control)
    found = agents.add_group(control, agent, "Tools", RETURN_CONTROL, agents.ORDER_FUNCTIONS)
    return conflict(
        lambda: control.delete_agent_action_group(agentId=agent, **DRAFT, actionGroupId=found),
        "ActionGroup with name Tools cannot be deleted when it is Enabled. Either use SkipResourceInUseCheckOnDelete "
        "flag or mark it as Disabled.",
    )


@row
def group_without_schema(control):
    return invalid(
        group(control, agents.create(control)),
        "Failed to create or update ActionGroup. Try providing either apiSchema or functionSchema.",
    )


@row
def group_without_executor(control):
    return invalid(
        group(control, agents.create(control), functionSchema=functions(1), actionGroupExecutor=None),
        "actionGroupExecutor cannot be null. Give the ARN of a Lambda function as lambda, or RETURN_CONTROL as "
        "customControl.",
    )


@row
def disabled_group_without_executor(control):
    return invalid(
        group(
            control, agents.create(control), functionSchema=functions(1), actionGroupExecutor=None,
            actionGroupState="DISABLED",
        ),
        "actionGroupExecutor cannot be null. Give the ARN of a Lambda function as lambda, or RETURN_CONTROL as "
        "customControl.",
        relaxed=False,
    )


@row
def built_in_group_with_a_description(control):
    return invalid(
        group(
            control, agents.create(control), actionGroupExecutor=None, description="x",
            parentActionGroupSignature="AMAZON.UserInput",
        ),
        "description, apiSchema, functionSchema and actionGroupExecutor must be absent when "
        "parentActionGroupSignature is AMAZON.UserInput",
    )


@row
def twelve_functions(control):
    return quota(group(control, agents.create(control), functionSchema=functions(12)), "APIs per agent", 11, relaxed=False)


@row
def six_parameters(control):
    schema = functions(1)
    schema["functions"][0]["parameters"] = {f"p{number}": {"type": "string"} for number in range(6)}
    return quota(group(control, agents.create(control), functionSchema=schema), "parameters per function", 5, relaxed=False)


@row
def long_tool_name(control):
    name = "x" * 60
    schema = {"functions": [{"name": "look_up_an_order"}]}
    return invalid(
        group(control, agents.create(control), name=name, functionSchema=schema),
        f"{name}__look_up_an_order should match tool name regex for Claude 3.5 : ^[a-zA-Z0-9_-]{{1,64}}$",
        relaxed=False,
    )


# OpenAPI documents.


@row
def document_that_is_complete(control):
    return invalid(openapi_group(control, document()), "", relaxed=False, strict=False)


@row
def document_without_responses(control):
    return invalid(
        openapi_group(control, document(responses=None)),
        refused_document("attribute paths.'/create-task'(post).responses is missing"),
    )


@row
def document_without_description(control):
    return invalid(
        openapi_group(control, document(description=None)),
        refused_document("'description' is missing for path: /create-task"),
        relaxed=False,
    )


@row
def document_without_operation_id(control):
    return invalid(
        openapi_group(control, document(operationId=None)),
        refused_document("attribute paths.'/create-task'(post).operationId is missing"),
        relaxed=False,
    )


@row
def document_whose_parameters_lack_their_place(control):
    parameters = [{"name": name, "description": "x"} for name in ("drug_name", "max_results")]
    return invalid(
        openapi_group(control, document(parameters=parameters)),
        refused_document(
            "attribute paths.'/create-task'(post).parameters.[drug_name].in is missing",
            "attribute paths.'/create-task'(post).parameters.[max_results].in is missing",
        ),
        relaxed=False,
    )


@row
def document_of_another_version(control):
    return invalid(
        openapi_group(control, {**document(), "openapi": "3.1.0"}),
        refused_document("attribute openapi is 3.1.0, expected 3.0.0"),
        relaxed=False,
    )


@row
def document_with_two_underscores(control):
    return invalid(
        openapi_group(control, document(operationId="create__task")),
        "Action name, operationId or http verb in openAPI schema should not have '__' for Claude3.5: create__task",
        relaxed=False,
    )


@row
def document_that_is_no_json(control):
    return invalid(
        openapi_group(control, '{\n  "openapi" "3.0.0"\n}'), refused_document("expected `:` at line 2 column 13")
    )


@row
def document_that_is_not_there(control):
    agent = agents.create(control)
    return invalid(
        group(control, agent, name="web-research", apiSchema={"s3": {"s3BucketName": "order-schemas", "s3ObjectKey": "none.json"}}),
        "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: web-research "
        "{APISchemaException=[s3://order-schemas/none.json does not exist",
    )


# Prompts of agents.

BAD_TEMPLATE = (
    "The provided BasePromptTemplate for the {} prompt type has failed validation with  the following message: "
    "Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. ({})"
)


def overriding(control, *prompts):
    """The call that makes an agent with prompts of its own."""
    return lambda: control.create_agent(
        agentName=agents.unique("prompts"), promptOverrideConfiguration={"promptConfigurations": list(prompts)}
    )


def prompt(prompt_type, template, **more):
    return {
        "promptType": prompt_type, "promptCreationMode": "OVERRIDDEN", "promptState": "ENABLED",
        "basePromptTemplate": template, **more,
    }


@row
def bad_templates(control):
    places = {
        "ORCHESTRATION": ('{"system": "one\ntwo\nthree" "messages": []}', "line 3, column 8: expected `,` or `}`"),
        "KNOWLEDGE_BASE_RESPONSE_GENERATION": ('{\n  "system": é\n}', "line 2, column 13: expected value"),
    }
    prompts = [prompt(kind, template) for kind, (template, _) in places.items()]
    return invalid(
        overriding(control, *prompts), ";".join(BAD_TEMPLATE.format(kind, place) for kind, (_, place) in places.items())
    )


@row
def template_with_a_wrong_role(control):
    template = json.dumps({"messages": [{"role": "user", "content": "$question$"}, {"role": "tool", "content": "x"}]})
    return invalid(
        overriding(control, prompt("ORCHESTRATION", template)),
        BAD_TEMPLATE.format("ORCHESTRATION", "messages[1].role: expected user or assistant, got tool"),
    )


@row
def template_with_raw_line_breaks(control):
    template = '{"system": "one\ntwo\n", "messages": [{"role": "user", "content": "\n$question$"}]}'
    return invalid(overriding(control, prompt("ORCHESTRATION", template)), "", relaxed=False, strict=False)


@row
def template_without_overriding(control):
    given = {"promptType": "ORCHESTRATION", "promptCreationMode": "DEFAULT", "basePromptTemplate": "x"}
    return invalid(
        overriding(control, given),
        "basePromptTemplate and inferenceConfiguration of the ORCHESTRATION prompt type must be absent while its "
        "promptCreationMode is DEFAULT. Set promptCreationMode to OVERRIDDEN to use them.",
    )


@row
def overriding_without_template(control):
    given = {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN", "promptState": "ENABLED"}
    return invalid(
        overriding(control, given),
        "The basePromptTemplate of the ORCHESTRATION prompt type cannot be null while its promptCreationMode is OVERRIDDEN",
    )


# Collaborators and knowledge bases of agents.


def supervisor(control, mode="SUPERVISOR"):
    return agents.create(control, agentCollaboration=mode)


def collaborator(control, of, alias_arn, name="Helper"):
    return lambda: control.associate_agent_collaborator(
        agentId=of, **DRAFT, agentDescriptor={"aliasArn": alias_arn}, collaboratorName=name,
        collaborationInstruction="Helps.",
    )


@row
def supervisor_without_collaborators(control):
    agent = supervisor(control)
    return invalid(
        lambda: control.prepare_agent(agentId=agent),
        "The AgentCollaboration attribute is set to SUPERVISOR but no agent collaborators are added.",
    )


@row
def router_without_collaborators(control):
    agent = supervisor(control, "SUPERVISOR_ROUTER")
    return invalid(
        lambda: control.prepare_agent(agentId=agent),
        "The AgentCollaboration attribute is set to SUPERVISOR_ROUTER but no agent collaborators are added.",
    )


@row
def collaborator_that_is_no_alias(control):
    agent = supervisor(control)
    arn = f"arn:aws:bedrock:us-west-2:111111111111:agent/{agent}"
    return invalid(
        collaborator(control, agent, arn),
        f"1 validation error detected: Value '{arn}' at 'agentDescriptor.aliasArn' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
        "arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:agent-alias/[0-9a-zA-Z]{10}/[0-9a-zA-Z]{10}",
    )


@row
def collaborator_of_itself(control):
    agent = supervisor(control)
    return invalid(
        collaborator(control, agent, f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{agent}/TSTALIASID"),
        f"The agent {agent} cannot be a collaborator of itself",
    )


@row
def collaborator_that_is_a_draft(control):
    agent, other = supervisor(control), agents.create(control)
    return invalid(
        collaborator(control, agent, f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{other}/TSTALIASID"),
        f"Agent {agent} cannot collaborate with TSTALIASID alias of another agent. Use a different alias to collaborate "
        "with.",
        relaxed=False,
    )


@row
def collaborator_of_no_supervisor(control):
    agent, other = agents.create(control), agents.create(control)
    return invalid(
        collaborator(control, agent, f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{other}/TSTALIASID"),
        "The AgentCollaboration attribute is set to DISABLED. Set it to SUPERVISOR or SUPERVISOR_ROUTER to add agent "
        "collaborators.",
    )


@row
def knowledge_base_that_is_not_there(control):
    agent = agents.create(control)
    return missing(
        lambda: control.associate_agent_knowledge_base(
            agentId=agent, **DRAFT, knowledgeBaseId=NOBODY, description="Orders."
        ),
        f"KnowledgeBase with id {NOBODY} is not found.",
    )


# Tags and pages.


@row
def reserved_tag(control):
    return invalid(
        lambda: control.create_agent(agentName=agents.unique("tags"), tags={"aws:x": "y"}),
        "The tag key aws:x begins with aws:, which is reserved",
    )


@row
def many_tags(control):
    tags = {f"k{number}": "v" for number in range(51)}
    return quota(
        lambda: control.create_agent(agentName=agents.unique("tags"), tags=tags), "tags per resource", 50, relaxed=False
    )


@row
def tags_of_nothing(control):
    return missing(
        lambda: control.list_tags_for_resource(resourceArn=f"arn:aws:bedrock:us-west-2:111111111111:agent/{NOBODY}")
    )


@row
def token_of_no_page(control):
    return invalid(
        lambda: control.list_agents(nextToken="none"),
        "The nextToken is not valid. Use the nextToken of the previous response, or none to start over.",
    )


# Prompt management.


@row
def eleven_prompt_versions(control):
    found = control.create_prompt(name=agents.unique("prompt"))["id"]
    for _ in range(10):
        control.create_prompt_version(promptIdentifier=found)
    return quota(
        lambda: control.create_prompt_version(promptIdentifier=found), "versions per prompt", 10, relaxed=False
    )


@pytest.mark.parametrize("name", ROWS)
def test_text(name, mode, limited, connect):
    expected = ROWS[name](connect(limited, checked=False).control)
    if not expected.modes[mode]:
        assert expected.call()["ResponseMetadata"]["HTTPStatusCode"] < 300
        return
    with pytest.raises(ClientError) as error:
        expected.call()
    answer = error.value.response["Error"]
    assert answer["Code"] == expected.exception, answer
    if expected.message.startswith("Failed to create OpenAPI") and not expected.message.endswith("}"):
        assert answer["Message"].startswith(expected.message)
    else:
        assert answer["Message"] == expected.message


def test_the_places_of_a_bad_document_are_fields(limited, connect):
    """What the message puts into one line is a list beside it."""
    control = connect(limited).control
    with pytest.raises(ClientError) as error:
        openapi_group(control, document(responses=None, requestBody={}))()
    fields = error.value.response["fieldList"]
    assert fields == [
        {"name": "APISchemaException", "message": f"attribute paths.'/create-task'(post).{member} is missing"}
        for member in ("responses", "requestBody.content")
    ]


def test_the_values_of_agent_collaboration(limited, connect):
    """The one enum of which the order of AWS's message is known."""
    control = connect(limited, checked=False).control
    with pytest.raises(ClientError) as error:
        control.create_agent(agentName=agents.unique("enum"), agentCollaboration="ENABLED")
    assert error.value.response["Error"]["Message"] == (
        "1 validation error detected: Value 'ENABLED' at 'agentCollaboration' failed to satisfy constraint: "
        "Member must satisfy enum value set: [SUPERVISOR_ROUTER, SUPERVISOR, DISABLED]"
    )


@pytest.mark.parametrize("path", ["/agents//", "/agents/ABCDEFGHIJ/nothing", f"/agents/{NOBODY}/agentversions/DRAFT/knowledgebases//"])
def test_a_path_without_an_operation(limited, path):
    """An id that was left empty makes such a path, so AWS's sentence is the one to find in a search."""
    status, headers, body = request("DELETE", limited.url + path)
    assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    message = json.loads(body)["message"]
    assert message == (
        f"Unable to determine service/operation name to be authorized: no operation answers DELETE {path}"
    )
