"""Feed of a pool's events: what readers cost, and the order in older databases."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools.backend.rollouts import notifier
from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.backend.rollouts.stories import Story, begun_story, encoded
from tests.backend.storage.test_schema import make_version_1
from tests.support.backend_server import serve

__all__ = ["encoded"]


def cursors_of(pieces: list[bytes]) -> list[str]:
    lines = b"".join(pieces).decode().splitlines()
    return [line for line in lines if line.startswith("id: ")]


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with begun_story(tmp_path, 10) as story:
        yield story


async def test_live_events_are_encoded_once_for_all_readers(
    story: Story, encoded: list[str]
) -> None:
    reading = [asyncio.create_task(story.read_pool()) for _ in range(100)]
    await asyncio.sleep(0)
    for _ in range(300):
        await story.tell()
    await story.end()
    texts = {b"".join(pieces) for pieces in await asyncio.gather(*reading)}
    [text] = texts
    assert text.count(b"data: ") == 10 + 300 + 10
    # A reader that others have overtaken may read some of them again.
    assert len(encoded) < 2 * 320


async def test_an_event_costs_the_writer_the_same_with_many_readers(story: Story) -> None:
    reading = [asyncio.create_task(story.read_pool()) for _ in range(200)]
    await asyncio.sleep(0)
    for _ in range(200):
        await story.tell()
    await story.end()
    pieces = await asyncio.gather(*reading)
    # Each is woken far more rarely than there is something to tell: what costs is the waking.
    assert sum(map(len, pieces)) < 200 * 220 / 4


async def test_what_is_left_out_costs_pieces_of_limited_size(story: Story) -> None:
    await story.tell(number=9_000)
    await story.end()
    pieces = await story.read_pool(frozenset({"no.such.type"}))
    # Enough events are skipped that other tasks have their turn, and all pieces are positions.
    assert 3 < len(pieces) < 20
    assert b"data:" not in b"".join(pieces)
    assert cursors_of(pieces)[-1] == cursors_of(await story.read_pool())[-1]


@pytest.mark.system
async def test_small_pieces_do_not_fill_the_memory(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "_SHARED_BYTES", 10_000)
    await story.tell(number=60_000)
    await story.end()
    # Each is a position of some 30 bytes, and what keeps it is far more than that.
    assert len(await story.read_pool(frozenset({"no.such.type"}))) > 25
    assert 0 < len(story.notifier._pieces) < 20


@pytest.mark.sqlite
def test_events_of_an_older_database_are_put_in_the_order_of_their_time(tmp_path: Path) -> None:
    make_version_1(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        before = database.execute(
            "SELECT rollouts.id, sequence, timestamp FROM events"
            " JOIN rollouts ON rollouts.seq = rollout_seq WHERE pool_id = 'old'"
        ).fetchall()
        # A clock that was set back does not turn the events of a rollout round.
        earlier = "2020-01-01T00:00:00.000000Z"
        database.execute("UPDATE events SET timestamp = ? WHERE sequence = 3", (earlier,))
        database.commit()
    with serve(tmp_path) as server:
        page = server.get("/v1/pools/old/events?format=json&limit=1000")
        order = [(event["rollout_id"], event["sequence"]) for event in page["events"]]
        old = {(rollout_id, sequence) for rollout_id, sequence, _ in before}
        assert set(order[: len(old)]) == old
        for rollout_id in {rollout_id for rollout_id, _ in order}:
            sequences = [
                sequence for event_rollout, sequence in order if event_rollout == rollout_id
            ]
            assert sequences == list(range(1, len(sequences) + 1))
        starts = sorted((at, started_id) for started_id, sequence, at in before if sequence == 1)
        assert len({at for at, _ in starts}) == len(starts) > 3
        firsts = [started_id for started_id, sequence in order if sequence == 1]
        assert firsts[: len(starts)] == [started_id for _, started_id in starts]
