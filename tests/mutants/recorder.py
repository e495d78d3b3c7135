"""Plugin of pytest: run chosen tests, say to coverage.py which one runs, and write down its end.

The test runs of the mutants load it, in each worker of pytest-xdist; it knows nothing of this repo.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

_OUTCOMES = pytest.StashKey[set[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that were chosen. Those of their functions with other parameters go."""
    chosen = os.environ.get("RECORDER_TESTS")
    if chosen is None:
        return
    names = {key_of(name) for name in Path(chosen).read_text(encoding="utf-8").splitlines()}
    others = [item for item in items if key_of(_name(item)) not in names]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if key_of(_name(item)) in names]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if "coverage" in sys.modules:
        measured = sys.modules["coverage"].Coverage.current()
        if measured is not None:
            measured.switch_context(item.nodeid)
    begun, item.stash[_OUTCOMES] = time.monotonic(), set()
    done = yield
    outcomes = item.stash[_OUTCOMES]
    line = {
        # Programs that a test starts are told this; pytest finds the test by its name.
        "context": item.nodeid,
        "name": _name(item),
        "seconds": time.monotonic() - begun,
        "passed": outcomes == {"passed"},
        "skipped": "skipped" in outcomes and "failed" not in outcomes,
    }
    path = Path(os.environ["RECORDER_FOLDER"]) / f"{os.getpid()}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_OUTCOMES].add(report.outcome)
    return report


def _name(item: pytest.Item) -> str:
    """Return the test's name without the group that pytest-xdist puts behind it."""
    group = item.get_closest_marker("xdist_group")
    words = [*group.args, *group.kwargs.values()] if group else []
    return item.nodeid.removesuffix(f"@{words[0]}") if words else item.nodeid


def key_of(name: str) -> tuple[str, ...]:
    """Tell tests apart: which parameter comes first depends on the folder that pytest is given."""
    function, _, parameters = name.partition("[")
    return function, *sorted(parameters.removesuffix("]").split("-"))
