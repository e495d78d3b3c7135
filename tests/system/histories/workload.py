"""Clients that use a few pools and rollouts at the same time, and record the answers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.system.histories.checker import Operation
from tests.system.histories.models import PoolState, RolloutSeen

# Sends a request to a backend: method, path, JSON body, idempotency key.
Send = Callable[[str, str, Any, str | None], httpx.Response]

_CLIENTS = 6
_SECONDS = 90.0


class Workload:
    """Clients of one service, which may be several backends.

    Args:
        sends: A sender for each backend; a request uses any of them.
        seed: Seed of the requests, not of their times.
        container_url: The container of the rollouts.
    """

    def __init__(self, sends: Sequence[Send], seed: int, container_url: str) -> None:
        self.operations: list[tuple[Hashable, Operation]] = []
        self._sends = sends
        self._seed = seed
        self._container_url = container_url
        self._lock = threading.Lock()

    def run(self, *, pools: int, keys: int, steps: int) -> None:
        """Let each client take `steps` with the pools, and twice as many with the rollouts."""
        pool_ids = [f"pool-{self._seed}-{number}" for number in range(pools)]
        home = f"home-{self._seed}"
        body = {"pool_id": home, "name": "x", "container_url": self._container_url}
        assert self._sends[0]("POST", "/v1/pools", body, None).status_code == 201
        rollout_keys = [f"key-{self._seed}-{number}" for number in range(keys)]
        ids: dict[str, str] = {}

        def work(number: int) -> None:
            chance = random.Random(f"{self._seed} {number}")
            for place in range(steps):
                # All use the same few objects at the same time.
                self._use_pool(chance, pool_ids[place * pools // steps], f"{number}.{place}")
                for _ in range(2):
                    self._use_rollout(chance, home, rollout_keys[place * keys // steps], ids)

        with ThreadPoolExecutor(_CLIENTS) as clients:
            for done in [clients.submit(work, number) for number in range(_CLIENTS)]:
                done.result(_SECONDS)

    def _send(
        self,
        chance: random.Random,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
    ) -> tuple[httpx.Response | None, float, float]:
        send = chance.choice(self._sends)
        called = time.monotonic()
        try:
            response = send(method, path, body, key)
        except httpx.TransportError:
            return None, called, float("inf")
        returned = time.monotonic()
        if response.status_code >= 500:
            return None, called, float("inf")
        return response, called, returned

    def _note(self, key: Hashable, operation: Operation) -> None:
        with self._lock:
            self.operations.append((key, operation))

    def _use_pool(self, chance: random.Random, pool_id: str, name: str) -> None:
        path = f"/v1/pools/{pool_id}"
        argument: Any = None
        body: Any = None
        weights = {"get": 5, "patch": 5, "create": 2, "pause": 2, "resume": 3, "admit": 3}
        requested = chance.choices([*weights, "delete"], [*weights.values(), 0.15])[0]
        match requested:
            case "create":
                argument = (name, chance.randint(1, 9))
                body = {"pool_id": pool_id, "name": argument[0], "concurrency": argument[1]}
                method, path = "POST", "/v1/pools"
            case "patch":
                # Updates of different fields: one must not revert another.
                argument = chance.choice([{"name": name}, {"concurrency": chance.randint(1, 99)}])
                method, body = "PATCH", argument
            case "admit":
                method, path, body = "POST", f"{path}/rollouts", {"seed": 1}
            case "get" | "delete":
                method = requested.upper()
            case _:
                method, path = "POST", f"{path}/{requested}"
        response, called, returned = self._send(chance, method, path, body)
        answer = None
        if response is not None:
            observed = None
            if response.is_success and requested != "admit":
                document = response.json()
                observed = PoolState(document["name"], document["concurrency"], document["status"])
            answer = (response.status_code, observed)
        self._note(pool_id, Operation(requested, argument, answer, called, returned))

    def _use_rollout(self, chance: random.Random, home: str, key: str, ids: dict[str, str]) -> None:
        rollout_id = ids.get(key)
        requested = chance.choices(
            ["create", "get", "events", "list", "cancel"], [2, 5, 4, 3, 0.2]
        )[0]
        if rollout_id is None or requested == "create":
            requested, request = "create", {"seed": 1, "params": {"seconds": 0.03}}
            sent = self._send(chance, "POST", f"/v1/pools/{home}/rollouts", request, key)
        elif requested == "events":
            path = f"/v1/rollouts/{rollout_id}/events?format=json&limit=1000"
            sent = self._send(chance, "GET", path)
        elif requested == "cancel":
            sent = self._send(chance, "POST", f"/v1/rollouts/{rollout_id}/cancel")
        elif requested == "list":
            sent = self._send(chance, "GET", f"/v1/pools/{home}/rollouts?limit=200")
        else:
            sent = self._send(chance, "GET", f"/v1/rollouts/{rollout_id}")
        response, called, returned = sent
        answer = None
        if response is not None:
            observed = _seen(requested, response, rollout_id)
            ids.setdefault(key, observed.rollout_id)
            answer = (response.status_code, observed)
        self._note(key, Operation(requested, None, answer, called, returned))


def _seen(request: str, response: httpx.Response, rollout_id: str | None) -> RolloutSeen:
    document = response.json()
    if not response.is_success:
        assert request == "cancel", (request, response.status_code, response.text)
        assert document["error"]["code"] == "rollout_finished", response.text
        return RolloutSeen(document["error"]["rollout_id"])
    if request == "list":
        results = [item for item in document["items"] if item["rollout_id"] == rollout_id]
        # One that is not there is another rollout's: no order explains it.
        return _told(results[0]) if results else RolloutSeen("missing from the list")
    if request == "events":
        events = tuple(f"{event['sequence']} {event['event']}" for event in document["events"])
        return RolloutSeen(document["rollout_id"], document["status"], None, events)
    return _told(document)


def _told(document: dict[str, Any]) -> RolloutSeen:
    values = {key: document[key] for key in ("finished_at", "score", "error") if key in document}
    result = json.dumps(values, sort_keys=True) if document.get("finished_at") else None
    return RolloutSeen(document["rollout_id"], document["status"], result)
