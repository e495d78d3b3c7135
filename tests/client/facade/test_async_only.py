"""Faults that only the async variant can have: loops, tasks, cancellation."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    AsyncSynthClient,
    ClientClosedError,
    ContainerPoolsClient,
)
from synth_pools._client._async.event_stream import AsyncEventStream
from tests.support.leaks import KEY, traceback_with_locals
from tests.support.ports import LARGE, deaf_listener
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.surface import P, R
from tests.support.variants import HTTP_LIBRARIES, send_through

ONE = b'data: {"sequence": 1}\n\n'
LAST = b'data: {"event": "rollout.failed"}\n\n'


@pytest.fixture(autouse=True, params=HTTP_LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    send_through(request.param, monkeypatch)


def endless() -> Iterator[bytes]:
    yield ONE
    for _ in range(500):
        time.sleep(0.02)
        yield b": heartbeat\n\n"


def test_a_client_is_made_where_no_loop_runs(server: RecordingServer) -> None:
    client = AsyncContainerPoolsClient(
        ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)
    )
    front_door = AsyncSynthClient(api_key=KEY, base_url=server.url)
    stream = client.stream_rollout_events(P, R)

    async def use() -> None:
        server.reply_with(Reply.events(ONE, LAST))
        assert [event async for event in stream] == [{"sequence": 1}, {"event": "rollout.failed"}]
        server.reply_with(Reply())
        await client.get_pool(P)
        await front_door.pools.get_pool(P)
        await client.aclose()
        await front_door.aclose()

    asyncio.run(use())


async def test_many_tasks_share_one_pool_of_connections(server: RecordingServer) -> None:
    def answer(request: Recorded) -> Reply:
        return Reply.json({"id": request.path.rpartition("/")[2]})

    server.reply_with(answer)
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        ids = [f"pool_{number}" for number in range(200)]
        answers = await asyncio.gather(*(client.get_pool(pool_id) for pool_id in ids))
    assert [answer["id"] for answer in answers] == ids
    assert server.connections <= 200


async def test_nested_names_and_streams_run_side_by_side(server: RecordingServer) -> None:
    """In the older package neither nested names nor streams worked from async code."""
    together = threading.Barrier(8, timeout=60)

    def answer(request: Recorded) -> Reply:
        together.wait()
        return Reply.events(ONE, LAST) if request.path.endswith("/events") else Reply()

    async def read(stream: AsyncEventStream) -> int:
        return len([event async for event in stream])

    server.reply_with(answer)
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        results = await asyncio.gather(
            client.rollouts.get(P, R),
            client.agent_rollouts.get(R),
            client.tasks.list(P),
            client.metrics.get(P),
            *(read(client.rollouts.events(P, f"r{number}")) for number in range(4)),
        )
    assert results == [{}, {}, {}, {}, 2, 2, 2, 2]


async def test_a_cancelled_call_stops_at_once_and_shows_no_key(server: RecordingServer) -> None:
    def answer(request: Recorded) -> Reply:
        server.client_left.wait(60)
        return Reply()

    async def is_cancelled(client: AsyncContainerPoolsClient, name: str) -> None:
        started = time.perf_counter()
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.3):
                await client.create_pool({"name": name})
        assert time.perf_counter() - started < 30, "the client's own limit is a minute"
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert KEY not in traceback_with_locals(caught.value)

    server.reply_with(answer)
    with deaf_listener() as deaf:
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=deaf, timeout=60) as client:
            await is_cancelled(client, LARGE)
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        await is_cancelled(client, "x")
        server.client_left.set()
        server.reply_with(Reply())
        assert await client.get_pool(P) == {}, "the pool of connections survived it"


async def test_a_cancelled_call_of_a_callers_own_client(
    server: RecordingServer, supplied: ModuleType
) -> None:
    """The only connection of the HTTP client is free after a cancelled call, and stream."""
    limits = supplied.Limits(max_connections=1)
    async with supplied.AsyncClient(limits=limits, timeout=None) as http:
        client = AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, http_client=http, timeout=60, max_retries=0
        )
        for begin in (client.get_pool(P), anext(client.rollouts.events(P, R))):
            arrived = asyncio.Event()
            loop = asyncio.get_running_loop()

            def answer(request: Recorded) -> Reply:
                loop.call_soon_threadsafe(arrived.set)  # noqa: B023 - of this turn
                server.client_left.wait(60)
                return Reply()

            server.client_left.clear()
            server.reply_with(answer)
            task = asyncio.ensure_future(begin)
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert KEY not in traceback_with_locals(caught.value)
            server.client_left.set()
            server.reply_with(Reply())
            assert await client.get_pool(P) == {}
        assert not http.is_closed


async def test_a_cancelled_stream_is_closed(server: RecordingServer) -> None:
    server.reply_with(lambda _: Reply.live(endless()))
    has_begun = asyncio.Event()

    async def read(client: AsyncContainerPoolsClient) -> None:
        async for _ in client.stream_rollout_events(P, R):
            has_begun.set()

    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        task = asyncio.create_task(read(client))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert KEY not in traceback_with_locals(caught.value)
        assert await asyncio.to_thread(server.client_left.wait, 60)


async def test_a_dropped_stream_is_closed(server: RecordingServer) -> None:
    server.reply_with(lambda _: Reply.live(endless()))
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        async for event in client.stream_rollout_events(P, R):
            assert event == {"sequence": 1}
            break
        gc.collect()
        assert await asyncio.to_thread(server.client_left.wait, 60)


async def test_closing_a_client_ends_its_streams(server: RecordingServer) -> None:
    server.reply_with(lambda _: Reply.live(endless()))
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)
    stream = client.stream_rollout_events(P, R)
    await stream.__anext__()

    async def next_one() -> dict[str, object]:
        return await stream.__anext__()

    waiting = asyncio.create_task(next_one())
    await asyncio.sleep(0.1)
    await client.aclose()
    with pytest.raises(ClientClosedError, match="event stream"):
        await waiting
    assert await asyncio.to_thread(server.client_left.wait, 60)
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()


@pytest.mark.filterwarnings("error")
def test_leaving_the_loop_with_open_streams_is_quiet(
    server: RecordingServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.reply_with(lambda _: Reply.live(endless()))

    async def abandon() -> None:
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
            streams = [client.stream_rollout_events(P, R) for _ in range(3)]
            for stream in streams[:2]:
                await stream.__anext__()

    asyncio.run(abandon())
    gc.collect()
    assert server.client_left.wait(60)
    assert capfd.readouterr().err == ""


async def test_a_download_that_is_cancelled_leaves_nothing(
    server: RecordingServer, tmp_path: Path
) -> None:
    target = tmp_path / "x.bin"
    target.write_text("what was there before")
    reached = asyncio.Event()

    def slowly() -> Iterator[bytes]:
        while not server.client_left.is_set():
            yield bytes(1000)
            time.sleep(0.01)

    server.reply_with(Reply.live(slowly()))
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        download = asyncio.create_task(
            client.agent_rollouts.download_artifact(
                R, "x", target, on_progress=lambda size, _: reached.set() if size > 5000 else None
            )
        )
        await asyncio.wait_for(reached.wait(), 100)
        assert len(names(tmp_path)) == 2
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download
        # Its connection is given up, and the client goes on.
        assert await asyncio.to_thread(server.client_left.wait, 60)
        server.reply_with(Reply(body=b"content"))
        assert await client.agent_rollouts.artifact(R, "x") == b"content"
    assert names(tmp_path) == ["x.bin"]
    assert target.read_text() == "what was there before"


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]
