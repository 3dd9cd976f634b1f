"""Action groups."""

from ..shape import ABSENT, PRESENT, Case, Same, Step
from .agents import AGENT, IN_USE

GROUP = "aws_bedrockagent_agent_action_group.test"
FUNCTION = "arn:aws:lambda:us-west-2:111111111111:function:order-tools"


def group(file, expect, actions=None, **variables):
    """A step with an agent and an action group on it, imported and compared."""
    return Step(
        ("agent", file), variables, actions or {},
        {GROUP: {"action_group_name": PRESENT, **expect}}, {GROUP: IN_USE},
    )


PAYLOAD = {
    "description": "what the shop can do",
    "action_group_state": "ENABLED",
    "agent_id": Same(AGENT, "agent_id"),
    "agent_version": "DRAFT",
    "parent_action_group_signature": ABSENT,
    "skip_resource_in_use_check": "true",
    "action_group_executor.#": 1,
    "action_group_executor.0.custom_control": ABSENT,
    "action_group_executor.0.lambda": FUNCTION,
    "api_schema.#": 1,
    "api_schema.0.payload": PRESENT,
    "api_schema.0.s3.#": 0,
    "function_schema.#": 0,
    "prepare_agent": "true",
}

S3 = {
    "description": ABSENT,
    "api_schema.#": 1,
    "api_schema.0.payload": ABSENT,
    "api_schema.0.s3.#": 1,
    "api_schema.0.s3.0.s3_bucket_name": "my-agent-schemas",
    "api_schema.0.s3.0.s3_object_key": "order-tools/openapi.yaml",
}

FUNCTIONS = "function_schema.0.member_functions.0.functions"

CASES = (
    Case("group_basic", (group("group_payload", PAYLOAD),)),
    Case("group_upgrade_to_prepare_agent", (
        Step(("agent", "group_payload")),
        # Provider 5.69 knew no prepare_agent: its state has none.
        Step(
            ("agent", "group_payload"), actions={GROUP: "update"}, expect={GROUP: {"prepare_agent": "true"}},
            forget={GROUP: ("prepare_agent",)},
        ),
    )),
    Case("group_parent_signature", (
        Step(
            ("agent", "group_user_input"),
            expect={GROUP: {
                "action_group_name": PRESENT,
                "action_group_state": "ENABLED",
                "agent_id": Same(AGENT, "agent_id"),
                "agent_version": "DRAFT",
                "parent_action_group_signature": "AMAZON.UserInput",
                "prepare_agent": "true",
            }},
            # Provider 5.100.0 writes the signature, and never reads it back.
            imports={GROUP: (*IN_USE, "parent_action_group_signature")},
        ),
    )),
    Case("group_s3", (group("group_s3", S3),)),
    Case("group_update", always=True, steps=(
        group("group_s3", S3), group("group_payload", PAYLOAD, {GROUP: "update"}),
    )),
    Case("group_functions", (
        group("group_functions", {
            "function_schema.#": 1,
            "function_schema.0.member_functions.#": 1,
            f"{FUNCTIONS}.#": 1,
            f"{FUNCTIONS}.0.name": "findOrder",
            f"{FUNCTIONS}.0.description": "Finds an order",
            f"{FUNCTIONS}.0.parameters.#": 2,
            f"{FUNCTIONS}.0.parameters.0.map_block_key": "number",
            f"{FUNCTIONS}.0.parameters.0.type": "string",
            f"{FUNCTIONS}.0.parameters.0.description": "The order number",
            f"{FUNCTIONS}.0.parameters.0.required": "true",
            f"{FUNCTIONS}.0.parameters.1.map_block_key": "year",
            f"{FUNCTIONS}.0.parameters.1.type": "integer",
            f"{FUNCTIONS}.0.parameters.1.required": "false",
        }),
    )),
    Case("group_custom_control", (
        group("group_payload", {
            "action_group_executor.#": 1,
            "action_group_executor.0.custom_control": "RETURN_CONTROL",
            "action_group_executor.0.lambda": ABSENT,
        }, group_caller=True),
    )),
)
