"""Backends that faults are planted in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from synth_pools.local import Limits, LocalBackend
from tests.contract.faults import RULE
from tests.contract.faults.fault import CONTAINER_KEY, KEY, OTHER_KEY, Fault
from tests.contract.faults.proxy import FaultProxy
from tests.contract.second_backend.serve import served


@contextlib.contextmanager
def container_key() -> Iterator[None]:
    """Put a key of containers in the environment."""
    name = "ENVIRONMENT_API_KEY"
    former = os.environ.get(name)
    os.environ[name] = CONTAINER_KEY
    try:
        yield
    finally:
        if former is None:
            del os.environ[name]
        else:
            os.environ[name] = former


@contextlib.contextmanager
def with_processes() -> Iterator[str]:
    with container_key(), LocalBackend(api_key=KEY, allow_processes=True) as backend:
        yield backend.url


@contextlib.contextmanager
def _local() -> Iterator[str]:
    with LocalBackend(api_key=KEY) as backend:
        yield backend.url


@contextlib.contextmanager
def _small() -> Iterator[str]:
    """Serve a backend whose queues are short, and whose containers have a key."""
    limits = Limits(max_queued_per_pool=4)
    with container_key(), LocalBackend(api_key=KEY, limits=limits, allow_processes=True) as backend:
        yield backend.url


@contextlib.contextmanager
def second_backend(broken: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve the second backend to two organisations, with a key of containers in the environment.

    Args:
        broken: The rules that it does not keep.

    Yields:
        Its URL.
    """
    with container_key(), served({KEY: "we", OTHER_KEY: "they"}, broken) as url:
        yield url


# The second backend without the features that change what a request of all backends does.
LACKING = ("event_resume", "idempotency_keys", "sync_mode")


@contextlib.contextmanager
def plain() -> Iterator[str]:
    """Serve the second backend without some of its features."""
    with container_key(), served({KEY: "we"}, lacking=LACKING) as url:
        yield url


# Backends by the name in `Fault.backend`.
BACKENDS: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
    "local": _local,
    "processes": with_processes,
    "small": _small,
    "second": second_backend,
    "plain": plain,
}


@contextlib.contextmanager
def faulty(fault: Fault | None) -> Iterator[tuple[str, str | None]]:
    """Serve the backend that a fault is planted in.

    Args:
        fault: The fault; None for the local backend without any.

    Yields:
        Its URL, and the key of a second organisation where the backend has two.
    """
    if fault is not None and fault.kind == RULE:
        with second_backend((fault.name,)) as url:
            yield url, OTHER_KEY
        return
    kind = "local" if fault is None else fault.backend
    with BACKENDS[kind]() as url, FaultProxy(url, fault, KEY) as proxy:
        yield proxy.url, OTHER_KEY if kind == "second" else None
