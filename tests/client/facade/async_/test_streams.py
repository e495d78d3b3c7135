"""Event streams."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    NotFoundError,
    RequestValidationError,
    ResponseDecodeError,
    ServerError,
    StreamDecodeError,
)
from tests.support.leaks import KEY
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import P, R

ONE = b'data: {"event": "rollout.queued", "sequence": 1}\n\n'
TWO = b'data: {"event": "agent", "sequence": 2}\n\n'
LAST = b'data: {"event": "rollout.completed", "sequence": 3}\n\n'


def endless(server: RecordingServer) -> Iterator[bytes]:
    """Events for a reader, 10 seconds at most."""
    yield ONE
    for _ in range(500):
        time.sleep(0.02)
        yield b": heartbeat\n\n"


async def rest(stream: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event async for event in stream if event is not None]


async def read(client: AsyncContainerPoolsClient) -> list[dict[str, Any]]:
    return await rest(client.stream_rollout_events(P, R))


async def test_events_are_the_services_own_objects_in_order(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(
        Reply.events(
            b"\xef\xbb\xbfretry: 1000\n\n: heartbeat\n\n",
            b'id: evt_1\nevent: reward\ndata: {"x": 1.0,\ndata:  "y": null}\r\n\r\n',
            b'data: {"text": "\xe2\x80',
            b'\xa8 \xf0\x9f\x98\x80"}\n\ndata: \n\nevent: nothing\n\n',
            b"data: [1]\n\n",
            b'data: {"event": "rollout.failed"}\n\n',
            b'data: {"unfinished": true}\n',
        )
    )
    events = await read(client)
    first: list[Any] = [{"x": 1.0, "y": None}, {"text": "\u2028 😀"}, [1]]
    assert repr(events) == repr([*first, {"event": "rollout.failed"}])
    assert server.last.headers["accept"] == "text/event-stream"


async def test_the_request_is_sent_when_the_first_event_is_asked_for(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.events(ONE, TWO, LAST))
    stream = client.agent_rollouts.events(R, cursor="evt_1")
    assert server.connections == 0
    assert await stream.__anext__() == {"event": "rollout.queued", "sequence": 1}
    assert server.last.target == f"/v1/rollouts/{R}/events?cursor=evt_1"
    assert [event["sequence"] async for event in stream] == [2, 3]
    assert await rest(stream) == []
    assert len(server.requests) == 1


def test_arguments_are_checked_at_once(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    cursor: Any = 7
    with pytest.raises(RequestValidationError, match="cursor"):
        client.stream_rollout_events(P, R, cursor=cursor)
    with pytest.raises(RequestValidationError, match="rollout_id"):
        client.agent_rollouts.events("..")
    assert server.connections == 0


async def test_a_stream_that_was_read_gives_its_connection_back(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.events(ONE, LAST))
    for _ in range(20):
        assert len(await read(client)) == 2
    assert server.connections == 1


async def test_leaving_a_with_block_ends_the_stream(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.live(endless(server)))
    async with client.stream_rollout_events(P, R) as events:
        async for event in events:
            assert event["sequence"] == 1
            break
    assert server.client_left.wait(60)
    assert await rest(events) == []


async def test_closing_a_stream_ends_it(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.live(endless(server)))
    stream = client.stream_rollout_events(P, R)
    await stream.__anext__()
    await stream.aclose()
    await stream.aclose()
    assert server.client_left.wait(60)
    unread = client.stream_rollout_events(P, R)
    await unread.aclose()
    assert await rest(unread) == []
    assert len(server.requests) == 1


async def test_an_error_in_the_loop_ends_the_stream(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.live(endless(server)))

    async def consume() -> None:
        async with client.stream_rollout_events(P, R) as events:
            async for _ in events:
                raise LookupError

    with pytest.raises(LookupError):
        await consume()
    assert server.client_left.wait(60)


async def test_unread_streams_leave_nothing_behind(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for _ in range(10):
        client.stream_rollout_events(P, R)
    gc.collect()
    assert server.connections == 0


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply.json({"detail": "No such rollout"}, 404), NotFoundError, "404 .*No such rollout"),
        (Reply(502, b"<title>Bad gateway</title>", {}), ServerError, "502 .*Bad gateway"),
        (Reply.json({"events": []}), ResponseDecodeError, "event stream was expected"),
        (
            Reply(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"}),
            ResponseDecodeError,
            "text/html",
        ),
        (Reply(500, b"cut", {}, cut=True), APIConnectionError, "RemoteProtocolError"),
    ],
)
async def test_what_is_no_event_stream(
    server: RecordingServer,
    client: AsyncContainerPoolsClient,
    reply: Reply,
    error: type[Exception],
    words: str,
) -> None:
    server.reply_with(reply)
    with pytest.raises(error, match=words):
        await read(client)


async def test_no_content_is_no_event(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply(204, b"", {}))
    assert await read(client) == []
    assert len(server.requests) == 1


async def test_a_stream_needs_no_content_type(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply(200, ONE + LAST, {}))
    assert len(await read(client)) == 2


@pytest.mark.parametrize("data", [b"[DONE]", b"{'a': 1}", b'{"a": ', b"x" * 5000])
async def test_an_event_that_is_no_json_is_shown_by_its_beginning(
    server: RecordingServer, client: AsyncContainerPoolsClient, data: bytes
) -> None:
    server.reply_with(Reply.live(chain((ONE, b"data: " + data + b"\n\n"), endless(server))))
    stream = client.stream_rollout_events(P, R)
    await stream.__anext__()
    with pytest.raises(StreamDecodeError, match="not JSON") as caught:
        await stream.__anext__()
    assert caught.value.excerpt == data[:200].decode()
    assert server.client_left.wait(60)
    assert await rest(stream) == []


async def test_a_stream_that_breaks_off_is_an_error_after_its_events(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.events(ONE + TWO, b"data: {", cut=True))
    stream = client.with_options(max_retries=0).stream_rollout_events(P, R)
    assert [(await stream.__anext__())["sequence"] for _ in range(2)] == [1, 2]
    with pytest.raises(
        APIConnectionError, match="event stream of .* broke: RemoteProtocol"
    ) as caught:
        await stream.__anext__()
    assert caught.value.__context__ is None
    assert caught.value.path == f"/v1/pools/{P}/rollouts/{R}/events"
    assert await rest(stream) == []


async def test_a_stream_may_be_silent_for_longer_than_a_request(server: RecordingServer) -> None:
    def slow() -> Iterator[bytes]:
        yield ONE
        time.sleep(1.5)
        yield LAST

    server.reply_with(Reply.live(slow()))
    limits = httpx.Timeout(60, read=1)
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=limits, max_retries=0
    ) as client:
        assert len(await read(client)) == 2


async def test_the_silence_of_a_stream_has_a_limit(server: RecordingServer) -> None:
    def blocked_chunks() -> Iterator[bytes]:
        yield ONE
        server.client_left.wait(60)

    server.reply_with(Reply.live(blocked_chunks()))
    client = AsyncContainerPoolsClient(
        api_key=KEY,
        base_url=server.url,
        timeout=httpx.Timeout(60, read=0.2),
        stream_idle_timeout=0.3,
        max_retries=0,
    )
    with pytest.raises(APITimeoutError, match=r"sent nothing for 0\.3 s"):
        await read(client)
    await client.aclose()
    server.client_left.set()


async def test_a_large_event(server: RecordingServer, client: AsyncContainerPoolsClient) -> None:
    text = "ü" * 3_000_000
    server.reply_with(Reply.events(f'data: {{"text": "{text}"}}\n\n'.encode(), LAST))
    event, _ = await read(client)
    assert event["text"] == text
