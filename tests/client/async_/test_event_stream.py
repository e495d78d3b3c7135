"""Event streams that break and resume."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import time
from itertools import count
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    NotFoundError,
    RateLimitError,
    ServerError,
    StreamBrokenError,
    StreamDecodeError,
    StreamTimeoutError,
)
from tests.client.async_.fleet_ends import comes_true
from tests.support.event_service import KINDS, EventService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import (
    Fault,
    answer,
    chunked,
    close,
    dribble,
    events,
    html,
    junk,
    reset,
    stall,
)
from tests.support.leaks import KEY

P, R = "pool_1", "rollout_1"


async def read(client: AsyncContainerPoolsClient, cursor: str | None = None) -> list[Any]:
    return [event async for event in client.stream_rollout_events(P, R, cursor=cursor)]


async def has_no_connection(server: FaultServer) -> bool:
    """Check that no connection stays open."""
    return await comes_true(lambda: not server.open_connections)


# Each pair of these is tried once.
@pytest.mark.parametrize(
    ("end", "ids", "resumes"),
    [
        ("cut", "stream", "after"),
        ("reset", "stream", "at"),
        ("end", "stream", "start"),
        ("reset", "envelope", "after"),
        ("end", "envelope", "at"),
        ("cut", "envelope", "start"),
        ("end", "", "after"),
        ("cut", "", "at"),
        ("reset", "", "start"),
    ],
)
async def test_a_break_after_any_byte_loses_and_repeats_nothing(
    server: FaultServer, client: AsyncContainerPoolsClient, end: str, ids: str, resumes: str
) -> None:
    total_length = len(EventService(ids=ids).encoded(0))
    for length in range(0, total_length - 1, 37):
        service = EventService(ids=ids, resumes=resumes)
        service.faults = [service.part(length, end), service.part(total_length // 2, end)]
        if resumes != "start" and ids:
            # The second stream would begin at the first event, which resuming services do not do.
            service.faults.pop()
        server.play(choose=service)
        assert await read(client) == service.events, (length, end)
        assert len(service.asked) > 1


@pytest.mark.parametrize("space", ["  ", "\n", " \t"])
async def test_data_may_begin_with_white_space(
    server: FaultServer, client: AsyncContainerPoolsClient, space: str
) -> None:
    text = f'{space}{{"event": "rollout.completed"}} '.replace("\n", "\ndata: ")
    server.play(events([f"data: {text}\n\n".encode()]))
    assert await read(client) == [{"event": "rollout.completed"}]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
async def test_a_whole_event_without_a_blank_line_comes_out(
    server: FaultServer, client: AsyncContainerPoolsClient, end: str
) -> None:
    """Its rollout has ended, so that nothing else shows that an event is missing."""
    for kind in ("reward", "rollout.completed"):
        line = f'id: 1\ndata: {{"event": "{kind}"}}{end}'

        def choose(request: Seen, line: str = line) -> Fault:
            if not request.path.endswith("/events"):
                return answer({"status": "completed"})
            return events([line.encode()] if "cursor" not in request.query else [])

        server.play(choose=choose)
        assert await read(client) == [{"event": kind}]


@pytest.mark.parametrize("rest", ['data: {"event": "rew', "event: reward\n", "data: 12"])
async def test_a_stream_that_ends_within_an_event_is_broken(
    server: FaultServer, client: AsyncContainerPoolsClient, rest: str
) -> None:
    piece = f'id: 1\ndata: {{"event": "reward"}}\n\nid: 2\n{rest}'.encode()

    def choose(request: Seen) -> Fault:
        if not request.path.endswith("/events"):
            return answer({"status": "completed"})
        return events([piece])

    server.play(choose=choose)
    stream = client.stream_rollout_events(P, R)
    assert await anext(stream) == {"event": "reward"}
    with pytest.raises(StreamBrokenError) as caught:
        await anext(stream)
    assert caught.value.cursor == "1"


async def test_the_position_is_asked_for_in_both_ways(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    service = EventService()
    service.faults = [service.part(len(service.encoded(0)) // 2, "cut")]
    server.play(choose=service)
    events = [event async for event in client.agent_rollouts.events(R)]
    assert events == service.events
    first, second = service.asked
    assert "last-event-id" not in first.headers
    assert first.query == {}
    assert second.headers["last-event-id"] == second.query["cursor"]
    assert second.path == f"/v1/rollouts/{R}/events"
    assert max(waits) < 0.2


async def test_every_kind_of_trouble_on_the_way_back(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    service = EventService()
    half = service.part(len(service.encoded(0)) // 2, "reset")
    patient = client.with_options(max_retries=8)
    troubles: list[Fault | None] = [half, answer({}, 429, Retry_After="7"), html(502)]
    troubles += [answer({}, 503, Retry_After="9"), reset(), close(), junk(), events([])]
    service.faults = troubles
    server.play(choose=service)
    assert await read(patient) == service.events
    assert waits.count(7.0) == 1
    assert waits.count(9.0) == 1
    assert len(service.asked) == len(troubles) + 1 or len(service.asked) == 9


async def test_a_stream_that_was_heard_for_long_is_no_failure(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies repeatedly end long connections while a rollout has no events."""
    now = count(1000, 60)
    monkeypatch.setattr(client._transport, "clock", lambda: float(next(now)))
    service = EventService()
    service.faults = [events([b": here\n\n"], end="cut") for _ in range(6)]
    server.play(choose=service)
    assert await read(client) == service.events
    service.faults = [events([], end="cut") for _ in range(6)]
    with pytest.raises(APIConnectionError):
        await read(client)


