"""Agents, their versions and aliases, and the guide's sample."""

from ..shape import PRESENT, Case, Same, Step

AGENT = "aws_bedrockagent_agent.test"
ALIAS = "aws_bedrockagent_agent_alias.test"
SECOND = "aws_bedrockagent_agent_alias.second"
VERSIONS = "data.aws_bedrockagent_agent_versions.test"
# The API does not keep it: it is an argument of deletion.
IN_USE = ("skip_resource_in_use_check",)


def agent(expect, **variables):
    """A step with one agent, imported and compared."""
    return Step(("agent",), variables, {}, {AGENT: expect}, {AGENT: IN_USE})


def tagged(address, files, variable, imports):
    """The three steps of every tags test: one tag, two with one changed, one of them left."""
    return (
        Step(files, {variable: {"key1": "value1"}}, {address: "create"},
             {address: {"tags.%": 1, "tags.key1": "value1"}}, imports),
        Step(files, {variable: {"key1": "value1updated", "key2": "value2"}}, {address: "update"},
             {address: {"tags.%": 2, "tags.key1": "value1updated", "tags.key2": "value2"}}),
        Step(files, {variable: {"key2": "value2"}}, {address: "update"},
             {address: {"tags.%": 1, "tags.key2": "value2"}}),
    )


def with_prompts(count, **variables):
    """A step whose agent overrides that many prompts."""
    names = {0: None, 1: ["post"], 4: ["pre", "knowledge", "orchestration", "post"]}[count]
    return agent(
        {
            "agent_name": PRESENT,
            "description": "an agent of the shop",
            "prompt_override_configuration.#": 1,
            "prompt_override_configuration.0.prompt_configurations.#": count,
            "skip_resource_in_use_check": "true" if names else "false",
        },
        agent_prompts=names, agent_skip_in_use_check=True if names else None, **variables,
    )


def guarded(version):
    """A step whose agent has that version of a guardrail, or none."""
    expect = {"guardrail_configuration.#": 0}
    if version:
        expect = {
            "guardrail_configuration.#": 1,
            "guardrail_configuration.0.guardrail_identifier": "gr0a1b2c3d4e",
            "guardrail_configuration.0.guardrail_version": version,
        }
    return agent(expect, agent_guardrail_version=version, agent_skip_in_use_check=True)


def alias(expect, files=("agent", "alias"), imports=True, **variables):
    """A step with an agent and an alias over it."""
    common = {
        "agent_alias_name": PRESENT,
        "agent_alias_arn": PRESENT,
        "agent_alias_id": PRESENT,
        "agent_id": Same(AGENT, "agent_id"),
        "routing_configuration.#": 1,
        "tags.%": 0,
    }
    return Step(files, variables, {}, {ALIAS: common | expect}, {ALIAS: ()} if imports else {})


PLAIN = {
    "agent_name": PRESENT,
    "guardrail_configuration.#": 0,
    "prompt_override_configuration.#": 1,
    "description": "an agent of the shop",
    "prepare_agent": "true",
}

SUPPORT = "aws_bedrockagent_agent.support"
ORDER_TOOLS = "aws_bedrockagent_agent_action_group.order_tools"
PROD = "aws_bedrockagent_agent_alias.prod"

GUIDE = Case("guide", always=True, steps=(
    Step(
        ("guide",),
        actions={SUPPORT: "create", ORDER_TOOLS: "create", PROD: "create"},
        expect={
            SUPPORT: {"agent_name": "support-bot", "idle_session_ttl_in_seconds": 1800, "agent_version": "DRAFT"},
            ORDER_TOOLS: {
                "action_group_state": "ENABLED",
                "function_schema.0.member_functions.0.functions.0.parameters.0.map_block_key": "order_id",
            },
            PROD: {"routing_configuration.0.agent_version": 1},
        },
        imports={SUPPORT: IN_USE, ORDER_TOOLS: IN_USE, PROD: ()},
    ),
    # An enabled group cannot be destroyed as the sample has it, on AWS as here.
    Step(("guide",), {"group_skip_in_use_check": True}, {ORDER_TOOLS: "update"}),
))

