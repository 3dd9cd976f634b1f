"""Many writers of one agent at once, over any number of servers that share a store.

Whatever a writer was told was done must be there afterwards; whatever was not done must be a conflict.
"""

from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from . import agents

CONFLICT = "Exceeded the number of retries on OptLock failure. Too many concurrent requests."

FUNCTIONS = [{"name": "look_up", "description": "Looks something up."}]


def _group(control, agent, number):
    name = f"group-{number}"
    agents.add_group(control, agent, name, {"lambda": agents.LAMBDA}, FUNCTIONS)
    return name


def _alias(control, agent, number):
    name = f"alias-{number}"
    control.create_agent_alias(agentId=agent, agentAliasName=name)
    return name


def _describe(control, agent, number, name):
    description = f"description {number}"
    control.update_agent(
        agentId=agent, agentName=name, foundationModel=agents.MODEL, agentResourceRoleArn=agents.ROLE,
        instruction=agents.INSTRUCTION, description=description,
    )
    return description


def _prepare(control, agent, _number):
    return control.prepare_agent(agentId=agent)["agentStatus"]


def crowd(controls, writers=200):
    """Lets `writers` threads loose on a new agent, spread over the clients; returns how many met a conflict.

    At most a quarter of the writers make action groups, of which an agent holds 50.
    """
    agent = agents.create(controls[0])
    agent_name = controls[0].get_agent(agentId=agent)["agent"]["agentName"]
    kinds = [_group, _alias, lambda *a: _describe(*a, agent_name), _prepare]

    def write(number):
        kind = number % len(kinds)
        try:
            return kind, kinds[kind](controls[number % len(controls)], agent, number)
        except ClientError as error:
            return kind, error

    with ThreadPoolExecutor(writers) as pool:
        outcomes = list(pool.map(write, range(writers)))
    refusals = [done for _, done in outcomes if isinstance(done, ClientError)]
    for refusal in refusals:
        answer = refusal.response["Error"]
        assert (answer["Code"], answer["Message"]) == ("ConflictException", CONFLICT), answer
    groups, aliases, descriptions, _ = (
        {done for kind, done in outcomes if kind == wanted and not isinstance(done, ClientError)}
        for wanted in range(len(kinds))
    )
    _compare(controls[-1], agent, groups, aliases, descriptions)
    return len(refusals)


def _compare(control, agent, groups, aliases, descriptions):
    listed = control.list_agent_action_groups(agentId=agent, agentVersion="DRAFT")["actionGroupSummaries"]
    assert {item["actionGroupName"] for item in listed} == groups
    listed = control.list_agent_aliases(agentId=agent)["agentAliasSummaries"]
    assert {item["agentAliasName"] for item in listed} == aliases | {"AgentTestAlias"}
    routes = [item["routingConfiguration"][0]["agentVersion"] for item in listed]
    assert len(set(routes)) == len(routes), "a version number was given twice"
    assert control.get_agent(agentId=agent)["agent"]["description"] in descriptions
