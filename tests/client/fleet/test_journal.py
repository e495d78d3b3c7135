"""A fleet's journal: its content, cuts at any byte, and concurrent use."""

from __future__ import annotations

import errno
import json
import os
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pools import errors
from synth_pools._client.fleet import journal, journal_errors
from synth_pools._client.fleet.journal import (
    AdmissionRecord,
    AnswerRecord,
    BadLineError,
    BatchRecord,
    OutcomeRecord,
    Record,
    Run,
)
from synth_pools._client.fleet.journal_file import JournalFile, journal_path
from synth_pools._client.fleet.journal_index import JournalIndex
from synth_pools._client.fleet.journal_reader import JournalReader
from synth_pools._client.http.error_mapping import status_error
from synth_pools.errors import JournalError, NotFoundError, RequestValidationError, SynthPoolsError

HERE = ("pool", "http://127.0.0.1:1")

texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=4)
numbers = st.integers(0, 40)
records = st.one_of(
    st.builds(AdmissionRecord, numbers, numbers, texts, texts),
    st.builds(OutcomeRecord, numbers, numbers, texts, objects, st.none(), st.booleans()),
    st.builds(OutcomeRecord, numbers, numbers, texts, st.none(), objects, st.booleans()),
)


def index_state(memory: JournalIndex) -> list[tuple[Any, Any]]:
    return [(memory.ended_at(index), memory.admission(index)) for index in range(45)]


@given(records)
def test_a_line_comes_back_as_it_was(record: AdmissionRecord | OutcomeRecord) -> None:
    line = record.encode()
    assert line.count(b"\n") == 1
    assert journal.decode(line) == record


@given(st.none() | texts, texts)
def test_the_first_line_comes_back_as_it_was(pool_id: str | None, base_url: str) -> None:
    assert Run("0" * 32, pool_id, base_url).encode().startswith(b'{"synth_pools_journal":3,')
    run = Run("0" * 32, pool_id, base_url, fields={"run": base_url})
    # A release without these would repeat requests without them.
    assert run.encode().startswith(b'{"synth_pools_journal":4,')
    assert journal.decode_run(run.encode()) == run
    assert run.difference(pool_id, base_url) is None
    assert "pool" in (run.difference(f"{pool_id}x", base_url) or "")
    assert "service" in (run.difference(pool_id, base_url + "x") or "")


