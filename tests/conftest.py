"""Settings of every test."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings

from codegen import CodegenError, unasync

# A shell starts its background jobs with ^C ignored, and every program that a test starts would
# inherit that and could not be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine may need longer than the five seconds that httpx waits by itself.
for phase in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, phase, 60.0)

# A slow machine is no failure of an example, and a run finds what the one before it found.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("suite")

# Folders whose tests are a set of their own, by their marker.
NAMES = (
    "environments",
    "foreign",
    "house",
    "lowest",
    "oci",
    "postgres",
    "ray",
    "s3",
    "system",
    "tools",
)
SETS = {name: Path(__file__).parent / name for name in NAMES}


def pytest_configure(config: pytest.Config) -> None:
    """Derive the sync tests of the client, before there is a worker that collects them."""
    if not hasattr(config, "workerinput"):
        try:
            unasync.update_tests(Path(__file__).parents[1])
        except CodegenError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector, and keep what was collected out of its later runs."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark the tests that are a set of their own, and begin with the longest.

    A long test that begins last would run alone, and all other workers would wait for it.
    """
    # Before some are chosen by their markers. Each worker asks for each test: by file, and once.
    sets: dict[Path, str | None] = {}
    for item in items:
        if item.path not in sets:
            names = (name for name, folder in SETS.items() if folder in item.path.parents)
            sets[item.path] = next(names, None)
        if name := sets[item.path]:
            item.add_marker(name)
    yield
    items.sort(key=_patience, reverse=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let no test whose warnings are errors meet the garbage of the tests before it."""
    if item.get_closest_marker("filterwarnings"):
        gc.collect()
    return (yield)


def _patience(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout") if item.get_closest_marker("system") else None
    return float(marker.args[0]) if marker else 0.0
