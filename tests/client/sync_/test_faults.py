# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_faults.py

"""Reaction of each operation to each fault of a network or a service."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal, NamedTuple

import pytest

from synth_pools import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConflictError,
    ContainerPoolsClient,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
    SynthPoolsError,
    ValidationFailedError,
)
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.faults import OK, Fault
from tests.support.leaks import KEY, traceback_with_locals
from tests.support.operations import FEW, ONCE, REPEATABLE, SAMPLES, Sample
from tests.support.surface import Call, P, T

# What is known of the request when the fault has happened: whether another attempt is safe.
Known = Literal["perhaps done", "certainly not done", "no use"]


class Row(NamedTuple):
    name: str
    fault: Fault
    known: Known
    error: type[SynthPoolsError]
    cause: str = ""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


BODY = len(OK) - 5
LOST = APIConnectionError

QUICK: list[Row] = [
    Row("reset", faults.reset(), "perhaps done", LOST, "ReadError"),
    Row("end without an answer", faults.close(), "perhaps done", LOST, "RemoteProtocolError"),
    Row("cut in the head", faults.cut(20), "perhaps done", LOST, "RemoteProtocolError"),
    Row("cut in the body", faults.cut(BODY), "perhaps done", LOST, "RemoteProtocolError"),
    Row("reset in the body", faults.reset_at(BODY), "perhaps done", LOST, "ReadError"),
    Row("too short", faults.wrong_length(7), "perhaps done", LOST, "RemoteProtocolError"),
    Row("cut chunks", faults.chunked([b"{"], end="cut"), "perhaps done", LOST),
    Row("reset chunks", faults.chunked([b"{"], end="reset"), "perhaps done", LOST, "ReadError"),
    Row("not HTTP", faults.junk(), "perhaps done", LOST, "RemoteProtocolError"),
    Row("endless head", faults.many_headers(300_000), "perhaps done", LOST, "RemoteProtocolError"),
    Row("a proxy's page", faults.html(502), "perhaps done", ServerError),
    Row("500", faults.answer({"detail": "oh"}, 500), "perhaps done", ServerError),
    Row("503", faults.answer({}, 503), "perhaps done", ServerError),
    Row("504", faults.html(504), "perhaps done", ServerError),
    Row("408", faults.answer({}, 408), "perhaps done", APIStatusError),
    Row("429", faults.answer({}, 429), "certainly not done", RateLimitError),
    Row("429 wait", faults.answer({}, 429, Retry_After="7"), "certainly not done", RateLimitError),
    Row("503 wait", faults.answer({}, 503, Retry_After="7"), "certainly not done", ServerError),
    Row("429 too long", faults.answer({}, 429, Retry_After="61"), "no use", RateLimitError),
    Row("503 too long", faults.answer({}, 503, Retry_After="3600"), "no use", ServerError),
    Row("501", faults.answer({}, 501), "no use", ServerError),
    Row("403", faults.answer({}, 403), "no use", PermissionDeniedError),
    Row("404", faults.answer({}, 404), "no use", NotFoundError),
    Row("409", faults.answer({}, 409), "no use", ConflictError),
    Row("422", faults.answer({}, 422), "no use", ValidationFailedError),
    Row("418 wait", faults.answer({}, 418, Retry_After="1"), "no use", APIStatusError),
    Row("a page as an answer", faults.html(200), "no use", ResponseDecodeError),
    Row("redirect", faults.redirect("http://127.0.0.1:1/v1/pools"), "no use", APIStatusError),
]
# One of each kind, for all operations; for the others one operation of each kind will do.
FOR_ALL = list({row.known: row for row in reversed(QUICK)}.values())
SLOW: list[Row] = [
    Row("silence", faults.stall(), "perhaps done", APITimeoutError, "ReadTimeout"),
    Row("silence in the head", faults.stall_at(20), "perhaps done", APITimeoutError, "ReadTimeout"),
    Row(
        "silence in the body", faults.stall_at(BODY), "perhaps done", APITimeoutError, "ReadTimeout"
    ),
]
HARMLESS: list[tuple[str, Fault]] = [
    ("103 before", faults.interim(103, 102)),
    ("a byte at a time", faults.dribble(0.001)),
    ("late", faults.late(0.1)),
    ("in chunks", faults.chunked([b"{", b'"ok"', b": true}"])),
]


def outcome(client: ContainerPoolsClient, call: Call) -> Any:
    """Return the result of a call, or the error that it raises."""
    try:
        return call.on(client)
    except SynthPoolsError as error:
        return error


def retried(row: Row, sample: Sample) -> bool:
    return row.known == "certainly not done" or (
        row.known == "perhaps done" and sample.is_repeatable
    )


@pytest.mark.parametrize("row", QUICK, ids=str)
def test_once_and_then_well(server: FaultServer, client: ContainerPoolsClient, row: Row) -> None:
    for sample in SAMPLES if row in FOR_ALL else FEW:
        server.play([row.fault, faults.answer({"id": "x"})])
        got = outcome(client, sample.call)
        if retried(row, sample):
            assert got == {"id": "x"}, str(sample)
        else:
            assert isinstance(got, row.error), str(sample)
        assert len(server.requests) == (2 if retried(row, sample) else 1), str(sample)
        first, *more = server.requests
        for other in more:
            assert replace(other, at=first.at, connection=first.connection) == first


@pytest.mark.parametrize("row", QUICK, ids=str)
def test_each_time(
    server: FaultServer, client: ContainerPoolsClient, waits: list[float], row: Row
) -> None:
    for sample in FEW:
        waits.clear()
        server.play(row.fault)
        got = outcome(client, sample.call)
        check(row, got)
        assert len(server.requests) == (3 if retried(row, sample) else 1), str(sample)
        assert len(waits) == len(server.requests) - 1, str(sample)
        asked = getattr(got, "retry_after", None)
        for number, wait in enumerate(waits):
            assert wait == asked if asked else 0 <= wait <= 0.5 * 2**number, str(sample)


@pytest.mark.parametrize("row", SLOW, ids=str)
def test_each_time_that_takes_long(
    server: FaultServer, client: ContainerPoolsClient, row: Row
) -> None:
    for sample in (REPEATABLE, ONCE):
        server.play(row.fault)
        check(row, outcome(client.with_options(timeout=0.2), sample.call))
        assert len(server.requests) == (3 if retried(row, sample) else 1), str(sample)


def test_a_callers_own_client_fails_in_the_same_ways(
    server: FaultServer, supplied: ModuleType
) -> None:
    with supplied.Client(follow_redirects=True) as http:
        client = ContainerPoolsClient(
            api_key=KEY, base_url=server.url, http_client=http, max_retries=0, timeout=20
        )
        for row in QUICK:
            server.play(row.fault)
            check(row, outcome(client, REPEATABLE.call))
            assert len(server.requests) == 1, str(row)


def check(row: Row, got: Any) -> None:
    assert type(got) is row.error or row.error is APIStatusError, repr(got)
    assert isinstance(got, row.error)
    if row.cause:
        assert isinstance(got, APIConnectionError)
        assert got.cause == row.cause, str(got)
        assert got.sent
    assert KEY not in str(got)
    assert KEY not in traceback_with_locals(got)
    assert got.__cause__ is None
    assert got.__context__ is None
    again = pickle.loads(pickle.dumps(got))
    assert type(again) is type(got)
    assert str(again) == str(got)


@pytest.mark.parametrize(("name", "fault"), HARMLESS)
def test_what_does_no_harm(
    server: FaultServer, client: ContainerPoolsClient, name: str, fault: Fault
) -> None:
    for sample in FEW:
        server.play(fault)
        assert outcome(client, sample.call) == {"ok": True}
        assert len(server.requests) == 1


def test_an_answer_that_is_longer_than_it_says(
    server: FaultServer, client: ContainerPoolsClient
) -> None:
    server.play(faults.wrong_length(-2))
    for sample in FEW:
        got = outcome(client, sample.call)
        # Half a document is no JSON; but what is too much may be seen first, where it is in time.
        assert isinstance(got, APIConnectionError | ResponseDecodeError)


def test_connections_that_end_without_saying_so(
    server: FaultServer, client: ContainerPoolsClient
) -> None:
    server.play(faults.then_close())
    for _ in range(20):
        assert client.get_pool(P) == {"ok": True}


def test_a_large_answer(server: FaultServer, client: ContainerPoolsClient) -> None:
    server.play(faults.flood(20_000_000))
    assert len(client.get_pool(P)) == 20_000_000 - 2


def test_a_refused_connection_is_tried_again_whatever_the_operation(
    server: FaultServer, client: ContainerPoolsClient, waits: list[float]
) -> None:
    server.refuse()
    for sample in SAMPLES:
        waits.clear()
        got = outcome(client, sample.call)
        assert type(got) is APIConnectionError, str(sample)
        assert got.cause == "ConnectError", str(sample)
        assert not got.sent, str(sample)
        assert "refused" in str(got) or "Connect call failed" in str(got), str(sample)
        assert len(waits) == 2, str(sample)
    server.accept()
    for sample in SAMPLES:
        assert outcome(client, sample.call) == {"ok": True}, str(sample)


def test_a_service_that_comes_back_is_found(
    server: FaultServer, client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def back(_: float) -> None:
        server.accept()

    monkeypatch.setattr(client._transport, "sleep", back)
    server.refuse()
    assert client.create_pool({"name": "x"}) == {"ok": True}


def test_connections_that_ended_unseen_are_replaced(
    server: FaultServer, client: ContainerPoolsClient
) -> None:
    for _ in range(3):
        assert client.get_pool(P) == {"ok": True}
        server.kick()
    assert client.get_pool(P) == {"ok": True}


@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_how_often(server: FaultServer, client: ContainerPoolsClient, max_retries: int) -> None:
    for fault in (faults.reset(), faults.html(502), faults.answer({}, 429)):
        server.play(fault)
        got = outcome(client.with_options(max_retries=max_retries), Call("get_pool", (P,)))
        assert isinstance(got, SynthPoolsError)
        assert len(server.requests) == max_retries + 1


def test_two_retries_are_the_default(server: FaultServer) -> None:
    server.play(faults.answer({}, 429, Retry_After="0.01"))
    with ContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        with pytest.raises(RateLimitError):
            client.get_pool(P)
    assert len(server.requests) == 3
    assert server.requests[1].at - server.requests[0].at >= 0.01


def test_what_an_attempt_whose_answer_was_lost_may_have_done_is_said(
    server: FaultServer, client: ContainerPoolsClient
) -> None:
    for call, status in (
        (Call("create_pool", ({"name": "x", "pool_id": "mine"},)), 409),
        (Call("create_task", (P, {"task_id": T})), 409),
        (Call("delete_task", (P, T)), 404),
    ):
        server.play([faults.reset(), faults.answer({}, status)])
        got = outcome(client, call)
        assert "earlier attempt" in "".join(got.__notes__)
        assert pickle.loads(pickle.dumps(got)).__notes__ == got.__notes__
        server.play([faults.answer({}, 429), faults.answer({}, status)])
        assert not hasattr(outcome(client, call), "__notes__")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_nowhere(
    server: FaultServer, client: ContainerPoolsClient, status: int
) -> None:
    with FaultServer() as other:
        for target in (other.url, f"//{other.url.removeprefix('http://')}/v1/pools", "/v1/x"):
            for sample in FEW:
                server.play(faults.redirect(target, status))
                got = outcome(client, sample.call)
                assert isinstance(got, APIStatusError)
                assert got.status_code == status
                assert len(server.requests) == 1
        assert other.connections == 0


def test_an_answer_before_the_request_is_through(
    server: FaultServer, client: ContainerPoolsClient
) -> None:
    server.play(faults.answer({}, 413))
    got = outcome(client, Call("create_pool", ({"name": "x" * 5_000_000},)))
    assert isinstance(got, APIStatusError)
