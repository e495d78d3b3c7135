"""Scenarios of image releases, against canned answers: our backend has none."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.results import Report
from tests.contract.faults.fault import DOCUMENT, KEY
from tests.contract.selftest.watched import watched

_RELEASE = {"id": "r1", "release_id": "r1", "source_kind": "image_ref"}
_NOT_FOUND = {"detail": "gone", "error": {"code": "not_found", "message": "gone"}}
_CAPABILITIES = {
    "targets": ["arbitrary"],
    "features": {"echo": True, "image_releases": True},
    "version": "1",
}


class Releases:
    """At most one release, without a memory of its pool."""

    def __init__(self, *, keeps_deleted: bool) -> None:
        self._there = False
        self._keeps_deleted = keeps_deleted

    def __call__(self, operation: str) -> tuple[int, Any] | None:
        if operation == "get_capabilities":
            return 200, _CAPABILITIES
        if operation not in DOCUMENT.optional["image_releases"]:
            return None
        if operation == "create_image_release":
            self._there = True
            return 201, _RELEASE
        if operation == "list_image_releases":
            items = [_RELEASE] if self._there else []
            return 200, {"items": items, "releases": items, "next_cursor": None}
        if not self._there or "bind" in operation:
            return 404, _NOT_FOUND
        if operation == "delete_image_release":
            self._there = self._keeps_deleted
        return 200, _RELEASE


def judge(check: str, *, keeps_deleted: bool = False) -> Report:
    with watched(Releases(keeps_deleted=keeps_deleted)) as server:
        return run_contract(server.url, api_key=KEY, seed=1, profile="quick", only=(check,))


@pytest.mark.parametrize("check", ["images.lifecycle", "images.unknown"])
def test_a_server_that_has_them(check: str) -> None:
    report = judge(check)
    assert (report.departures, report.exit_code) == ((), 0)


@pytest.mark.parametrize("operation", ["get_image_release", "delete_image_release"])
def test_a_server_that_keeps_what_was_deleted(operation: str) -> None:
    report = judge("images.lifecycle", keeps_deleted=True)
    assert operation in {departure.operation for departure in report.departures}
