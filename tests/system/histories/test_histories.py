"""Histories of clients that use the same pools and rollouts at the same time are linearizable.

Each fault is planted between the clients and the backend, and the check has to find it.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.support.backend_server import Server
from tests.support.container_process import container_processes
from tests.system.histories.checker import Refutation, by_key, refute
from tests.system.histories.models import POOL, ROLLOUT
from tests.system.histories.workload import Send, Workload


@pytest.fixture(scope="module")
def container_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("container")
    with container_processes(folder, "forgetting") as (container,):
        yield container.url


def send_to(server: Server) -> Send:
    def send(method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        headers = {} if key is None else {"idempotency-key": key}
        return server.send(method, path, json=body, headers=headers)

    return send


def refutations(workload: Workload) -> list[Refutation]:
    results = []
    for history in by_key(workload.operations):
        names = {operation.name for operation in history}
        model: Any = ROLLOUT if names <= {"create", "get", "events", "list", "cancel"} else POOL
        refutation = refute(history, model)
        if refutation is not None:
            results.append(refutation)
    return results


@pytest.mark.parametrize("seed", range(3))
def test_a_backend_is_linearizable(server: Server, container_url: str, seed: int) -> None:
    workload = Workload([send_to(server)] * 2, seed, container_url)
    workload.run(pools=12, keys=24, steps=120)
    assert list(map(str, refutations(workload))) == []
    answered = [operation for _, operation in workload.operations if operation.is_known]
    assert len(answered) == len(workload.operations) == 6 * 3 * 120


class Fault:
    """A way to a backend on which something is wrong."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        raise NotImplementedError

    def close(self) -> None:
        """Wait for its pending notices."""


class _Stale(Fault):
    """A read that is answered with what was read a moment ago."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self._last: dict[str, tuple[float, httpx.Response]] = {}

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        if method == "GET" and path in self._last:
            at, response = self._last[path]
            if time.monotonic() - at < 0.05:
                return response
        response = self._send(method, path, body, key)
        if method == "GET":
            self._last[path] = (time.monotonic(), response)
        return response


class _LostUpdate(Fault):
    """A change of one field that is written with the others as they were read before it."""

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        if method == "PATCH":
            before = self._send("GET", path, None, None)
            if before.is_success:
                fields = {name: before.json()[name] for name in ("name", "concurrency")}
                return self._send(method, path, {**fields, **body}, key)
        return self._send(method, path, body, key)


class _NoFence(Fault):
    """A late answer of one that was taken off a rollout, which is written over the outcome."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self._reads = 0

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        response = self._send(method, path, body, key)
        if method == "GET" and path.startswith("/v1/rollouts/") and "events" not in path:
            document = response.json()
            self._reads += 1
            if document["status"] == "completed" and self._reads % 3 == 0:
                return httpx.Response(200, json={**document, "score": 17.0})
        return response


class _KeyRace(Fault):
    """Two simultaneous creations with one key, neither of which sees the other."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self._under_way: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        if key is None:
            return self._send(method, path, body, key)
        with self._lock:
            self._under_way[key] += 1
            is_alone = self._under_way[key] == 1
        try:
            return self._send(method, path, body, key if is_alone else f"{key}-{random.random()}")
        finally:
            with self._lock:
                self._under_way[key] -= 1


class _OutOfOrder(Fault):
    """Events in the order of their sending, not of their numbers."""

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        response = self._send(method, path, body, key)
        document = json.loads(response.content)
        events = document.get("events", []) if response.is_success else []
        if len(events) == 2:
            return httpx.Response(200, json={**document, "events": events[::-1]})
        return response


class _EarlyAnswer(Fault):
    """A change that is answered before it is written."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self._late: list[threading.Timer] = []

    def close(self) -> None:
        for late in self._late:
            late.join()

    def __call__(self, method: str, path: str, body: Any, key: str | None) -> httpx.Response:
        if method == "PATCH":
            before = self._send("GET", path, None, None)
            if before.is_success and before.json()["status"] != "archived":
                self._late.append(threading.Timer(0.05, self._send, (method, path, body, key)))
                self._late[-1].start()
                return httpx.Response(200, json={**before.json(), **body})
        return self._send(method, path, body, key)


FAULTS = [_Stale, _LostUpdate, _NoFence, _KeyRace, _OutOfOrder, _EarlyAnswer]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(
    start: Callable[..., Server], container_url: str, fault: type[Fault]
) -> None:
    with closing(fault(send_to(start()))) as send:
        for seed in range(5):
            workload = Workload([send], seed, container_url)
            workload.run(pools=6, keys=12, steps=60)
            if refutations(workload):
                return
    pytest.fail("five histories of 1,080 operations each were taken for right")
