"""Retention of contents, what a crash leaves of them, and copies of them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sqlite3
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.local_backend import LocalBackend
from synth_pools.backend.storage.artifacts import all_names
from synth_pools.backend.storage.contents.folder import FolderContents, content_file
from synth_pools.backend.storage.contents.store import FOLDER, LOST_FOLDER
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.sqlite.backup import back_up
from synth_pools.cli.options import bytes_of
from tests.backend.artifacts.test_extraction import files, items, run, sha256, total_bytes
from tests.backend.storage.test_schema import COMPLETED, make_version_1
from tests.support.backend_server import Server, eventually, serve
from tests.support.commands import any_option, refusal_of
from tests.support.containers import Seen, http, odd_container


def content(number: int, size: int = 10_000) -> str:
    return f"{number:08d}" * (size // 8)


def leave(server: Server, *numbers: int) -> dict[str, Any]:
    """A rollout with the contents of these numbers."""
    return run(server, [{"name": f"{number}", "content": content(number)} for number in numbers])


def name_of(number: int) -> str:
    return sha256(content(number).encode())


def is_kept(server: Server, rollout: dict[str, Any], path: str) -> bool:
    response = server.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts/{path}")
    if response.status_code == 200:
        assert response.text == content(int(path))
        return True
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "artifact_expired"
    return False


def test_the_oldest_contents_go_first(tmp_path: Path) -> None:
    with serve(tmp_path, keep_artifacts_bytes=35_000) as server:
        first = leave(server, 1, 2)
        second = leave(server, 3)
        # Used again by a later one, and so young again.
        third = leave(server, 1, 4)
        eventually(lambda: not is_kept(server, first, "2"))
        eventually(lambda: total_bytes(server) == 30_000)
        assert files(tmp_path) == sorted(map(name_of, (1, 3, 4)))
        assert is_kept(server, first, "1")
        assert is_kept(server, second, "3")
        assert is_kept(server, third, "1")
        stored, removed = items(server, first)
        assert stored["download_url"] is not None
        # Its description stays.
        assert removed == {**removed, "download_url": None, "path": "2", "sha256": name_of(2)}
        assert is_kept(server, first, removed["path"]) is False
        server.refused(
            "GET",
            f"/v1/rollouts/{first['id']}/artifacts/{removed['artifact_id']}",
            404,
            "artifact_expired",
        )
        archive = server.send("GET", f"/v1/rollouts/{first['id']}/artifacts.zip").content
        assert zipfile.ZipFile(io.BytesIO(archive)).namelist() == ["1"]
    with serve(tmp_path, keep_artifacts_bytes=15_000) as server:
        # Also what a former run kept; the limit may be another.
        eventually(lambda: total_bytes(server) == 10_000)
        assert is_kept(server, third, "4")
        assert not is_kept(server, third, "1")


def test_one_that_goes_when_it_is_about_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = FolderContents.pieces

    def gone(
        store: FolderContents, sha256: str, size: int, start: int, end: int
    ) -> Iterator[bytes]:
        store.remove([sha256])
        return pieces(store, sha256, size, start, end)

    with serve(tmp_path) as server:
        rollout = leave(server, 1)
        assert is_kept(server, rollout, "1")
        with monkeypatch.context() as patched:
            patched.setattr(FolderContents, "pieces", gone)
            assert not is_kept(server, rollout, "1")


def test_one_that_is_larger_than_all_that_is_kept(tmp_path: Path) -> None:
    with serve(tmp_path, keep_artifacts_bytes=5000) as server:
        rollout = leave(server, 1)
        assert rollout["status"] == "completed"
        eventually(lambda: not is_kept(server, rollout, "1"))
        # The file goes once no row names it.
        eventually(lambda: files(tmp_path) == [])
        # Small ones are a part of the result, and stay with it.
        small = run(server, [{"name": "5", "content": "small"}])
        assert server.send("GET", items(server, small)[0]["download_url"]).text == "small"


@pytest.mark.sqlite
def test_contents_go_with_the_last_rollout_that_has_them(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        old = leave(server, 1, 2)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE rollouts SET finished_at = '2020-01-01T00:00:00.000000Z'")
    with serve(tmp_path) as server:
        young = leave(server, 2, 3)
    with serve(tmp_path, keep_finished_seconds=3600) as server:
        path = f"/v1/rollouts/{old['id']}"
        eventually(lambda: server.send("GET", path).status_code == 404)
        eventually(lambda: files(tmp_path) == sorted(map(name_of, (2, 3))))
        assert is_kept(server, young, "2")
        server.refused("GET", f"{path}/artifacts/1", 404, "rollout_not_found")
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT COUNT(*) FROM artifacts").fetchone() == (2,)


# In a folder that backends share, a draft may be one that another writes.
@pytest.mark.sqlite
def test_what_a_crash_left_is_moved_at_the_next_start(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        rollout = leave(server, 1)
    unnamed = content_file(tmp_path, name_of(2))
    draft = content_file(tmp_path, name_of(1)).with_name(f"draft-{'0123456789abcdef' * 2}")
    for path in (unnamed, draft):
        path.parent.mkdir(exist_ok=True)
        path.write_text("left over")
    with serve(tmp_path) as server:
        assert files(tmp_path) == [name_of(1)]
        assert is_kept(server, rollout, "1")
    lost = tmp_path / LOST_FOLDER / name_of(2)[:2] / name_of(2)
    assert lost.read_text() == "left over"


def test_one_that_somebody_removed(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        rollout = leave(server, 1)
        content_file(tmp_path, name_of(1)).unlink()
        assert not is_kept(server, rollout, "1")
        assert server.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts.zip").status_code == 200
        # The next that has it brings it back, for both.
        leave(server, 1)
        assert is_kept(server, rollout, "1")


def test_a_full_disk_delays_an_outcome_and_loses_nothing(
    tmp_path: Path, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = threading.Event()
    is_full.set()
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if is_full.is_set() and FOLDER in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    body = {"reward": 1, "artifact": [{"name": "1", "content": content(1)}]}
    with serve(tmp_path) as server, odd_container(lambda _: http(200, body)) as container:
        rollout = server.rollout(server.pool(container_url=container.url))
        eventually(lambda: failures)
        assert "No space left" in failures[0]
        assert server.state(rollout["id"]) == "running"
        assert items(server, rollout) == []
        assert files(tmp_path) == []
        is_full.clear()
        assert server.until(rollout["id"])["status"] == "completed"
        assert is_kept(server, rollout, "1")
        assert server.types(rollout["id"]).count("rollout.completed") == 1
    failures.clear()


def test_one_that_is_cancelled_while_its_contents_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if "draft-" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            reached.set()
            go_on.wait(60)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    body = {"reward": 1, "artifact": [{"name": "1", "content": content(1)}]}

    def has_contents() -> bool:
        # It may have them as its container's last answer, until they are given up.
        rows = items(server, rollout)
        return bool(files(tmp_path)) or any(is_kept(server, rollout, "1") for _ in rows)

    with serve(tmp_path, keep_artifacts_bytes=1) as server:
        with odd_container(lambda _: http(200, body)) as container:
            rollout = server.rollout(server.pool(container_url=container.url))
            assert reached.wait(60)
            server.post(f"/v1/rollouts/{rollout['id']}/cancel")
            go_on.set()
        assert server.state(rollout["id"]) == "cancelled"
        eventually(lambda: not has_contents())


def test_many_write_the_same_while_it_is_given_up(tmp_path: Path) -> None:
    """A rollout has its content, or the content is expired, in any order of events."""

    def answer(request: Seen) -> bytes:
        number = request.json["seed"] % 3
        return http(
            200, {"reward": 1, "artifact": [{"name": str(number), "content": content(number)}]}
        )

    with serve(tmp_path, keep_artifacts_bytes=12_000) as server, odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url, concurrency=8)
        created = [server.rollout(pool_id, seed=seed) for seed in range(150)]
        done = [server.until(rollout["id"]) for rollout in created]
        assert {rollout["status"] for rollout in done} == {"completed"}
        eventually(lambda: total_bytes(server) <= 12_000)
        # No row without its file, and no file without a row.
        assert sorted(server.read(all_names)) == files(tmp_path)
        for rollout in done:
            is_kept(server, rollout, str(rollout["request"]["seed"] % 3))


@pytest.mark.sqlite
def test_a_backup_has_the_contents(tmp_path: Path) -> None:
    source, copy = tmp_path / "data", tmp_path / "copy"
    source.mkdir()
    with serve(source) as server:
        rollouts = [leave(server, number, number + 1) for number in range(5)]
        content_file(source, name_of(9)).parent.mkdir(exist_ok=True)
        content_file(source, name_of(9)).write_text("of a rollout that is not there yet")
        content_file(source, name_of(0)).unlink()
        back_up(source, copy)
    assert files(copy) == sorted(map(name_of, range(1, 6)))
    for path in (copy / FOLDER).rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    with serve(copy) as copied:
        for number, rollout in enumerate(rollouts):
            assert is_kept(copied, rollout, str(number + 1))
            # A content that retention, or a person, removed meanwhile is missing in the copy too.
            assert is_kept(copied, rollout, str(number)) is (number > 0)


@pytest.mark.sqlite
def test_a_backup_while_contents_come_and_go(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    stop = threading.Event()
    with serve(source, keep_artifacts_bytes=40_000) as server:

        def work() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                leave(server, number)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            for number in range(5):
                back_up(source, tmp_path / f"copy-{number}")
        finally:
            stop.set()
            worker.join(60)
    for number in range(5):
        with serve(tmp_path / f"copy-{number}") as copied:
            for rollout in copied.get("/v1/rollouts?limit=1000")["items"]:
                for item in items(copied, rollout):
                    if item["download_url"] is not None:
                        assert is_kept(copied, rollout, item["path"])


@pytest.mark.sqlite
def test_a_backup_of_what_an_older_backend_left(tmp_path: Path) -> None:
    source, copy = tmp_path / "data", tmp_path / "copy"
    source.mkdir()
    make_version_1(source)
    back_up(source, copy)
    assert files(copy) == []
    with serve(copy) as copied:
        (item,) = items(copied, {"id": COMPLETED})
        content = copied.send("GET", item["download_url"]).content
        assert sha256(content) == item["sha256"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("500B", 500), ("10GiB", 10 << 30), ("10 gib", 10 << 30), ("2MB", 2_000_000)]
    + [("3KiB", 3072), ("1TiB", 1 << 40), (None, 0)],
)
def test_sizes(text: str | None, size: int) -> None:
    assert (bytes_of(*any_option(), text) or 0) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "10G", "1.5GiB", "GiB", "10 GiBs", "1e9", "ten"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        bytes_of(*any_option(), text)


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_is_none_is_refused(size: int) -> None:
    with pytest.raises(BadOptionError, match="keep_artifacts"):
        LocalBackend(keep_artifacts=size)


def test_the_option_of_serve(tmp_path: Path) -> None:
    line = refusal_of("serve", "--keep-artifacts", "much", "--data-dir", tmp_path / "data")
    assert "--keep-artifacts" in line


def test_without_it_all_is_kept(start: Callable[..., Server]) -> None:
    assert start().services.settings.keep_artifacts_bytes is None
