"""Answers that cannot be trusted: echoes, surplus bytes, bombs, event numbers that start again."""

from __future__ import annotations

import gzip
import importlib
import json
import time
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    NotFoundError,
    ResponseDecodeError,
    ResponseInfo,
    ServerError,
    StreamDecodeError,
)
from synth_pools._client._async import connections
from tests.support import faults
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault
from tests.support.leaks import KEY
from tests.support.surface import P, R

STOLEN = faults.message(b'{"stolen": true}', 200, faults.JSON)


def event(number: int, name: str = "agent") -> bytes:
    data = json.dumps({"event": name, "id": str(number), "sequence": number})
    return f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode()


def streaming(streams: list[Fault], state: Fault | None = None) -> Any:
    """Answer each request for events by the next fault, and repeat the last one."""
    remaining = list(streams)

    def choose(request: Seen) -> Fault:
        if not request.path.endswith("/events"):
            return state or faults.answer({"status": "running"})
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return choose


async def test_hooks_see_no_echo_of_the_key(server: FaultServer) -> None:
    infos: list[ResponseInfo] = []
    server.play(
        [
            faults.answer({}, 200, X_Echo=f"Bearer {KEY}", X_Request_Id=KEY),
            faults.answer({}, 404, X_Echo=f"Bearer {KEY}", X_Request_Id=KEY),
        ]
    )
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, on_response=infos.append
    ) as client:
        await client.get_pool(P)
        with pytest.raises(NotFoundError):
            await client.get_pool(P)
    assert len(infos) == 2
    for info in infos:
        assert info.headers["x-echo"] == "Bearer **********"
        assert info.request_id == "**********"
        assert KEY not in str(info.error)


async def test_no_error_shows_the_key_however_it_is_spelled(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    spelled = "".join(f"\\u{ord(character):04x}" for character in KEY)
    body = f'{{"detail": "bad {spelled}", "{spelled}": [1, "{spelled}"]}}'.encode()
    server.play(faults.raw(faults.message(body, 404, faults.JSON)))
    with pytest.raises(NotFoundError) as caught:
        await client.get_pool(P)
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value.body)
    assert spelled not in caught.value.response.text


async def test_the_request_id_of_what_cannot_be_read_is_no_echo(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.raw(faults.message(b"<html>", 200, {"X-Request-Id": KEY})))
    with pytest.raises(ResponseDecodeError) as caught:
        await client.get_pool(P)
    assert KEY not in str(caught.value)
    assert KEY not in str(caught.value.request_id)


