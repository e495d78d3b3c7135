"""Ways in which a backend without a fault is served; each of them conforms."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.synchronize
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from synth_pools.contract import run_contract
from synth_pools.local import Limits, LocalBackend
from tests.contract.faults.fault import DOCUMENT, Fault, Passing, error_response
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response
from tests.contract.second_backend.serve import served
from tests.contract.selftest.watched import KEY

Serving = Callable[[], contextlib.AbstractContextManager[str]]


@contextlib.contextmanager
def _with_processes() -> Iterator[str]:
    with LocalBackend(api_key=KEY, allow_processes=True) as backend:
        yield backend.url


@contextlib.contextmanager
def _with_several_keys() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys"
        file.touch(0o600)
        file.write_text(f"other: another-key-0123456789\nours: {KEY}\n")
        with LocalBackend(api_keys_file=file) as backend:
            yield backend.url


@contextlib.contextmanager
def _with_small_limits() -> Iterator[str]:
    limits = Limits(
        max_body_bytes=256 * 1024,
        max_depth=50,
        max_page_items=10,
        max_header_bytes=8 * 1024,
        max_streams_per_rollout=4,
        max_event_bytes=4 * 1024,
    )
    with LocalBackend(api_key=KEY, limits=limits) as backend:
        yield backend.url


async def _no_loopback(request: Request, passing: Passing) -> Response | None:
    if b'"container_url":"http://127.0.0.1' in request.body:
        return error_response(403, "forbidden_container_url")
    return None


@contextlib.contextmanager
def _behind(fault: Fault | None = None, latency: float = 0.0, jitter: float = 0.0) -> Iterator[str]:
    with (
        LocalBackend(api_key=KEY) as backend,
        FaultProxy(backend.url, fault, KEY, latency, jitter) as proxy,
    ):
        yield proxy.url


def _burn(stop: multiprocessing.synchronize.Event) -> None:
    while not stop.is_set():
        sum(range(100_000))


@contextlib.contextmanager
def _on_a_busy_machine() -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    burners = [
        context.Process(target=_burn, args=(stop,), daemon=True) for _ in range(os.cpu_count() or 1)
    ]
    for burner in burners:
        burner.start()
    try:
        with LocalBackend(api_key=KEY) as backend:
            yield backend.url
    finally:
        stop.set()
        for burner in burners:
            burner.join(10.0)


WAYS: dict[str, Serving] = {
    "processes allowed": _with_processes,
    "several keys": _with_several_keys,
    "small limits": _with_small_limits,
    "echo alone": lambda: _behind(
        Fault("echo", "none", (), tuple(DOCUMENT.operations), before=_no_loopback)
    ),
    "0.3 s a request": lambda: _behind(latency=0.3, jitter=0.2),
    "1.5 s a request": lambda: _behind(latency=1.5, jitter=0.5),
    "a busy machine": _on_a_busy_machine,
    "the second backend": lambda: served({KEY: "we"}),
}

# Written by others than the local backend, and judged as a stranger's is.
STRANGE_WAYS = ("the second backend",)
# Their runs last as long as what they wait for: minutes.
SLOW_WAYS = ("0.3 s a request", "1.5 s a request")


def try_way(way: str, seed: int) -> tuple[str, int, float, str]:
    """Judge a backend that is served in one of these ways.

    Args:
        way: Its name.
        seed: What the kit chooses by.

    Returns:
        The name, the exit code, the seconds that the run took, and what it said.
    """
    began = time.monotonic()
    # Behind a slow line the generated requests would take an hour, and wait for nothing.
    slow = ("schema", "model", "client") if way in SLOW_WAYS else ()
    with WAYS[way]() as url:
        profile = "full" if way in STRANGE_WAYS else "quick"
        report = run_contract(url, api_key=KEY, seed=seed, profile=profile, skip=slow)
    said = [report.summary, *report.obstacles]
    said += [f"{group.first.check}: {group.first.got}" for group in report.groups]
    return way, report.exit_code, time.monotonic() - began, "; ".join(said)
