#!/usr/bin/env python3
"""Defines the support agent with plain boto3 and prints its ids as one line of JSON.

Nothing here is special to Outcrop: without --endpoint-url the same script defines the agent at AWS.
Run again, it finds the agent by its name and leaves it as it is.
"""

import argparse
import json
import time

import boto3

NAME = "support-bot"


def settled(read):
    """Waits until a resource has left its passing states."""
    deadline = time.monotonic() + 120
    while (status := read()) in ("CREATING", "PREPARING", "UPDATING", "VERSIONING"):
        if time.monotonic() > deadline:
            raise SystemExit(f"still {status} after two minutes")
        time.sleep(0.05)
    if status == "FAILED":
        raise SystemExit("the service reports FAILED; see get_agent for the reasons")
    return status


def existing(bedrock_agent):
    """The id of the agent if it is there already."""
    for page in bedrock_agent.get_paginator("list_agents").paginate():
        for agent in page["agentSummaries"]:
            if agent["agentName"] == NAME:
                return agent["agentId"]
    return None


def define(bedrock_agent, model, role):
    """Creates the agent with its two action groups, prepares it, and points PROD at version 1."""
    agent_id = bedrock_agent.create_agent(
        agentName=NAME,
        foundationModel=model,
        instruction="You are a helpful customer support assistant.",
        agentResourceRoleArn=role,
        idleSessionTTLInSeconds=1800,
    )["agent"]["agentId"]

    def agent_status():
        return bedrock_agent.get_agent(agentId=agent_id)["agent"]["agentStatus"]

    settled(agent_status)
    bedrock_agent.create_agent_action_group(
        agentId=agent_id,
        agentVersion="DRAFT",
        actionGroupName="OrderTools",
        actionGroupExecutor={"lambda": "arn:aws:lambda:us-west-2:111111111111:function:order-tools"},
        functionSchema={
            "functions": [
                {
                    "name": "get_order_status",
                    "description": "Look up the shipping status of a customer order by ID.",
                    "parameters": {
                        "order_id": {
                            "type": "string",
                            "description": "The customer-facing order ID, e.g. A-482.",
                            "required": True,
                        }
                    },
                },
                {
                    "name": "cancel_order",
                    "description": "Cancel an order if it has not yet shipped.",
                    "parameters": {
                        "order_id": {"type": "string", "required": True},
                        "reason": {"type": "string", "required": False},
                    },
                },
            ]
        },
    )
    bedrock_agent.create_agent_action_group(
        agentId=agent_id,
        agentVersion="DRAFT",
        actionGroupName="ClientSideTools",
        actionGroupExecutor={"customControl": "RETURN_CONTROL"},
        functionSchema={
            "functions": [
                {
                    "name": "open_calendar",
                    "description": "Open the user's local calendar to a specific date.",
                    "parameters": {"date": {"type": "string", "required": True}},
                }
            ]
        },
    )
    bedrock_agent.prepare_agent(agentId=agent_id)
    settled(agent_status)
    alias_id = bedrock_agent.create_agent_alias(agentId=agent_id, agentAliasName="PROD")["agentAlias"]["agentAliasId"]
    settled(
        lambda: bedrock_agent.get_agent_alias(agentId=agent_id, agentAliasId=alias_id)["agentAlias"][
            "agentAliasStatus"
        ]
    )
    return agent_id


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint-url", help="an Outcrop server; without it, AWS itself")
    parser.add_argument("--region", default="us-west-2")
    parser.add_argument("--model", default="anthropic.claude-opus-4-7", help="the foundationModel")
    parser.add_argument("--role", default="arn:aws:iam::111111111111:role/AgentRole")
    args = parser.parse_args()
    bedrock_agent = boto3.client("bedrock-agent", region_name=args.region, endpoint_url=args.endpoint_url)
    agent_id = existing(bedrock_agent) or define(bedrock_agent, args.model, args.role)
    print(json.dumps({"agentId": agent_id, "agentName": NAME, "alias": "PROD"}))


if __name__ == "__main__":
    main()
