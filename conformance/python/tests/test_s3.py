"""API schemas in a real S3, beside the buckets that are folders."""

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.s3 import REGION, S3
from outcrop_e2e.turn import invoke

SCHEMA = """
openapi: 3.0.0
info: {title: Orders, version: "1"}
paths:
  /orders/{order_id}/status:
    get:
      operationId: getOrderStatus
      description: Tells where an order is.
      parameters:
        - {name: order_id, in: path, required: true, description: As A-482., schema: {type: string}}
      responses: {"200": {description: ok}}
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3(tmp_path_factory.mktemp("s3"))
    server.bucket("remote-schemas", order__openapi=SCHEMA, large="x" * (1024 * 1024 + 1))
    # The folder of this name is the one that is read.
    server.bucket("my-agent-schemas", only__here=SCHEMA)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(stub, launch, s3):
    text = config(stub) + f'endpoint = "{s3.url}"\nregion = "{REGION}"\n'
    return launch(text, {"AWS_ACCESS_KEY_ID": s3.key, "AWS_SECRET_ACCESS_KEY": s3.secret})


def add(control, bucket, key):
    agent = agents.create(control)
    schema = {"s3": {"s3BucketName": bucket, "s3ObjectKey": key}}
    agents.add_group(control, agent, "OrderApi", {"customControl": "RETURN_CONTROL"}, apiSchema=schema)
    return agent


def refusal(control, bucket, key):
    with pytest.raises(ClientError) as refused:
        add(control, bucket, key)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert "Failed to create OpenAPI 3 model from the JSON/YAML object" in error["Message"]
    return error["Message"]


def test_a_schema_in_s3_is_served(control, runtime):
    agent = add(control, "remote-schemas", "order/openapi")
    agents.prepare(control, agent)
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    call = turn.control["invocationInputs"][0]["apiInvocationInput"]
    assert call["apiPath"] == "/orders/{order_id}/status"


def test_a_bucket_that_is_a_folder_is_read_there(control):
    add(control, "my-agent-schemas", "order-tools/openapi.yaml")
    assert "my-agent-schemas/only/here" in refusal(control, "my-agent-schemas", "only/here")


@pytest.mark.parametrize(
    "bucket, key, said",
    [
        ("remote-schemas", "order/nothing", "has no such object"),
        ("no-such-bucket", "order/openapi", "as it has no such bucket"),
        ("remote-schemas", "large", "is larger than 1048576 bytes"),
        ("remote-schemas", "order//openapi", "the key is not a plain relative path"),
    ],
    ids=["key", "bucket", "size", "path"],
)
def test_what_cannot_be_read_is_named(control, s3, bucket, key, said):
    message = refusal(control, bucket, key)
    assert f"s3://{bucket}/{key}" in message
    assert said in message, message


def test_wrong_credentials_and_a_server_that_is_gone_are_told_apart(stub, launch, connect, s3):
    text = config(stub) + f'endpoint = "{s3.url}"\n'
    wrong = connect(launch(text, {"AWS_ACCESS_KEY_ID": s3.key, "AWS_SECRET_ACCESS_KEY": "wrong"}))
    message = refusal(wrong.control, "remote-schemas", "order/openapi")
    assert "refuses the credentials" in message and "SignatureDoesNotMatch" in message, message
    gone = connect(launch(config(stub) + 'endpoint = "http://127.0.0.1:9"\n'))
    message = refusal(gone.control, "remote-schemas", "order/openapi")
    assert "S3 at http://127.0.0.1:9" in message and "refused" in message.lower(), message
