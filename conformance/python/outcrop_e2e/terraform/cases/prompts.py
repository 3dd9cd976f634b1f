"""Prompts."""

from ..shape import PRESENT, Case, Same, Step
from .agents import ALIAS, tagged

PROMPT = "aws_bedrockagent_prompt.test"
COMMON = {"arn": PRESENT, "id": PRESENT, "created_at": PRESENT, "updated_at": PRESENT, "version": "DRAFT", "name": PRESENT}


def prompt(files, expect, **variables):
    """A step with one prompt, imported and compared."""
    return Step(files, variables, {}, {PROMPT: COMMON | expect}, {PROMPT: ()})


CHAT = "variant.1.template_configuration.0.chat.0"
TOOLS = f"{CHAT}.tool_configuration.0"
TEXT = "variant.0.template_configuration.0.text.0"

CASES = (
    Case("prompt_basic", (prompt(("prompt_plain",), {"description": "basic"}, prompt_description="basic"),)),
    Case("prompt_encryption", (prompt(("prompt_plain",), {"customer_encryption_key_arn": PRESENT}, prompt_key=True),)),
    Case("prompt_disappears", (Step(("prompt_plain",), disappears=PROMPT),)),
    Case("prompt_tags", tagged(PROMPT, ("prompt_plain",), "prompt_tags", {PROMPT: ()})),
    Case("prompt_variants", (
        prompt(("prompt_variants",), {
            "default_variant": "plain",
            "variant.#": 2,
            "variant.0.name": "plain",
            "variant.0.model_id": "amazon.titan-text-express-v1",
            "variant.0.template_type": "TEXT",
            "variant.0.template_configuration.#": 1,
            "variant.0.template_configuration.0.text.#": 1,
            f"{TEXT}.text": "{{question}}",
            f"{TEXT}.input_variable.#": 1,
            f"{TEXT}.input_variable.0.name": "question",
            "variant.1.name": "talk",
            "variant.1.model_id": "amazon.titan-text-express-v1",
            "variant.1.template_type": "CHAT",
            "variant.1.template_configuration.#": 1,
            "variant.1.template_configuration.0.chat.#": 1,
            f"{CHAT}.system.#": 1,
            f"{CHAT}.system.0.text": "Be brief.",
            f"{CHAT}.message.#": 2,
            f"{CHAT}.message.0.role": "user",
            f"{CHAT}.message.0.content.0.text": "Where is it?",
            f"{CHAT}.message.1.role": "assistant",
            f"{CHAT}.message.1.content.0.text": "On its way.",
            f"{CHAT}.tool_configuration.#": 1,
            f"{TOOLS}.tool_choice.#": 1,
            f"{TOOLS}.tool_choice.0.auto.#": 1,
            f"{TOOLS}.tool.#": 1,
            f"{TOOLS}.tool.0.tool_spec.#": 1,
            f"{TOOLS}.tool.0.tool_spec.0.name": "find",
            f"{TOOLS}.tool.0.tool_spec.0.description": "Finds an order",
            f"{TOOLS}.tool.0.tool_spec.0.input_schema.#": 1,
            f"{TOOLS}.tool.0.tool_spec.0.input_schema.0.json": '{"type":"object"}',
        }),
    )),
    Case("prompt_extra_fields", always=True, steps=(
        prompt(("agent", "alias", "prompt_details"), {
            "default_variant": "only",
            "variant.#": 1,
            "variant.0.name": "only",
            "variant.0.additional_model_request_fields": '{"seed":"7"}',
            "variant.0.inference_configuration.#": 1,
            "variant.0.inference_configuration.0.text.#": 1,
            "variant.0.inference_configuration.0.text.0.max_tokens": 2048,
            "variant.0.inference_configuration.0.text.0.stop_sequences.#": 1,
            "variant.0.inference_configuration.0.text.0.stop_sequences.0": "User:",
            "variant.0.inference_configuration.0.text.0.temperature": 0,
            "variant.0.inference_configuration.0.text.0.top_p": 0.8999999761581421,
            "variant.0.metadata.#": 2,
            "variant.0.metadata.0.key": "team",
            "variant.0.metadata.0.value": "shop",
            "variant.0.metadata.1.key": "stage",
            "variant.0.metadata.1.value": "trial",
            "variant.0.gen_ai_resource.#": 1,
            "variant.0.gen_ai_resource.0.agent.#": 1,
            "variant.0.gen_ai_resource.0.agent.0.agent_identifier": Same(ALIAS, "agent_alias_arn"),
            "variant.0.template_configuration.#": 1,
            f"{TEXT}.text": "Say hello.",
        }),
    )),
)