async def test_an_empty_stream_of_what_has_ended_is_asked_for_once_more(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """Only a stream that began after the end can show that there are no more events."""
    streams: list[str] = []

    def choose(request: Seen) -> Fault:
        if not request.path.endswith("/events"):
            return answer({"status": "completed"})
        streams.append(request.path)
        return events([])

    server.play(choose=choose)
    assert await read(client) == []
    assert len(streams) == 2


async def test_the_servers_own_time_is_kept(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    service = EventService(faults=[events([b"retry: 1500\n\n", b": hello\n\n"], end="cut")])
    server.play(choose=service)
    assert await read(client) == service.events
    assert waits == [1.5]


async def test_a_server_that_asks_for_no_pause_causes_no_flood(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client._transport, "random", lambda: 1.0)
    service = EventService(
        faults=[
            events([b"retry: 0\n\n", b": hello\n\n"], end="cut"),
            *[answer({}, 503, Retry_After="0")] * 3,
        ]
    )
    server.play(choose=service)
    assert await read(client.with_options(max_retries=9)) == service.events
    assert waits == [0.5, 1.0, 2.0, 4.0]


async def test_attempts_without_progress_are_limited(
    server: FaultServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    service = EventService()
    half = service.part(len(service.encoded(0)) // 2, "cut")
    service.faults = [half, *[reset() for _ in range(10)]]
    server.play(choose=service)
    events = []
    with pytest.raises(StreamBrokenError, match="2 attempts to go on") as caught:
        async for event in client.stream_rollout_events(P, R):
            events += [event]
    assert len(service.asked) == 3
    error = caught.value
    assert (error.events, error.cursor) == (len(events), f"e{len(events)}")
    assert isinstance(error, APIConnectionError)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (copied.cursor, copied.events) == (error.cursor, error.events)
        assert str(copied) == str(error)
    messages = [
        record.message
        for record in caplog.records
        if record.levelname == "WARNING" and record.name.startswith("synth_pools")
    ]
    assert len(messages) == 1
    assert f"/v1/pools/{P}/rollouts/{R}/events -> " in messages[0]
    assert "retry 2 of 2" in messages[0]
    service.faults.clear()
    assert events + await read(client, error.cursor) == service.events


async def test_progress_gives_new_attempts(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService(ids="", resumes="start", kinds=[*["agent"] * 12, *KINDS])
    step = len(service.encoded(0)) // 15
    service.faults = [service.part(step * number, "cut") for number in range(1, 15)]
    server.play(choose=service)
    assert await read(client.with_options(max_retries=1)) == service.events


async def test_no_retries_is_no_reconnecting(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService()
    service.faults = [service.part(len(service.encoded(0)) // 2, "reset")]
    server.play(choose=service)
    with pytest.raises(StreamBrokenError, match="after . events, the last one 'e"):
        await read(client.with_options(max_retries=0))
    assert len(service.asked) == 1


async def test_silence_is_an_attempt_that_failed(server: FaultServer) -> None:
    for idle in (0.5, 5.0):
        service = EventService()
        half = service.part(len(service.encoded(0)) // 2, "stall")
        service.faults = [half, stall(), stall(), stall()]
        server.play(choose=service)
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, stream_idle_timeout=idle, max_retries=1
        ) as client:
            started = time.monotonic()
            with pytest.raises(APITimeoutError, match=f"sent nothing for {idle:g} s") as caught:
                await read(client)
            assert time.monotonic() - started < 2 * idle + 29
            # The first stream of a busy server may be late.
            if not isinstance(caught.value, StreamTimeoutError) or caught.value.cursor is None:
                continue
            server.wait_for(2)
            assert len(service.asked) == 2
            service.faults = [half]
            assert await read(client.with_options(max_retries=9)) == service.events
            break
    assert isinstance(caught.value, StreamTimeoutError)
    assert caught.value.cursor is not None


async def test_heartbeats_keep_a_stream_alive(server: FaultServer) -> None:
    service = EventService()
    # A busy machine may lengthen a short pause beyond its limit.
    for pause in (0.15, 1.5):
        beats = [*[b": heartbeat\n\n"] * 12, service.encoded(0)]
        server.play(events(beats, pause=pause))
        idle = pause / 0.15
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=idle, stream_idle_timeout=idle, max_retries=0
        ) as client:
            with contextlib.suppress(APITimeoutError):
                assert await read(client) == service.events
                break
    else:
        raise AssertionError("no heartbeat kept it alive")


async def test_one_byte_at_a_time(server: FaultServer, client: AsyncContainerPoolsClient) -> None:
    service = EventService(kinds=KINDS[-2:])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    server.play(dribble(0.0005, data=head + service.encoded(0)))
    assert await read(client) == service.events


async def test_after_the_last_event_there_is_nothing(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService(ids="envelope")
    service.status = "completed"
    server.play(choose=service)
    assert await read(client, cursor=f"e{len(KINDS)}") == []
    assert len(service.asked) == 1
    assert service.summaries == 1


async def test_an_end_that_nobody_announced(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """An older service ends the stream of an ended rollout with an event of another name."""
    service = EventService(ids="envelope", kinds=["rollout.started", "rollout.error"])
    service.status = "completed"
    server.play(choose=service)
    assert await read(client) == service.events
    assert len(service.asked) == 1


async def test_nothing_comes_after_the_last_event(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService()
    late = service.encoded(0) + b'data: {"event": "agent", "late": true}\n\n'
    server.play(events([late], end="stall"))
    started = time.monotonic()
    assert await read(client) == service.events
    assert time.monotonic() - started < 30
    assert await has_no_connection(server)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer({"detail": "gone"}, 404), NotFoundError),
        (answer({}, 429, Retry_After="900"), StreamBrokenError),
        (html(503), StreamBrokenError),
    ],
)
async def test_what_ends_a_stream_in_the_middle(
    server: FaultServer, client: AsyncContainerPoolsClient, fault: Fault, error: type[Exception]
) -> None:
    service = EventService()
    service.faults = [service.part(100, "cut"), fault, fault, fault, fault]
    server.play(choose=service)
    with pytest.raises(error):
        await read(client)


@pytest.mark.parametrize(
    ("fault", "error", "attempts"),
    [
        (answer({}, 404), NotFoundError, 1),
        (answer({}, 429), RateLimitError, 3),
        (html(502), ServerError, 3),
        (close(), APIConnectionError, 3),
    ],
)
async def test_what_never_begins(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    fault: Fault,
    error: type[Exception],
    attempts: int,
) -> None:
    server.play(fault)
    with pytest.raises(error) as caught:
        await read(client)
    assert not isinstance(caught.value, StreamBrokenError)
    assert len(server.requests) == attempts


async def test_events_of_several_megabytes_and_no_json(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    large = b'id: e1\ndata: {"event": "agent", "text": "' + b"x" * 5_000_000 + b'"}\n\n'
    server.play(
        [
            chunked([large], kind="text/event-stream", end="cut"),
            events([b"data: [DONE\n\n"], end="stall"),
        ]
    )
    stream = client.stream_rollout_events(P, R)
    assert len((await stream.__anext__())["text"]) == 5_000_000
    with pytest.raises(StreamDecodeError, match="DONE"):
        await stream.__anext__()
    assert await has_no_connection(server)


async def test_a_stream_that_is_left_leaves_no_connection(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService(kinds=["agent"] * 3)
    for _ in range(5):
        server.play(events([service.encoded(0)], end="stall"))
        async for _event in client.stream_rollout_events(P, R):
            break
        async with client.stream_rollout_events(P, R) as stream:
            await stream.__anext__()
    gc.collect()
    async with client.stream_rollout_events(P, R) as stream:
        await stream.__anext__()
    assert await has_no_connection(server)
