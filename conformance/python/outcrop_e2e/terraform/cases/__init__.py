"""The cases: one for each acceptance test of the AWS provider 5.100.0 for these resources, and the guide's sample.

A case checks what the provider's test of the same name checks. Where that test makes roles, functions, keys,
buckets, databases or guardrails, the case names them by literals.
"""

from . import agents, collaboration, functions, groups, guardrails, knowledge, prompts

ALL = (
    *agents.CASES, *groups.CASES, *collaboration.CASES, *knowledge.CASES, *prompts.CASES, *functions.CASES,
    *guardrails.CASES,
)