@settings(max_examples=60)
@given(st.lists(records, max_size=8), st.data())
def test_a_crash_after_any_byte_leaves_what_was_whole(
    expected_records: list[AdmissionRecord | OutcomeRecord], data: st.DataObject
) -> None:
    """A journal cut at any byte has an earlier state, and can be continued."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        first = JournalFile(path, *HERE)
        head = path.stat().st_size
        for record in expected_records:
            first.append(record)
        first.close()
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])

        lines = [record.encode() for record in expected_records]
        complete_count = 0
        while (
            complete_count < len(lines) and head + sum(map(len, lines[: complete_count + 1])) <= cut
        ):
            complete_count += 1
        expected, offset = JournalIndex(), head
        for record, line in zip(expected_records[:complete_count], lines, strict=False):
            expected.add(record, offset)
            offset += len(line)

        again = JournalFile(path, *HERE)
        assert index_state(again.entries) == index_state(expected)
        if cut >= head:
            assert again.run == first.run
            assert path.read_bytes() == content[:offset]
        again.append(AdmissionRecord(44, 0, "sha", "rollout"))
        again.close()
        third = JournalFile(path, *HERE)
        assert third.run == again.run
        assert third.entries.admission(44) == AdmissionRecord(44, 0, "sha", "rollout")
        third.close()


def test_what_has_ended_is_read_from_its_place(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    endings = [OutcomeRecord(n, 0, "sha", {"text": "ü" * 200, "n": n}, None) for n in range(50)]
    first = JournalFile(path, *HERE)
    for ending in reversed(endings):
        first.append(AdmissionRecord(ending.index, 0, "sha", f"rollout_{ending.index}"))
        first.append(ending)
    first.append(OutcomeRecord(50, 0, "sha", None, {"type": "APIConnectionError"}, final=False))
    first.close()
    again = JournalFile(path, *HERE)
    assert [again.ending(n) for n in range(50)] == endings
    assert again.ending(50) is None
    assert again.entries.admission(3) is None
    assert again.entries.highest == 50
    again.close()


def test_what_has_ended_is_read_in_blocks(tmp_path: Path) -> None:
    """Once for many outcomes, in whatever order they ended."""
    path, dice = tmp_path / "run.jsonl", random.Random(5)
    endings = [
        OutcomeRecord(n, 0, "sha", {"n": n, "text": "x" * dice.randrange(2000)}, None)
        for n in range(1500)
    ]
    first = JournalFile(path, *HERE)
    for start in range(0, 1500, 50):
        first.append(*dice.sample(endings[start : start + 50], 50))
    first.close()
    again = JournalFile(path, *HERE)
    distances = []
    for ending in endings:
        distances.append(not again.is_near(ending.index))
        assert again.ending(ending.index) == ending
    assert 2 < sum(distances) < 20
    # A block that was read before its last line was written is read again.
    late = [OutcomeRecord(n, 0, "sha", {"n": n}, None) for n in range(1500, 1520)]
    for ending in late:
        again.append(ending)
        assert again.ending(ending.index) == ending
    again.close()


def test_a_changed_bit_is_never_believed(tmp_path: Path) -> None:
    path, dice = tmp_path / "run.jsonl", random.Random(5)
    batch = BatchRecord("b", (0, 1), ("s", "s"), ({"seed": 1}, {"seed": 2}))
    story: list[Record] = [
        batch,
        AnswerRecord("b", ("rollout_0", "rollout_1")),
        OutcomeRecord(0, 0, "s", {"id": "rollout_0", "reward": 0.5}, None),
        OutcomeRecord(1, 0, "s", None, {"type": "ServerError", "text": "500"}),
    ]
    first = JournalFile(path, *HERE)
    for record in story:
        first.append(record)
    first.close()
    content = path.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << dice.randrange(8)
        path.write_bytes(changed)
        try:
            opened = JournalFile(path, *HERE)
        except JournalError:
            assert place < last or b"\n" in changed[last:-1]
            continue
        # The last line counts as missing: the run asks for its rollout again.
        assert place >= last - 1
        assert (opened.ending(0), opened.ending(1)) == (story[2] if place >= last else None, None)
        assert opened.entries.admission(1) == AdmissionRecord(1, 0, "s", "rollout_1")
        opened.close()


def test_a_bit_that_changes_while_the_journal_is_open_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE, segment_bytes=2000)
    reader = JournalReader(path)
    opened.append(OutcomeRecord(0, 0, "s", {"reward": 0.5}, None))
    assert list(reader.new()) == [0]
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7"))
    with pytest.raises(JournalError, match="checksum"):
        opened.ending(0)
    with pytest.raises(BadLineError, match="checksum"):
        reader.record(0)
    with pytest.raises(JournalError, match="changed while it was in use"):
        for index in range(1, 50):
            opened.append(OutcomeRecord(index, 0, "s", {"reward": 0.5}, None))
    opened.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a journal", "not a journal"),
        (b"not a journal\n", "line 1: it is not a JSON object"),
        (b'{"a": 1}\n', "line 1: it is not a journal"),
        (b'{"synth_pools_journal":5}\n', "line 1: it is of version 5, and only 4 is known here"),
        (b'{"synth_pools_journal":4}\n', "line 1: it has no checksum"),
        (b'{"synth_pools_journal":3}\n', "line 1: it has no checksum"),
        (b'{"synth_pools_journal":2}\n', "line 1: run_id is missing"),
        (b'{"synth_pools_journal":1}\n', "line 1: run_id is missing"),
        (Run("r", "other", HERE[1]).encode(), "belongs to another run: it is about pool 'other'"),
        (Run("r", "pool", "http://x").encode(), "belongs to another run: .* service at http://x"),
    ],
)
def test_what_is_not_this_runs_journal_is_refused_and_left_alone(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=words) as caught:
        JournalFile(path, *HERE)
    assert caught.value.path == str(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"\0\0\0\n",
        b'{"i":-1,"is":"admitted","attempt":0,"sha":"","rollout_id":""}\n',
        b'{"i":true,"is":"admitted","attempt":0,"sha":"","rollout_id":""}\n',
        b'{"i":1,"is":"admitted","attempt":0,"sha":""}\n',
        b'{"i":1,"is":"outcome","attempt":0,"sha":"","rollout":null,"error":null}\n',
        b'{"i":1,"is":"else","attempt":0,"sha":"","rollout":{},"error":null}\n',
        b'{"i":999999999999,"is":"outcome","attempt":0,"sha":"","rollout":{},"error":null}\n',
    ],
)
def test_damage_is_a_torn_end_only_at_the_end(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "run.jsonl"
    valid = Run("r", *HERE).encode() + AdmissionRecord(0, 0, "s", "a").encode()
    path.write_bytes(valid + line + line[:3].strip(b"\n"))
    opened = JournalFile(path, *HERE)
    opened.close()
    assert path.read_bytes() == valid
    damaged = valid + line + AdmissionRecord(1, 0, "s", "b").encode()
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match="line 3 is damaged"):
        JournalFile(path, *HERE)
    assert path.read_bytes() == damaged


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = JournalFile(path, *HERE)
    with pytest.raises(JournalError, match="another run is using it"):
        JournalFile(path, *HERE)
    first.close()
    first.close()
    with pytest.raises(JournalError, match="it is closed"):
        first.append(AdmissionRecord(0, 0, "s", "a"))
    JournalFile(path, *HERE).close()


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE)

    def write(start: int) -> None:
        for index in range(start, start + 20):
            opened.append(AdmissionRecord(index, 0, "s" * 500, "a"))

    threads = [threading.Thread(target=write, args=(n * 20,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    opened.close()
    again = JournalFile(path, *HERE)
    assert all(again.entries.admission(index) for index in range(160))
    again.close()


def test_lines_that_come_while_the_disk_is_busy_share_the_next_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = JournalFile(tmp_path / "run.jsonl", *HERE)
    one_line = len(AdmissionRecord(0, 0, "s", "a").encode())
    is_syncing, final_size = threading.Event(), opened._end + 8 * one_line
    syncs: list[int] = []

    def sync(_: int) -> None:
        syncs.append(opened._end)
        is_syncing.set()
        if len(syncs) == 1:
            give_up = time.monotonic() + 60
            while opened._end < final_size and time.monotonic() < give_up:
                time.sleep(0.001)

    monkeypatch.setattr(os, "fsync", sync)
    threads = [
        threading.Thread(target=opened.append, args=(AdmissionRecord(n, 0, "s", "a"),))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
        assert is_syncing.wait(60)
    for thread in threads:
        thread.join(60)
    assert len(syncs) == 2
    assert syncs[1] == final_size
    opened.close()


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_full_disk_is_said_once_and_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "run.jsonl"
    opened = JournalFile(path, *HERE)
    content = path.read_bytes()

    def full(*_: Any) -> int:
        if call == "write":
            with path.open("ab") as file:
                file.write(b'{"half')
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(opened, "_write", full)
        with pytest.raises(JournalError, match="No space left on device"):
            opened.append(AdmissionRecord(0, 0, "s", "a"))
    with pytest.raises(JournalError, match="No space left on device"):
        opened.append(AdmissionRecord(1, 0, "s", "b"))
    opened.close()
    if call == "write":
        assert path.read_bytes() == content


@pytest.mark.parametrize("value", [3, b"bytes", "", "a\0b", ["x"]])
def test_what_is_no_path_is_refused(value: Any) -> None:
    with pytest.raises(RequestValidationError, match="^journal must be"):
        journal_path(value)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestValidationError, match=r"^journal must be a file.*is a directory"):
        journal_path(tmp_path)
    with pytest.raises(RequestValidationError, match="in a directory that exists"):
        journal_path(tmp_path / "no" / "run.jsonl")
    with pytest.raises(RequestValidationError, match="is something else"):
        journal_path("/dev/full")
    assert journal_path(None) is None
    assert journal_path(str(tmp_path / "run.jsonl")) == tmp_path / "run.jsonl"


def test_requests_are_told_apart_by_what_they_are() -> None:
    assert journal.digest({"a": 1, "b": [1]}) == journal.digest({"b": [1], "a": 1})
    assert journal.digest({"a": 1}) != journal.digest({"a": 2})
    for nothing in (None, 3, {"a": object()}, {"a": float("nan")}, [("a", 1)]):
        assert journal.digest(nothing) == ""
    with pytest.raises(BadLineError):
        journal.decode(b"[]\n")


def sample_errors() -> list[SynthPoolsError]:
    request: dict[str, Any] = {
        "method": "GET",
        "url": "http://x/v1/y?z",
        "path": "/v1/y",
        "cause": "ReadError",
    }
    answer = status_error(
        method="POST",
        url="http://x/v1/y",
        path="/v1/y",
        status_code=404,
        headers=[(b"X-Request-Id", b"req"), (b"Retry-After", b"3"), (b"Set-Cookie", b"s")],
        content=b'{"detail": "no such pool", "error": {"code": "pool_not_found"}}',
    )
    return [
        RequestValidationError("unsupported keys: x"),
        errors.APIConnectionError("gone", **request),
        errors.APITimeoutError("late", **request),
        errors.StreamTimeoutError("silent", cursor="e3", events=3, **request),
        errors.StreamDecodeError("not JSON", excerpt="{"),
        answer,
    ]


@pytest.mark.parametrize("error", sample_errors(), ids=lambda error: type(error).__name__)
def test_errors_come_back_as_they_were(error: SynthPoolsError) -> None:
    stored = json.loads(json.dumps(journal_errors.to_json(error)))
    again = journal_errors.from_json(stored)
    assert type(again) is type(error)
    assert str(again) == str(error)
    for name in ("status_code", "code", "request_id", "retry_after", "body", "path", "cursor"):
        assert getattr(again, name, None) == getattr(error, name, None)
    if isinstance(again, NotFoundError):
        assert "set-cookie" not in again.response.headers


@pytest.mark.parametrize(
    "stored",
    [{}, {"type": "Popen", "text": "x", "fields": {}}, {"type": "NotFoundError", "answer": {}}],
)
def test_a_stored_error_that_makes_no_sense_is_still_an_error(stored: dict[str, Any]) -> None:
    assert type(journal_errors.from_json(stored)) is SynthPoolsError


def test_a_journal_that_somebody_else_writes_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = JournalFile(path, *HERE)
    for index in range(2):
        first.append(OutcomeRecord(index, 0, "sha", {}, None))
    first.close()
    again = JournalFile(path, *HERE)
    head, first_line, second_line = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + second_line + first_line)
    with pytest.raises(JournalError, match="it was changed while it was in use"):
        again.ending(0)
    path.write_bytes(head + AdmissionRecord(0, 0, "sha", "rollout").encode())
    with pytest.raises(JournalError, match="it was changed while it was in use"):
        again.ending(0)
    again.close()
