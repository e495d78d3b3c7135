"""Scenarios of deployments, against canned answers: our backend has none."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract import run_contract
from tests.contract.faults.fault import DOCUMENT, KEY
from tests.contract.selftest.watched import watched

_CODES = {200: "", 404: "not_found", 500: "internal_error", 501: "not_implemented"}


@pytest.mark.parametrize(
    ("check", "offered", "status", "departs"),
    [
        ("deployments.not_offered", False, 501, False),
        ("deployments.not_offered", False, 404, True),
        ("deployments.not_offered", False, 500, True),
        ("deployments.unknown", True, 404, False),
        ("deployments.unknown", True, 200, True),
    ],
)
def test_servers_with_and_without_them(
    check: str, offered: bool, status: int, departs: bool
) -> None:
    def choose(operation: str) -> tuple[int, Any] | None:
        if operation == "get_capabilities":
            features = {"echo": True, "deployments": offered}
            return 200, {"targets": ["arbitrary"], "features": features, "version": "1"}
        if operation not in DOCUMENT.optional["deployments"]:
            return None
        error = {"code": _CODES[status], "message": "no"}
        return status, {"detail": "no", "error": error} if status >= 400 else {}

    with watched(choose) as server:
        report = run_contract(server.url, api_key=KEY, seed=1, profile="quick", only=(check,))
    operations = {departure.operation for departure in report.departures}
    assert operations == (set(DOCUMENT.optional["deployments"]) if departs else set())
