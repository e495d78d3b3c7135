"""Container of our SDK whose rollouts have a cost before they end, and what is read of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from synth_pools.container import Container, Rollout
from tests.support.backend_server import Server, eventually

USAGE = {"input_tokens": 12, "output_tokens": 4, "cost_usd": 0.5}


@contextmanager
def spending_container() -> Iterator[tuple[str, threading.Event]]:
    """Yield its URL, and what lets its rollouts go on: `env.seconds` later they complete."""
    container, goes_on = Container("spends", concurrency=64), threading.Event()

    @container.rollout
    async def play(rollout: Rollout) -> float:
        rollout.usage(**USAGE)
        rollout.step("agent", "x" * 5000)
        rollout.artifact("notes.txt", "so far")
        rollout.reward = 0.25
        rollout.event({"step": 1})
        await asyncio.to_thread(goes_on.wait)
        await asyncio.sleep(rollout.env["seconds"])
        return 1.0

    with container.running() as url:
        yield url, goes_on
        goes_on.set()


def begun(server: Server, pool_id: str, number: int = 1, **request: Any) -> list[str]:
    """Start rollouts; return their ids once they have reported what they have used."""
    envs = [{"seconds": place % 8 * 0.03} for place in range(number)]
    ids = [str(server.rollout(pool_id, env=env, **request)["id"]) for env in envs]
    for rollout_id in ids:
        path = f"/v1/rollouts/{rollout_id}/events?format=json"
        eventually(lambda p=path: "agent" in [e["event"] for e in server.get(p)["events"]])  # type: ignore[misc]
    return ids


def cancel(server: Server, rollout_id: str) -> Any:
    return server.send("POST", f"/v1/rollouts/{rollout_id}/cancel").json()


def answered(server: Server, rollout_id: str) -> Any:
    """A rollout, once it has an answer of its container."""

    def look() -> Any:
        rollout = server.get(f"/v1/rollouts/{rollout_id}")
        return rollout if rollout["result"] else None

    return eventually(look)


def scraped(server: Server) -> dict[str, float]:
    """The figures of rollouts for Prometheus."""
    prefix = "synth_pools_rollout_"
    lines = server.send("GET", "/metrics").text.splitlines()
    values = (line.removeprefix(prefix).split() for line in lines if line.startswith(prefix))
    return {name: float(value) for name, value in values}
