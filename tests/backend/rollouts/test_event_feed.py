"""Event streams: order, resume, silence, many readers, readers that leave."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.storage import events as stored_events
from tests.backend.rollouts.stories import Story, begun_story, encoded
from tests.support.backend_server import Server, eventually, read_events

__all__ = ["encoded"]


def test_a_success_tells_its_whole_story(server: Server) -> None:
    rollout = server.run(server.pool(), env={"events": 3, "reward": 0.5})
    response = server.http.get(f"/v1/rollouts/{rollout['id']}/events")
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    events = read_events(response.text)
    assert [event["event"] for event in events] == [
        "rollout.queued",
        "rollout.started",
        "agent",
        "agent",
        "agent",
        "reward",
        "rollout.completed",
    ]
    assert [event["sequence"] for event in events] == list(range(1, 8))
    assert [event["id"] for event in events] == [f"evt_{n:010d}" for n in range(1, 8)]
    assert {event["rollout_id"] for event in events} == {rollout["id"]}
    assert {event["pool_id"] for event in events} == {rollout["pool_id"]}
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(stamps)
    assert stamps[0] == rollout["created_at"]
    assert stamps[-1] == rollout["finished_at"]
    assert events[-2]["data"] == {"outcome_reward": 0.5}
    assert events[-1]["data"] == {"status": "completed", "outcome_reward": 0.5}


def test_a_failure_says_why(server: Server) -> None:
    rollout = server.run(server.pool(), env={"fail": True, "events": 0})
    events = server.events(rollout["id"])
    assert [e["event"] for e in events] == ["rollout.queued", "rollout.started", "rollout.failed"]
    assert events[-1]["data"]["error"] == rollout["error"]


def test_events_come_as_they_happen(server: Server) -> None:
    pool_id = server.pool()
    rollout_id = server.rollout(pool_id, env={"delay": 3, "events": 2})["id"]
    with server.http.stream("GET", f"/v1/pools/{pool_id}/rollouts/{rollout_id}/events") as stream:
        arrivals = [
            (line[7:], server.state(rollout_id))
            for line in stream.iter_lines()
            if line.startswith("event: ")
        ]
    assert [name for name, _ in arrivals][-5:] == [
        "rollout.started",
        "agent",
        "agent",
        "reward",
        "rollout.completed",
    ]
    # The first event came long before the end.
    assert next(state for name, state in arrivals if name == "agent") == "running"


def test_what_is_shown_is_stored(server: Server) -> None:
    """After the terminal event the rollout is in that state at once."""
    pool_id = server.pool(concurrency=16)
    for _ in range(20):
        rollout_id = server.rollout(pool_id)["id"]
        last = server.events(rollout_id)[-1]["event"]
        assert last == f"rollout.{server.state(rollout_id)}"


@pytest.mark.parametrize(
    ("params", "headers", "first"),
    [
        ({"cursor": "evt_0000000003"}, {}, 4),
        ({}, {"last-event-id": "evt_0000000003"}, 4),
        ({"after_sequence": 3}, {}, 4),
        ({"after_sequence": 0}, {}, 1),
        # Where several are given, the furthest counts.
        ({"cursor": "evt_0000000002", "after_sequence": 4}, {"last-event-id": "x"}, 5),
        ({"cursor": "evt_0000000005"}, {"last-event-id": "evt_0000000001"}, 6),
        ({"after_sequence": 1}, {"last-event-id": "evt_0000000004"}, 5),
        # An id of another rollout is no position.
        ({"cursor": "evt_0000000099"}, {}, 1),
        ({"cursor": "evt_3"}, {}, 1),
        ({"cursor": "evt_00000000003"}, {}, 1),
        ({"cursor": ""}, {"last-event-id": ""}, 1),
        ({"cursor": "x" * 512}, {"last-event-id": "evt_٣"}, 1),
    ],
)
def test_all_three_ways_to_resume(
    server: Server, params: dict[str, Any], headers: dict[str, str], first: int
) -> None:
    rollout = server.run(server.pool(), env={"events": 3})
    complete = server.events(rollout["id"])
    encoded = {name: value.encode() for name, value in headers.items()}
    rest = server.events(rollout["id"], params=params, headers=encoded)
    assert rest == complete[first - 1 :]


@pytest.mark.parametrize(
    "params", [{"cursor": "evt_0000000005"}, {"after_sequence": 5}, {"after_sequence": 2**63 - 1}]
)
def test_after_the_end_there_is_nothing(server: Server, params: dict[str, Any]) -> None:
    rollout = server.run(server.pool())
    assert len(server.events(rollout["id"])) == 5
    response = server.http.get(f"/v1/rollouts/{rollout['id']}/events", params=params)
    assert (response.status_code, response.text) == (200, "")


@pytest.mark.parametrize(
    "query", ["after_sequence=-1", "after_sequence=x", "after_sequence=9223372036854775808"]
)
def test_a_sequence_is_a_number(server: Server, query: str) -> None:
    rollout = server.run(server.pool())
    path = f"/v1/rollouts/{rollout['id']}/events?{query}"
    server.refused("GET", path, 422, "validation_failed")


def test_resuming_in_the_middle_misses_nothing(server: Server) -> None:
    rollout_id = server.rollout(server.pool(), env={"delay": 0.5, "events": 40})["id"]
    events: list[dict[str, Any]] = []
    while not events or not events[-1]["event"].startswith("rollout.c"):
        headers = {"last-event-id": events[-1]["id"]} if events else {}
        text = ""
        with server.http.stream(
            "GET", f"/v1/rollouts/{rollout_id}/events", headers=headers
        ) as stream:
            for part in stream.iter_text():
                text += part
                if text.count("\n\n") >= 5:
                    break
        events += read_events(text[: text.rindex("\n\n") + 2])
    assert [event["sequence"] for event in events] == list(range(1, 45))


def test_silence_is_filled_with_comments(start: Callable[..., Server]) -> None:
    backend = start(heartbeat_seconds=0.1)
    rollout_id = backend.rollout(backend.pool(), env={"delay": 600, "events": 0})["id"]
    started_at = time.monotonic()
    text = ""
    with backend.http.stream("GET", f"/v1/rollouts/{rollout_id}/events") as stream:
        parts = stream.iter_text()
        while text.count(": heartbeat\n\n") < 2:
            text += next(parts)
        backend.post(f"/v1/rollouts/{rollout_id}/cancel")
        text += "".join(parts)
    assert text.count(": heartbeat\n\n") <= 10 * (time.monotonic() - started_at)
    assert len(read_events(text)) == 3


def test_the_default_silence_is_fifteen_seconds(server: Server) -> None:
    assert server.services.settings.heartbeat_seconds == 15


def test_every_reader_sees_the_same(server: Server) -> None:
    rollout_id = server.rollout(server.pool(), env={"delay": 0.5, "events": 50})["id"]
    with ThreadPoolExecutor(30) as threads:
        texts = set(threads.map(lambda _: str(server.events(rollout_id)), range(30)))
    assert len(texts) == 1
    assert len(server.services.notifier) == 0


def test_a_reader_that_leaves_frees_everything(start: Callable[..., Server]) -> None:
    backend = start(heartbeat_seconds=600)
    rollout_id = backend.rollout(backend.pool(), env={"delay": 60, "events": 0})["id"]
    backend.until(rollout_id, "running")
    tasks_before = len(tasks_of(backend))

    def read_and_leave(_: int) -> None:
        with httpx.stream(
            "GET",
            f"{backend.url}/v1/rollouts/{rollout_id}/events",
            headers=backend.http.headers,
            timeout=60,
        ) as stream:
            for line in stream.iter_lines():
                if line == "event: rollout.started":
                    return

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(read_and_leave, range(20)))
    # Long before a heartbeat would find out.
    eventually(lambda: len(backend.services.notifier) == 0)
    eventually(lambda: len(tasks_of(backend)) <= tasks_before + 2)
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")


def test_a_cancel_reaches_the_readers(server: Server) -> None:
    rollout_id = server.rollout(server.pool(), env={"delay": 60, "events": 0})["id"]
    texts: list[str] = []
    reader = threading.Thread(
        target=lambda: texts.append(server.http.get(f"/v1/rollouts/{rollout_id}/events").text)
    )
    reader.start()
    eventually(lambda: len(server.services.notifier) > 0)
    server.post(f"/v1/rollouts/{rollout_id}/cancel")
    reader.join(60)
    assert read_events(texts[0])[-1]["event"] == "rollout.cancelled"


def test_a_long_story_comes_whole(server: Server) -> None:
    rollout = server.run(server.pool(), env={"events": 1000})
    assert [e["sequence"] for e in server.events(rollout["id"])] == list(range(1, 1005))


def tasks_of(server: Server) -> list[Any]:
    """The tasks that are alive in the backend's event loop."""
    loop = server.services.database._loop
    tasks: list[Any] = []
    looked = threading.Event()

    def look() -> None:
        tasks.extend(asyncio.all_tasks(loop))
        looked.set()

    loop.call_soon_threadsafe(look)
    assert looked.wait(60)
    return tasks


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with begun_story(tmp_path, 1) as story:
        yield story


