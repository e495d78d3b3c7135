"""Server of S3-compatible storage in a process of its own, which checks keys and signatures.

The variable `S3` has the path of its environment, which `make test-s3` creates.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import HOST, HeldPort

VARIABLE = "S3"
REGION = "us-east-1"
BUCKET = "artifacts-of-the-tests"

_START_SECONDS = 150.0
_CALL_SECONDS = 60.0

# In the server's environment: makes a user who may do anything in the buckets there are, and one
# who may only read.
_SETUP = """
import json, sys, boto3

endpoint, bucket = sys.argv[1:]

def client(service):
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1",
                        aws_access_key_id="first", aws_secret_access_key="first")

def user(name, actions):
    iam = client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return [key["AccessKeyId"], key["SecretAccessKey"]]

client("s3").create_bucket(Bucket=bucket)
print(json.dumps([user("writer", "s3:*"), user("reader", ["s3:GetObject", "s3:ListBucket"])]))
"""
# Calls of the above: after them every one needs a key.
_CALLS_WITHOUT_KEY = 7


class S3Server:
    """Server with one bucket, and users who may read it or write to it.

    Attributes:
        url: Its address.
        writer: Key and secret of a user who may do anything.
        reader: Key and secret of a user who may only read.
    """

    def __init__(self, environment: Path) -> None:
        self._held = HeldPort()
        self.url = f"http://{HOST}:{self._held.number}"
        self._python = environment / "bin" / "python"
        self._process: subprocess.Popen[bytes] | None = None
        self.writer: tuple[str, str] = ("", "")
        self.reader: tuple[str, str] = ("", "")

    def start(self) -> None:
        """Start it with an empty bucket, and return when it answers."""
        words = ["-m", "moto.server", "--host", HOST, "--port", str(self._held.number)]
        self._process = subprocess.Popen(
            [self._python, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "INITIAL_NO_AUTH_ACTION_COUNT": str(_CALLS_WITHOUT_KEY),
            },
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)
        variables = subprocess.run(
            [self._python, "-c", _SETUP, self.url, BUCKET],
            capture_output=True,
            timeout=_CALL_SECONDS,
            env={"PATH": os.environ["PATH"]},
        )
        assert variables.returncode == 0, variables.stderr.decode()
        writer, reader = json.loads(variables.stdout)
        self.writer, self.reader = (writer[0], writer[1]), (reader[0], reader[1])

    def freeze(self) -> None:
        """Let it answer no request."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again, waiting requests as well."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, and give its port back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_CALL_SECONDS)
        self._held.release()

    def variables(self, user: tuple[str, str] | None = None) -> dict[str, str]:
        """The environment of a backend that uses it."""
        key, secret = user or self.writer
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            # Credentials are not looked up elsewhere.
            "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",
        }

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5):
                return True
        except (OSError, http.client.HTTPException):
            return False


def environment_of_server() -> Path | None:
    """Find the environment with the server; return None if it is not installed."""
    variables = os.environ.get(VARIABLE)
    folder = Path(variables) if variables else None
    return folder if folder is not None and (folder / "bin" / "python").is_file() else None


@contextlib.contextmanager
def running_server() -> Iterator[S3Server]:
    """Run a server until the end of the block."""
    environment = environment_of_server()
    assert environment is not None
    server = S3Server(environment)
    try:
        server.start()
        yield server
    finally:
        server.close()
