"""The agents of a recording, made anew with boto3.

A recording shows an agent only from outside: its models, the functions it called with the types of their
parameters, who works for it, which steps it has. That is enough to make one that can take the same way.
"""

import json
from dataclasses import dataclass, field

from . import agents
from .recordings import ALIAS_ARN, is_bare_text

INSTRUCTION = "You are an agent of a recording, and you answer what you are asked as well as you can."

# The prompt of an agent whose model writes its calls as XML, in this project's own words.
XML_SYSTEM = """$instruction$
You have functions. Call one by writing
<function_calls>
<invoke>
<tool_name>$TOOL_NAME</tool_name>
<parameters>
<$PARAMETER_NAME>$PARAMETER_VALUE</$PARAMETER_NAME>
</parameters>
</invoke>
</function_calls>
These are the functions:
<functions>
$tools$
</functions>
$multi_agent_collaboration$
$agent_collaborators$
$code_interpreter_guideline$
$code_interpreter_files$
$prompt_session_attributes$
Think inside <thinking></thinking>, and give the answer inside <answer></answer>."""


def xml_template():
    """The prompt as a template."""
    return json.dumps({
        "anthropic_version": "bedrock-2023-05-31",
        "system": XML_SYSTEM,
        "messages": [
            {"role": "user", "content": "$question$"},
            {"role": "assistant", "content": "$agent_scratchpad$"},
        ],
    })


@dataclass
class Part:
    """One agent of a recording."""

    recorded_id: str
    model: str = agents.MODEL
    inference: dict = field(default_factory=dict)
    # The model writes calls as text.
    bare: bool = False
    # Of each action group: its functions, and who executes them.
    groups: dict = field(default_factory=dict)
    executions: dict = field(default_factory=dict)
    code: bool = False
    # Collaborators: their names, and the agents.
    helpers: dict = field(default_factory=dict)
    routes: bool = False
    steps: set = field(default_factory=set)


def parts_of(recording):
    """The agents of a recording by their recorded ids, the one that was invoked first."""
    parts = {}
    for envelope in recording.traces:
        part = parts.setdefault(envelope.get("agentId"), Part(envelope.get("agentId")))
        (kind, trace), = envelope["trace"].items()
        if kind == "guardrailTrace" or "traceId" in trace:
            continue
        (name, detail), = trace.items()
        if kind == "routingClassifierTrace":
            part.routes = True
        elif kind in ("preProcessingTrace", "postProcessingTrace"):
            part.steps.add(kind)
        if name == "modelInvocationInput" and "foundationModel" in detail:
            part.model = detail["foundationModel"]
        if name == "modelInvocationInput" and detail["type"] == "ORCHESTRATION":
            part.inference = {
                key: value for key, value in detail.get("inferenceConfiguration", {}).items() if key != "__type"
            }
        if name == "modelInvocationOutput" and kind == "orchestrationTrace":
            part.bare = part.bare or is_bare_text(detail["rawResponse"]["content"])
        if name == "invocationInput":
            take_call(part, detail)
    return parts


def take_call(part, detail):
    """What one call tells of the agent that made it."""
    if "actionGroupInvocationInput" in detail:
        call = detail["actionGroupInvocationInput"]
        group = call["actionGroupName"]
        part.executions[group] = call.get("executionType", "LAMBDA")
        part.groups.setdefault(group, {})[call["function"]] = {
            parameter["name"]: parameter["type"] for parameter in call.get("parameters", [])
        }
    elif "agentCollaboratorInvocationInput" in detail:
        call = detail["agentCollaboratorInvocationInput"]
        agent, _ = ALIAS_ARN.fullmatch(call["agentCollaboratorAliasArn"]).groups()
        part.helpers[call["agentCollaboratorName"]] = agent
    elif "codeInterpreterInvocationInput" in detail:
        part.code = True


def functions(described, **more):
    """A function schema for functions with the types of their parameters."""
    return [
        {
            "name": name,
            "description": f"Does what {name} says.",
            "parameters": {key: {"type": type_, "required": True} for key, type_ in parameters.items()},
            **more,
        }
        for name, parameters in described.items()
    ]


def override(prompt_type, template, inference, **more):
    """One prompt configuration with a template of its own."""
    return {
        "promptType": prompt_type,
        "promptCreationMode": "OVERRIDDEN",
        "promptState": "ENABLED",
        "parserMode": "DEFAULT",
        "basePromptTemplate": template,
        "inferenceConfiguration": inference,
        **more,
    }


