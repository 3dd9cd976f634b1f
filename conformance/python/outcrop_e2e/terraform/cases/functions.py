"""Functions in Lambda, their aliases and permissions."""

from ..shape import PRESENT, Case, Same, Step
from .agents import tagged

FUNCTION = "aws_lambda_function.test"
ALIAS = "aws_lambda_alias.test"
PERMISSION = "aws_lambda_permission.test"
# What only says how to deploy; the API does not know it.
DEPLOYING = ("filename", "publish", "source_code_hash")
COMMON = {
    "arn": PRESENT,
    "invoke_arn": PRESENT,
    "last_modified": PRESENT,
    "architectures.#": 1,
    "architectures.0": "x86_64",
    "ephemeral_storage.0.size": 512,
    "package_type": "Zip",
    "logging_config.0.log_format": "Text",
    "tracing_config.0.mode": "PassThrough",
}
PUBLISHED = {"function_publish": True}


def function(expect, actions=None, imports=True, **variables):
    """A step with one function, imported and compared."""
    imported = {FUNCTION: DEPLOYING} if imports else {}
    return Step(("function",), variables, actions or {}, {FUNCTION: COMMON | expect}, imported)


def alias(expect, actions=None, **variables):
    """A step with an alias over a function that publishes."""
    variables = PUBLISHED | variables
    common = {"arn": PRESENT, "invoke_arn": PRESENT, "name": "PROD", "description": "what clients call"}
    files = ("function", "function_alias")
    return Step(files, variables, actions or {}, {ALIAS: common | expect}, {ALIAS: (), FUNCTION: DEPLOYING})


CASES = (
    Case("lambda_function_basic", (
        function({
            "version": "$LATEST", "timeout": 3, "memory_size": 128, "reserved_concurrent_executions": -1,
            "qualified_arn": PRESENT,
        }),
        function(
            {"description": "orders", "timeout": 20, "memory_size": 256}, {FUNCTION: "update"},
            function_description="orders", function_timeout=20, function_memory=256,
        ),
    )),
    Case("lambda_function_disappears", (Step(("function",), disappears=FUNCTION),)),
    Case("lambda_function_code", (
        function({"version": "$LATEST"}),
        function({"version": "$LATEST"}, {FUNCTION: "update"}, function_archive="second"),
    )),
    Case("lambda_function_versioned", (
        function({"version": "1", "qualified_arn": PRESENT}, **PUBLISHED),
        function({"version": "2"}, {FUNCTION: "update"}, function_archive="second", **PUBLISHED),
    )),
    Case("lambda_function_concurrency", (
        function({"reserved_concurrent_executions": 5}, function_concurrency=5),
        function({"reserved_concurrent_executions": 0}, {FUNCTION: "update"}, function_concurrency=0),
        function({"reserved_concurrent_executions": -1}, {FUNCTION: "update"}),
    )),
    Case("lambda_function_environment", (
        function({"environment.0.variables.%": 1, "environment.0.variables.stage": "dev"}, function_variables={"stage": "dev"}),
        function({"environment.0.variables.stage": "prod"}, {FUNCTION: "update"}, function_variables={"stage": "prod"}),
        function({"environment.#": 0}, {FUNCTION: "update"}),
    )),
    Case("lambda_function_tags", tagged(FUNCTION, ("function",), "function_tags", {FUNCTION: DEPLOYING})),
    Case("lambda_alias_basic", (alias({"function_version": "1"}),)),
    Case("lambda_alias_update", (
        alias({"function_version": "1", "routing_config.#": 0}),
        alias(
            {"function_version": "1", "routing_config.0.additional_version_weights.2": 0.33},
            {ALIAS: "update"}, function_archive="second", alias_weights={"2": 0.33},
        ),
        alias({"function_version": "2", "routing_config.#": 0}, {ALIAS: "update"}, function_archive="second", alias_version="2"),
    )),
    Case("lambda_permission_basic", (
        Step(("function", "function_permission"), {}, {}, {
            PERMISSION: {
                "statement_id": "AllowAgents",
                "action": "lambda:InvokeFunction",
                "principal": "bedrock.amazonaws.com",
                "source_account": "111111111111",
                "source_arn": PRESENT,
            },
        }, {PERMISSION: (), FUNCTION: DEPLOYING}),
    )),
    Case("lambda_guide", always=True, steps=(
        Step(("function", "function_permission", "function_agent"), {"function_timeout": 30}, {}, {
            "aws_bedrockagent_agent_action_group.order_tools": {
                "action_group_executor.0.lambda": Same(FUNCTION, "arn"),
            },
        }),
    )),
)