def sequences(pieces: list[bytes]) -> list[int]:
    return [event["sequence"] for event in read_events(b"".join(pieces).decode())]


async def test_live_events_are_encoded_once_for_all_readers(
    story: Story, encoded: list[str]
) -> None:
    reading = [asyncio.create_task(story.read()) for _ in range(100)]
    for _ in range(300):
        await story.tell()
    await story.tell(stored_events.COMPLETED)
    for pieces in await asyncio.gather(*reading):
        assert sequences(pieces) == list(range(1, 303))
    # A reader that others have overtaken is given what they have read.
    assert len(encoded) == 302


async def test_stored_events_are_encoded_once_for_readers_that_come_together(
    story: Story, encoded: list[str]
) -> None:
    await story.tell(data='{"pad":"' + "x" * 100_000 + '"}')
    for _ in range(500):
        await story.tell()
    await story.tell(stored_events.COMPLETED)
    # One that is somewhere in between leaves the others their large pieces.
    await story.read(7)
    encoded.clear()
    for pieces in await asyncio.gather(*(story.read() for _ in range(50))):
        assert sequences(pieces) == list(range(1, 504))
        assert len(pieces) <= 5
    assert len(encoded) == 503


async def test_an_event_costs_the_writer_the_same_with_many_readers(story: Story) -> None:
    reading = [asyncio.create_task(story.read()) for _ in range(200)]
    await asyncio.sleep(0)
    assert len(story.notifier) == 200
    for _ in range(200):
        await story.tell()
    await story.tell(stored_events.COMPLETED)
    pieces = await asyncio.gather(*reading)
    assert {tuple(sequences(piece)) for piece in pieces} == {tuple(range(1, 203))}
    # Each is woken far more rarely than there is something to tell: what costs is the waking.
    assert sum(map(len, pieces)) < 200 * 202 / 4


async def test_what_readers_share_is_limited(story: Story, encoded: list[str]) -> None:
    pad = '{"pad":"' + "x" * 200_000 + '"}'
    for _ in range(60):
        await story.tell(data=pad)
    await story.tell(stored_events.FAILED)
    assert sequences(await story.read()) == list(range(1, 63))
    assert sequences(await story.read()) == list(range(1, 63))
    # 12 MB do not fit, so that they were read again.
    assert len(encoded) == 2 * 62
    assert sequences(await story.read(40)) == list(range(41, 63))
    assert len(encoded) == 2 * 62
