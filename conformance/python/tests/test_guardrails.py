"""Guardrails: made and versioned in `bedrock`, applied in `bedrock-runtime`, and on agents."""

import json
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

BLOCKED = {"blockedInputMessaging": "You cannot ask that.", "blockedOutputsMessaging": "I cannot say that."}
EMAIL = {"type": "EMAIL", "action": "ANONYMIZE"}
NO_VERDICT = {"content": [{"text": "I had rather not say."}]}


@pytest.fixture(scope="module")
def server(stub, launch):
    """A server with a model that judges."""
    return launch(config(stub, functions="") + '[guardrails]\nclassifier = "judge"\n')


@pytest.fixture(scope="module")
def unjudged(stub, launch):
    """A server without one."""
    return launch(config(stub, functions=""))


@pytest.fixture(scope="module")
def strict(stub, launch):
    return launch(config(stub, top='aws_limits = "strict"', functions=""))


@pytest.fixture
def guardrails(clients):
    return clients.guardrails


def make(guardrails, name=None, **policies):
    """A guardrail; returns its id."""
    made = guardrails.create_guardrail(name=name or agents.unique("guard"), **BLOCKED, **policies)
    return made["guardrailId"]


def entities(*kinds, regexes=()):
    policy = {"piiEntitiesConfig": list(kinds)} if kinds else {}
    if regexes:
        policy["regexesConfig"] = list(regexes)
    return {"sensitiveInformationPolicyConfig": policy}


def words(*texts):
    return {"wordPolicyConfig": {"wordsConfig": [{"text": text} for text in texts]}}


def topic(name):
    return {
        "topicPolicyConfig": {"topicsConfig": [{"name": name, "definition": "Advice on what to buy.", "type": "DENY"}]}
    }


def verdict(**members):
    return {"content": [{"text": json.dumps(members)}]}


def apply(models, guardrail, text, source="INPUT", version="DRAFT", **more):
    content = text if isinstance(text, list) else [{"text": {"text": text}}]
    return models.apply_guardrail(
        guardrailIdentifier=guardrail, guardrailVersion=version, source=source, content=content, **more
    )


