"""Calls of the client: what its exceptions show, and the request that it should have sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth_pools.contract.client.calls import (
    call_method,
    call_with_retry,
    expect_alike,
    expect_listed,
    request_of,
)
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import Column, Exchange, Layer, Outcome
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import URL, answering, context, departures, outcomes, session
from tests.support.faults import answer


class _Caller:
    """A client each of whose methods does the same."""

    lost = ConnectionResetError
    slow = (TimeoutError,)

    def __init__(self, *outcomes: Any) -> None:
        self._outcomes = [*outcomes]
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *words: Any, **options: Any) -> Any:
        self.calls.append((*words, options))
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class _StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__("no")
        self.status_code = status_code


_LISTED, _MOVED_ON = {"items": [{"id": "p"}]}, {"items": [{"id": "newer"}]}


@pytest.mark.parametrize(
    ("pages", "listed", "outcome"),
    [
        # Between the two requests it moved to the next page.
        ([_LISTED, _MOVED_ON, _MOVED_ON], [_MOVED_ON, _MOVED_ON], Outcome.HELD),
        ([_LISTED], [_LISTED], Outcome.HELD),
        ([_LISTED], [_MOVED_ON], Outcome.DEPARTED),
        ([_MOVED_ON], [_LISTED], Outcome.DEPARTED),
        ([_LISTED, _MOVED_ON] * 5, [_LISTED] * 5, Outcome.NOT_REACHED),
    ],
)
def test_a_list_that_others_change_is_compared_with_what_it_is_before_and_after(
    pages: list[Any], listed: list[Any], outcome: Outcome
) -> None:
    with answering({"list_pools": [answer(page) for page in pages]}) as (run, _):
        call = _Caller(*listed)
        ctx = context(run, "list_pools")
        expect_listed(ctx, call, "list", "list_pools", {}, ("id", "p"))
    assert run.collector._outcomes["a.b", "list_pools", Column.BEHAVIOUR, Layer.SCENARIO] is outcome


def test_a_method_is_called_with_its_arguments() -> None:
    run, call = session(), _Caller({"id": "p"})
    returned = call_method(context(run), call, "get_pool", "get", "p", limit=1)
    assert returned == {"id": "p"}
    assert call.calls == [("get", "p", {"limit": 1})]
    assert outcomes(run) == {}


@pytest.mark.parametrize(
    ("operation", "error", "outcome", "note"),
    [
        ("get_pool", _StatusError(501), Outcome.NOT_OFFERED, "the server answers 501"),
        ("get_pool", _StatusError(429), Outcome.NOT_REACHED, "_StatusError: no"),
        ("get_pool", _StatusError(503), Outcome.NOT_REACHED, "_StatusError: no"),
        ("get_pool", _StatusError(404), Outcome.DEPARTED, ""),
        ("get_pool", _StatusError(502), Outcome.DEPARTED, ""),
        ("get_pool_container_info", _StatusError(404), Outcome.NOT_REACHED, "_StatusError: no"),
        ("get_pool_container_info", _StatusError(502), Outcome.NOT_REACHED, "_StatusError: no"),
        ("get_pool_container_info", _StatusError(504), Outcome.NOT_REACHED, "_StatusError: no"),
        ("get_pool_container_info", _StatusError(500), Outcome.DEPARTED, ""),
        ("get_pool", ValueError("no"), Outcome.DEPARTED, ""),
        ("get_pool", TimeoutError("no"), Outcome.NOT_REACHED,
         "TimeoutError: no, and requests take long here"),
    ],
)  # fmt: skip
def test_what_an_exception_shows(
    operation: str, error: Exception, outcome: Outcome, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "is_proof", lambda *_: False)
    run = session()
    assert call_method(context(run), _Caller(error), operation, "a.name", "p") is ABSENT
    assert outcomes(run) == {operation: (outcome, note)}
    for departure in departures(run):
        assert (departure.expected, departure.got) == (
            "a.name of the client answers",
            f"{type(error).__name__}: no",
        )
        assert departure.exchange is not None
        assert departure.exchange.method == "GET"


def test_a_call_that_takes_long_where_others_do_not_departs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Session, "is_proof", lambda *_: True)
    run = session()
    call_method(context(run), _Caller(TimeoutError("no")), "get_pool", "get", "p")
    assert outcomes(run)["get_pool"] == (Outcome.DEPARTED, "")


def test_a_connection_that_was_just_closed_is_no_answer() -> None:
    lost = ConnectionResetError("closed")
    for errors in ([], [lost]):
        call = _Caller(*errors, "found")
        assert call_with_retry(call, "get", "x", limit=1) == "found"
        assert call.calls == [("get", "x", {"limit": 1})] * (1 + len(errors))
    with pytest.raises(ConnectionResetError):
        call_with_retry(_Caller(lost, lost, "found"), "get", "x")


def test_the_request_that_the_client_should_have_sent() -> None:
    ctx = context(session())
    sent = request_of(ctx, "update_task", ("a/b", "t", {"x": "ü"}), "why").exchange
    assert (sent.method, sent.url) == ("PUT", f"{URL}/v1/pools/a%2Fb/tasks/t")
    assert sent.request_headers == (("authorization", MASKED), ("content-type", "application/json"))
    assert isinstance(sent.request_body, bytes)
    assert json.loads(sent.request_body) == {"x": "ü"}
    assert (sent.status, sent.trouble, sent.operation) == (None, "why", "update_task")
    read = request_of(ctx, "get_pool", ("p",), "why").exchange
    assert (read.request_headers, read.request_body) == ((("authorization", MASKED),), None)


def test_two_answers_are_compared_as_json() -> None:
    run = session()
    raw = Response(Exchange("GET", URL, status=200))
    expect_alike(context(run), "list_pools", "list", raw, {"a": 1}, ABSENT)
    assert outcomes(run) == {}
    expect_alike(context(run), "list_pools", "list", raw, {"a": 1}, {"a": 1.0})
    assert outcomes(run) == {"list_pools": (Outcome.HELD, "")}
    expect_alike(context(run), "list_pools", "list", raw, {"a": 1}, {"a": 2})
    (departure,) = departures(run)
    assert (departure.expected, departure.got) == (
        "list of the client answers what raw HTTP reads",
        "at /a: 2 instead of 1",
    )
