"""`synth-pools backup`: whole or not at all, while the backend writes."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools.backend.api_keys import stored_key
from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.data_dir import FILE_NAME, KEY_FILE, LOCK_FILE, DataDir
from synth_pools.backend.storage.sqlite import backup
from synth_pools.backend.storage.sqlite.backup import back_up
from tests.support.backend_server import serve
from tests.support.commands import refusal_of, run_command

pytestmark = pytest.mark.sqlite


def test_a_copy_of_a_backend_that_writes(tmp_path: Path) -> None:
    data_dir, copy = tmp_path / "data", tmp_path / "copies" / "first"
    data_dir.mkdir()
    stop = threading.Event()
    with serve(data_dir) as server:
        pool_id = server.pool(concurrency=4)
        first = [server.run(pool_id)["id"] for _ in range(5)]

        def write() -> None:
            while not stop.is_set():
                server.rollout(pool_id, metadata={"filler": "x" * 10_000})

        writer = threading.Thread(target=write)
        writer.start()
        try:
            done = run_command("backup", copy, "--data-dir", data_dir)
        finally:
            stop.set()
            writer.join(60)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"A copy of the data is in {copy}\n"
        documents = [server.get(f"/v1/rollouts/{rollout_id}") for rollout_id in first]
    assert [path.name for path in copy.parent.iterdir()] == ["first"]
    with serve(copy) as copied:
        assert [copied.get(f"/v1/rollouts/{rollout_id}") for rollout_id in first] == documents
        for item in copied.get("/v1/rollouts?limit=50")["items"]:
            copied.until(item["id"])
            events = copied.events(item["id"])
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


def test_neither_key_nor_lock_goes_with_it(tmp_path: Path) -> None:
    source, copy = tmp_path / "data", tmp_path / "copy"
    with DataDir(source) as data_dir:
        key = stored_key(data_dir.key_file).reveal()
        (source / f"{KEY_FILE}.new").write_text(key)
        with serve(source):
            back_up(source, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert {path.name for path in copy.iterdir()} == {FILE_NAME}
    assert stat.S_IMODE((copy / FILE_NAME).stat().st_mode) == 0o600
    assert (source / LOCK_FILE).exists()
    with DataDir(copy) as copied:
        assert stored_key(copied.key_file).reveal() != key


def test_all_of_it_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    data_dir.mkdir()
    with serve(data_dir) as server:
        server.run(server.pool())
    flushed: set[Path] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        flushed.add(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", note)
    back_up(data_dir, copy)
    draft = tmp_path / f".copy.{os.getpid()}.partial"
    created = [copy, *copy.rglob("*")]
    assert copy / FILE_NAME in created
    assert {draft / path.relative_to(copy) for path in created} <= flushed


def test_without_a_backend_after_a_kill(tmp_path: Path) -> None:
    """Copy what is only in the log beside the database yet, too."""
    source, copy = tmp_path / "data", tmp_path / "copy"
    source.mkdir()
    with serve(source) as server:
        pool_id = server.pool()
        killed = tmp_path / "killed"
        killed.mkdir()
        for file in source.iterdir():
            (killed / file.name).write_bytes(file.read_bytes())
    assert (killed / f"{FILE_NAME}-wal").stat().st_size > 0
    copy.mkdir()
    back_up(killed, copy)
    with serve(copy) as copied:
        assert copied.get(f"/v1/pools/{pool_id}")


@pytest.mark.parametrize("place", ["missing", "data", "data/inside", "full"])
def test_a_place_that_cannot_be_is_refused_in_one_line(tmp_path: Path, place: str) -> None:
    data_dir = tmp_path / "data"
    for name in ("data", "full"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note").touch()
    if place != "missing":
        with serve(data_dir):
            pass
    before = sorted(path.name for path in tmp_path.rglob("*"))
    line = refusal_of("backup", tmp_path / place, "--data-dir", data_dir)
    assert line.startswith("synth-pools: error: ")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_an_earlier_copy_is_replaced_with_force_alone(tmp_path: Path) -> None:
    data_dir, copy, link = tmp_path / "data", tmp_path / "copy", tmp_path / "link"
    data_dir.mkdir()
    link.symlink_to(copy)
    with serve(data_dir) as server:
        first = server.pool()
        assert run_command("backup", link, "--data-dir", data_dir).returncode == 0
        second = server.pool()
    refusal = refusal_of("backup", copy, "--data-dir", data_dir)
    assert "is not empty" in refusal
    assert "--force" in refusal
    with serve(copy) as served:
        assert served.get(f"/v1/pools/{first}")
    # As a backend that serves it has it.
    with DataDir(copy):
        line = refusal_of("backup", copy, "--data-dir", data_dir, "--force")
        assert "is in use" in line
    assert run_command("backup", link, "--data-dir", data_dir, "--force").returncode == 0
    with serve(copy) as served:
        assert served.get(f"/v1/pools/{second}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    refusal_of("backup", tmp_path / "full", "--data-dir", data_dir, "--force")
    refusal_of("backup", "-", "--data-dir", data_dir)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data", "full", "link"]
    assert link.is_symlink()


def test_a_damaged_database_is_not_passed_off_as_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    with serve(source) as server:
        server.pool()
    file = source / FILE_NAME
    with file.open("r+b") as stream:
        stream.seek(3 * 4096)
        stream.write(b"\xff" * 40_960)
    with pytest.raises(DataDirError, match="cannot copy the database"):
        back_up(source, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_one_that_is_broken_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "data"
    source.mkdir()
    with serve(source):
        pass

    def fail(_: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(backup, "_flush", fail)
    with pytest.raises(DataDirError, match="No space left"):
        back_up(source, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    with closing(sqlite3.connect(source / FILE_NAME)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
