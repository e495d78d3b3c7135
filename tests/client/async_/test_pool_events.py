"""Streams of a pool's events, and the output of its processes, as users follow them."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    DecodeError,
    NotFoundError,
    RequestValidationError,
    StreamBrokenError,
)
from tests.support.backend_server import KEY, Server, eventually, serve
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, chunked, events

P = "pool_1"
EVENTS = [
    {"id": f"e{number // 3}", "event": "agent", "rollout_id": f"r{number % 3}", "text": "ü"}
    for number in range(9)
]


class PoolService:
    """Pool with events, for a `FaultServer`'s `choose`.

    Args:
        faults: Fault for each request for events in turn; None serves the events.
    """

    def __init__(self, *faults: Fault | None) -> None:
        self.faults = list(faults)
        self.asked: list[Seen] = []
        self.status = "archived"

    def __call__(self, request: Seen) -> Fault:
        if not request.path.endswith("/events"):
            return answer({"status": self.status})
        self.asked.append(request)
        fault = self.faults.pop(0) if self.faults else None
        begin = int(request.query.get("cursor", "c0")[1:])
        assert request.headers.get("last-event-id", f"c{begin}") == f"c{begin}"
        return events([self.encoded(begin)]) if fault is None else fault

    @staticmethod
    def encoded(begin: int) -> bytes:
        blocks = [f"id: c{begin}\n\n: heartbeat\n\n"]
        for number, event in enumerate(EVENTS[begin:], begin + 1):
            data = json.dumps(event)
            blocks.append(f"id: c{number}\nevent: agent\ndata: {data}\n\n")
        return "".join(blocks).encode()


async def read(client: AsyncContainerPoolsClient, **options: Any) -> list[Any]:
    return [event async for event in client.events(P, **options)]


@pytest.mark.parametrize("end", ["cut", "reset", "end"])
async def test_a_break_after_any_byte_loses_and_repeats_nothing(
    server: FaultServer, client: AsyncContainerPoolsClient, end: str
) -> None:
    total_length = PoolService.encoded(0)
    for length in range(0, len(total_length), 41):
        service = PoolService(chunked([total_length[:length]], kind="text/event-stream", end=end))
        server.play(choose=service)
        assert await read(client) == EVENTS, length
        # The last request shows that nothing follows.
        assert len(service.asked) > 2


async def test_a_stream_of_a_pool_that_goes_on_is_taken_up_again(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = PoolService()
    service.status = "active"
    server.play(choose=service)
    stream = client.with_options(max_retries=2).events(P)
    events = []
    with pytest.raises(StreamBrokenError, match="before its pool did") as caught:
        async for event in stream:
            events += [event]
    assert events == EVENTS
    assert (caught.value.cursor, stream.cursor) == ("c9", "c9")


async def test_a_position_without_an_event_is_where_it_goes_on(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    opening = chunked([b"id: c4\n\n"], kind="text/event-stream", end="cut")
    service = PoolService(opening)
    server.play(choose=service)
    stream = client.events(P, start="latest", types=iter(["agent", "rollout.completed"]))
    assert stream.cursor is None
    assert [event async for event in stream] == EVENTS[4:]
    first, second, third = service.asked
    types = {"types": "agent,rollout.completed"}
    assert first.query == {"start": "latest", **types}
    assert second.query == {"start": "latest", "cursor": "c4", **types}
    assert third.query == {"start": "latest", "cursor": "c9", **types}


async def test_a_stream_that_says_nothing_of_its_position_does_not_move_it(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = PoolService(chunked([b": here\n\n"], kind="text/event-stream", end="cut"))
    server.play(choose=service)
    assert await read(client, cursor="c7") == EVENTS[7:]
    assert [request.query["cursor"] for request in service.asked] == ["c7", "c7", "c9"]


async def test_a_cursor_is_where_it_begins(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=PoolService())
    assert await read(client, cursor="c7") == EVENTS[7:]
    stream = client.stream_pool_events(P, cursor="c7")
    assert stream.cursor == "c7"
    await stream.aclose()


async def test_pages_are_asked_for_as_they_are_wanted(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    await client.event_page(P, cursor="c3", start="latest", types=["agent"], limit=7)
    await client.get_pool_event_page(P)
    queries = [request.query for request in server.requests]
    assert queries == [
        {"cursor": "c3", "start": "latest", "types": "agent", "format": "json", "limit": "7"},
        {"format": "json", "limit": "200"},
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"cursor": 7},
        {"start": "now"},
        {"start": None},
        {"types": "agent"},
        {"types": 7},
        {"types": [7]},
        {"types": [""]},
        {"types": ["a,b"]},
    ],
)
async def test_arguments_are_checked_at_once(
    server: FaultServer, client: AsyncContainerPoolsClient, options: dict[str, Any]
) -> None:
    with pytest.raises(RequestValidationError, match=next(iter(options))):
        client.events(P, **options)
    with pytest.raises(RequestValidationError, match=next(iter(options))):
        await client.event_page(P, **options)
    assert server.requests == []


@pytest.mark.parametrize(
    "options", [{"process": -1}, {"process": "0"}, {"cursor": 1}, {"poll_interval": -1}]
)
async def test_arguments_of_logs_are_checked_at_once(
    server: FaultServer, client: AsyncContainerPoolsClient, options: dict[str, Any]
) -> None:
    with pytest.raises(RequestValidationError, match=next(iter(options))):
        client.follow_logs(P, **options)
    with pytest.raises(RequestValidationError, match="limit"):
        await client.logs(P, limit=0)
    assert server.requests == []


def log_page(begin: int, end: int, **fields: Any) -> dict[str, Any]:
    lines = [{"text": str(number)} for number in range(begin, end)]
    page = {"status": "active", "processes": [], "lines": lines, "next_cursor": f"l{end}"}
    return {**page, "has_more": False, **fields}


async def test_lines_are_followed_to_the_end_of_their_processes(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    runs = [{"process": 0, "running": True}]
    script = [
        log_page(0, 2, has_more=True),
        log_page(2, 3),
        log_page(3, 3),
        log_page(3, 4, status="archived", processes=runs),
        log_page(4, 5, status="archived", has_more=True),
        log_page(5, 6, status="archived"),
    ]
    server.play([answer(page) for page in script])
    lines = [line["text"] async for line in client.follow_logs(P, process=3, poll_interval=0.5)]
    assert lines == ["0", "1", "2", "3", "4", "5"]
    assert waits == [0.5, 0.5, 0.5]
    cursors = [request.query.get("cursor") for request in server.requests]
    assert cursors == [None, "l2", "l3", "l3", "l4", "l5"]
    assert {request.query["process"] for request in server.requests} == {"3"}


@pytest.mark.parametrize("broken", [[], {"lines": []}, {"lines": [], "next_cursor": "x"}])
async def test_what_is_no_page_of_lines_is_refused(
    server: FaultServer, client: AsyncContainerPoolsClient, broken: Any
) -> None:
    server.play(answer(broken))
    with pytest.raises(DecodeError, match="page of lines"):
        await client.iter_pool_logs(P).__anext__()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("backend"), allow_processes=True) as server:
        yield server


@pytest.fixture
async def local(backend: Server) -> AsyncIterator[AsyncContainerPoolsClient]:
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=backend.url) as client:
        yield client


async def test_the_local_backend_s_stream_holds_all_and_ends(
    backend: Server, local: AsyncContainerPoolsClient
) -> None:
    pool_id = backend.pool()
    stream = local.events(pool_id, start="latest")
    ids = [backend.rollout(pool_id)["id"] for _ in range(3)]
    first = await local.event_page(pool_id, limit=1)
    assert first["events"][0]["rollout_id"] == ids[0]
    for rollout_id in ids:
        backend.until(rollout_id)
    backend.call("DELETE", f"/v1/pools/{pool_id}")
    # The stream sends its request only now.
    assert [event async for event in stream] == []
    events = [event async for event in local.stream_pool_events(pool_id)]
    assert events[0] == first["events"][0]
    for rollout_id in ids:
        rollout_events = [event for event in events if event["rollout_id"] == rollout_id]
        assert rollout_events == backend.events(rollout_id)
    rest = [event async for event in local.events(pool_id, cursor=first["next_cursor"])]
    assert rest == events[1:]
    ends = await local.event_page(pool_id, types=["rollout.completed"])
    assert {event["rollout_id"] for event in ends["events"]} == set(ids)
    with pytest.raises(NotFoundError):
        await local.events("nowhere").__anext__()


async def test_the_local_backend_s_lines(backend: Server, local: AsyncContainerPoolsClient) -> None:
    code = "print('it', 'ends', flush=True)"
    argv = [sys.executable, "-c", code]
    pool_id = backend.pool(config={"process": {"argv": argv}})
    eventually(lambda: backend.get(f"/v1/pools/{pool_id}/logs")["lines"])
    backend.call("DELETE", f"/v1/pools/{pool_id}")
    lines = [line async for line in local.follow_logs(pool_id, poll_interval=0.01)]
    assert {line["text"] for line in lines} == {"it ends"}
    page = await local.logs(pool_id, limit=1)
    assert page["lines"] == lines[:1]
