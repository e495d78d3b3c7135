"""Events of a pool: one order for all of its rollouts, on streams and on pages."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.backend_server import Server, eventually, serve

ENDS = "rollout.completed,rollout.failed,rollout.cancelled"


class Block(NamedTuple):
    """A block of a stream with an id; a mere position has no event."""

    cursor: str
    event: dict[str, Any] | None


def blocks_of(text: str) -> list[Block]:
    blocks = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[:1] != ":")
        if fields:
            event = json.loads(fields["data"]) if "data" in fields else None
            assert event is None or event["event"] == fields["event"]
            blocks.append(Block(fields["id"], event))
    return blocks


def events_of(blocks: list[Block]) -> list[dict[str, Any]]:
    return [block.event for block in blocks if block.event is not None]


def read_all(server: Server, pool_id: str, **kwargs: Any) -> list[Block]:
    """All blocks of the stream of an archived pool, which ends."""
    response = server.http.get(f"/v1/pools/{pool_id}/events", **kwargs)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream"
    blocks = blocks_of(response.text)
    cursors = [block.cursor for block in blocks]
    assert cursors == sorted(cursors)
    assert blocks[0].event is None
    return blocks


def lived(server: Server, number: int = 12) -> tuple[str, list[str]]:
    """A pool that had rollouts of all kinds, side by side, and is archived; and their ids."""
    pool_id = server.pool(concurrency=5)
    kinds = itertools.cycle(({}, {"events": 3, "delay": 0.05}, {"fail": True}, {"events": 0}))
    ids = [server.rollout(pool_id, env=next(kinds))["id"] for _ in range(number)]
    for rollout_id in ids:
        server.until(rollout_id)
    # One that is cancelled with its pool.
    ids.append(server.rollout(pool_id, env={"delay": 600, "events": 0})["id"])
    server.until(ids[-1], "running")
    server.call("DELETE", f"/v1/pools/{pool_id}")
    return pool_id, ids


@pytest.fixture(scope="module")
def shared(server: Server) -> tuple[str, list[str]]:
    return lived(server)


def test_the_stream_holds_each_rollout_s_own(server: Server, shared: tuple[str, list[str]]) -> None:
    pool_id, ids = shared
    events = events_of(read_all(server, pool_id))
    assert {event["rollout_id"] for event in events} == set(ids)
    for rollout_id in ids:
        own_events = [event for event in events if event["rollout_id"] == rollout_id]
        assert own_events == server.events(rollout_id)


def test_other_pools_have_no_part_in_it(server: Server, shared: tuple[str, list[str]]) -> None:
    other_pool = server.pool()
    other_rollout = server.run(other_pool)["id"]
    server.call("DELETE", f"/v1/pools/{other_pool}")
    events = events_of(read_all(server, other_pool))
    assert {event["rollout_id"] for event in events} == {other_rollout}
    assert other_rollout not in {
        event["rollout_id"] for event in events_of(read_all(server, shared[0]))
    }


def test_it_goes_on_after_any_block(server: Server, shared: tuple[str, list[str]]) -> None:
    pool_id, _ = shared
    complete = read_all(server, pool_id)
    for number in (*range(0, len(complete), 7), len(complete) - 1):
        cursor = complete[number].cursor
        # The first block says again where it begins.
        rest = [Block(cursor, None), *complete[number + 1 :]]
        assert read_all(server, pool_id, params={"cursor": cursor}) == rest
        assert read_all(server, pool_id, headers={"last-event-id": cursor}) == rest
        # The furthest of two cursors counts, and `start` only without any.
        latest = {"params": {"cursor": complete[0].cursor, "start": "latest"}}
        assert read_all(server, pool_id, headers={"last-event-id": cursor}, **latest) == rest


@pytest.mark.parametrize(
    "cursor", ["", "x", "evt_0000000001", "pool_1_evt_1", "pool_٣_evt_0000000000000001", "x" * 512]
)
def test_what_is_no_cursor_of_it_is_the_beginning(
    server: Server, shared: tuple[str, list[str]], cursor: str
) -> None:
    pool_id, _ = shared
    complete = read_all(server, pool_id)
    params = {"cursor": cursor, "start": "latest"}
    assert read_all(server, pool_id, params=params) == complete
    # Neither is one of another pool, nor one that was never issued.
    other_pool = server.pool()
    first = server.get(f"/v1/pools/{other_pool}/events?format=json&start=latest")["next_cursor"]
    assert read_all(server, pool_id, params={"cursor": first}) == complete
    far = complete[-1].cursor[:-16] + "9" * 16
    assert read_all(server, pool_id, params={"cursor": far}) == complete


def test_types_leave_out_the_others(server: Server, shared: tuple[str, list[str]]) -> None:
    pool_id, ids = shared
    complete = read_all(server, pool_id)
    expected = ENDS.split(",")
    actual = read_all(server, pool_id, params={"types": ENDS})
    assert events_of(actual) == [
        event for event in events_of(complete) if event["event"] in expected
    ]
    assert len(events_of(actual)) == len(ids)
    # The end of the stream is a position after all events that were left out.
    nothing = read_all(server, pool_id, params={"types": "no.such.type"})
    assert events_of(nothing) == []
    assert nothing[-1].cursor == complete[-1].cursor
    assert read_all(server, pool_id, params={"types": ""})[-1].cursor == complete[-1].cursor


@pytest.mark.parametrize(("limit", "types"), [(1, None), (7, None), (1000, None), (3, ENDS)])
def test_pages_hold_the_stream(
    server: Server, shared: tuple[str, list[str]], limit: int, types: str | None
) -> None:
    pool_id, _ = shared
    chosen = {} if types is None else {"types": types}
    stream = events_of(read_all(server, pool_id, params=chosen))
    path = f"/v1/pools/{pool_id}/events"
    events: list[Any] = []
    page = server.get(path, params={"format": "json", "limit": limit, **chosen})
    while True:
        assert len(page["events"]) <= limit
        assert (page["pool_id"], page["status"]) == (pool_id, "archived")
        assert page["ended"] is not page["has_more"]
        events += page["events"]
        query = {"format": "json", "limit": limit, "cursor": page["next_cursor"], **chosen}
        if not page["has_more"]:
            break
        page = server.get(path, params=query)
    assert events == stream
    again = server.get(path, params=query)
    assert again == {**page, "events": []}


def test_a_page_of_a_pool_that_goes_on(server: Server) -> None:
    pool_id = server.pool()
    path = f"/v1/pools/{pool_id}/events?format=json"
    empty = server.get(path)
    assert (empty["status"], empty["events"], empty["has_more"]) == ("active", [], False)
    assert empty["ended"] is False
    server.run(pool_id)
    assert len(server.get(path)["events"]) == 5
    later = server.get(f"{path}&start=latest")
    assert later["events"] == []
    rest = server.get(path, params={"format": "json", "cursor": empty["next_cursor"]})
    assert len(rest["events"]) == 5
    # Archived, and yet not at its end as long as there is something to say.
    server.call("DELETE", f"/v1/pools/{pool_id}")
    assert server.get(path)["ended"] is True
    assert server.get(f"{path}&limit=1")["ended"] is False


def test_large_events_end_a_page_early(start: Callable[..., Server]) -> None:
    backend = start(max_page_bytes=500)
    pool_id = backend.pool()
    backend.run(pool_id)
    page = backend.get(f"/v1/pools/{pool_id}/events?format=json")
    assert (0 < len(page["events"]) < 5, page["has_more"]) == (True, True)


def test_an_unknown_pool_has_no_events(server: Server) -> None:
    server.refused("GET", "/v1/pools/nowhere/events", 404, "pool_not_found")
    server.refused("GET", "/v1/pools/nowhere/events?format=json", 404, "pool_not_found")
    pool_id = server.pool()
    for query in ("start=now", "start=", "format=xml", "limit=0", f"types={'x' * 1025}"):
        path = f"/v1/pools/{pool_id}/events?{query}"
        server.refused("GET", path, 422, "validation_failed")


class Reader(threading.Thread):
    """A reader of a live stream, which says when it has begun."""

    def __init__(self, server: Server, pool_id: str, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._path = f"/v1/pools/{pool_id}/events"
        self._kwargs = kwargs
        self.text = ""
        self.has_begun = threading.Event()
        self.start()
        assert self.has_begun.wait(60)

    def run(self) -> None:
        with self._server.http.stream("GET", self._path, timeout=60, **self._kwargs) as stream:
            for text in stream.iter_text():
                self.text += text
                self.has_begun.set()

    def blocks(self) -> list[Block]:
        """All that came, once the stream has ended."""
        self.join(60)
        assert not self.is_alive()
        return blocks_of(self.text)


def test_from_now_on_nothing_is_missing(server: Server) -> None:
    pool_id = server.pool()
    before = server.run(pool_id)["id"]
    reader = Reader(server, pool_id, params={"start": "latest"})
    ids = [server.rollout(pool_id, env={"events": 2})["id"] for _ in range(10)]
    for rollout_id in ids:
        server.until(rollout_id)
    server.call("DELETE", f"/v1/pools/{pool_id}")
    events = events_of(reader.blocks())
    assert before not in {event["rollout_id"] for event in events}
    for rollout_id in ids:
        own_events = [event for event in events if event["rollout_id"] == rollout_id]
        assert own_events == server.events(rollout_id)


def test_every_reader_sees_the_same_order_live(server: Server) -> None:
    pool_id = server.pool(concurrency=8)
    readers = [Reader(server, pool_id) for _ in range(10)]
    selecting = [Reader(server, pool_id, params={"types": ENDS}) for _ in range(5)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: server.run(pool_id, env={"events": 2}), range(40)))
    server.call("DELETE", f"/v1/pools/{pool_id}")
    complete = read_all(server, pool_id)
    assert len(events_of(complete)) == 40 * 6
    for reader in readers:
        assert [block for block in reader.blocks() if block.event is not None] == complete[1:]
    for reader in selecting:
        actual = events_of(reader.blocks())
        assert actual == [
            event for event in events_of(complete) if event["event"] in ENDS.split(",")
        ]


def test_it_goes_on_while_the_pool_is_paused(server: Server) -> None:
    pool_id = server.pool()
    reader = Reader(server, pool_id)
    server.post(f"/v1/pools/{pool_id}/pause")
    server.post(f"/v1/pools/{pool_id}/resume")
    rollout_id = server.run(pool_id)["id"]
    server.call("DELETE", f"/v1/pools/{pool_id}")
    assert {event["rollout_id"] for event in events_of(reader.blocks())} == {rollout_id}


def test_a_pool_without_rollouts_ends_with_its_archive(server: Server) -> None:
    pool_id = server.pool()
    reader = Reader(server, pool_id)
    server.call("DELETE", f"/v1/pools/{pool_id}")
    [block] = reader.blocks()
    assert block.event is None


def test_silence_is_filled_with_comments(start: Callable[..., Server]) -> None:
    backend = start(heartbeat_seconds=0.05)
    pool_id = backend.pool()
    reader = Reader(backend, pool_id, params={"types": "no.such.type"})
    eventually(lambda: reader.text.count(": heartbeat\n\n") >= 3)
    backend.call("DELETE", f"/v1/pools/{pool_id}")
    assert events_of(reader.blocks()) == []


def test_streams_of_a_pool_are_limited(start: Callable[..., Server]) -> None:
    backend = start(max_streams_per_pool=2, max_streams=3)
    crowded, other_pool = backend.pool(), backend.pool()
    readers = [Reader(backend, crowded), Reader(backend, crowded)]
    path = f"/v1/pools/{crowded}/events"
    body = backend.refused("GET", path, 429, "too_many_streams")
    assert body["error"]["details"] == {"limit": 2}
    # Pages are no streams.
    backend.get(f"{path}?format=json")
    readers.append(Reader(backend, other_pool))
    body = backend.refused("GET", f"/v1/pools/{backend.pool()}/events", 429, "too_many_streams")
    assert body["error"]["details"] == {"limit": 3}
    for pool_id in (crowded, other_pool):
        backend.call("DELETE", f"/v1/pools/{pool_id}")
    for reader in readers:
        reader.blocks()
    eventually(lambda: len(backend.services.notifier) == 0)
    eventually(lambda: len(backend.services.streams) == 0)


def test_the_order_survives_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(concurrency=4)
        for _ in range(5):
            before.run(pool_id)
        path = f"/v1/pools/{pool_id}/events"
        first = before.get(f"{path}?format=json&limit=7")
        complete = before.get(f"{path}?format=json")
    with serve(tmp_path) as after:
        assert after.get(f"{path}?format=json") == complete
        new = after.run(pool_id)["id"]
        rest = after.get(path, params={"format": "json", "cursor": first["next_cursor"]})
        expected = [*complete["events"][7:], *after.events(new)]
        assert rest["events"] == expected
        rest = after.get(path, params={"format": "json", "cursor": complete["next_cursor"]})
        assert rest["events"] == after.events(new)


def test_what_is_forgotten_is_gone_and_cursors_stay(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool()
        path = f"/v1/pools/{pool_id}/events"
        for _ in range(3):
            before.run(pool_id)
        last = before.get(f"{path}?format=json")["next_cursor"]
    with serve(tmp_path, keep_finished_seconds=0.01) as server:
        eventually(lambda: server.get(f"{path}?format=json")["events"] == [])
    with serve(tmp_path) as after:
        # A place is not given a second time, though nothing is there that has one.
        new = after.run(pool_id)["id"]
        rest = after.get(path, params={"format": "json", "cursor": last})
        assert rest["events"] == after.events(new)
        assert rest["next_cursor"] > last


@pytest.mark.parametrize("form", ["stream", "pages"])
def test_with_include_the_last_event_of_each_rollout_holds_it_and_its_summary(
    server: Server, form: str
) -> None:
    pool_id, ids = lived(server)
    if form == "stream":
        plain = events_of(read_all(server, pool_id))
        events = events_of(read_all(server, pool_id, params={"include": "rollout"}))
    else:
        path = f"/v1/pools/{pool_id}/events?format=json&limit=1000"
        plain = server.http.get(path).json()["events"]
        events = server.http.get(f"{path}&include=rollout").json()["events"]
    final = {}
    for event in events:
        if event["event"] in ENDS.split(","):
            final[event["rollout_id"]] = event.pop("rollout"), event.pop("summary")
    assert events == plain
    rollouts = f"/v1/pools/{pool_id}/rollouts"
    assert final == {
        rollout_id: (
            server.http.get(f"{rollouts}/{rollout_id}").json(),
            server.http.get(f"{rollouts}/{rollout_id}/summary").json(),
        )
        for rollout_id in ids
    }


def test_a_large_rollout_is_left_out_of_its_last_event(server: Server) -> None:
    pool_id = server.pool()
    for text in ("ü" * 1_000, "x" * 70_000):
        rollout_id = server.rollout(pool_id, params={"text": text})["id"]
        server.until(rollout_id)
    page = server.http.get(f"/v1/pools/{pool_id}/events?format=json&include=rollout").json()
    small, large = (event for event in page["events"] if event["event"] in ENDS.split(","))
    assert small["rollout"]["request"]["params"] == {"text": "ü" * 1_000}
    assert not {"rollout", "summary"} & large.keys()


def test_readers_with_and_without_rollouts_share_nothing(server: Server) -> None:
    pool_id, ids = lived(server, 3)
    for include in ({}, {"include": "rollout"}, {}, {"include": "rollout"}):
        events = events_of(read_all(server, pool_id, params=include))
        assert sum("rollout" in event for event in events) == (len(ids) if include else 0)
    wrong = server.http.get(f"/v1/pools/{pool_id}/events?include=everything")
    assert wrong.status_code == 422
    assert "include" in wrong.json()["error"]["message"]
