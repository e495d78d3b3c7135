"""Reaction of each operation to each fault of a network or a service."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from email.utils import formatdate
from types import ModuleType
from typing import Any, Literal, NamedTuple

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    ConflictError,
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

# Effect of the request at the time of the fault, which decides about another attempt.
Effect = Literal["perhaps done", "certainly not done", "no use"]


class Row(NamedTuple):
    name: str
    fault: Fault
    effect: Effect
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
# A fault of each kind meets all operations; the other faults an operation of each kind.
FOR_ALL = list({row.effect: row for row in reversed(QUICK)}.values())
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


async def outcome(client: AsyncContainerPoolsClient, call: Call) -> Any:
    """Return the result of a call, or the error that it raises."""
    try:
        return await call.on(client)
    except SynthPoolsError as error:
        return error


def is_retried(row: Row, sample: Sample) -> bool:
    return row.effect == "certainly not done" or (
        row.effect == "perhaps done" and sample.is_repeatable
    )


@pytest.mark.parametrize("row", QUICK, ids=str)
async def test_once_and_then_well(
    server: FaultServer, client: AsyncContainerPoolsClient, row: Row
) -> None:
    for sample in SAMPLES if row in FOR_ALL else FEW:
        script = [row.fault, faults.answer({"id": "x"})]
        server.play(script, keeps_keys=sample.keeps_keys)
        result = await outcome(client, sample.call)
        if is_retried(row, sample):
            assert result == {"id": "x"}, str(sample)
        else:
            assert isinstance(result, row.error), str(sample)
        assert len(server.requests) == (2 if is_retried(row, sample) else 1), str(sample)
        first, *more = server.requests
        for fault_ in more:
            assert replace(fault_, at=first.at, connection=first.connection) == first


@pytest.mark.parametrize("row", QUICK, ids=str)
async def test_each_time(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float], row: Row
) -> None:
    for sample in FEW:
        waits.clear()
        server.play(row.fault, keeps_keys=sample.keeps_keys)
        result = await outcome(client, sample.call)
        check(row, result)
        assert len(server.requests) == (3 if is_retried(row, sample) else 1), str(sample)
        assert len(waits) == len(server.requests) - 1, str(sample)
        retry_after = getattr(result, "retry_after", None)
        for number, wait in enumerate(waits):
            assert wait == retry_after if retry_after else 0 <= wait <= 0.5 * 2**number, str(sample)


@pytest.mark.parametrize("row", SLOW, ids=str)
async def test_each_time_that_takes_long(
    server: FaultServer, client: AsyncContainerPoolsClient, row: Row
) -> None:
    # Only the answer is late: a busy machine may need long to connect.
    quick = client.with_options(timeout=httpx.Timeout(60, read=0.2))
    for sample in (REPEATABLE, ONCE):
        server.play(row.fault)
        check(row, await outcome(quick, sample.call))
        expected = 3 if is_retried(row, sample) else 1
        server.wait_for(expected)
        assert len(server.requests) == expected, str(sample)


async def test_a_callers_own_client_fails_in_the_same_ways(
    server: FaultServer, supplied: ModuleType
) -> None:
    async with supplied.AsyncClient(follow_redirects=True) as http:
        client = AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, http_client=http, max_retries=0, timeout=60
        )
        for row in QUICK:
            server.play(row.fault)
            check(row, await outcome(client, REPEATABLE.call))
            assert len(server.requests) == 1, str(row)


def check(row: Row, result: Any) -> None:
    assert row.error in (APIStatusError, result.__reduce__()[1][0]), repr(result)
    assert isinstance(result, row.error)
    assert isinstance(result, json.JSONDecodeError) == (row.error is ResponseDecodeError)
    if row.cause:
        assert isinstance(result, APIConnectionError)
        assert isinstance(result, getattr(httpx, row.cause))
        assert result.cause == row.cause, str(result)
        assert result.sent
    assert KEY not in str(result)
    assert KEY not in traceback_with_locals(result)
    assert result.__cause__ is None
    assert result.__context__ is None
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert str(again) == str(result)


@pytest.mark.parametrize(("name", "fault"), HARMLESS)
async def test_what_does_no_harm(
    server: FaultServer, client: AsyncContainerPoolsClient, name: str, fault: Fault
) -> None:
    for sample in FEW:
        server.play(fault)
        assert await outcome(client, sample.call) == {"ok": True}
        assert len(server.requests) == 1


async def test_an_answer_that_is_longer_than_it_says(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.wrong_length(-2))
    for sample in FEW:
        result = await outcome(client, sample.call)
        # Half a document is not JSON; but surplus bytes that arrive in time are noticed first.
        assert isinstance(result, APIConnectionError | ResponseDecodeError)


async def test_connections_that_end_without_saying_so(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.then_close())
    for _ in range(20):
        assert await client.get_pool(P) == {"ok": True}


async def test_a_large_answer(server: FaultServer, client: AsyncContainerPoolsClient) -> None:
    server.play(faults.flood(20_000_000))
    assert len(await client.get_pool(P)) == 20_000_000 - 2


async def test_a_refused_connection_is_tried_again_whatever_the_operation(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    server.refuse()
    for sample in SAMPLES:
        waits.clear()
        result = await outcome(client, sample.call)
        assert isinstance(result, APIConnectionError), str(sample)
        assert isinstance(result, httpx.ConnectError), str(sample)
        assert result.cause == "ConnectError", str(sample)
        assert not result.sent, str(sample)
        assert "refused" in str(result) or "Connect call failed" in str(result), str(sample)
        assert len(waits) == 2, str(sample)
    server.accept()
    for sample in SAMPLES:
        assert await outcome(client, sample.call) == {"ok": True}, str(sample)


async def test_a_service_that_comes_back_is_found(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def back(_: float) -> None:
        server.accept()

    monkeypatch.setattr(client._transport, "sleep", back)
    server.refuse()
    assert await client.create_pool({"name": "x"}) == {"ok": True}


async def test_connections_that_ended_unseen_are_replaced(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    for _ in range(3):
        assert await client.get_pool(P) == {"ok": True}
        server.kick()
    assert await client.get_pool(P) == {"ok": True}


@pytest.mark.parametrize("max_retries", [0, 1, 4])
async def test_how_often(
    server: FaultServer, client: AsyncContainerPoolsClient, max_retries: int
) -> None:
    for fault in (faults.reset(), faults.html(502), faults.answer({}, 429)):
        server.play(fault)
        result = await outcome(client.with_options(max_retries=max_retries), Call("get_pool", (P,)))
        assert isinstance(result, SynthPoolsError)
        assert len(server.requests) == max_retries + 1


async def test_a_date_to_wait_for_is_counted_by_the_clock_of_the_service(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    now, then = (
        formatdate(86_400 * 20_000, usegmt=True),
        formatdate(86_400 * 20_000 + 7, usegmt=True),
    )
    server.play([faults.answer({}, 429, Retry_After=then, Date=now), faults.answer()])
    assert await client.get_pool(P) == {"ok": True}
    assert waits == [7.0]


async def test_two_retries_are_the_default(server: FaultServer) -> None:
    server.play(faults.answer({}, 429, Retry_After="0.01"))
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        with pytest.raises(RateLimitError):
            await client.get_pool(P)
    assert len(server.requests) == 3
    assert server.requests[1].at - server.requests[0].at >= 0.01


async def test_what_an_attempt_whose_answer_was_lost_may_have_done_is_said(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    for call, status in (
        (Call("create_pool", ({"name": "x", "pool_id": "mine"},)), 409),
        (Call("create_task", (P, {"task_id": T})), 409),
        (Call("delete_task", (P, T)), 404),
    ):
        server.play([faults.reset(), faults.answer({}, status)])
        result = await outcome(client, call)
        assert "earlier attempt" in "".join(result.__notes__)
        assert pickle.loads(pickle.dumps(result)).__notes__ == result.__notes__
        server.play([faults.answer({}, 429), faults.answer({}, status)])
        assert not hasattr(await outcome(client, call), "__notes__")


REDIRECTS = pytest.mark.parametrize("status", [301, 302, 303, 307, 308])


@REDIRECTS
async def test_a_redirect_to_another_origin_or_of_a_change_is_not_followed(
    server: FaultServer, client: AsyncContainerPoolsClient, status: int
) -> None:
    with FaultServer() as target_server:
        host = target_server.url.removeprefix("http://")
        origin = server.url.removeprefix("http://")
        foreign = (target_server.url, f"//{host}/v1/pools", f"https://{origin}/x", "http://[bad")
        for target in (*foreign, f"http://user@{origin}/", "/v1/x"):
            for sample in FEW:
                if sample.call.name == "get_pool" and target == "/v1/x":
                    continue
                server.play(faults.redirect(target, status))
                result = await outcome(client, sample.call)
                assert isinstance(result, APIStatusError)
                assert "redirects are not followed" in str(result)
                assert result.status_code == status
                assert len(server.requests) == 1
        assert target_server.connections == 0


@pytest.mark.keeps_connections
@REDIRECTS
async def test_a_redirect_of_a_get_within_the_origin_is_followed(
    server: FaultServer, client: AsyncContainerPoolsClient, status: int
) -> None:
    for target in ("/v1/pools/?limit=7#part", f"{server.url}/v1/pools/?limit=7", "pools/?limit=7"):
        server.play([faults.redirect(target, status), faults.answer({"items": []})])
        assert await client.list_pools() == {"items": []}
        first, second = server.requests
        assert (second.method, second.path, second.query) == ("GET", "/v1/pools/", {"limit": "7"})
        assert second.headers == first.headers
        assert second.connection == first.connection
    server.play([faults.redirect("/v1/s", status), faults.events([b'data: {"n": 1}\n\n'])])
    async with client.rollouts.events(P, "r") as events:
        assert await anext(events) == {"n": 1}
    server.play(faults.redirect("/v1/pools", status))
    with pytest.raises(APIStatusError, match="too many redirects: 20 were followed"):
        await client.get_pool(P)
    assert len(server.requests) == 21


async def test_an_answer_before_the_request_is_through(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.answer({}, 413))
    result = await outcome(client, Call("create_pool", ({"name": "x" * 5_000_000},)))
    assert isinstance(result, APIStatusError)


async def test_the_key_in_the_address_of_a_redirect_is_masked(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play([faults.redirect(f"/v1/pools/x?key={KEY}"), faults.answer({}, 404)])
    with pytest.raises(NotFoundError) as caught:
        await client.get_pool(P)
    assert KEY not in f"{caught.value.request.url} {caught.value.response.url}"


async def test_no_time_limit_holds_for_a_large_body(server: FaultServer) -> None:
    server.play([faults.answer({"id": P}, 201)])
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=None) as client:
        await client.create_pool({"name": "large", "metadata": {"text": "x" * 10_000_000}})
