"""Contents of artifacts: the same promises in a folder and in a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pools.backend.storage.contents.store import (
    Content,
    ContentGoneError,
    ContentStore,
    RemoteContents,
)
from tests.support.backend_server import eventually
from tests.support.content_places import ContentPlace, FolderPlace
from tests.support.s3_fixtures import bucket, s3_server

__all__ = ["bucket", "s3_server"]


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ContentPlace:
    """Each kind of place, empty."""
    if request.param == "bucket":
        bucket_place: ContentPlace = request.getfixturevalue("bucket")
        return bucket_place
    return FolderPlace(tmp_path)


@pytest.fixture(autouse=True)
def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteContents, "young_seconds", -60.0)


def content(number: int, size: int = 10_000) -> Content:
    data = bytes([number]) * size
    return Content(hashlib.sha256(data).hexdigest(), data)


def read(store: ContentStore, content: Content, start: int = 0, end: int | None = None) -> bytes:
    size = len(content.data)
    return b"".join(store.pieces(content.sha256, size, start, size if end is None else end))


async def keep(store: ContentStore, *contents: Content) -> None:
    async with store.holding(contents):
        pass


async def test_what_is_kept_comes_back_whole_and_in_parts(place: ContentPlace) -> None:
    # Three parts of an upload, and many pieces.
    large = Content("", os.urandom(11 * 1024 * 1024))
    large = Content(hashlib.sha256(large.data).hexdigest(), large.data)
    small = content(1)
    writer, reader = place.open(), place.open()
    async with writer.holding([large, small]):
        # Before any row names it, for every backend.
        assert read(reader, large) == large.data
        assert read(reader, small) == small.data
    assert read(writer, large, 5_000_000, 7_500_001) == large.data[5_000_000:7_500_001]
    assert read(writer, large, len(large.data) - 1) == large.data[-1:]
    assert list(writer.pieces(small.sha256, 10_000, 5, 5)) == []
    pieces = list(writer.pieces(large.sha256, len(large.data), 0, len(large.data)))
    assert max(map(len, pieces)) <= writer.piece_bytes
    assert place.names() == sorted([large.sha256, small.sha256])


async def test_what_is_not_there_is_gone(place: ContentPlace) -> None:
    store = place.open()
    with pytest.raises(ContentGoneError):
        read(store, content(1))
    await keep(store, content(1))
    store.remove([content(1).sha256])
    with pytest.raises(ContentGoneError):
        read(store, content(1))


async def test_what_was_changed_is_not_sent(place: ContentPlace, failures: list[str]) -> None:
    store, stored = place.open(), content(1, 2_000_000)
    await keep(store, stored)
    changed = stored.data[:-1] + b"x"
    place.spoil(stored.sha256, changed)
    pieces = store.pieces(stored.sha256, len(stored.data), 0, len(stored.data))
    sent = 0
    with pytest.raises(ContentGoneError):
        for piece in pieces:
            sent += len(piece)
    assert sent < len(stored.data)
    for data in (stored.data[:-1], stored.data + b"x"):
        place.spoil(stored.sha256, data)
        with pytest.raises(ContentGoneError):
            read(store, stored)
        # Its size is looked at in each part, too.
        with pytest.raises(ContentGoneError):
            read(store, stored, 0, 10)
    assert all(stored.sha256 in line for line in failures)
    failures.clear()
    # The next that has it repairs it.
    await keep(store, stored)
    assert read(store, stored) == stored.data


async def test_what_is_about_to_be_named_is_not_removed(place: ContentPlace) -> None:
    store, stored = place.open(), content(1)
    async with store.holding([stored]):
        store.remove([stored.sha256])
        assert read(store, stored) == stored.data
    store.remove([stored.sha256])
    assert place.names() == []


async def test_a_block_that_fails_leaves_what_may_be_of_nobody(place: ContentPlace) -> None:
    store = place.open()
    with pytest.raises(ZeroDivisionError):
        async with store.holding([content(1), content(2)]):
            raise ZeroDivisionError
    assert store.take_loose() == {content(1).sha256, content(2).sha256}
    assert store.take_loose() == set()


WRITER = """
import asyncio, hashlib, sys
from pathlib import Path
from synth_pools.backend.storage.contents.folder import FolderContents
from synth_pools.backend.storage.contents.store import Content

store = FolderContents(Path(sys.argv[1]))
datas = [bytes([number]) * 300_000 for number in range(8)]
contents = [Content(hashlib.sha256(data).hexdigest(), data) for data in datas]

async def main():
    for turn in range(40):
        one = contents[turn % 8]
        async with store.holding([one]):
            pass
        assert b"".join(store.pieces(one.sha256, 300_000, 0, 300_000)) == one.data

asyncio.run(main())
"""


def test_several_processes_write_the_same_at_once(tmp_path: Path) -> None:
    """None finds half a content of another's."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=170)
        assert process.returncode == 0, stderr
    assert len(FolderPlace(tmp_path).names()) == 8
    assert not list(tmp_path.rglob("draft-*"))


async def test_what_cannot_be_stored_waits(tmp_path: Path, failures: list[str]) -> None:
    place = FolderPlace(tmp_path)
    in_the_way = tmp_path / "artifacts"
    in_the_way.write_text("a file where a folder is to be")
    writing = asyncio.create_task(keep(place.open(), content(1)))
    await asyncio.to_thread(eventually, lambda: failures)
    assert not writing.done()
    in_the_way.unlink()
    await asyncio.wait_for(writing, 30)
    assert read(place.open(), content(1)) == content(1).data
    failures.clear()
