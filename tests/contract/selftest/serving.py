"""Ways to serve a backend without a fault; each of them conforms."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import multiprocessing.synchronize
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from synth_pools.contract import run_contract
from synth_pools.contract.results import Report
from synth_pools.local import Limits, LocalBackend
from tests.contract.faults.backends import container_key, plain, second_backend, with_processes
from tests.contract.faults.fault import DOCUMENT, KEY, OTHER_KEY, Fault, Passing, error_response
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response, Upstream
from tests.support.postgres_server import running_server

# A valid address on this machine: an invalid one is refused as such.
LOOPBACK = re.compile(rb'"container_url":"http://127\.0\.0\.1[!#-~]*"')
Serving = Callable[[], contextlib.AbstractContextManager[str]]


@contextlib.contextmanager
def _with_several_keys() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys"
        file.touch(0o600)
        file.write_text(f"other: {OTHER_KEY}\nours: {KEY}\n")
        with LocalBackend(api_keys_file=file) as backend:
            yield backend.url


@contextlib.contextmanager
def _with_processes_and_small_limits() -> Iterator[str]:
    limits = Limits(
        max_body_bytes=1024 * 1024,
        max_depth=50,
        max_page_items=10,
        max_header_bytes=8 * 1024,
        max_streams_per_rollout=4,
        max_event_bytes=4 * 1024,
    )
    # Generated requests meet processes here as well: in a run of their own they would meet nothing
    # else that is new.
    with container_key(), LocalBackend(api_key=KEY, limits=limits, allow_processes=True) as backend:
        yield backend.url


async def _no_loopback(request: Request, passing: Passing) -> Response | None:
    if LOOPBACK.search(request.body):
        return error_response(403, "forbidden_container_url")
    return None


async def _short_pages(request: Request, passing: Passing) -> Response | None:
    """End every page after its first item or event, whatever the client asks for."""
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    operation, limit = DOCUMENT.operations[passing.operation], query.get("limit", "1000")
    is_page = operation.is_paged or query.get("format") == "json"
    is_number = limit.isascii() and limit.isdecimal()
    if is_page and is_number and 1 < int(limit) <= 1000:
        # Other parameters stay as they are written, also where one comes twice.
        others = [part for part in request.query.split("&") if not part.startswith("limit=")]
        request.target = f"{request.path}?{'&'.join([*filter(None, others), 'limit=1'])}"
    return None


@contextlib.contextmanager
def _behind(fault: Fault | None = None, latency: float = 0.0, jitter: float = 0.0) -> Iterator[str]:
    with (
        LocalBackend(api_key=KEY) as backend,
        FaultProxy(backend.url, fault, KEY, latency, jitter) as proxy,
    ):
        yield proxy.url


class _RoundRobin(FaultProxy):
    """Proxy that sends each request to the next of several backends."""

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__(urls[0], None, KEY)
        self._turns = itertools.cycle([urlsplit(url).port or 80 for url in urls])

    async def _exchange(
        self, request: Request, upstream: Upstream
    ) -> tuple[Response, AsyncIterator[bytes] | None]:
        upstream.close()
        upstream.port = next(self._turns)
        return await super()._exchange(request, upstream)


@contextlib.contextmanager
def two_on_one_store(store: str) -> Iterator[str]:
    """Serve two backends that share a PostgreSQL database, behind a round robin."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        artifacts = Path(folder) / "artifacts"
        artifacts.mkdir()
        backends = [
            LocalBackend(Path(folder) / name, store=store, artifacts_dir=artifacts, api_key=KEY)
            for name in ("first", "second")
        ]
        urls = [stack.enter_context(backend).url for backend in backends]
        yield stack.enter_context(_RoundRobin(urls)).url


@contextlib.contextmanager
def _two_on_a_new_store() -> Iterator[str]:
    with running_server() as server, two_on_one_store(server.new_database("shared")) as url:
        yield url


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
    "processes allowed": with_processes,
    "several keys": _with_several_keys,
    "processes and small limits": _with_processes_and_small_limits,
    "echo alone": lambda: _behind(
        Fault("echo", "none", (), tuple(DOCUMENT.operations), before=_no_loopback)
    ),
    "short pages": lambda: _behind(
        Fault("short", "none", (), tuple(DOCUMENT.operations), before=_short_pages)
    ),
    "0.3 s a request": lambda: _behind(latency=0.3, jitter=0.2),
    "1.5 s a request": lambda: _behind(latency=1.5, jitter=0.5),
    "a busy machine": _on_a_busy_machine,
    "two backends on one store": _two_on_a_new_store,
    "the second backend": second_backend,
    "fewer features": plain,
}

# Different code from the local backend's, judged like a stranger's.
STRANGE_WAYS = ("the second backend",)
# They need a PostgreSQL server.
STORE_WAYS = ("two backends on one store",)
# Their runs wait for minutes.
SLOW_WAYS = ("0.3 s a request", "1.5 s a request")
# Uses all processors.
BUSY_WAYS = ("a busy machine",)


@dataclass(frozen=True, slots=True)
class Faultless:
    """Verdict of the kit on a backend without a fault; `how` is how it is served, or the seed."""

    how: str | int
    exit_code: int
    seconds: float
    details: str


def try_way(way: str, seed: int, skip: tuple[str, ...] = ()) -> Faultless:
    """Judge a backend that is served in one of these ways, with this seed."""
    began = time.monotonic()
    # On a slow connection the generated requests would take an hour.
    skip = ("schema", "model", "client") if way in SLOW_WAYS else skip
    strange = way in STRANGE_WAYS
    with WAYS[way]() as url:
        report = run_contract(
            url,
            api_key=KEY,
            other_key=OTHER_KEY if strange else None,
            seed=seed,
            profile="full" if strange else "quick",
            skip=skip,
        )
    return faultless(way, report, began)


def faultless(how: str | int, report: Report, began: float) -> Faultless:
    details = [report.summary, *report.obstacles]
    details += [
        f"{group.first.check} of {', '.join(group.operations)}: {group.first.got}"
        for group in report.groups
    ]
    return Faultless(how, report.exit_code, time.monotonic() - began, "; ".join(details))
