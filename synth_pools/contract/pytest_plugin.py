"""Tests of the contract for a backend's own suite, one for each operation.

>>> from synth_pools.contract.pytest_plugin import contract_tests
>>> test_contract = contract_tests("http://127.0.0.1:8080", api_key="...", profile="quick")
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from synth_pools.contract.document import Document, read_specification
from synth_pools.contract.http.reproduce import curl_line
from synth_pools.contract.results import Departure, Report
from synth_pools.contract.run import run_contract


def contract_tests(
    url: str | Callable[[], str],
    *,
    api_key: str | Callable[[], str] | None = None,
    **options: Any,
) -> Callable[[str], None]:
    """Create a test function that is parametrized by operation.

    The backend is judged once, when the first of the tests runs. A departure fails the tests of its
    operation; an operation that could not be judged is skipped.

    Args:
        url: The base URL, or a function that returns it, for a backend that has to be started.
        api_key: The key, or a function that returns it; the variable SYNTH_API_KEY where None.
        **options: Further arguments of `run_contract`.

    Returns:
        The test function; give it a name that begins with `test_`.

    Raises:
        UnjudgeableError: The file that `spec` names cannot be read.
    """

    @cache
    def report() -> Report:
        return run_contract(_value(url), api_key=_value(api_key), **options)

    operations = tuple(Document(read_specification(options.get("spec"))).operations)

    @_without_time_limit
    @pytest.mark.parametrize("operation", operations)
    def test(operation: str) -> None:
        found = report()
        departures = [d for d in found.departures if d.operation == operation]
        if departures:
            pytest.fail("\n\n".join(map(_told, departures[:5])), pytrace=False)
        if found.obstacles:
            pytest.fail(f"could not be judged: {found.obstacles[0]}", pytrace=False)
        mine = [outcome for outcome in found.outcomes if outcome.operation == operation]
        if not any(outcome.proves for outcome in mine):
            notes = "; ".join(dict.fromkeys(outcome.note for outcome in mine if outcome.note))
            pytest.skip(f"not judged: {notes or 'nothing was asked for'}")

    return test


def _without_time_limit(test: Callable[[str], None]) -> Callable[[str], None]:
    """Lift the limit of pytest-timeout: a run has longer limits of its own."""
    try:
        with warnings.catch_warnings():
            # Without that plugin nobody knows its mark, and nobody needs it.
            warnings.simplefilter("ignore", pytest.PytestUnknownMarkWarning)
            return pytest.mark.timeout(0)(test)
    except pytest.fail.Exception:  # `--strict-markers`, likewise
        return test


def _value(given: Any) -> Any:
    return given() if callable(given) else given


def _told(departure: Departure) -> str:
    lines = [
        f"{departure.check}: {departure.operation}",
        f"  clause    {departure.clause}",
        f"  expected  {departure.expected}",
        f"  got       {departure.got}",
    ]
    if departure.exchange is not None:
        lines.append(f"  try       {curl_line(departure.exchange)}")
    return "\n".join(lines)
