"""A function of one's own between cutting and embedding, with buckets in S3, as on AWS."""

import pytest
from conftest import config

from outcrop_e2e import knowledge
from outcrop_e2e.s3 import REGION, S3

# One chunk for each sentence.
FUNCTION = """
import json, os

import boto3

s3 = boto3.client("s3", endpoint_url=os.environ["S3_URL"], region_name=os.environ["S3_REGION"],
                  aws_access_key_id=os.environ["S3_KEY"], aws_secret_access_key=os.environ["S3_SECRET"])


def chunks(bucket, key):
    content = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    for part in content["fileContents"]:
        for sentence in part["contentBody"].split(". "):
            yield {"contentBody": sentence, "contentType": "TEXT", "contentMetadata": {"length": len(sentence)}}


def handler(event, context):
    bucket, files = event["bucketName"], []
    for file in event["inputFiles"]:
        batches = []
        for batch in file["contentBatches"]:
            key = "made/" + batch["key"]
            body = json.dumps({"fileContents": list(chunks(bucket, batch["key"]))})
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            batches.append({"key": key})
        files.append({**file, "contentBatches": batches})
    return {"outputFiles": files}
"""
TRANSFORMED = {
    "chunkingConfiguration": {"chunkingStrategy": "NONE"},
    "customTransformationConfiguration": {
        "intermediateStorage": {"s3Location": {"uri": "s3://between/part/"}},
        "transformations": [
            {
                "stepToApply": "POST_CHUNKING",
                "transformationFunction": {
                    "transformationLambdaConfiguration": {
                        "lambdaArn": "arn:aws:lambda:us-west-2:111111111111:function:sentences"
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def s3(tmp_path):
    server = S3(tmp_path)
    for bucket in ("docs", "between"):
        server.client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield server
    server.stop()


@pytest.fixture
def clients(stub, launch, embedder, connect, s3, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "sentences.py").write_text(FUNCTION)
    variables = {"S3_URL": s3.url, "S3_REGION": REGION, "S3_KEY": s3.key, "S3_SECRET": s3.secret}
    environment = ", ".join(f'{name} = "{value}"' for name, value in variables.items())
    functions = (
        f'[[functions]]\nmatch = "*"\nruntime = "python"\ncode = "{code}"\nhandler = "sentences.handler"\n'
        f"environment = {{ {environment} }}\n"
    )
    text = config(stub, functions=functions) + f'endpoint = "{s3.url}"\nregion = "{REGION}"\n'
    keys = {"AWS_ACCESS_KEY_ID": s3.key, "AWS_SECRET_ACCESS_KEY": s3.secret}
    return connect(launch(text + knowledge.embeddings(embedder.url), keys))


def test_a_function_makes_the_chunks(control, runtime, s3):
    s3.client.put_object(Bucket="docs", Key="a.txt", Body=b"The heron waits. The otter sleeps. The badger digs")
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, "docs", vectors=TRANSFORMED)
    ended = knowledge.end(control, base, source, knowledge.start(control, base, source))
    assert knowledge.counts(ended) == {"scanned": 1, "new": 1}, ended["failureReasons"]
    found = knowledge.retrieve(runtime, base, "otter sleeps", 10)
    assert found[0]["content"]["text"] == "The otter sleeps"
    assert {one["content"]["text"]: one["metadata"]["length"] for one in found} == {
        "The heron waits": 15.0, "The otter sleeps": 16.0, "The badger digs": 15.0,
    }
    # What was written for the function is gone; what it wrote is its own.
    left = [one["Key"] for one in s3.client.list_objects_v2(Bucket="between")["Contents"]]
    assert len(left) == 1 and left[0].startswith("made/part/aws/bedrock/knowledge_bases/"), left
