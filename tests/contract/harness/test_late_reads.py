"""A server whose readers lag now and then: all that comes of it is one entry."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import DOCUMENT, KEY, Fault, Passing, error_response, json_response
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response

_READS = ("get_pool", "get_rollout")
_CHANGES = tuple(op.id for op in DOCUMENT.operations.values() if op.method != "GET")


def _lagging() -> Fault:
    """Build a fault: after every second change of a pool, the first two reads are as before it."""
    changes: Counter[str | None] = Counter()
    copies: dict[str, Response] = {}
    answered: Counter[tuple[str, int]] = Counter()

    async def before(request: Request, passing: Passing) -> Response | None:
        pool_id = passing.ids.get("pool_id")
        if passing.operation in _CHANGES:
            changes[pool_id] += 1
            return None
        turn = request.path, changes[pool_id]
        if changes[pool_id] % 2 == 0 or answered[turn] > 1:
            return None
        answered[turn] += 1
        missing = error_response(404, f"{passing.operation[4:]}_not_found")
        copy = copies.get(request.path, missing)
        return json_response(copy.status, copy.json(), vary="Prefer")

    async def after(request: Request, response: Response, passing: Passing) -> Response:
        if passing.operation in _READS:
            copies[request.path] = response
        return response

    return Fault("lagging", "none", _READS, (*_READS, *_CHANGES), before=before, after=after)


def _judged(fault: Fault, **options: Any) -> Any:
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        return run_contract(proxy.url, api_key=KEY, seed=1, **options)


_ONLY = ("pools.patch", "tasks.deleted", "cancel.running")


@pytest.mark.system
def test_late_reads_are_one_entry_with_its_places() -> None:
    report = _judged(_lagging(), only=_ONLY)
    assert report.exit_code == 1
    assert len(report.departures) > 1
    (entry,) = report.groups
    assert set(entry.operations) <= {"get_pool", "get_rollout"}
    assert all("a late read" in place.first.title for place in entry.places)


def _busy() -> Fault:
    """Build a fault: a pool is answered as a balancer does that has no server."""

    async def before(request: Request, passing: Passing) -> Response | None:
        if passing.operation != "get_pool":
            return None
        return Response(503, [("content-type", "text/html")], b"<html></html>")

    return Fault("busy", "none", ("get_pool",), ("get_pool",), before=before)


@pytest.mark.system
def test_a_read_that_departs_while_late_reads_are_looked_for_holds_nothing_up() -> None:
    report = _judged(_busy(), only=("pools.patch",))
    assert report.exit_code != 0
    assert "late read" not in str(report.groups)
