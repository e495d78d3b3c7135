"""Compaction of a fleet's journal: segments, and crashes at each step."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools._client.fleet.journal import (
    MOST_IN_FLIGHT,
    AdmissionRecord,
    AnswerRecord,
    BatchRecord,
    OutcomeRecord,
    Record,
    WidthRecord,
    decode_run,
    has_checksum,
)
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.fleet.journal_reader import JournalReader
from synth_pools._client.fleet.journal_segments import segment_path
from synth_pools.errors import JournalError
from synth_pools.runs.recorded import read_run

HERE = ("pool", "http://127.0.0.1:1")
SMALL = 4000
OLD = b'"run_id":"r","pool_id":"pool","base_url":"http://127.0.0.1:1"'
OLDER = {
    1: b'{"synth_pools_journal":1,%b}\n' % OLD,
    2: b'{"synth_pools_journal":2,%b,"highest":-1,"in_flight":10000,"segments":0}\n' % OLD,
}


class KilledError(BaseException):
    """End of the process, at any step."""


def ending(index: int) -> OutcomeRecord:
    return OutcomeRecord(index, 0, f"sha {index}", {"id": f"rollout_{index}", "n": index}, None)


def story(number: int, seed: int = 3) -> list[Record]:
    """Make the records of a run of `number` requests, eight in flight at a time."""
    dice, running = random.Random(seed), list[int]()
    records: list[Record] = []
    for index in range(number):
        if index % 8 == 0:
            numbers = tuple(range(index, min(number, index + 4)))
            shas = tuple(f"sha {place}" for place in numbers)
            records.append(BatchRecord(f"b{index}", numbers, shas, ({"seed": 1},) * len(numbers)))
            ids = tuple(f"rollout_{place}" for place in numbers)
            records.append(AnswerRecord(f"b{index}", ids))
        elif index % 8 >= 4:
            records.append(AdmissionRecord(index, 0, f"sha {index}", f"rollout_{index}"))
        if index % 50 == 9:
            records.append(OutcomeRecord(index, 0, f"sha {index}", None, {}, final=False))
        running.append(index)
        while len(running) > dice.randrange(9):
            records.append(ending(running.pop(dice.randrange(len(running)))))
    return [*records, *map(ending, running)]


def write_journal(path: Path, records: list[Record], **options: Any) -> None:
    opened = JournalFile(path, *HERE, segment_bytes=SMALL, **options)
    try:
        for record in records:
            opened.append(record)
    finally:
        opened.close()


def state(opened: JournalFile, number: int) -> list[Any]:
    return [
        (opened.ending(index), opened.entries.admission(index), opened.entries.batch(index))
        for index in range(number)
    ]


def end_process_after(call: Callable[..., Any], after: int) -> Callable[..., Any]:
    """Return a function whose call after `after` others ends the process."""
    calls, thread_id = iter(range(after)), threading.get_ident()

    def act(*args: Any) -> Any:
        # Servers of other tests close files, too.
        if threading.get_ident() == thread_id and next(calls, None) is None:
            raise KilledError
        return call(*args)

    return act


def test_a_compacted_journal_says_what_a_whole_one_says(tmp_path: Path) -> None:
    records = story(400)
    for cut in (0, 1, 250, 600, len(records)):
        small, large = tmp_path / f"small{cut}.jsonl", tmp_path / f"large{cut}.jsonl"
        write_journal(small, records[:cut])
        uncompacted = JournalFile(large, *HERE)
        for record in records[:cut]:
            uncompacted.append(record)
        uncompacted.close()
        compacted, reopened = JournalFile(small, *HERE), JournalFile(large, *HERE)
        assert state(compacted, 400) == state(reopened, 400)
        assert compacted.reach == reopened.reach
        assert compacted.run.segments == len(list(tmp_path.glob(f"small{cut}.jsonl.*.gz")))
        compacted.close()
        reopened.close()


def test_outcomes_that_were_read_before_a_compaction_are_read_after_it(tmp_path: Path) -> None:
    opened = JournalFile(tmp_path / "run.jsonl", *HERE, segment_bytes=SMALL)
    for index in range(200):
        opened.append(ending(index))
        assert [opened.ending(number) for number in (0, index // 2, index)] == [
            ending(0),
            ending(index // 2),
            ending(index),
        ]
    assert opened.run.segments > 2
    opened.close()


def test_what_is_not_compacted_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE, segment_bytes=SMALL)
    largest = 0
    for record in story(2000):
        opened.append(record)
        largest = max(largest, path.stat().st_size)
    assert largest < 3 * SMALL
    assert opened.run.segments > 20
    # The run's own outcomes are found at their new places, too.
    assert [opened.ending(index) for index in range(2000)] == [ending(n) for n in range(2000)]
    assert len(opened.entries.lines) < 100
    opened.close()
    lines = gzip.decompress(segment_path(path, 1).read_bytes()).splitlines()
    assert json.loads(lines[0])["synth_pools_journal_segment"] == 1
    indices = [json.loads(line)["i"] for line in lines[1:]]
    assert indices == sorted(indices)


@pytest.mark.parametrize("function", ["fsync", "replace", "unlink", "fchmod", "close"])
def test_a_run_that_is_killed_in_a_compaction_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """After a crash at any of these calls the written lines exist, and no others."""
    records = story(60)
    deaths = 0
    # The disk of this test loses nothing, and a sync is slow.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for number in range(1000):
        path = tmp_path / str(number) / "run.jsonl"
        path.parent.mkdir()
        opened = JournalFile(path, *HERE, segment_bytes=SMALL)
        done = 0
        with monkeypatch.context() as patch:
            patch.setattr(os, function, end_process_after(getattr(os, function), number))
            try:
                for record in records:
                    opened.append(record)
                    done += 1
            except KilledError:
                deaths += 1
        is_dead = done < len(records)
        # The kernel closes the file of a process that is killed.
        opened.drop_after_fork()
        again = JournalFile(path, *HERE, segment_bytes=SMALL)
        journal = JournalFile(tmp_path / f"{number}.jsonl", *HERE)
        for record in records[:done]:
            journal.append(record)
        if is_dead and state(again, 60) != state(journal, 60):
            # The line in progress may exist: the run did not act on it.
            journal.append(records[done])
        assert state(again, 60) == state(journal, 60), number
        for record in records[done + 1 :]:
            if not isinstance(record, AnswerRecord) or again.entries.open_batch(record.key):
                again.append(record)
        endings = [entry for entry in records[done + 1 :] if isinstance(entry, OutcomeRecord)]
        assert all(again.ending(entry.index) == entry for entry in endings if entry.final)
        again.close()
        journal.close()
        if not is_dead:
            break
    assert deaths >= 2 or function in ("fchmod", "close")
    assert not is_dead


@pytest.mark.parametrize("version", OLDER)
def test_a_journal_of_an_older_version_is_read_and_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "run.jsonl"
    interrupted = OutcomeRecord(3, 0, "s", None, {"type": "ServerError"}, final=False)
    old: list[Record] = [
        AdmissionRecord(0, 0, "s", "a"),
        ending(1),
        AdmissionRecord(2, 1, "s", "c"),
        ending(7),
        interrupted,
    ]
    # Its lines have no checksum.
    lines = [json.loads(record.encode()) for record in old]
    for line in lines:
        del line["crc"]
    content = OLDER[version] + b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    path.write_bytes(content)
    opened = JournalFile(path, *HERE, in_flight=64)
    # The file stays unchanged while there is nothing to add.
    assert path.read_bytes() == content
    assert (opened.ending(1), opened.ending(7)) == (ending(1), ending(7))
    # It does not record the number of requests in flight, which may all have been sent.
    assert opened.reach == 8 + MOST_IN_FLIGHT
    opened.append(BatchRecord("key", (8, 9), ("x", "y"), ({}, {})))
    opened.close()
    again = JournalFile(path, *HERE)
    assert again.run.version == 3
    assert all(has_checksum(line) for line in path.read_bytes().splitlines(keepends=True))
    assert list(again.entries.interruptions) == [3]
    assert (again.ending(1), again.ending(7)) == (ending(1), ending(7))
    assert again.entries.admission(2) == AdmissionRecord(2, 1, "s", "c")
    batch = again.entries.batch(9)
    assert batch is not None
    assert (batch.key, batch.sha(9)) == ("key", "y")
    assert again.reach == 10 + MOST_IN_FLIGHT
    again.close()


def test_what_may_have_been_sent_alone_is_known_whatever_is_compacted(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_journal(path, [OutcomeRecord(99, 0, "s", None, {}, final=False)], in_flight=5)
    opened = JournalFile(path, *HERE, in_flight=3, segment_bytes=1)
    assert opened.reach == 100 + 5
    opened.append(ending(0))
    opened.append(ending(99))
    opened.close()
    wider = JournalFile(path, *HERE, in_flight=70)
    assert wider.reach == 100 + 5
    wider.close()
    # The higher limit is on the disk before the run sends anything.
    again = JournalFile(path, *HERE, in_flight=1)
    assert again.reach == 100 + 70
    again.close()


def test_the_number_of_requests_stays_known(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE, segment_bytes=SMALL)
    opened.append(WidthRecord(opened.entries.in_flight, 1000))
    opened.append(*(ending(index) for index in range(100)))
    opened.close()
    assert decode_run(path.read_bytes().splitlines(keepends=True)[0]).requests == 1000
    again = JournalFile(path, *HERE)
    assert again.entries.requests == 1000
    # A record of another width alone says nothing of it.
    again.append(WidthRecord(again.entries.in_flight + 1))
    assert again.entries.requests == 1000
    again.append(WidthRecord(again.entries.in_flight, 2000))
    again.close()
    run = read_run(path)
    assert (run.requests, len(run.results)) == (2000, 100)


def test_nobody_else_gets_in_while_it_is_compacted(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE, segment_bytes=1)
    for index in range(5):
        opened.append(ending(index))
        with pytest.raises(JournalError, match="another run is using it"):
            JournalFile(path, *HERE)
    opened.close()
    JournalFile(path, *HERE).close()


def test_a_disk_without_room_for_a_segment_has_room_for_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE, segment_bytes=SMALL)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(gzip, "compress", full)
        for index in range(100):
            opened.append(ending(index))
    assert "it cannot be compacted: No space left on device" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]
    for index in range(100, 400):
        opened.append(ending(index))
    assert opened.run.segments > 0
    assert [opened.ending(index) for index in range(400)] == [ending(n) for n in range(400)]
    opened.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "its segment .* is missing: keep them together"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is damaged: it has no end"),
        (lambda path: path.write_bytes(b"x" * 90), "is damaged"),
        (lambda path: path.write_bytes(gzip.compress(OLD)), "is no segment of it"),
    ],
)
def test_a_segment_that_is_not_its_own_is_refused(
    tmp_path: Path, damage: Callable[[Path], Any], words: str
) -> None:
    path = tmp_path / "run.jsonl"
    write_journal(path, story(100))
    content = path.read_bytes()
    damage(segment_path(path, 2))
    with pytest.raises(JournalError, match=words):
        JournalFile(path, *HERE)
    assert path.read_bytes() == content


def test_a_link_and_the_permissions_of_a_journal_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path, target = tmp_path / "run.jsonl", tmp_path / "there" / "run.jsonl"
    target.touch(mode=0o600)
    path.symlink_to(target)
    write_journal(path, story(100))
    assert path.is_symlink()
    modes = {file.name: file.stat().st_mode & 0o777 for file in target.parent.iterdir()}
    assert len(modes) > 2
    assert set(modes.values()) == {0o600}
    again = JournalFile(path, *HERE)
    assert again.ending(0) == ending(0)
    again.close()


def test_a_reader_follows_a_journal_while_it_is_compacted(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE, segment_bytes=SMALL)
    reader = JournalReader(path)
    records: dict[int, Any] = {}
    for place, record in enumerate(story(500)):
        opened.append(record)
        if place % 37 == 0:
            records.update((index, reader.record(index)) for index in reader.new())
            expected = {
                index: opened.ending(index) or opened.entries.admission(index)
                for index in range(500)
                if index in records or opened.entries.ended_at(index) is not None
            }
            assert {
                index: entry for index, entry in records.items() if entry.index == index
            } == expected
    opened.close()
    for index in reader.new():
        records[index] = reader.record(index)
    assert reader.damaged is None
    assert records == {index: ending(index) for index in range(500)}
    assert list(reader.indices()) == list(range(500))