def prompts_of(part):
    """`promptOverrideConfiguration` of an agent, as keyword arguments."""
    configurations = []
    if part.bare:
        configurations.append(override("ORCHESTRATION", xml_template(), part.inference))
    for step, prompt_type in (("preProcessingTrace", "PRE_PROCESSING"), ("postProcessingTrace", "POST_PROCESSING")):
        if step in part.steps:
            configurations.append(
                {"promptType": prompt_type, "promptCreationMode": "DEFAULT", "promptState": "ENABLED"}
            )
    return {"promptOverrideConfiguration": {"promptConfigurations": configurations}} if configurations else {}


def make(control, parts, part, **more):
    """Makes one agent and those it needs; gives its id and the id of an alias of it."""
    helpers = {name: make(control, parts, parts[agent]) for name, agent in part.helpers.items()}
    if part.helpers:
        more["agentCollaboration"] = "SUPERVISOR_ROUTER" if part.routes else "SUPERVISOR"
    elif part.routes:
        raise AssertionError(f"{part.recorded_id} routes to nobody that the recording shows")
    agent = agents.create(control, foundationModel=part.model, instruction=INSTRUCTION, **prompts_of(part), **more)
    for group, described in part.groups.items():
        returns = part.executions[group] == "RETURN_CONTROL"
        executor = {"customControl": "RETURN_CONTROL"} if returns else {"lambda": agents.LAMBDA}
        agents.add_group(control, agent, group, executor, functions(described))
    if part.code:
        control.create_agent_action_group(
            agentId=agent, agentVersion="DRAFT", actionGroupName="CodeInterpreterAction",
            parentActionGroupSignature="AMAZON.CodeInterpreter",
        )
    for name, (helper, alias) in helpers.items():
        associate(control, agent, name, helper, alias)
    agents.prepare(control, agent)
    return agent, publish(control, agent)


def confirming(control, called):
    """An agent that asks its user before it makes this call; with its alias, its tool, and the call's arguments."""
    (kind, call), = called.items()
    returns = call["actionInvocationType"] == "USER_CONFIRMATION_AND_RESULT"
    executor = {"customControl": "RETURN_CONTROL"} if returns else {"lambda": agents.LAMBDA}
    group = call["actionGroup"]
    agent = agents.create(control, instruction=INSTRUCTION)
    if kind == "functionInvocationInput":
        described = {call["function"]: {one["name"]: one["type"] for one in call["parameters"]}}
        agents.add_group(
            control, agent, group, executor, functions(described, requireConfirmation="ENABLED")
        )
        tool, given = f"{group}__{call['function']}", call["parameters"]
    else:
        given = call["requestBody"]["content"]["application/json"]["properties"]
        schema = {"payload": json.dumps(openapi(call, given))}
        agents.add_group(control, agent, group, executor, apiSchema=schema)
        tool = f"{call['httpMethod']}__{group}__recorded"
    agents.prepare(control, agent)
    arguments = {one["name"]: value_of(one) for one in given}
    return agent, publish(control, agent), tool, arguments


def value_of(parameter):
    """What the model gave for an argument that is shown as text: lists of objects are written as Java has them."""
    if parameter["type"] != "array":
        return int(parameter["value"]) if parameter["type"] == "integer" else parameter["value"]
    items = parameter["value"].removeprefix("[{").removesuffix("}]").split("}, {")
    return [dict(pair.split("=", 1) for pair in item.split(", ")) for item in items]


def openapi(call, properties):
    """A schema with the one operation, which has to be confirmed."""
    schemas = {
        one["name"]: {"type": "array", "items": {"type": "object"}} if one["type"] == "array" else {"type": one["type"]}
        for one in properties
    }
    body = {"application/json": {"schema": {"type": "object", "properties": schemas}}}
    operation = {
        "operationId": "recorded", "description": "Does what was recorded.", "x-requireConfirmation": "ENABLED",
        "requestBody": {"required": True, "content": body}, "responses": {"200": {"description": "Done."}},
    }
    return {
        "openapi": "3.0.0", "info": {"title": "Recorded", "version": "1.0"},
        "paths": {call["apiPath"]: {call["httpMethod"].lower(): operation}},
    }


def associate(control, agent, name, helper, alias):
    """Lets one agent work for another."""
    arn = control.get_agent_alias(agentId=helper, agentAliasId=alias)["agentAlias"]["agentAliasArn"]
    control.associate_agent_collaborator(
        agentId=agent, agentVersion="DRAFT", agentDescriptor={"aliasArn": arn}, collaboratorName=name,
        collaborationInstruction=f"Use {name} for what it can do.",
    )


def publish(control, agent):
    """An alias of a new version."""
    alias = control.create_agent_alias(agentId=agent, agentAliasName="live")["agentAlias"]["agentAliasId"]
    assert agents.alias_status(control, agent, alias) == "PREPARED"
    return alias
