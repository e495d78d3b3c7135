"""Cases of the benchmark: a call, and a function of each contender that makes it."""

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
    """Addresses of the server, and the authority of its certificate.

    Attributes:
        plain: Its http:// URL.
        secure: Its https:// URL.
        authority: Path of the PEM file of the authority.
    """

    plain: str
    secure: str
    authority: str


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: Description of the call.
        calls: Calls in a sample; the older client, which is slower, makes fewer.
        floor: Promised ratio to bare httpx; None without a promise.
        contenders: Functions that make a number of calls, by name. Without bare httpx the case has
            no ratios.
        at_once: Calls in flight at a time.
    """

    name: str
    calls: int
    floor: float | None
    contenders: dict[str, Callable[[int], None]]
    at_once: int = 1

    def calls_of(self, contender: str) -> int:
        return max(self.at_once, self.calls // 4) if contender == OLDER else self.calls


def repeat(call: Callable[[], object]) -> Callable[[int], None]:
    """Return a function that makes a number of calls, one after the other."""

    def run(calls: int) -> None:
        for _ in range(calls):
            call()

    return run


def has_older() -> bool:
    """Check that the previous SDK is installed, as in the environment of the benchmark."""
    return find_spec("synth_ai") is not None


def import_older() -> Any:
    """Import the pools of the previous SDK; None where it is not installed."""
    return import_module("synth_ai.sdk.pools") if has_older() else None


def installed_only(cases: list[Case]) -> list[Case]:
    """Remove the previous SDK from the cases where it is not installed."""
    if has_older():
        return cases
    return [
        replace(
            case, contenders={name: run for name, run in case.contenders.items() if name != OLDER}
        )
        for case in cases
    ]
