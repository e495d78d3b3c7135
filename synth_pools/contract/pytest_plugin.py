"""Tests of the contract for a backend's suite, one for each operation.

>>> from synth_pools.contract.pytest_plugin import contract_tests
>>> test_contract = contract_tests("http://127.0.0.1:8080", api_key="...", profile="quick")

With fixtures of the suite, and checks that are left out for a reason:

>>> from synth_pools.contract import pytest_plugin as contract
>>> @contract.skip("pages.moving", reason="a list is read at once here")
... @contract.tests(profile="quick")
... def test_contract(backend):
...     return backend.url, backend.key
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from synth_pools.contract.document import Document, read_specification
from synth_pools.contract.http.reproduce import curl_line
from synth_pools.contract.results import Departure, Report
from synth_pools.contract.run import run_contract

Test = Callable[..., None]


@dataclass(slots=True)
class _Judging:
    """One run for all tests of a test function."""

    options: dict[str, Any]
    left_out: dict[str, str] = field(default_factory=dict)
    _report: Report | None = None
    _is_reported: bool = False

    def report(self, locate: Callable[[], Any]) -> Report:
        if self._report is None:
            backend = locate()
            url, key = backend if isinstance(backend, tuple) else (backend, None)
            skip = (*self.options.get("skip", ()), *self.left_out)
            options = {"api_key": key, **self.options, "skip": skip}
            self._report = run_contract(url, **options)
        return self._report

    def judge(self, report: Report, operation: str) -> None:
        departures = [d for d in report.departures if d.operation == operation]
        if departures:
            pytest.fail("\n\n".join(map(_in_words, departures[:5])), pytrace=False)
        if report.obstacle:
            # An obstacle fails the first test; the others are skipped.
            is_reported, self._is_reported = self._is_reported, True
            if not is_reported:
                pytest.fail(f"could not be judged: {report.obstacle}", pytrace=False)
            pytest.skip(f"not judged: {report.obstacle}")
        mine = [outcome for outcome in report.outcomes if outcome.operation == operation]
        if not any(outcome.proves for outcome in mine):
            notes = dict.fromkeys(outcome.note for outcome in mine if outcome.note)
            notes |= {f"{check}: {reason}": None for check, reason in self.left_out.items()}
            pytest.skip(f"not judged: {'; '.join(notes) or 'nothing was asked for'}")


def contract_tests(
    url: str | Callable[[], str], *, api_key: str | Callable[[], str] | None = None, **options: Any
) -> Test:
    """Create a test function that is parametrized by operation.

    The backend is judged once, when the first of the tests runs. A departure fails the tests of its
    operation; an operation that could not be judged is skipped. An obstacle to judging the whole
    backend is one failure, and so is a run that judged nothing.

    Args:
        url: The base URL, or a function that returns it, for a backend that has to be started.
        api_key: The key, or a function that returns it; the variable SYNTH_API_KEY if None.
        **options: Further arguments of `run_contract`.

    Returns:
        The test function; give it a name that begins with `test_`.

    Raises:
        UnjudgeableError: The file that `spec` names cannot be read.
    """

    def locate() -> tuple[Any, Any]:
        return _value(url), _value(api_key)

    return tests(**options)(locate)


def tests(**options: Any) -> Callable[[Callable[..., Any]], Test]:
    """Return a decorator that turns a function returning the backend's address into a test.

    The function is called once. Its parameters are fixtures of the suite, of module or session
    scope, which may start and stop the backend. It returns the base URL, or a pair of URL and key.

    Args:
        **options: Further arguments of `run_contract`, such as `restart`.
    """
    operations = tuple(Document(read_specification(options.get("spec"))).operations)

    def decorate(locate: Callable[..., Any]) -> Test:
        judging = _Judging(options)
        names = tuple(inspect.signature(locate).parameters)

        @_without_time_limit
        @pytest.mark.parametrize("operation", operations)
        def test(operation: str, request: pytest.FixtureRequest) -> None:
            report = judging.report(lambda: locate(*map(request.getfixturevalue, names)))
            judging.judge(report, operation)

        test.__doc__ = locate.__doc__
        test.contract_judging = judging  # type: ignore[attr-defined]
        return test

    return decorate


def skip(*checks: str, reason: str) -> Callable[[Test], Test]:
    """Return a decorator that leaves checks out of a test of the contract.

    Args:
        *checks: The checks, by their ids or their beginnings.
        reason: The reason, which skipped tests show.
    """

    def decorate(test: Test) -> Test:
        judging = getattr(test, "contract_judging", None)
        if not isinstance(judging, _Judging):
            raise TypeError("skip() is for tests of the contract: put it above their decorator")
        if not checks:
            raise TypeError("skip() needs the id of a check")
        judging.left_out.update(dict.fromkeys(checks, reason))
        return test

    return decorate


def _without_time_limit(test: Test) -> Test:
    """Lift the limit of pytest-timeout: a run has longer limits of its own."""
    try:
        with warnings.catch_warnings():
            # Without that plugin the mark is unknown, and not needed.
            warnings.simplefilter("ignore", pytest.PytestUnknownMarkWarning)
            return pytest.mark.timeout(0)(test)
    except pytest.fail.Exception:  # also unknown, with `--strict-markers`
        return test


def _value(value: Any) -> Any:
    return value() if callable(value) else value


def _in_words(departure: Departure) -> str:
    lines = [
        f"{departure.check}: {departure.operation}: {departure.title}",
        f"  clause    {departure.clause}",
        f"  expected  {departure.expected}",
        f"  got       {departure.got}",
    ]
    if departure.exchange is not None:
        lines.append(f"  try       {curl_line(departure.exchange)}")
    return "\n".join(lines)
