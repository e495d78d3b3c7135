"""Errors of httpx and of httpx2, by the names of their classes."""

from __future__ import annotations

from types import ModuleType

import httpx
import httpx2
import pytest

from synth_pools import APIConnectionError, APITimeoutError
from synth_pools._client.http.error_mapping import connection_error
from synth_pools._client.http.httpx_clients import failure_of


def errors_of(library: ModuleType, *, of_exchanges: bool) -> list[type[Exception]]:
    return [
        kind
        for kind in vars(library).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and issubclass(kind, library.RequestError) == of_exchanges
    ]


EXCHANGES = [kind for library in (httpx, httpx2) for kind in errors_of(library, of_exchanges=True)]
OTHERS = [kind for library in (httpx, httpx2) for kind in errors_of(library, of_exchanges=False)]


def raised_for(error: Exception) -> APIConnectionError:
    failure = failure_of(error)
    assert failure is not None
    return connection_error(failure, method="GET", url="http://host/v1/x", path="/v1/x", limit=30)


@pytest.mark.parametrize("kind", EXCHANGES)
def test_an_exchange_that_failed(kind: type[Exception]) -> None:
    ours = raised_for(kind("words"))
    assert ours.cause == kind.__name__
    assert isinstance(ours, httpx.TransportError)
    is_timeout = "TimeoutException" in {base.__name__ for base in kind.__mro__}
    assert isinstance(ours, APITimeoutError) == is_timeout
    assert isinstance(ours, httpx.TimeoutException) == is_timeout
    derived = raised_for(type("OfTheCaller", (kind,), {})("words"))
    assert (str(derived), derived.cause, derived.sent) == (str(ours), ours.cause, ours.sent)


def test_both_libraries_have_the_same_errors() -> None:
    """The error that only httpx2 has is for event streams, which are not read through it."""
    names = [
        {kind.__name__ for kind in errors_of(library, of_exchanges=True)}
        for library in (httpx, httpx2)
    ]
    assert len(names[0]) > 15
    assert names[1] - names[0] <= {"SSEError"}
    assert names[0] <= names[1]


@pytest.mark.parametrize("kind", [*OTHERS, ValueError, type("RequestError", (OSError,), {})])
def test_other_errors(kind: type[Exception]) -> None:
    assert failure_of(kind.__new__(kind, "words")) is None