def refused(call, *args, **kwargs):
    """Code and message of the refusal."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# --- the control plane


def test_a_guardrail_lives(guardrails):
    name = agents.unique("guard")
    tags = [{"key": "team", "value": "a"}]
    policies = {
        **entities(EMAIL, regexes=[{"name": "case", "pattern": r"CASE-\d{6}", "action": "BLOCK"}]),
        **words("project phoenix"),
        **topic("Stocks"),
        "contentPolicyConfig": {
            "filtersConfig": [{"type": "HATE", "inputStrength": "HIGH", "outputStrength": "LOW"}]
        },
        "contextualGroundingPolicyConfig": {"filtersConfig": [{"type": "GROUNDING", "threshold": 0.7}]},
    }
    made = guardrails.create_guardrail(name=name, description="first", tags=tags, **BLOCKED, **policies)
    arn, guardrail = made["guardrailArn"], made["guardrailId"]
    assert made["version"] == "DRAFT"
    assert arn == f"arn:aws:bedrock:us-west-2:111111111111:guardrail/{guardrail}"
    seen = guardrails.get_guardrail(guardrailIdentifier=arn)
    assert seen["status"] == "READY" and seen["name"] == name
    assert seen["sensitiveInformationPolicy"]["piiEntities"] == [EMAIL]
    assert seen["topicPolicy"]["topics"][0]["name"] == "Stocks"
    assert seen["contextualGroundingPolicy"]["filters"][0]["threshold"] == 0.7
    assert guardrails.list_tags_for_resource(resourceARN=arn)["tags"] == tags
    guardrails.tag_resource(resourceARN=arn, tags=[{"key": "team", "value": "b"}, {"key": "x", "value": "y"}])
    guardrails.untag_resource(resourceARN=arn, tagKeys=["x"])
    assert guardrails.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "b"}]

    version = guardrails.create_guardrail_version(guardrailIdentifier=guardrail, description="cut")["version"]
    assert version == "1"
    guardrails.update_guardrail(guardrailIdentifier=guardrail, name=name, **BLOCKED, **words("other"))
    assert "topicPolicy" not in guardrails.get_guardrail(guardrailIdentifier=guardrail)
    cut = guardrails.get_guardrail(guardrailIdentifier=guardrail, guardrailVersion="1")
    assert cut["description"] == "cut" and cut["topicPolicy"]["topics"][0]["name"] == "Stocks"
    listed = guardrails.list_guardrails(guardrailIdentifier=guardrail)["guardrails"]
    assert [summary["version"] for summary in listed] == ["DRAFT", "1"]
    every = [page["guardrails"] for page in guardrails.get_paginator("list_guardrails").paginate()]
    assert guardrail in {summary["id"] for page in every for summary in page}

    guardrails.delete_guardrail(guardrailIdentifier=guardrail, guardrailVersion="1")
    code, _ = refused(guardrails.get_guardrail, guardrailIdentifier=guardrail, guardrailVersion="1")
    assert code == "ResourceNotFoundException"
    assert guardrails.create_guardrail_version(guardrailIdentifier=guardrail)["version"] == "2"
    guardrails.delete_guardrail(guardrailIdentifier=arn)
    code, _ = refused(guardrails.get_guardrail, guardrailIdentifier=guardrail)
    assert code == "ResourceNotFoundException"


def test_a_token_makes_one(guardrails):
    request = {"name": agents.unique("guard"), "clientRequestToken": "a" * 36, **BLOCKED, **words("x")}
    first = guardrails.create_guardrail(**request)["guardrailId"]
    assert guardrails.create_guardrail(**request)["guardrailId"] == first
    code, message = refused(make, guardrails, name=request["name"])
    assert code == "ConflictException" and first in message


def test_an_id_can_be_fixed(guardrails):
    tags = [{"key": "outcrop:id", "value": "fixed0000001"}]
    made = guardrails.create_guardrail(name=agents.unique("guard"), tags=tags, **BLOCKED, **words("x"))
    assert made["guardrailId"] == "fixed0000001"


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        (
            entities(regexes=[{"name": "r", "pattern": "ab(?=c)", "action": "BLOCK"}]),
            "The pattern of the regex r cannot be used: at character 3: look-around",
        ),
        (entities(regexes=[{"name": "r", "pattern": r"(a)\1", "action": "BLOCK"}]), "backreferences"),
        (
            entities(regexes=[{"name": "r", "pattern": "((a{1000}){1000}){1000}", "action": "BLOCK"}]),
            "use smaller repetitions",
        ),
        (entities(EMAIL, EMAIL), "EMAIL is given more than once"),
        (
            {
                "contentPolicyConfig": {
                    "filtersConfig": [{"type": "PROMPT_ATTACK", "inputStrength": "HIGH", "outputStrength": "LOW"}]
                }
            },
            "PROMPT_ATTACK must be NONE",
        ),
        (
            {
                "contentPolicyConfig": {
                    "filtersConfig": [
                        {
                            "type": "HATE",
                            "inputStrength": "HIGH",
                            "outputStrength": "LOW",
                            "inputModalities": ["TEXT", "IMAGE"],
                        }
                    ]
                }
            },
            "IMAGE of the content filter HATE is not supported by Outcrop",
        ),
        (
            {"contextualGroundingPolicyConfig": {"filtersConfig": [{"type": "GROUNDING", "threshold": 1.0}]}},
            "must be at most 0.99",
        ),
        (
            {
                "automatedReasoningPolicyConfig": {
                    "policies": ["arn:aws:bedrock:us-west-2:111111111111:automated-reasoning-policy/abcdefghijkl:1"]
                }
            },
            "Automated reasoning is not supported by Outcrop",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(guardrails, policies, said):
    code, message = refused(make, guardrails, **policies)
    assert code == "ValidationException" and said in message


def test_a_guardrail_in_use_stays(clients):
    guardrails, control = clients.guardrails, clients.control
    guardrail = make(guardrails, **words("x"))
    named = {"guardrailIdentifier": guardrail, "guardrailVersion": "DRAFT"}
    agent = agents.create(control, guardrailConfiguration=named)
    code, message = refused(guardrails.delete_guardrail, guardrailIdentifier=guardrail)
    assert code == "ResourceInUseException" and agent in message
    control.delete_agent(agentId=agent)
    guardrails.delete_guardrail(guardrailIdentifier=guardrail)


def test_a_missing_guardrail_is_refused_when_prepared_strictly(strict, connect):
    control = connect(strict).control
    named = {"guardrailIdentifier": "nosuchone", "guardrailVersion": "1"}
    agent = agents.create(control, guardrailConfiguration=named)
    code, message = refused(control.prepare_agent, agentId=agent)
    assert code == "ValidationException" and "nosuchone" in message


# --- ApplyGuardrail


def recorded(name):
    """Request and answer of a recording."""
    folder = os.environ.get("OUTCROP_RECORDINGS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("OUTCROP_RECORDINGS names no folder")
    load = lambda part: json.loads((Path(folder) / f"{name}.{part}.json").read_text())  # noqa: E731
    return json.loads(load("request")["body"]), load("response")


def bare(answer, models):
    """An answer without ids, times, what is null, and what the service model does not have."""
    shape = models.meta.service_model.operation_model("ApplyGuardrail").output_shape

    def known(value, shape):
        if shape.type_name == "structure":
            return {name: known(value[name], part) for name, part in shape.members.items() if value.get(name) is not None}
        if shape.type_name == "list":
            return [known(item, shape.member) for item in value]
        return value

    answer = known(answer, shape)
    for assessment in answer["assessments"]:
        assessment["invocationMetrics"].pop("guardrailProcessingLatency")
        details = assessment["appliedGuardrailDetails"]
        details["guardrailArn"] = details["guardrailId"] = "x"
        sensitive = assessment.get("sensitiveInformationPolicy", {})
        # Recorded as null where no regex is defined, which the shape does not allow.
        sensitive.setdefault("regexes", [])
    return answer


@pytest.mark.parametrize(("name", "about_stocks"), [("intervened", True), ("none", False)])
def test_as_recorded(stub, clients, name, about_stocks):
    request, expected = recorded(f"oi-py-applyguardrail-{name}")
    order = [row["type"] for row in expected["assessments"][0]["contentPolicy"]["filters"]]
    guardrail = clients.guardrails.create_guardrail(
        name=agents.unique("guard"),
        blockedInputMessaging="Sorry, the model cannot answer this question.",
        blockedOutputsMessaging="Sorry.",
        contentPolicyConfig={
            "filtersConfig": [
                {
                    "type": kind,
                    "inputStrength": "HIGH",
                    "outputStrength": "NONE" if kind == "PROMPT_ATTACK" else "HIGH",
                }
                for kind in order
            ]
        },
        **topic("InvestmentObjectives"),
        **entities({"type": "EMAIL", "action": "BLOCK"}, {"type": "PHONE", "action": "BLOCK"}),
    )["guardrailId"]
    version = clients.guardrails.create_guardrail_version(guardrailIdentifier=guardrail)["version"]
    stub.script(model=[verdict(topics={"InvestmentObjectives": about_stocks}, content=dict.fromkeys(order, "NONE"))])
    answer = clients.models.apply_guardrail(
        guardrailIdentifier=guardrail, guardrailVersion=version, **request
    )
    answer.pop("ResponseMetadata")
    assert bare(answer, clients.models) == bare(expected, clients.models)


def test_texts_are_masked_and_counted(clients):
    guardrail = make(
        clients.guardrails,
        **entities(EMAIL, regexes=[{"name": "case", "pattern": r"CASE-\d{6}", "action": "ANONYMIZE"}]),
        **words("project phoenix"),
    )
    content = [{"text": {"text": f"Mail a@b.example {'x' * 990}"}}, {"text": {"text": "About CASE-123456."}}]
    answer = apply(clients.models, guardrail, content, source="OUTPUT")
    assert answer["action"] == "GUARDRAIL_INTERVENED" and answer["actionReason"] == "Guardrail masked."
    assert [output["text"][:14] for output in answer["outputs"]] == ["Mail {EMAIL} x", "About {case}."]
    assert answer["usage"]["sensitiveInformationPolicyUnits"] == 2
    assert answer["usage"]["sensitiveInformationPolicyFreeUnits"] == 2
    assert answer["usage"]["topicPolicyUnits"] == 0
    (assessment,) = answer["assessments"]
    assert [row["match"] for row in assessment["sensitiveInformationPolicy"]["piiEntities"]] == ["a@b.example"]
    blocked = apply(clients.models, guardrail, "Tell me of PROJECT PHOENIX and a@b.example", source="OUTPUT")
    assert blocked["outputs"] == [{"text": "I cannot say that."}]
    assert blocked["assessments"][0]["wordPolicy"]["customWords"] == [
        {"match": "PROJECT PHOENIX", "action": "BLOCKED", "detected": True}
    ]


def test_an_answer_is_held_against_its_sources(stub, clients):
    guardrail = make(
        clients.guardrails,
        contextualGroundingPolicyConfig={
            "filtersConfig": [{"type": "GROUNDING", "threshold": 0.7}, {"type": "RELEVANCE", "threshold": 0.5}]
        },
    )
    content = [
        {"text": {"text": "The sky is blue.", "qualifiers": ["grounding_source"]}},
        {"text": {"text": "Which colour?", "qualifiers": ["query"]}},
        {"text": {"text": "It is green."}},
    ]
    stub.script(model=[verdict(grounding=0.1, relevance=0.9)])
    answer = apply(clients.models, guardrail, content, source="OUTPUT")
    filters = answer["assessments"][0]["contextualGroundingPolicy"]["filters"]
    assert [(row["type"], row["score"], row["action"]) for row in filters] == [
        ("GROUNDING", 0.1, "BLOCKED"),
        ("RELEVANCE", 0.9, "NONE"),
    ]
    assert answer["guardrailCoverage"]["textCharacters"] == {"guarded": 12, "total": 41}
    (call,) = stub.model_calls()
    assert "Which colour?" in json.dumps(call) and call["inference"]["temperature"] == 0


def test_names_are_masked_by_a_model(stub, clients):
    guardrail = make(clients.guardrails, **entities({"type": "NAME", "action": "ANONYMIZE"}))
    stub.script(model=[NO_VERDICT, verdict(entities=[{"type": "NAME", "text": "Ann Lee"}])])
    answer = apply(clients.models, guardrail, "Ann Lee met Ann Lee.")
    assert answer["outputs"] == [{"text": "{NAME} met {NAME}."}]
    assert len(stub.model_calls()) == 2


def test_without_a_verdict_nothing_passes(stub, clients, unjudged, connect):
    guardrail = make(clients.guardrails, **topic("Stocks"))
    stub.script(model=[NO_VERDICT, NO_VERDICT])
    code, message = refused(apply, clients.models, guardrail, "Hello.")
    assert code == "ServiceUnavailableException" and "not a JSON object" in message
    other = connect(unjudged)
    guardrail = make(other.guardrails, **topic("Stocks"))
    code, message = refused(apply, other.models, guardrail, "Hello.")
    assert code == "ValidationException" and "guardrails.classifier" in message


def test_what_is_not_there_and_what_is_no_text(clients):
    code, message = refused(apply, clients.models, "nosuchone", "Hello.")
    assert code == "ResourceNotFoundException" and "nosuchone" in message
    guardrail = make(clients.guardrails, **words("x"))
    code, _ = refused(apply, clients.models, guardrail, "Hello.", version="7")
    assert code == "ResourceNotFoundException"
    image = [{"image": {"format": "png", "source": {"bytes": b"x"}}}]
    code, message = refused(apply, clients.models, guardrail, image)
    assert code == "ValidationException" and "images are not supported by Outcrop" in message


# --- on agents


def guarded(clients, **policies):
    """A prepared agent with a guardrail of its own."""
    guardrail = make(clients.guardrails, **policies)
    named = {"guardrailIdentifier": guardrail, "guardrailVersion": "DRAFT"}
    agent = agents.create(clients.control, guardrailConfiguration=named)
    agents.prepare(clients.control, agent)
    return agent


def guardrail_traces(turn):
    return [part for name, part in turn.parts if name == "guardrailTrace"]


def test_an_input_is_blocked_before_any_model(stub, clients):
    agent = guarded(clients, **words("forbidden"))
    turn = invoke(clients.runtime, agent, agents.session_id(), "This is Forbidden!")
    assert turn.text == "You cannot ask that." and turn.order == ["guardrailTrace", "chunk"]
    (trace,) = guardrail_traces(turn)
    assert trace["action"] == "INTERVENED"
    assert trace["inputAssessments"] == [
        {"wordPolicy": {"customWords": [{"match": "Forbidden", "action": "BLOCKED"}]}}
    ]
    assert not stub.model_calls()


def test_an_output_is_masked_or_blocked(stub, clients):
    agent = guarded(clients, **words("forbidden"), **entities(EMAIL))
    say = lambda text: {"content": [{"text": f"<answer>{text}</answer>"}]}  # noqa: E731
    stub.script(model=[say("Write to a@b.example.")])
    turn = invoke(clients.runtime, agent, agents.session_id(), "Hello.")
    assert turn.text == "Write to {EMAIL}."
    before, after = guardrail_traces(turn)
    assert before["action"] == "NONE" and before["inputAssessments"] == [{}]
    assert after["action"] == "INTERVENED" and "inputAssessments" not in after
    stub.script(model=[say("It is forbidden.")])
    turn = invoke(clients.runtime, agent, agents.session_id(), "Hello.")
    assert turn.text == "I cannot say that."


def test_an_input_is_masked_for_the_model(stub, clients):
    agent = guarded(clients, **entities(EMAIL))
    turn = invoke(clients.runtime, agent, agents.session_id(), "I am a@b.example.")
    turn.ok()
    assert "a@b.example" not in json.dumps(stub.model_calls())
    assert "{EMAIL}" in json.dumps(stub.model_calls())


def test_a_guardrail_that_is_not_there_lets_nothing_pass(stub, clients):
    named = {"guardrailIdentifier": "nosuchone", "guardrailVersion": "1"}
    agent = agents.create(clients.control, guardrailConfiguration=named)
    agents.prepare(clients.control, agent)
    turn = invoke(clients.runtime, agent, agents.session_id(), "Hello.")
    assert turn.error and "nosuchone" in turn.error_message and not turn.chunks
    assert not stub.model_calls()


@pytest.mark.parametrize("leaks", [False, True])
def test_streams_are_judged_in_windows(stub, clients, leaks):
    agent = guarded(clients, **words("forbidden"))
    answer = "First a harmless sentence that is long enough. " + ("Then a forbidden one." if leaks else "Then an end.")
    stub.script(model=[{"content": [{"text": f"<answer>{answer}</answer>"}]}])
    streaming = {"streamFinalResponse": True, "applyGuardrailInterval": 20}
    turn = invoke(clients.runtime, agent, agents.session_id(), "Hello.", streamingConfigurations=streaming)
    if leaks:
        assert "forbidden" not in turn.text and turn.text.endswith("I cannot say that.")
    else:
        assert turn.text == answer

