"""Agents that answer from documents: the guide's sample, the shortcut, inline agents, and what a session asks for."""

import json
import uuid

import pytest
from conftest import EXAMPLE, config

from outcrop_e2e import agents, inline, knowledge
from outcrop_e2e.process import texts
from outcrop_e2e.turn import invoke

POLICIES = {
    "leave/parental-leave.md": "# Parental leave\n\nParents of a new child take sixteen weeks of paid leave.\n",
    "leave/pto.md": "# Paid time off\n\nStaff accrue twenty-five days of PTO a year. Five of them may be carried over.\n",
    "expenses.md": "# Expenses\n\nExpense reimbursement needs a receipt above 20 dollars, within thirty days.\n",
    "remote-work.md": "# Remote work\n\nStaff may work from home on two days of each week.\n",
}
ATTRIBUTES = {"leave/pto.md.metadata.json": json.dumps({"metadataAttributes": {"country": "us"}})}


def tool(base):
    return f"GET__x_amz_knowledgebase_{base}__Search"


def answer(text, *sources):
    """An answer that names its sources, as a model is told to."""
    named = "".join(f"<source>{source}</source>" for source in sources)
    part = f"<answer_part>\n<text>{text}</text>\n<sources>\n{named}\n</sources>\n</answer_part>"
    return {"content": [{"text": f"<answer>\n{part}\n</answer>"}]}


def ask(base, question):
    return {"content": [{"text": "<thinking>The policies may say.</thinking>"},
                        {"tool": tool(base), "input": {"searchQuery": question}}]}


def references(turn):
    """The keys of all passages that the answer cites."""
    citations = [citation for event in turn.events if "chunk" in event
                 for citation in event["chunk"].get("attribution", {}).get("citations", [])]
    return [knowledge.key(one) for citation in citations for one in citation["retrievedReferences"]]


@pytest.fixture(scope="module")
def knowing(stub, launch, embedder):
    functions = (
        '[[functions]]\nmatch = "order-tools"\nruntime = "python"\nhandler = "app.lambda_handler"\n'
        f'code = "{EXAMPLE / "functions" / "order-tools"}"\ntimeout_s = 30\n'
    )
    return launch(config(stub, functions=functions) + knowledge.embeddings(embedder.url))


@pytest.fixture
def clients(knowing, connect):
    return connect(knowing)


@pytest.fixture
def policies(control, bucket):
    """A knowledge base of the policies."""
    base = knowledge.create(control)
    name, _ = bucket({**POLICIES, **ATTRIBUTES})
    knowledge.ingest(control, base, knowledge.s3_source(control, base, name))
    return base


