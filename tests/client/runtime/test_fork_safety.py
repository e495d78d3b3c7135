"""A client that is used after a fork, and by many threads at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth_pools import AsyncContainerPoolsClient, ClientClosedError, ContainerPoolsClient
from synth_pools._client.runtime.sync_ import sockets
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P
from tests.support.variants import HTTP_LIBRARIES, send_through

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process, and return its exit status: 0 without an error."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def numbers(server: FaultServer) -> list[int]:
    return [request.connection for request in server.requests]


@pytest.mark.usefixtures("long_idle")
def test_a_forked_client_opens_its_own_connections(server: FaultServer) -> None:
    client = ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60, max_retries=0)
    view = client.with_options(timeout=59)
    client.get_pool(P)

    def work() -> None:
        for _ in range(2):
            client.get_pool(P)
            view.get_pool(P)
        client.close()

    assert in_child(work) == 0
    assert in_child(work) == 0
    client.get_pool(P)
    # One connection for the parent, before and after; one for each child.
    assert numbers(server) == [1, 2, 2, 2, 2, 3, 3, 3, 3, 1]
    client.close()


@pytest.mark.usefixtures("long_idle")
@pytest.mark.parametrize("library", HTTP_LIBRARIES)
def test_a_forked_async_client_does_too(
    server: FaultServer, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_through(library, monkeypatch)
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60, max_retries=0)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.get_pool(P))

    def work() -> None:
        asyncio.run(client.get_pool(P))

    assert in_child(work) == 0
    loop.run_until_complete(client.get_pool(P))
    loop.run_until_complete(client.aclose())
    loop.close()
    assert numbers(server) == [1, 2, 1]


def test_a_fork_while_another_thread_makes_its_first_call(server: FaultServer) -> None:
    client = ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)
    client.get_pool(P)
    with client._transport._connections._lock:
        assert in_child(lambda: client.get_pool(P)) == 0
    client.close()


def test_a_fork_while_another_thread_resolves_a_name(server: FaultServer) -> None:
    url = server.url.replace("127.0.0.1", "localhost")
    client = ContainerPoolsClient(api_key=KEY, base_url=url, timeout=60, deadline=20)
    with sockets._lookups.lock:
        assert in_child(lambda: client.get_pool(P)) == 0
    client.close()


SLOW_IMPORTS = """
import os, sys, threading, time
from importlib.abc import MetaPathFinder
from synth_pools import ContainerPoolsClient

slow, importing = sys.argv[2:], threading.Event()

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in slow:
            slow.remove(name)
            importing.set()
            time.sleep(0.05)

sys.meta_path.insert(0, Finder())
client = ContainerPoolsClient(api_key="key-4711-4711", base_url=sys.argv[1], max_retries=0)
thread = threading.Thread(target=client.create_pool, args=[{}])
thread.start()
assert importing.wait(60)
child = os.fork()
if child == 0:
    client.create_pool({})
    os._exit(0)
deadline = time.monotonic() + 60
while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
    if time.monotonic() > deadline:
        os.kill(child, 9)
    time.sleep(0.01)
thread.join()
sys.exit(os.waitstatus_to_exitcode(ended[1]))
"""


@pytest.mark.parametrize(
    "module",
    [
        "synth_pools._client.http.sync_.socket_engine",
        "synth_pools._client.http.http1.heads",
        "synth_pools_api.api.pools.create_pool",
    ],
)
def test_a_fork_while_another_thread_imports_what_its_first_call_needs(
    server: FaultServer, module: str
) -> None:
    url = server.url.replace("127.0.0.1", "localhost")
    completed = subprocess.run(
        [sys.executable, "-c", SLOW_IMPORTS, url, module],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")


def test_many_threads_and_a_service_that_fails(server: FaultServer) -> None:
    def choose(_: object) -> faults.Fault:
        number = len(server.requests)
        if number % 7 == 0:
            return faults.reset()
        return faults.html(502) if number % 11 == 0 else faults.answer()

    server.play(choose=choose)
    with (
        ContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=60, max_retries=20
        ) as client,
        ThreadPoolExecutor(24) as threads,
    ):
        client._transport.random = lambda: 0.0
        answers = list(threads.map(client.get_pool, [P] * 400))
    assert answers == [{"ok": True}] * 400
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)


def test_closing_while_other_threads_call(server: FaultServer) -> None:
    server.play(faults.late(0.01))
    client = ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)
    started = threading.Event()

    def use() -> None:
        while True:
            client.get_pool(P)
            started.set()

    with ThreadPoolExecutor(8) as threads:
        ends = [threads.submit(use) for _ in range(8)]
        assert started.wait(60)
        client.close()
        errors = [end.exception(timeout=60) for end in ends]
    assert [type(error) for error in errors] == [ClientClosedError] * 8, errors
