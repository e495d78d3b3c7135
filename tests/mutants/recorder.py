"""Plugin of pytest: tell coverage.py which test runs, and write down how each one ends.

It is loaded by the test runs of mutants, and knows nothing of this repository.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if "coverage" in sys.modules:
        measurement = sys.modules["coverage"].Coverage.current()
        if measurement is not None:
            measurement.switch_context(item.nodeid)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # A worker of pytest-xdist passes its reports on to the process that gave it the test.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        line = json.dumps([report.nodeid, report.outcome, report.duration])
        with Path(os.environ["RECORDER_FILE"]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
