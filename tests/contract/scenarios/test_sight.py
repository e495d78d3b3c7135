"""Scenarios see the faults that they are for, and raise no false alarm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.results import Outcome, Report
from tests.contract.faults import FAULTS, Fault
from tests.contract.faults.backends import BACKENDS
from tests.contract.faults.fault import CONTAINER_KEY, KEY
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.sentences import unexplained

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

# Checks or their subjects by backend, and the checks that have to judge something.
_CLEAN = [
    (
        "local",
        ("accounts", "auth", "containers.slow", "errors", "events", "fields", "keys", "refusals"),
        {"accounts.open", "refusals.archived"},
    ),
    ("local", ("outages", "health"), {"outages.returns", "outages.elsewhere", "health.taken_out"}),
    (
        "processes",
        ("processes", "process_logs"),
        {"processes.warming", "processes.failed", "process_logs.many"},
    ),
    ("small", ("full.queue", "container_keys.sent"), {"full.queue", "container_keys.sent"}),
]


class Backends:
    """Backends of this process, each started when it is first used."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._urls: dict[str, str] = {}

    def url(self, kind: str) -> str:
        if kind not in self._urls:
            self._urls[kind] = self._stack.enter_context(BACKENDS[kind]())
        return self._urls[kind]


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with contextlib.ExitStack() as stack:
        yield Backends(stack)


def _judged(url: str, fault: Fault | None, *only: str) -> Report:
    with FaultProxy(url, fault, KEY) as proxy:
        return run_contract(
            proxy.url, api_key=KEY, seed=1, profile="quick", only=only, skip=("schema",)
        )


def _of_backend(kind: str, *values: Any, name: str) -> Any:
    return pytest.param(*values, id=name, marks=pytest.mark.xdist_group(f"sight-{kind}"))


@pytest.mark.parametrize(
    ("kind", "only", "expected"),
    [_of_backend(row[0], *row, name="-".join(row[1][:2])) for row in _CLEAN],
)
def test_nothing_is_seen_where_there_is_no_fault(
    backends: Backends, kind: str, only: tuple[str, ...], expected: set[str]
) -> None:
    report = _judged(backends.url(kind), None, *only)
    assert report.exit_code == 0, [(group.first.check, group.first.got) for group in report.groups]
    assert expected <= {
        outcome.check for outcome in report.outcomes if outcome.outcome is Outcome.HELD
    }
    if kind == "small":
        judged = {outcome.operation for outcome in report.outcomes if outcome.check in only}
        assert judged <= {
            outcome.operation for outcome in report.outcomes if outcome.outcome is Outcome.HELD
        }


@pytest.mark.parametrize(
    "fault", [_of_backend(fault.backend, fault, name=fault.name) for fault in FAULTS if fault.check]
)
def test_the_scenario_sees_its_fault_and_names_the_operation(
    backends: Backends, fault: Fault
) -> None:
    report = _judged(backends.url(fault.backend), fault, fault.check)
    assert report.exit_code == 1, report.summary
    assert (fault.rule or fault.check) in {group.first.check for group in report.groups}
    assert set(fault.operations) & {name for group in report.groups for name in group.operations}
    assert unexplained(report) == ()
    # Not even a backend that tells it has the kit tell it.
    assert CONTAINER_KEY not in str(report.departures)


@pytest.mark.xdist_group("sight-small")
def test_a_whole_number_is_counted_however_it_is_written(backends: Backends) -> None:
    url = backends.url("small")
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    body = b'{"pool_id": "seven", "concurrency": 7.0}'
    created = httpx.post(f"{url}/v1/pools", content=body, headers=headers)
    assert created.status_code == 201
    report = run_contract(url, api_key=KEY, seed=1, only=("service.queue_counts",))
    assert report.exit_code == 0, [
        (group.first.expected, group.first.got) for group in report.groups
    ]