CASES = (
    GUIDE,
    Case("agent_basic", (agent(PLAIN),)),
    Case("agent_full", (with_prompts(4),)),
    Case("agent_single_prompt", (with_prompts(1),)),
    Case("agent_single_prompt_update", (with_prompts(1), with_prompts(1, agent_ttl=501))),
    Case("agent_add_prompt", (with_prompts(0), with_prompts(1), with_prompts(4), with_prompts(1))),
    Case("agent_guardrail", (guarded(None), guarded("DRAFT"), guarded("1"), guarded(None))),
    Case("agent_update", (
        agent({**PLAIN, "agent_name": "tf-agent-1"}, agent_name="tf-agent-1"),
        agent({**PLAIN, "agent_name": "tf-agent-2"}, agent_name="tf-agent-2"),
        agent(
            {**PLAIN, "agent_name": "tf-agent-3", "description": "the same agent again"},
            agent_name="tf-agent-3", agent_description="the same agent again",
        ),
    )),
    Case("agent_tags", tagged(AGENT, ("agent",), "agent_tags", {AGENT: IN_USE})),
    Case("agent_kms", tuple(
        agent({**PLAIN, "customer_encryption_key_arn": PRESENT, "idle_session_ttl_in_seconds": ttl},
              agent_key=True, agent_ttl=ttl)
        for ttl in (500, 501)
    )),
    Case("agent_collaboration", tuple(
        Step(
            ("agent",),
            {"agent_collaboration": role, "agent_prepare": False, "agent_model": "anthropic.claude-3-5-sonnet-20240620-v1:0"},
            {},
            {AGENT: {**PLAIN, "prepare_agent": "false", "agent_collaboration": role}},
            {AGENT: (*IN_USE, "prepare_agent")},
        )
        for role in ("SUPERVISOR", "SUPERVISOR_ROUTER")
    )),
    Case("agent_memory", (
        agent(
            {
                "description": "an agent of the shop",
                "memory_configuration.#": 1,
                "memory_configuration.0.enabled_memory_types.0": "SESSION_SUMMARY",
                "memory_configuration.0.storage_days": 15,
                "skip_resource_in_use_check": "true",
            },
            agent_memory_days=15, agent_skip_in_use_check=True, agent_model="anthropic.claude-3-sonnet-20240229-v1:0",
        ),
    )),
    Case("agent_versions", steps=(
        Step(("agent", "agent_versions"), expect={VERSIONS: {
            "agent_id": Same(AGENT, "agent_id"),
            "agent_version_summaries.#": PRESENT,
            "agent_version_summaries.0.agent_name": "tf-agent_versions",
            "agent_version_summaries.0.agent_version": "DRAFT",
        }}),
    )),
    Case("alias_basic", (alias({"description": PRESENT}),)),
    Case("alias_disappears", (Step(("agent", "alias"), disappears=ALIAS),)),
    Case("alias_update", steps=(
        alias({"description": "before", "routing_configuration.0.agent_version": 1}, alias_description="before"),
        # Without a routing of its own, an update cuts the next version.
        alias({"description": "after", "routing_configuration.0.agent_version": 2}, alias_description="after"),
    )),
    Case("alias_routing_update", (
        alias({"routing_configuration.0.agent_version": 1}, files=("agent", "alias", "alias_second")),
        alias({"routing_configuration.0.agent_version": 2}, alias_version="2"),
    )),
    Case("alias_tags", tagged(ALIAS, ("agent", "alias"), "alias_tags", {ALIAS: ()})),
    Case("alias_provisioned_throughput", (
        Step(
            ("agent", "alias", "alias_throughput"),
            expect={SECOND: {
                "routing_configuration.0.agent_version": 1,
                "routing_configuration.0.provisioned_throughput": PRESENT,
                "tags.%": 0,
            }},
            imports={SECOND: ()},
        ),
    )),
)
