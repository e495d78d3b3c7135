"""One call after the other, in one thread."""

from __future__ import annotations

import json
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import httpx

from bench.cases import HTTPX, KEY, OLDER, OURS, POOL, ROLLOUT, Case, repeat
from bench.server import EVENTS, LONG, POOL_ID
from synth_pools import ContainerPoolsClient

_EVENTS_PATH = f"/v1/pools/{POOL_ID}/rollouts/{LONG}/events"


def sync_cases(url: str, stack: ExitStack) -> list[Case]:
    """The cases, on clients that `stack` closes."""
    bare = stack.enter_context(
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30.0)
    )
    ours = stack.enter_context(ContainerPoolsClient(api_key=KEY, base_url=url))
    # Not an import statement: the package is in no environment but the benchmark's own.
    older: Any = import_module("synth_ai.sdk.pools").ContainerPoolsClient(
        api_key=KEY, backend_base=url
    )

    def bare_get(path: str, params: dict[str, Any] | None = None) -> Any:
        return bare.get(path, params=params).raise_for_status().json()

    def bare_post(path: str, body: dict[str, Any]) -> Any:
        return bare.post(path, json=body).raise_for_status().json()

    def bare_stream() -> None:
        count = 0
        with bare.stream("GET", _EVENTS_PATH) as response:
            for line in response.iter_lines():
                if line.startswith("data:"):
                    count += bool(json.loads(line[5:]))
        _check(count)

    def events_of(client: Any) -> None:
        _check(sum(1 for _ in client.stream_rollout_events(POOL_ID, LONG)))

    return [
        Case(
            "GET, 1 KB",
            200,
            0.95,
            {
                HTTPX: repeat(lambda: bare_get(f"/v1/pools/{POOL_ID}")),
                OURS: repeat(lambda: ours.get_pool(POOL_ID)),
                OLDER: repeat(lambda: older.get_pool(POOL_ID)),
            },
        ),
        Case(
            "POST, 1 KB",
            200,
            0.95,
            {
                HTTPX: repeat(lambda: bare_post("/v1/pools", POOL)),
                OURS: repeat(lambda: ours.create_pool(POOL)),
                OLDER: repeat(lambda: older.create_pool(POOL)),
            },
        ),
        Case(
            "create a rollout",
            200,
            0.95,
            {
                HTTPX: repeat(lambda: bare_post(f"/v1/pools/{POOL_ID}/rollouts", ROLLOUT)),
                OURS: repeat(lambda: ours.create_rollout(POOL_ID, ROLLOUT)),
                OLDER: repeat(lambda: older.create_rollout(POOL_ID, ROLLOUT)),
            },
        ),
        Case(
            "page of 100, 60 KB",
            60,
            0.95,
            {
                HTTPX: repeat(lambda: bare_get("/v1/pools", {"limit": 100})),
                OURS: repeat(lambda: ours.list_pools(limit=100)),
                OLDER: repeat(lambda: older.list_pools(limit=100)),
            },
        ),
        Case(
            f"stream of {EVENTS:,} events",
            1,
            0.95,
            {
                HTTPX: repeat(bare_stream),
                OURS: repeat(lambda: events_of(ours)),
                OLDER: repeat(lambda: events_of(older)),
            },
        ),
    ]


def _check(count: int) -> None:
    if count != EVENTS:
        raise RuntimeError(f"{count} events came, not {EVENTS}")
