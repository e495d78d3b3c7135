"""Contents of artifacts in a bucket, which several backends may change at the same time."""

from __future__ import annotations

import hashlib

import pytest

from synth_pools.backend.storage.contents.store import LOST_FOLDER, Content, RemoteContents
from tests.support.content_places import BucketOfTests


@pytest.fixture(autouse=True)
def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteContents, "young_seconds", -60.0)


def content(number: int) -> Content:
    data = bytes([number]) * 10_000
    return Content(hashlib.sha256(data).hexdigest(), data)


async def keep(store: RemoteContents, *contents: Content) -> None:
    async with store.holding(contents):
        pass


async def test_young_contents_stay_for_a_while_where_others_write(
    bucket: BucketOfTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket.open()
    await keep(store, content(1), content(2))
    with monkeypatch.context() as patch:
        patch.setattr(RemoteContents, "young_seconds", 3600.0)
        assert list(store.old_names()) == []
        assert store.put_away([content(1).sha256]) == 0
        store.remove([content(1).sha256])
        assert len(bucket.names()) == 2
        # It is checked again when it is older.
        assert store.take_loose() == set()
    store.remove([content(1).sha256])
    assert bucket.names() == [content(2).sha256]


async def test_one_that_another_backend_removed_is_written_again(bucket: BucketOfTests) -> None:
    store, other_store = bucket.open(), bucket.open()
    async with store.holding([content(1), content(2)]):
        # It checked before the block named it.
        other_store.remove([content(1).sha256])
        assert bucket.names() == [content(2).sha256]
    assert bucket.names() == sorted([content(1).sha256, content(2).sha256])


async def test_what_nothing_names_is_moved_out_of_the_way(bucket: BucketOfTests) -> None:
    store, contents = bucket.open(), [content(number) for number in range(120)]
    await keep(store, *contents)
    bucket.spoil("ab-is-no-content", b"of somebody else")
    parts = list(store.old_names())
    assert sorted(name for part in parts for name in part) == sorted(c.sha256 for c in contents)
    assert max(map(len, parts)) <= 100
    names = sorted(c.sha256 for c in contents[:3])
    assert store.put_away(names) == 3
    assert store.put_away(names) == 0
    assert bucket.names(LOST_FOLDER) == names
    assert len(bucket.names()) == 118


async def test_one_owner(bucket: BucketOfTests) -> None:
    first, second = bucket.open(), bucket.open()
    assert first.claim("a" * 32) == "a" * 32
    assert second.claim("b" * 32) == "a" * 32
    assert first.claim("a" * 32) == "a" * 32
