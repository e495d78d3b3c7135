"""Absence of side effects of a client on its program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import faults
from tests.support.fault_server import FaultServer

SYNC = """
import random, sys
from synth_pools import ContainerPoolsClient

random.seed(7)
with ContainerPoolsClient(api_key="k", base_url=sys.argv[1]) as client:
    print(client.get_pool("p"))
print(random.random() == random.Random(7).random())
"""
ASYNC = """
import asyncio, random, sys
from synth_pools import AsyncContainerPoolsClient

async def main():
    async with AsyncContainerPoolsClient(api_key="k", base_url=sys.argv[1]) as client:
        print(await client.get_pool("p"))

random.seed(7)
asyncio.run(main())
print(random.random() == random.Random(7).random())
"""


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_its_random_numbers(program: str) -> None:
    """Pauses between attempts use a separate source of random numbers."""
    with FaultServer([faults.answer({}, 503), faults.answer()]) as server:
        # In a separate process, since other threads take numbers in this one.
        done = subprocess.run(
            [sys.executable, "-c", program, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert len(server.requests) == 2
    assert done.stdout.split("\n") == ["{'ok': True}", "True", ""]
