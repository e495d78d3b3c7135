"""httpx2 is used only with a client of the caller's."""

from __future__ import annotations

import subprocess
import sys

import httpx
import httpx2
import pytest

from synth_pools import AsyncContainerPoolsClient, ConfigurationError, ContainerPoolsClient
from tests.support.leaks import KEY
from tests.support.recording import RecordingServer, Reply

# Each program runs in a new interpreter: this one has imported both libraries.
_WITHOUT = """
import asyncio, sys
sys.modules["httpx2"] = None
import httpx
from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient, NotFoundError

setting = dict(api_key="k", base_url=sys.argv[1], max_retries=0)
for http in (None, httpx.Client()):
    try:
        ContainerPoolsClient(**setting, http_client=http).get_pool("p")
    except NotFoundError:
        print("sync")

async def main():
    for http in (None, httpx.AsyncClient()):
        try:
            await AsyncContainerPoolsClient(**setting, http_client=http).get_pool("p")
        except NotFoundError:
            print("async")

asyncio.run(main())
assert sys.modules["httpx2"] is None
"""
_UNDER_THE_OLD_NAME = """
import sys
import httpx2
httpx2.alias_httpx()
import httpx
from synth_pools import ContainerPoolsClient

assert httpx is httpx2
setting = dict(api_key="k", base_url=sys.argv[1], max_retries=0)
for http in (None, httpx.Client()):
    try:
        ContainerPoolsClient(**setting, http_client=http).get_pool("p")
    except httpx2.HTTPStatusError as error:
        print(type(error).__name__)
"""


def run(program: str) -> list[str]:
    with RecordingServer(Reply.json({}, 404)) as server:
        command = [sys.executable, "-c", program, server.url]
        process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def test_clients_do_without_it() -> None:
    assert run(_WITHOUT) == ["sync", "sync", "async", "async"]


def test_it_may_stand_in_for_httpx() -> None:
    assert run(_UNDER_THE_OLD_NAME) == ["NotFoundError", "NotFoundError"]


def test_clients_of_both_libraries_are_accepted() -> None:
    """Type checkers accept them too: `make check` reports an ignored error that does not occur."""
    ContainerPoolsClient(api_key=KEY, http_client=httpx.Client())
    ContainerPoolsClient(api_key=KEY, http_client=httpx2.Client())
    AsyncContainerPoolsClient(api_key=KEY, http_client=httpx.AsyncClient())
    AsyncContainerPoolsClient(api_key=KEY, http_client=httpx2.AsyncClient())
    refused = pytest.raises(ConfigurationError, match=r"an httpx\.\w+ or an httpx2\.\w+, not \w+$")
    with refused:
        ContainerPoolsClient(api_key=KEY, http_client=httpx.AsyncClient())  # type: ignore[arg-type]
    with refused:
        ContainerPoolsClient(api_key=KEY, http_client=httpx2.AsyncClient())  # type: ignore[arg-type]
    with refused:
        AsyncContainerPoolsClient(api_key=KEY, http_client=httpx.Client())  # type: ignore[arg-type]
    with refused:
        AsyncContainerPoolsClient(api_key=KEY, http_client=httpx2.Client())  # type: ignore[arg-type]