@pytest.mark.sockets
async def test_surplus_bytes_answer_no_other_request(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play([faults.raw(faults.OK + STOLEN), faults.answer({"own": 1})])
    assert await client.get_pool(P) == {"ok": True}
    assert await client.get_pool("other") == {"own": 1}
    assert server.connections == 2


@pytest.mark.sockets
async def test_surplus_bytes_after_chunks_answer_no_other_request(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b'2\r\n{"\r\n5\r\na":1}\r\n0\r\n\r\n'
    server.play([faults.raw(answer + STOLEN), faults.answer({"own": 1})])
    assert await client.get_pool(P) == {"a": 1}
    assert await client.get_pool("other") == {"own": 1}


@pytest.mark.sockets
async def test_surplus_bytes_after_a_stream_answer_no_other_request(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    last = event(1, "rollout.completed")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    answer = head + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(last), last)
    second = faults.events([event(2, "rollout.completed")])
    server.play([faults.raw(answer + STOLEN), second])
    for number in (1, 2):
        events = [event async for event in client.stream_rollout_events(P, R)]
        assert [event["sequence"] for event in events] == [number]
    assert server.connections == 2


@pytest.mark.keeps_connections(until_idle=True)
async def test_an_idle_connection_is_dropped_before_the_server_does(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put the clocks of all engines forward; nothing else does."""
    forward = 0.0
    start = time.monotonic()

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return start + forward

    monkeypatch.setattr(importlib.import_module("httpcore._async.http11"), "time", Clock)
    engine = importlib.import_module("synth_pools._client.http.async_.socket_engine")
    monkeypatch.setattr(engine, "time", Clock)
    for seconds, number in ((0.0, 1), (3.0, 1), (7.5, 2)):
        forward = seconds
        assert await client.get_pool(P) == {"ok": True}
        assert server.connections == number


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_an_answer_of_any_size_is_read_up_to_a_limit(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
) -> None:
    monkeypatch.setattr(connections, "LARGEST_ANSWER", 1_000_000)
    body = b'"' + b"x" * 5_000_000 + b'"'
    if encoding == "gzip":
        body = gzip.compress(body)
    headers = {**faults.JSON, "Content-Encoding": encoding}
    server.play(faults.raw(faults.message(body, 200, headers)))
    with pytest.raises(ResponseDecodeError, match="larger than"):
        await client.get_pool(P)
    server.play(faults.raw(faults.message(body, 500, headers)))
    with pytest.raises(ServerError) as caught:
        await client.with_options(max_retries=0).get_pool(P)
    assert len(caught.value.response.content) <= 1_000_000
    with pytest.raises(ServerError):
        await anext(client.with_options(max_retries=0).stream_rollout_events(P, R))
    server.play()
    assert await client.get_pool(P) == {"ok": True}


@pytest.mark.keeps_connections
async def test_an_event_stream_in_the_place_of_an_answer_is_left(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """It may have no end, and it holds its connection."""
    server.play([faults.events([event(1)], end="stall"), faults.answer()])
    with pytest.raises(ResponseDecodeError):
        await client.get_pool(P)
    assert await client.get_pool(P) == {"ok": True}
    server.wait_until(lambda: server.open_connections == 1)


async def test_a_server_that_counts_again_from_1_ends_its_stream(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    first = faults.events([event(1), event(2), event(3)], end="reset")
    for again in (
        [event(1), event(2, "rollout.completed")],
        [event(7), event(1, "rollout.completed")],
        [b'data: {"event": "rollout.completed", "sequence": 1}\n\n'],
        [b'data: {"event": "rollout.completed"}\n\n'],
    ):
        server.play(choose=streaming([first, faults.events(again)]))
        events = [event async for event in client.stream_rollout_events(P, R)]
        assert events[-1]["event"] == "rollout.completed"


async def test_data_nested_too_deeply_is_no_json_on_resume_either(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    deep = b"[" * 200_000
    breaks = faults.events([event(1), event(2)], end="reset")
    server.play(choose=streaming([breaks, faults.events([b"id: 3\ndata: " + deep + b"\n\n"])]))
    stream = client.stream_rollout_events(P, R)
    assert [(await anext(stream))["sequence"] for _ in range(2)] == [1, 2]
    with pytest.raises(StreamDecodeError):
        await anext(stream)


async def test_a_summary_that_is_a_proxys_page_decides_nothing(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """The stream ends without its last event, and a proxy answers the request for the summary."""
    for page in (faults.html(200), faults.html(502), faults.answer([1]), faults.junk()):
        ends = faults.events([event(1)])
        goes_on = faults.events([event(2, "rollout.completed")])
        server.play(choose=streaming([ends, goes_on], page))
        events = [event async for event in client.stream_rollout_events(P, R)]
        assert [event["sequence"] for event in events] == [1, 2]


async def test_a_rollout_that_disappears_while_it_is_read(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    breaks = faults.events([event(1)], end="reset")
    not_found = faults.answer({"detail": "no such rollout"}, 404)
    for end in ("reset", "end"):
        breaks = faults.events([event(1)], end=end)
        server.play(choose=streaming([breaks, not_found], not_found))
        stream = client.stream_rollout_events(P, R)
        assert (await anext(stream))["sequence"] == 1
        with pytest.raises(NotFoundError, match="no such rollout"):
            await anext(stream)
        server.play(choose=streaming([breaks, not_found], not_found))
        with pytest.raises(NotFoundError):
            await client.rollouts.wait(P, R)


async def test_a_wait_outlasts_150_failures(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    for failures in (150, 151):
        waits.clear()
        server.play([faults.html(502)] * failures + [faults.answer({"status": "completed"})])
        if failures == 150:
            assert (await client.rollouts.wait(P, R))["status"] == "completed"
        else:
            with pytest.raises(ServerError):
                await client.rollouts.wait(P, R)
        assert len(waits) == 150


@pytest.mark.parametrize("year", ["10000", "99999999999999999999", "0", "-1"])
async def test_a_date_of_another_age_is_no_time_to_wait(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float], year: str
) -> None:
    value = f"Wed, 21 Oct {year} 07:28:00 GMT"
    server.play([faults.answer({}, 503, Retry_After=value), faults.answer()])
    assert await client.get_pool(P) == {"ok": True}
    assert waits[0] <= 0.5
