"""An S3 that checks signatures: moto's server, which is a package like any other.

The first calls of a server are free, to make the one user whose keys it then asks for.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

from outcrop_e2e.process import free_port, request

# How long the server may take to answer; it imports a good part of boto3.
START_S = 30
REGION = "eu-central-1"
# create_user, put_user_policy, create_access_key
FREE_CALLS = 3
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


class S3:
    """A server, the keys of its user, and a client with them."""

    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = Path(folder) / "s3.log"
        env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(FREE_CALLS)}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
                stdout=log,
                stderr=log,
                env=env,
            )
        self._wait()
        self.key, self.secret = self._user()
        self.client = self._client("s3", self.key, self.secret)

    def _wait(self):
        deadline = time.monotonic() + START_S
        while True:
            try:
                assert request("GET", f"{self.url}/moto-api/", timeout=5)[0] == 200
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text(errors="replace")
                assert time.monotonic() < deadline, "moto does not answer"
                time.sleep(0.05)

    def _client(self, service, key="none", secret="none"):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def _user(self):
        iam = self._client("iam")
        iam.create_user(UserName="outcrop")
        iam.put_user_policy(UserName="outcrop", PolicyName="all", PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="outcrop")["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def bucket(self, name, **objects):
        """A bucket with objects, their keys with `__` for a slash."""
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        for key, body in objects.items():
            self.client.put_object(Bucket=name, Key=key.replace("__", "/"), Body=body)

    def stop(self):
        self.process.kill()
        self.process.wait()
