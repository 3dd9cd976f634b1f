"""Guardrails and their versions."""

from ..shape import PRESENT, Case, Step

GUARDRAIL = "aws_bedrock_guardrail.test"
VERSION = "aws_bedrock_guardrail_version.test"
COMMON = {
    "guardrail_arn": PRESENT,
    "guardrail_id": PRESENT,
    "created_at": PRESENT,
    "status": "READY",
    "version": "DRAFT",
    "content_policy_config.0.filters_config.#": 2,
    "contextual_grounding_policy_config.0.filters_config.#": 1,
    "sensitive_information_policy_config.0.pii_entities_config.#": 2,
    "sensitive_information_policy_config.0.regexes_config.#": 1,
    "topic_policy_config.0.topics_config.#": 1,
    "word_policy_config.0.managed_word_lists_config.#": 1,
    "word_policy_config.0.words_config.0.text": "forbidden",
}


def guardrail(expect, actions=None, **variables):
    """A step with one guardrail, compared."""
    return Step(("guardrail",), variables, actions or {}, {GUARDRAIL: COMMON | expect})


CASES = (
    Case("guardrail_basic", (
        guardrail({}),
        guardrail(
            {"description": "watches", "word_policy_config.0.words_config.0.text": "banned"}, {GUARDRAIL: "update"},
            guardrail_description="watches", guardrail_word="banned",
        ),
    )),
    Case("guardrail_tags", (
        guardrail({"tags.%": 1, "tags.a": "1"}, guardrail_tags={"a": "1"}),
        guardrail({"tags.%": 2, "tags.a": "2", "tags.b": "3"}, {GUARDRAIL: "update"}, guardrail_tags={"a": "2", "b": "3"}),
        guardrail({"tags.%": 1, "tags.b": "3"}, {GUARDRAIL: "update"}, guardrail_tags={"b": "3"}),
    )),
    Case("guardrail_version_basic", (
        Step(("guardrail", "guardrail_version"), {}, {}, {VERSION: {"version": "1", "guardrail_arn": PRESENT}}),
    )),
)
