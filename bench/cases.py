"""Cases of the benchmark: a call, and the way in which each contender makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

HTTPX = "httpx"
HTTPX2 = "httpx2"
AIOHTTP = "aiohttp"
HTTP_CLIENT = "http.client"
OURS = "synth-pools"
OLDER = "synth-ai"

KEY = "sk_bench_0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}"}
POOL: dict[str, Any] = {
    "name": "p",
    "target": "arbitrary",
    "tasks": [],
    "metadata": {"note": "x" * 200},
}
ROLLOUT: dict[str, Any] = {
    "seed": 1,
    "mode": "async",
    "env": {"config": {"x": 0.1}},
    "metadata": {"run": "b"},
}


@dataclass(frozen=True)
class Addresses:
    """Addresses of the server, and what vouches for the second of them.

    Attributes:
        plain: Its http:// URL.
        secure: Its https:// URL.
        authority: Path of the PEM file of the authority behind its certificate.
    """

    plain: str
    secure: str
    authority: str


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: What is done.
        calls: How many calls one sample makes; the older client, far slower, makes fewer.
        floor: The ratio to bare httpx that is promised, where one is.
        contenders: By name, what makes a number of calls. Without bare httpx there are no ratios.
        at_once: How many of them are in flight at a time.
    """

    name: str
    calls: int
    floor: float | None
    contenders: dict[str, Callable[[int], None]]
    at_once: int = 1

    def calls_of(self, contender: str) -> int:
        return max(self.at_once, self.calls // 20) if contender == OLDER else self.calls


def repeat(call: Callable[[], object]) -> Callable[[int], None]:
    """Makes as many calls as it is asked for, one after the other."""

    def run(calls: int) -> None:
        for _ in range(calls):
            call()

    return run


def has_older() -> bool:
    """Tell whether the SDK before this one is installed, as in the benchmark's own environment."""
    return find_spec("synth_ai") is not None


def import_older() -> Any:
    """Import the pools of the SDK before this one; None where it is not installed."""
    return import_module("synth_ai.sdk.pools") if has_older() else None


def installed_only(cases: list[Case]) -> list[Case]:
    """Leave out the SDK before this one where it is not installed."""
    if has_older():
        return cases
    return [
        replace(case, contenders={who: run for who, run in case.contenders.items() if who != OLDER})
        for case in cases
    ]