def test_the_guides_sample(control, runtime, policies, stub, capsys):
    bedrock_agent = control
    agent_id = agents.create(bedrock_agent)
    agents.add_group(bedrock_agent, agent_id, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    bedrock_agent.associate_agent_knowledge_base(
        agentId=agent_id,
        agentVersion="DRAFT",
        knowledgeBaseId=policies,
        description=(
            "Internal HR policies, including PTO, parental leave, expense reimbursement, "
            "and remote-work guidelines. Use for any employee-policy question."
        ),
        knowledgeBaseState="ENABLED",
    )
    bedrock_agent.prepare_agent(agentId=agent_id)
    assert agents.agent_status(bedrock_agent, agent_id) == "PREPARED"

    question = "How many weeks of parental leave do parents take?"
    stub.script(model=[ask(policies, "weeks of parental leave"), answer("Parents take sixteen weeks.", 1)])
    resp = runtime.invoke_agent(
        agentId=agent_id, agentAliasId="TSTALIASID", sessionId=str(uuid.uuid4()), inputText=question, enableTrace=True,
    )
    said, cited = "", []
    for event in resp["completion"]:
        if "chunk" in event:
            said += event["chunk"]["bytes"].decode("utf-8")
            for citation in event["chunk"].get("attribution", {}).get("citations", []):
                cited += citation["retrievedReferences"]
        if "trace" not in event:
            continue
        t = event["trace"]["trace"]
        if "orchestrationTrace" in t:
            ot = t["orchestrationTrace"]
            if "rationale" in ot:
                print("RATIONALE:", ot["rationale"]["text"])
            if "invocationInput" in ot:
                inv = ot["invocationInput"]
                if "knowledgeBaseLookupInput" in inv:
                    kb = inv["knowledgeBaseLookupInput"]
                    print(f"KB LOOKUP: kb={kb['knowledgeBaseId']} q={kb['text']}")
            if "observation" in ot:
                print("OBS:", json.dumps(ot["observation"], default=str)[:200])
    assert said.strip() == "Parents take sixteen weeks."
    assert [knowledge.key(one) for one in cited] == ["leave/parental-leave.md"]
    assert "sixteen weeks" in cited[0]["content"]["text"]
    printed = capsys.readouterr().out
    assert f"KB LOOKUP: kb={policies} q=weeks of parental leave" in printed
    # The description is what the model decides by, and the passage is what it answers from.
    first, second = stub.model_calls()
    described = json.dumps(first["tools"]) + first["system"]
    assert "Internal HR policies, including PTO" in described
    assert any("sixteen weeks of paid leave" in text for _, text in texts(second))
    # The agent's other tool still works, in the same session.
    turn = invoke(runtime, agent_id, resp["sessionId"], "Where is order A-482?").ok()
    assert "A-482" in turn.text


def test_the_only_thing_of_an_agent(control, runtime, policies, stub):
    """One knowledge base and nothing else: what the user says is searched for, and one call answers."""
    agent = agents.create(control)
    control.associate_agent_knowledge_base(
        agentId=agent, agentVersion="DRAFT", knowledgeBaseId=policies, description="Policies."
    )
    agents.prepare(control, agent)
    stub.script(model=[answer("Twenty-five days.", 1)])
    turn = invoke(runtime, agent, agents.session_id(), "How many days of PTO do staff accrue a year?").ok()
    assert turn.text.strip() == "Twenty-five days."
    assert references(turn) == ["leave/pto.md"]
    assert len(stub.model_calls()) == 1


def test_what_a_session_asks_of_a_search(control, runtime, policies, stub):
    agent = agents.create(control)
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    control.associate_agent_knowledge_base(
        agentId=agent, agentVersion="DRAFT", knowledgeBaseId=policies, description="Policies."
    )
    agents.prepare(control, agent)
    only = {"equals": {"key": "country", "value": "us"}}
    state = {
        "knowledgeBaseConfigurations": [
            {
                "knowledgeBaseId": policies,
                "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 3, "filter": only}},
            }
        ]
    }
    question = "parental leave and remote work"
    stub.script(model=[ask(policies, question), answer("Done.", 1)])
    turn = invoke(runtime, agent, agents.session_id(), question, sessionState=state).ok()
    found = [value["knowledgeBaseLookupOutput"]["retrievedReferences"] for part, value in turn.parts
             if part == "observation" and value["type"] == "KNOWLEDGE_BASE"]
    assert [knowledge.key(one) for one in found[0]] == ["leave/pto.md"]
    # Without the filter of that turn, all is found again.
    stub.reset()
    stub.script(model=[ask(policies, question), answer("Done.", 1)])
    turn = invoke(runtime, agent, agents.session_id(), question).ok()
    assert references(turn) != ["leave/pto.md"]


def test_inline_agents(runtime, policies, stub):
    attached = {
        "knowledgeBaseId": policies,
        "description": "Internal HR policies.",
        "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 2}},
    }
    stub.script(model=[ask(policies, "receipt expense reimbursement"), answer("Above 20 dollars.", 1)])
    turn = inline.invoke(
        runtime, agents.session_id(), "When do I need a receipt?",
        knowledgeBases=[attached], actionGroups=[inline.ORDERS],
    ).ok()
    assert turn.text.strip() == "Above 20 dollars."
    assert references(turn) == ["expenses.md"]
    found = [value["knowledgeBaseLookupOutput"]["retrievedReferences"] for part, value in turn.parts
             if part == "observation" and value["type"] == "KNOWLEDGE_BASE"]
    assert len(found[0]) == 2


def test_collaborators_with_documents(runtime, policies, stub):
    """A collaborator searches, and what it says reaches the supervisor's answer."""
    hr = inline.collaborator(
        "hr", knowledgeBases=[{"knowledgeBaseId": policies, "description": "Policies."}],
        actionGroups=[inline.ORDERS],
    )
    stub.script(
        model=[
            {"content": [{"tool": "AgentCommunication__sendMessage",
                          "input": {"recipient": "hr", "content": "How much remote work?"}}]},
            ask(policies, "work from home days"),
            answer("Two days of each week.", 1),
            {"content": [{"text": "<answer>Two days.</answer>"}]},
        ]
    )
    turn = inline.invoke(
        runtime, agents.session_id(), "How much remote work?", agentCollaboration="SUPERVISOR",
        collaborators=[hr], collaboratorConfigurations=[inline.configuration("hr")],
    ).ok()
    assert "Two days" in turn.text


def test_a_knowledge_base_that_is_empty(control, runtime, stub):
    base = knowledge.create(control)
    agent = agents.create(control)
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    control.associate_agent_knowledge_base(
        agentId=agent, agentVersion="DRAFT", knowledgeBaseId=base, description="Nothing yet."
    )
    agents.prepare(control, agent)
    stub.script(model=[ask(base, "anything"), {"content": [{"text": "<answer>I do not know.</answer>"}]}])
    turn = invoke(runtime, agent, agents.session_id(), "What is known?").ok()
    assert turn.text.strip() == "I do not know." and references(turn) == []
