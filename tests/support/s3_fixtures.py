"""A server of S3-compatible storage for tests; they say where it is not installed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.content_places import BucketOfTests
from tests.support.s3_server import VARIABLE, S3Server, environment_of_server, running_server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for all tests of a worker: each has a prefix of its own."""
    if environment_of_server() is None:
        pytest.skip(f"no server of S3-compatible storage: make test-s3 installs one ({VARIABLE})")
    with running_server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> BucketOfTests:
    """An empty place in its bucket, with the variables of one who may write there."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.variables().items():
        monkeypatch.setenv(name, value)
    return BucketOfTests(s3_server, f"tests/{uuid.uuid4().hex[:12]}")
