"""Prompt management with boto3: every answer is checked against the service model on the way."""

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents

TEXT = {
    "name": "text",
    "templateType": "TEXT",
    "modelId": "amazon.nova-lite-v1:0",
    "templateConfiguration": {
        "text": {
            "text": "Make a {{genre}} playlist of {{number}} songs.",
            "inputVariables": [{"name": "genre"}, {"name": "number"}],
        }
    },
    "inferenceConfiguration": {"text": {"temperature": 0.5, "topP": 0.25, "maxTokens": 2048, "stopSequences": ["User:"]}},
    "metadata": [{"key": "Key2", "value": "Value2"}, {"key": "Key1", "value": "Value1"}],
    "additionalModelRequestFields": {"top_k": 50, "nested": {"list": [1, None, "x"]}},
}
CHAT = {
    "name": "chat",
    "templateType": "CHAT",
    "genAiResource": {
        "agent": {"agentIdentifier": "arn:aws:bedrock:us-west-2:111111111111:agent-alias/ABCDEFGHIJ/ABCDEFGHIJ"}
    },
    "templateConfiguration": {
        "chat": {
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {"role": "user", "content": [{"text": "Hello {{name}}."}]},
                {"role": "assistant", "content": [{"text": "Hello."}]},
            ],
            "inputVariables": [{"name": "name"}],
            "toolConfiguration": {
                "toolChoice": {"auto": {}},
                "tools": [
                    {"toolSpec": {"name": "test", "description": "test", "inputSchema": {"json": {"Key1": "Value1"}}}}
                ],
            },
        }
    },
}


def refused(call, code, **arguments):
    """The message of a call that must fail with this code."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    assert answer["Code"] == code, answer
    return answer["Message"]


def shown(answer):
    """An answer without what is about the call."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("variants", [[TEXT], [CHAT], [TEXT, CHAT]], ids=["text", "chat", "both"])
def test_what_is_given_is_what_is_kept(control, variants):
    given = {
        "name": agents.unique("prompt"),
        "description": "Makes playlists.",
        "defaultVariant": variants[0]["name"],
        "variants": variants,
        "customerEncryptionKeyArn": "arn:aws:kms:us-west-2:111111111111:key/11111111-2222-3333-4444-555555555555",
    }
    created = control.create_prompt(**given)
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    created = shown(created)
    assert {name: created[name] for name in given} == given
    assert created["version"] == "DRAFT"
    assert created["arn"] == f"arn:aws:bedrock:us-west-2:111111111111:prompt/{created['id']}"
    assert created["createdAt"] == created["updatedAt"]
    for identifier in (created["id"], created["arn"]):
        assert shown(control.get_prompt(promptIdentifier=identifier)) == created
    metadata = shown(control.get_prompt(promptIdentifier=created["id"], includedData="METADATA_ONLY"))
    assert metadata == {name: value for name, value in created.items() if name != "variants"}


def test_the_life_of_a_prompt(control):
    name = agents.unique("prompt")
    prompt = control.create_prompt(name=name, defaultVariant="text", variants=[TEXT], tags={"team": "music"})
    identifier, arn = prompt["id"], prompt["arn"]
    assert control.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "music"}
    first = control.create_prompt_version(promptIdentifier=identifier, description="First.", tags={"stage": "prod"})
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["version"], first["arn"], first["description"]) == ("1", f"{arn}:1", "First.")
    assert control.list_tags_for_resource(resourceArn=first["arn"])["tags"] == {"stage": "prod"}
    control.tag_resource(resourceArn=first["arn"], tags={"more": "x"})
    control.untag_resource(resourceArn=first["arn"], tagKeys=["stage"])
    assert control.list_tags_for_resource(resourceArn=first["arn"])["tags"] == {"more": "x"}

    updated = control.update_prompt(promptIdentifier=arn, name=name, variants=[CHAT])
    assert "defaultVariant" not in updated and updated["variants"] == [CHAT]
    assert updated["updatedAt"] > updated["createdAt"] == prompt["createdAt"]
    kept = shown(control.get_prompt(promptIdentifier=identifier, promptVersion="1"))
    assert kept == shown(first) and kept["variants"] == [TEXT]
    assert shown(control.get_prompt(promptIdentifier=first["arn"])) == kept

    versions = control.list_prompts(promptIdentifier=identifier)["promptSummaries"]
    assert [version["version"] for version in versions] == ["DRAFT", "1"]
    pages = control.get_paginator("list_prompts").paginate(PaginationConfig={"PageSize": 1})
    assert [page["name"] for found in pages for page in found["promptSummaries"]].count(name) == 1

    deleted = control.delete_prompt(promptIdentifier=identifier, promptVersion="1")
    assert shown(deleted) == {"id": identifier, "version": "1"}
    refused(control.get_prompt, "ResourceNotFoundException", promptIdentifier=identifier, promptVersion="1")
    assert shown(control.delete_prompt(promptIdentifier=arn)) == {"id": identifier}
    refused(control.get_prompt, "ResourceNotFoundException", promptIdentifier=arn)
    refused(control.list_tags_for_resource, "ResourceNotFoundException", resourceArn=arn)


def test_refusals(control):
    name = agents.unique("prompt")
    identifier = control.create_prompt(name=name)["id"]
    message = refused(control.create_prompt, "ConflictException", name=name)
    assert message == (
        f"Could not perform Create operation, since the {name} (id: {identifier}) with the same name {name} already exists"
    )
    message = refused(
        control.create_prompt, "ValidationException", name=agents.unique("prompt"), defaultVariant="none", variants=[TEXT]
    )
    assert message == "The defaultVariant none is not the name of a variant of the prompt"
    message = refused(
        control.create_prompt, "ValidationException", name=agents.unique("prompt"),
        variants=[{**TEXT, "name": f"v{number}"} for number in range(4)],
    )
    assert message == (
        "1 validation error detected: Value at 'variants' failed to satisfy constraint: "
        "Member must have length less than or equal to 3"
    )
    refused(control.get_prompt, "ResourceNotFoundException", promptIdentifier="ZZZZZZZZZZ")


def test_many_prompts_page_by_page(control):
    prefix = agents.unique("page")
    names = [f"{prefix}-{number}" for number in range(25)]
    for name in names:
        control.create_prompt(name=name)
    pages = control.get_paginator("list_prompts").paginate(PaginationConfig={"PageSize": 7})
    found = [prompt["name"] for page in pages for prompt in page["promptSummaries"]]
    assert [name for name in found if name.startswith(prefix)] == names
