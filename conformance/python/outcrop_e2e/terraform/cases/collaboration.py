"""Collaborators of a supervisor."""

from ..shape import Case, Same, Step

ALIAS = "aws_bedrockagent_agent_alias.test"
MOVED = "aws_bedrockagent_agent_alias.moved[0]"
SUPERVISOR = "aws_bedrockagent_agent.supervisor"
COLLABORATOR = "aws_bedrockagent_agent_collaborator.test"
FILES = ("agent", "alias", "supervisor", "collaborator")
MODEL = {"agent_model": "anthropic.claude-3-5-sonnet-20241022-v2:0"}


def joined(name, instruction="ask it where an order is", relay="TO_COLLABORATOR", alias=ALIAS):
    """What a collaborator must show."""
    return {COLLABORATOR: {
        "agent_id": Same(SUPERVISOR, "agent_id"),
        "collaborator_name": f"tf-{name}",
        "collaboration_instruction": instruction,
        "relay_conversation_history": relay,
        "agent_descriptor.0.alias_arn": Same(alias, "agent_alias_arn"),
    }}


def member(key):
    """One of the three that join together."""
    return f'aws_bedrockagent_agent_collaborator.member["{key}"]', f'aws_bedrockagent_agent_alias.member["{key}"]'


CASES = (
    Case("collaborator_basic", (
        Step(FILES, MODEL, {}, joined("collaborator_basic"), {COLLABORATOR: ()}),
    )),
    Case("collaborator_update", always=True, steps=(
        Step(FILES, MODEL, {}, joined("collaborator_update"), {COLLABORATOR: ()}),
        Step(
            FILES,
            {**MODEL, "collaboration_instruction": "leave it alone", "relay_history": "DISABLED", "moved": True},
            {COLLABORATOR: "update"},
            joined("collaborator_update", "leave it alone", "DISABLED", MOVED),
        ),
    )),
    Case("collaborator_disappears", (Step(FILES, MODEL, disappears=COLLABORATOR),)),
    Case("collaborator_several", (
        Step(
            ("agent", "supervisor", "collaborators_three"),
            MODEL,
            expect={
                member(key)[0]: {
                    "agent_id": Same(SUPERVISOR, "agent_id"),
                    "collaborator_name": key,
                    "relay_conversation_history": "TO_COLLABORATOR",
                    "agent_descriptor.0.alias_arn": Same(member(key)[1], "agent_alias_arn"),
                }
                for key in ("one", "two", "three")
            },
            imports={member("one")[0]: ()},
        ),
    )),
)
